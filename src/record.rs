//! What is remembered of one request: a line for the operator, and what is added to the counters.
//!
//! A record is closed by value, so a request cannot be settled twice.

use crate::bill::Bill;
use crate::catalog::models::{Origin, Priced};
use crate::chat::Usage;
use crate::config::Target;
use crate::host::Millis;
use crate::limit::Add;
use crate::limit::calendar::day;
use crate::limit::ticket::{Spent, Ticket};
use crate::price::{Picodollars, cost};
use crate::receipt::{Kept, Sums, first_id};
use crate::route::Outcome;
use crate::route::health::{HASH_START, Verdict, hash};
use crate::route::watch::Watch;
use crate::wire::csv::{Cell, Sheet};
use crate::wire::json::{to_string, written};

/// One request, from its arrival until it is settled.
#[derive(Debug)]
pub struct Record {
    pub id: String,
    pub path: &'static str,
    pub started: Millis,
    /// From which its dice are rolled.
    pub chance: u64,
    /// By which configuration it is served.
    pub configuration: String,
    /// How long its receipt is kept; 0 where none is.
    pub receipts_ms: Millis,
    pub caller: String,
    /// As the caller named it.
    pub model: String,
    /// The places of the rules that gave it another model, or none.
    pub rules: Vec<usize>,
    /// The limits without room, in whose place another model was asked for.
    pub limits: Vec<String>,
    pub tags: Vec<String>,
    /// The end user, as the caller names one.
    pub user: Option<String>,
    pub stream: bool,
    pub status: u16,
    pub attempts: Vec<Attempt>,
    /// Why a file of the request could not be fetched, as the host has it; else empty.
    pub unfetched: String,
    /// What the request asked for that the one who answers could not be given: names, in bounds.
    pub lost: String,
    pub first_byte_ms: Option<Millis>,
    /// Present once the request was admitted.
    pub ticket: Option<Ticket>,
    /// Present once a target's answer is on its way.
    pub served: Option<Served>,
    /// Who answered before, each until it broke off.
    pub parts: Vec<Part>,
    /// To which its end is told.
    pub watch: Option<Watch>,
}

#[derive(Debug, Clone)]
pub struct Attempt {
    /// `provider/model`.
    pub target: String,
    pub outcome: Outcome,
    pub ms: Millis,
    /// Why it could not be reached, as the host has it; else empty.
    pub cause: String,
    /// Whether it was asked by a key of the caller's own.
    pub own_key: bool,
    /// Of one that was cancelled before it answered.
    pub abandoned: Option<Abandoned>,
    /// Its places under the limits of its provider, where it did not answer.
    pub ticket: Option<Box<Ticket>>,
}

/// An attempt that is paid for without an answer.
#[derive(Debug, Clone, Copy)]
pub struct Abandoned {
    /// Of its input, by our estimate; `None` where no price is known.
    pub cost: Option<Picodollars>,
}

impl Attempt {
    /// One that took from `began` until `ended`.
    pub fn new(target: &Target, outcome: Outcome, (began, ended): (Millis, Millis)) -> Self {
        let (ms, own_key) = (ended.saturating_sub(began), target.own.is_some());
        Self { target: target.in_full(), outcome, ms, cause: String::new(), own_key, abandoned: None, ticket: None }
    }
}

/// Who answers, and what it asks for it.
#[derive(Debug, Clone)]
pub struct Served {
    pub target: String,
    pub price: Option<Priced>,
    /// Whether it was asked by a key of the caller's own, who then pays for it.
    pub own_key: bool,
    /// When its answer began.
    pub began: Millis,
    /// Its places under the limits of its provider.
    pub ticket: Option<Box<Ticket>>,
}

/// What was told of an answer that another went on with.
#[derive(Debug)]
pub struct Part {
    pub served: Served,
    pub tally: Tally,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Complete,
    /// The upstream broke off, fell silent, or ended without its protocol's end.
    Cut,
    /// The time for all together was over, whatever the upstream did with it.
    Late,
    /// The upstream said, inside its stream, that it failed.
    Failed,
    HungUp,
    /// No target gave an answer.
    Unanswered,
    /// Refused by the gateway itself.
    Refused,
}

/// What an answer came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    pub usage: Usage,
    /// What else the upstream says that it bills.
    pub bill: Bill,
    /// `usage` is worked out from the text, at least in part, because the upstream did not say.
    pub estimated: bool,
}

