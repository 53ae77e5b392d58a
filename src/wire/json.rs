//! The top-level fields of a JSON object, in order, each value still the bytes it arrived as.
//!
//! This is how a prompt of 400 KB is routed without being parsed: the values are skipped, not built.

mod cursor;
mod error;
#[cfg(test)]
mod oracle;
mod raw;
mod shape;
mod strict;
mod value;
mod write;

use std::borrow::Cow;

pub use cursor::{Cursor, END};
pub use error::Error;
use error::Fault;
pub use raw::{Raw, Verbatim};
pub use shape::Shape;
pub use strict::parse_strictly;
pub(crate) use value::{Filling, float, objects, place, required, words};
pub use value::{Ignored, Read};
pub use write::{Write, to_string, to_vec};
pub(crate) use write::{close, field, field_if_any, name, open, write_all, written};

/// No dialect has objects with nearly as many fields. They are searched one by one, and a caller may send millions.
const FIELDS_MAX: usize = 256;

/// Ordered fields of one object, borrowed from its text.
#[derive(Debug)]
pub struct Fields<'a> {
    text: &'a str,
    fields: Vec<(Cow<'a, str>, Raw<'a>)>,
}

impl<'a> Fields<'a> {
    /// Checks all of `body` for being one JSON object and keeps where each value stands.
    pub fn read(body: &'a [u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(body).map_err(|error| format!("the body is not UTF-8: {error}"))?;
        let mut at = Cursor::new(text);
        let fields = pairs(&mut at);
        let fields = at.end(fields).map_err(|error| {
            if body.is_empty() {
                "the body is empty; a JSON object is needed".to_owned()
            } else {
                let (line, column) = (error.line(), error.column());
                format!("the body is not a JSON object: {error} at line {line} column {column}")
            }
        })?;
        Ok(Self { text, fields })
    }

    /// The value of `name`; the last one where it stands twice, as most parsers have it.
    pub fn raw(&self, name: &str) -> Option<Raw<'a>> {
        self.fields.iter().rev().find(|(field, _)| field == name).map(|(_, value)| *value)
    }

    /// `name` as a `T`; absent and `null` are both `None`. The error says what was due.
    pub fn get<T: Read<'a>>(&self, name: &str) -> Result<Option<T>, String> {
        match self.raw(name) {
            None => Ok(None),
            Some(raw) => parse(raw.get()).map_err(|error| error.to_string()),
        }
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(name, _)| name.as_ref())
    }

    /// The object's text with some values replaced or added; every other byte stays.
    ///
    /// `values` are JSON texts. A field that is not there is added at the end.
    pub fn with(&self, values: &[(&str, &str)]) -> Vec<u8> {
        let grown: usize = values.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        let mut out = Vec::with_capacity(self.text.len() + grown);
        let mut at = 0;
        for (field, raw) in &self.fields {
            if let Some((_, value)) = values.iter().find(|(name, _)| field == name) {
                let (start, end) = self.span(*raw);
                out.extend_from_slice(self.text.get(at..start).unwrap_or_default().as_bytes());
                out.extend_from_slice(value.as_bytes());
                at = end;
            }
        }
        let close = self.text.rfind('}').unwrap_or(self.text.len());
        out.extend_from_slice(self.text.get(at..close).unwrap_or_default().as_bytes());
        let mut is_first = self.fields.is_empty();
        for (name, value) in values.iter().filter(|(name, _)| self.raw(name).is_none()) {
            let comma = if std::mem::take(&mut is_first) { "" } else { "," };
            out.extend_from_slice(format!("{comma}{}:{value}", quoted(name)).as_bytes());
        }
        out.extend_from_slice(self.text.get(close..).unwrap_or_default().as_bytes());
        out
    }

    /// The object's text without the fields of these names; every other byte stays, but for a comma.
    pub fn without(&self, names: &[&str]) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.text.len());
        let open = self.text.find('{').map_or(0, |brace| brace + 1);
        out.extend_from_slice(self.text.get(..open).unwrap_or_default().as_bytes());
        let (mut at, mut is_first) = (open, true);
        for (field, raw) in &self.fields {
            let (_, end) = self.span(*raw);
            let piece = self.text.get(at..end).unwrap_or_default();
            at = end;
            if names.iter().any(|name| field == name) {
                continue;
            }
            // The comma before it is the last one's, which may be gone.
            let after_comma = piece.trim_start().strip_prefix(',').filter(|_| is_first);
            out.extend_from_slice(after_comma.unwrap_or(piece).as_bytes());
            is_first = false;
        }
        out.extend_from_slice(self.text.get(at..).unwrap_or_default().as_bytes());
        out
    }

    fn span(&self, raw: Raw<'a>) -> (usize, usize) {
        // A value read from `text` is a slice of it, so the difference of the addresses is its place.
        let start = (raw.get().as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        (start, start + raw.get().len())
    }
}

/// Names and values of an object, in order.
fn pairs<'a>(at: &mut Cursor<'a>) -> Vec<(Cow<'a, str>, Raw<'a>)> {
    let mut pairs = Vec::new();
    at.open(b'{', "an object");
    while let Some(name) = at.name(pairs.is_empty()) {
        if pairs.len() == FIELDS_MAX {
            at.fail(Fault::Said("it has more than 256 fields"));
        }
        pairs.push((name, at.raw()));
    }
    pairs
}

