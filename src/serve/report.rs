//! `GET /v1/report`: what came to how much, by day, end user, model, tag, provider or caller.

use super::{Page, as_csv, own_caller, store_down};
use crate::auth::callers;
use crate::config::Caller;
use crate::error::Error;
use crate::host::{Host, Incoming, Millis};
use crate::limit::calendar::written_instant;
use crate::receipt::{Ids, Receipt};
use crate::record;
use crate::report::{Asked, Report};
use crate::serve::Gateway;
use crate::wire::json::parse;

/// As many as a store reads without keeping others waiting.
const PAGE: usize = 256;
/// Some seconds of work. Who has more asks for fewer days.
const RECEIPTS_MAX: usize = 200_000;

/// Whose totals and receipts a caller is told: its own, and an administrator those of all who have a key.
fn told_to(gateway: &Gateway, caller: &Caller) -> Vec<String> {
    if !caller.admin {
        return vec![caller.name.clone()];
    }
    let issued = gateway.ring().callers();
    callers(&gateway.config, &issued).map(|caller| caller.name.clone()).collect()
}

pub(super) async fn report<H: Host>(gateway: &Gateway, host: &H, request: &Incoming) -> Result<Page, Error> {
    let caller = own_caller(gateway, request, host.now())?;
    let now = host.now();
    let asked = Asked::read(request.query.as_deref(), now)?;
    let kept_ms = gateway.config.receipts_ms;
    let is_of_receipts = asked.needs_receipts();
    let oldest = now.saturating_sub(kept_ms);
    let (from, until) = (asked.from.max(oldest), asked.until);
    let since = (is_of_receipts && asked.from < oldest).then(|| written_instant(oldest));
    let mut report = Report::new(asked);
    for name in &told_to(gateway, &caller) {
        match is_of_receipts {
            true if kept_ms > 0 => sum_receipts(host, name, (from, until), &mut report).await?,
            true => return Err(none_kept()),
            false => {
                let counters = host.totals(&record::usage_prefix(name)).await.map_err(store_down)?;
                record::days(name, counters)
                    .iter()
                    .for_each(|row| report.count(name, &row.day, &row.model, &row.sums()));
            }
        }
    }
    Ok(if as_csv(request) { Page::csv(report.csv()) } else { Page::json(report.json(since)) })
}

async fn sum_receipts<H: Host>(
    host: &H,
    caller: &str,
    (from, until): (Millis, Millis),
    report: &mut Report,
) -> Result<(), Error> {
    let mut ids = Ids::between(from, until);
    let mut count = 0;
    loop {
        let texts = host.receipts(caller, &ids, PAGE).await.map_err(store_down)?.ok_or_else(none_kept)?;
        for text in &texts {
            let receipt: Receipt = parse(text).map_err(|_| Error::internal("a receipt cannot be read"))?;
            report.take(&receipt);
            ids = ids.after(&receipt.id);
        }
        count += texts.len();
        if texts.len() < PAGE {
            return Ok(());
        }
        if count >= RECEIPTS_MAX {
            let message = format!("there are more than {RECEIPTS_MAX} receipts in this time; ask for fewer days");
            return Err(Error::field("start_date", message));
        }
    }
}

fn none_kept() -> Error {
    Error::field("group_by", "users and tags are summed from receipts, and this gateway keeps none")
}
