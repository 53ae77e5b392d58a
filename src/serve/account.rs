//! `GET /v1/usage`, `/v1/key` and `/v1/credits`: what the key that asks has spent, and what its budgets leave it.

use std::sync::Arc;

use super::{Page, as_csv, caller, own_caller, store_down};
use crate::auth::token::Grant;
use crate::config::Caller;
use crate::error::Error;
use crate::host::{Host, Incoming, Millis};
use crate::limit::calendar::{day, month, week, written_instant};
use crate::limit::rule::{Every, Limit, Per, Unit, spent};
use crate::price::{Dollars, Picodollars};
use crate::record;
use crate::serve::Gateway;
use crate::wire::json::{to_vec, written};

written! {
    struct Totals<'a> {
        object: &'static str,
        caller: &'a str,
        /// In this month.
        spend_picodollars: i64,
        /// Of the calendar: what is left, and until when.
        limits: Vec<Quota<'a>>,
        days: Vec<record::Day>,
    }

    struct Quota<'a> {
        name: &'a str,
        unit: Unit,
        every: Every,
        most: u64,
        used: i64,
        /// Unix time in seconds; nothing where it never does.
        resets_at?: Option<Millis>,
        /// Which model is asked for once all is used.
        instead?: Option<&'a str>,
    }
}

/// What the caller has used, by day and model and of its limits.
pub(super) async fn usage<H: Host>(gateway: &Gateway, host: &H, request: &Incoming) -> Result<Page, Error> {
    let now = host.now();
    let caller = own_caller(gateway, request, now)?;
    let counters = host.totals(&record::usage_prefix(&caller.name)).await.map_err(store_down)?;
    let days = record::days(&caller.name, counters);
    if as_csv(request) {
        return Ok(Page::csv(record::days_csv(&days)));
    }
    let spend_picodollars = total(host, &spent(&caller.name, now)).await?;
    let mut limits = Vec::new();
    let is_its = |limit: &&Arc<Limit>| limit.when.caller.as_ref().is_none_or(|glob| glob.matches(&caller.name));
    for limit in caller.limits.iter().chain(&gateway.config.limits).filter(is_its) {
        let Some((counter, every)) = limit.kept(&caller, now) else { continue };
        let used = total(host, &counter).await?;
        let resets_at = Some(every.end(now) / 1000).filter(|_| every != Every::Total);
        let instead = limit.instead.as_deref();
        limits.push(Quota { name: &limit.name, unit: limit.unit, every, most: limit.most, used, resets_at, instead });
    }
    Ok(Page::json(to_vec(&Totals { object: "usage", caller: &caller.name, spend_picodollars, limits, days })))
}

/// What one counter holds.
async fn total<H: Host>(host: &H, counter: &str) -> Result<i64, Error> {
    let totals = host.totals(counter).await.map_err(store_down)?;
    Ok(totals.iter().find(|(name, _)| name == counter).map_or(0, |(_, total)| *total))
}

written! {
    struct Key<'a> {
        data: KeyData<'a>,
    }

    /// In dollars.
    ///
    /// Source: "Get current API key", OpenRouter API reference, read 2026-11.
    struct KeyData<'a> {
        /// The caller's name; nobody is shown a part of a key.
        label: &'a str,
        /// Of the budget that leaves the least.
        limit: Option<Dollars>,
        limit_remaining: Option<Dollars>,
        /// `daily`, `weekly` or `monthly`; nothing where it never is.
        limit_reset: Option<&'static str>,
        include_byok_in_limit: bool,
        usage: Dollars,
        usage_daily: Dollars,
        usage_weekly: Dollars,
        usage_monthly: Dollars,
        byok_usage: Dollars,
        byok_usage_daily: Dollars,
        byok_usage_weekly: Dollars,
        byok_usage_monthly: Dollars,
        is_free_tier: bool,
        is_management_key: bool,
        is_provisioning_key: bool,
        creator_user_id: (),
        expires_at: Option<String>,
        /// Ours: what a token leaves of the key.
        token?: Option<Bounds<'a>>,
    }

    struct Bounds<'a> {
        issuer: &'a str,
        user?: Option<&'a str>,
        models?: Option<&'a [String]>,
        max_tokens?: Option<u64>,
        max_cost_usd?: Option<String>,
        requests_per_minute?: Option<u64>,
        origins?: Option<&'a [String]>,
        tags?: &'a [String],
    }

    /// Sources: "Get remaining credits", OpenRouter API reference; "Check credit balance", Vercel AI Gateway documentation;
    /// read 2026-11.
    struct Credits {
        balance: String,
        total_used: String,
        data: CreditsData,
    }

    struct CreditsData {
        total_credits: Option<Dollars>,
        total_usage: Dollars,
    }
}

/// Numbers of Vercel's clients are texts, which they read as such: this is the one that has no end.
const UNLIMITED: &str = "Infinity";

