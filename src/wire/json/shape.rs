//! What a type reads, told as JSON Schema (draft 2020-12). `objects!` and `words!` tell it from the same lines that they
//! read by, so that the two cannot differ; a type that reads by hand tells it by hand.
//!
//! Only the schema of the configuration is asked for, and only natively: from wasm the linker drops all of this.

use super::{Write, close, field, open, written};

written! {
    /// A schema. What is blank says nothing.
    #[derive(Debug, Default)]
    pub struct Shape {
        /// The specification that a whole schema follows.
        pub dialect as "$schema"?: Option<&'static str>,
        pub title?: Option<&'static str>,
        pub description?: String,
        pub kind as "type"?: Option<&'static str>,
        pub words as "enum"?: Vec<&'static str>,
        pub pattern?: Option<&'static str>,
        pub examples?: Vec<&'static str>,
        pub minimum?: Option<u64>,
        pub maximum?: Option<u64>,
        pub any_of as "anyOf"?: Vec<Shape>,
        pub items?: Option<Box<Shape>>,
        pub items_min as "minItems"?: Option<u64>,
        pub items_max as "maxItems"?: Option<u64>,
        pub properties?: Properties,
        pub required?: Vec<&'static str>,
        pub fields_min as "minProperties"?: Option<u64>,
        pub fields_max as "maxProperties"?: Option<u64>,
        pub others as "additionalProperties"?: Option<Others>,
    }

    /// What properties may be besides those that are listed.
    #[derive(Debug)]
    pub enum Others {
        Any(bool),
        Of(Box<Shape>),
    }
}

/// In the order in which they are declared.
#[derive(Debug, Default)]
pub struct Properties(Vec<(&'static str, Shape)>);

impl Write for Properties {
    fn write(&self, out: &mut Vec<u8>) {
        open(out);
        for (name, shape) in &self.0 {
            field(name, shape, out);
        }
        close(out);
    }

    fn is_blank(&self) -> bool {
        self.0.is_empty()
    }
}

/// A field of an object: its name, what it holds, and whether it may be absent.
pub(crate) type Described = (&'static str, Shape, bool);

impl Shape {
    pub(crate) fn of(kind: &'static str) -> Self {
        Self { kind: Some(kind), ..Self::default() }
    }

    pub(crate) fn whole(maximum: Option<u64>) -> Self {
        Self { minimum: Some(0), maximum, ..Self::of("integer") }
    }

    pub(crate) fn list(items: Self) -> Self {
        Self { items: Some(Box::new(items)), ..Self::of("array") }
    }

    /// By names that are the writer's to choose.
    pub(crate) fn named(value: Self) -> Self {
        Self { others: Some(Others::Of(Box::new(value))), ..Self::of("object") }
    }

    pub(crate) fn object(doc: &[&str], fields: impl IntoIterator<Item = Described>) -> Self {
        let mut shape = Self { others: Some(Others::Any(false)), ..Self::of("object") };
        for (name, field, is_optional) in fields {
            if !is_optional {
                shape.required.push(name);
            }
            shape.properties.0.push((name, field));
        }
        shape.under(doc)
    }

    /// The same object with exactly one of its fields.
    pub(crate) fn one_field(self) -> Self {
        Self { fields_min: Some(1), fields_max: Some(1), ..self }
    }

    /// One of some words, each with the lines that describe it.
    pub(crate) fn words<const N: usize>(doc: &[&str], words: [(&'static str, &[&str]); N]) -> Self {
        let mut shape = Self { words: words.iter().map(|(word, _)| *word).collect(), ..Self::of("string") };
        for (word, doc) in words.iter().rev() {
            let doc = joined(doc);
            if !doc.is_empty() {
                shape = shape.under(&[&format!("\"{word}\": {doc}")]);
            }
        }
        shape.under(doc)
    }

    /// A string of the form that `pattern` says, in the words that every dialect of regular expressions has.
    pub(crate) fn text(pattern: &'static str, examples: &[&'static str]) -> Self {
        Self { pattern: Some(pattern), examples: examples.to_vec(), ..Self::of("string") }
    }

    /// The same number, which nobody wants to be 0.
    pub(crate) fn above_zero(self) -> Self {
        Self { minimum: Some(1), ..self }
    }

    /// One of several shapes.
    pub(crate) fn any_of(shapes: Vec<Self>) -> Self {
        Self { any_of: shapes, ..Self::default() }
    }

    /// With the lines of a doc comment before what its type says of itself.
    pub(crate) fn under(mut self, doc: &[&str]) -> Self {
        let doc = joined(doc);
        self.description = match (doc.is_empty(), self.description.is_empty()) {
            (true, _) => self.description,
            (false, true) => doc,
            (false, false) => format!("{doc} {}", self.description),
        };
        self
    }
}

/// A doc comment as one line, without the marks of links into the code.
fn joined(doc: &[&str]) -> String {
    let lines: Vec<&str> = doc.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
    lines.join(" ").replace("[`", "`").replace("`]", "`")
}

#[cfg(test)]
mod tests {
    use super::super::{Read, objects, to_string, words};

    objects! {
        /// Where something is,
        /// as [`Read`] has it.
        #[derive(Debug)]
        struct Outer {
            /// How many.
            count as "n": u32,
            any: Option<u64>,
            names: Vec<String> = Vec::new(),
            /// Its color.
            color: Option<Color>,
        }
    }

    words! {
        /// One of two.
        #[derive(Debug, Clone, Copy)]
        enum Color = "the name of a color" {
            /// As blood is.
            Red as "red",
            Green as "green",
        }
    }

    #[test]
    fn a_struct_tells_what_it_reads() {
        let expected = concat!(
            r#"{"description":"Where something is, as `Read` has it.","type":"object","properties":{"#,
            r#""n":{"description":"How many.","type":"integer","minimum":0,"maximum":4294967295},"#,
            r#""any":{"type":"integer","minimum":0},"names":{"type":"array","items":{"type":"string"}},"#,
            r#""color":{"description":"Its color. One of two. \"red\": As blood is.","type":"string","enum":["red","green"]}},"#,
            r#""required":["n"],"additionalProperties":false}"#
        );
        assert_eq!(to_string(&Outer::shape()), expected);
    }
}
