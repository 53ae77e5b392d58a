//! How a value becomes a type of ours, in one pass: [`Read`], and [`objects!`] for structs.
//!
//! Not serde's derive: that makes a visitor for every struct and another copy of serde_json for every visitor, which
//! was a third of the wasm builds. Here one function per struct fills it, and what they share is in [`Cursor`].

use std::borrow::Cow;

use super::cursor::Cursor;
use super::error::Fault;

/// What can be read from a JSON value.
///
/// A nested value is read by a nested call, so no type may hold itself: its depth would be the sender's to choose.
pub trait Read<'a>: Sized {
    /// Takes the next value, or says at the cursor what is wrong and returns anything.
    fn read(at: &mut Cursor<'a>) -> Self;

    /// What stands in its place where it is absent, and until it is read.
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

        impl<'json $(: $life, $life: 'json)?> $crate::wire::json::Read<'json> for $name $(<$life>)? {
            fn read(at: &mut $crate::wire::json::Cursor<'json>) -> Self {
                use $crate::wire::json::{Filling, Read, objects, place, required};
                const NAMES: &[&str] = &[$(objects!(@name $field $(as $wire)?)),*];
                let mut filled = <Self as Read>::blank();
                let mut fields = Filling::of(at, NAMES, const { required(&[$(objects!(@optional $type $(= $default)?)),*]) });
                while let Some(field) = fields.next(at) {
                    match field {
                        $(field if field == const { place(NAMES, objects!(@name $field $(as $wire)?)) } => {
                            filled.$field = Read::read(at);
                        })*
                        _ => {}
                    }
                }
                filled
            }

            fn blank() -> Self {
                Self { $($field: $crate::wire::json::objects!(@blank $($default)?)),* }
            }
        }
    )* };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident as $wire:literal) => { $wire };
    (@optional $type:ty) => { <$type as $crate::wire::json::Read<'_>>::IS_OPTIONAL };
    (@optional $type:ty = $default:expr) => { true };
    (@blank) => { $crate::wire::json::Read::blank() };
    (@blank $default:expr) => { $default };
}
pub(crate) use objects;

/// The fields of an object while a struct is filled with them.
pub(crate) struct Filling {
    names: &'static [&'static str],
    /// A bit for each name, as in `met`.
    required: u64,
    met: u64,
    is_first: bool,
}

impl Filling {
    pub(crate) fn of(at: &mut Cursor<'_>, names: &'static [&'static str], required: u64) -> Self {
        at.open(b'{', "an object");
        Self { names, required, met: 0, is_first: true }
    }

    /// The place in `names` of the field whose value comes next.
    #[inline(never)]
    pub(crate) fn next(&mut self, at: &mut Cursor<'_>) -> Option<usize> {
        while let Some(name) = at.name(std::mem::take(&mut self.is_first)) {
            if let Some(place) = self.names.iter().position(|known| *known == name) {
                if let Some(strict) = at.strict.as_mut().filter(|_| self.met & 1 << place != 0) {
                    strict.twice();
                }
                self.met |= 1 << place;
                return Some(place);
            }
            if let Some(strict) = &mut at.strict {
                strict.unknown(&name, self.names);
            }
            at.skip();
        }
        let mut missing = self.required & !self.met;
        while let Some(name) = self.names.get(missing.trailing_zeros() as usize) {
            match &mut at.strict {
                None => at.fail(Fault::Missing(name)),
                Some(strict) if at.fault.is_none() => strict.missing(name),
                Some(_) => {}
            }
            missing &= missing - 1;
        }
        None
    }
}

/// Where `name` stands in `names`.
pub(crate) const fn place(mut names: &[&str], name: &str) -> usize {
    let mut place = 0;
    while let [first, rest @ ..] = names
        && !is_same(first.as_bytes(), name.as_bytes())
    {
        names = rest;
        place += 1;
    }
    place
}

const fn is_same(mut one: &[u8], mut other: &[u8]) -> bool {
    while let ([first, rest @ ..], [other_first, other_rest @ ..]) = (one, other)
        && *first == *other_first
    {
        (one, other) = (rest, other_rest);
    }
    one.is_empty() && other.is_empty()
}

/// A bit for each field that may not be absent.
pub(crate) const fn required(are_optional: &[bool]) -> u64 {
    let (mut bits, mut bit, mut rest) = (0, 1, are_optional);
    while let [is_optional, after @ ..] = rest {
        bits |= if *is_optional { 0 } else { bit };
        (bit, rest) = (bit << 1, after);
    }
    bits
}

/// Only whether it is there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ignored;

impl<'a> Read<'a> for Ignored {
    fn read(at: &mut Cursor<'a>) -> Self {
        at.skip();
        Self
    }

