//! What becomes of a request before anything is asked: who sends it, what for, whom it may be put to, and whether its
//! caller's limits have room for it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;

use super::door::Call;
use super::splice::may_splice;
use super::{Gateway, caller};
use crate::config::{Caller, Reach, Target};
use crate::dialect::{Ask, Dialect, Inbound, Label};
use crate::error::{Error, Kind};
use crate::host::{Body, Headers, Host, Incoming, Millis};
use crate::limit::{Admission, Ticket};
use crate::media;
use crate::platform::Platform;
use crate::price::Picodollars;
use crate::record::Record;
use crate::route::behind::Behind;
use crate::route::check_name;
use crate::route::demand::Asked;
use crate::route::dice::Dice;
use crate::route::health::{HASH_START, hash};
use crate::route::lay::{Laid, Wanted, lay};
use crate::route::order::{Candidate, Order};
use crate::route::place::Unfit;
use crate::route::plan::Plan;
use crate::route::policy::Policy;
use crate::route::size::Size;
use crate::route::watch::Shared;
use crate::route::wish::Wishes;
use crate::seal::{self, Seal};
use crate::wire::array;
use crate::wire::frame::Framing;
use crate::wire::json::Fields;
use crate::wire::query;

/// An admitted request, ready to be tried.
pub(super) struct Job<'a> {
    pub(super) dialect: Inbound,
    pub(super) ask: Ask,
    /// What upstreams of the caller's dialect may see of the query.
    pub(super) query: Option<String>,
    pub(super) headers: &'a Headers,
    pub(super) body: Fields<'a>,
    /// All of it.
    pub(super) bytes: &'a [u8],
    pub(super) size: Size,
    pub(super) media: &'a media::Policy,
    pub(super) health: &'a Shared,
    pub(super) policy: &'a Arc<Policy>,
    pub(super) started: Millis,
    /// When the answer must have ended.
    pub(super) until: Millis,
    pub(super) label: Label,
    /// Whether a target that could be given only part of the request is passed over.
    pub(super) strict: bool,
    pub(super) seal: Seal,
    /// Whether the body may hold state of another provider, so that no upstream can be given it as it is.
    pub(super) sealed: bool,
    /// Whether another target may go on with an answer that breaks off.
    pub(super) splices: bool,
    /// What was wished of the route.
    pub(super) wishes: Wishes,
    /// What of that is for gateways behind this one.
    pub(super) behind: Behind,
    /// `x-ratelimit-*` of the caller's own limits.
    pub(super) limits: Vec<(&'static str, String)>,
    /// Whether the head of the reply has gone out without an answer.
    pub(super) begun: AtomicBool,
}

impl Job<'_> {
    /// What ends a stream that had only a head.
    pub(super) fn last_words(&self, error: &Error) -> Bytes {
        match self.ask {
            Ask::Stream(Framing::Array) => {
                let mut out = Vec::new();
                array::write_last(false, Some(&self.dialect.error_body(error, "")), &mut out);
                out.into()
            }
            _ => self.dialect.error_frame(error).into(),
        }
    }

    /// Whether an attempt that ended at `ended` ran out of the time for all together, and had had less than half of it:
    /// it might have been about to answer. One that had more counts as slow, or it would always be asked first.
    pub(super) fn cuts_short(&self, began: Millis, ended: Millis) -> bool {
        ended >= self.until && ended.saturating_sub(began).saturating_mul(2) < self.policy.patience.total_ms
    }

    pub(super) fn streams(&self) -> bool {
        matches!(self.ask, Ask::Stream(_))
    }
}

/// Tokens are counted by targets whose API is the caller's only, and of bodies as the caller sent them.
fn may_count(dialect: Inbound, is_sealed: bool, target: &Target) -> bool {
    let is_own = |spoken: &Dialect| Some(*spoken) == dialect.dialect();
    match &target.provider.reach {
        Reach::Upstream(upstream) => {
            !is_sealed && upstream.dialects.iter().any(is_own) && upstream.platform == Platform::Native
        }
        Reach::Echo => false,
    }
}

