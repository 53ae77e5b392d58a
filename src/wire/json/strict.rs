//! A text that people write, of which every mistake is told by its place, not only the first: fields that nobody knows,
//! that are missing or stand twice, and values of another kind.
//!
//! Types are read as ever, by [`Read`]. Where a fault would end that, the value that it is about is passed over, and
//! the one after it is read.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::{Cursor, END, Fault, Ignored, Read, parse};
use crate::mistake::{Mistakes, under};
use crate::nearest::nearest;

/// Reads a value, which is all there is of `text`, as far as it can be read, and adds each of its mistakes.
pub fn parse_strictly<'a, T: Read<'a>>(text: &'a str, mistakes: &mut Mistakes) -> T {
    // A text that is not JSON is one mistake. Of any other each value can be passed over.
    if let Err(error) = parse::<Ignored>(text) {
        mistakes.say("", &format!("not JSON: {error} at line {} column {}", error.line(), error.column()));
        return T::blank();
    }
    let mut at = Cursor::new(text);
    at.strict = Some(Box::new(Strict { mistakes: std::mem::take(mistakes), ..Strict::default() }));
    let value = T::read(&mut at);
    if at.fault.is_some()
        && let Some(strict) = &mut at.strict
    {
        // The text itself, as if it were a value in another.
        strict.around.push(Some((Step::Whole, 0)));
        at.recover();
    }
    if let Some(strict) = at.strict {
        *mistakes = strict.mistakes;
    }
    value
}

#[derive(Debug, Default)]
pub(super) struct Strict<'a> {
    /// The objects and lists around the cursor, the outermost first: which of its values is read, and where that begins.
    around: Vec<Option<(Step<'a>, usize)>>,
    mistakes: Mistakes,
}

/// How a value is called in what it stands in.
#[derive(Debug)]
enum Step<'a> {
    Whole,
    Field(Cow<'a, str>),
    /// Under a wrong name: what is meant, and that name.
    Meant(&'static str, Cow<'a, str>),
    Element(usize),
}

impl Cursor<'_> {
    /// If the value before the cursor could not be read, says so and goes on behind it.
    #[cold]
    pub(super) fn recover(&mut self) {
        let Some((fault, _)) = self.fault else { return };
        let Some(mut strict) = self.strict.take() else { return };
        // A list or object that is neither is a fault of what it stands in.
        if let Some(Some((step, start))) = strict.around.last() {
            let is_guess = matches!(step, Step::Meant(..));
            (self.fault, self.at) = (None, *start);
            let value = self.raw().get();
            if is_guess {
                // Whoever wrote it may have meant something else.
                let place = strict.place();
                strict.mistakes.doubt(place);
            } else {
                strict.wrong(&why(fault, value));
            }
        }
        self.strict = Some(strict);
    }
}

impl<'a> Strict<'a> {
    #[cold]
    pub(super) fn enter(&mut self) {
        self.around.push(None);
    }

    /// The object's next field is `name`, and its value begins at `start`.
    #[cold]
    pub(super) fn step(&mut self, name: Option<Cow<'a, str>>, start: usize) {
        self.around.pop();
        if let Some(name) = name {
            self.around.push(Some((Step::Field(name), start)));
        }
    }

    /// The list's next element, if there is one, begins at `start`.
    #[cold]
    pub(super) fn step_on(&mut self, is_another: bool, start: usize) {
        let index = match self.around.pop() {
            Some(Some((Step::Element(index), _))) => index + 1,
            _ => 0,
        };
        if is_another {
            self.around.push(Some((Step::Element(index), start)));
        }
    }

