//! How a model's targets are tried: written in the configuration, field by field over what holds for all models.

use super::class::{Class, Classes};
use super::health::{Caution, DOWN_MS_MAX};
use super::order::Order;
use crate::config::{PATIENCE, Patience};
use crate::host::Millis;
use crate::mistake::Mistakes;
use crate::named::Named;
use crate::nearest::nearest;
use crate::wire::json::{Read, Shape, objects, words, written};

objects! {
    /// As it is written: `[policy]` for all models, `[models.NAME.policy]` for one.
    #[derive(Debug, Default, Clone)]
    pub struct PolicyDraft {
        /// How the targets of a model are put in order.
        pub order: Option<Order>,
        /// What keeps to one target while that is up.
        pub sticky: Option<Sticky>,
        /// By `provider/model` or provider.
        pub weights: Named<u32> = Named::default(),
        /// Names of classes, or statuses like `"404"` and `"5xx"`.
        pub fall_on: Option<Vec<String>> where failures,
        /// How many attempts one request may make, over all targets.
        pub attempts: Option<u32> where above_zero,
        /// No attempt begins later than so many milliseconds after the first.
        pub attempts_ms: Option<u64> where above_zero,
        /// How often the same target is asked again before the next.
        pub retries: Option<u32>,
        /// Before the first time, in milliseconds; then twice as long each time.
        pub retry_ms: Option<u64>,
        /// So many failures in a row close a target.
        pub rest_after: Option<u32> where above_zero,
        /// For how many milliseconds, the first time; 0 is never, and 300000 the most.
        pub rest_ms: Option<u64> where rest,
        /// Another target is asked beside the first when that has not begun to answer for so many milliseconds; 0 is never.
        pub hedge_ms: Option<u64>,
        /// The same when so many in a hundred of the first target's answers would have begun; from 1 to 99.
        pub hedge_percentile: Option<u32> where percentile,
        /// Whether the next target goes on with a stream that broke off in the middle.
        pub splice: Option<bool>,
        /// Providers, or `provider/model`, besides which none is asked.
        pub only: Vec<String> = Vec::new(),
        /// Providers, or `provider/model`, that are not asked.
        pub ignore: Vec<String> = Vec::new(),
        /// Regions besides which none is asked, such as `eu`.
        pub regions: Vec<String> = Vec::new(),
        /// Whether only those are asked of whom it is known that they keep nothing.
        pub zero_retention: Option<bool>,
        /// Whether only those are asked of whom it is known that they do not train on what they are sent.
        pub no_training: Option<bool>,
    }
}

written! {
    impl PolicyDraft {
        order?, sticky?, weights?, fall_on?, attempts?, attempts_ms?, retries?, retry_ms?, rest_after?, rest_ms?, hedge_ms?, hedge_percentile?, splice?,
        only?, ignore?, regions?, zero_retention?, no_training?,
    }
}

fn above_zero(number: Shape) -> Shape {
    number.above_zero()
}

fn rest(number: Shape) -> Shape {
    Shape { maximum: Some(DOWN_MS_MAX), ..number }
}

fn percentile(number: Shape) -> Shape {
    Shape { minimum: Some(1), maximum: Some(99), ..number }
}

/// What [`Fall::read`] takes.
fn failures(_: Shape) -> Shape {
    let status = Shape::text("^[45](xx|[0-9][0-9])$", &["404", "5xx"]);
    Shape::list(Shape::any_of(vec![Class::shape(), status.under(&["A status, or all that begin like it."])]))
}

words! {
    /// What keeps to one target while that is up.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Sticky = "what keeps to one target" {
        /// A session that the caller names, or else a conversation by how it begins.
        Conversation as "conversation",
        /// Whoever sends the same system prompt and tools: one cache for many conversations.
        Prefix as "prefix",
    }
}

/// Ready to be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Whether a target is passed over that could be given only part of a request.
    pub strict: bool,
    pub patience: Patience,
    pub order: Order,
    pub sticky: Option<Sticky>,
    pub weights: Named<u32>,
    pub fall: Fall,
    pub budget: Budget,
    pub caution: Caution,
    pub hedge: Option<Hedge>,
    /// Whether the next target goes on with a stream that broke off in the middle.
    pub splice: bool,
    /// Providers besides which none is asked, where there is one.
    pub only: Vec<String>,
    pub ignore: Vec<String>,
    /// Regions besides which none is asked, where there is one.
    pub regions: Vec<String>,
    pub zero_retention: bool,
    pub no_training: bool,
}

/// After which failures the next target is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fall {
    pub classes: Classes,
    pub statuses: Vec<u16>,
}

