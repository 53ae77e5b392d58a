//! The same request, dry: whom it would be put to and in which order, and why; what it may cost; what each would not be
//! told. Nothing is asked, counted or fetched.

use std::sync::Arc;

use super::door::{Call, Door, door};
use super::prepare::{Job, Request, expected, read};
use super::question::Obstacle;
use super::{Gateway, caller};
use crate::catalog::models::Origin;
use crate::config::{Caller, Reach, Target};
use crate::dialect::{Ask, Dialect, Inbound};
use crate::echo;
use crate::error::{Error, Kind};
use crate::host::{Body, Headers, Incoming, Millis};
use crate::limit::rule::{Due, Every, Unit};
use crate::media::Files;
use crate::price::Picodollars;
use crate::record::Record;
use crate::route::order::{Candidate, Order};
use crate::route::place::why;
use crate::route::policy::Hedge;
use crate::wire::json::{Fields, to_vec, written};

written! {
    struct Explanation<'a> {
        object: &'static str,
        caller: &'a str,
        /// As the request names it.
        model: &'a str,
        /// As the rules have it, by their places.
        routed_to?: Option<&'a str>,
        rules?: &'a [usize],
        order: Order,
        targets: Vec<Place<'a>>,
        left_out: Vec<LeftOut>,
        input_tokens_max: u64,
        output_tokens_max: u64,
        attempts: Attempts<'a>,
        limits: Vec<Bounded>,
    }

    /// Who would be asked, if those before it do not answer.
    struct Place<'a> {
        target: String,
        why: String,
        dialect: &'static str,
        model: &'a str,
        /// Files that would be fetched for it first.
        files?: usize,
        /// What it would not be told of the request.
        lost?: Vec<String>,
        /// Why it would be passed over, as its turn comes.
        unfit?: Option<String>,
        context_tokens?: Option<u64>,
        price?: Option<PerToken<'a>>,
        cost_max_picodollars: Option<Picodollars>,
    }

    /// Picodollars.
    struct PerToken<'a> {
        input: u64,
        cached_input: u64,
        output: u64,
        source: &'a str,
    }

    struct LeftOut {
        target: String,
        why: String,
    }

    struct Attempts<'a> {
        max: u32,
        /// None begins later.
        ms: Millis,
        /// Of the same target.
        retries: u32,
        fall_on: Vec<&'static str>,
        fall_on_statuses?: &'a [u16],
        hedge?: Option<String>,
        first_byte_ms: Millis,
        idle_ms: Millis,
    }

    /// A limit that counts the request; what is left of it is not looked up.
    struct Bounded {
        name: String,
        /// Whom.
        counts: String,
        unit: Unit,
        most: u64,
        every?: Option<Every>,
        /// What would be held of it until the answer has ended; nothing where that is not known.
        held: Option<u64>,
        /// The model that would be asked for if there is no room.
        instead?: Option<String>,
        refused?: Option<&'static str>,
    }
}

/// What would come of a request to `/v1/explain`, and behind that the path that it is meant for.
pub(super) fn explain(
    gateway: &Gateway,
    call: Option<Call>,
    request: &Incoming,
    record: &mut Record,
) -> Result<Vec<u8>, Error> {
    let caller = caller(gateway, request, record.started)?;
    explain_to(gateway, &caller, call, request, record)
}