/// What a host does to settle a request.
#[derive(Debug)]
pub struct Settlement {
    pub line: String,
    pub adds: Vec<Add>,
    /// Kept with the additions, or none of it. What was refused has none: nobody could be kept from filling the store.
    pub receipt: Option<Kept>,
}

impl Settlement {
    /// Whether there is anything to settle.
    pub fn is_empty(&self) -> bool {
        self.adds.is_empty() && self.receipt.is_none()
    }
}

impl Record {
    pub fn open(id: String, path: &'static str, started: Millis) -> Self {
        Self {
            chance: hash(HASH_START, id.as_bytes()),
            id,
            path,
            started,
            configuration: String::new(),
            receipts_ms: 0,
            caller: String::new(),
            model: String::new(),
            rules: Vec::new(),
            limits: Vec::new(),
            tags: Vec::new(),
            user: None,
            stream: false,
            status: 0,
            attempts: Vec::new(),
            unfetched: String::new(),
            lost: String::new(),
            first_byte_ms: None,
            ticket: None,
            served: None,
            parts: Vec::new(),
            watch: None,
        }
    }

    /// `x-tollgate-attempts`.
    pub fn attempts_header(&self) -> String {
        let attempts: Vec<String> = self
            .attempts
            .iter()
            .map(|attempt| format!("{}={}@{}", attempt.target, attempt.outcome, attempt.ms))
            .collect();
        attempts.join(", ")
    }

    /// The cost of an answer of this size with all that went before it and beside it, and who says so; `None` where no price
    /// is known for some of the answer.
    pub fn cost(&self, tally: &Tally) -> Option<(Picodollars, &str)> {
        let last = self.served.as_ref()?.cost(tally)?;
        let (told, source) = self.parts.iter().try_fold(last, |(sum, source), part| {
            let (cost, own) = part.served.cost(&part.tally)?;
            let source = if source == own { source } else { SEVERAL };
            Some((Picodollars(sum.0.saturating_add(cost.0)), source))
        })?;
        // What somebody is paid of whom no price is known stays unknown, and hides nothing of what is known.
        let abandoned = self.attempts.iter().filter_map(|attempt| attempt.abandoned?.cost);
        Some((Picodollars(abandoned.fold(told.0, |sum, cost| sum.saturating_add(cost.0))), source))
    }

    /// What all of an answer came to, of which `last` is what the last target told.
    fn whole(&self, last: Tally) -> Tally {
        self.parts.iter().fold(last, |whole, Part { tally, .. }| Tally {
            usage: whole.usage.plus(tally.usage),
            bill: Bill { searches: whole.bill.searches.saturating_add(tally.bill.searches), ..whole.bill },
            estimated: whole.estimated || tally.estimated,
        })
    }

    /// What is known of the cost of an answer whose whole cost is not: that of its parts, where one went on with what another
    /// had begun, and of those who were cancelled.
    fn known_cost(&self, last: Option<&Tally>) -> Option<Picodollars> {
        let (known, _) = self.paid(last.filter(|_| !self.parts.is_empty()), |_| true);
        (known.0 > 0).then_some(known)
    }

    /// What is known to be paid for those who were asked by keys that are `meant`, callers' own or not, whether they answered
    /// or were cancelled; and whether that is all.
    fn paid(&self, last: Option<&Tally>, meant: impl Fn(bool) -> bool) -> (Picodollars, bool) {
        let told: Vec<Option<Picodollars>> = self
            .told(last)
            .filter(|(served, ..)| meant(served.own_key))
            .map(|(served, tally, _)| Some(served.cost(tally)?.0))
            .collect();
        let abandoned = self.attempts.iter().filter(|attempt| meant(attempt.own_key));
        let abandoned = abandoned.filter_map(|attempt| attempt.abandoned?.cost);
        let known = told.iter().copied().flatten().chain(abandoned).fold(0_u64, |sum, cost| sum.saturating_add(cost.0));
        (Picodollars(known), told.iter().all(Option::is_some))
    }

