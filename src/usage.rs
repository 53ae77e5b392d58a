//! How a provider's servers tell usage otherwise than their dialect does, as data: a row of the catalogue or of the
//! configuration. Where a row says nothing, the dialect's own rule holds.
//!
//! A rule is for what an answer leaves open. What it says clearly needs none: a count of reasoning is what it is by any of the
//! names that servers have for it, and of counts that a stream repeats the last one is the whole.

use crate::mistake::Mistakes;
use crate::price::Picodollars;
use crate::wire::json::{Fields, Raw, Shape, objects, words, written};

objects! {
    /// How the answers of some models tell usage.
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    pub struct Rule {
        /// How the names of its models begin; all where it names none. The first rule for a model counts.
        pub models: Vec<String> = Vec::new(),
        /// Where tokens are counted that were read from a cache or written to it: among those of the prompt, or not. What
        /// is not said is told by the sums, as well as they can.
        pub cached: Option<Place>,
        /// Where those of reasoning are: among those of the completion, or not.
        pub reasoning: Option<Place>,
        /// The field of `usage` that counts what was read from a cache, such as `prompt.cached`, where it has a name of
        /// its own.
        pub cached_at: Option<String> where path,
        /// That of what was written to a cache.
        pub cache_write_at: Option<String> where path,
        /// That of reasoning.
        pub reasoning_at: Option<String> where path,
        /// What it says that an answer cost. No other word for a cost is believed: nobody knows what it is counted in.
        pub cost: Option<Cost>,
    }

    /// Where a provider tells what an answer cost.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Cost {
        /// The field of `usage`, such as `cost.total_cost`.
        pub at: String where path,
        /// How many decimal places of a dollar its unit is: 0 of dollars, 2 of cents, 10 of xAI's ticks.
        pub decimals: u32 where decimals = 0,
        /// The field, in the same unit, of what the provider behind it bills besides where `is_byok` is true.
        pub behind_at: Option<String> where path,
    }
}

words! {
    /// Where tokens are counted. In Chat Completions and its legacy form only: in other dialects all servers agree.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Place = "where tokens are counted" {
        /// Among all of them.
        Inside as "inside",
        /// Besides them.
        Beside as "beside",
    }
}

written! {
    impl Rule { models?, cached?, reasoning?, cached_at?, cache_write_at?, reasoning_at?, cost? }
    impl Cost { at, decimals, behind_at? }
}

/// A unit that is smaller is none that anybody bills in.
const DECIMALS_MAX: u32 = 18;

/// Names of fields, each inside the one before it.
fn path(_: Shape) -> Shape {
    Shape::text("^[^.]+([.][^.]+)*$", &["cost", "cost.total_cost"])
}

fn decimals(number: Shape) -> Shape {
    Shape { maximum: Some(DECIMALS_MAX.into()), ..number }
}

impl Rule {
    /// The one of `rules` that is for `model`.
    pub fn of(rules: &[Self], model: &str) -> Self {
        let is_for = |rule: &&Self| rule.models.is_empty() || rule.models.iter().any(|start| model.starts_with(start));
        rules.iter().find(is_for).cloned().unwrap_or_default()
    }

    /// Whether one of `before` is for every model that it is for.
    pub fn is_behind(&self, before: &[Self]) -> bool {
        let is_all = |rule: &Self| rule.models.is_empty() || rule.models.iter().any(String::is_empty);
        let is_taken = |name: &String| before.iter().flat_map(|rule| &rule.models).any(|start| name.starts_with(start));
        before.iter().any(is_all) || !self.models.is_empty() && self.models.iter().all(is_taken)
    }

