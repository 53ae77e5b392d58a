//! What becomes of a request before anything is asked: who sends it, what for, whom it may be put to, and whether its
//! caller's limits have room for it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;

use super::door::Call;
use super::splice::may_splice;
use super::{Gateway, caller};
use crate::auth::own::OwnKeys;
use crate::config::{Caller, Reach, Target};
use crate::dialect::{Ask, Dialect, Inbound, Label};
use crate::error::{Error, Kind};
use crate::host::{Body, Headers, Host, Incoming, Millis};
use crate::limit::Admission;
use crate::limit::rule::{Due, Limit, Per, Unit};
use crate::limit::ticket::{Expected, Refused, Ticket};
use crate::media;
use crate::platform::Platform;
use crate::price::Picodollars;
use crate::record::Record;
use crate::relay::estimate;
use crate::route::behind::Behind;
use crate::route::check_name;
use crate::route::demand::Asked;
use crate::route::dice::Dice;
use crate::route::lay::{Laid, Wanted, lay};
use crate::route::order::{Candidate, Order};
use crate::route::place::Unfit;
use crate::route::plan::Plan;
use crate::route::policy::Policy;
use crate::route::size::{self, Size};
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
    /// Those that count each provider that is asked.
    pub(super) of_providers: Vec<Due>,
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
    let caller = caller(gateway, request, record.started).map_err(plain)?;
    record.caller.clone_from(&caller.name);
    let (mut instead, mut own_only) = (None, false);
    loop {
        let read = read(gateway, &caller, &call, instead.as_deref(), request, record).map_err(plain)?;
        let Request { mut job, mut candidates, left_out, dice, mut limits, .. } = read;
        if own_only {
            candidates.retain(Candidate::is_own);
            limits.retain(|due| !due.limit.is_of_gateway());
        }
        if candidates.is_empty() && job.ask != Ask::TokenCount {
            return Err(plain(nobody(&record.model, &left_out)));
        }
        limits.retain(|due| !record.limits.contains(&due.limit.name));
        let expected = expected(&job, &candidates, &limits);
        let may_pay = candidates.iter().any(Candidate::is_own);
        match admit(gateway, host, limits, (expected, may_pay), record).await? {
            Place::Given(headers) => {
                job.limits = headers;
                let plan = Plan::new(candidates, job.policy.clone(), dice).until(job.until);
                return Ok((job, plan));
            }
            // No limit says so twice, so this ends.
            Place::Elsewhere { limit, model } => {
                record.limits.push(limit);
                (instead, own_only) = (Some(model), false);
            }
            Place::ByOwn => own_only = true,
        }
    }
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
    /// Those that count it.
    pub(super) limits: Vec<Due>,
    dice: Dice,
}

