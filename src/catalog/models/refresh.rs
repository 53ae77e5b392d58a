//! Prices that are read anew while the gateway runs, from a list that somebody publishes. Pure: fetching it, and keeping
//! what was found, is for others.
//!
//! Two forms are read: litellm's table, and the list of models that OpenRouter, Vercel's gateway and Tollgate have. What
//! makes no sense is refused model by model; a list of which that is most is refused whole, and the last good one goes on.
//! What a list does not say of a model stands to what it says as the table has it: [`Sheet::fill`].

mod listed;
mod litellm;

use std::borrow::Cow;

use super::sheet::{Sheet, is_near};
use super::{Model, Models, Origin, Priced, line, undated};
use crate::host::Millis;
use crate::limit::calendar::day;
use crate::named::Named;
use crate::price::{Picodollars, Price, Rates, Search, Service};
use crate::wire::json::{Cursor, Fields, Raw, Read, objects, written};

objects! {
    /// What a refresh found, and the table does not say the same: what is kept of it.
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    pub struct Overlay {
        /// Who published it, and when it was read: `prices.example.com, read 2026-11-21`.
        pub source: String,
        /// As those of the table.
        pub lines: String,
    }
}

objects! {
    /// How much a list knew, by which the next one from there is judged.
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    pub struct Extent {
        /// Where the list is from.
        pub url: String,
        /// As in [`Refreshed`].
        pub priced: usize,
        pub known: usize,
    }
}

written! {
    impl Overlay { source, lines }
    impl Extent { url, priced, known }
}

impl Extent {
    /// Whether this cannot well be the same list as the one `before`: of what that knew, or of what it knew and the table does
    /// too, more than half is gone. Lists grow, and lose a few models at a time; what is cut down is a page of an error, the
    /// first part of a file, or the list of something else, and it would take newer prices back for those of the table.
    pub fn is_cut_down(&self, before: &Self) -> bool {
        let is_less = |now: usize, before: usize| now.saturating_mul(2) < before;
        self.url == before.url && (is_less(self.priced, before.priced) || is_less(self.known, before.known))
    }
}

/// How a refresh went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refreshed {
    pub overlay: Overlay,
    /// How many models have a price in the list.
    pub priced: usize,
    /// How many of those the table has a price of.
    pub known: usize,
    /// How many of those are new or cost something else than the table says.
    pub changed: usize,
    pub refused: Refused,
}

/// What made no sense.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refused {
    pub count: usize,
    /// Which model it was and why, of the first few.
    pub why: Vec<String>,
}

impl Overlay {
    /// When it was read, as `2026-11-21`; empty where that is not known.
    pub fn day(&self) -> &str {
        day_of(&self.source)
    }
}

pub(super) fn day_of(source: &str) -> &str {
    source.rsplit_once("read ").map_or("", |(_, day)| day)
}

/// What an overlay says of its source: the host of `url`, and the day. A path may hold a secret.
pub fn source(url: &str, now: Millis) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{host}, read {}", day(now))
}

/// litellm's table has 3.2 MB (1.109.1).
pub const BYTES_MAX: usize = 16 * 1024 * 1024;
const MODELS_MAX: usize = 20_000;
const NAME_BYTES_MAX: usize = 200;
const REASONS_MAX: usize = 20;

/// A dollar for one token, and for one answer or search. No model of the table asks a thousandth of it.
const TOKEN_MAX: Picodollars = Picodollars(1_000_000_000_000);

/// Reads a list whose `source` is as [`source()`] says. The error says why all of it is refused.
pub fn refresh(text: &[u8], source: &str) -> Result<Refreshed, String> {
    if text.len() > BYTES_MAX {
        return Err(format!("the list of prices is longer than {BYTES_MAX} bytes"));
    }
    let text = std::str::from_utf8(text).map_err(|error| format!("the list of prices is not UTF-8: {error}"))?;
    let mut at = Cursor::new(text);
    let List { data, rows } = List::read(&mut at);
    at.end(()).map_err(|error| format!("the list of prices is not a JSON object: {error}"))?;
    let mut found = Found::default();
    match data {
        Some(data) => listed::read(data, source, &mut found)?,
        None => litellm::read(&rows, day_of(source), &mut found)?,
    }
    let Found { models, refused, .. } = found;
    let Changes { lines, priced, known, changed } = changes(&models, source);
    if priced <= refused.count {
        let first = refused.why.first().map(|why| format!("; {why}")).unwrap_or_default();
        return Err(format!("{priced} models in the list have a price and {} are refused{first}", refused.count));
    }
    Ok(Refreshed { overlay: Overlay { source: source.to_owned(), lines }, priced, known, changed, refused })
}

/// A list in either form: its field `data`, or the fields that are models.
struct List<'a> {
    data: Option<Raw<'a>>,
    rows: Vec<(String, Raw<'a>)>,
}

impl<'a> Read<'a> for List<'a> {
    fn read(at: &mut Cursor<'a>) -> Self {
        let (mut list, mut is_first) = (Self::blank(), true);
        at.open(b'{', "an object");
        while let Some(name) = at.name(is_first) {
            is_first = false;
            let value = at.raw();
            if name == "data" && value.get().starts_with('[') {
                list.data = Some(value);
            } else if list.rows.len() < MODELS_MAX {
                list.rows.push((name.into_owned(), value));
            }
        }
        list
    }

    fn blank() -> Self {
        Self { data: None, rows: Vec::new() }
    }
}

/// A model as a list has it.
#[derive(Clone)]
struct Listed {
    /// What is said of its price, if that is one.
    sheet: Option<Sheet>,
    /// All else.
    model: Model,
}

