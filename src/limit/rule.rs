//! What is bounded, for whom, and over which time: one line of `[limits]`.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::calendar::{DAY_MS, day, day_end, month, month_end, week, week_end};
use crate::config::{Caller, Target};
use crate::host::Millis;
use crate::price::Picodollars;
use crate::route::place::is_named;
use crate::route::rule::{Facts, When};
use crate::wire::json::words;

words! {
    /// Whom a limit counts: each has all of it.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub enum Per = "whom a limit counts" {
        /// All together.
        #[default]
        All as "all",
        /// Each caller, by its key.
        Caller as "caller",
        /// Each project: the callers that have its name.
        Project as "project",
        /// Each end user of a caller, as its requests name them; those that name none are one.
        User as "user",
        /// Each tag that a request has.
        Tag as "tag",
        /// Each model that is asked for, as the rules have it.
        Model as "model",
        /// Each short-lived token; requests that come with a key are not counted.
        Token as "token",
        /// Each provider that is asked by the gateway's keys, as often as it is. Where there is no room, the next target is
        /// asked.
        Provider as "provider",
    }

    /// What a limit counts.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Unit = "what a limit counts" {
        Requests as "requests",
        InputTokens as "input-tokens",
        OutputTokens as "output-tokens",
        /// Of input and output.
        Tokens as "tokens",
        /// Requests under way.
        Concurrent as "concurrent",
        /// Picodollars.
        Cost as "cost",
    }

    /// How long a limit counts, by the clock and the calendar (UTC).
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Every = "a time" {
        Minute as "minute",
        Hour as "hour",
        Day as "day",
        /// From Monday.
        Week as "week",
        Month as "month",
        /// For ever.
        Total as "total",
    }

    /// What becomes of a request that a limit cannot count, because the store of the counters is down.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Blind = "what becomes of requests that cannot be counted" {
        Refuse as "refuse",
        Admit as "admit",
    }
}

/// A bound on what is asked for.
#[derive(Debug)]
pub struct Limit {
    pub name: String,
    pub per: Per,
    /// Which providers it counts, or models of theirs as `provider/model`, where it counts providers; all if there is none.
    pub providers: Vec<String>,
    /// Which requests it counts.
    pub when: When,
    pub unit: Unit,
    pub most: u64,
    pub span: Span,
    /// The model that is asked for once there is no room; none refuses.
    pub instead: Option<String>,
    /// Shares in percent from which on an answer says how much is used.
    pub warn_at: Vec<u32>,
    /// Whether a request counts whose price is not known. It then counts what the upstream says that it cost, or next
    /// to nothing.
    pub unpriced: bool,
    /// Whether money counts that callers pay themselves, by their own keys of providers.
    pub own_keys: bool,
    pub blind: Blind,
}

/// Over which time a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// What is under way.
    Now,
    /// A window of the clock, counted where it passes. In more than one slice it slides: the window is then whatever lies
    /// between now and its length ago, and of the slice that has begun to leave it all is still counted. So no more than
    /// the limit is ever in a window wherever it begins, and a place is free again a slice late at most.
    ///
    /// Slices are added to, as all counters are; the times of arrival that GCRA keeps would have to be read and written.
    Window { every: Every, slices: u64 },
    /// A part of the calendar: what is used in it is kept.
    Period(Every),
    /// All up to an instant, after which it is forgotten.
    Until(Millis),
}

/// So many slices has a window that slides.
pub const SLICES: u64 = 6;

impl Span {
    pub fn every(self) -> Option<Every> {
        match self {
            Self::Now | Self::Until(_) => None,
            Self::Window { every, .. } | Self::Period(every) => Some(every),
        }
    }

    /// When there will be room again, if nothing is given back.
    pub fn frees_at(self, now: Millis) -> Millis {
        match self {
            Self::Now => now,
            Self::Window { every, slices } => {
                let slice_ms = every.ms() / slices;
                (now / slice_ms + 1) * slice_ms
            }
            Self::Period(every) => every.end(now),
            Self::Until(end) => end,
        }
    }
}

impl Every {
    /// Of those that have a length of their own.
    pub fn ms(self) -> Millis {
        match self {
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day => DAY_MS,
            Self::Week => 7 * DAY_MS,
            Self::Month => 31 * DAY_MS,
            Self::Total => Millis::MAX,
        }
    }

    /// The part of the calendar in which `now` is.
    pub fn period(self, now: Millis) -> String {
        match self {
            Self::Minute | Self::Hour => (now / self.ms() * self.ms()).to_string(),
            Self::Day => day(now),
            Self::Week => week(now),
            Self::Month => month(now),
            Self::Total => self.word().to_owned(),
        }
    }

    /// When that part is over.
    pub fn end(self, now: Millis) -> Millis {
        match self {
            Self::Minute | Self::Hour => (now / self.ms() + 1) * self.ms(),
            Self::Day => day_end(now),
            Self::Week => week_end(now),
            Self::Month => month_end(now),
            Self::Total => Millis::MAX,
        }
    }
}

