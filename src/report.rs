//! What `GET /v1/report` sums, by what, and over which days. Pure.
//!
//! Days, models, providers and callers are counted as requests end, so they are read off the counters. End users, tags and by
//! whose keys was asked are summed from receipts: there may be as many as callers care to name, a request may have sixteen of them, and nine counters
//! for each would be written with every request and kept for ever.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::host::Millis;
use crate::limit::calendar::{DAY_MS, day, instant};
use crate::price::{Dollars, Picodollars};
use crate::receipt::{Receipt, Share, Sums};
use crate::wire::csv::{Cell, Sheet};
use crate::wire::json::{self, Write, words};
use crate::wire::query::{decoded, parameter};

words! {
    /// What the rows of a report are of.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum By = "what a report is grouped by" {
        Day as "day",
        User as "user",
        Model as "model",
        Tag as "tag",
        Provider as "provider",
        Caller as "caller",
        /// By whose keys was asked: `byok`, callers' own, or `system`.
        CredentialType as "credential_type",
    }
}

/// What is asked for, in the parameters that Vercel has for it.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked {
    /// When the first day begins.
    pub from: Millis,
    /// When the last one ends.
    pub until: Millis,
    pub by: By,
    /// Whether there are rows for each day.
    daily: bool,
    model: Option<String>,
    provider: Option<String>,
    credential_type: Option<&'static str>,
    user: Option<String>,
    tags: Vec<String>,
    all_tags: bool,
}

/// Where no first day is given, so many days before the last.
const DAYS: u64 = 30;
const PARAMETERS: [&str; 10] = [
    "start_date",
    "end_date",
    "group_by",
    "date_part",
    "model",
    "provider",
    "credential_type",
    "user_id",
    "tags",
    "tags_match",
];

/// By whose keys something was asked, in Vercel's words.
fn credential_type(own_key: bool) -> &'static str {
    if own_key { "byok" } else { "system" }
}

impl Asked {
    /// A filter that is not known would be taken for one that holds, so it is refused.
    pub fn read(query: Option<&str>, now: Millis) -> Result<Self, Error> {
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let name = decoded(pair.split('=').next().unwrap_or_default()).unwrap_or_default();
            if !PARAMETERS.contains(&name.as_str()) && !["key", "format"].contains(&name.as_str()) {
                return Err(Error::invalid(format!("a report is asked for by {}", PARAMETERS.join(", "))));
            }
        }
        let text = |name| parameter(query, name).filter(|value| !value.is_empty());
        let date = |name, otherwise: Millis| match text(name) {
            None => Ok(otherwise),
            Some(date) => instant(&date)
                .map(|at| at / DAY_MS * DAY_MS)
                .ok_or_else(|| Error::field(name, "expected a day, like 2026-11-21")),
        };
        let last = date("end_date", now / DAY_MS * DAY_MS)?;
        let from = date("start_date", last.saturating_sub((DAYS - 1) * DAY_MS))?;
        if from > last {
            return Err(Error::field("end_date", "it is before start_date"));
        }
        let one_of = |name, words: &[&'static str]| match text(name) {
            None => Ok(0),
            Some(word) => words
                .iter()
                .position(|known| *known == word)
                .ok_or_else(|| Error::field(name, format!("expected one of {}", words.join(", ")))),
        };
        let words: Vec<&'static str> = By::ALL.iter().map(|by| by.word()).collect();
        let by = By::ALL.get(one_of("group_by", &words)?).copied().unwrap_or(By::Day);
        one_of("date_part", &["day"])?;
        let all_tags = one_of("tags_match", &["any", "all"])? == 1;
        let credential_type = match text("credential_type") {
            None => None,
            Some(_) => Some(credential_type(one_of("credential_type", &["system", "byok"])? == 1)),
        };
        let tags = text("tags").map(|tags| tags.split(',').map(str::to_owned).collect()).unwrap_or_default();
        Ok(Self {
            from,
            until: last + DAY_MS,
            by,
            daily: by == By::Day || text("date_part").is_some(),
            model: text("model"),
            provider: text("provider"),
            credential_type,
            user: text("user_id"),
            tags,
            all_tags,
        })
    }

    /// Whether the counters do not tell it.
    pub fn needs_receipts(&self) -> bool {
        let is_counted = !matches!(self.by, By::User | By::Tag | By::CredentialType);
        !is_counted || self.user.is_some() || !self.tags.is_empty() || self.credential_type.is_some()
    }

    fn has_day(&self, text: &str) -> bool {
        // As they are written days are in their order.
        *day(self.from) <= *text && *text < *day(self.until)
    }

    fn has_target(&self, target: &str) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        is(&self.model, target) && is(&self.provider, provider(target))
    }

    fn has_receipt(&self, receipt: &Receipt) -> bool {
        let has = |tag: &String| receipt.tags.contains(tag);
        let tags = if self.all_tags { self.tags.iter().all(has) } else { self.tags.iter().any(has) };
        let is_user = self.user.as_ref().is_none_or(|user| receipt.user.as_ref() == Some(user));
        (self.tags.is_empty() || tags) && is_user
    }
}