/// Models by provider and by name, with a price or without.
#[derive(Default)]
struct Found {
    models: Named<Named<Listed>>,
    count: usize,
    refused: Refused,
}

impl Found {
    fn refuse(&mut self, model: &str, why: &str) {
        self.refused.count += 1;
        if self.refused.why.len() < REASONS_MAX {
            let model = if is_name(model) { model } else { "a model whose name makes no sense" };
            self.refused.why.push(format!("{model}: {why}"));
        }
    }

    fn add(&mut self, provider: &str, name: &str, model: Listed) {
        if !is_name(name) || !is_name(provider) {
            return self.refuse(name, "has a name that makes no sense");
        }
        // The first of a name counts.
        let is_new = self.models.get(provider).is_none_or(|named| !named.contains(name));
        if is_new && self.count < MODELS_MAX {
            self.count += 1;
            self.models.change(provider, |named| named.insert(name.to_owned(), model));
        }
    }
}

/// It becomes the beginning of a line, and is looked up by what callers send.
fn is_name(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_graphic() && !b"[]#\"\\".contains(&b);
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(fits)
}

#[derive(Default)]
struct Changes {
    /// Of models that the table does not say the same of.
    lines: String,
    priced: usize,
    known: usize,
    changed: usize,
}

/// What a list says beside the table. Where a price is in part ours, its source says so.
fn changes(models: &Named<Named<Listed>>, source: &str) -> Changes {
    let table = Models::built_in();
    let mut changes = Changes::default();
    for (provider, named) in models.iter() {
        let known = table.list(provider);
        let price_of = |name: &str| {
            let at = known.binary_search_by(|(listed, _)| (*listed).cmp(name)).ok()?;
            known.get(at)?.1.price.as_ref().map(|priced| &priced.price)
        };
        let mut is_first = true;
        for (name, Listed { sheet, model }) in named.iter() {
            let Some(mut sheet) = sheet.clone() else { continue };
            let known = price_of(name).or_else(|| price_of(undated(name)?));
            let is_derived = known.is_some_and(|known| sheet.fill(known));
            sheet.complete();
            let Some(price) = sheet.price() else { continue };
            changes.priced += 1;
            changes.known += usize::from(known.is_some());
            if known.is_some_and(|known| is_same(known, &price)) {
                continue;
            }
            if std::mem::take(&mut is_first) {
                changes.lines.push_str(&format!("[{provider}]\n"));
            }
            changes.lines.push_str(&line::write(name, &Model { price: Some(priced(price)), ..model.clone() }));
            if is_derived {
                // In a table brackets begin a provider, and an address may hold some.
                changes.lines.push_str(&format!(" # {}{DERIVED}", source.replace(['[', ']'], "")));
            }
            changes.lines.push('\n');
            changes.changed += 1;
        }
    }
    changes
}

/// Behind the source of a price of which it did not say all.
const DERIVED: &str = "; the rest in proportion to the catalogue";

/// Whether two prices are one.
fn is_same(one: &Price, other: &Price) -> bool {
    let (one, other) = (figures(one), figures(other));
    one.len() == other.len() && one.iter().zip(&other).all(|(one, other)| is_near(*one, *other))
}

/// All that a price says, in one order.
fn figures(price: &Price) -> Vec<u64> {
    let (kind, search) = match price.search {
        None => (0, 0),
        Some(Search::Each(price)) => (1, price),
        Some(Search::Once(price)) => (2, price),
    };
    let batch = price.batch.map_or((0, 0), |batch| (batch.input, batch.output));
    let mut figures = vec![kind, search, price.request, batch.0, batch.1];
    let usual = [(Service::Standard, &price.tokens)];
    for (service, tokens) in usual.into_iter().chain(price.services.iter().map(|(service, tokens)| (*service, tokens)))
    {
        figures.push(service as u64);
        for (size, rates) in
            [(0, &tokens.rates)].into_iter().chain(tokens.above.iter().map(|(size, rates)| (*size, rates)))
        {
            let Rates { input, cached_input, cache_write, cache_write_1h, output, reasoning, .. } = *rates;
            let Rates { audio_input, audio_output, image_input, image_output, .. } = *rates;
            figures.extend([size, input, cached_input, cache_write, cache_write_1h, output, reasoning]);
            figures.extend([audio_input, audio_output, image_input, image_output]);
        }
    }
    figures
}

/// Where it is from is said once for all.
fn priced(price: Price) -> Priced {
    Priced { price, origin: Origin::Table(Cow::Borrowed("")) }
}

/// A price in dollars, as a number or as a string; `None` where there is none. The error is what stands there instead.
fn price(fields: &Fields<'_>, name: &str) -> Result<Option<u64>, String> {
    let Some(raw) = fields.raw(name).filter(|raw| !raw.is_null()) else { return Ok(None) };
    let text = raw.get().trim_matches('"');
    match Picodollars::nearest(text).filter(|price| *price <= TOKEN_MAX) {
        Some(Picodollars(price)) => Ok(Some(price)),
        None => Err(format!("{name} is {}", text.chars().take(40).collect::<String>())),
    }
}

/// A count of tokens, which some write as `200000.0`; what is none is not known.
fn tokens(fields: &Fields<'_>, name: &str) -> Option<u64> {
    let text = fields.raw(name)?.get().trim_matches('"');
    text.strip_suffix(".0").unwrap_or(text).parse().ok().filter(|tokens| *tokens > 0)
}

#[cfg(test)]
mod tests;