pub(super) type Refusal = (Error, Vec<(&'static str, String)>);

/// Everything that can refuse a request before it costs anything.
pub(super) async fn prepare<'a, H: Host>(
    gateway: &'a Gateway,
    host: &H,
    call: Call,
    request: &'a Incoming,
    record: &mut Record,
) -> Result<(Job<'a>, Plan), Refusal> {
    let caller = caller(gateway, request).map_err(plain)?;
    record.caller.clone_from(&caller.name);
    let read = read(gateway, &caller, call, request, record).map_err(plain)?;
    let Request { mut job, candidates, left_out, dice, .. } = read;
    let most = match job.ask {
        // Providers count for nothing, and where none does, we do.
        Ask::TokenCount => Some(Picodollars::default()),
        _ if candidates.is_empty() => return Err(plain(nobody(&record.model, &left_out))),
        _ if caller.limits.spend_cap.is_none() => None,
        _ => dearest(&job, &candidates),
    };
    job.limits = admit(host, &caller, most, record).await?;
    let plan = Plan::new(candidates, job.policy.clone(), dice).until(job.until);
    Ok((job, plan))
}

/// A request that has been read, and whom it may be put to.
pub(super) struct Request<'a> {
    pub(super) job: Job<'a>,
    /// The model's name that the rules have for it.
    pub(super) model: String,
    /// By which the targets of its model are put in order.
    pub(super) order: Order,
    pub(super) candidates: Vec<Candidate>,
    pub(super) left_out: Vec<(Arc<Target>, Unfit)>,
    dice: Dice,
}

/// Reads a request as far as anybody has to, and lays out whom it may be put to.
pub(super) fn read<'a>(
    gateway: &'a Gateway,
    caller: &Caller,
    call: Call,
    request: &'a Incoming,
    record: &mut Record,
) -> Result<Request<'a>, Error> {
    let dialect = call.dialect;
    if let Some(fault) = call.fault {
        return Err(fault);
    }
    let bytes = match &request.body {
        Body::Whole(bytes) => bytes,
        Body::TooLarge => {
            let most = gateway.config.body_bytes_max;
            return Err(Error::new(Kind::TooLarge, format!("the body is longer than {most} bytes")));
        }
    };
    let body = Fields::read(bytes).map_err(Error::invalid)?;
    let must = |name: &'static str, what: &'static str| move |_| Error::field(name, format!("must be {what}"));
    let model: String = match call.model {
        Some(model) => model,
        None => body
            .get("model")
            .map_err(must("model", "a string"))?
            .ok_or_else(|| Error::field("model", "missing; GET /v1/models lists what there is"))?,
    };
    check_name(&model)?;
    record.model.clone_from(&model);
    let ask = match call.ask {
        Some(ask) => ask,
        None => match body.get("stream").map_err(must("stream", "true or false"))? {
            Some(true) => Ask::Stream(Framing::Sse),
            Some(false) | None => Ask::Answer,
        },
    };
    record.stream = matches!(ask, Ask::Stream(_));
    let wishes = Wishes::read(&body, &request.headers)?;
    record.tags.clone_from(&wishes.tags);
    record.user.clone_from(&wishes.user);
    // As much chance as is in its id.
    let mut dice = Dice::new(hash(HASH_START, record.id.as_bytes()));
    let asked = Asked::new(dialect, ask, &body, bytes);
    let size = Size::of(&asked);
    let wanted = Wanted {
        caller: &caller.name,
        model: &model,
        headers: &request.headers,
        wishes: &wishes,
        asked: &asked,
        size: &size,
        now: record.started,
    };
    let Laid { model, order, policy, mut candidates, left_out, behind } =
        lay(&gateway.config, &gateway.health, &wanted, &mut dice, &mut record.rules)?;
    let sealed = seal::is_in(bytes);
    if ask == Ask::TokenCount {
        candidates.retain(|candidate| may_count(dialect, sealed, &candidate.target));
    }
    let others = policy.budget.attempts > 1 && (candidates.len() > 1 || policy.budget.retries > 0);
    let splices = policy.splice && others && may_splice(dialect, ask, &body);
    let label = Label {
        id: record.id.clone(),
        created: record.started / 1000,
        usage_wanted: dialect.usage_wanted(&body),
        framing: if let Ask::Stream(framing) = ask { framing } else { Framing::Sse },
        request: None,
        lost: Vec::new(),
    };
    let strict = policy.strict
        || wishes.strict
        || request.headers.get("x-tollgate-strict").is_some_and(|value| value != "false");
    let job = Job {
        dialect,
        ask,
        query: request.query.as_deref().and_then(query::passed_on),
        headers: &request.headers,
        body,
        bytes,
        size,
        media: &gateway.config.media,
        health: &gateway.health,
        policy,
        started: record.started,
        until: record.started.saturating_add(policy.patience.total_ms),
        label,
        strict,
        seal: Seal::new(caller.sha256),
        sealed,
        splices,
        wishes,
        behind,
        limits: Vec::new(),
        begun: AtomicBool::new(false),
    };
    Ok(Request { job, model, order, candidates, left_out, dice })
}

