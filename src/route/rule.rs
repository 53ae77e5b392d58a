//! Rules that give a request another model than it asked for, or none: by who asks, for what, and when.
//!
//! A rule says which *name* is asked for; what stands behind a name is the alias's to say.

use super::dice::Dice;
use super::need::{Need, Needs};
use super::wish::variant;
use crate::host::{Headers, Millis};
use crate::mistake::{Mistakes, under};
use crate::named::Named;
use crate::wire::json::{Shape, objects, written};

objects! {
    /// As it is written, in `[[rules]]`.
    #[derive(Debug, Default)]
    pub struct RuleDraft {
        /// All that is given must hold; nothing holds for every request.
        pub when: WhenDraft = WhenDraft::default(),
        /// The model that is asked instead.
        pub model as "use": Option<String>,
        /// Several of them, with their shares.
        pub split: Named<u32> = Named::default(),
        /// Why nothing is asked.
        pub deny: Option<String>,
    }

    #[derive(Debug, Default, Clone)]
    pub struct WhenDraft {
        /// The model that is asked for, with `*` for any text.
        pub model: Option<String>,
        /// The caller's name, with `*` for any text.
        pub caller: Option<String>,
        /// One of the request's tags, with `*` for any text.
        pub tag: Option<String>,
        /// Headers by their names, each with its value, with `*` for any text.
        pub headers: Named<String> = Named::default(),
        /// A body of more bytes.
        pub body_bytes_over: Option<usize>,
        /// A body of fewer bytes.
        pub body_bytes_under: Option<usize>,
        /// All that the request must need.
        pub needs: Vec<Need> = Vec::new(),
        /// Two times of day, UTC, like `["22:00", "06:00"]`; over midnight where the second is the earlier.
        pub between: Option<Vec<String>> where times,
    }
}

written! {
    impl RuleDraft { when, model as "use"?, split?, deny? }
    impl WhenDraft { model?, caller?, tag?, headers?, body_bytes_over?, body_bytes_under?, needs?, between? }
}

/// What [`Hours::read`] takes.
fn times(_: Shape) -> Shape {
    let time = Shape::text("^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$", &["06:00"]);
    Shape { items_min: Some(2), items_max: Some(2), ..Shape::list(time) }
}

/// What is known of a request before it is read.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub caller: &'a str,
    pub tags: &'a [String],
    pub headers: &'a Headers,
    pub body_bytes: usize,
    pub needs: Needs,
    pub now: Millis,
}

/// A text in which `*` stands for any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(String);

impl Glob {
    pub fn new(pattern: impl Into<String>) -> Self {
        Self(pattern.into())
    }

    pub fn matches(&self, text: &str) -> bool {
        let Some((head, rest)) = self.0.split_once('*') else { return self.0 == text };
        let Some(mut text) = text.strip_prefix(head) else { return false };
        let Some((middle, tail)) = rest.rsplit_once('*') else { return text.ends_with(rest) };
        // The first place of each part leaves the most for those behind it.
        for part in middle.split('*') {
            match text.split_once(part) {
                Some((_, behind)) => text = behind,
                None => return false,
            }
        }
        text.ends_with(tail)
    }
}

/// All that is given must hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct When {
    pub model: Option<Glob>,
    pub caller: Option<Glob>,
    /// One of the request's tags at least.
    pub tag: Option<Glob>,
    pub headers: Vec<(String, Glob)>,
    pub body_bytes_over: Option<usize>,
    pub body_bytes_under: Option<usize>,
    pub needs: Needs,
    pub between: Option<Hours>,
}

/// A part of every day (UTC), in minutes of it; over midnight where it ends before it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    pub from: u32,
    /// Not in it any more.
    pub until: u32,
}

const MINUTE_MS: Millis = 60_000;
const DAY_MINUTES: u32 = 24 * 60;

impl Hours {
    pub const ALL: Self = Self { from: 0, until: DAY_MINUTES };

