//! How a type of ours becomes JSON: [`Write`], and [`written!`] for structs and enums.
//!
//! Not serde's derive: that makes another copy of serde_json's serializer for every struct, which was a tenth of the
//! wasm builds. Here each field is one call of one function. Writing cannot fail, and no float is ever written.

use std::borrow::Cow;

use super::{Raw, Verbatim};

/// What can be written as a JSON value.
pub trait Write {
    fn write(&self, out: &mut Vec<u8>);

    /// Whether a field marked `?` is left out for it: nothing, no element, no character, `false`, 0.
    fn is_blank(&self) -> bool {
        false
    }
}

/// `value` as a body.
pub fn to_vec(value: &dyn Write) -> Vec<u8> {
    let mut out = Vec::new();
    value.write(&mut out);
    out
}

/// `value` as a text.
pub fn to_string(value: &dyn Write) -> String {
    // JSON of strings is UTF-8.
    String::from_utf8(to_vec(value)).unwrap_or_default()
}

/// Structs and enums that are written as JSON, field after field, by their names.
///
/// - `field as "name"` stands in the object under another name; `field?` is left out where it is blank
///   ([`Write::is_blank`]). What is not marked is always there, and `None` is `null`.
/// - `enum … tagged "type"` is an object whose field `type` says which variant it is: `Variant as "word" { … }`.
/// - In other enums `Variant as "name"` is an object of one field, or the name where the variant holds nothing; a variant
///   without a name is its value alone.
/// - `impl` in place of `struct` is for a struct that is declared elsewhere, as those are that are also read; its fields
///   have no types then.
macro_rules! written {
    () => {};
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident $(<$($life:lifetime),+>)? {
            $(
                $(#[$field_meta:meta])*
                // `$never` is what makes `?` a repetition that can be told again.
                $field_vis:vis $field:ident $(as $wire:literal)? $(? $($never:lifetime)?)? : $type:ty
            ),* $(,)?
        }
        $($rest:tt)*
    ) => {
        $(#[$meta])*
        $vis struct $name $(<$($life),+>)? {
            $( $(#[$field_meta])* $field_vis $field: $type ),*
        }

        $crate::wire::json::written! {
            impl $name $(<$($life),+>)? { $($field $(as $wire)? $(? $($never)?)?),* }
            $($rest)*
        }
    };
    (
        impl $name:ident $(<$($life:lifetime),+>)? {
            $( $field:ident $(as $wire:literal)? $(? $($never:lifetime)?)? ),* $(,)?
        }
        $($rest:tt)*
    ) => {
        impl $(<$($life),+>)? $crate::wire::json::Write for $name $(<$($life),+>)? {
            fn write(&self, out: &mut Vec<u8>) {
                let Self { $($field),* } = self;
                $crate::wire::json::written!(@fields out $($field $(as $wire)? $(? $($never)?)?),*);
            }
        }

        $crate::wire::json::written! { $($rest)* }
    };
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident $(<$($life:lifetime),+>)? tagged $tag:literal {
            $(
                $(#[$variant_meta:meta])*
                $variant:ident as $word:literal $({
                    $(
                        $(#[$field_meta:meta])*
                        $field:ident $(as $wire:literal)? $(? $($never:lifetime)?)? : $type:ty
                    ),* $(,)?
                })?
            ),* $(,)?
        }
        $($rest:tt)*
    ) => {
        $(#[$meta])*
        $vis enum $name $(<$($life),+>)? {
            $( $(#[$variant_meta])* $variant $({ $( $(#[$field_meta])* $field: $type ),* })? ),*
        }

        impl $(<$($life),+>)? $crate::wire::json::Write for $name $(<$($life),+>)? {
            fn write(&self, out: &mut Vec<u8>) {
                match self {
                    $( Self::$variant $({ $($field),* })? => {
                        $crate::wire::json::open(out);
                        $crate::wire::json::field($tag, &$word, out);
                        $( $( $crate::wire::json::written!(@field out $field $(as $wire)? $(? $($never)?)?); )* )?
                        $crate::wire::json::close(out);
                    } )*
                }
            }
        }

        $crate::wire::json::written! { $($rest)* }
    };
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident $(<$($life:lifetime),+>)? {
            $(
                $(#[$variant_meta:meta])*
                $variant:ident $(as $key:literal)? $(($inner:ty))? $({
                    $(
                        $(#[$field_meta:meta])*
                        $field:ident $(as $wire:literal)? $(? $($never:lifetime)?)? : $type:ty
                    ),* $(,)?
                })?
            ),* $(,)?
        }
        $($rest:tt)*
    ) => {
        $(#[$meta])*
        $vis enum $name $(<$($life),+>)? {
            $( $(#[$variant_meta])* $variant $(($inner))? $({ $( $(#[$field_meta])* $field: $type ),* })? ),*
        }

        impl $(<$($life),+>)? $crate::wire::json::Write for $name $(<$($life),+>)? {
            fn write(&self, out: &mut Vec<u8>) {
                match self {
                    $( Self::$variant $(($crate::wire::json::written!(@bind value $inner)))? $({ $($field),* })? => {
                        $crate::wire::json::written!(
                            @variant out
                            $($key)?
                            $((value $inner))?
                            $({ $($field $(as $wire)? $(? $($never)?)?),* })?
                        );
                    } )*
                }
            }
        }

        $crate::wire::json::written! { $($rest)* }
    };
    (@fields $out:ident $($field:ident $(as $wire:literal)? $(? $($never:lifetime)?)?),*) => {
        $crate::wire::json::open($out);
        $( $crate::wire::json::written!(@field $out $field $(as $wire)? $(? $($never)?)?); )*
        $crate::wire::json::close($out);
    };
    (@field $out:ident $field:ident) => { $crate::wire::json::field(stringify!($field), $field, $out) };
    (@field $out:ident $field:ident as $wire:literal) => { $crate::wire::json::field($wire, $field, $out) };
    (@field $out:ident $field:ident ?) => { $crate::wire::json::field_if_any(stringify!($field), $field, $out) };
    (@field $out:ident $field:ident as $wire:literal ?) => { $crate::wire::json::field_if_any($wire, $field, $out) };
    (@variant $out:ident $key:literal) => { $crate::wire::json::Write::write($key, $out) };
    (@variant $out:ident $key:literal $body:tt) => {
        $crate::wire::json::open($out);
        $crate::wire::json::name($key, $out);
        $crate::wire::json::written!(@variant $out $body);
        $crate::wire::json::close($out);
    };
    (@variant $out:ident ($value:ident $inner:ty)) => { $crate::wire::json::Write::write($value, $out) };
    (@variant $out:ident { $($fields:tt)* }) => { $crate::wire::json::written!(@fields $out $($fields)*) };
    // Names what a variant holds, which is declared by its type alone.
    (@bind $value:ident $inner:ty) => { $value };
}
pub(crate) use written;

#[inline(never)]
pub(crate) fn open(out: &mut Vec<u8>) {
    out.push(b'{');
}

#[inline(never)]
pub(crate) fn close(out: &mut Vec<u8>) {
    out.push(b'}');
}

#[inline(never)]
pub(crate) fn field(called: &str, value: &dyn Write, out: &mut Vec<u8>) {
    name(called, out);
    value.write(out);
}

#[inline(never)]
pub(crate) fn field_if_any(called: &str, value: &dyn Write, out: &mut Vec<u8>) {
    if !value.is_blank() {
        field(called, value, out);
    }
}

/// What stands before a field's value. Names are those of a program, and hold nothing to escape.
pub(crate) fn name(name: &str, out: &mut Vec<u8>) {
    // No value ends in this brace, so it is the object's.
    let before: &[u8] = if out.last() == Some(&b'{') { b"\"" } else { b",\"" };
    out.extend_from_slice(before);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// An array.
pub(crate) fn write_all<'v, T: Write + 'v>(values: impl Iterator<Item = &'v T>, out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, value) in values.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        value.write(out);
    }
    out.push(b']');
}

impl Write for str {
    fn write(&self, out: &mut Vec<u8>) {
        let mut rest = self.as_bytes();
        out.reserve(rest.len() + 2);
        out.push(b'"');
        while let Some((plain, [byte, after @ ..])) = rest.split_at_checked(plain(rest)) {
            out.extend_from_slice(plain);
            escape(*byte, out);
            rest = after;
        }
        out.extend_from_slice(rest);
        out.push(b'"');
    }

    fn is_blank(&self) -> bool {
        self.is_empty()
    }
}

/// How many bytes come before the next that is escaped.
fn plain(text: &[u8]) -> usize {
    // The bytes of a block are compared at once where the machine can: several times as fast as one by one.
    let (blocks, _) = text.as_chunks::<16>();
    let is_plain = |block: &&[u8; 16]| !block.iter().fold(false, |any, byte| any | is_escaped(*byte));
    let before = blocks.iter().take_while(is_plain).count() * 16;
    let after = text.get(before..).unwrap_or_default();
    before + after.iter().position(|byte| is_escaped(*byte)).unwrap_or(after.len())
}

fn is_escaped(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn escape(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        0..0x20 => {
            let low = byte & 0xf;
            let digit = if low < 10 { b'0' + low } else { b'a' + low - 10 };
            return out.extend_from_slice(&[b'\\', b'u', b'0', b'0', b'0' + (byte >> 4), digit]);
        }
        itself => itself,
    };
    out.extend_from_slice(&[b'\\', short]);
}

impl Write for u64 {
    fn write(&self, out: &mut Vec<u8>) {
        let (mut rest, mut digits, mut count) = (*self, [b'0'; 20], 0);
        for digit in digits.iter_mut().rev() {
            *digit += (rest % 10) as u8;
            rest /= 10;
            count += 1;
            if rest == 0 {
                break;
            }
        }
        out.extend_from_slice(digits.get(digits.len() - count..).unwrap_or_default());
    }

    fn is_blank(&self) -> bool {
        *self == 0
    }
}

impl Write for i64 {
    fn write(&self, out: &mut Vec<u8>) {
        if *self < 0 {
            out.push(b'-');
        }
        self.unsigned_abs().write(out);
    }

    fn is_blank(&self) -> bool {
        *self == 0
    }
}

macro_rules! counts {
    ($($type:ty),*) => { $(
        impl Write for $type {
            fn write(&self, out: &mut Vec<u8>) {
                (*self as u64).write(out);
            }

            fn is_blank(&self) -> bool {
                *self == 0
            }
        }
    )* };
}

counts!(u16, u32, usize);

impl Write for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }

    fn is_blank(&self) -> bool {
        !self
    }
}

/// `null`, for fields that are never anything else.
impl Write for () {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"null");
    }

    fn is_blank(&self) -> bool {
        true
    }
}

impl<T: Write> Write for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.write(out),
            None => ().write(out),
        }
    }

    /// Only where there is none: one that is blank itself was meant.
    fn is_blank(&self) -> bool {
        self.is_none()
    }
}

impl<T: Write> Write for [T] {
    fn write(&self, out: &mut Vec<u8>) {
        write_all(self.iter(), out);
    }

    fn is_blank(&self) -> bool {
        self.is_empty()
    }
}

impl<T: Write, const COUNT: usize> Write for [T; COUNT] {
    fn write(&self, out: &mut Vec<u8>) {
        self.as_slice().write(out);
    }

    fn is_blank(&self) -> bool {
        COUNT == 0
    }
}

/// An array of two.
impl<A: Write, B: Write> Write for (A, B) {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        self.0.write(out);
        out.push(b',');
        self.1.write(out);
        out.push(b']');
    }
}

/// Its text, as it is.
impl Write for Raw<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.get().as_bytes());
    }
}