fn provider(target: &str) -> &str {
    target.split('/').next().unwrap_or_default()
}

/// The rows, while they are summed: by day, where there are days, and by what they are of, which may be nothing.
#[derive(Debug)]
pub struct Report {
    asked: Asked,
    rows: BTreeMap<(String, Option<String>), Sums>,
}

impl Report {
    pub fn new(asked: Asked) -> Self {
        Self { asked, rows: BTreeMap::new() }
    }

    /// A day of a target, as the counters have it.
    pub fn count(&mut self, caller: &str, day: &str, target: &str, sums: &Sums) {
        if self.asked.has_day(day) && self.asked.has_target(target) {
            self.add(day, caller, target, None, sums);
        }
    }

    pub fn take(&mut self, receipt: &Receipt) {
        let day = day(receipt.at);
        if !self.asked.has_day(&day) || !self.asked.has_receipt(receipt) {
            return;
        }
        let mut tags: Vec<Option<&str>> = receipt.tags.iter().map(|tag| Some(tag.as_str())).collect();
        tags.sort_unstable();
        // One that has a tag twice has it once.
        tags.dedup();
        let of = match self.asked.by {
            By::Tag if !tags.is_empty() => tags,
            By::User => vec![receipt.user.as_deref()],
            _ => vec![None],
        };
        for Share { target, own_key, sums } in receipt.shares() {
            let word = credential_type(own_key);
            if !self.asked.has_target(target) || self.asked.credential_type.is_some_and(|wanted| wanted != word) {
                continue;
            }
            let by_key = [Some(word)];
            let of = if self.asked.by == By::CredentialType { &by_key } else { of.as_slice() };
            of.iter().for_each(|of| self.add(&day, &receipt.caller, target, *of, &sums));
        }
    }

    fn add(&mut self, day: &str, caller: &str, target: &str, of: Option<&str>, sums: &Sums) {
        let of = match self.asked.by {
            By::Day => None,
            By::User | By::Tag | By::CredentialType => of,
            By::Model => Some(target),
            By::Provider => Some(provider(target)),
            By::Caller => Some(caller),
        };
        let day = if self.asked.daily { day.to_owned() } else { String::new() };
        self.rows.entry((day, of.map(str::to_owned))).or_default().add(sums);
    }

    /// In Vercel's shape. `since` is when the receipts begin, where they do not reach back as far as was asked.
    pub fn json(&self, since: Option<String>) -> Vec<u8> {
        let mut out = Vec::new();
        json::open(&mut out);
        json::name("results", &mut out);
        out.push(b'[');
        for (number, row) in self.rows.iter().enumerate() {
            if number > 0 {
                out.push(b',');
            }
            self.write_row(row, &mut out);
        }
        out.push(b']');
        json::field_if_any("since", &since, &mut out);
        json::close(&mut out);
        out
    }

