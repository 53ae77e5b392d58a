//! Every recorded answer of a chat, read once, with what was asked where that can be read too.

use std::collections::HashSet;
use std::sync::Arc;

use tollgate::chat::{Event, Request, Response};
use tollgate::dialect::{Dialect, Inbound};
use tollgate::platform::Platform;
use tollgate::wire::frame::{Frame, Framing, Splitter};
use tollgate::wire::json::Fields;

use crate::cases::{Case, cases};

pub(crate) struct Recorded {
    pub(crate) case: Case,
    pub(crate) dialect: Dialect,
    pub(crate) platform: Platform,
    /// `None` for a whole answer.
    pub(crate) framing: Option<Framing>,
    pub(crate) body: Vec<u8>,
    pub(crate) request: Arc<Request>,
    pub(crate) events: Vec<Event>,
}

impl Recorded {
    pub(crate) fn response(&self) -> Response {
        Response::from_events(self.events.clone())
    }
}

/// The folders of recordings, and what speaks there.
pub(crate) const APIS: &[(&str, Dialect)] = &[
    ("openai-chat", Dialect::OpenaiChat),
    ("openai-responses", Dialect::OpenaiResponses),
    ("anthropic-messages", Dialect::Anthropic),
    ("gemini", Dialect::Gemini),
    ("bedrock-converse", Dialect::BedrockConverse),
    ("cohere-chat", Dialect::Cohere),
    ("ollama-chat", Dialect::Ollama),
    ("openai-completions", Dialect::OpenaiCompletions),
    ("bedrock-invoke", Dialect::Anthropic),
];

/// The field that requests of an API have, where its folder holds others too.
const OWN: &[(&str, &str)] = &[("bedrock-invoke", "anthropic_version"), ("openai-completions", "prompt")];

/// Every answer of one of [`APIS`] that its own dialect's test takes for one, each body once.
pub(crate) fn recorded(api: &str, dialect: Dialect) -> Vec<Recorded> {
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for case in cases(api).into_iter().filter(|case| case.status < 400) {
        let asked = case.body("request.json");
        // Two folders hold bodies of other APIs too.
        let own = OWN.iter().find(|(name, _)| *name == api).map(|(_, field)| field);
        if own.is_some_and(|field| !asked.as_deref().is_some_and(|body| holds(body, field))) {
            continue;
        }
        let Some((mut framing, body)) = answer(&case) else { continue };
        if dialect == Dialect::Gemini && framing.is_none() && body.trim_ascii_start().starts_with(b"[") {
            framing = Some(Framing::Array);
        }
        if !seen.insert(body.clone()) {
            continue;
        }
        let platform = if api == "bedrock-invoke" { Platform::Bedrock } else { Platform::Native };
        let events = match framing {
            Some(framing) => decode(dialect, platform, framing, &body),
            None => dialect.read_response(&body).map(|response| response.events()).map_err(|malformed| malformed.0),
        };
        // What cannot be read is for the dialect's own test to judge; what was only begun has no events.
        let Ok(events) = events else { continue };
        if events.is_empty() {
            continue;
        }
        let mut request = asked.and_then(|body| read(dialect, &body)).unwrap_or_default();
        // Groq's own tiers, which answers of Responses would repeat; their callers do not ask for them.
        request.service_tier = request.service_tier.filter(|tier| tier != "on_demand");
        let request = Arc::new(request);
        all.push(Recorded { case, dialect, platform, framing, body, request, events });
    }
    all
}

fn answer(case: &Case) -> Option<(Option<Framing>, Vec<u8>)> {
    let files = [
        ("response.json", None),
        ("response.sse", Some(Framing::Sse)),
        ("response.ndjson", Some(Framing::Lines)),
        ("response.eventstream", Some(Framing::EventStream)),
    ];
    files.into_iter().find_map(|(name, framing)| Some((framing, case.body(name)?)))
}

/// The dialect's own callers; the other dialects have none.
pub(crate) fn caller_of(dialect: Dialect) -> Option<Inbound> {
    match dialect {
        Dialect::OpenaiChat => Some(Inbound::OpenaiChat),
        Dialect::OpenaiResponses => Some(Inbound::OpenaiResponses),
        Dialect::Anthropic => Some(Inbound::Anthropic),
        Dialect::Gemini => Some(Inbound::Gemini),
        Dialect::OpenaiCompletions => Some(Inbound::OpenaiCompletions),
        Dialect::Cohere | Dialect::Ollama | Dialect::BedrockConverse => None,
    }
}

fn read(dialect: Dialect, body: &[u8]) -> Option<Request> {
    caller_of(dialect)?.read_request(&Fields::read(body).ok()?).ok()
}

fn holds(body: &[u8], name: &str) -> bool {
    Fields::read(body).is_ok_and(|fields| fields.raw(name).is_some())
}

/// A stream's events, or what its decoder has against it.
pub(super) fn decode(
    dialect: Dialect,
    platform: Platform,
    framing: Framing,
    body: &[u8],
) -> Result<Vec<Event>, String> {
    let (mut splitter, mut decoder, mut events) = (Splitter::new(framing), dialect.decoder(), Vec::new());
    let mut fault = None;
    let mut each = |raw: &[u8]| {
        let unwrapped = platform.wraps(framing).then(|| tollgate::platform::unwrap(raw));
        let (framing, raw) = match &unwrapped {
            Some(Some(frame)) => (Framing::Sse, frame.as_ref()),
            Some(None) => return fault = Some("a frame that wraps nothing".to_owned()),
            None => (framing, raw),
        };
        match Frame::read(framing, raw).map(|frame| decoder.frame(&frame, &mut events)) {
            Some(Ok(())) => {}
            Some(Err(malformed)) => fault = Some(malformed.0),
            None => fault = Some("a malformed frame".to_owned()),
        }
    };
    splitter.feed(body, &mut each).map_err(|why| format!("{why:?}"))?;
    let rest = splitter.take_rest();
    if !rest.trim_ascii().is_empty() {
        each(&rest);
    }
    decoder.finish(&mut events);
    fault.map_or(Ok(events), Err)
}
