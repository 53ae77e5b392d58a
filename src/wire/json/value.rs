//! How a value becomes a type of ours: [`Read`], and [`objects!`] for structs.
//!
//! Not serde's derive: that makes a visitor for every struct and another copy of serde_json for every visitor, which
//! was a third of the wasm builds. Here one function takes an object apart and one per type of field reads a value.

use std::borrow::Cow;

use serde::de::{Error as _, IgnoredAny};
use serde_json::value::RawValue;

use super::{Name, Pairs};

/// What can be read from a JSON value.
///
/// Each level reads its bytes once more, so no type may hold itself: its depth would be the sender's to choose.
pub trait Read<'a>: Sized {
    fn read(value: &'a RawValue) -> serde_json::Result<Self>;

    /// What stands in its place where it is absent, and until a fault is told where it must be there. So a struct is
    /// filled without a way out after each field, which would be most of its code.
    fn blank() -> Self;

    /// Whether its field may be absent.
    const IS_OPTIONAL: bool = false;
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
                let mut fields = $crate::wire::json::Filling::of(value)?;
                let filled = Self {
                    $($field: $crate::wire::json::objects!(@read fields, $field $(as $wire)? $(= $default)?)),*
                };
                fields.told(filled)
            }

            fn blank() -> Self {
                Self { $($field: $crate::wire::json::Read::blank()),* }
            }
        }
    )* };
    (@read $fields:ident, $field:ident) => { $fields.due(stringify!($field)) };
    (@read $fields:ident, $field:ident as $wire:literal) => { $fields.due($wire) };
    (@read $fields:ident, $field:ident = $default:expr) => { $fields.given(stringify!($field)).unwrap_or($default) };
    (@read $fields:ident, $field:ident as $wire:literal = $default:expr) => { $fields.given($wire).unwrap_or($default) };
}
pub(crate) use objects;

/// The fields of an object while a struct is filled from them.
pub(crate) struct Filling<'a> {
    fields: Pairs<'a>,
    /// The first.
    fault: Option<serde_json::Error>,
}

impl<'a> Filling<'a> {
    pub(crate) fn of(value: &'a RawValue) -> serde_json::Result<Self> {
        Ok(Self { fields: serde_json::from_str(value.get())?, fault: None })
    }

    /// A field that may be absent where its type says so.
    #[inline(never)]
    pub(crate) fn due<T: Read<'a>>(&mut self, name: &'static str) -> T {
        let read = match self.fields.raw(name) {
            Some(value) => T::read(value),
            None if T::IS_OPTIONAL => return T::blank(),
            None => Err(serde_json::Error::missing_field(name)),
        };
        read.unwrap_or_else(|fault| {
            self.note(fault);
            T::blank()
        })
    }

    /// A field that may be absent.
    #[inline(never)]
    pub(crate) fn given<T: Read<'a>>(&mut self, name: &str) -> Option<T> {
        let read = self.fields.raw(name).map(T::read)?;
        read.map_err(|fault| self.note(fault)).ok()
    }

    fn note(&mut self, fault: serde_json::Error) {
        self.fault.get_or_insert(fault);
    }

    /// What was filled, or what was wrong with it.
    pub(crate) fn told<T>(self, filled: T) -> serde_json::Result<T> {
        self.fault.map_or(Ok(filled), Err)
    }
}

impl<'a> Read<'a> for &'a RawValue {
    fn read(value: &'a RawValue) -> serde_json::Result<Self> {
        Ok(value)
    }

    fn blank() -> Self {
        RawValue::NULL
    }
}

impl<'a> Read<'a> for Box<RawValue> {
    fn read(value: &'a RawValue) -> serde_json::Result<Self> {
        Ok(value.to_owned())
    }

    fn blank() -> Self {
        RawValue::NULL.to_owned()
    }
}

/// Only whether it is there.
impl<'a> Read<'a> for IgnoredAny {
    fn read(_: &'a RawValue) -> serde_json::Result<Self> {
        Ok(Self)
    }

    fn blank() -> Self {
        Self
    }
}

/// `null` is `None`.
impl<'a, T: Read<'a>> Read<'a> for Option<T> {
    fn read(value: &'a RawValue) -> serde_json::Result<Self> {
        if value.get() == "null" { Ok(None) } else { T::read(value).map(Some) }
    }

    fn blank() -> Self {
        None
    }

    const IS_OPTIONAL: bool = true;
}

impl<'a, T: Read<'a>> Read<'a> for Vec<T> {
    fn read(value: &'a RawValue) -> serde_json::Result<Self> {
        let raw = elements(value)?;
        // A loop, where an iterator would be several functions more for every type.
        let mut read = Self::with_capacity(raw.len());
        for element in raw {
            read.push(T::read(element)?);
        }
        Ok(read)
    }

    fn blank() -> Self {
        Self::new()
    }
}

/// Borrowed unless it holds an escape.
impl<'a> Read<'a> for Cow<'a, str> {
    fn read(value: &'a RawValue) -> serde_json::Result<Self> {
        serde_json::from_str(value.get()).map(|Name(text)| text)
    }

    fn blank() -> Self {
        Self::Borrowed("")
    }
}

fn elements(value: &RawValue) -> serde_json::Result<Vec<&RawValue>> {
    serde_json::from_str(value.get())
}

/// Types that serde reads: those of one value, and what is read once. A struct of an answer belongs into [`objects!`].
macro_rules! read_by_serde {
    ($($type:ty = $blank:expr;)*) => { $(
        impl<'json> $crate::wire::json::Read<'json> for $type {
            fn read(value: &'json ::serde_json::value::RawValue) -> ::serde_json::Result<Self> {
                ::serde_json::from_str(value.get())
            }

            fn blank() -> Self {
                $blank
            }
        }
    )* };
}

pub(crate) use read_by_serde;

read_by_serde! {
    bool = false;
    u32 = 0;
    u64 = 0;
    i64 = 0;
    f32 = 0.0;
    String = String::new();
}