/// Reads a value, which is all there is of `text`.
pub fn parse<'a, T: Read<'a>>(text: &'a str) -> Result<T, Error> {
    let mut at = Cursor::new(text);
    let value = T::read(&mut at);
    at.end(value)
}

/// Reads a body.
pub fn read<'a, T: Read<'a>>(body: &'a [u8]) -> Result<T, Error> {
    std::str::from_utf8(body).map_err(Error::not_utf8).and_then(parse)
}

/// `text` as a JSON string, quotes included.
pub fn quoted(text: &str) -> String {
    to_string(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_value_changes() {
        let cases = [
            (r#"{"model":"a","x":1.50}"#, r#"{"model":"b","x":1.50}"#),
            (r#" { "x" : [ {"model":"a"} ], "model"  :  "a" } "#, r#" { "x" : [ {"model":"a"} ], "model"  :  "b" } "#),
            (r#"{"mo\u0064el":"a"}"#, r#"{"mo\u0064el":"b"}"#),
            (r#"{"model":"a","model":"c"}"#, r#"{"model":"b","model":"b"}"#),
            (r#"{}"#, r#"{"model":"b"}"#),
            (r#"{"x":{}}"#, r#"{"x":{},"model":"b"}"#),
        ];
        for (input, expected) in cases {
            let out = Fields::read(input.as_bytes()).unwrap().with(&[("model", "\"b\"")]);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn several_values_change_at_once() {
        let out = Fields::read(br#"{"a":1,"b":2}"#).unwrap().with(&[("b", "3"), ("a", "4"), ("c", "5"), ("d", "6")]);
        assert_eq!(out, br#"{"a":4,"b":3,"c":5,"d":6}"#);
    }

    #[test]
    fn fields_are_taken_out_and_every_other_byte_stays() {
        let cases = [
            (r#"{"a":1,"b":2,"c":3}"#, r#"{"b":2}"#),
            (r#" { "a" : 1 , "b" : {"a":1} , "c":3 } "#, r#" { "b" : {"a":1} } "#),
            (r#"{"a":1}"#, "{}"),
            (r#"{"b":1.50 , "x":"a"}"#, r#"{"b":1.50 , "x":"a"}"#),
            (r#"{"b":1,"a":{},"a":2,"x":3}"#, r#"{"b":1,"x":3}"#),
            ("{}", "{}"),
        ];
        for (input, expected) in cases {
            let out = Fields::read(input.as_bytes()).unwrap().without(&["a", "c"]);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{input}");
        }
    }

    #[test]
    fn what_is_not_one_object_is_refused() {
        for input in ["", "[]", "{", r#"{"a":}"#, r#"{"a":1} x"#, "\"a\"", r#"{"a":tru}"#, "{\"a\":\"\u{1}\"}"] {
            assert!(Fields::read(input.as_bytes()).is_err(), "{input}");
        }
        assert!(Fields::read(b"{\"a\":\"\xff\"}").is_err());
    }

    #[test]
    fn fields_beyond_number_are_refused() {
        let object = |count: usize| format!("{{{}}}", vec![r#""a":1"#; count].join(","));
        assert!(Fields::read(object(FIELDS_MAX).as_bytes()).is_ok());
        let error = Fields::read(object(FIELDS_MAX + 1).as_bytes()).unwrap_err();
        assert!(error.contains("more than 256 fields"), "{error}");
    }

    #[test]
    fn a_struct_is_an_object_at_every_depth() {
        objects! {
            struct Outer<'a> {
                raw: Option<Raw<'a>>,
                inner: Vec<Option<Inner>>,
            }

            #[derive(Debug, PartialEq)]
            struct Inner {
                x: u64,
            }
        }
        let outer: Outer<'_> = parse(r#"{"raw":[ 1.50 ],"inner":[{"x":1},null],"other":[{}]}"#).unwrap();
        assert_eq!((outer.raw.unwrap().get(), outer.inner), ("[ 1.50 ]", vec![Some(Inner { x: 1 }), None]));
        for lists in [r#"[null,[]]"#, r#"{"inner":[[1]]}"#, r#"{"inner":[]} x"#] {
            assert!(parse::<Outer<'_>>(lists).is_err(), "{lists}");
        }
    }

    #[test]
    fn a_field_has_the_name_it_is_given_and_its_last_value() {
        objects! {
            #[derive(Debug)]
            struct Call {
                kind as "type": String,
                index: u64 = 7,
                strict: Option<bool>,
            }
        }
        let Call { kind, index, strict } = parse(r#"{"type":"a","kind":"b","strict":null,"type":"c"}"#).unwrap();
        assert_eq!((kind.as_str(), index, strict), ("c", 7, None));
        let faults = [
            (r#"{"kind":"a"}"#, "missing field `type`"),
            (r#"{"type":"a","index":"secret"}"#, "expected u64"),
            (r#"{"type":null,"index":"secret"}"#, "expected a string"),
            (r#""secret""#, "expected an object"),
        ];
        for (text, expected) in faults {
            assert_eq!(parse::<Call>(text).unwrap_err().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_skipped_without_a_stack() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(Fields::read(deep.as_bytes()).is_ok());
    }
}