    /// All who answered, with what each told, and whether it was the last.
    fn told<'a>(&'a self, last: Option<&'a Tally>) -> impl Iterator<Item = (&'a Served, &'a Tally, bool)> {
        let parts = self.parts.iter().map(|part| (&part.served, &part.tally, false));
        parts.chain(self.served.as_ref().zip(last).map(|(served, tally)| (served, tally, true)))
    }

    /// Ends the request. `tally` is what arrived, where anything did.
    pub fn close(mut self, end: End, tally: Option<Tally>, now: Millis) -> Settlement {
        if let Some(watch) = self.watch.take() {
            let answered_ms = now.saturating_sub(self.served.as_ref().map_or(now, |served| served.began));
            match end {
                End::Complete => watch.told(tally.map_or(0, |tally| tally.usage.output), answered_ms, now),
                End::Cut | End::Failed => watch.end(Verdict::Cut, now),
                End::Late | End::HungUp | End::Unanswered | End::Refused => drop(watch),
            }
        }
        let stated = tally.as_ref().and_then(|tally| self.cost(tally));
        // Where nobody answered, what those are paid who were asked is all.
        let alone = || self.known_cost(None).filter(|_| self.served.is_none()).map(|cost| (cost, "estimated"));
        let text = self.text(end, tally.as_ref(), stated.or_else(alone), now);
        let cost = stated.map(|(cost, _)| cost);
        // Under a cap an answer of unknown cost is taken to have cost what was held for it: a prompt so long that
        // another price applies would otherwise be free.
        let spent = |ticket: &Ticket, own_keys: bool| {
            let (known, is_all) = self.paid(tally.as_ref(), |own_key| own_keys || !own_key);
            let held = || tally.as_ref().and(ticket.held(own_keys)).unwrap_or_default();
            if is_all { known } else { known.max(held()) }
        };
        let usage = tally.as_ref().map(|tally| self.whole(*tally).usage).unwrap_or_default();
        let (input_tokens, output_tokens) = (usage.input, usage.output);
        let close = |ticket: &Ticket| {
            let (cost, cost_with_own) = (spent(ticket, false), spent(ticket, true));
            ticket.close(&Spent { input_tokens, output_tokens, cost, cost_with_own })
        };
        let mut adds = self.ticket.as_ref().map(close).unwrap_or_default();
        for (served, tally, is_last) in self.told(tally.as_ref()) {
            // What is not known as a whole is counted in no part that the line does not show by itself, so that the totals
            // are the sum of the lines.
            let own = served.cost(tally).map(|(cost, _)| cost).filter(|_| cost.is_some() || !self.parts.is_empty());
            let end = if is_last { end } else { End::Cut };
            adds.extend(usage_adds((&self.caller, self.started), served, end, &tally.usage, own));
        }
        adds.extend(self.of_providers(tally.as_ref()));
        // They are paid whatever came of the others.
        adds.extend(self.attempts.iter().flat_map(|attempt| self.abandoned_adds(attempt)));
        let line = format!(r#"{{"event":"request",{}"#, text.strip_prefix('{').unwrap_or_default());
        let receipt = (self.receipts_ms > 0 && self.ticket.is_some()).then(|| Kept {
            caller: self.caller,
            id: self.id,
            text,
            oldest: first_id(now.saturating_sub(self.receipts_ms)),
        });
        Settlement { line, adds, receipt }
    }

    /// What is added for the places that attempts had under limits of their providers.
    fn of_providers(&self, last: Option<&Tally>) -> Vec<Add> {
        let nothing = Tally::default();
        let parts = self.parts.iter().map(|part| (&part.served, &part.tally));
        let answered = parts.chain(self.served.as_ref().map(|served| (served, last.unwrap_or(&nothing))));
        let answered = answered.filter_map(|(served, tally)| {
            let ticket = served.ticket.as_ref()?;
            let known = served.cost(tally).map(|(cost, _)| cost);
            Some((ticket, tally.usage, known.or_else(|| last.and(ticket.held(true).max(ticket.held(false))))))
        });
        let others = self.attempts.iter().filter_map(|attempt| {
            let cost = attempt.abandoned.and_then(|abandoned| abandoned.cost);
            Some((attempt.ticket.as_ref()?, Usage::default(), cost))
        });
        let settled = answered.chain(others).flat_map(|(ticket, usage, cost)| {
            let cost = cost.unwrap_or_default();
            let (input_tokens, output_tokens) = (usage.input, usage.output);
            ticket.close_beside(Vec::new(), &Spent { input_tokens, output_tokens, cost, cost_with_own: cost })
        });
        settled.collect()
    }

    fn abandoned_adds(&self, attempt: &Attempt) -> impl Iterator<Item = Add> {
        let cost = attempt.abandoned.and_then(|abandoned| abandoned.cost).filter(|cost| cost.0 > 0);
        // Under the model's name, whichever account it was.
        let target = attempt.target.split('#').next().unwrap_or_default();
        let own = cost.filter(|_| attempt.own_key);
        [("cost_picodollars", cost), ("own_cost_picodollars", own)].into_iter().filter_map(move |(field, cost)| {
            let counter = format!("{}{}/{field}/{target}", usage_prefix(&self.caller), day(self.started));
            Some(Add { counter, add: cost?.as_i64(), expires: None })
        })
    }

    /// Which prices a source's word for a cost means; `None` where they are the upstream's own, or of several.
    fn price_version<'a>(&'a self, source: &'a str) -> Option<&'a str> {
        match source {
            CONFIGURATION => Some(self.configuration.as_str()).filter(|version| !version.is_empty()),
            REPORTED | SEVERAL => None,
            table => Some(table),
        }
    }

    /// What the log line and the receipt say.
    fn text(&self, end: End, tally: Option<&Tally>, cost: Option<(Picodollars, &str)>, now: Millis) -> String {
        let attempts: Vec<AttemptLine> = self
            .attempts
            .iter()
            .map(|attempt| AttemptLine {
                target: &attempt.target,
                outcome: attempt.outcome.to_string(),
                ms: attempt.ms,
                cause: &attempt.cause,
                own_key: attempt.own_key,
                cost_picodollars: attempt.abandoned.and_then(|abandoned| abandoned.cost),
            })
            .collect();
        // Of one who answered alone, what follows says all.
        let told = self.told(tally).filter(|_| !self.parts.is_empty());
        let parts: Vec<PartLine> = told
            .map(|(served, tally, _)| (served, tally, served.cost(tally)))
            .map(|(served, tally, cost)| PartLine {
                target: &served.target,
                own_key: served.own_key,
                input_tokens: tally.usage.input,
                cached_input_tokens: tally.usage.cached_input,
                cache_write_tokens: tally.usage.cache_write,
                output_tokens: tally.usage.output,
                reasoning_tokens: tally.usage.reasoning,
                cost_picodollars: cost.map(|(cost, _)| cost),
                price_version: cost.and_then(|(_, source)| self.price_version(source)),
            })
            .collect();
        let (own_cost, _) = self.paid(tally, |own_key| own_key);
        let tally = tally.map(|tally| self.whole(*tally));
        let usage = tally.map(|tally| tally.usage).unwrap_or_default();
        let line = Line {
            id: &self.id,
            at: self.started,
            caller: &self.caller,
            path: self.path,
            model: &self.model,
            rules: &self.rules,
            limits: &self.limits,
            tags: &self.tags,
            user: self.user.as_deref(),
            target: self.served.as_ref().map(|served| served.target.as_str()),
            own_key: self.served.as_ref().is_some_and(|served| served.own_key),
            status: self.status,
            stream: self.stream,
            end: end.name(),
            attempts,
            parts,
            unfetched: &self.unfetched,
            lost: &self.lost,
            input_tokens: usage.input,
            cached_input_tokens: usage.cached_input,
            cache_write_tokens: usage.cache_write,
            output_tokens: usage.output,
            reasoning_tokens: usage.reasoning,
            tokens_estimated: tally.is_some_and(|tally| tally.estimated),
            searches: tally.map(|tally| tally.bill.searches).filter(|searches| *searches > 0),
            cost_picodollars: cost.map(|(cost, _)| cost),
            own_cost_picodollars: Some(own_cost).filter(|cost| cost.0 > 0),
            cost_source: cost.map(|(_, source)| source),
            price_version: cost.and_then(|(_, source)| self.price_version(source)),
            ms: now.saturating_sub(self.started),
            first_byte_ms: self.first_byte_ms,
        };
        to_string(&line)
    }
}