fn plain(error: Error) -> Refusal {
    (error, Vec::new())
}

/// What the caller is told when nobody is left: why each was left out.
pub(super) fn nobody(model: &str, left_out: &[(Arc<Target>, Unfit)]) -> Error {
    let whys: Vec<String> = left_out.iter().take(WHYS_MAX).map(|(target, unfit)| format!("{target} {unfit}")).collect();
    let more = left_out.len().saturating_sub(WHYS_MAX);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    Error::invalid(format!("no target of the model \"{model}\" can be asked: {}{more}", whys.join("; ")))
}

/// A message is read by people.
const WHYS_MAX: usize = 5;

/// The most that a request may cost; `None` where a price is not known. Two that are asked beside one another are both
/// paid, and so is everyone who breaks off before another goes on.
pub(super) fn dearest(job: &Job<'_>, candidates: &[Candidate]) -> Option<Picodollars> {
    let (mut dearest, mut sum) = (0, 0_u64);
    for candidate in candidates {
        let Picodollars(worst) = job.size.worst(&candidate.target)?;
        dearest = worst.max(dearest);
        sum = sum.saturating_add(worst);
    }
    let beside = if job.policy.hedge.is_some() { 2 } else { 1 };
    let after = if job.splices { sum.saturating_mul(u64::from(job.policy.budget.retries) + 1) } else { 0 };
    Some(Picodollars(after.max(dearest.saturating_mul(beside))))
}

/// Takes a place under the caller's limits, and the most that the request may cost.
async fn admit<H: Host>(
    host: &H,
    caller: &Caller,
    dearest: Option<Picodollars>,
    record: &mut Record,
) -> Result<Vec<(&'static str, String)>, Refusal> {
    let ticket = Ticket::open(&caller.name, caller.limits, dearest, record.started).map_err(|error| {
        (error, vec![("x-tollgate-limit", "spend-cap".to_owned()), ("x-should-retry", "false".to_owned())])
    })?;
    if ticket.bounds().is_empty() {
        record.ticket = Some(ticket);
        return Ok(Vec::new());
    }
    match host.admit(ticket.bounds()).await {
        Ok(Admission::Admitted(sums)) => {
            let headers = ticket.rate_headers(&sums);
            record.ticket = Some(ticket);
            Ok(headers)
        }
        Ok(Admission::Refused(sums)) => {
            let error = ticket.refusal(&sums);
            let mut headers = ticket.rate_headers(&sums);
            if error.kind == Kind::RateLimited {
                headers.push(("x-tollgate-limit", "requests-per-minute".to_owned()));
            } else {
                headers.push(("x-tollgate-limit", "spend-cap".to_owned()));
                headers.push(("x-should-retry", "false".to_owned()));
            }
            Err((error, headers))
        }
        Err(_) => Err(plain(Error::new(Kind::Internal, "the store that holds the counters cannot be reached"))),
    }
}