    fn write_row(&self, ((day, of), sums): (&(String, Option<String>), &Sums), out: &mut Vec<u8>) {
        json::open(out);
        if self.asked.daily {
            json::field("day", day, out);
        }
        if self.asked.by != By::Day {
            json::field(self.asked.by.word(), of, out);
        }
        for (name, cell) in columns(sums) {
            json::field(name, &cell, out);
        }
        json::close(out);
    }

    pub fn csv(&self) -> Vec<u8> {
        let mut names: Vec<&str> = Vec::new();
        names.extend(self.asked.daily.then_some("day"));
        names.extend((self.asked.by != By::Day).then(|| self.asked.by.word()));
        names.extend(columns(&Sums::default()).map(|(name, _)| name));
        let mut sheet = Sheet::new(&names);
        for ((day, of), sums) in &self.rows {
            let mut cells: Vec<Cell<'_>> = Vec::new();
            cells.extend(self.asked.daily.then_some(Cell::Text(day)));
            cells.extend((self.asked.by != By::Day).then(|| Cell::Text(of.as_deref().unwrap_or_default())));
            cells.extend(columns(sums).map(|(_, cell)| cell));
            sheet.row(&cells);
        }
        sheet.finish()
    }
}

/// Vercel's, and ours behind them: what a cost is to the last digit, and what it leaves out.
///
/// Source: "Custom Reporting", Vercel AI Gateway documentation, read 2026-11.
fn columns(sums: &Sums) -> [(&'static str, Cell<'static>); 12] {
    let dollars = |cost| Cell::Dollars(Dollars(Picodollars::from_i64(cost)));
    [
        ("total_cost", dollars(sums.cost_picodollars.saturating_sub(sums.own_cost_picodollars))),
        ("market_cost", dollars(sums.cost_picodollars)),
        ("input_tokens", Cell::Whole(sums.input_tokens)),
        ("output_tokens", Cell::Whole(sums.output_tokens)),
        ("cached_input_tokens", Cell::Whole(sums.cached_input_tokens)),
        ("cache_creation_input_tokens", Cell::Whole(sums.cache_write_tokens)),
        ("reasoning_tokens", Cell::Whole(sums.reasoning_tokens)),
        ("request_count", Cell::Whole(sums.requests)),
        ("cost_picodollars", Cell::Whole(sums.cost_picodollars)),
        ("unpriced_requests", Cell::Whole(sums.unpriced_requests)),
        ("cut_requests", Cell::Whole(sums.cut_requests)),
        ("own_cost_picodollars", Cell::Whole(sums.own_cost_picodollars)),
    ]
}

impl Write for Cell<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => text.write(out),
            Self::Whole(count) => count.write(out),
            Self::Dollars(dollars) => dollars.write(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_795_262_400_000;

    #[test]
    fn a_report_is_asked_for_by_days_and_by_nothing_unknown() {
        let read = |query| Asked::read(Some(query), NOW);
        let asked = read("start_date=2026-11-01&end_date=2026-11-30&group_by=model&key=k").unwrap();
        assert_eq!(
            (day(asked.from), day(asked.until), asked.by),
            ("2026-11-01".into(), "2026-12-01".into(), By::Model)
        );
        let asked = Asked::read(None, NOW).unwrap();
        assert_eq!((day(asked.from), day(asked.until), asked.by), ("2026-10-23".into(), "2026-11-22".into(), By::Day));
        for wrong in [
            "start_date=2026-11-31",
            "start_date=2026-1-1",
            "start_date=yesterday",
            "start_date=2026-11-02&end_date=2026-11-01",
            "group_by=hour",
            "date_part=hour",
            "tags_match=some",
            "credential_type=own",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