pub(super) async fn key<H: Host>(gateway: &Gateway, host: &H, request: &Incoming) -> Result<Vec<u8>, Error> {
    let caller = caller(gateway, request, host.now())?;
    let budget = Budget::least(gateway, host, &caller).await?;
    let (usage, own) = match &caller.token {
        None => Usage::of(host, &caller).await?,
        // What others have spent is not for whoever holds a token.
        Some(_) => (Usage::one(budget.as_ref().map_or(0, |budget| budget.used)), Usage::default()),
    };
    let ends = [caller.expires, caller.token.as_ref().map(|token| token.expires)];
    let data = KeyData {
        label: &caller.name,
        limit: budget.as_ref().map(|budget| dollars(budget.most)),
        limit_remaining: budget.as_ref().map(|budget| dollars(budget.left)),
        limit_reset: budget.as_ref().and_then(|budget| match budget.every? {
            Every::Day => Some("daily"),
            Every::Week => Some("weekly"),
            Every::Month => Some("monthly"),
            Every::Minute | Every::Hour | Every::Total => None,
        }),
        include_byok_in_limit: budget.as_ref().is_some_and(|budget| budget.own_keys),
        usage: dollars(usage.total),
        usage_daily: dollars(usage.day),
        usage_weekly: dollars(usage.week),
        usage_monthly: dollars(usage.month),
        byok_usage: dollars(own.total),
        byok_usage_daily: dollars(own.day),
        byok_usage_weekly: dollars(own.week),
        byok_usage_monthly: dollars(own.month),
        is_free_tier: false,
        is_management_key: caller.admin,
        is_provisioning_key: false,
        creator_user_id: (),
        expires_at: ends.into_iter().flatten().min().map(written_instant),
        token: caller.token.as_deref().map(bounds),
    };
    Ok(to_vec(&Key { data }))
}

fn bounds(token: &Grant) -> Bounds<'_> {
    let Grant { issuer, scope, .. } = token;
    Bounds {
        issuer,
        user: scope.user.as_deref(),
        models: scope.models.as_deref(),
        max_tokens: scope.max_tokens,
        max_cost_usd: scope.max_cost.map(Picodollars::dollars),
        requests_per_minute: scope.requests_per_minute,
        origins: scope.origins.as_deref(),
        tags: &scope.tags,
    }
}

pub(super) async fn credits<H: Host>(gateway: &Gateway, host: &H, request: &Incoming) -> Result<Vec<u8>, Error> {
    let caller = own_caller(gateway, request, host.now())?;
    let (Usage { total: used, .. }, _) = Usage::of(host, &caller).await?;
    let left = Budget::least(gateway, host, &caller).await?.map(|budget| budget.left);
    let text = |amount: i64| Picodollars::from_i64(amount).dollars();
    Ok(to_vec(&Credits {
        balance: left.map_or_else(|| UNLIMITED.to_owned(), text),
        total_used: text(used),
        // What clients show is the difference of these.
        data: CreditsData {
            total_credits: left.map(|left| dollars(left.saturating_add(used))),
            total_usage: dollars(used),
        },
    }))
}

fn dollars(amount: i64) -> Dollars {
    Dollars(Picodollars::from_i64(amount))
}

/// What a caller has spent, in picodollars, as the counters of its answers have it.
#[derive(Default)]
struct Usage {
    total: i64,
    month: i64,
    week: i64,
    day: i64,
}

impl Usage {
    /// All of it just now.
    fn one(total: i64) -> Self {
        Self { total, month: total, week: total, day: total }
    }

    /// Of the gateway's money, and of the caller's own.
    async fn of<H: Host>(host: &H, caller: &Caller) -> Result<(Self, Self), Error> {
        let now = host.now();
        let counters = host.totals(&record::usage_prefix(&caller.name)).await.map_err(store_down)?;
        // `2026-11-16+7` begins with its Monday, and days are in their order as they are written.
        let (today, month, week) = (day(now), month(now), week(now));
        let monday = week.split('+').next().unwrap_or_default();
        let (mut usage, mut own) = (Self::default(), Self::default());
        for row in record::days(&caller.name, counters) {
            let charged = row.cost_picodollars.saturating_sub(row.own_cost_picodollars);
            for (usage, cost) in [(&mut usage, charged), (&mut own, row.own_cost_picodollars)] {
                let is_in = [
                    (&mut usage.total, true),
                    (&mut usage.month, row.day.starts_with(&month)),
                    (&mut usage.week, row.day.as_str() >= monday),
                    (&mut usage.day, row.day == today),
                ];
                for (sum, is_in) in is_in {
                    *sum = sum.saturating_add(if is_in { cost } else { 0 });
                }
            }
        }
        Ok((usage, own))
    }
}

/// One that bounds all that a caller asks for.
struct Budget {
    most: i64,
    used: i64,
    left: i64,
    /// None where it is for as long as a token lives.
    every: Option<Every>,
    /// Whether it counts what the caller pays himself.
    own_keys: bool,
}

impl Budget {
    /// The one that leaves the least; of a token, its own.
    async fn least<H: Host>(gateway: &Gateway, host: &H, caller: &Caller) -> Result<Option<Self>, Error> {
        let now = host.now();
        let mut least: Option<Self> = None;
        let is_told = |limit: &&Arc<Limit>| caller.token.is_none() || limit.per == Per::Token;
        let limits = caller.limits.iter().chain(&gateway.config.limits).filter(is_told);
        for limit in limits.filter(|limit| is_budget(limit, caller)) {
            let Some((counter, every)) = limit.budget(caller, now) else { continue };
            let used = total(host, &counter).await?;
            let most = i64::try_from(limit.most).unwrap_or(i64::MAX);
            let left = most.saturating_sub(used).max(0);
            if least.as_ref().is_none_or(|least| left < least.left) {
                least = Some(Self { most, used, left, every, own_keys: limit.own_keys });
            }
        }
        Ok(least)
    }
}

/// Whether it is of dollars, and on all requests of this caller, whatever they are.
fn is_budget(limit: &Limit, caller: &Caller) -> bool {
    limit.unit == Unit::Cost && limit.when.is_of_caller(&caller.name)
}