    /// Tells that the object has no such field, and returns the place in `known` of the one that is likely meant, as which its
    /// value is to be read. Where that is among those that were filled already, `filled`, nobody knows which value counts.
    #[cold]
    pub(super) fn unknown(&mut self, name: &str, known: &[&'static str], filled: u64) -> Option<usize> {
        let Some(near) = nearest(name, known.iter().copied()) else {
            self.wrong(&format!("no such field; there are {}", listed(known, "and")));
            return None;
        };
        self.wrong(&format!("no such field; did you mean \"{near}\"?"));
        let start = self.around.pop().flatten().map(|(_, start)| start).unwrap_or_default();
        self.around.push(Some((Step::Meant(near, Cow::Owned(name.to_owned())), start)));
        let (meant, written) = (self.place(), self.written());
        let place = known.iter().position(|known| *known == near);
        if place.is_some_and(|place| filled & 1 << place != 0) {
            self.mistakes.doubt(meant.clone());
        }
        self.mistakes.rename(meant, Some(written));
        place
    }

    /// The field was read from under a wrong name, too, which what stands there is lost for.
    #[cold]
    pub(super) fn beside_a_guess(&mut self) {
        let place = self.place();
        self.mistakes.rename(place.clone(), None);
        self.mistakes.doubt(place);
    }

    #[cold]
    pub(super) fn twice(&mut self) {
        self.wrong("stands there twice");
    }

    #[cold]
    pub(super) fn missing(&mut self, name: &'static str) {
        let (place, written) = (under(&self.place(), name), under(&self.written(), name));
        self.mistakes.found(place, &written, "missing");
    }

    /// What is wrong with the value that is read. Reading finds each mistake once, whatever else is wrong around it.
    fn wrong(&mut self, why: &str) {
        let (place, written) = (self.place(), self.written());
        self.mistakes.found(place, &written, why);
    }

    /// Where the value belongs.
    fn place(&self) -> String {
        self.path(|step| match step {
            Step::Meant(name, _) => name,
            Step::Field(name) => name,
            Step::Whole | Step::Element(_) => "",
        })
    }

    /// Where it stands.
    fn written(&self) -> String {
        self.path(|step| match step {
            Step::Meant(_, name) | Step::Field(name) => name,
            Step::Whole | Step::Element(_) => "",
        })
    }

    fn path(&self, name: impl for<'s> Fn(&'s Step<'a>) -> &'s str) -> String {
        let mut place = String::new();
        for (step, _) in self.around.iter().flatten() {
            match step {
                Step::Whole => {}
                Step::Element(index) => place = format!("{place}[{index}]"),
                Step::Field(_) | Step::Meant(..) => place = under(&place, name(step)),
            }
        }
        place
    }
}

/// What is wrong with `value`, which is of valid JSON.
fn why(fault: Fault, value: &str) -> String {
    match fault {
        Fault::Expected(due) => {
            let due = match due {
                "an object" => "fields",
                "a sequence" => "a list",
                "u32" | "u64" | "usize" => "a whole number, 0 or more",
                due => due,
            };
            format!("expected {due}, not {}", kind(value))
        }
        Fault::Word(_, words) => {
            let word: Cow<'_, str> = parse(value).unwrap_or_default();
            match nearest(&word, words.iter().copied()) {
                Some(near) => format!("no such word; did you mean \"{near}\"?"),
                None => format!("expected {}", listed(words, "or")),
            }
        }
        Fault::Missing(fault) | Fault::Said(fault) => fault.to_owned(),
    }
}

/// How it is called; a number and a word say themselves what they are.
fn kind(value: &str) -> &str {
    match value.as_bytes().first().copied().unwrap_or(END) {
        b'{' => "fields",
        b'[' => "a list",
        b'"' => "a string",
        _ => value,
    }
}

/// `"a", "b" or "c"`.
fn listed(words: &[&str], before_last: &str) -> String {
    let mut list = String::new();
    for (place, word) in words.iter().enumerate() {
        let between = match place {
            0 => "",
            last if last + 1 == words.len() => &format!(" {before_last} "),
            _ => ", ",
        };
        // Writing to a string cannot fail.
        let _ = write!(list, "{between}\"{word}\"");
    }
    list
}

#[cfg(test)]
mod tests {
    use super::super::{objects, words};
    use super::*;

    objects! {
        #[derive(Debug)]
        struct Outer {
            limit: Option<u64>,
            names: Vec<String> = Vec::new(),
            inner: Vec<Inner> = Vec::new(),
            only: Option<Inner>,
        }

        #[derive(Debug)]
        struct Inner {
            target: String,
            color: Option<Color>,
            flag: bool = false,
        }
    }

    words! {
        #[derive(Debug, Clone, Copy)]
        enum Color = "the name of a color" {
            Red as "red",
            Green as "green",
        }
    }

    fn mistakes(text: &str) -> Vec<String> {
        let mut mistakes = Mistakes::default();
        let outer: Outer = parse_strictly(text, &mut mistakes);
        mistakes.or(outer).err().unwrap_or_default().into_iter().map(|mistake| mistake.0).collect()
    }