impl Limit {
    /// On all requests together; refuses once there is no room.
    pub fn of(name: &str, unit: Unit, most: u64, span: Span) -> Self {
        // Money is not spent unseen; a rate protects what goes on without it for a while.
        let blind = if unit == Unit::Cost { Blind::Refuse } else { Blind::Admit };
        let (name, when, warn_at) = (name.to_owned(), When::default(), Vec::new());
        let (unpriced, own_keys) = (false, false);
        Self {
            name,
            per: Per::All,
            providers: Vec::new(),
            when,
            unit,
            most,
            span,
            instead: None,
            warn_at,
            unpriced,
            own_keys,
            blind,
        }
    }

    /// What an amount of its unit is, for people.
    pub fn amount(&self, count: u64) -> String {
        match self.unit {
            Unit::Cost => Picodollars(count).to_string(),
            Unit::Requests | Unit::Concurrent if count == 1 => "1 request".to_owned(),
            Unit::Requests | Unit::Concurrent => format!("{count} requests"),
            Unit::InputTokens => format!("{count} input tokens"),
            Unit::OutputTokens => format!("{count} output tokens"),
            Unit::Tokens => format!("{count} tokens"),
        }
    }

    /// The counter of what `owner` has used of it for good.
    pub fn used(&self, owner: &str, now: Millis) -> Option<String> {
        match self.span {
            // Counted in any case, so that a cap holds for all of the month in which it is written.
            Span::Period(Every::Month) if self.is_cap() => Some(spent(owner, now)),
            Span::Period(every) => Some(format!("used/{owner}/{}/{}", self.name, every.period(now))),
            Span::Now | Span::Window { .. } | Span::Until(_) => None,
        }
    }

    /// Whether it is on all that a caller spends.
    fn is_cap(&self) -> bool {
        (self.per, self.unit) == (Per::Caller, Unit::Cost) && self.when.is_always() && !self.own_keys
    }

    /// Whether it is on the gateway's money alone.
    pub fn is_of_gateway(&self) -> bool {
        self.unit == Unit::Cost && !self.own_keys
    }

    /// Whether it counts what a target is asked, where it counts providers: by callers' own keys only if it says so.
    pub fn counts(&self, target: &Target) -> bool {
        let is_meant = self.providers.is_empty() || self.providers.iter().any(|name| is_named(target, name));
        is_meant && (self.own_keys || target.own.is_none())
    }

    /// As whom it counts a caller's requests of any kind; `None` where that depends on the request.
    pub fn owner(&self, caller: &Caller) -> Option<String> {
        match self.per {
            Per::All => Some(":all".to_owned()),
            Per::Caller => Some(caller.name.clone()),
            Per::Project => caller.project.as_ref().map(|project| format!("project:{project}")),
            Per::Token => caller.token.as_ref().map(|token| format!("token:{}:{}", caller.name, token.id)),
            Per::User | Per::Tag | Per::Model | Per::Provider => None,
        }
    }

    /// The counter of what a caller has used of it for good, and until when that counts; `None` where there is no such one.
    pub fn kept(&self, caller: &Caller, now: Millis) -> Option<(String, Every)> {
        self.used(&self.owner(caller)?, now).zip(self.span.every())
    }

    /// The same of a budget, which may also be for as long as a token lives: that is in no part of the calendar.
    pub fn budget(&self, caller: &Caller, now: Millis) -> Option<(String, Option<Every>)> {
        match self.span {
            Span::Until(end) => Some((passing(&self.owner(caller)?, &self.name, end), None)),
            _ => self.kept(caller, now).map(|(counter, every)| (counter, Some(every))),
        }
    }
}

/// The counter of what is used of a limit, and held, until `end`.
pub fn passing(owner: &str, name: &str, end: Millis) -> String {
    format!("rate/{owner}/{name}/{end}")
}

/// The counter of what a caller has spent in the month of `now`.
pub fn spent(caller: &str, now: Millis) -> String {
    format!("spend/{caller}/{}", month(now))
}

/// A limit that counts a request, and as whom.
#[derive(Debug, Clone)]
pub struct Due {
    pub limit: Arc<Limit>,
    /// Empty where it counts providers, of whom it is not known yet who is asked.
    pub owner: String,
}

impl Due {
    /// The same for a provider that is asked.
    pub fn at(&self, provider: &str) -> Self {
        Self { limit: self.limit.clone(), owner: format!("provider:{provider}") }
    }
}

