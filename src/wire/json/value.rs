//! How a value becomes a type of ours: [`Read`], and [`objects!`] for structs.
//!
//! Not serde's derive: that makes a visitor for every struct and another copy of serde_json for every visitor, which
//! was a third of the wasm builds. Here one function takes an object apart and one per type of field reads a value.

use std::borrow::Cow;

use serde::de::{Error as _, IgnoredAny};
use serde_json::value::RawValue;

use super::{Name, Pairs};

/// What can be read from a JSON value.
pub trait Read<'a>: Sized {
    fn read(value: &'a RawValue) -> serde_json::Result<Self>;

    /// What stands for it where its field is absent; `None` where it must be there.
    fn absent() -> Option<Self> {
        None
    }
}

/// Structs that are read from JSON objects, by the names of their fields.
///
/// `field as "name"` stands in the object under another name; `field: T = value` may be absent. Unknown fields are
/// passed over, and of one that stands twice the last counts, as most parsers have it.
macro_rules! objects {
    ($(
        $(#[$meta:meta])*
        $vis:vis struct $name:ident $(<$life:lifetime>)? {
            $(
                $(#[$field_meta:meta])*
                $field_vis:vis $field:ident $(as $wire:literal)? : $type:ty $(= $default:expr)?
            ),* $(,)?
        }
    )*) => { $(
        $(#[$meta])*
        $vis struct $name $(<$life>)? {
            $( $(#[$field_meta])* $field_vis $field: $type ),*
        }

        impl<'json $(: $life, $life)?> $crate::wire::json::Read<'json> for $name $(<$life>)? {
            fn read(value: &'json ::serde_json::value::RawValue) -> ::serde_json::Result<Self> {
                let fields = $crate::wire::json::Pairs::of(value)?;
                Ok(Self {
                    $($field: $crate::wire::json::objects!(@read fields, $field $(as $wire)? $(= $default)?)),*
                })
            }
        }
    )* };
    (@read $fields:ident, $field:ident) => { $fields.due(stringify!($field))? };
    (@read $fields:ident, $field:ident as $wire:literal) => { $fields.due($wire)? };
    (@read $fields:ident, $field:ident = $default:expr) => { $fields.given(stringify!($field))?.unwrap_or($default) };
    (@read $fields:ident, $field:ident as $wire:literal = $default:expr) => { $fields.given($wire)?.unwrap_or($default) };
}
pub(crate) use objects;

impl<'a> Pairs<'a> {
    /// The fields of an object.
    pub(crate) fn of(value: &'a RawValue) -> serde_json::Result<Self> {
        serde_json::from_str(value.get())
    }

    /// The value of `name`; the last one where it stands twice.
    pub(super) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().rev().find(|(field, _)| field == name).map(|(_, value)| *value)
    }

    /// A field that may be absent where its type says so.
    pub(crate) fn due<T: Read<'a>>(&self, name: &'static str) -> serde_json::Result<T> {
        match self.raw(name) {
            Some(value) => T::read(value),
            None => T::absent().ok_or_else(|| serde_json::Error::missing_field(name)),
        }
    }

    /// A field that may be absent.
    pub(crate) fn given<T: Read<'a>>(&self, name: &str) -> serde_json::Result<Option<T>> {
        self.raw(name).map(T::read).transpose()
    }
}

impl<'a> Read<'a> for &'a RawValue {
    fn read(value: &'a RawValue) -> serde_json::Result<Self> {
        Ok(value)
    }
}

impl<'a> Read<'a> for Box<RawValue> {
    fn read(value: &'a RawValue) -> serde_json::Result<Self> {
        Ok(value.to_owned())
    }
}

/// Only whether it is there.
impl<'a> Read<'a> for IgnoredAny {
    fn read(_: &'a RawValue) -> serde_json::Result<Self> {
        Ok(Self)
    }
}

/// `null` is `None`.
impl<'a, T: Read<'a>> Read<'a> for Option<T> {
    fn read(value: &'a RawValue) -> serde_json::Result<Self> {
        if value.get() == "null" { Ok(None) } else { T::read(value).map(Some) }
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<'a, T: Read<'a>> Read<'a> for Vec<T> {
    fn read(value: &'a RawValue) -> serde_json::Result<Self> {
        elements(value)?.into_iter().map(T::read).collect()
    }
}

/// Borrowed unless it holds an escape.
impl<'a> Read<'a> for Cow<'a, str> {
    fn read(value: &'a RawValue) -> serde_json::Result<Self> {
        serde_json::from_str(value.get()).map(|Name(text)| text)
    }
}

fn elements(value: &RawValue) -> serde_json::Result<Vec<&RawValue>> {
    serde_json::from_str(value.get())
}

/// Types that serde reads: those of one value, and what is read once. A struct of an answer belongs into [`objects!`].
macro_rules! read_by_serde {
    ($($type:ty)*) => { $(
        impl<'json> $crate::wire::json::Read<'json> for $type {
            fn read(value: &'json ::serde_json::value::RawValue) -> ::serde_json::Result<Self> {
                ::serde_json::from_str(value.get())
            }
        }
    )* };
}

pub(crate) use read_by_serde;

read_by_serde! { bool u32 u64 i64 f32 String }
