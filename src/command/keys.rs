//! `tollgate keys`: a new key for a configuration, and the keys that a running gateway makes. What is asked of it and what
//! is said of its answer; no more.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use tollgate::config::check_name;
use tollgate::mistake::under;
use tollgate::serve::keys::{hex, new_key};

#[derive(Subcommand)]
pub(crate) enum Keys {
    /// Print a new key, and what a configuration has of it; no gateway is asked
    New {
        /// The caller's name
        name: String,
    },
    /// List the keys that a running gateway has made
    List(Gateway),
    /// Have a running gateway make a key, and print it: it is shown once
    Create {
        /// The caller's name
        name: String,
        #[command(flatten)]
        gateway: Gateway,
        #[command(flatten)]
        fields: Fields,
    },
    /// Have a running gateway make another key for a caller, and print it
    Rotate {
        /// The caller's name
        name: String,
        /// For so many seconds the keys before stay good
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        grace: u64,
        #[command(flatten)]
        gateway: Gateway,
    },
    /// Have a running gateway refuse a caller's keys for ever
    Revoke {
        /// The caller's name
        name: String,
        #[command(flatten)]
        gateway: Gateway,
    },
}

/// Who is asked; by the key in TOLLGATE_KEY, whose caller must be an administrator.
#[derive(Args)]
pub(crate) struct Gateway {
    /// Where the gateway is, such as https://gateway.example.com
    #[arg(long, value_name = "URL")]
    pub(crate) url: String,
}

#[derive(Args)]
pub(crate) struct Fields {
    /// From then on it is refused: a day like 2027-01-31, or an instant of UTC like 2027-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// A model that it may ask for, with * for any text; several times for several
    #[arg(long = "model", value_name = "NAME")]
    models: Vec<String>,
    /// A provider that may be asked for it; several times for several
    #[arg(long = "provider", value_name = "NAME")]
    providers: Vec<String>,
    /// What its requests are tagged with; several times for several
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// An origin whose pages may use it; several times for several
    #[arg(long = "origin", value_name = "ORIGIN")]
    origins: Vec<String>,
    /// For limits of all callers of a project
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
    #[arg(long, value_name = "COUNT")]
    requests_per_minute: Option<u32>,
    /// Dollars in a calendar month, like 5.00
    #[arg(long, value_name = "DOLLARS")]
    spend_cap_usd: Option<String>,
    /// Under the cap too, models may be asked whose price is not known
    #[arg(long)]
    unpriced: bool,
}

/// What is asked of a gateway.
#[derive(Debug, PartialEq)]
pub(crate) struct Question {
    pub(crate) method: &'static str,
    pub(crate) url: String,
    pub(crate) body: String,
}

impl Keys {
    /// Of which gateway what is asked; none where none is.
    pub(crate) fn question(&self) -> Result<Option<Question>, String> {
        let (method, gateway, path, body) = match self {
            Self::New { .. } => return Ok(None),
            Self::List(gateway) => ("GET", gateway, String::new(), Value::Null),
            Self::Create { name, gateway, fields } => ("POST", gateway, String::new(), fields.body(name)),
            Self::Rotate { name, grace, gateway } => {
                ("POST", gateway, format!("/{}/rotate", checked(name)?), json!({"grace_seconds": grace}))
            }
            Self::Revoke { name, gateway } => ("DELETE", gateway, format!("/{}", checked(name)?), Value::Null),
        };
        // Base URLs are given with and without their version.
        let base = gateway.url.trim_end_matches('/').trim_end_matches("/v1");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        Ok(Some(Question { method, url: format!("{base}/v1/keys{path}"), body }))
    }

    /// What is printed of the answer: a key alone, so that it can be piped to where it belongs.
    pub(crate) fn told(&self, status: u16, body: &[u8]) -> Result<String, String> {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        if !(200..300).contains(&status) {
            let why = body.pointer("/error/message").and_then(Value::as_str).unwrap_or("its answer says no more");
            return Err(format!("the gateway answered {status}: {why}"));
        }
        match self {
            Self::List(_) => Ok(body.get("data").and_then(Value::as_array).into_iter().flatten().map(row).collect()),
            Self::Revoke { name, .. } => Ok(format!("{name} is revoked\n")),
            _ => match body.get("key").and_then(Value::as_str) {
                Some(key) => Ok(format!("{key}\n")),
                None => Err("the gateway's answer has no key".to_owned()),
            },
        }
    }
}

impl Fields {
    fn body(&self, name: &str) -> Value {
        let mut body = Map::from_iter([("name".to_owned(), name.into())]);
        let texts = [("expires", &self.expires), ("project", &self.project), ("spend_cap_usd", &self.spend_cap_usd)];
        for (field, text) in texts {
            body.extend(text.as_deref().map(|text| (field.to_owned(), text.into())));
        }
        let lists = [
            ("models", &self.models),
            ("providers", &self.providers),
            ("tags", &self.tags),
            ("origins", &self.origins),
        ];
        for (field, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            body.insert(field.to_owned(), json!(list));
        }
        body.extend(self.requests_per_minute.map(|count| ("requests_per_minute".to_owned(), count.into())));
        if self.unpriced {
            body.insert("unpriced".to_owned(), true.into());
        }
        body.into()
    }
}