/// The limits that count a request which may be put to `models`: its caller's own first, and those of one owner beside each
/// other. `models` are given as they are asked for and as they may be called besides.
pub fn due(
    limits: &[Arc<Limit>],
    caller: &Caller,
    user: Option<&str>,
    models: &[(&str, Option<String>)],
    facts: &Facts<'_>,
) -> Vec<Due> {
    let mut found: Vec<Due> = Vec::new();
    for limit in caller.limits.iter().chain(limits) {
        let holds = |(model, other): &&(&str, Option<String>)| limit.when.holds((model, other.as_deref()), facts);
        let mut models = models.iter().filter(holds).peekable();
        if models.peek().is_none() {
            continue;
        }
        let is_meant = |tag: &&String| limit.when.tag.as_ref().is_none_or(|glob| glob.matches(tag));
        let owners: Vec<String> = match limit.per {
            Per::User => vec![format!("user:{}:{}", caller.name, plain(user.unwrap_or_default()))],
            Per::Tag => facts.tags.iter().filter(is_meant).map(|tag| format!("tag:{}", plain(tag))).collect(),
            Per::Model => models.map(|(model, _)| format!("model:{}", plain(model))).collect(),
            Per::All | Per::Caller | Per::Project | Per::Token => limit.owner(caller).into_iter().collect(),
            // Once it is known who is asked.
            Per::Provider => vec![String::new()],
        };
        for owner in owners {
            let is_same = |due: &Due| due.owner == owner;
            let at = found.iter().rposition(is_same).map_or(found.len(), |at| at + 1);
            // A request that has a tag twice has it once.
            if !found.iter().any(|due| is_same(due) && Arc::ptr_eq(&due.limit, limit)) {
                found.insert(at, Due { limit: limit.clone(), owner });
            }
        }
    }
    found
}

/// A caller's word as part of a counter's name: one that is short and plain is itself.
fn plain(text: &str) -> String {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@:".contains(&byte);
    if text.len() <= 64 && text.bytes().all(fits) {
        return text.to_owned();
    }
    let digest = Sha256::digest(text);
    digest.iter().take(16).fold("~".to_owned(), |name, byte| format!("{name}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Headers;
    use crate::route::need::Needs;
    use crate::route::rule::Glob;

    fn limit(per: Per, when: When) -> Arc<Limit> {
        Arc::new(Limit { per, when, ..Limit::of("l", Unit::Requests, 1, Span::Now) })
    }

    fn owners(limits: &[Arc<Limit>], user: Option<&str>, models: &[&str]) -> Vec<String> {
        let caller = Caller { project: Some("search".to_owned()), ..Caller::local() };
        let tags = ["a", "b c", "a"].map(str::to_owned);
        let headers = Headers::default();
        let facts = Facts {
            caller: &caller.name,
            tags: &tags,
            headers: &headers,
            body_bytes: 1,
            needs: Needs::default(),
            now: 0,
        };
        let models: Vec<_> = models.iter().map(|model| (*model, None)).collect();
        due(limits, &caller, user, &models, &facts).into_iter().map(|due| due.owner).collect()
    }

    #[test]
    fn a_limit_counts_each_whom_it_is_for() {
        let spaced = "tag:~ef0a0ea1c4f5cea3e24c8e6ec3f6a0fb";
        let cases: [(Per, Option<&str>, &[&str]); 7] = [
            (Per::All, None, &[":all"]),
            (Per::Caller, None, &["local"]),
            (Per::Project, None, &["project:search"]),
            (Per::User, Some("u1"), &["user:local:u1"]),
            (Per::User, None, &["user:local:"]),
            (Per::Model, None, &["model:m", "model:n"]),
            (Per::Tag, None, &["tag:a", spaced]),
        ];
        for (per, user, expected) in cases {
            let found = owners(&[limit(per, When::default())], user, &["m", "n"]);
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for (found, expected) in found.iter().zip(expected) {
                assert!(found == expected || found.starts_with("tag:~") && found.len() == spaced.len(), "{found}");
            }
        }
    }

    #[test]
    fn only_requests_that_are_meant_are_counted_and_one_owners_counters_stand_together() {
        let of_model = || When { model: Some(Glob::new("gpt-*")), ..When::default() };
        let of_tag = When { tag: Some(Glob::new("b*")), ..When::default() };
        let limits = [
            limit(Per::Caller, When::default()),
            limit(Per::Tag, of_tag),
            limit(Per::Caller, of_model()),
            limit(Per::Model, of_model()),
        ];
        assert_eq!(owners(&limits, None, &["x"])[..1], ["local"]);
        assert_eq!(owners(&limits, None, &["x"]).len(), 2, "its own and the tag's");
        let found = owners(&limits, None, &["x", "gpt-5"]);
        assert_eq!(found.len(), 4, "{found:?}");
        assert_eq!((found[0].as_str(), found[1].as_str(), found[3].as_str()), ("local", "local", "model:gpt-5"));
    }

    #[test]
    fn room_comes_back_when_a_slice_or_a_period_is_over() {
        let sliding = Span::Window { every: Every::Minute, slices: SLICES };
        let fixed = Span::Window { every: Every::Minute, slices: 1 };
        assert_eq!((sliding.frees_at(61_000), fixed.frees_at(61_000)), (70_000, 120_000));
        assert_eq!(Span::Period(Every::Day).frees_at(61_000), DAY_MS);
        assert_eq!(Span::Period(Every::Total).frees_at(61_000), Millis::MAX);
    }
}