    fn blank() -> Self {
        Self
    }
}

/// `null` is `None`.
impl<'a, T: Read<'a>> Read<'a> for Option<T> {
    fn read(at: &mut Cursor<'a>) -> Self {
        if at.is_null() { None } else { Some(T::read(at)) }
    }

    fn blank() -> Self {
        None
    }

    const IS_OPTIONAL: bool = true;
}

impl<'a, T: Read<'a>> Read<'a> for Vec<T> {
    fn read(at: &mut Cursor<'a>) -> Self {
        let mut list = Self::new();
        at.open(b'[', "a sequence");
        while at.element(list.is_empty()) {
            list.push(T::read(at));
        }
        list
    }

    fn blank() -> Self {
        Self::new()
    }
}

/// Borrowed unless it holds an escape.
impl<'a> Read<'a> for Cow<'a, str> {
    fn read(at: &mut Cursor<'a>) -> Self {
        at.string()
    }

    fn blank() -> Self {
        Self::Borrowed("")
    }
}

impl<'a> Read<'a> for String {
    fn read(at: &mut Cursor<'a>) -> Self {
        at.string().into_owned()
    }

    fn blank() -> Self {
        Self::new()
    }
}

impl<'a> Read<'a> for bool {
    fn read(at: &mut Cursor<'a>) -> Self {
        at.bool()
    }

    fn blank() -> Self {
        false
    }
}

macro_rules! numbers {
    ($($type:ty),*) => { $(
        impl<'a> Read<'a> for $type {
            fn read(at: &mut Cursor<'a>) -> Self {
                at.number(stringify!($type)).parse().unwrap_or_else(|_| {
                    at.expected(stringify!($type));
                    Self::blank()
                })
            }

            fn blank() -> Self {
                0
            }
        }
    )* };
}

numbers!(u32, u64, i64, usize);

impl<'a> Read<'a> for f32 {
    fn read(at: &mut Cursor<'a>) -> Self {
        float(at.number("f32")) as Self
    }

    fn blank() -> Self {
        0.0
    }
}

/// A number's value; one that no float can hold is beyond every bound.
pub(crate) fn float(number: &str) -> f64 {
    // The configuration has this parser already; that of `core` would be another 20 KB of wasm.
    serde_json::from_str(number).unwrap_or(f64::INFINITY)
}

/// Enums that are one of some words, which are called together as the enum's own `= "…"` says. The first stands in the
/// place of none. They are written, too.
macro_rules! words {
    ($(
        $(#[$meta:meta])*
        $vis:vis enum $name:ident = $due:literal {
            $(#[$first_meta:meta])*
            $first:ident as $first_word:literal
            $(, $(#[$variant_meta:meta])* $variant:ident as $word:literal)* $(,)?
        }
    )*) => { $(
        $(#[$meta])*
        $vis enum $name {
            $(#[$first_meta])*
            $first,
            $( $(#[$variant_meta])* $variant ),*
        }

        impl<'json> $crate::wire::json::Read<'json> for $name {
            fn read(at: &mut $crate::wire::json::Cursor<'json>) -> Self {
                const WORDS: &[&str] = &[$first_word $(, $word)*];
                const VARIANTS: &[$name] = &[$name::$first $(, $name::$variant)*];
                VARIANTS.get(at.one_of(WORDS, $due)).copied().unwrap_or($name::$first)
            }

            fn blank() -> Self {
                Self::$first
            }
        }

        impl $crate::wire::json::Write for $name {
            fn write(&self, out: &mut Vec<u8>) {
                $crate::wire::json::Write::write(
                    match self {
                        Self::$first => $first_word,
                        $( Self::$variant => $word, )*
                    },
                    out,
                );
            }
        }
    )* };
}
pub(crate) use words;