    /// Of two times of day, as in `22:00`.
    pub fn read(from: &str, until: &str) -> Option<Self> {
        let minutes = |text: &str| {
            let (hour, minute) = text.split_once(':').filter(|(hour, minute)| (hour.len(), minute.len()) == (2, 2))?;
            // A number may be written with a sign, and a time is not.
            if text.contains('+') {
                return None;
            }
            let (hour, minute) = (hour.parse::<u32>().ok()?, minute.parse::<u32>().ok()?);
            (minute < 60 && hour * 60 + minute <= DAY_MINUTES).then_some(hour * 60 + minute)
        };
        Some(Self { from: minutes(from)?, until: minutes(until)? })
    }

    fn hold(self, now: Millis) -> bool {
        self.has(u32::try_from(now / MINUTE_MS % u64::from(DAY_MINUTES)).unwrap_or_default())
    }

    /// Whether each minute of `other` is one of these.
    pub fn cover(self, other: Self) -> bool {
        let own = self.pieces();
        let is_in = |(from, until): (u32, u32)| own.iter().any(|own| own.0 <= from && until <= own.1);
        other.pieces().into_iter().all(|piece| piece.0 >= piece.1 || is_in(piece))
    }

    /// What lies between two midnights, from and until. No two of them touch.
    const fn pieces(self) -> [(u32, u32); 2] {
        if self.from <= self.until {
            [(self.from, self.until), (0, 0)]
        } else {
            [(self.from, DAY_MINUTES), (0, self.until)]
        }
    }

    /// Of the minutes of a day.
    fn has(self, minute: u32) -> bool {
        if self.from <= self.until {
            (self.from..self.until).contains(&minute)
        } else {
            minute >= self.from || minute < self.until
        }
    }
}

impl When {
    /// What is written at `at`, in `when`.
    pub fn compile(at: &str, written: &WhenDraft, mistakes: &mut Mistakes) -> Self {
        let between = match written.between.as_deref() {
            Some([from, until]) => Hours::read(from, until),
            _ => None,
        };
        if between.is_none() && written.between.is_some() {
            let why = "not two times of day like [\"22:00\", \"06:00\"]";
            mistakes.say(&format!("{at}.when.between"), why);
        }
        let glob = |text: &Option<String>| text.clone().map(Glob::new);
        let headers =
            written.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), Glob::new(value))).collect();
        Self {
            model: glob(&written.model),
            caller: glob(&written.caller),
            tag: glob(&written.tag),
            headers,
            body_bytes_over: written.body_bytes_over,
            body_bytes_under: written.body_bytes_under,
            needs: written.needs.iter().fold(Needs::default(), |needs, need| needs.with(*need)),
            between,
        }
    }

    /// Whether it holds for every request.
    pub fn is_always(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it holds for all requests of a caller.
    pub fn is_of_caller(&self, name: &str) -> bool {
        let Self { model, caller, tag, headers, body_bytes_over, body_bytes_under, needs, between } = self;
        let is_bounded = body_bytes_over.is_some() || body_bytes_under.is_some() || *needs != Needs::default();
        let is_other = model.is_some() || tag.is_some() || !headers.is_empty() || between.is_some();
        caller.as_ref().is_none_or(|glob| glob.matches(name)) && !is_bounded && !is_other
    }

    /// Whether it is only for requests that need something.
    pub fn asks_for_needs(&self) -> bool {
        self.needs != Needs::default()
    }

    pub fn holds(&self, (model, other): (&str, Option<&str>), facts: &Facts<'_>) -> bool {
        let all = |glob: &Option<Glob>, text: &str| glob.as_ref().is_none_or(|glob| glob.matches(text));
        all_names(model, other).any(|name| all(&self.model, name))
            && all(&self.caller, facts.caller)
            && self.tag.as_ref().is_none_or(|glob| facts.tags.iter().any(|tag| glob.matches(tag)))
            && self.body_bytes_over.is_none_or(|least| facts.body_bytes > least)
            && self.body_bytes_under.is_none_or(|most| facts.body_bytes < most)
            && facts.needs.all_of(self.needs)
            && self.between.is_none_or(|hours| hours.hold(facts.now))
            && self.headers.iter().all(|(name, glob)| facts.headers.get(name).is_some_and(|value| glob.matches(value)))
    }
}