    /// What it says of counts, which only some dialects leave open.
    pub fn counts(&self) -> impl Iterator<Item = &'static str> {
        let fields = [
            ("cached", self.cached.is_some()),
            ("reasoning", self.reasoning.is_some()),
            ("cached_at", self.cached_at.is_some()),
            ("cache_write_at", self.cache_write_at.is_some()),
            ("reasoning_at", self.reasoning_at.is_some()),
        ];
        fields.into_iter().filter(|(_, is_there)| *is_there).map(|(field, _)| field)
    }

    /// Tells what of it, as it is written at `place`, makes no sense.
    pub fn check(&self, place: &str, mistakes: &mut Mistakes) {
        let cost = self.cost.as_ref();
        let paths = [
            ("cached_at", self.cached_at.as_ref()),
            ("cache_write_at", self.cache_write_at.as_ref()),
            ("reasoning_at", self.reasoning_at.as_ref()),
            ("cost.at", cost.map(|cost| &cost.at)),
            ("cost.behind_at", cost.and_then(|cost| cost.behind_at.as_ref())),
        ];
        for (field, path) in paths {
            if path.is_some_and(|path| path.split('.').any(str::is_empty)) {
                let why = "is no name of a field like \"cost\" or \"cost.total_cost\"";
                mistakes.say(&format!("{place}.{field}"), why);
            }
        }
        if cost.is_some_and(|cost| cost.decimals > DECIMALS_MAX) {
            let why = format!("at most {DECIMALS_MAX}; 0 is dollars, 2 is cents");
            mistakes.say(&format!("{place}.cost.decimals"), &why);
        }
    }
}

impl Cost {
    /// What `usage` says that an answer cost; `None` where that is nothing, or no amount.
    pub fn read(&self, usage: &Fields<'_>) -> Option<Picodollars> {
        let amount = |path: &str| Picodollars::nearest_of(at(usage, path)?.get(), self.decimals);
        let own = amount(&self.at)?;
        let is_own_key = usage.raw("is_byok").is_some_and(|raw| raw.get() == "true");
        let behind = self.behind_at.as_deref().filter(|_| is_own_key).and_then(amount).unwrap_or_default();
        Some(Picodollars(own.0.saturating_add(behind.0)))
    }
}

