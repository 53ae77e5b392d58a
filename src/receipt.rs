//! What is kept of one request: its log line, under its id. Totals are sums of these, and [`Receipt::shares`] says how.
//!
//! An id begins with its time, so that ids in their order are in the order of time: who keeps receipts by caller and id can
//! find one, those of a day, and those that are too old, by that alone.

use crate::host::Millis;
use crate::wire::json::{objects, written};

objects! {
    /// As the log line has it (`record.rs`), which says more of some.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Receipt {
        pub id: String,
        /// When the request came.
        pub at: Millis,
        pub caller: String,
        pub path: String,
        /// As the caller named it.
        pub model: String,
        pub tags: Vec<String> = Vec::new(),
        pub user: Option<String>,
        /// Who answered, `provider/model`.
        pub target: Option<String>,
        /// Whether by a key of the caller's own.
        pub own_key: bool = false,
        pub status: u32,
        pub stream: bool,
        pub end: String,
        pub attempts: Vec<Attempt>,
        pub parts: Vec<Part> = Vec::new(),
        pub input_tokens: u64,
        pub cached_input_tokens: u64,
        pub cache_write_tokens: u64,
        pub output_tokens: u64,
        pub reasoning_tokens: u64,
        pub searches: Option<u64>,
        pub cost_picodollars: Option<u64>,
        /// How much of that the caller pays himself.
        pub own_cost_picodollars: Option<u64>,
        pub cost_source: Option<String>,
        pub price_version: Option<String>,
        pub ms: Millis,
        pub first_byte_ms: Option<Millis>,
    }

    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Attempt {
        pub target: String,
        /// A status or a word.
        pub outcome: String,
        pub ms: Millis,
        pub own_key: bool = false,
        /// Of one that was cancelled before it answered.
        pub cost_picodollars: Option<u64>,
    }

    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Part {
        pub target: String,
        pub own_key: bool = false,
        pub input_tokens: u64,
        pub cached_input_tokens: u64,
        pub cache_write_tokens: u64,
        pub output_tokens: u64,
        pub reasoning_tokens: u64,
        pub cost_picodollars: Option<u64>,
    }

    /// A receipt on its way into a store.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Kept {
        pub caller: String,
        pub id: String,
        /// The JSON of a [`Receipt`].
        pub text: String,
        /// What has a lower id is too old and may be forgotten.
        pub oldest: String,
    }
}

written! {
    impl Kept { caller, id, text, oldest }
}

/// What a receipt adds to the totals of one target; each a whole number of what its name says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    pub requests: i64,
    pub input_tokens: i64,
    pub cached_input_tokens: i64,
    pub cache_write_tokens: i64,
    pub output_tokens: i64,
    pub reasoning_tokens: i64,
    pub cost_picodollars: i64,
    /// How much of that callers pay themselves, by their own keys.
    pub own_cost_picodollars: i64,
    pub unpriced_requests: i64,
    pub cut_requests: i64,
}

impl Sums {
    pub fn add(&mut self, other: &Self) {
        let fields = [
            (&mut self.requests, other.requests),
            (&mut self.input_tokens, other.input_tokens),
            (&mut self.cached_input_tokens, other.cached_input_tokens),
            (&mut self.cache_write_tokens, other.cache_write_tokens),
            (&mut self.output_tokens, other.output_tokens),
            (&mut self.reasoning_tokens, other.reasoning_tokens),
            (&mut self.cost_picodollars, other.cost_picodollars),
            (&mut self.own_cost_picodollars, other.own_cost_picodollars),
            (&mut self.unpriced_requests, other.unpriced_requests),
            (&mut self.cut_requests, other.cut_requests),
        ];
        for (sum, add) in fields {
            *sum = sum.saturating_add(add);
        }
    }
}

/// What one target has of a receipt.
#[derive(Debug, Clone, Copy)]
pub struct Share<'a> {
    pub target: &'a str,
    /// Whether it was asked by a key of the caller's own.
    pub own_key: bool,
    pub sums: Sums,
}