/// The names by which a model is meant. An ending says how its targets are put in order; it makes no other model of it.
pub fn all_names<'a>(model: &'a str, other: Option<&'a str>) -> impl Iterator<Item = &'a str> {
    let plain = variant(model).map(|(plain, _)| plain);
    [Some(model), plain, other].into_iter().flatten()
}

/// What becomes of a request that a rule is for.
#[derive(Debug, PartialEq, Eq)]
pub enum Then {
    /// Names with their shares; one alone has all.
    Use(Vec<(String, u32)>),
    Deny(String),
}

#[derive(Debug)]
pub struct Rule {
    pub when: When,
    pub then: Then,
}

impl Rule {
    /// What is written at `at`. `knows` says whether a name stands for a model.
    pub fn compile(
        at: &str,
        written: &RuleDraft,
        knows: impl Fn(&str) -> Result<(), String>,
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        let when = When::compile(at, &written.when, mistakes);
        let then = match (&written.model, written.split.is_empty(), &written.deny) {
            (Some(model), true, None) => Some(Then::Use(vec![(model.clone(), 1)])),
            (None, false, None) => {
                if written.split.values().all(|share| *share == 0) {
                    mistakes.say(&format!("{at}.split"), "no share is above 0");
                }
                Some(Then::Use(written.split.iter().map(|(name, share)| (name.to_owned(), *share)).collect()))
            }
            (None, true, Some(why)) => Some(Then::Deny(why.clone())),
            _ => {
                let why = "needs one of use (a model), split (models with their shares) and deny (a reason)";
                mistakes.say_of(at, &["use", "split", "deny"], why);
                None
            }
        };
        if let Some(Err(why)) = written.model.as_deref().map(&knows) {
            mistakes.say(&format!("{at}.use"), &why);
        }
        for name in written.split.names() {
            if let Err(why) = knows(name) {
                mistakes.say_anyway(&under(&format!("{at}.split"), name), &why);
            }
        }
        then.map(|then| Self { when, then })
    }
}

/// What the rules made of a model's name.
#[derive(Debug, PartialEq, Eq)]
pub struct Followed<'r> {
    /// `None` where no rule was for the request.
    pub model: Option<&'r str>,
    /// The places of the rules, in the order in which they applied.
    pub rules: Vec<usize>,
}

/// A rule says no: its place, and why.
#[derive(Debug, PartialEq, Eq)]
pub struct Denied<'r>(pub usize, pub &'r str);