impl Served {
    /// The operator's own price goes before the upstream's word, and that before the catalogue.
    fn cost(&self, tally: &Tally) -> Option<(Picodollars, &str)> {
        let priced = |priced: &Priced| cost(&tally.usage, &tally.bill, &priced.price);
        match (&self.price, tally.bill.cost) {
            (Some(price @ Priced { origin: Origin::Configuration, .. }), _) => Some((priced(price)?, CONFIGURATION)),
            (_, Some(reported)) => Some((reported, REPORTED)),
            (Some(price @ Priced { origin: Origin::Table(source), .. }), None) => Some((priced(price)?, source)),
            (None, None) => None,
        }
    }
}

impl End {
    fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Cut | Self::Late => "cut",
            Self::HungUp => "hangup",
            Self::Failed | Self::Unanswered => "error",
            Self::Refused => "refused",
        }
    }
}

written! {
    struct Line<'a> {
        id: &'a str,
        /// When the request came.
        at: Millis,
        caller: &'a str,
        path: &'static str,
        model: &'a str,
        rules?: &'a [usize],
        /// Those without room, in whose place another model was asked for.
        limits?: &'a [String],
        tags?: &'a [String],
        user?: Option<&'a str>,
        target: Option<&'a str>,
        /// Whether that one was asked by a key of the caller's own.
        own_key?: bool,
        status: u16,
        stream: bool,
        end: &'static str,
        attempts: Vec<AttemptLine<'a>>,
        /// What each told, where one went on with what another had begun; the tokens and the cost below are of all.
        parts?: Vec<PartLine<'a>>,
        unfetched?: &'a str,
        lost?: &'a str,
        input_tokens: u64,
        cached_input_tokens: u64,
        cache_write_tokens: u64,
        output_tokens: u64,
        reasoning_tokens: u64,
        tokens_estimated: bool,
        /// Of the web, by the upstream.
        searches?: Option<u64>,
        cost_picodollars: Option<Picodollars>,
        /// How much of that the caller pays himself, for what was asked by keys of his own.
        own_cost_picodollars?: Option<Picodollars>,
        /// `reported` by the upstream, by the `configuration`, or where the catalogue has it from; `several` of these; `estimated`
        /// where nobody answered and somebody is paid.
        cost_source: Option<&'a str>,
        /// By which prices it was reckoned: where the catalogue has them from and when they were read, or which configuration.
        price_version?: Option<&'a str>,
        ms: Millis,
        first_byte_ms: Option<Millis>,
    }

    struct AttemptLine<'a> {
        target: &'a str,
        outcome: String,
        ms: Millis,
        cause?: &'a str,
        own_key?: bool,
        /// Of one that was cancelled before it answered, by our estimate.
        cost_picodollars?: Option<Picodollars>,
    }

    struct PartLine<'a> {
        target: &'a str,
        own_key?: bool,
        input_tokens: u64,
        cached_input_tokens: u64,
        cache_write_tokens: u64,
        output_tokens: u64,
        reasoning_tokens: u64,
        cost_picodollars: Option<Picodollars>,
        price_version?: Option<&'a str>,
    }
}

