//! JSON Schema for upstreams that take only part of it: references put in place, the rest adapted or left out and named.
//!
//! The subset is that of OpenAPI 3.0 which Gemini's `Schema` is. Schemas come from callers, so depth and length have
//! bounds, and a reference into itself ends.
//!
//! Source: "Schema", Gemini API reference, read 2026-11.

use std::borrow::Cow;

use crate::chat::{Json, UNREAD_MAX};
use crate::wire::json::{self, Fields, Raw, quoted};

/// Deeper than this, an object may be anything.
const DEPTH_MAX: usize = 24;
/// References may make much of little. More than this no model reads.
const BYTES_MAX: usize = 512 * 1024;
/// What stays as it is.
const PLAIN: &[&str] = &[
    "title",
    "description",
    "default",
    "example",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
    "minProperties",
    "maxProperties",
    "pattern",
];
/// Formats that Gemini knows; it refuses others.
const FORMATS: &[&str] = &["enum", "date-time", "float", "double", "int32", "int64"];
/// What says nothing about the values, or nothing that a model goes by.
const SILENT: &[&str] = &["$schema", "$id", "$comment", "$defs", "definitions", "examples", "strict"];

/// `schema` in the subset of OpenAPI; `None` where it describes no values, as a tool without parameters has it. What
/// could not be kept goes to `lost`, as `at` and the keyword.
pub fn to_openapi(schema: &Json, at: &str, lost: &mut Vec<String>) -> Option<Json> {
    let root = Fields::read(schema.get().as_bytes()).ok()?;
    let mut writer = Writer { root: &root, at, lost, within: Vec::new(), out: String::new() };
    let is_empty = root.raw("properties").is_none_or(|raw| raw.get().trim() == "{}");
    let is_plain = ["anyOf", "oneOf", "allOf", "$ref", "enum"].iter().all(|name| root.raw(name).is_none());
    let is_object = root.raw("type").is_none_or(|raw| raw.get().eq_ignore_ascii_case("\"object\""));
    if is_empty && is_plain && is_object {
        return None;
    }
    writer.schema(schema.get(), 0, &[]);
    json::parse(&writer.out).ok()
}

struct Writer<'r, 'a> {
    root: &'r Fields<'a>,
    at: &'r str,
    lost: &'r mut Vec<String>,
    /// The references that are being followed.
    within: Vec<String>,
    out: String,
}

/// Writes the commas between the fields of one object.
struct Comma(bool);

impl Comma {
    fn name(&mut self, name: &str, out: &mut String) {
        out.push_str(if std::mem::replace(&mut self.0, true) { "," } else { "" });
        out.push_str(&quoted(name));
        out.push(':');
    }
}

impl Writer<'_, '_> {
    fn lose(&mut self, keyword: &str) {
        let name = format!("{}.{keyword}", self.at);
        // Callers choose the keywords, and may choose thousands.
        if self.lost.len() < UNREAD_MAX && !self.lost.contains(&name) {
            self.lost.push(name);
        }
    }