impl Receipt {
    /// What the counters count of it, by target: all who told part of the answer, and those that were paid without one.
    pub fn shares(&self) -> Vec<Share<'_>> {
        let mut shares = Vec::new();
        let mut abandoned = 0_u64;
        for Attempt { target, own_key, cost_picodollars, .. } in &self.attempts {
            let Some(cost) = cost_picodollars.filter(|cost| *cost > 0) else { continue };
            abandoned = abandoned.saturating_add(cost);
            // Under the model's name, whichever account it was.
            let target = target.split('#').next().unwrap_or_default();
            let own_cost_picodollars = if *own_key { whole(cost) } else { 0 };
            let sums = Sums { cost_picodollars: whole(cost), own_cost_picodollars, ..Sums::default() };
            shares.push(Share { target, own_key: *own_key, sums });
        }
        let is_cut = self.end != "complete";
        for (number, part) in self.parts.iter().enumerate() {
            let is_last = number + 1 == self.parts.len();
            shares.push(Share { target: &part.target, own_key: part.own_key, sums: part.sums(!is_last || is_cut) });
        }
        if let Some(target) = self.target.as_deref().filter(|_| self.parts.is_empty()) {
            let alone = Part {
                target: String::new(),
                own_key: self.own_key,
                input_tokens: self.input_tokens,
                cached_input_tokens: self.cached_input_tokens,
                cache_write_tokens: self.cache_write_tokens,
                output_tokens: self.output_tokens,
                reasoning_tokens: self.reasoning_tokens,
                cost_picodollars: self.cost_picodollars.map(|cost| cost.saturating_sub(abandoned)),
            };
            shares.push(Share { target, own_key: self.own_key, sums: alone.sums(is_cut) });
        }
        shares
    }
}

impl Part {
    fn sums(&self, is_cut: bool) -> Sums {
        let cost_picodollars = whole(self.cost_picodollars.unwrap_or(0));
        Sums {
            requests: 1,
            input_tokens: whole(self.input_tokens),
            cached_input_tokens: whole(self.cached_input_tokens),
            cache_write_tokens: whole(self.cache_write_tokens),
            output_tokens: whole(self.output_tokens),
            reasoning_tokens: whole(self.reasoning_tokens),
            cost_picodollars,
            own_cost_picodollars: if self.own_key { cost_picodollars } else { 0 },
            unpriced_requests: i64::from(self.cost_picodollars.is_none()),
            cut_requests: i64::from(is_cut),
        }
    }
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Ids from one to another, both with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    pub from: String,
    pub to: String,
}

impl Ids {
    pub fn one(id: &str) -> Self {
        Self { from: id.to_owned(), to: id.to_owned() }
    }

    /// All that came in this time, `until` left out.
    pub fn between(from: Millis, until: Millis) -> Self {
        Self { from: first_id(from), to: first_id(until) }
    }

    /// Those that come after `id`.
    #[must_use]
    pub fn after(self, id: &str) -> Self {
        // All ids are of one length, so nothing is between the two.
        Self { from: format!("{id}0"), ..self }
    }
}

/// `req_`, 48 bits of time and 80 of chance, in hex: what a ULID holds.
pub fn id(at: Millis, chance: [u64; 2]) -> String {
    let [high, low] = chance;
    format!("req_{:012x}{:04x}{low:016x}", at & 0xffff_ffff_ffff, high & 0xffff)
}

pub fn is_id(text: &str) -> bool {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.strip_prefix("req_").is_some_and(|rest| rest.len() == 32 && rest.bytes().all(hex))
}

/// None is lower of those that came at `at` or later.
pub fn first_id(at: Millis) -> String {
    id(at, [0, 0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_in_the_order_of_time() {
        let (early, late) = (id(1_795_262_400_000, [u64::MAX, u64::MAX]), id(1_795_262_400_001, [0, 0]));
        assert_eq!((early.len(), early.starts_with("req_")), (36, true));
        assert!(is_id(&early) && is_id(&late) && !is_id("req_dry") && !is_id(&format!("{late}0")));
        assert!(early < late && late == first_id(1_795_262_400_001) && first_id(1_795_262_400_000) < early);
        let Ids { from, to } = Ids::between(1_795_262_400_000, 1_795_262_400_001).after(&early);
        assert!(early < from && from < to && to == late);
    }
}