/// The first rule that is for the request gives it another name, for which the rules behind it are asked again: so each
/// applies once at most, and they end. `other` is how else the model may be called, so that no rule is passed by.
pub fn follow<'r>(
    rules: &'r [Rule],
    (model, other): (&str, Option<&str>),
    facts: &Facts<'_>,
    dice: &mut Dice,
) -> Result<Followed<'r>, Denied<'r>> {
    let mut followed = Followed { model: None, rules: Vec::new() };
    for (at, rule) in rules.iter().enumerate() {
        let name = followed.model.map_or((model, other), |model| (model, None));
        if !rule.when.holds(name, facts) {
            continue;
        }
        match &rule.then {
            Then::Deny(why) => return Err(Denied(at, why)),
            Then::Use(names) => {
                let chosen = dice.weighed(names.iter().map(|(_, share)| u64::from(*share)));
                let Some((name, _)) = chosen.and_then(|chosen| names.get(chosen)) else { continue };
                followed.model = Some(name);
                followed.rules.push(at);
            }
        }
    }
    Ok(followed)
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::mistake::Mistake;
    use crate::wire::json::parse;

    fn facts(headers: &Headers) -> Facts<'_> {
        static TAGS: LazyLock<[String; 2]> = LazyLock::new(|| ["env:prod", "team:search"].map(str::to_owned));
        Facts {
            caller: "ci-nightly",
            tags: &*TAGS,
            headers,
            body_bytes: 5_000,
            needs: Needs::default().with(Need::Images),
            // 23:30 of some day.
            now: (20_000 * 24 * 60 + 23 * 60 + 30) * MINUTE_MS,
        }
    }

    #[test]
    fn a_star_stands_for_any_text() {
        let yes = [
            ("gpt-5", "gpt-5"),
            ("gpt-*", "gpt-5"),
            ("*", ""),
            ("*-mini", "gpt-5-mini"),
            ("a*b*c", "a-b-b-c"),
            ("*5*", "gpt-5"),
            ("a**b", "ab"),
        ];
        for (glob, text) in yes {
            assert!(Glob::new(glob).matches(text), "{glob} {text}");
        }
        for (glob, text) in [("gpt", "gpt-5"), ("gpt-*", "gp"), ("a*b*c", "acb"), ("ab*ba", "aba"), ("*x*", "")] {
            assert!(!Glob::new(glob).matches(text), "{glob} {text}");
        }
    }

    #[test]
    fn hours_may_pass_midnight() {
        let at = |text: &str| Hours::read(text, text).unwrap().from;
        let cases = [
            ("22:00", "06:00", "23:00", true),
            ("22:00", "06:00", "05:59", true),
            ("22:00", "06:00", "06:00", false),
            ("09:00", "17:00", "12:00", true),
            ("09:00", "17:00", "08:59", false),
            ("00:00", "24:00", "23:59", true),
        ];
        for (from, until, now, expected) in cases {
            let hours = Hours::read(from, until).unwrap();
            assert_eq!(hours.hold(Millis::from(at(now)) * MINUTE_MS), expected, "{from} {until} {now}");
        }
        for wrong in ["24:01", "9:00", "12:60", "noon", "-1:00", "+9:00", "09:+1", "009:0", ""] {
            assert_eq!(Hours::read(wrong, "06:00"), None, "{wrong}");
        }
    }

    #[test]
    fn hours_cover_others_if_each_of_their_minutes_is_one_of_theirs() {
        let times = [0, 1, 360, 720, 1439, DAY_MINUTES];
        let pairs = times.into_iter().flat_map(|from| times.map(|until| Hours { from, until }));
        let all: Vec<Hours> = pairs.collect();
        for (wide, narrow) in all.iter().flat_map(|wide| all.iter().map(move |narrow| (wide, narrow))) {
            let expected = (0..DAY_MINUTES).filter(|minute| narrow.has(*minute)).all(|minute| wide.has(minute));
            assert_eq!(wide.cover(*narrow), expected, "{wide:?} {narrow:?}");
        }
        assert!((0..DAY_MINUTES).all(|minute| Hours::ALL.has(minute)));
    }

    #[test]
    fn every_condition_must_hold() {
        let headers = Headers::from_iter([("x-team", "search-eu")]);
        let facts = facts(&headers);
        let holds: Vec<fn(&mut When)> = vec![
            |_| {},
            |when| when.model = Some(Glob::new("claude-*")),
            |when| when.caller = Some(Glob::new("ci-*")),
            |when| when.tag = Some(Glob::new("team:*")),
            |when| when.headers = vec![("x-team".to_owned(), Glob::new("search-*"))],
            |when| when.body_bytes_over = Some(4_999),
            |when| when.body_bytes_under = Some(5_001),
            |when| when.needs = Needs::default().with(Need::Images),
            |when| when.between = Hours::read("22:00", "06:00"),
        ];
        let fails: Vec<fn(&mut When)> = vec![
            |when| when.model = Some(Glob::new("gpt-*")),
            |when| when.caller = Some(Glob::new("ci")),
            |when| when.tag = Some(Glob::new("team")),
            |when| when.headers = vec![("x-team".to_owned(), Glob::new("ads"))],
            |when| when.headers = vec![("x-absent".to_owned(), Glob::new("*"))],
            |when| when.body_bytes_over = Some(5_000),
            |when| when.body_bytes_under = Some(5_000),
            |when| when.needs = Needs::default().with(Need::Images).with(Need::Tools),
            |when| when.between = Hours::read("06:00", "22:00"),
        ];
        let mut all = When::default();
        for hold in &holds {
            let mut when = When::default();
            hold(&mut when);
            assert!(when.holds(("claude-opus-5", None), &facts), "{when:?}");
            hold(&mut all);
        }
        assert!(all.holds(("claude-opus-5", None), &facts));
        for fail in fails {
            let mut when = When::default();
            for hold in &holds {
                hold(&mut when);
            }
            fail(&mut when);
            assert!(!when.holds(("claude-opus-5", None), &facts), "{when:?}");
        }
    }

    #[test]
    fn an_ending_hides_no_model_from_a_rule() {
        let headers = Headers::default();
        let when = When { model: Some(Glob::new("gpt-5")), ..When::default() };
        for model in ["gpt-5", "gpt-5:floor", "gpt-5:nitro"] {
            assert!(when.holds((model, None), &facts(&headers)), "{model}");
        }
        assert!(!when.holds(("gpt-5:8b", None), &facts(&headers)), "this is another model");
    }

    #[test]
    fn rules_are_followed_in_order_and_each_once() {
        let headers = Headers::default();
        let rule = |model: &str, then| Rule { when: When { model: Some(Glob::new(model)), ..When::default() }, then };
        let to = |name: &str| Then::Use(vec![(name.to_owned(), 1)]);
        let rules = [
            rule("smart", to("claude")),
            rule("cl*", to("claude-2")),
            rule("claude-2", to("smart")),
            rule("*-secret", Then::Deny("not here".into())),
        ];
        let follow = |model| follow(&rules, (model, None), &facts(&headers), &mut Dice::new(1));
        assert_eq!(follow("gpt").unwrap(), Followed { model: None, rules: vec![] });
        assert_eq!(follow("smart").unwrap(), Followed { model: Some("smart"), rules: vec![0, 1, 2] }, "and not again");
        assert_eq!(follow("top-secret").unwrap_err(), Denied(3, "not here"));
    }

    #[test]
    fn a_rule_is_read_and_its_mistakes_are_named() {
        let compile = |json: &str| {
            let mut mistakes = Mistakes::default();
            let knows = |name: &str| if name == "smart" { Ok(()) } else { Err(format!("no model \"{name}\"")) };
            let rule = Rule::compile("rules[0]", &parse(json).unwrap(), knows, &mut mistakes);
            let mistakes = mistakes.or(()).err().unwrap_or_default().into_iter();
            (rule, mistakes.map(|Mistake(text)| text).collect::<Vec<_>>())
        };
        let (rule, mistakes) = compile(
            r#"{"when":{"model":"claude-*","headers":{"X-Team":"a"},"needs":["images"],"between":["22:00","06:00"]},"use":"smart"}"#,
        );
        let rule = rule.unwrap();
        assert!(mistakes.is_empty());
        assert_eq!(rule.then, Then::Use(vec![("smart".to_owned(), 1)]));
        assert_eq!(rule.when.headers, [("x-team".to_owned(), Glob::new("a"))]);
        assert!(rule.when.needs.has(Need::Images) && rule.when.between == Hours::read("22:00", "06:00"));
        let needs = "rules[0]: needs one of use (a model), split (models with their shares) and deny (a reason)";
        let cases = [
            ("{}", needs),
            (r#"{"use":"smart","deny":"no"}"#, needs),
            (r#"{"use":"smrat"}"#, r#"rules[0].use: no model "smrat""#),
            (r#"{"split":{"smart":0}}"#, "rules[0].split: no share is above 0"),
            (
                r#"{"when":{"between":["22:00"]},"use":"smart"}"#,
                r#"rules[0].when.between: not two times of day like ["22:00", "06:00"]"#,
            ),
        ];
        for (json, expected) in cases {
            assert_eq!(compile(json).1, [expected], "{json}");
        }
    }

    #[test]
    fn shares_converge() {
        let headers = Headers::default();
        let split = Then::Use(vec![("a".to_owned(), 90), ("b".to_owned(), 10)]);
        let rules = [Rule { when: When::default(), then: split }];
        let mut dice = Dice::new(3);
        let chosen = (0..10_000)
            .filter(|_| follow(&rules, ("m", None), &facts(&headers), &mut dice).unwrap().model == Some("a"));
        let count = chosen.count();
        assert!((8_900..9_100).contains(&count), "{count}");
    }
}