    /// `beside` are fields that stand beside a reference to this schema, the outermost first, and win over its own.
    fn schema(&mut self, text: &str, depth: usize, beside: &[(String, String)]) {
        if depth > DEPTH_MAX || self.out.len() > BYTES_MAX {
            self.lose("(deeper schemas)");
            return self.anything();
        }
        // `true` allows everything, and everything is a string at least.
        let Ok(fields) = Fields::read(text.as_bytes()) else { return self.anything() };
        let fields = &fields;
        if let Some(reference) = fields.raw("$ref") {
            return self.reference(reference, fields, depth, beside);
        }
        // A single alternative is the schema itself, as most generators write a reference with a description, and what
        // may be null.
        for name in ["allOf", "anyOf", "oneOf"] {
            let Some(list) = alternatives(fields, name) else { continue };
            let (nulls, others): (Vec<Raw<'_>>, Vec<_>) = list.into_iter().partition(|raw| is_null(*raw));
            if let [only] = others.as_slice()
                && fields.raw("properties").is_none()
            {
                let mut around = beside.to_vec();
                around.extend(own(fields, &[name]));
                around.extend((!nulls.is_empty()).then(|| ("nullable".to_owned(), "true".to_owned())));
                return self.schema(only.get(), depth + 1, &around);
            }
        }
        self.object(fields, depth, beside);
    }

    fn anything(&mut self) {
        self.out.push_str(r#"{"type":"STRING"}"#);
    }

    fn reference(&mut self, reference: Raw<'_>, fields: &Fields<'_>, depth: usize, beside: &[(String, String)]) {
        let name: String = json::parse(reference.get()).unwrap_or_default();
        if self.within.contains(&name) {
            self.lose("$ref (into itself)");
            self.out.push_str(r#"{"type":"OBJECT"}"#);
            return;
        }
        let Some(target) = self.target(&name) else {
            self.lose("$ref");
            return self.anything();
        };
        self.within.push(name);
        let around = [beside, &own(fields, &["$ref"])].concat();
        self.schema(&target, depth + 1, &around);
        self.within.pop();
    }

    /// What a reference within the schema points to.
    fn target(&self, name: &str) -> Option<String> {
        let pointer = name.strip_prefix('#')?;
        let mut steps = pointer.split('/').skip(1);
        let first = steps.next()?;
        let mut text = self.root.raw(&unescaped(first))?.get();
        for step in steps {
            text = Fields::read(text.as_bytes()).ok()?.raw(&unescaped(step))?.get();
        }
        Some(text.to_owned())
    }

    fn object(&mut self, fields: &Fields<'_>, depth: usize, beside: &[(String, String)]) {
        let raw = |name: &str| fields.raw(name).map(Raw::get).filter(|text| *text != "null");
        let (types, mut nullable) = types(raw("type"), raw("nullable"));
        nullable |= beside.iter().any(|(name, _)| name == "nullable");
        let alternatives = ["anyOf", "oneOf"].into_iter().find_map(|name| alternatives(fields, name));
        let mut comma = Comma(false);
        self.out.push('{');
        for name in PLAIN {
            let beside = beside.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
            if let Some(value) = beside.or_else(|| raw(name)) {
                comma.name(name, &mut self.out);
                self.out.push_str(value);
            }
        }
        if let Some(list) = &alternatives {
            nullable |= list.iter().any(|raw| is_null(*raw));
            let rest: Vec<_> = list.iter().filter(|raw| !is_null(**raw)).collect();
            comma.name("anyOf", &mut self.out);
            self.out.push('[');
            for (at, alternative) in rest.into_iter().enumerate() {
                self.out.push_str(if at == 0 { "" } else { "," });
                self.schema(alternative.get(), depth + 1, &[]);
            }
            self.out.push(']');
        }
        let has = |name: &str| fields.raw(name).is_some();
        let kind = match types.as_slice() {
            // Beside alternatives Vertex AI takes nothing that they do not share.
            _ if alternatives.is_some() && !has("properties") => None,
            [kind] => Some(kind.as_str()),
            [] if has("properties") => Some("OBJECT"),
            [] if has("items") => Some("ARRAY"),
            [] => Some("STRING"),
            _ => None,
        };
        if let Some(kind) = kind {
            comma.name("type", &mut self.out);
            self.out.push_str(&quoted(kind));
        } else if types.len() > 1 && alternatives.is_none() {
            comma.name("anyOf", &mut self.out);
            let each: Vec<String> = types.iter().map(|kind| format!("{{\"type\":{}}}", of_type(kind))).collect();
            self.out.push_str(&format!("[{}]", each.join(",")));
        }
        if nullable {
            comma.name("nullable", &mut self.out);
            self.out.push_str("true");
        }
        self.values(fields, kind, &mut comma);
        self.members(fields, kind, depth, &mut comma);
        self.out.push('}');
        self.leave(fields);
    }

    /// `enum` and `const`, which Gemini takes of strings only, and `format`.
    fn values(&mut self, fields: &Fields<'_>, kind: Option<&str>, comma: &mut Comma) {
        let constant = fields.raw("const").map(|raw| vec![raw]);
        let list = fields.raw("enum").and_then(|raw| json::parse::<Vec<Raw<'_>>>(raw.get()).ok()).or(constant);
        if let Some(list) = list {
            let texts: Vec<&str> = list.iter().map(|raw| raw.get()).filter(|text| text.starts_with('"')).collect();
            if kind == Some("STRING") && !texts.is_empty() {
                comma.name("enum", &mut self.out);
                self.out.push_str(&format!("[{}]", texts.join(",")));
            } else {
                self.lose("enum");
            }
        }
        if let Some(format) = fields.raw("format") {
            let known = json::parse::<String>(format.get()).is_ok_and(|format| FORMATS.contains(&format.as_str()));
            if known {
                comma.name("format", &mut self.out);
                self.out.push_str(format.get());
            } else {
                self.lose("format");
            }
        }
    }

    fn members(&mut self, fields: &Fields<'_>, kind: Option<&str>, depth: usize, comma: &mut Comma) {
        match fields.raw("items") {
            Some(items) => {
                comma.name("items", &mut self.out);
                self.schema(items.get(), depth + 1, &[]);
            }
            // A list of nothing is refused.
            None if kind == Some("ARRAY") => {
                comma.name("items", &mut self.out);
                self.anything();
            }
            None => {}
        }
        let Some(properties) = fields.raw("properties") else { return };
        let Ok(properties) = Fields::read(properties.get().as_bytes()) else {
            return self.lose("properties");
        };
        let names: Vec<&str> = properties.names().collect();
        if names.is_empty() {
            return;
        }
        comma.name("properties", &mut self.out);
        let mut inner = Comma(false);
        self.out.push('{');
        for name in &names {
            inner.name(name, &mut self.out);
            self.schema(properties.raw(name).map_or("{}", Raw::get), depth + 1, &[]);
        }
        self.out.push('}');
        let required: Option<Vec<String>> = fields.get("required").ok().flatten();
        // A name that is no property is refused.
        let required: Vec<String> = required
            .unwrap_or_default()
            .iter()
            .filter(|name| names.contains(&name.as_str()))
            .map(|name| quoted(name))
            .collect();
        if !required.is_empty() {
            comma.name("required", &mut self.out);
            self.out.push_str(&format!("[{}]", required.join(",")));
        }
        if let Some(order) = fields.raw("propertyOrdering") {
            comma.name("propertyOrdering", &mut self.out);
            self.out.push_str(order.get());
        }
    }

    /// Names what had no place.
    fn leave(&mut self, fields: &Fields<'_>) {
        const READ: &[&str] = &[
            "type",
            "nullable",
            "anyOf",
            "oneOf",
            "enum",
            "const",
            "format",
            "items",
            "properties",
            "required",
            "propertyOrdering",
        ];
        for name in fields.names() {
            let is_kept = READ.contains(&name) || PLAIN.contains(&name) || SILENT.contains(&name);
            // The names of schemas are a caller's words only where they are not of JSON Schema.
            if !is_kept && name.len() <= 40 {
                self.lose(name);
            }
        }
    }
}

fn alternatives<'a>(fields: &Fields<'a>, name: &str) -> Option<Vec<Raw<'a>>> {
    json::parse(fields.raw(name)?.get()).ok()
}

/// Whether a schema allows nothing but null.
fn is_null(raw: Raw<'_>) -> bool {
    let kind = |fields: &Fields<'_>| fields.raw("type").is_some_and(|kind| kind.get().eq_ignore_ascii_case("\"null\""));
    Fields::read(raw.get().as_bytes()).is_ok_and(|fields| kind(&fields))
}

/// The fields of one schema that hold beside those of another.
fn own(fields: &Fields<'_>, without: &[&str]) -> Vec<(String, String)> {
    let names = fields.names().filter(|name| !without.contains(name) && PLAIN.contains(name));
    names.filter_map(|name| Some((name.to_owned(), fields.raw(name)?.get().to_owned()))).collect()
}

fn of_type(kind: &str) -> Cow<'_, str> {
    let name = quoted(kind);
    if kind == "ARRAY" { Cow::Owned(format!("{name},\"items\":{{\"type\":\"STRING\"}}")) } else { Cow::Owned(name) }
}

/// The types but `null`, in capitals, and whether the value may be null.
fn types(kind: Option<&str>, nullable: Option<&str>) -> (Vec<String>, bool) {
    let list: Vec<String> = match kind {
        Some(text) if text.starts_with('[') => json::parse(text).unwrap_or_default(),
        Some(text) => json::parse(text).map(|kind| vec![kind]).unwrap_or_default(),
        None => Vec::new(),
    };
    let list: Vec<String> = list.into_iter().map(|kind: String| kind.to_ascii_uppercase()).collect();
    let is_nullable = nullable == Some("true") || list.iter().any(|kind| kind == "NULL") && list.len() > 1;
    let list = if list.len() > 1 { list.into_iter().filter(|kind| kind != "NULL").collect() } else { list };
    (list, is_nullable)
}

/// A step of a JSON pointer.
fn unescaped(step: &str) -> Cow<'_, str> {
    if step.contains('~') { Cow::Owned(step.replace("~1", "/").replace("~0", "~")) } else { Cow::Borrowed(step) }
}

