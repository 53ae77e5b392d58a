//! What becomes of a request before anything is asked: who sends it, what for, whom it may be put to, and whether its
//! caller's limits have room for it.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;

use super::door::Call;
use super::question::output_max;
use super::splice::may_splice;
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
use crate::route;
use crate::route::demand::Asked;
use crate::route::dice::Dice;
use crate::route::health::{HASH_START, hash};
use crate::route::need::Needs;
use crate::route::order::Candidate;
use crate::route::place::{Known, Traits, Unfit, place};
use crate::route::plan::Plan;
use crate::route::policy::Policy;
use crate::route::rule::{Denied, Facts, Rule, follow};
use crate::route::watch::Shared;
use crate::route::wish::{self, Wishes};
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
    pub(super) media: &'a media::Policy,
    pub(super) health: &'a Shared,
    pub(super) policy: &'a Policy,
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
    let dialect = call.dialect;
    let caller = caller(gateway, request).map_err(plain)?;
    record.caller.clone_from(&caller.name);
    if let Some(fault) = call.fault {
        return Err(plain(fault));
    }
    let bytes = match &request.body {
        Body::Whole(bytes) => bytes,
        Body::TooLarge => {
            let most = gateway.config.body_bytes_max;
            return Err(plain(Error::new(Kind::TooLarge, format!("the body is longer than {most} bytes"))));
        }
    };
    let body = Fields::read(bytes).map_err(Error::invalid).map_err(plain)?;
    let must = |name: &'static str, what: &'static str| move |_| plain(Error::field(name, format!("must be {what}")));
    let model: String = match call.model {
        Some(model) => model,
        None => body
            .get("model")
            .map_err(must("model", "a string"))?
            .ok_or_else(|| plain(Error::field("model", "missing; GET /v1/models lists what there is")))?,
    };
    if model.len() > MODEL_NAME_BYTES_MAX || model.chars().any(char::is_control) {
        return Err(plain(Error::field(
            "model",
            format!("a name has at most {MODEL_NAME_BYTES_MAX} bytes, none of control"),
        )));
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
    let wishes = Wishes::read(&body, &request.headers).map_err(plain)?;
    record.tags.clone_from(&wishes.tags);
    record.user.clone_from(&wishes.user);
    // As much chance as is in its id.
    let mut dice = Dice::new(hash(HASH_START, record.id.as_bytes()));
    let asked = Asked { dialect, ask, body: &body, bytes };
    let named = rule(&gateway.config, &caller, &wishes, request, &model, asked, &mut dice, record).map_err(plain)?;
    let laid = lay(gateway, &named, &wishes, asked, record.started, &mut dice).map_err(plain)?;
    let sealed = seal::is_in(bytes);
    let mut candidates = laid.candidates;
    if ask == Ask::TokenCount {
        candidates.retain(|candidate| may_count(dialect, sealed, &candidate.target));
    } else if candidates.is_empty() {
        return Err(plain(nobody(&model, &laid.left_out)));
    }
    let policy = laid.policy;
    let plan = Plan::new(candidates, policy.clone(), dice);
    let splices = policy.splice && plan.has_others() && may_splice(dialect, ask, &body);
    let most = match ask {
        // Providers count for nothing.
        Ask::TokenCount => Some(Picodollars::default()),
        _ if caller.limits.spend_cap.is_none() => None,
        ask => dearest(&Size::of(asked, ask), &plan, policy, splices),
    };
    let limits = admit(host, &caller, most, record).await?;
    let label = Label {
        id: record.id.clone(),
        created: record.started / 1000,
        usage_wanted: dialect.usage_wanted(&body),
        framing: if let Ask::Stream(framing) = ask { framing } else { Framing::Sse },
        request: None,
        lost: Vec::new(),
    };
    let seal = Seal::new(caller.sha256);
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
        media: &gateway.config.media,
        health: &gateway.health,
        policy,
        started: record.started,
        until: record.started.saturating_add(policy.patience.total_ms),
        label,
        strict,
        seal,
        sealed,
        splices,
        wishes,
        limits,
        begun: AtomicBool::new(false),
    };
    Ok((job, plan))
}

fn plain(error: Error) -> Refusal {
    (error, Vec::new())
}