const CONFIGURATION: &str = "configuration";
const REPORTED: &str = "reported";
const SEVERAL: &str = "several";

/// The counters of one answer: `usage/CALLER/DAY/FIELD/TARGET`.
fn usage_adds(
    (caller, started): (&str, Millis),
    Served { target, own_key, .. }: &Served,
    end: End,
    usage: &Usage,
    cost: Option<Picodollars>,
) -> impl Iterator<Item = Add> {
    let own = if *own_key { cost } else { None };
    let prefix = format!("{}{}", usage_prefix(caller), day(started));
    let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let fields = [
        ("requests", 1),
        ("input_tokens", whole(usage.input)),
        ("cached_input_tokens", whole(usage.cached_input)),
        ("cache_write_tokens", whole(usage.cache_write)),
        ("output_tokens", whole(usage.output)),
        ("reasoning_tokens", whole(usage.reasoning)),
        ("cost_picodollars", cost.unwrap_or_default().as_i64()),
        ("own_cost_picodollars", own.unwrap_or_default().as_i64()),
        ("unpriced_requests", i64::from(cost.is_none())),
        ("cut_requests", i64::from(end != End::Complete)),
    ];
    fields.into_iter().filter(|(_, add)| *add != 0).map(move |(field, add)| Add {
        counter: format!("{prefix}/{field}/{target}"),
        add,
        expires: None,
    })
}

/// What the names of a caller's usage counters begin with.
pub fn usage_prefix(caller: &str) -> String {
    format!("usage/{caller}/")
}

written! {
    /// One line of `GET /v1/usage`: a day and a target.
    #[derive(Debug, Default, PartialEq, Eq)]
    pub struct Day {
        pub day: String,
        pub model: String,
        pub requests: i64,
        pub input_tokens: i64,
        pub cached_input_tokens: i64,
        pub cache_write_tokens: i64,
        pub output_tokens: i64,
        pub reasoning_tokens: i64,
        pub cost_picodollars: i64,
        /// How much of that the caller pays himself.
        pub own_cost_picodollars?: i64,
        pub unpriced_requests: i64,
        pub cut_requests: i64,
    }
}