fn checked(name: &str) -> Result<&str, String> {
    check_name(name).map(|()| name)
}

/// A new key of 32 random bytes, and the lines of a configuration that know it.
pub(crate) fn new(name: &str, random: &[u8; 32]) -> Result<String, String> {
    let (key, at) = (new_key(random), under("callers", checked(name)?));
    Ok(format!("{key}\n\n[{at}]\nsha256 = \"{}\"\n", hex(&key)))
}

/// A line of the list: the name, how the key begins, and what bounds it.
fn row(key: &Value) -> String {
    let text = |field: &str| key.get(field).and_then(Value::as_str).unwrap_or_default();
    let mut row = format!("{}  {}…  made {}", text("name"), text("label"), text("created_at"));
    if key.get("disabled") == Some(&Value::Bool(true)) {
        row.push_str("  disabled");
    }
    let told = ["name", "label", "created_at", "updated_at", "disabled"];
    for (field, value) in key.as_object().into_iter().flatten().filter(|(field, _)| !told.contains(&field.as_str())) {
        // Writing to a string does not fail.
        let _ = match value {
            Value::String(value) => write!(row, "  {field} {value}"),
            value => write!(row, "  {field} {value}"),
        };
    }
    row.push('\n');
    row
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        keys: Keys,
    }

    fn keys(line: &str) -> Keys {
        Line::try_parse_from(line.split(' ')).unwrap().keys
    }

    #[test]
    fn a_new_key_is_known_by_the_lines_that_are_printed_with_it() {
        let printed = new("ci", &[7; 32]).unwrap();
        let (key, lines) = printed.split_once("\n\n").unwrap();
        assert!(key.starts_with("tg_") && key.len() == 46, "{key}");
        let draft = crate::command::from_toml(lines).unwrap();
        let config = tollgate::config::Config::compile(&draft, |_| None).unwrap();
        assert_eq!(
            (config.callers[0].name.as_str(), config.callers[0].keys[0].sha256),
            ("ci", tollgate::config::sha256(key))
        );
        assert!(new("A b", &[7; 32]).is_err());
        assert!(new("a.b", &[7; 32]).unwrap().contains("[callers.\"a.b\"]"));
    }

    #[test]
    fn each_command_asks_for_what_it_says() {
        let cases = [
            ("keys list --url https://a.example/", "GET", "", Value::Null),
            ("keys revoke app --url https://a.example/v1", "DELETE", "/app", Value::Null),
            ("keys rotate app --url https://a.example --grace 60", "POST", "/app/rotate", json!({"grace_seconds": 60})),
            ("keys create app --url https://a.example", "POST", "", json!({"name": "app"})),
            (
                "keys create app --url https://a.example/v1/ --expires 2027-01-31 --model a* --model b --provider openai --tag t --origin https://b --project p --requests-per-minute 3 --spend-cap-usd 5 --unpriced",
                "POST",
                "",
                json!({"name": "app", "expires": "2027-01-31", "models": ["a*", "b"], "providers": ["openai"], "tags": ["t"],
                    "origins": ["https://b"], "project": "p", "requests_per_minute": 3, "spend_cap_usd": "5", "unpriced": true}),
            ),
        ];
        for (line, method, path, body) in cases {
            let Question { method: asked, url, body: sent } = keys(line).question().unwrap().unwrap();
            assert_eq!((asked, url), (method, format!("https://a.example/v1/keys{path}")), "{line}");
            assert_eq!(serde_json::from_str::<Value>(&sent).unwrap_or_default(), body, "{line}");
        }
        assert!(keys("keys new app").question().unwrap().is_none());
        assert!(keys("keys revoke a/b --url https://a.example").question().is_err());
    }

    #[test]
    fn of_an_answer_the_key_is_printed_or_why_there_is_none() {
        let create = keys("keys create app --url https://a.example");
        assert_eq!(create.told(201, br#"{"data":{},"key":"tg_x"}"#).unwrap(), "tg_x\n");
        let refused = create.told(403, br#"{"error":{"message":"no"}}"#).unwrap_err();
        assert_eq!(refused, "the gateway answered 403: no");
        assert!(create.told(200, b"<html>").is_err() && create.told(502, b"").is_err());
        let list = keys("keys list --url https://a.example");
        let body = br#"{"data":[{"name":"app","label":"tg_abc","disabled":true,"created_at":"2026","updated_at":"2027","models":["a"],"project":"p"}]}"#;
        assert_eq!(
            list.told(200, body).unwrap(),
            "app  tg_abc\u{2026}  made 2026  disabled  models [\"a\"]  project p\n"
        );
    }
}
