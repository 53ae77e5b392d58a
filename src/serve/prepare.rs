//! What becomes of a request before anything is asked: who sends it, what for, whom it may be put to, and whether its
//! caller's limits have room for it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;

use super::door::Call;
use super::question::output_max;
use super::{Gateway, MODEL_NAME_BYTES_MAX, caller};
use crate::config::{Caller, Config, Reach, Target};
use crate::dialect::{Ask, Dialect, Inbound, Label};
use crate::error::{Error, Kind};
use crate::host::{Body, Headers, Host, Incoming, Millis};
use crate::limit::{Admission, Ticket};
use crate::media;
use crate::platform::Platform;
use crate::price::{Picodollars, Service, worst};
use crate::record::Record;
use crate::route::demand::Asked;
use crate::route::dice::Dice;
use crate::route::health::{HASH_START, hash};
use crate::route::need::Needs;
use crate::route::order::{Candidate, Order};
use crate::route::place::{Known, Traits, Unfit, place};
use crate::route::plan::Plan;
use crate::route::policy::Policy;
use crate::route::rule::{Denied, Facts, Rule, follow};
use crate::route::watch::Shared;
use crate::route::wish::{self, Wishes};
use crate::route::{self, Route};
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
    /// What was wished of the route.
    pub(super) wishes: Wishes,
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
    let Laid { mut job, candidates, left_out, dice, .. } =
        lay(gateway, &caller, call, request, record).map_err(plain)?;
    let most = match job.ask {
        // Providers count for nothing, and where none does, we do.
        Ask::TokenCount => Some(Picodollars::default()),
        _ if candidates.is_empty() => return Err(plain(nobody(&record.model, &left_out))),
        _ if caller.limits.spend_cap.is_none() => None,
        _ => dearest(&job, &candidates),
    };
    job.limits = admit(host, &caller, most, record).await?;
    let plan = Plan::new(candidates, job.policy.clone(), dice);
    Ok((job, plan))
}

/// A request that has been read, and whom it may be put to.
pub(super) struct Laid<'a> {
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
pub(super) fn lay<'a>(
    gateway: &'a Gateway,
    caller: &Caller,
    call: Call,
    request: &'a Incoming,
    record: &mut Record,
) -> Result<Laid<'a>, Error> {
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
    if model.len() > MODEL_NAME_BYTES_MAX || model.chars().any(char::is_control) {
        let why = format!("a name has at most {MODEL_NAME_BYTES_MAX} bytes, none of control");
        return Err(Error::field("model", why));
    }
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
    let asked = Asked { dialect, ask, body: &body, bytes };
    let rules = &gateway.config.rules;
    let facts = Facts {
        caller: &caller.name,
        tags: &wishes.tags,
        headers: &request.headers,
        body_bytes: bytes.len(),
        needs: if rules.iter().any(Rule::asks_for_needs) { asked.needs() } else { Needs::default() },
        now: record.started,
    };
    let followed = follow(rules, &model, &facts, &mut dice).map_err(|Denied(at, why)| {
        record.rules = vec![at];
        Error::new(Kind::Forbidden, why.to_owned())
    })?;
    record.rules = followed.rules;
    let model = followed.model.unwrap_or(&model).to_owned();
    let sealed = seal::is_in(bytes);
    let size = Size::of(asked);
    let Named { routes, order: by_name } = named(&gateway.config, &model, &wishes)?;
    let mut policy = &gateway.config.policy;
    let mut order = Order::default();
    let (mut candidates, mut left_out) = (Vec::new(), Vec::new());
    for (index, route) in routes.into_iter().enumerate() {
        let wished = wishes.sort.or(by_name.filter(|_| index == 0)).unwrap_or(route.policy.order);
        // How often and how long is tried is for the model that was asked for to say.
        if index == 0 {
            (policy, order) = (route.policy, wished);
        }
        let stick = route.policy.sticky.map(|sticky| asked.stick(sticky, wishes.session.as_deref()));
        let known = Known {
            traits: Traits::of,
            cost: |target: &Target| wished.asks_for_cost().then(|| size.worst(target)).flatten(),
            health: &gateway.health.lock(),
            now: record.started,
        };
        let demand = asked.demand(&route.targets, stick);
        let places = place(&route.targets, route.policy, wished, &wishes, &demand, &known, &mut dice);
        candidates.extend(places.candidates);
        left_out.extend(places.left_out);
    }
    if ask == Ask::TokenCount {
        candidates.retain(|candidate| may_count(dialect, sealed, &candidate.target));
    }
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
        wishes,
        limits: Vec::new(),
        begun: AtomicBool::new(false),
    };
    Ok(Laid { job, model, order, candidates, left_out, dice })
}

fn plain(error: Error) -> Refusal {
    (error, Vec::new())
}

/// The models of a request: the one that is asked for, and those that the caller wishes then.
struct Named<'c> {
    routes: Vec<Route<'c>>,
    /// How the name of the first ends, if it says how its targets are put in order.
    order: Option<Order>,
}

fn named<'c>(config: &'c Config, model: &str, wishes: &Wishes) -> Result<Named<'c>, Error> {
    let (model, order) = match wish::variant(model) {
        // As a name of its own it goes before.
        Some((plain, order)) if !config.aliases.contains(model) && config.aliases.contains(plain) => {
            (plain, Some(order))
        }
        _ => (model, None),
    };
    let mut routes = vec![route::resolve(config, model)?];
    for (index, then) in wishes.models.iter().enumerate().filter(|(_, name)| *name != model) {
        routes.push(route::resolve(config, then).map_err(|error| error.at(format!("models[{index}]")))?);
    }
    Ok(Named { routes, order })
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

/// How much a request may come to.
pub(super) struct Size {
    pub(super) input: u64,
    pub(super) output: u64,
    service: Service,
}

impl Size {
    fn of(asked: Asked<'_>) -> Self {
        let service = match asked.body.get::<String>("service_tier") {
            Ok(Some(tier)) if tier == "priority" => Service::Priority,
            _ => Service::Standard,
        };
        // No tokenizer makes two tokens of one byte pair of prose; what it makes of a prompt of symbols is billed all the same.
        let input = (asked.bytes.len() as u64).div_ceil(2);
        Self { input, output: output_max(asked.dialect, asked.ask, asked.body), service }
    }

    /// The most that it may cost at `target`; `None` where no price is known.
    pub(super) fn worst(&self, target: &Target) -> Option<Picodollars> {
        worst(self.input, self.output, self.service, &target.known.price.as_ref()?.price)
    }
}

/// The most that a request may cost; `None` where a price is not known. Two that are asked beside one another are both
/// paid.
pub(super) fn dearest(job: &Job<'_>, candidates: &[Candidate]) -> Option<Picodollars> {
    let most = candidates
        .iter()
        .try_fold(Picodollars::default(), |most, candidate| Some(most.max(job.size.worst(&candidate.target)?)))?;
    let beside = if job.policy.hedge.is_some() { 2 } else { 1 };
    Some(Picodollars(most.0.saturating_mul(beside)))
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