impl Day {
    pub fn sums(&self) -> Sums {
        Sums {
            requests: self.requests,
            input_tokens: self.input_tokens,
            cached_input_tokens: self.cached_input_tokens,
            cache_write_tokens: self.cache_write_tokens,
            output_tokens: self.output_tokens,
            reasoning_tokens: self.reasoning_tokens,
            cost_picodollars: self.cost_picodollars,
            own_cost_picodollars: self.own_cost_picodollars,
            unpriced_requests: self.unpriced_requests,
            cut_requests: self.cut_requests,
        }
    }
}

/// The same lines for a spreadsheet.
pub fn days_csv(days: &[Day]) -> Vec<u8> {
    let mut sheet = Sheet::new(&[
        "day",
        "model",
        "requests",
        "input_tokens",
        "cached_input_tokens",
        "cache_write_tokens",
        "output_tokens",
        "reasoning_tokens",
        "cost_picodollars",
        "unpriced_requests",
        "cut_requests",
        "own_cost_picodollars",
    ]);
    for row in days {
        let sums = row.sums();
        let counts = [
            sums.requests,
            sums.input_tokens,
            sums.cached_input_tokens,
            sums.cache_write_tokens,
            sums.output_tokens,
            sums.reasoning_tokens,
            sums.cost_picodollars,
            sums.unpriced_requests,
            sums.cut_requests,
            sums.own_cost_picodollars,
        ];
        let cells: Vec<Cell<'_>> =
            [Cell::Text(&row.day), Cell::Text(&row.model)].into_iter().chain(counts.map(Cell::Whole)).collect();
        sheet.row(&cells);
    }
    sheet.finish()
}

/// Reads the counters of one caller back, newest day first.
pub fn days(caller: &str, totals: Vec<(String, i64)>) -> Vec<Day> {
    let prefix = usage_prefix(caller);
    let mut days: Vec<Day> = Vec::new();
    for (counter, total) in totals {
        let mut parts = counter.strip_prefix(&prefix).unwrap_or_default().splitn(3, '/');
        let (Some(day), Some(field), Some(model)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let order = |known: &Day| day.cmp(&known.day).then_with(|| known.model.as_str().cmp(model));
        let at = days.binary_search_by(order).unwrap_or_else(|at| {
            days.insert(at, Day { day: day.to_owned(), model: model.to_owned(), ..Day::default() });
            at
        });
        let Some(row) = days.get_mut(at) else { continue };
        let place = match field {
            "requests" => &mut row.requests,
            "input_tokens" => &mut row.input_tokens,
            "cached_input_tokens" => &mut row.cached_input_tokens,
            "cache_write_tokens" => &mut row.cache_write_tokens,
            "output_tokens" => &mut row.output_tokens,
            "reasoning_tokens" => &mut row.reasoning_tokens,
            "cost_picodollars" => &mut row.cost_picodollars,
            "own_cost_picodollars" => &mut row.own_cost_picodollars,
            "unpriced_requests" => &mut row.unpriced_requests,
            "cut_requests" => &mut row.cut_requests,
            _ => continue,
        };
        *place = place.saturating_add(total);
    }
    days
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_settled_is_what_usage_reads_back() {
        let usage = Usage { input: 10, cached_input: 4, cache_write: 1, output: 3, reasoning: 2 };
        let at = 1_795_219_200_000;
        let mut totals: std::collections::BTreeMap<String, i64> = Default::default();
        let answers = [(End::Complete, Some(Picodollars(7))), (End::Complete, None), (End::Cut, Some(Picodollars(5)))];
        for (end, cost) in answers {
            let served = Served {
                target: "local/a/b".into(),
                price: None,
                own_key: cost == Some(Picodollars(5)),
                began: at,
                ticket: None,
            };
            for add in usage_adds(("me", at), &served, end, &usage, cost) {
                *totals.entry(add.counter).or_default() += add.add;
            }
        }
        let expected = Day {
            day: "2026-11-21".into(),
            model: "local/a/b".into(),
            requests: 3,
            input_tokens: 30,
            cached_input_tokens: 12,
            cache_write_tokens: 3,
            output_tokens: 9,
            reasoning_tokens: 6,
            cost_picodollars: 12,
            own_cost_picodollars: 5,
            unpriced_requests: 1,
            cut_requests: 1,
        };
        assert_eq!(days("me", totals.into_iter().collect()), [expected]);
    }
}