/// The JSON Schema that says what a `schema` in the subset of OpenAPI says. What is JSON Schema already stays as it is.
pub fn from_openapi(schema: Raw<'_>) -> Json {
    let is_foreign =
        ["\"OBJECT\"", "\"STRING\"", "\"ARRAY\"", "\"NUMBER\"", "\"INTEGER\"", "\"BOOLEAN\"", "\"nullable\""];
    if is_foreign.iter().all(|word| !schema.get().contains(word)) {
        return schema.into();
    }
    let mut out = String::new();
    plain(schema.get(), 0, &mut out);
    json::parse(&out).unwrap_or_else(|_| schema.into())
}

fn plain(text: &str, depth: usize, out: &mut String) {
    let Ok(fields) = Fields::read(text.as_bytes()) else { return out.push_str(text) };
    if depth > DEPTH_MAX {
        return out.push_str("{}");
    }
    let nullable = fields.raw("nullable").is_some_and(|raw| raw.get() == "true");
    let mut comma = Comma(false);
    out.push('{');
    for name in fields.names() {
        let Some(raw) = fields.raw(name).filter(|raw| raw.get() != "null" || name == "default") else { continue };
        match name {
            "nullable" | "propertyOrdering" => continue,
            "type" => {
                comma.name(name, out);
                let kind = raw.get().to_ascii_lowercase();
                if nullable && kind.starts_with('"') {
                    out.push_str(&format!("[{kind},\"null\"]"));
                } else {
                    out.push_str(&kind);
                }
            }
            "items" | "additionalProperties" => {
                comma.name(name, out);
                plain(raw.get(), depth + 1, out);
            }
            "anyOf" => {
                comma.name(name, out);
                let list: Vec<Raw<'_>> = json::parse(raw.get()).unwrap_or_default();
                out.push('[');
                for (at, alternative) in list.into_iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    plain(alternative.get(), depth + 1, out);
                }
                if nullable && fields.raw("type").is_none() {
                    out.push_str(r#",{"type":"null"}"#);
                }
                out.push(']');
            }
            "properties" | "$defs" | "definitions" => {
                comma.name(name, out);
                let mut inner = Comma(false);
                out.push('{');
                if let Ok(properties) = Fields::read(raw.get().as_bytes()) {
                    for name in properties.names() {
                        inner.name(name, out);
                        plain(properties.raw(name).map_or("{}", Raw::get), depth + 1, out);
                    }
                }
                out.push('}');
            }
            // The protocol's 64-bit numbers are strings in JSON.
            "minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties" | "maxProperties" => {
                comma.name(name, out);
                out.push_str(raw.get().trim_matches('"'));
            }
            _ => {
                comma.name(name, out);
                out.push_str(raw.get());
            }
        }
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Json {
        json::parse(text).unwrap()
    }

    fn adapted(text: &str) -> (String, Vec<String>) {
        let mut lost = Vec::new();
        let schema = to_openapi(&raw(text), "s", &mut lost);
        (schema.map_or_else(|| "none".to_owned(), |schema| schema.get().to_owned()), lost)
    }

    #[test]
    fn each_keyword_is_kept_adapted_or_named() {
        let object = |inner: &str| format!(r#"{{"type":"object","properties":{{"a":{inner}}},"required":["a","z"]}}"#);
        let cases: &[(&str, &str, &[&str])] = &[
            (r#"{"type":"string","description":"d"}"#, r#"{"description":"d","type":"STRING"}"#, &[]),
            (r#"{"type":["string","null"]}"#, r#"{"type":"STRING","nullable":true}"#, &[]),
            (
                r#"{"type":["string","array"]}"#,
                r#"{"anyOf":[{"type":"STRING"},{"type":"ARRAY","items":{"type":"STRING"}}]}"#,
                &[],
            ),
            (r#"{"anyOf":[{"type":"integer"},{"type":"null"}]}"#, r#"{"type":"INTEGER","nullable":true}"#, &[]),
            (
                r#"{"oneOf":[{"type":"integer"},{"type":"string"}]}"#,
                r#"{"anyOf":[{"type":"INTEGER"},{"type":"STRING"}]}"#,
                &[],
            ),
            (r#"{"type":"string","enum":["a","b"]}"#, r#"{"type":"STRING","enum":["a","b"]}"#, &[]),
            (r#"{"const":"a"}"#, r#"{"type":"STRING","enum":["a"]}"#, &[]),
            (r#"{"type":"integer","enum":[1,2]}"#, r#"{"type":"INTEGER"}"#, &["s.enum"]),
            (r#"{"type":"string","format":"uri"}"#, r#"{"type":"STRING"}"#, &["s.format"]),
            (r#"{"type":"string","format":"date-time"}"#, r#"{"type":"STRING","format":"date-time"}"#, &[]),
            (r#"{"type":"array"}"#, r#"{"type":"ARRAY","items":{"type":"STRING"}}"#, &[]),
            (r#"{"type":"number","exclusiveMinimum":0}"#, r#"{"type":"NUMBER"}"#, &["s.exclusiveMinimum"]),
            (r#"{"type":"object","additionalProperties":false}"#, r#"{"type":"OBJECT"}"#, &["s.additionalProperties"]),
            ("true", r#"{"type":"STRING"}"#, &[]),
        ];
        for (inner, expected, lost) in cases {
            let expected = format!(r#"{{"type":"OBJECT","properties":{{"a":{expected}}},"required":["a"]}}"#);
            let lost: Vec<String> = lost.iter().map(|&name| name.to_owned()).collect();
            assert_eq!(adapted(&object(inner)), (expected, lost), "{inner}");
        }
    }

    #[test]
    fn a_schema_of_nothing_is_none() {
        for schema in ["{}", r#"{"type":"object"}"#, r#"{"type":"object","properties":{},"$schema":"x"}"#] {
            assert_eq!(adapted(schema).0, "none");
        }
    }

    #[test]
    fn references_are_put_in_place() {
        let schema = r##"{"type":"object","properties":{"p":{"$ref":"#/$defs/P","description":"mine"},
            "q":{"allOf":[{"$ref":"#/$defs/P"}],"description":"yours"},"x":{"$ref":"#/$defs/none"}},
            "$defs":{"P":{"type":"object","description":"own","properties":{"n":{"type":"string"},"p":{"$ref":"#/$defs/P"}}}}}"##;
        let p = |description: &str| {
            format!(
                r#"{{"description":"{description}","type":"OBJECT","properties":{{"n":{{"type":"STRING"}},"p":{{"type":"OBJECT"}}}}}}"#
            )
        };
        let expected = format!(
            r#"{{"type":"OBJECT","properties":{{"p":{},"q":{},"x":{{"type":"STRING"}}}}}}"#,
            p("mine"),
            p("yours")
        );
        assert_eq!(adapted(schema), (expected, vec!["s.$ref (into itself)".to_owned(), "s.$ref".to_owned()]));
    }

    #[test]
    fn much_made_of_little_has_a_bound() {
        let mut defs: Vec<String> = Vec::new();
        for i in 0..20 {
            let next = format!(r##"{{"$ref":"#/$defs/d{}"}}"##, i + 1);
            let properties: Vec<String> = (0..10).map(|p| format!(r#""p{p}":{next}"#)).collect();
            defs.push(format!(r#""d{i}":{{"properties":{{{}}}}}"#, properties.join(",")));
        }
        let schema = format!(r##"{{"properties":{{"a":{{"$ref":"#/$defs/d0"}}}},"$defs":{{{}}}}}"##, defs.join(","));
        let (out, lost) = adapted(&schema);
        assert!(out.len() < 4 * BYTES_MAX, "{}", out.len());
        assert!(lost.contains(&"s.(deeper schemas)".to_owned()));
        let deep = format!("{}1{}", r#"{"properties":{"a":"#.repeat(5_000), "}}".repeat(5_000));
        assert!(adapted(&deep).0.len() < 2_000);
        assert!(from_openapi(raw(&deep).raw()).get().len() <= deep.len());
    }

    #[test]
    fn the_subset_reads_as_json_schema() {
        let cases = [
            (
                r#"{"type":"OBJECT","nullable":true,"properties":{"type":{"type":"STRING","minLength":"1"}},"propertyOrdering":["type"]}"#,
                r#"{"type":["object","null"],"properties":{"type":{"type":"string","minLength":1}}}"#,
            ),
            (r#"{"anyOf":[{"type":"INTEGER"}],"nullable":true}"#, r#"{"anyOf":[{"type":"integer"},{"type":"null"}]}"#),
            (r#"{"type" : "object"}"#, r#"{"type" : "object"}"#),
        ];
        for (schema, expected) in cases {
            assert_eq!(from_openapi(raw(schema).raw()).get(), expected);
        }
    }
}
