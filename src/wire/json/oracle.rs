//! Holds what is read here against serde_json: the same texts are refused, and the others say the same.

use serde_json::Value;
use serde_json::value::RawValue;

use super::{Cursor, END, Raw, Read, parse};

const TEXTS: &[&str] = &[
    r#"{"a":[1,-2.50e+3,0.1E-2,{"b":null,"c":[true,false,[]],"":{}}],"d\n":"x"} "#,
    r#" [ "\"\\\/\b\f\n\r\t", "\u00e9\ud83e\udd80\uFFFF", "caf\u00e9 is long enough for eight bytes \u007f" , "é🦀" ] "#,
    r#"["\ud800","\udc00x","\ud800\u0041","\ud800\ud800"]"#,
    r#"[[[[{"a":{"a":[{}]}}]]]]"#,
    "[0,-0,00,1.,.5,+1,1e,0x1,9007199254740993,18446744073709551616]",
    "nul",
    "\u{feff}1",
    "\"\u{1}\"",
    "\"the eighth byte is a control: \u{1f}\"",
    "",
    "  ",
];

/// Each text with one byte left out, doubled or replaced, and cut everywhere.
fn damaged(text: &str) -> impl Iterator<Item = String> {
    const BYTES: &[u8] = b"\"\\{}[]:,0-.eEtnu \n\t\x01\x1f\x00d8";
    let variants = move |at: usize| {
        let (before, after) = (&text.as_bytes()[..at], text.as_bytes().get(at + 1..).unwrap_or_default());
        let with = |bytes: &[u8]| [before, bytes, after].concat();
        let byte = text.as_bytes().get(at).copied().unwrap_or(b' ');
        let mut variants = vec![before.to_vec(), with(&[]), with(&[byte, byte])];
        variants.extend(BYTES.iter().map(|byte| with(&[*byte])));
        variants
    };
    (0..=text.len()).flat_map(variants).filter_map(|bytes| String::from_utf8(bytes).ok())
}

/// A whole value, which no type outside of tests may be.
struct Tree(Value);

impl<'a> Read<'a> for Tree {
    fn read(at: &mut Cursor<'a>) -> Self {
        Self(match at.peek() {
            b'"' => Value::String(at.string().into_owned()),
            b't' | b'f' => Value::Bool(at.bool()),
            b'[' => Value::Array(Vec::read(at).into_iter().map(|Self(value)| value).collect()),
            b'{' => {
                at.open(b'{', "an object");
                let mut object = serde_json::Map::new();
                let mut is_first = true;
                while let Some(name) = at.name(std::mem::take(&mut is_first)) {
                    object.insert(name.into_owned(), Self::read(at).0);
                }
                Value::Object(object)
            }
            b'-' | b'0'..=b'9' => serde_json::from_str(at.number("a number")).unwrap_or_default(),
            END => {
                at.skip();
                Value::Null
            }
            _ => {
                if !at.is_null() {
                    at.skip();
                }
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
    match (&found, &expected) {
        (Ok(raw), Ok(expected)) => assert_eq!(raw.get(), expected.get(), "{text:?}"),
        (Err(_), Err(_)) => {}
        _ => panic!("{text:?}: {found:?}, and serde_json has {expected:?}"),
    }
    let (found, expected) = (parse::<Tree>(text), serde_json::from_str::<Value>(text));
    match (found, expected) {
        (Ok(Tree(value)), Ok(expected)) => assert_eq!(value, expected, "{text:?}"),
        // Which numbers are too large is for those to say who want one.
        (_, Err(error)) if error.to_string().starts_with("number out of range") => {}
        (Err(_), Err(_)) => {}
        (found, expected) => panic!("{text:?}: {:?}, and serde_json has {expected:?}", found.map(|Tree(value)| value)),
    }
}

#[test]
fn the_same_texts_are_refused_and_the_others_say_the_same() {
    for text in TEXTS {
        check(text);
        damaged(text).for_each(|text| check(&text));
    }
}

#[test]
fn numbers_are_refused_where_serde_json_refuses_them() {
    for text in [
        "0",
        "-0",
        "7",
        "-7",
        "1.0",
        "1e2",
        "4294967295",
        "4294967296",
        "18446744073709551615",
        "18446744073709551616",
        "\"1\"",
        "null",
        "01",
        "1x",
    ] {
        assert_eq!(parse::<u64>(text).ok(), serde_json::from_str(text).ok(), "{text}");
        assert_eq!(parse::<u32>(text).ok(), serde_json::from_str(text).ok(), "{text}");
        assert_eq!(parse::<f32>(text).ok(), serde_json::from_str(text).ok(), "{text}");
    }
}

#[test]
fn nests_of_every_depth_end_where_they_should() {
    for depth in (1..=200).chain([1_000, 100_000]) {
        let both = |at: usize| if at.is_multiple_of(3) { (r#"{"a":"#, "}") } else { ("[", "]") };
        let open: String = (0..depth).map(|at| both(at).0).collect();
        let close: String = (0..depth).rev().map(|at| both(at).1).collect();
        let text = format!("{open}1{close}");
        assert_eq!(parse::<Raw<'_>>(&text).map(Raw::get), Ok(text.as_str()));
        let cut = text.get(..text.len() - 1).unwrap();
        assert!(parse::<Raw<'_>>(cut).is_err());
        let wrong = text.replacen("1}", "1]", 1).replacen("1]}", "1]]", 1);
        assert!(wrong == text || parse::<Raw<'_>>(&wrong).is_err(), "{depth}");
    }
}
