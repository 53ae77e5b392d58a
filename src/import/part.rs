//! Another gateway's file, read object by object. A field counts as carried once it is taken; what nobody took is listed
//! by [`Part::close`], so that nothing can go missing without a word.

use std::str::FromStr;

use serde_json::{Map, Value};

/// What is to be said of a file that was read, each by its path.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// What could not be carried, or not quite, and why.
    pub(super) lost: Vec<String>,
    /// What makes the file useless as it is.
    pub(super) mistakes: Vec<String>,
}

impl Notes {
    pub(super) fn lose(&mut self, at: &str, why: &str) {
        let note = format!("{at}: {why}");
        if !self.lost.contains(&note) {
            self.lost.push(note);
        }
    }

    pub(super) fn wrong(&mut self, at: &str, why: &str) {
        self.mistakes.push(format!("{at}: {why}"));
    }
}

/// How the outermost object is called.
pub(super) const ROOT: &str = "the file";

/// An object of the file.
#[derive(Debug)]
pub(super) struct Part {
    at: String,
    fields: Map<String, Value>,
}

impl Part {
    pub(super) fn read(at: &str, value: Value, notes: &mut Notes) -> Option<Self> {
        match value {
            Value::Object(fields) => Some(Self { at: at.to_owned(), fields }),
            other => {
                let at = if at.is_empty() { ROOT } else { at };
                notes.wrong(at, &format!("expected fields, not {}", kind(&other)));
                None
            }
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.get(name).is_some_and(|value| !value.is_null())
    }

    /// Where `name` stands in the file.
    pub(super) fn at(&self, name: &str) -> String {
        if self.at.is_empty() { name.to_owned() } else { format!("{}.{name}", self.at) }
    }

    /// Where this object stands.
    pub(super) fn place(&self) -> &str {
        if self.at.is_empty() { ROOT } else { &self.at }
    }

    /// The value of `name`, which is from now on carried.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.fields.remove(name).filter(|value| !value.is_null())
    }

    fn taken<T>(&mut self, name: &str, due: &str, notes: &mut Notes, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let value = self.take(name)?;
        let taken = read(&value);
        if taken.is_none() {
            notes.wrong(&self.at(name), &format!("expected {due}, not {}", kind(&value)));
        }
        taken
    }

    pub(super) fn text(&mut self, name: &str, notes: &mut Notes) -> Option<String> {
        self.taken(name, "a string", notes, |value| value.as_str().map(str::to_owned))
    }

    /// A URL without what may be a credential in it.
    pub(super) fn address(&mut self, name: &str, notes: &mut Notes) -> Option<String> {
        let text = self.text(name, notes)?;
        let (url, query) = text.split_once(['?', '#']).map_or((text.as_str(), None), |(url, query)| (url, Some(query)));
        let bare = match url.split_once("://") {
            Some((scheme, rest)) => {
                let (host, path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
                let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
                path.map_or_else(|| format!("{scheme}://{host}"), |path| format!("{scheme}://{host}/{path}"))
            }
            None => url.to_owned(),
        };
        if query.is_some() || bare != url {
            notes.lose(&self.at(name), "what stands before or behind the address may be a key, and is left out");
        }
        Some(bare)
    }

    /// Whether `name` is this text; it is not taken.
    pub(super) fn is_text(&self, name: &str, text: &str) -> bool {
        self.fields.get(name).and_then(Value::as_str) == Some(text)
    }

    pub(super) fn flag(&mut self, name: &str, notes: &mut Notes) -> Option<bool> {
        self.taken(name, "true or false", notes, Value::as_bool)
    }

    /// Quoted or not. A text that is no number is none that a gateway could count with, so all else is carried without it.
    fn counted<T: FromStr>(
        &mut self,
        name: &str,
        due: &str,
        notes: &mut Notes,
        read: impl Fn(&Value) -> Option<T>,
        fits: impl Fn(&T) -> bool,
    ) -> Option<T> {
        let Some(text) = self.fields.get(name).and_then(Value::as_str) else {
            return self.taken(name, due, notes, |value| read(value).filter(&fits));
        };
        let number = text.trim().parse().ok().filter(fits);
        if number.is_none() {
            let is_elsewhere = text.starts_with("os.environ/");
            let why = if is_elsewhere { "stands in the environment; write" } else { "cannot be read; write" };
            notes.lose(&self.at(name), &format!("{why} {due}"));
        }
        self.take(name);
        number
    }

    pub(super) fn number(&mut self, name: &str, notes: &mut Notes) -> Option<f64> {
        let fits = |number: &f64| number.is_finite() && *number >= 0.0;
        self.counted(name, "a number, 0 or more", notes, Value::as_f64, fits)
    }

    pub(super) fn whole(&mut self, name: &str, notes: &mut Notes) -> Option<u32> {
        let read = |value: &Value| value.as_u64()?.try_into().ok();
        self.counted(name, "a whole number, 0 or more", notes, read, |_| true)
    }

    /// Seconds, maybe with a fraction, in milliseconds.
    pub(super) fn seconds(&mut self, name: &str, notes: &mut Notes) -> Option<u64> {
        // The cast saturates.
        self.number(name, notes).map(|seconds| (seconds * 1000.0).round() as u64)
    }

    pub(super) fn part(&mut self, name: &str, notes: &mut Notes) -> Option<Self> {
        let (at, value) = (self.at(name), self.take(name)?);
        Self::read(&at, value, notes)
    }

    /// The elements of a list, each with its path.
    pub(super) fn list(&mut self, name: &str, notes: &mut Notes) -> Vec<(String, Value)> {
        let at = self.at(name);
        match self.take(name) {
            None => Vec::new(),
            Some(Value::Array(list)) => {
                list.into_iter().enumerate().map(|(index, value)| (format!("{at}[{index}]"), value)).collect()
            }
            Some(other) => {
                notes.wrong(&at, &format!("expected a list, not {}", kind(&other)));
                Vec::new()
            }
        }
    }

    /// A list of strings; a string alone is a list of one.
    pub(super) fn texts(&mut self, name: &str, notes: &mut Notes) -> Vec<String> {
        if self.fields.get(name).is_some_and(Value::is_string) {
            return self.text(name, notes).into_iter().collect();
        }
        let mut texts = Vec::new();
        for (at, value) in self.list(name, notes) {
            match value {
                Value::String(text) => texts.push(text),
                other => notes.wrong(&at, &format!("expected a string, not {}", kind(&other))),
            }
        }
        texts
    }

    /// Every field with its value.
    pub(super) fn into_fields(self) -> impl Iterator<Item = (String, Value)> {
        self.fields.into_iter()
    }

    /// `names`, where they are there, cannot be carried.
    pub(super) fn lose(&mut self, names: &[&str], why: &str, notes: &mut Notes) {
        for name in names {
            if self.take(name).is_some() {
                notes.lose(&self.at(name), why);
            }
        }
    }

    /// `names` mean nothing here, and need no word.
    pub(super) fn pass(&mut self, names: &[&str]) {
        for name in names {
            self.take(name);
        }
    }

    /// What nobody has taken cannot be carried.
    pub(super) fn close(mut self, why: &str, notes: &mut Notes) {
        let names: Vec<String> = self.fields.keys().cloned().collect();
        for name in names {
            self.lose(&[&name], why, notes);
        }
    }
}

/// How a value of another kind is called.
pub(super) fn kind(value: &Value) -> String {
    match value {
        Value::Object(_) => "fields".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::String(_) => "a string".to_owned(),
        plain => plain.to_string(),
    }
}