/// What one request may spend on attempts, over all targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    pub attempts: u32,
    /// No attempt begins later than so long after the first.
    pub ms: Millis,
    /// How often the same target is asked again where that may help, before the next.
    pub retries: u32,
    /// Before the first time; then twice as long each time.
    pub retry_ms: Millis,
}

/// When a second target is asked beside the first, which has not begun to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hedge {
    After(Millis),
    /// When so many in a hundred of the first target's answers have begun.
    Percentile(u32),
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            strict: false,
            patience: PATIENCE,
            order: Order::Listed,
            sticky: None,
            weights: Named::default(),
            fall: Fall { classes: Classes::USUAL, statuses: Vec::new() },
            budget: Budget { attempts: 8, ms: 900_000, retries: 0, retry_ms: 500 },
            caution: Caution::default(),
            hedge: None,
            splice: false,
            only: Vec::new(),
            ignore: Vec::new(),
            regions: Vec::new(),
            zero_retention: false,
            no_training: false,
        }
    }
}

impl Fall {
    /// Whether the next target is asked after a failure of `class`, which came with a status or without.
    pub fn falls(&self, class: Class, status: Option<u16>) -> bool {
        self.classes.has(class) || status.is_some_and(|status| self.statuses.contains(&status))
    }

    /// Of names like `"rate-limit"` and statuses like `"404"` or `"5xx"`.
    fn read(at: &str, names: &[String], mistakes: &mut Mistakes) -> Self {
        let mut classes = Vec::new();
        let mut statuses = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let class = Class::ALL.iter().find(|class| class.word() == name);
            // A number may be written with a sign and with zeros, and a status is not.
            let status = name.parse::<u16>().ok().filter(|status| name.len() == 3 && (400..=599).contains(status));
            match (class, status, name.as_str()) {
                (Some(class), ..) => classes.push(*class),
                (None, Some(status), _) => statuses.push(status),
                (None, None, "4xx") => statuses.extend(400..500),
                (None, None, "5xx") => statuses.extend(500..600),
                _ => {
                    let near = nearest(name, Class::ALL.iter().map(|class| class.word()));
                    let hint = near.map_or_else(
                        || "a class like \"rate-limit\" or a status like \"404\" or \"5xx\"".to_owned(),
                        |near| format!("did you mean \"{near}\"?"),
                    );
                    mistakes.say(&format!("{at}.fall_on[{index}]"), &format!("\"{name}\" is no failure; {hint}"));
                }
            }
        }
        Self { classes: classes.into_iter().collect(), statuses }
    }
}

impl Policy {
    /// What is written at `at`, over `otherwise`.
    pub fn compile(at: &str, written: &PolicyDraft, otherwise: &Self, mistakes: &mut Mistakes) -> Self {
        let mut least = |field: &str, value: u64, means: &str| {
            if value == 0 {
                let why = format!("0 would mean {means}; leave it out or take 1 or more");
                mistakes.say(&format!("{at}.{field}"), &why);
            }
        };
        least("attempts", written.attempts.map_or(1, u64::from), "that nothing is asked");
        least("attempts_ms", written.attempts_ms.unwrap_or(1), "that nothing is asked");
        least("rest_after", written.rest_after.map_or(1, u64::from), "that every target is left alone");
        if written.rest_ms.is_some_and(|rest_ms| rest_ms > DOWN_MS_MAX) {
            let why = format!("at most {DOWN_MS_MAX}; a target is tried every five minutes at least");
            mistakes.say(&format!("{at}.rest_ms"), &why);
        }
        let hedge = match (written.hedge_ms, written.hedge_percentile) {
            (None, None) => otherwise.hedge,
            // 0 is never, for a model that is an exception.
            (Some(0), None) => None,
            (Some(ms), None) => Some(Hedge::After(ms)),
            (None, Some(percent @ 1..=99)) => Some(Hedge::Percentile(percent)),
            (None, Some(_)) => {
                mistakes.say(&format!("{at}.hedge_percentile"), "from 1 to 99, like 95");
                None
            }
            (Some(_), Some(_)) => {
                mistakes.say_anyway(at, "has hedge_ms and hedge_percentile; leave one out");
                None
            }
        };
        let list = |written: &[String], otherwise: &[String]| {
            if written.is_empty() { otherwise.to_vec() } else { written.to_vec() }
        };
        let mut weights = otherwise.weights.clone();
        for (name, weight) in written.weights.iter() {
            weights.insert(name.to_owned(), *weight);
        }
        Self {
            strict: otherwise.strict,
            patience: otherwise.patience,
            order: written.order.unwrap_or(otherwise.order),
            sticky: written.sticky.or(otherwise.sticky),
            weights,
            fall: match &written.fall_on {
                Some(names) => Fall::read(at, names, mistakes),
                None => otherwise.fall.clone(),
            },
            budget: Budget {
                attempts: written.attempts.unwrap_or(otherwise.budget.attempts),
                ms: written.attempts_ms.unwrap_or(otherwise.budget.ms),
                retries: written.retries.unwrap_or(otherwise.budget.retries),
                retry_ms: written.retry_ms.unwrap_or(otherwise.budget.retry_ms),
            },
            caution: Caution {
                failures: written.rest_after.unwrap_or(otherwise.caution.failures),
                rest_ms: written.rest_ms.unwrap_or(otherwise.caution.rest_ms),
            },
            hedge,
            splice: written.splice.unwrap_or(otherwise.splice),
            only: list(&written.only, &otherwise.only),
            ignore: list(&written.ignore, &otherwise.ignore),
            regions: list(&written.regions, &otherwise.regions),
            zero_retention: written.zero_retention.unwrap_or(otherwise.zero_retention),
            no_training: written.no_training.unwrap_or(otherwise.no_training),
        }
    }

