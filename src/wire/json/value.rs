//! How a value becomes a type of ours, in one pass: [`Read`], and [`objects!`] for structs.
//!
//! Not serde's derive: that makes a visitor for every struct and another copy of serde_json for every visitor, which
//! was a third of the wasm builds. Here one function per struct fills it, and what they share is in [`Cursor`].

use std::borrow::Cow;

use super::cursor::Cursor;
use super::error::Fault;
use super::shape::Shape;

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

    /// What may stand there, for people and editors; anything, where nobody has said.
    fn shape() -> Shape {
        Shape::default()
    }
}

/// Structs that are read from JSON objects, by the names of their fields.
///
/// `field as "name"` stands in the object under another name; `field: T = value` may be absent. `FIELDS` are those names.
/// Unknown fields are passed over, and of one that stands twice the last counts, as most parsers have it. Doc comments are
/// kept for [`Read::shape`], and `field: T where form` has its shape from `form`, which knows more of it than its type does.
macro_rules! objects {
    ($(
        // Not `meta`, which nobody could look into any more.
        $(#[$($meta:tt)*])*
        $vis:vis struct $name:ident $(<$life:lifetime>)? {
            $(
                $(#[$($field_meta:tt)*])*
                $field_vis:vis $field:ident $(as $wire:literal)? : $type:ty $(where $form:ident)? $(= $default:expr)?
            ),* $(,)?
        }
    )*) => { $(
        $(#[$($meta)*])*
        $vis struct $name $(<$life>)? {
            $( $(#[$($field_meta)*])* $field_vis $field: $type ),*
        }

        impl $(<$life>)? $name $(<$life>)? {
            /// The names of its fields, as they stand in the object.
            $vis const FIELDS: &'static [&'static str] = &[$($crate::wire::json::objects!(@name $field $(as $wire)?)),*];
        }

        impl<'json $(: $life, $life: 'json)?> $crate::wire::json::Read<'json> for $name $(<$life>)? {
            fn read(at: &mut $crate::wire::json::Cursor<'json>) -> Self {
                use $crate::wire::json::{Filling, Read, objects, place, required};
                let mut filled = <Self as Read>::blank();
                let mut fields = Filling::of(at, Self::FIELDS, const { required(&[$(objects!(@optional $type $(= $default)?)),*]) });
                while let Some(field) = fields.next(at) {
                    match field {
                        $(field if field == const { place(Self::FIELDS, objects!(@name $field $(as $wire)?)) } => {
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

            fn shape() -> $crate::wire::json::Shape {
                use $crate::wire::json::{Read, Shape, objects};
                Shape::object(
                    &[$(objects!(@doc $($meta)*)),*],
                    [$((
                        objects!(@name $field $(as $wire)?),
                        objects!(@shape <$type as Read<'json>>::shape() $(, $form)?)
                            .under(&[$(objects!(@doc $($field_meta)*)),*]),
                        objects!(@optional $type $(= $default)?),
                    )),*],
                )
            }
        }
    )* };
    (@shape $shape:expr) => { $shape };
    (@shape $shape:expr, $form:ident) => { $form($shape) };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident as $wire:literal) => { $wire };
    (@optional $type:ty) => { <$type as $crate::wire::json::Read<'_>>::IS_OPTIONAL };
    (@optional $type:ty = $default:expr) => { true };
    (@blank) => { $crate::wire::json::Read::blank() };
    (@blank $default:expr) => { $default };
    (@doc doc = $line:literal) => { $line };
    (@doc $($other:tt)*) => { "" };
}
pub(crate) use objects;

/// The fields of an object while a struct is filled with them.
pub(crate) struct Filling {
    names: &'static [&'static str],
    /// A bit for each name, as in `met`.
    required: u64,
    met: u64,
    /// Those that something under a wrong name was read as.
    guessed: u64,
    is_first: bool,
}

impl Filling {
    pub(crate) fn of(at: &mut Cursor<'_>, names: &'static [&'static str], required: u64) -> Self {
        at.open(b'{', "an object");
        Self { names, required, met: 0, guessed: 0, is_first: true }
    }

    /// The place in `names` of the field whose value comes next.
    #[inline(never)]
    pub(crate) fn next(&mut self, at: &mut Cursor<'_>) -> Option<usize> {
        while let Some(name) = at.name(std::mem::take(&mut self.is_first)) {
            if let Some(place) = self.names.iter().position(|known| *known == name) {
                let bit = 1 << place;
                match &mut at.strict {
                    Some(strict) if self.met & bit != 0 => strict.twice(),
                    Some(strict) if self.guessed & bit != 0 => strict.beside_a_guess(),
                    _ => {}
                }
                self.met |= bit;
                return Some(place);
            }
            if let Some(strict) = &mut at.strict
                && let Some(place) = strict.unknown(&name, self.names, self.met | self.guessed)
            {
                // It is read as what is meant, which so is not missing.
                self.guessed |= 1 << place;
                return Some(place);
            }
            at.skip();
        }
        let mut missing = self.required & !(self.met | self.guessed);
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
    assert!(are_optional.len() < 64, "each field needs a bit");
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

    /// `null` is for programs: nobody writes it.
    fn shape() -> Shape {
        T::shape()
    }
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

    fn shape() -> Shape {
        Shape::list(T::shape())
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

    fn shape() -> Shape {
        Shape::of("string")
    }
}

impl<'a> Read<'a> for String {
    fn read(at: &mut Cursor<'a>) -> Self {
        at.string().into_owned()
    }

    fn blank() -> Self {
        Self::new()
    }

    fn shape() -> Shape {
        Shape::of("string")
    }
}

impl<'a> Read<'a> for bool {
    fn read(at: &mut Cursor<'a>) -> Self {
        at.bool()
    }

    fn blank() -> Self {
        false
    }

    fn shape() -> Shape {
        Shape::of("boolean")
    }
}

macro_rules! numbers {
    ($($type:ty => $shape:expr),*) => { $(
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

            fn shape() -> Shape {
                $shape
            }
        }
    )* };
}

// What has no maximum here has one that no number of a TOML file can pass.
numbers!(
    u32 => Shape::whole(Some(u32::MAX.into())), u64 => Shape::whole(None), usize => Shape::whole(None),
    i64 => Shape::of("integer")
);

impl<'a> Read<'a> for f32 {
    fn read(at: &mut Cursor<'a>) -> Self {
        float(at.number("f32")) as Self
    }

    fn blank() -> Self {
        0.0
    }
}

/// A number's value, right in its first 15 digits; one that no float can hold is infinite.
///
/// Not [`str::parse`], which is right in the last one too, and another 20 KB of wasm.
pub(crate) fn float(number: &str) -> f64 {
    const TENS: [f64; 23] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
        1e20, 1e21, 1e22,
    ];
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let is_tiny = exponent.starts_with('-');
    let mut power: i64 = exponent.parse().unwrap_or(if is_tiny { i64::MIN / 2 } else { i64::MAX / 2 });
    let (mut digits, mut is_fraction) = (0_u64, false);
    for byte in mantissa.bytes() {
        match byte {
            b'.' => is_fraction = true,
            b'0'..=b'9' if digits < 1_000_000_000_000_000_000 => {
                digits = digits * 10 + u64::from(byte - b'0');
                power -= i64::from(is_fraction);
            }
            b'0'..=b'9' => power += i64::from(!is_fraction),
            _ => {}
        }
    }
    // These powers are floats exactly, and so are most numbers of digits: what is written by people has one rounding.
    let mut value = digits as f64;
    while power != 0 && value != 0.0 && value.is_finite() {
        let step = power.unsigned_abs().min(22);
        let ten = TENS.get(step as usize).copied().unwrap_or(1.0);
        if power < 0 {
            value /= ten;
            power += step as i64;
        } else {
            value *= ten;
            power -= step as i64;
        }
    }
    if number.starts_with('-') { -value } else { value }
}

/// Enums that are one of some words, which are called together as the enum's own `= "…"` says. The first stands where
/// nothing was read. They are written, too.
macro_rules! words {
    ($(
        $(#[$($meta:tt)*])*
        $vis:vis enum $name:ident = $due:literal {
            $(#[$($first_meta:tt)*])*
            $first:ident as $first_word:literal
            $(, $(#[$($variant_meta:tt)*])* $variant:ident as $word:literal)* $(,)?
        }
    )*) => { $(
        $(#[$($meta)*])*
        $vis enum $name {
            $(#[$($first_meta)*])*
            $first,
            $( $(#[$($variant_meta)*])* $variant ),*
        }

        impl $name {
            /// In the order in which they are listed.
            $vis const ALL: &[Self] = &[Self::$first $(, Self::$variant)*];

            /// As it is written.
            $vis fn word(self) -> &'static str {
                match self {
                    Self::$first => $first_word,
                    $( Self::$variant => $word, )*
                }
            }
        }

        impl<'json> $crate::wire::json::Read<'json> for $name {
            fn read(at: &mut $crate::wire::json::Cursor<'json>) -> Self {
                const WORDS: &[&str] = &[$first_word $(, $word)*];
                Self::ALL.get(at.one_of(WORDS, $due)).copied().unwrap_or($name::$first)
            }

            fn blank() -> Self {
                Self::$first
            }

            fn shape() -> $crate::wire::json::Shape {
                use $crate::wire::json::objects;
                $crate::wire::json::Shape::words(
                    &[$(objects!(@doc $($meta)*)),*],
                    [
                        ($first_word, &[$(objects!(@doc $($first_meta)*)),*]),
                        $( ($word, &[$(objects!(@doc $($variant_meta)*)),*]) ),*
                    ],
                )
            }
        }

        impl $crate::wire::json::Write for $name {
            fn write(&self, out: &mut Vec<u8>) {
                self.word().write(out);
            }
        }
    )* };
}
pub(crate) use words;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_float_is_what_the_standard_library_reads() {
        let exact =
            "0 -0 1 -1 0.5 1.0 0.1 -0.7 1e3 2.5E-3 1.50e+2 1795219200 1795219200.0 0.30000000000000004 1e22 1e-22";
        for text in exact.split(' ').chain(["123456789012345", "0.012345678901234", "9007199254740991"]) {
            assert_eq!(float(text).to_bits(), text.parse::<f64>().unwrap().to_bits(), "{text}");
        }
        let zeros = "0".repeat(1000);
        let long = [format!("1{zeros}e-1000"), format!("0.{zeros}1e1001"), format!("0.{}e-7", "123456789".repeat(40))];
        let near =
            ["1.7976931348623157e308", "2.2250738585072014e-308", "3.14159265358979323846264338327950288", "6.02e-200"];
        for text in near.into_iter().chain(long.iter().map(String::as_str)) {
            let expected: f64 = text.parse().unwrap();
            assert!((float(text) / expected - 1.0).abs() < 1e-14, "{text}: {} is not {expected}", float(text));
        }
        for text in ["1e309", "1e99999999999999999999", &format!("1{zeros}")] {
            assert_eq!(float(text), f64::INFINITY, "{text}");
        }
        for text in ["1e-400", "1e-99999999999999999999", "0e99999999999999999999"] {
            assert_eq!(float(text), 0.0, "{text}");
        }
        assert_eq!(float("-1e400"), f64::NEG_INFINITY);
    }
}