/// What stands at `path` below `fields`: `a.b` is the field `b` of the object `a`.
pub fn at<'a>(fields: &Fields<'a>, path: &str) -> Option<Raw<'a>> {
    match path.split_once('.') {
        None => fields.raw(path),
        Some((name, rest)) => at(&Fields::read(fields.raw(name)?.get().as_bytes()).ok()?, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::parse;

    fn cost(rule: &str, usage: &str) -> Option<u64> {
        let cost: Cost = parse(rule).unwrap();
        cost.read(&Fields::read(usage.as_bytes()).unwrap()).map(|cost| cost.0)
    }

    #[test]
    fn a_cost_is_read_where_and_in_the_unit_that_its_rule_says() {
        let plain = r#"{"at":"cost"}"#;
        let own_key = r#"{"at":"cost","behind_at":"cost_details.upstream_inference_cost"}"#;
        let total = r#"{"at":"cost.total_cost"}"#;
        let ticks = r#"{"at":"cost_in_usd_ticks","decimals":10}"#;
        let cents = r#"{"at":"cost","decimals":2}"#;
        let cases = [
            (plain, r#"{"cost":0.00003015}"#, Some(30_150_000)),
            (plain, r#"{"cost":3.7999999999999996e-07}"#, Some(380_000)),
            (plain, r#"{"cost":0}"#, Some(0)),
            (plain, r#"{"cost":-1}"#, None),
            (plain, r#"{"cost":"free"}"#, None),
            (plain, r#"{"cost":null}"#, None),
            (plain, r#"{"estimated_cost":1}"#, None),
            (
                own_key,
                r#"{"cost":0.001,"is_byok":true,"cost_details":{"upstream_inference_cost":0.02}}"#,
                Some(21_000_000_000),
            ),
            (
                own_key,
                r#"{"cost":0.001,"is_byok":true,"cost_details":{"upstream_inference_cost":null}}"#,
                Some(1_000_000_000),
            ),
            (
                own_key,
                r#"{"cost":0.02,"is_byok":false,"cost_details":{"upstream_inference_cost":0.02}}"#,
                Some(20_000_000_000),
            ),
            (
                plain,
                r#"{"cost":0.02,"is_byok":true,"cost_details":{"upstream_inference_cost":0.02}}"#,
                Some(20_000_000_000),
            ),
            (total, r#"{"cost":{"input_tokens_cost":1,"total_cost":0.00512}}"#, Some(5_120_000_000)),
            (total, r#"{"cost":1}"#, None),
            (ticks, r#"{"cost_in_usd_ticks":1641500}"#, Some(164_150_000)),
            (ticks, r#"{"cost_in_usd_ticks":90000000000}"#, Some(9_000_000_000_000)),
            (cents, r#"{"cost":1.5}"#, Some(15_000_000_000)),
            (cents, r#"{"cost":2e-3}"#, Some(20_000_000)),
        ];
        for (rule, usage, expected) in cases {
            assert_eq!(cost(rule, usage), expected, "{rule} {usage}");
        }
    }

    #[test]
    fn the_first_rule_for_a_model_counts() {
        let rules: Vec<Rule> =
            parse(r#"[{"models":["grok","g/"],"cached":"beside"},{"reasoning":"inside"},{"reasoning":"beside"}]"#)
                .unwrap();
        assert_eq!(Rule::of(&rules, "grok-4").cached, Some(Place::Beside));
        assert_eq!(Rule::of(&rules, "g/m"), rules[0]);
        assert_eq!(Rule::of(&rules, "gpt-5"), rules[1]);
        assert_eq!(Rule::of(&rules[..1], "gpt-5"), Rule::default());
    }

    #[test]
    fn a_rule_is_behind_those_that_are_for_all_of_its_models() {
        let cases = [
            (r#"[{},{"models":["a"]}]"#, true),
            (r#"[{"models":[""]},{}]"#, true),
            (r#"[{"models":["a"]},{"models":["b"]},{"models":["ab","b"]}]"#, true),
            (r#"[{"models":["ab"]},{"models":["a"]}]"#, false),
            (r#"[{"models":["a"]},{"models":["a","b"]}]"#, false),
            (r#"[{"models":["a"]},{}]"#, false),
            ("[{}]", false),
        ];
        for (rules, expected) in cases {
            let rules: Vec<Rule> = parse(rules).unwrap();
            let (last, before) = rules.split_last().unwrap();
            assert_eq!(last.is_behind(before), expected, "{rules:?}");
        }
    }

    #[test]
    fn each_thing_that_can_never_hold_is_a_mistake() {
        let cases: [(&str, &[&str]); 6] = [
            (r#"{"cached_at":"","reasoning_at":"a..b"}"#, &["r.cached_at: is no", "r.reasoning_at: is no"]),
            (
                r#"{"cache_write_at":".","cost":{"at":"a.","decimals":19}}"#,
                &["r.cache_write_at: is no", "r.cost.at: is no", "r.cost.decimals: at most 18"],
            ),
            (r#"{"cost":{"at":"a","behind_at":""}}"#, &["r.cost.behind_at: is no"]),
            (r#"{"cost":{"at":"a","decimals":19}}"#, &["r.cost.decimals: at most 18"]),
            (r#"{"cost":{"at":"a.b","decimals":18}}"#, &[]),
            ("{}", &[]),
        ];
        for (rule, expected) in cases {
            let mut mistakes = Mistakes::default();
            parse::<Rule>(rule).unwrap().check("r", &mut mistakes);
            let told = mistakes.or(()).err().unwrap_or_default();
            assert_eq!(told.len(), expected.len(), "{told:?}");
            assert!(told.iter().zip(expected).all(|(told, expected)| told.0.starts_with(expected)), "{told:?}");
        }
    }
}