    /// How often a target is the first where that is up to chance.
    pub fn weight(&self, provider: &str, model: &str) -> u32 {
        if self.weights.is_empty() {
            return 1;
        }
        let own = self.weights.get(&format!("{provider}/{model}"));
        own.or_else(|| self.weights.get(provider)).copied().unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mistake::Mistake;
    use crate::wire::json::parse;

    fn compile(json: &str, otherwise: &Policy) -> (Policy, Vec<String>) {
        let mut mistakes = Mistakes::default();
        let policy = Policy::compile("policy", &parse(json).unwrap(), otherwise, &mut mistakes);
        (policy, mistakes.or(()).err().unwrap_or_default().into_iter().map(|Mistake(text)| text).collect())
    }

    #[test]
    fn what_is_not_written_is_taken_from_above() {
        let (above, mistakes) = compile(
            r#"{"order":"weighted","weights":{"openai":3,"openai/gpt-5":5},"attempts":2,"hedge_percentile":95,"splice":true,"only":["openai"]}"#,
            &Policy::default(),
        );
        assert!(mistakes.is_empty());
        let (policy, _) =
            compile(r#"{"order":"cheapest","weights":{"groq":2},"sticky":"prefix","hedge_ms":0}"#, &above);
        assert_eq!((policy.order, policy.sticky, policy.hedge), (Order::Cheapest, Some(Sticky::Prefix), None));
        assert_eq!((policy.budget.attempts, policy.budget.ms), (2, 900_000));
        assert_eq!(policy.only, ["openai"]);
        assert!(policy.splice && !compile(r#"{"splice":false}"#, &policy).0.splice);
        let weights = [("openai", "gpt-5"), ("openai", "o5"), ("groq", "x"), ("xai", "y")];
        assert_eq!(weights.map(|(provider, model)| policy.weight(provider, model)), [5, 3, 2, 1]);
        assert_eq!(compile("{}", &policy).0, policy);
    }

    #[test]
    fn failures_to_fall_on_are_classes_and_statuses() {
        let (policy, mistakes) = compile(r#"{"fall_on":["rate-limit","404","5xx"]}"#, &Policy::default());
        assert!(mistakes.is_empty());
        assert!(policy.fall.falls(Class::RateLimit, Some(429)) && policy.fall.falls(Class::NoModel, Some(404)));
        assert!(policy.fall.falls(Class::ServerError, Some(500)));
        assert!(!policy.fall.falls(Class::Timeout, None) && !policy.fall.falls(Class::Invalid, Some(400)));
    }

    #[test]
    fn mistakes_name_their_place() {
        let cases = [
            (
                r#"{"fall_on":["rate-limits"]}"#,
                r#"policy.fall_on[0]: "rate-limits" is no failure; did you mean "rate-limit"?"#,
            ),
            (
                r#"{"fall_on":["200"]}"#,
                r#"policy.fall_on[0]: "200" is no failure; a class like "rate-limit" or a status like "404" or "5xx""#,
            ),
            (
                r#"{"attempts":0}"#,
                "policy.attempts: 0 would mean that nothing is asked; leave it out or take 1 or more",
            ),
            (r#"{"rest_ms":3600000}"#, "policy.rest_ms: at most 300000; a target is tried every five minutes at least"),
            (r#"{"hedge_percentile":100}"#, "policy.hedge_percentile: from 1 to 99, like 95"),
            (r#"{"hedge_ms":1,"hedge_percentile":90}"#, "policy: has hedge_ms and hedge_percentile; leave one out"),
        ];
        for (json, expected) in cases {
            assert_eq!(compile(json, &Policy::default()).1, [expected], "{json}");
        }
    }
}