/// Reads a request as far as anybody has to, and lays out whom it may be put to: where a limit has no room, `instead`.
pub(super) fn read<'a>(
    gateway: &'a Gateway,
    caller: &Caller,
    call: &Call,
    instead: Option<&str>,
    request: &'a Incoming,
    record: &mut Record,
) -> Result<Request<'a>, Error> {
    let dialect = call.dialect;
    if let Some(fault) = &call.fault {
        return Err(fault.clone());
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
    let model: String = match &call.model {
        Some(model) => model.clone(),
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
    let mut wishes = Wishes::read(&body, &request.headers)?;
    let more: Vec<_> = caller.tags.iter().filter(|tag| !wishes.tags.contains(tag)).cloned().collect();
    wishes.tags.extend(more);
    record.tags.clone_from(&wishes.tags);
    if let Some(token) = &caller.token {
        // Whoever made the token knows; its holder may say anything.
        wishes.user.clone_from(&token.scope.user);
    }
    record.user.clone_from(&wishes.user);
    let own = OwnKeys::of((&gateway.config, caller), dialect, &request.headers, Some(&body))?;
    let mut dice = Dice::new(record.chance);
    let asked = Asked::new(dialect, ask, &body, bytes);
    let size = Size::of(&asked);
    if let Some(most) = caller.token.as_ref().and_then(|token| token.scope.max_tokens) {
        size::held_to(most, &asked)?;
    }
    let wanted = Wanted {
        caller,
        model: &model,
        instead,
        headers: &request.headers,
        wishes: &wishes,
        own: &own,
        asked: &asked,
        size: &size,
        now: record.started,
    };
    record.rules.clear();
    let Laid { model, order, policy, mut candidates, left_out, behind, mut limits } =
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
    let of_providers = limits.extract_if(.., |due| due.limit.per == Per::Provider).collect();
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
        seal: Seal::new(caller.seal(gateway.config.token_secret.as_ref())),
        sealed,
        splices,
        wishes,
        behind,
        of_providers,
        limits: Vec::new(),
        begun: AtomicBool::new(false),
    };
    if !candidates.is_empty() && candidates.iter().all(Candidate::is_own) {
        // Nobody spends the gateway's money.
        limits.retain(|due| !due.limit.is_of_gateway());
    }
    Ok(Request { job, model, order, candidates, left_out, limits, dice })
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
fn dearest<'c>(job: &Job<'_>, candidates: impl Iterator<Item = &'c Candidate>) -> Option<Picodollars> {
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

/// The most that a request may come to, as far as `limits` ask.
pub(super) fn expected(job: &Job<'_>, candidates: &[Candidate], limits: &[Due]) -> Expected {
    let is_bought = limits.iter().any(|due| due.limit.unit == Unit::Cost);
    match job.ask {
        // Providers count for nothing, and where none does, we do.
        Ask::TokenCount => {
            let nothing = Some(Picodollars::default());
            Expected { cost: nothing, cost_with_own: nothing, ..Expected::default() }
        }
        _ => {
            let gateways = candidates.iter().filter(|candidate| !candidate.is_own());
            Expected {
                input_tokens: estimate(job.bytes.len() as u64),
                output_tokens: job.size.output,
                cost: if is_bought { dearest(job, gateways) } else { None },
                cost_with_own: if is_bought { dearest(job, candidates.iter()) } else { None },
            }
        }
    }
}

/// What limits say to a request.
enum Place {
    /// And what the answer's head tells of them.
    Given(Vec<(&'static str, String)>),
    /// There is no room, and another model is asked for.
    Elsewhere { limit: String, model: String },
    /// The gateway's money is spent, and whoever brought keys may spend his own.
    ByOwn,
}

/// Takes a place under each limit, and of each the most that the request may come to. `may_pay` is whether some targets
/// would be paid by the caller himself.
async fn admit<H: Host>(
    gateway: &Gateway,
    host: &H,
    limits: Vec<Due>,
    (expected, may_pay): (Expected, bool),
    record: &mut Record,
) -> Result<Place, Refusal> {
    let refusal = |refused: Refused| {
        let headers = refused.headers();
        (refused.error, headers)
    };
    let elsewhere = |limit: &Limit| {
        if may_pay && limit.is_of_gateway() {
            return Some(Place::ByOwn);
        }
        let model = limit.instead.clone()?;
        Some(Place::Elsewhere { limit: limit.name.clone(), model })
    };
    let mut ticket = match Ticket::open(&record.caller, limits, expected, record.started) {
        Ok(ticket) => ticket,
        Err(refused) => return elsewhere(&refused.limit).ok_or_else(|| refusal(refused)),
    };
    let mut headers = match record.limits.as_slice() {
        [] => Vec::new(),
        limits => vec![("x-tollgate-limit", limits.join(", "))],
    };
    if !ticket.bounds().is_empty() {
        match host.admit(ticket.bounds()).await {
            Ok(Admission::Admitted(sums)) => {
                headers.extend(ticket.headers(&sums));
                gateway.notice(ticket.used(&sums), None, record.started);
            }
            Ok(Admission::Refused(sums)) => {
                let Some(refused) = ticket.refusal(&sums) else {
                    return Err(plain(Error::new(
                        Kind::Internal,
                        "the store of the counters refused nothing in particular",
                    )));
                };
                gateway.notice(ticket.stands(&sums), ticket.last(&sums), record.started);
                return elsewhere(&refused.limit).ok_or_else(|| {
                    let (error, more) = refusal(refused);
                    (error, ticket.headers(&sums).into_iter().chain(more).collect())
                });
            }
            Err(_) => {
                let down = || plain(Error::new(Kind::Internal, "the store that holds the counters cannot be reached"));
                ticket = ticket.blind().ok_or_else(down)?;
            }
        }
    }
    record.ticket = Some(ticket);
    Ok(Place::Given(headers))
}
