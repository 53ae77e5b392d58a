//! The JSON Schema of the configuration, for editors: what the drafts' types tell of themselves, and nothing besides.
//!
//! `src/config/schema.json` is this text, as `tollgate schema` prints it.

use super::Draft;
use crate::wire::json::{Fields, Raw, Read, Shape, parse, quoted, to_string};

/// As it is published: short values in a line, longer ones in a line for each part.
pub fn text() -> String {
    let dialect = Some("https://json-schema.org/draft/2020-12/schema");
    let shape = Shape { dialect, title: Some("Tollgate"), ..Draft::shape() };
    let mut text = String::new();
    lay_out(&to_string(&shape), 0, 0, &mut text);
    text.push('\n');
    text
}

const COLUMNS: usize = 120;
const INDENT: &str = "  ";

/// Writes the JSON `value`, which stands behind a name of `before` columns.
fn lay_out(value: &str, depth: usize, before: usize, out: &mut String) {
    let is_short = depth * INDENT.len() + before + value.len() < COLUMNS;
    let brackets = match value.as_bytes().first() {
        Some(b'{') if !is_short => ('{', '}'),
        Some(b'[') if !is_short => ('[', ']'),
        _ => return out.push_str(value),
    };
    // What is not read is not laid out, and stays right.
    let parts: Vec<(String, Raw<'_>)> = match (brackets.0, Fields::read(value.as_bytes())) {
        ('{', Ok(fields)) => {
            let named = fields.names().filter_map(|name| Some((format!("{}: ", quoted(name)), fields.raw(name)?)));
            named.collect()
        }
        _ => match parse::<Vec<Raw<'_>>>(value) {
            Ok(list) => list.into_iter().map(|raw| (String::new(), raw)).collect(),
            Err(_) => return out.push_str(value),
        },
    };
    out.push(brackets.0);
    for (place, (name, raw)) in parts.iter().enumerate() {
        out.push_str(if place == 0 { "\n" } else { ",\n" });
        out.push_str(&INDENT.repeat(depth + 1));
        out.push_str(name);
        lay_out(raw.get(), depth + 1, name.len(), out);
    }
    out.push('\n');
    out.push_str(&INDENT.repeat(depth));
    out.push(brackets.1);
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::LazyLock;

    use jsonschema::Validator;
    use serde_json::Value;

    use super::super::{Config, Reading};
    use super::*;

    static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
        let schema: Value = serde_json::from_str(&text()).unwrap();
        jsonschema::draft202012::meta::validate(&schema).unwrap();
        jsonschema::draft202012::new(&schema).unwrap()
    });

    /// Holds the schema against the reader: what that refuses the schema refuses, and what the schema refuses has a mistake.
    pub(in crate::config) fn agree(json: &str) {
        // What is no JSON, or has a field twice, no schema sees.
        let Ok(value) = serde_json::from_str::<Value>(json) else { return };
        let read = Draft::from_json(Some(json));
        if read.as_ref().is_err_and(|mistakes| mistakes.iter().all(|mistake| mistake.0.contains("stands there twice")))
        {
            return;
        }
        let refused: Vec<String> = VALIDATOR.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(read.is_ok() || !refused.is_empty(), "{json}\n{read:?}");
        assert!(refused.is_empty() || !is_right(json), "{json}\n{refused:?}");
    }

    /// Whether there is no mistake in it, wherever its secrets are.
    fn is_right(json: &str) -> bool {
        // Secrets that are addresses are none that a case needs.
        let secret = |name: &str| {
            // What tokens are signed with is long.
            let more = if name.ends_with("TOKEN_SECRET") { "-".repeat(32) } else { String::new() };
            (!name.ends_with("_URL")).then(|| name.to_ascii_lowercase().replace('_', "-") + &more)
        };
        Config::of(&Reading::of(Some(json)), None, secret).is_ok()
    }

    #[test]
    fn what_has_a_form_is_refused_by_the_schema_where_it_is_a_mistake() {
        let text = |text: &str| format!("\"{text}\"");
        let cap = |amount: &str| format!(r#"{{"callers":{{"c":{{"secret":"C","spend_cap_usd":{}}}}}}}"#, text(amount));
        let price = |amount: &str| format!(r#"{{"prices":{{"openai/m":{{"input":{0},"output":{0}}}}}}}"#, text(amount));
        let tier = |amount: &str| {
            let above = format!(r#""above":[{{"input_tokens":1,"input":{0},"output":{0}}}]"#, text(amount));
            format!(r#"{{"prices":{{"openai/m":{{"input":"1","output":"1","search":"0.5",{above}}}}}}}"#)
        };
        let fall_on = |name: &str| format!(r#"{{"policy":{{"fall_on":["rate-limit",{}]}}}}"#, text(name));
        let between = |times: &str| format!(r#"{{"rules":[{{"when":{{"between":[{times}]}},"use":"openai/gpt-5"}}]}}"#);
        let from = |time: &str| between(&format!(r#"{},"06:00""#, text(time)));
        let policy = |fields: &str| format!(r#"{{"policy":{{{fields}}}}}"#);
        let digest = |hex: &str| format!(r#"{{"callers":{{"c":{{"sha256":{}}}}}}}"#, text(hex));
        let expires = |text: &str| {
            let key = format!(r#"{{"secret":"D","expires":"{text}"}}"#);
            format!(r#"{{"callers":{{"c":{{"secret":"C","expires":"{text}","keys":[{key}]}}}}}}"#)
        };
        let rest = |ms: &str| policy(&format!(r#""rest_ms":{ms}"#));
        let percentile = |percent: &str| policy(&format!(r#""hedge_percentile":{percent}"#));
        let hours =
            |hours: &str| format!(r#"{{"catalog":{{"refresh_url":"https://example.com/p","refresh_hours":{hours}}}}}"#);
        let provider = |rule: &str| format!(r#"{{"providers":{{"openai":{{"usage":[{{{rule}}}]}}}}}}"#);
        let [whole, short, long, other] =
            [("aF", 32), ("0", 63), ("0", 65), ("g", 64)].map(|(of, count)| of.repeat(count));
        let amounts = ["0", "5", "5.", ".5", "5.00", "007", "9999999.5", "0.000001"];
        let none = ["", ".", "-1", "+1", "5,00", "1e3", "$5", " 5", "5 ", "1.2.3", "10000000", "0.0000000000001", "x"];
        // Of the field, what is taken, and what is not.
        type Case<'a> = (&'a dyn Fn(&str) -> String, &'a [&'a str], &'a [&'a str]);
        let cases: &[Case<'_>] = &[
            (&cap, &amounts, &none),
            (&price, &amounts, &none),
            (&tier, &amounts, &none),
            (&cap, &["0.000000000001"], &[]),
            (&price, &["0.150000000000", ".150000000000"], &["0.0000001", "0.1500000000000"]),
            (
                &fall_on,
                &["timeout", "no-model", "400", "404", "599", "4xx", "5xx"],
                &["", "timeouts", "Timeout", "399", "600", "+404", "0404", "40", "3xx", "04xx", "+4xx", "5XX", "5xx "],
            ),
            (
                &from,
                &["00:00", "09:30", "19:59", "23:59", "24:00"],
                &["", "9:00", "24:01", "25:00", "12:60", "+9:00", "09:+1"],
            ),
            (&between, &[r#""22:00","06:00""#], &["", r#""22:00""#, r#""22:00","06:00","07:00""#]),
            (&digest, &[&whole], &[&short, &long, &other, ""]),
            (
                &expires,
                &["1970-01-01", "2027-12-31", "9999-02-28", "2027-01-31T23:59:59Z"],
                &[
                    "",
                    "1969-12-31",
                    "2027-13-01",
                    "2027-01-32",
                    "27-01-01",
                    "2027-01-31T24:00:00Z",
                    "2027-01-31T12:00:00",
                    "2027-01-31T12:00:00+01:00",
                ],
            ),
            (&rest, &["0", "300000"], &["300001", "-1"]),
            (&percentile, &["1", "99"], &["0", "100"]),
            (&hours, &["1", "2160"], &["0", "2161"]),
            (
                &policy,
                &[r#""attempts":1,"attempts_ms":1,"rest_after":1"#],
                &[r#""attempts":0"#, r#""attempts_ms":0"#, r#""rest_after":0"#],
            ),
            (
                &|path: &str| provider(&format!(r#""cached_at":{0},"cost":{{"at":{0}}}"#, text(path))),
                &["cost", "cost.total_cost", "a b"],
                &["", ".", "a.", ".a", "a..b"],
            ),
            (
                &|decimals: &str| provider(&format!(r#""cost":{{"at":"a","decimals":{decimals}}}"#)),
                &["0", "18"],
                &["19", "-1"],
            ),
            (
                &|ms: &str| {
                    format!(
                        r#"{{"timeouts":{{"first_byte_ms":{ms}}},"models":{{"m":{{"targets":["openai/a"],"idle_ms":{ms}}}}}}}"#
                    )
                },
                &["1"],
                &["0"],
            ),
        ];
        for (of, taken, refused) in cases {
            let taken = taken.iter().map(|value| (value, true));
            for (value, is_taken) in taken.chain(refused.iter().map(|value| (value, false))) {
                let json = of(value);
                assert_eq!(is_right(&json), is_taken, "the reader: {json}");
                assert_eq!(VALIDATOR.is_valid(&serde_json::from_str(&json).unwrap()), is_taken, "the schema: {json}");
            }
        }
    }

    /// `src/config/schema.json` is renewed by `cargo run -- schema > src/config/schema.json`.
    #[test]
    fn what_is_published_is_what_the_program_prints() {
        assert!(include_str!("schema.json") == text(), "run: cargo run -- schema > src/config/schema.json");
    }

    #[test]
    fn every_example_of_the_readme_is_of_the_schema_and_is_taken() {
        let readme = include_str!("../../README.md");
        let examples: Vec<&str> =
            readme.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(!examples.is_empty());
        for example in examples {
            let value: Value = toml::from_str(example).unwrap();
            agree(&value.to_string());
            assert!(is_right(&value.to_string()), "{example}");
        }
    }

    #[test]
    fn what_the_reader_refuses_the_schema_refuses() {
        let cases = [
            r#"{"timeout":{}}"#,
            r#"{"body_bytes_max":"1"}"#,
            r#"{"body_bytes_max":-1}"#,
            r#"{"strict":"yes"}"#,
            r#"{"timeouts":{"first_byte":1}}"#,
            r#"{"timeouts":[]}"#,
            r#"{"media":{"fetch":"always"}}"#,
            r#"{"media":{"hosts":"a"}}"#,
            r#"{"media":{"hosts":[1]}}"#,
            r#"{"models":{"a":{}}}"#,
            r#"{"models":{"a":["openai/gpt-5"]}}"#,
            r#"{"models":[]}"#,
            r#"{"policy":{"order":"cheap"}}"#,
            r#"{"policy":{"attempts":4294967296}}"#,
            r#"{"policy":{"weights":{"openai":"3"}}}"#,
            r#"{"models":{"a":{"targets":[],"policy":{"retry":1}}}}"#,
            r#"{"rules":[{"when":{"needs":["image"]},"use":"a"}]}"#,
            r#"{"rules":{"use":"a"}}"#,
            r#"{"providers":{"a":{"dialect":"openai"}}}"#,
            r#"{"providers":{"a":{"auth":"basic"}}}"#,
            r#"{"providers":{"a":{"auth":{"header":"a","query":"b"}}}}"#,
            r#"{"providers":{"a":{"auth":{}}}}"#,
            r#"{"providers":{"a":{"keys":[{"weight":1}]}}}"#,
            r#"{"providers":{"a":{"also":[{"dialect":"gemini"}]}}}"#,
            r#"{"providers":{"a":{"quirks":{"requests":[{"rename":[{"field":"a"}]}]}}}}"#,
            r#"{"prices":{"a/b":{"above":[{"input":"1"}]}}}"#,
            r#"{"prices":{"a/b":{"input":1}}}"#,
            r#"{"callers":{"a":{"spend_cap_usd":5}}}"#,
        ];
        for json in cases {
            assert!(Draft::from_json(Some(json)).is_err(), "{json}");
            agree(json);
        }
    }

    /// Which a type would be that reads by hand and tells nothing of it.
    #[test]
    fn nothing_is_left_open() {
        fn walk(at: &str, schema: &Value) {
            let is_told = ["type", "enum", "anyOf"].iter().any(|word| schema.get(word).is_some());
            assert!(is_told, "{at} may be anything");
            let parts = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
            for (name, part) in parts {
                walk(&format!("{at}.{name}"), part);
            }
            for word in ["items", "additionalProperties"] {
                if let Some(part) = schema.get(word).filter(|part| part.is_object()) {
                    walk(&format!("{at}.{word}"), part);
                }
            }
        }
        walk("", &serde_json::from_str(&text()).unwrap());
    }
}