/// The same for a caller who is known.
pub(super) fn explain_to(
    gateway: &Gateway,
    caller: &Caller,
    call: Option<Call>,
    request: &Incoming,
    record: &mut Record,
) -> Result<Vec<u8>, Error> {
    let call = call.unwrap_or_else(|| Call::of(by_shape(request)));
    let Request { job, model, order, candidates, left_out, limits, .. } =
        read(gateway, caller, &call, None, request, record)?;
    let now = record.started;
    let policy = job.policy;
    let expected = expected(&job, &candidates, &limits);
    let bounded = |due: &Due| {
        let limit = &due.limit;
        let held = due.amount(&expected);
        let is_too_much = held.is_some_and(|held| held > limit.most);
        Bounded {
            name: limit.name.clone(),
            counts: due.whom(),
            unit: limit.unit,
            most: limit.most,
            every: limit.span.every(),
            held,
            instead: limit.instead.clone(),
            refused: match held {
                None => Some("a price is not known, and this limit is of money"),
                Some(_) if is_too_much => Some("the request may come to more than all of it"),
                Some(_) => None,
            },
        }
    };
    let explanation = Explanation {
        object: "explanation",
        caller: &caller.name,
        model: &record.model,
        routed_to: Some(model.as_str()).filter(|model| *model != record.model),
        rules: &record.rules,
        order,
        targets: candidates.iter().map(|candidate| place(&job, candidate, order, now)).collect(),
        left_out: left_out
            .iter()
            .map(|(target, unfit)| LeftOut { target: target.in_full(), why: unfit.to_string() })
            .collect(),
        input_tokens_max: job.size.input,
        output_tokens_max: job.size.output,
        attempts: Attempts {
            max: policy.budget.attempts,
            ms: policy.budget.ms,
            retries: policy.budget.retries,
            fall_on: policy.fall.classes.iter().map(|class| class.word()).collect(),
            fall_on_statuses: &policy.fall.statuses,
            hedge: policy.hedge.map(|hedge| match hedge {
                Hedge::After(ms) => format!("after {ms} ms"),
                Hedge::Percentile(percent) => format!("after what {percent} in 100 first bytes take"),
            }),
            first_byte_ms: policy.patience.first_byte_ms,
            idle_ms: policy.patience.idle_ms,
        },
        limits: limits.iter().map(bounded).collect(),
    };
    Ok(to_vec(&explanation))
}

fn place<'a>(job: &Job<'_>, candidate: &'a Candidate, order: Order, now: Millis) -> Place<'a> {
    let target = &*candidate.target;
    let (dialect, asked) = dry(job, target);
    let (files, mut lost, unfit) = match asked {
        Ok(lost) => (0, lost, None),
        Err(Obstacle::Lacks(links)) => (links.len(), Vec::new(), None),
        Err(Obstacle::Unfit(error)) => (0, Vec::new(), Some(error.message)),
    };
    let price = target.known.price.as_ref().map(|priced| {
        let rates = &priced.price.tokens.rates;
        let source = match &priced.origin {
            Origin::Configuration => "configuration",
            Origin::Table(source) => source,
        };
        PerToken { input: rates.input, cached_input: rates.cached_input, output: rates.output, source }
    });
    let is_refused = job.strict && !lost.is_empty();
    let is_named = job.wishes.order.iter().any(|name| job.behind.names(target, name));
    lost.extend(job.behind.untold(target));
    Place {
        target: target.in_full(),
        why: why(candidate, order, is_named, now),
        dialect: dialect.word(),
        model: &target.model,
        files,
        unfit: unfit.or_else(|| is_refused.then(|| "something would be lost, and nothing may be".to_owned())),
        lost,
        context_tokens: target.known.context,
        price,
        cost_max_picodollars: job.size.worst(target),
    }
}

/// What the target would be asked, but for its being asked: in which dialect, and what of the request would be lost.
fn dry(job: &Job<'_>, target: &Target) -> (Dialect, Result<Vec<String>, Obstacle>) {
    let Reach::Upstream(upstream) = &target.provider.reach else {
        let mut lost = Vec::new();
        let asked = job.canonical(target, echo::DIALECT, &mut lost);
        return (echo::DIALECT, asked.map(|_| lost).map_err(Obstacle::Unfit));
    };
    let dialect = Dialect::towards(&upstream.dialects, job.dialect, &target.model);
    let base_url = upstream.base_url(dialect, &target.model);
    let question = job.question((target, dialect, upstream.platform), &base_url, &Files::default(), None);
    (dialect, question.map(|question| question.lost))
}

/// The dialect of a body that does not come by a path of its own.
fn by_shape(request: &Incoming) -> Inbound {
    let Body::Whole(bytes) = &request.body else { return Inbound::OpenaiChat };
    let Ok(body) = Fields::read(bytes) else { return Inbound::OpenaiChat };
    let has = |field: &str| body.raw(field).is_some();
    match () {
        () if has("contents") => Inbound::Gemini,
        () if has("input") && !has("messages") => Inbound::OpenaiResponses,
        () if has("messages") && (has("system") || request.headers.get("anthropic-version").is_some()) => {
            Inbound::Anthropic
        }
        () if has("prompt") && !has("messages") => Inbound::OpenaiCompletions,
        () => Inbound::OpenaiChat,
    }
}