impl Write for Verbatim<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.get().as_bytes());
    }
}

/// Types that are written as what they point to is.
macro_rules! written_through {
    ($([$($generics:tt)*] $type:ty;)*) => { $(
        impl<$($generics)*> Write for $type {
            fn write(&self, out: &mut Vec<u8>) {
                (**self).write(out);
            }

            fn is_blank(&self) -> bool {
                (**self).is_blank()
            }
        }
    )* };
}

written_through! {
    [T: Write + ?Sized] &T;
    [T: Write + ?Sized] Box<T>;
    [T: Write + ToOwned + ?Sized] Cow<'_, T>;
    [T: Write] Vec<T>;
    [] String;
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    /// That serde writes the same.
    fn agree(value: &(impl Write + Serialize)) {
        let written = String::from_utf8(to_vec(value)).unwrap();
        assert_eq!(written, serde_json::to_string(value).unwrap());
    }

    #[test]
    fn values_are_written_as_serde_writes_them() {
        let every: String = (0..0x300).filter_map(char::from_u32).collect();
        for text in ["", "a", "\"", "\\", "a\"b", "\n\u{1f}\u{7f}\u{2028}", "🦀\\u0041", &every] {
            agree(&text);
            agree(&Some(Cow::Borrowed(text)));
        }
        for byte in 0..=0x7f {
            agree(&String::from(char::from(byte)));
        }
        for before in 0..40 {
            agree(&format!("{}\t{}\"", "a".repeat(before), "b".repeat(40 - before)));
        }
        for number in [0, 1, 9, 10, 99, 100, 1_795_219_200, u64::MAX - 1, u64::MAX] {
            agree(&number);
            agree(&number.cast_signed());
        }
        agree(&i64::MIN);
        agree(&[u16::MAX, 0]);
        agree(&[u32::MAX]);
        agree(&[usize::MAX]);
        agree(&vec![Some(true), Some(false), None]);
        agree(&[(); 0]);
        agree(&[()]);
        agree(&vec![vec!["a"], Vec::new()]);
        agree(&vec![("a", 1_u64)]);
        let text = r#"{"a" : [1.50, null]}"#;
        assert_eq!(
            (to_string(&Raw::of(text)), to_string(&Verbatim::from(Raw::of(text)))),
            (text.to_owned(), text.to_owned())
        );
    }

    #[test]
    fn fields_are_written_as_serde_writes_them() {
        written! {
            #[derive(Default, Serialize)]
            #[serde(rename_all = "camelCase")]
            struct Outer<'a> {
                /// Documented.
                #[serde(skip_serializing_if = "Option::is_none")]
                first_text as "firstText"?: Option<&'a str>,
                null: Option<&'a str>,
                #[serde(skip_serializing_if = "Vec::is_empty")]
                inner?: Vec<Inner>,
                #[serde(skip_serializing_if = "std::ops::Not::not")]
                flag?: bool,
                #[serde(rename = "type")]
                kind as "type": &'static str,
                #[serde(skip_serializing_if = "Option::is_none")]
                nested?: Option<Box<Inner>>,
            }

            #[derive(Clone, Serialize)]
            struct Inner {}
        }
        agree(&Outer::default());
        agree(&Outer { inner: vec![Inner {}; 2], nested: Some(Box::new(Inner {})), ..Outer::default() });
        agree(&Outer { first_text: Some(""), null: Some("{"), flag: true, kind: "\"", ..Outer::default() });
    }

    #[test]
    fn variants_are_written_as_serde_writes_them() {
        written! {
            #[derive(Serialize)]
            #[serde(tag = "type", rename_all = "snake_case")]
            enum Tagged<'a> tagged "type" {
                Text as "text" { text: &'a str },
                ToolUse as "tool_use" {
                    #[serde(skip_serializing_if = "Option::is_none")]
                    id?: Option<u64>,
                    #[serde(rename = "toolName")]
                    name as "toolName": &'a str,
                },
                Ping as "ping" {},
                Unit as "unit",
            }

            #[derive(Serialize)]
            #[serde(rename_all = "camelCase")]
            enum Keyed<'a> {
                Text as "text" (Cow<'a, str>),
                S3Location as "s3Location" { uri: &'a str },
                NowhereAtAll as "nowhereAtAll",
            }

            #[derive(Serialize)]
            #[serde(untagged)]
            enum Plain<'a> {
                Text(&'a str),
                Parts(Vec<Tagged<'a>>),
                Named { name: &'a str },
            }
        }
        agree(&Tagged::Text { text: "a" });
        agree(&Tagged::ToolUse { id: None, name: "a" });
        agree(&Tagged::ToolUse { id: Some(1), name: "a" });
        agree(&Tagged::Ping {});
        agree(&Tagged::Unit);
        agree(&[Keyed::Text("a".into()), Keyed::S3Location { uri: "s3://a" }, Keyed::NowhereAtAll]);
        agree(&Plain::Text("a"));
        agree(&Plain::Parts(vec![Tagged::Ping {}, Tagged::Unit]));
        agree(&Plain::Named { name: "a" });
    }
}
