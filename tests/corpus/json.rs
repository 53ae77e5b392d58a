//! Every recorded body, as it is and damaged, is refused where serde_json refuses it and says the same where not.

use serde_json::Value;
use serde_json::value::RawValue;
use tollgate::wire::json::{Cursor, Fields, Raw, Read, parse};

use super::cases::texts;

/// Longer bodies are held against serde_json as they are, and not damaged.
const DAMAGED_BYTES_MAX: usize = 4096;

/// A whole value.
struct Tree(Value);

impl<'a> Read<'a> for Tree {
    fn read(at: &mut Cursor<'a>) -> Self {
        Self(match at.peek() {
            b'"' => Value::String(at.string().into_owned()),
            b't' | b'f' => Value::Bool(at.bool()),
            b'[' => Value::Array(Vec::read(at).into_iter().map(|Self(value)| value).collect()),
            b'{' => {
                let text = at.raw().get();
                let Ok(fields) = Fields::read(text.as_bytes()) else { return Self(Value::Null) };
                let tree = |name: &str| parse::<Self>(fields.raw(name).unwrap().get()).map(|Self(value)| value);
                // What was damaged further in is a fault further in.
                let tree = |name: &str| tree(name).unwrap_or_else(|error| Value::String(error.to_string()));
                Value::Object(fields.names().map(|name| (name.to_owned(), tree(name))).collect())
            }
            b'-' | b'0'..=b'9' => serde_json::from_str(at.number("a number")).unwrap(),
            _ => {
                at.skip();
                Value::Null
            }
        })
    }

    fn blank() -> Self {
        Self(Value::Null)
    }
}

fn check(text: &str) {
    let (found, expected) = (parse::<Raw<'_>>(text), serde_json::from_str::<&RawValue>(text));
    assert_eq!(found.ok().map(Raw::get), expected.ok().map(RawValue::get), "{text}");
}

#[test]
fn every_body_says_what_serde_json_reads() {
    for text in texts() {
        check(&text);
        if let Ok(expected) = serde_json::from_str::<Value>(&text) {
            assert_eq!(parse::<Tree>(&text).map(|Tree(value)| value), Ok(expected), "{text}");
        }
    }
}

#[test]
fn a_damaged_body_is_refused_where_serde_json_refuses_it() {
    // Frames of one stream are much alike.
    for text in texts().into_iter().filter(|text| text.len() <= DAMAGED_BYTES_MAX).step_by(41) {
        // A few places, another few in each body.
        for at in (text.len() % 31..text.len()).step_by(1 + text.len() / 12) {
            let (before, after) = (&text.as_bytes()[..at], &text.as_bytes()[at + 1..]);
            for byte in [&b""[..], b"\"", b"\\", b"}", b"]", b",", b":", b"0", b"\n", b"\x01", b"e", b"[{"] {
                let damaged = [before, byte, after].concat();
                if let Ok(damaged) = String::from_utf8(damaged) {
                    check(&damaged);
                }
            }
        }
    }
}
