//! What is wrong with a text that people wrote: each mistake by its place, all in one go, and none that only follows from
//! another.
//!
//! Whoever reads and whoever judges what was read add to the same [`Mistakes`]. What rests on a place that is mistaken is
//! not judged, so it does not matter which of them found that out.

use crate::wire::json::quoted;

/// One mistake: where, what, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake(pub String);

#[derive(Debug, Clone, Default)]
pub struct Mistakes {
    told: Vec<Mistake>,
    /// Whose values are not what was meant.
    places: Vec<String>,
    /// Places whose values stand under a wrong name, and where that is.
    renamed: Vec<(String, String)>,
}

impl Mistakes {
    /// Tells what is wrong with the value at `at`, unless it, a part of it or what it is part of is mistaken already.
    pub fn say(&mut self, at: &str, why: &str) {
        if self.is_sound(at) {
            self.say_anyway(at, why);
            self.doubt(at.to_owned());
        }
    }

    /// Tells what is wrong at `at` if that follows from its `fields`, unless one of those is mistaken already.
    pub fn say_of(&mut self, at: &str, fields: &[&str], why: &str) {
        if self.are_sound(at, fields) {
            self.say_anyway(at, why);
        }
    }

    /// Tells what is wrong whatever else is, as a name is whatever stands under it.
    pub fn say_anyway(&mut self, at: &str, why: &str) {
        let written = self.written(at);
        self.push(&written, why);
    }

    /// Tells what is wrong with the value that belongs to `at` and stands at `written`, as it is read.
    pub(crate) fn found(&mut self, at: String, written: &str, why: &str) {
        self.push(written, why);
        self.doubt(at);
    }

    fn push(&mut self, written: &str, why: &str) {
        let between = if written.is_empty() { "" } else { ": " };
        self.told.push(Mistake(format!("{written}{between}{why}")));
    }

    /// What belongs to `at` stands at `written`, or there after all.
    pub(crate) fn rename(&mut self, at: String, written: Option<String>) {
        self.renamed.retain(|(place, _)| !encloses(&at, place));
        self.renamed.extend(written.map(|written| (at, written)));
    }

    /// Where the value stands that belongs to `at`.
    fn written(&self, at: &str) -> String {
        let around = self.renamed.iter().filter(|(place, _)| encloses(place, at));
        let (place, written) =
            around.max_by_key(|(place, _)| place.len()).map_or(("", ""), |(place, written)| (place, written));
        at.strip_prefix(place).map_or_else(|| at.to_owned(), |rest| format!("{written}{rest}"))
    }

    /// The value at `at` is not what was meant, which is told elsewhere.
    pub fn doubt(&mut self, at: String) {
        self.places.push(at);
    }

    /// Whether nothing is known to be mistaken at `at`, in it, and around it.
    pub fn is_sound(&self, at: &str) -> bool {
        self.places.iter().all(|place| !encloses(place, at) && !encloses(at, place))
    }

    pub fn are_sound(&self, at: &str, fields: &[&str]) -> bool {
        fields.iter().all(|field| self.is_sound(&format!("{at}.{field}")))
    }

    /// Whether the names at `at` are all there, whatever stands under them.
    pub fn is_whole(&self, at: &str) -> bool {
        self.places.iter().all(|place| !encloses(place, at))
    }

    pub fn is_none(&self) -> bool {
        self.told.is_empty()
    }

    /// `value` if there is no mistake.
    pub fn or<T>(self, value: T) -> Result<T, Vec<Mistake>> {
        if self.told.is_empty() { Ok(value) } else { Err(self.told) }
    }
}

/// Whether `inner` is `outer` or a part of it. The whole text has no name.
fn encloses(outer: &str, inner: &str) -> bool {
    let rest = inner.strip_prefix(outer);
    rest.is_some_and(|rest| outer.is_empty() || rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The place of the field `name` of what stands at `at`, as TOML writes it.
pub fn under(at: &str, name: &str) -> String {
    let dot = if at.is_empty() { "" } else { "." };
    let is_bare = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if is_bare { format!("{at}{dot}{name}") } else { format!("{at}{dot}{}", quoted(name)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rests_on_a_mistake_is_none_of_its_own() {
        let mut mistakes = Mistakes::default();
        mistakes.say("a.list[1]", "wrong");
        for (at, is_sound, is_whole) in [
            ("a", false, true),
            ("a.list", false, true),
            ("a.list[1]", false, false),
            ("a.list[1].field", false, false),
            ("a.list[10]", true, true),
            ("a.lists", true, true),
            ("b", true, true),
        ] {
            assert_eq!((mistakes.is_sound(at), mistakes.is_whole(at)), (is_sound, is_whole), "{at}");
        }
        mistakes.say("a.list", "follows");
        mistakes.say_of("a", &["list", "other"], "follows");
        mistakes.say_of("a", &["other"], "another");
        mistakes.say_anyway("a.list[1]", "the name");
        let told = mistakes.or(()).unwrap_err();
        assert_eq!(
            told,
            ["a.list[1]: wrong", "a: another", "a.list[1]: the name"].map(|text| Mistake(text.to_owned()))
        );
    }

    #[test]
    fn a_text_that_cannot_be_read_has_one_mistake() {
        let mut mistakes = Mistakes::default();
        mistakes.say("", "not JSON");
        mistakes.say("a", "missing");
        assert_eq!(mistakes.or(()).unwrap_err(), [Mistake("not JSON".to_owned())]);
    }

    #[test]
    fn places_are_written_as_toml_has_them() {
        assert_eq!(under(&under("", "models"), "gpt-4.1"), r#"models."gpt-4.1""#);
        assert_eq!(under("a", "b-1"), "a.b-1");
        assert_eq!(under("a", r#"x"y"#), r#"a."x\"y""#);
    }
}