/// The model that the rules have for a request, in place of the one that it named.
#[expect(clippy::too_many_arguments, reason = "they are what a rule may ask for, and nothing else has all of them")]
fn rule<'c>(
    config: &'c Config,
    caller: &Caller,
    wishes: &Wishes,
    request: &Incoming,
    model: &'c str,
    asked: Asked<'_>,
    dice: &mut Dice,
    record: &mut Record,
) -> Result<Cow<'c, str>, Error> {
    if config.rules.is_empty() {
        return Ok(Cow::Borrowed(model));
    }
    let tags: Vec<&str> = wishes.tags.iter().map(String::as_str).collect();
    let facts = Facts {
        caller: &caller.name,
        tags: &tags,
        headers: &request.headers,
        body_bytes: asked.bytes.len(),
        needs: if config.rules.iter().any(Rule::asks_for_needs) { asked.needs() } else { Needs::default() },
        now: record.started,
    };
    match follow(&config.rules, model, &facts, dice) {
        Ok(followed) => {
            record.rules = followed.rules;
            Ok(Cow::Borrowed(followed.model.unwrap_or(model)))
        }
        Err(Denied(at, why)) => {
            record.rules = vec![at];
            Err(Error::new(Kind::Forbidden, why.to_owned()))
        }
    }
}

/// Who may be asked, in order, and by which policy.
struct Laid<'c> {
    candidates: Vec<Candidate>,
    left_out: Vec<(Arc<Target>, Unfit)>,
    policy: &'c Arc<Policy>,
}

/// Lays out the targets of `model`, and behind them those of the models that the caller wishes then.
fn lay<'c>(
    gateway: &'c Gateway,
    model: &str,
    wishes: &Wishes,
    asked: Asked<'_>,
    now: Millis,
    dice: &mut Dice,
) -> Result<Laid<'c>, Error> {
    let config = &gateway.config;
    let (model, order) = match wish::variant(model) {
        // As a name of its own it goes before.
        Some((plain, order)) if !config.aliases.contains(model) && config.aliases.contains(plain) => {
            (plain, Some(order))
        }
        _ => (model, None),
    };
    let first = route::resolve(config, model)?;
    let policy = first.policy;
    let mut routes = vec![first];
    for (index, model) in wishes.models.iter().enumerate().filter(|(_, name)| *name != model) {
        routes.push(route::resolve(config, model).map_err(|error| error.at(format!("models[{index}]")))?);
    }
    let size = Size::of(asked, asked.ask);
    let mut laid = Laid { candidates: Vec::new(), left_out: Vec::new(), policy };
    for route in routes {
        let sticky = route.policy.sticky.map(|sticky| asked.stick(sticky, wishes.session.as_deref()));
        let demand = asked.demand(&route.targets, sticky);
        let order = wishes.sort.or(order).unwrap_or(route.policy.order);
        let known = Known {
            traits: Traits::of,
            cost: |target: &Target| order.asks_for_cost().then(|| size.worst(target)).flatten(),
            health: &gateway.health.lock(),
            now,
        };
        let places = place(&route.targets, route.policy, order, wishes, &demand, &known, dice);
        laid.candidates.extend(places.candidates);
        laid.left_out.extend(places.left_out);
    }
    Ok(laid)
}

/// What the caller is told when nobody is left: why each was left out.
fn nobody(model: &str, left_out: &[(Arc<Target>, Unfit)]) -> Error {
    let whys: Vec<String> = left_out.iter().take(WHYS_MAX).map(|(target, unfit)| format!("{target} {unfit}")).collect();
    let more = left_out.len().saturating_sub(WHYS_MAX);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    Error::invalid(format!("no target of the model \"{model}\" can be asked: {}{more}", whys.join("; ")))
}

/// A message is read by people.
const WHYS_MAX: usize = 5;

/// How much a request may come to.
struct Size {
    input: u64,
    output: u64,
    service: Service,
}

impl Size {
    fn of(asked: Asked<'_>, ask: Ask) -> Self {
        let service = match asked.body.get::<String>("service_tier") {
            Ok(Some(tier)) if tier == "priority" => Service::Priority,
            _ => Service::Standard,
        };
        // No tokenizer makes two tokens of one byte pair of prose; what it makes of a prompt of symbols is billed all the same.
        let input = (asked.bytes.len() as u64).div_ceil(2);
        Self { input, output: output_max(asked.dialect, ask, asked.body), service }
    }

    /// The most that it may cost at `target`; `None` where no price is known.
    fn worst(&self, target: &Target) -> Option<Picodollars> {
        worst(self.input, self.output, self.service, &target.known.price.as_ref()?.price)
    }
}

/// The most that a request may cost; `None` where a price is not known. Two that are asked beside one another are both
/// paid, and so is everyone who breaks off before another goes on.
fn dearest(size: &Size, plan: &Plan, policy: &Policy, splices: bool) -> Option<Picodollars> {
    let (mut dearest, mut sum) = (0, 0_u64);
    for candidate in plan.candidates() {
        let Picodollars(worst) = size.worst(&candidate.target)?;
        dearest = worst.max(dearest);
        sum = sum.saturating_add(worst);
    }
    let beside = if policy.hedge.is_some() { 2 } else { 1 };
    let after = if splices { sum.saturating_mul(u64::from(policy.budget.retries) + 1) } else { 0 };
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