    #[test]
    fn each_mistake_is_told_by_its_place() {
        let cases: &[(&str, &[&str])] = &[
            (r#"{}"#, &[]),
            (r#"{"limit":1,"names":["a"],"inner":[{"target":"t","color":"green"}],"only":null}"#, &[]),
            (r#"{"limits":1}"#, &[r#"limits: no such field; did you mean "limit"?"#]),
            (r#"{"x y":1}"#, &[r#""x y": no such field; there are "limit", "names", "inner" and "only""#]),
            (r#"{"limit":"1"}"#, &["limit: expected a whole number, 0 or more, not a string"]),
            (r#"{"limit":-1.5}"#, &["limit: expected a whole number, 0 or more, not -1.5"]),
            (r#"{"limit":1,"limit":2}"#, &["limit: stands there twice"]),
            (r#"{"names":{"a":1}}"#, &["names: expected a list, not fields"]),
            (
                r#"{"names":["a",[[]],"c",{}]}"#,
                &["names[1]: expected a string, not a list", "names[3]: expected a string, not fields"],
            ),
            (r#"{"only":{}}"#, &["only.target: missing"]),
            (r#"{"only":{"targt":"t"}}"#, &[r#"only.targt: no such field; did you mean "target"?"#]),
            (r#"{"only":{"targt":7}}"#, &[r#"only.targt: no such field; did you mean "target"?"#]),
            (
                r#"{"iner":[{"target":"t","color":"grean"},7]}"#,
                &[
                    r#"iner: no such field; did you mean "inner"?"#,
                    r#"iner[0].color: no such word; did you mean "green"?"#,
                    "iner[1]: expected fields, not 7",
                ],
            ),
            (
                r#"{"iner":[{"target":7}],"inner":[{"target":8}]}"#,
                &[
                    r#"iner: no such field; did you mean "inner"?"#,
                    "iner[0].target: expected a string, not 7",
                    "inner[0].target: expected a string, not 8",
                ],
            ),
            (
                r#"{"inner":[{"target":8}],"iner":[{"targt":7},{}]}"#,
                &[
                    "inner[0].target: expected a string, not 8",
                    r#"iner: no such field; did you mean "inner"?"#,
                    r#"iner[0].targt: no such field; did you mean "target"?"#,
                    "iner[1].target: missing",
                ],
            ),
            (r#"{"only":7,"limit":null}"#, &["only: expected fields, not 7"]),
            (
                r#"{"inner":[{"target":"a","flag":null},{"colour":"red"},[],{"target":"a","color":"grean"}],"only":{"target":"t","color":"blue"}}"#,
                &[
                    "inner[0].flag: expected a boolean, not null",
                    r#"inner[1].colour: no such field; did you mean "color"?"#,
                    "inner[1].target: missing",
                    "inner[2]: expected fields, not a list",
                    r#"inner[3].color: no such word; did you mean "green"?"#,
                    r#"only.color: expected "red" or "green""#,
                ],
            ),
            (
                r#"{"only":{"target":"\ud800"},"names":1}"#,
                &["only.target: half a surrogate pair in hex escape", "names: expected a list, not 1"],
            ),
            ("[1]", &["expected fields, not a list"]),
            ("\"a\"", &["expected fields, not a string"]),
            ("{\n\"limit\" 1}", &["not JSON: expected `:` at line 2 column 9"]),
            ("{} x", &["not JSON: trailing characters at line 1 column 4"]),
            ("", &["not JSON: expected value at line 1 column 1"]),
        ];
        for (text, expected) in cases {
            assert_eq!(mistakes(text), *expected, "{text}");
        }
    }

    #[test]
    fn what_stands_under_a_right_and_a_wrong_name_is_not_judged_in_either_order() {
        for text in [
            r#"{"iner":[{"target":"a"}],"inner":[]}"#,
            r#"{"inner":[],"iner":[{"target":"a"}]}"#,
            r#"{"iner":[],"inners":[]}"#,
        ] {
            let mut mistakes = Mistakes::default();
            let _: Outer = parse_strictly(text, &mut mistakes);
            assert!(!mistakes.is_whole("inner") && mistakes.is_sound("names"), "{text}");
        }
    }

    #[test]
    fn what_is_judged_is_told_under_the_name_that_it_has() {
        let judged = |text: &str| {
            let mut mistakes = Mistakes::default();
            let _: Outer = parse_strictly(text, &mut mistakes);
            mistakes.say("inner[0].target", "judged");
            mistakes.say("only.target", "judged");
            let told = mistakes.or(()).unwrap_err();
            told.into_iter().map(|mistake| mistake.0).filter(|told| told.ends_with("judged")).collect::<Vec<_>>()
        };
        let one = r#"{"iner":[{"targt":"a"}],"only":{"targt":"a"}}"#;
        assert_eq!(judged(one), ["iner[0].targt: judged", "only.targt: judged"]);
        let both = r#"{"iner":[{"target":"a"}],"inner":[{"target":"a"}]}"#;
        assert_eq!(judged(both), ["only.target: judged"]);
    }

    #[test]
    fn what_has_no_mistake_is_read_as_ever() {
        let text = r#"{ "inner" : [ {"target":"a","flag":true}, {"target":"b"} ] , "names":["x","y"] }"#;
        let strict: Outer = parse_strictly(text, &mut Mistakes::default());
        assert_eq!(format!("{strict:?}"), format!("{:?}", parse::<Outer>(text).unwrap()));
    }

    #[test]
    fn what_can_be_read_is_read() {
        let mut mistakes = Mistakes::default();
        let text = r#"{"limit":"x","names":["a",1,"c"],"iner":7,"only":{"targt":"t","color":"grean"}}"#;
        let outer: Outer = parse_strictly(text, &mut mistakes);
        assert_eq!(outer.names, ["a", "", "c"]);
        assert_eq!(outer.only.map(|only| only.target), Some("t".to_owned()));
        let mistaken = ["limit", "names[1]", "iner", "inner", "only.color"];
        assert!(mistaken.iter().all(|at| !mistakes.is_sound(at)), "{mistakes:?}");
        assert!(["names[0]", "names[2]", "only.target"].iter().all(|at| mistakes.is_sound(at)), "{mistakes:?}");
    }
}