impl Call {
    fn of(dialect: Inbound) -> Self {
        let ask = (dialect == Inbound::Gemini).then_some(Ask::Answer);
        Self { dialect, path: "/v1/explain", model: None, ask, fault: None }
    }
}

/// As [`explain`], for the operator on the command line: `caller` by its name, or the first that there is.
pub fn explain_for(
    gateway: &Gateway,
    caller: Option<&str>,
    path: &str,
    body: Vec<u8>,
    now: Millis,
) -> Result<Vec<u8>, Error> {
    let callers = &gateway.config.callers;
    let found = match caller {
        Some(name) => callers.iter().find(|caller| caller.name == name).cloned(),
        None => Some(callers.first().cloned().unwrap_or_else(|| Arc::new(Caller::local()))),
    };
    let unknown = || Error::new(Kind::Unauthenticated, "there is no caller of this name in the configuration");
    let caller = found.ok_or_else(unknown)?;
    let headers = Headers::default();
    let call = match door(path, None, &headers) {
        Some(Door::Call(call)) => Some(call),
        _ if path.is_empty() => None,
        _ => return Err(Error::new(Kind::UnknownPath, format!("no model is asked at {path}"))),
    };
    let request = Incoming {
        method: "POST".to_owned(),
        path: path.to_owned(),
        query: None,
        headers,
        body: Body::Whole(body.into()),
    };
    let mut record = Record::open("req_dry".to_owned(), "/v1/explain", now);
    explain_to(gateway, &caller, call, &request, &mut record)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::auth::Keyless;
    use crate::config::{Config, Draft};

    const NOW: Millis = 1_795_262_400_000;

    fn gateway() -> Gateway {
        let draft = Draft::from_json(Some(
            r#"{"providers":{
                    "near":{"dialect":"openai-chat","base_url":"http://near","auth":"none"},
                    "far":{"dialect":"anthropic","base_url":"http://far","auth":"none"},
                    "small":{"dialect":"openai-chat","base_url":"http://small","auth":"none"},
                    "mine":{"dialect":"openai-chat","base_url":"http://mine"}},
                "models":{"brought":{"targets":["near/m","mine/m"]},"smart":{"targets":["far/m","near/m","small/m","tollgate/echo"],
                    "policy":{"order":"cheapest","fall_on":["rate-limit","404"],"hedge_ms":700,"ignore":["tollgate"]}}},
                "rules":[{"when":{"model":"gpt-*"},"use":"smart"},{"when":{"tag":"no"},"deny":"not you"}],
                "prices":{"near/m":{"input":"1","output":"2"},"far/m":{"input":"3","output":"15"},
                    "small/m":{"context_tokens":10}},
                "callers":{"ci":{"sha256":"0000000000000000000000000000000000000000000000000000000000000000",
                    "spend_cap_usd":"1","unpriced":true}}}"#,
        ));
        Gateway::new(Config::compile(&draft.unwrap(), |_| None).unwrap(), Keyless::Refused)
    }

    fn explained(path: &str, body: &Value) -> Result<Value, String> {
        let explained = explain_for(&gateway(), None, path, body.to_string().into_bytes(), NOW);
        explained.map(|bytes| serde_json::from_slice(&bytes).unwrap()).map_err(|error| error.message)
    }

    #[test]
    fn a_request_is_explained_in_the_order_in_which_it_would_be_asked() {
        let prompt = "word ".repeat(40);
        let body = json!({"model": "gpt-9", "max_tokens": 10, "seed": 7,
            "messages": [{"role": "user", "content": prompt}]});
        let told = explained("", &body).unwrap();
        assert_eq!(
            (&told["caller"], &told["model"], &told["routed_to"]),
            (&json!("ci"), &json!("gpt-9"), &json!("smart"))
        );
        assert_eq!((&told["rules"], &told["order"]), (&json!([0]), &json!("cheapest")));
        let input = body.to_string().len().div_ceil(2) as u64;
        let places = json!([
            {"target": "near/m", "why": format!("at most {} picodollars", input * 1_000_000 + 10 * 2_000_000),
             "dialect": "openai-chat", "model": "m",
             "price": {"input": 1_000_000, "cached_input": 1_000_000, "output": 2_000_000, "source": "configuration"},
             "cost_max_picodollars": input * 1_000_000 + 10 * 2_000_000},
            {"target": "far/m", "why": format!("at most {} picodollars", input * 3_000_000 + 10 * 15_000_000),
             "dialect": "anthropic", "model": "m", "lost": ["seed"],
             "price": {"input": 3_000_000, "cached_input": 3_000_000, "output": 15_000_000, "source": "configuration"},
             "cost_max_picodollars": input * 3_000_000 + 10 * 15_000_000},
        ]);
        assert_eq!(told["targets"], places);
        let left_out = json!([
            {"target": "small/m", "why": "has a window of 10 tokens for about 39"},
            {"target": "tollgate/echo", "why": "is among the providers that may not be asked"},
        ]);
        assert_eq!(told["left_out"], left_out);
        assert_eq!(told["attempts"]["fall_on"], json!(["rate-limit"]));
        assert_eq!(told["attempts"]["fall_on_statuses"], json!([404]));
        assert_eq!(told["attempts"]["hedge"], "after 700 ms");
        let held = 2 * (input * 3_000_000 + 10 * 15_000_000);
        let cap = json!({"name": "spend-cap", "counts": "this key", "unit": "cost", "most": 1_000_000_000_000_u64,
            "every": "month", "held": held});
        assert_eq!(told["limits"], json!([cap]));
    }

    #[test]
    fn a_callers_own_key_is_explained_and_not_told() {
        let byok = json!({"mine": [{"apiKey": "a-secret"}, {"apiKey": "b-secret"}]});
        let body = json!({"model": "brought", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}],
            "provider": {"byok": byok}});
        let told = explained("", &body).unwrap();
        let targets: Vec<&Value> = told["targets"].as_array().unwrap().iter().map(|place| &place["target"]).collect();
        assert_eq!(targets, ["near/m", "mine/m#own", "mine/m#own-2"]);
        assert!(!told.to_string().contains("-secret"), "{told}");
        let gateway = gateway();
        let headers = [("x-tollgate-own-keys-only", "true")].into_iter().collect();
        let body = Body::Whole(body.to_string().into());
        let request = Incoming { method: "POST".to_owned(), path: String::new(), query: None, headers, body };
        let mut record = Record::open("req_dry".to_owned(), "/v1/explain", NOW);
        let told = explain_to(&gateway, &gateway.config.callers[0], None, &request, &mut record).unwrap();
        let told: Value = serde_json::from_slice(&told).unwrap();
        let why = "has no key of the caller's own, and no other may be used";
        assert_eq!(told["left_out"], json!([{"target": "near/m", "why": why}]));
        // The cap is on the gateway's money, of which none is spent.
        assert_eq!(told["limits"], json!([]));
    }

    #[test]
    fn what_would_be_refused_says_why() {
        let hi = json!({"model": "smart", "messages": [{"role": "user", "content": "hi"}]});
        let with = |name: &str, value: Value| {
            let mut body = hi.clone();
            body[name] = value;
            body
        };
        let cases = [
            (with("model", json!("smrat")), "there is no model \"smrat\"; did you mean \"smart\"?"),
            (with("provider", json!({"tags": ["no"]})), "not you"),
            (
                with("models", json!(["smart", "x"])),
                "models[1]: there is no model \"x\"; GET /v1/models lists what there is",
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(explained("", &body).unwrap_err(), expected);
        }
        assert_eq!(explained("/v1/models", &hi).unwrap_err(), "no model is asked at /v1/models");
        // What is passed over in its turn is said there.
        let odd = with("messages", json!([{"role": "user", "content": [{"type": "nonsense"}]}]));
        let told = explained("", &odd).unwrap();
        let unfit: Vec<&Value> = told["targets"].as_array().unwrap().iter().map(|place| &place["unfit"]).collect();
        assert!(unfit.iter().any(|unfit| unfit.is_string()), "{unfit:?}");
    }
}
