//! Reasoning state on its way through callers who speak another dialect than the provider that made it.
//!
//! A provider signs its reasoning, or encrypts it, and wants it back unchanged in the next turn of a tool loop. Here a
//! signature is marked with the dialect it belongs to before such a caller gets it, and what the caller's clients would
//! drop goes with the tool call that follows: in its signature where the dialect has one, else in its id, which every
//! client gives back. On the way in the state returns to its place, and is left out where it is not for the target.
//!
//! Where many servers speak one dialect and know nothing of one another, as with Chat Completions, a mark is the provider's
//! and not the dialect's.
//!
//! The mark is authenticated with the caller's key, so no caller can bring forward what another was told. It is standard
//! base64, since clients of Gemini decode signatures.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::chat::{Block, Content, Event, Part, Request, Response, ToolCall};
use crate::dialect::{Dialect, Inbound};
use crate::wire::json::{self, objects, written};

/// The first bytes of all sealed state, and how they look in base64.
const MAGIC: &[u8] = b"tollgate1";
const MARK: &str = "dG9sbGdhdGUx";
const MAC_BYTES: usize = 8;
/// More reasoning than this does not go into an id.
const SEALED_BYTES_MAX: usize = 64 * 1024;

/// Seals and opens the state of one caller.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seal {
    key: [u8; 32],
    /// Stands for the name of the provider, where its dialect is spoken by many who know nothing of one another.
    provider: Option<u64>,
}

objects! {
    #[derive(Debug, Default, PartialEq)]
    struct State<'a> {
        /// Whose state it is.
        issuer: Option<Dialect>,
        /// As [`Seal::provider`], where it was known.
        provider: Option<u64>,
        thoughts: Vec<Thought<'a>> = Vec::new(),
        signature: Option<Cow<'a, str>>,
        /// Whether `signature` is reasoning that only the provider can read, and not the proof of a text.
        sealed: bool = false,
    }

    #[derive(Debug, PartialEq)]
    struct Thought<'a> {
        text: Cow<'a, str>,
        signature: Option<Cow<'a, str>>,
        /// Whether `text` is what only the provider can read.
        sealed: bool = false,
    }
}

written! {
    impl State<'a> { issuer, provider?, thoughts?, signature?, sealed? }

    impl Thought<'a> { text, signature?, sealed? }
}

/// What a mark was around.
struct Marked {
    text: String,
    /// As in [`State`]; `None` where there was no mark.
    sealed: Option<bool>,
}

/// Whether `body` may hold sealed state.
pub fn is_in(body: &[u8]) -> bool {
    memchr::memmem::find(body, MARK.as_bytes()).is_some()
}

impl Seal {
    pub const fn new(key: [u8; 32]) -> Self {
        Self { key, provider: None }
    }

    /// For what the provider of this name makes, or gets back.
    ///
    /// The signatures of Anthropic's models are good on every platform ("Extended thinking", Anthropic API documentation,
    /// read 2026-11); those who copied Chat Completions refuse even the field that holds another's.
    pub fn at(self, provider: &str, dialect: Dialect) -> Self {
        let name = Sha256::digest(provider);
        let tag = name.iter().take(4).fold(0, |tag, byte| tag << 8 | u64::from(*byte));
        Self { provider: (dialect == Dialect::OpenaiChat).then_some(tag), ..self }
    }

    fn is_own(self, state: &State<'_>, target: Dialect) -> bool {
        let differ = matches!((state.provider, self.provider), (Some(issuer), Some(target)) if issuer != target);
        state.issuer == Some(target) && !differ
    }

    fn mac(self, payload: &[u8]) -> [u8; MAC_BYTES] {
        let mut short = [0; MAC_BYTES];
        // HMAC takes keys of every length.
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) {
            mac.update(payload);
            for (short, byte) in short.iter_mut().zip(mac.finalize().into_bytes()) {
                *short = byte;
            }
        }
        short
    }

    fn close(self, state: &State<'_>) -> Vec<u8> {
        let payload = json::to_vec(state);
        [MAGIC, &self.mac(&payload), &payload].concat()
    }

    /// The payload, if it is this caller's.
    fn open(self, sealed: &[u8]) -> Option<&[u8]> {
        let (mac, payload) = sealed.strip_prefix(MAGIC)?.split_at_checked(MAC_BYTES)?;
        let differ = mac.iter().zip(self.mac(payload)).fold(0, |differ, (a, b)| differ | (a ^ b));
        (differ == 0).then_some(payload)
    }

    /// A signature, or sealed reasoning, that says whose it is.
    fn mark(self, issuer: Dialect, signature: &str, sealed: bool) -> String {
        self.into_signature(&State {
            issuer: Some(issuer),
            provider: self.provider,
            signature: Some(signature.into()),
            sealed,
            ..State::default()
        })
    }

    fn into_signature(self, state: &State<'_>) -> String {
        STANDARD.encode(self.close(state))
    }

    /// The signature for `target`: one without a mark is in the caller's own dialect.
    fn signature(self, caller: Inbound, target: Dialect, text: String) -> Option<String> {
        self.marked(caller, target, text).map(|marked| marked.text)
    }

    fn marked(self, caller: Inbound, target: Dialect, text: String) -> Option<Marked> {
        if !text.starts_with(MARK) {
            return (caller.dialect() == Some(target)).then_some(Marked { text, sealed: None });
        }
        let closed = STANDARD.decode(&text).ok()?;
        let state: State<'_> = json::read(self.open(&closed)?).ok()?;
        let is_own = self.is_own(&state, target);
        let text = state.signature.filter(|_| is_own)?.into_owned();
        Some(Marked { text, sealed: Some(state.sealed) })
    }

    fn into_id(self, id: &str, state: &State<'_>) -> String {
        format!("{id}-{}", URL_SAFE_NO_PAD.encode(self.close(state)))
    }

    /// The provider's own id, and what was sealed behind it.
    fn id(self, id: &str) -> Option<(&str, Vec<u8>)> {
        let (own, sealed) = id.split_at_checked(id.find(MARK)?)?;
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        Some((own.strip_suffix('-')?, self.open(&sealed)?.to_vec()))
    }

    /// What is sealed in a tool call.
    fn payload(self, call: &ToolCall) -> Option<Vec<u8>> {
        let marked = call.signature.as_deref().filter(|text| text.starts_with(MARK));
        let by_signature = || self.open(&STANDARD.decode(marked?).ok()?).map(<[u8]>::to_vec);
        self.id(&call.id).map(|(_, payload)| payload).or_else(by_signature)
    }

    /// Whether reasoning is sealed in a tool call.
    fn thinks(self, call: &ToolCall) -> bool {
        let payload = self.payload(call);
        let state = payload.as_ref().and_then(|payload| json::read::<State<'_>>(payload).ok());
        state.is_some_and(|state| !state.thoughts.is_empty())
    }

    /// Puts everything sealed back in its place for `target`; what is not for it goes to `lost`.
    pub fn open_request(self, request: &mut Request, caller: Inbound, target: Dialect, lost: &mut Vec<String>) {
        for message in &mut request.messages {
            let thinks = |part: &Part| matches!(&part.content, Content::ToolCall(call) if self.thinks(call));
            // What came through whole stands for what the caller may have kept of it, up to the last call that has some.
            let whole = message.parts.iter().rposition(thinks).unwrap_or_default();
            let mut thought = false;
            let mut parts = Vec::with_capacity(message.parts.len());
            for (place, mut part) in std::mem::take(&mut message.parts).into_iter().enumerate() {
                let mut stripped = false;
                match &mut part.content {
                    Content::Reasoning { .. } | Content::SealedReasoning(_) if place < whole => continue,
                    Content::Reasoning { signature, .. } => {
                        let signed = signature.is_some();
                        *signature = signature.take().and_then(|text| self.signature(caller, target, text));
                        stripped = signed && signature.is_none();
                    }
                    Content::SealedReasoning(sealed) => match self.marked(caller, target, std::mem::take(sealed)) {
                        // A proof without a text, which is all that some providers tell of their reasoning, looks
                        // sealed in dialects that have one field for both.
                        Some(Marked { text: proof, sealed: Some(false) }) => {
                            part.content = Content::Reasoning { text: String::new(), signature: Some(proof) };
                        }
                        Some(own) => *sealed = own.text,
                        None => {
                            note(lost, "messages.reasoning (of another provider)");
                            continue;
                        }
                    },
                    Content::ToolCall(call) => {
                        let payload = self.payload(call);
                        if let Some(signature) = call.signature.take() {
                            call.signature = self.signature(caller, target, signature);
                            stripped = call.signature.is_none() && payload.is_none();
                        }
                        if let Some((own, _)) = self.id(&call.id) {
                            call.id = own.to_owned();
                        }
                        if let Some(payload) = payload {
                            let state: State<'_> = json::read(&payload).unwrap_or_default();
                            let is_own = self.is_own(&state, target);
                            stripped |= !is_own;
                            let thoughts = state.thoughts.into_iter().filter_map(|thought| thought.part(is_own));
                            // Those of the first call were the first of the turn, and must be again.
                            let at = if std::mem::replace(&mut thought, true) { parts.len() } else { 0 };
                            parts.splice(at..at, thoughts);
                            if let Some(signature) = state.signature.filter(|_| is_own) {
                                call.signature = Some(signature.into_owned());
                            }
                        }
                    }
                    Content::ToolResult { call, .. } => {
                        if let Some((own, _)) = self.id(call) {
                            *call = own.to_owned();
                        }
                    }
                    _ => {}
                }
                if stripped {
                    note(lost, "messages.reasoning.signature (of another provider)");
                }
                parts.push(part);
            }
            message.parts = parts;
        }
    }

    /// Seals what a whole answer of `issuer` holds, for a caller of another dialect.
    pub fn close_response(self, response: &mut Response, issuer: Dialect, caller: Inbound) {
        let mut sealer = Sealer::new(self, issuer, caller);
        for part in &mut response.parts {
            match &mut part.content {
                Content::Reasoning { text, signature } => {
                    sealer.opened(None);
                    sealer.thought(text);
                    *signature = signature.take().map(|signature| sealer.signed(signature));
                }
                Content::SealedReasoning(sealed) => *sealed = sealer.opened(Some(std::mem::take(sealed))),
                Content::ToolCall(ToolCall { id, signature, .. }) => sealer.call(id, signature),
                _ => {}
            }
        }
    }
}

fn note(lost: &mut Vec<String>, name: &str) {
    if !lost.iter().any(|known| known == name) {
        lost.push(name.to_owned());
    }
}

impl Thought<'_> {
    /// As a part of a message; without its proof where `is_own` is not so.
    fn part(self, is_own: bool) -> Option<Part> {
        let text = self.text.into_owned();
        let signature = self.signature.filter(|_| is_own).map(Cow::into_owned);
        match self.sealed {
            true if is_own => Some(Part::new(Content::SealedReasoning(text))),
            true => None,
            false => Some(Part::new(Content::Reasoning { text, signature })),
        }
    }
}

/// Seals a stream of `issuer` for a caller of another dialect.
#[derive(Debug)]
pub struct Sealer {
    seal: Seal,
    issuer: Dialect,
    caller: Inbound,
    /// Reasoning that the caller's dialect has no place for, until the next tool call.
    thoughts: Vec<Thought<'static>>,
    bytes: usize,
    /// Of the open block, until it closes: a mark is around all of a signature.
    signature: String,
}

impl Sealer {
    pub fn new(seal: Seal, issuer: Dialect, caller: Inbound) -> Self {
        Self { seal, issuer, caller, thoughts: Vec::new(), bytes: 0, signature: String::new() }
    }

    /// Calls `tell` with what becomes of `event`.
    pub fn event(&mut self, mut event: Event, mut tell: impl FnMut(Event)) {
        match &mut event {
            Event::Open(Block::Reasoning) => drop(self.opened(None)),
            Event::Open(Block::SealedReasoning(sealed)) => *sealed = self.opened(Some(std::mem::take(sealed))),
            Event::Open(Block::ToolCall { id, signature, .. }) => self.call(id, signature),
            Event::Reasoning(text) => self.thought(text),
            Event::Signature(text) => {
                if self.signature.len() <= SEALED_BYTES_MAX {
                    self.signature.push_str(text);
                }
                return;
            }
            Event::Close if !self.signature.is_empty() => {
                let signature = std::mem::take(&mut self.signature);
                tell(Event::Signature(self.signed(signature)));
            }
            _ => {}
        }
        tell(event);
    }

    /// A block of reasoning begins; what the caller gets in place of `sealed`.
    fn opened(&mut self, sealed: Option<String>) -> String {
        let is_sealed = sealed.is_some();
        let text = sealed.unwrap_or_default();
        let marked = if is_sealed { self.seal.mark(self.issuer, &text, true) } else { String::new() };
        if !self.caller.keeps_reasoning() {
            self.bytes = self.bytes.saturating_add(text.len());
            self.thoughts.push(Thought { text: text.into(), signature: None, sealed: is_sealed });
        }
        marked
    }

    fn thought(&mut self, text: &str) {
        self.bytes = self.bytes.saturating_add(text.len());
        if let Some(thought) = self.thoughts.last_mut().filter(|_| self.bytes <= SEALED_BYTES_MAX) {
            thought.text.to_mut().push_str(text);
        }
    }

    /// The open block of reasoning is proven; what the caller gets in place of the proof.
    fn signed(&mut self, signature: String) -> String {
        let marked = self.seal.mark(self.issuer, &signature, false);
        self.bytes = self.bytes.saturating_add(signature.len());
        if let Some(thought) = self.thoughts.last_mut() {
            thought.signature = Some(signature.into());
        }
        marked
    }

    /// A tool call carries what has no other place.
    fn call(&mut self, id: &mut String, signature: &mut Option<String>) {
        let mut thoughts = std::mem::take(&mut self.thoughts);
        // Reasoning that nobody has to prove is worth nothing to its provider; too much of it is not carried.
        let is_proven = thoughts.iter().any(|thought| thought.sealed || thought.signature.is_some());
        if !is_proven || std::mem::take(&mut self.bytes) > SEALED_BYTES_MAX {
            thoughts.clear();
        }
        let own = signature.take();
        if own.is_none() && thoughts.is_empty() {
            return;
        }
        let (issuer, provider) = (Some(self.issuer), self.seal.provider);
        let state = State { issuer, provider, thoughts, signature: own.map(Cow::from), sealed: false };
        if self.caller.keeps_call_signatures() {
            *signature = Some(self.seal.into_signature(&state));
        } else {
            *id = self.seal.into_id(id, &state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Message, Role};
    use crate::dialect::ai_sdk::Version;

    const SEAL: Seal = Seal::new([7; 32]);

    fn thought(text: &str, signature: Option<&str>) -> Part {
        Part::new(Content::Reasoning { text: text.into(), signature: signature.map(str::to_owned) })
    }

    fn call(id: &str, signature: Option<&str>) -> Part {
        Part::new(Content::ToolCall(ToolCall {
            id: id.into(),
            name: "f".into(),
            arguments: "{}".into(),
            signature: signature.map(str::to_owned),
        }))
    }

    fn result(id: &str) -> Part {
        Part::new(Content::ToolResult { call: id.into(), parts: Vec::new(), is_error: false })
    }

    fn answer() -> Vec<Part> {
        let sealed = Part::new(Content::SealedReasoning("dark".into()));
        vec![
            thought("hm", Some("sig")),
            sealed,
            Part::text("a"),
            call("c1", None),
            thought("so", Some("2")),
            call("c2", None),
        ]
    }

    fn id(part: &Part) -> String {
        match &part.content {
            Content::ToolCall(call) => call.id.clone(),
            _ => String::new(),
        }
    }

    /// What `target` gets of `parts`, answered by `issuer`, after `caller` has kept what `keep` says of it.
    fn turn(
        parts: Vec<Part>,
        issuer: Dialect,
        caller: Inbound,
        keep: fn(&Part) -> bool,
        target: Dialect,
    ) -> (Vec<Part>, Vec<String>) {
        let mut response = Response { parts, ..Response::default() };
        SEAL.close_response(&mut response, issuer, caller);
        response.parts.retain(keep);
        let calls: Vec<String> = response.parts.iter().map(id).filter(|id| !id.is_empty()).collect();
        let results = calls.iter().map(|id| result(id)).collect();
        let messages = vec![
            Message { role: Role::Assistant, parts: response.parts },
            Message { role: Role::User, parts: results },
        ];
        let mut request = Request { messages, ..Request::default() };
        let mut lost = Vec::new();
        SEAL.open_request(&mut request, caller, target, &mut lost);
        let mut messages = request.messages.into_iter();
        let parts = messages.next().unwrap().parts;
        let own: Vec<Part> = parts.iter().map(id).filter(|id| !id.is_empty()).map(|id| result(&id)).collect();
        assert_eq!(messages.next().unwrap().parts, own, "results name the calls");
        (parts, lost)
    }

    #[test]
    fn reasoning_survives_a_caller_who_drops_it() {
        let drops = |part: &Part| !matches!(part.content, Content::Reasoning { .. } | Content::SealedReasoning(_));
        let (parts, lost) = turn(answer(), Dialect::Anthropic, Inbound::OpenaiChat, drops, Dialect::Anthropic);
        let mut expected = answer();
        // Before the first call the reasoning was first, and is first again; text may stand after it.
        assert_eq!(parts, expected);
        assert_eq!(lost, Vec::<String>::new());
        // One who keeps it all brings it once.
        let (parts, _) = turn(answer(), Dialect::Anthropic, Inbound::OpenaiChat, |_| true, Dialect::Anthropic);
        assert_eq!(parts, expected);
        // Nor where it went in the call's signature.
        let (parts, lost) = turn(answer(), Dialect::Anthropic, Inbound::Gemini, drops, Dialect::Anthropic);
        assert_eq!((parts, lost.len()), (answer(), 0));
        // For another provider it is only text.
        let (parts, lost) = turn(answer(), Dialect::Anthropic, Inbound::OpenaiChat, drops, Dialect::OpenaiChat);
        expected.retain(|part| !matches!(part.content, Content::SealedReasoning(_)));
        for part in &mut expected {
            if let Content::Reasoning { signature, .. } = &mut part.content {
                *signature = None;
            }
        }
        assert_eq!((parts, lost.len()), (expected, 1));
    }

    #[test]
    fn reasoning_after_the_last_call_is_what_the_caller_keeps_of_it() {
        let after = Part::new(Content::SealedReasoning("late".into()));
        let parts = || vec![thought("hm", Some("sig")), call("c1", None), after.clone()];
        let (back, lost) = turn(parts(), Dialect::Anthropic, Inbound::Gemini, |_| true, Dialect::Anthropic);
        assert_eq!((back, lost.len()), (parts(), 0));
    }

    #[test]
    fn a_proof_without_a_text_goes_back_as_one_through_a_dialect_that_tells_it_from_nothing_sealed() {
        let (issuer, caller) = (Dialect::Anthropic, Inbound::OpenaiResponses);
        let mut response = Response { parts: vec![thought("", Some("sig"))], ..Response::default() };
        SEAL.close_response(&mut response, issuer, caller);
        let Some(Content::Reasoning { signature: Some(marked), .. }) = response.parts.pop().map(|part| part.content)
        else {
            panic!("reasoning stays reasoning");
        };
        let parts = vec![Part::new(Content::SealedReasoning(marked))];
        let messages = vec![Message { role: Role::Assistant, parts }];
        let mut request = Request { messages, ..Request::default() };
        SEAL.open_request(&mut request, caller, issuer, &mut Vec::new());
        assert_eq!(request.messages[0].parts, [thought("", Some("sig"))]);
    }

    #[test]
    fn a_signature_goes_back_to_its_issuer_only() {
        let (issuer, caller) = (Dialect::OpenaiChat, Inbound::Anthropic);
        let parts = || vec![thought("hm", Some("sig")), call("c1", Some("proof"))];
        let (back, lost) = turn(parts(), issuer, caller, |_| true, issuer);
        assert_eq!((back, lost.len()), (parts(), 0));
        let (back, lost) = turn(parts(), issuer, caller, |_| true, Dialect::Anthropic);
        assert_eq!((back, lost.len()), (vec![thought("hm", None), call("c1", None)], 1));
        // Without a mark it is the caller's own dialect's.
        assert_eq!(SEAL.signature(Inbound::Anthropic, Dialect::Anthropic, "s".into()), Some("s".into()));
        assert_eq!(SEAL.signature(Inbound::Anthropic, Dialect::OpenaiChat, "s".into()), None);
    }

    /// pydantic/pydantic-ai#3757: a thought that Bedrock signed is not one that Anthropic signed.
    #[test]
    fn falling_back_from_bedrock_to_anthropic_leaves_no_foreign_signature_pydantic_ai_3757() {
        let (bedrock, anthropic) = (Dialect::BedrockConverse, Dialect::Anthropic);
        for caller in [Inbound::Anthropic, Inbound::OpenaiChat] {
            let (parts, lost) = turn(answer(), bedrock, caller, |_| true, anthropic);
            let is_proof = |part: &Part| match &part.content {
                Content::Reasoning { signature, .. } => signature.is_some(),
                content => matches!(content, Content::SealedReasoning(_)),
            };
            assert!(!parts.iter().any(is_proof) && !lost.is_empty(), "{parts:?}");
            let (parts, lost) = turn(answer(), bedrock, caller, |_| true, bedrock);
            assert_eq!((parts, lost.len()), (answer(), 0));
        }
    }

    #[test]
    fn what_one_server_of_a_shared_dialect_made_is_not_for_another() {
        let chat = Dialect::OpenaiChat;
        let (own, other) = (SEAL.at("openrouter", chat), SEAL.at("openai", chat));
        let mut response =
            Response { parts: vec![thought("hm", Some("sig")), call("c1", None)], ..Response::default() };
        own.close_response(&mut response, chat, Inbound::Anthropic);
        for (seal, signature, losses) in [(own, Some("sig"), 0), (other, None, 1)] {
            let messages = vec![Message { role: Role::Assistant, parts: response.parts.clone() }];
            let (mut request, mut lost) = (Request { messages, ..Request::default() }, Vec::new());
            seal.open_request(&mut request, Inbound::Anthropic, chat, &mut lost);
            assert_eq!((&request.messages[0].parts[0], lost.len()), (&thought("hm", signature), losses));
        }
        // Anthropic's are good on every platform.
        let claude = SEAL.at("anthropic", Dialect::Anthropic).mark(Dialect::Anthropic, "sig", false);
        let bedrock = SEAL.at("bedrock-anthropic", Dialect::Anthropic);
        assert_eq!(bedrock.signature(Inbound::OpenaiChat, Dialect::Anthropic, claude), Some("sig".into()));
    }

    #[test]
    fn a_callers_dialect_that_has_a_place_for_it_keeps_a_calls_signature() {
        let (issuer, caller) = (Dialect::Gemini, Inbound::Anthropic);
        let (back, lost) = turn(vec![call("c1", Some("proof"))], issuer, caller, |_| true, issuer);
        assert_eq!((back, lost.len()), (vec![call("c1", Some("proof"))], 0));
        // Callers of Gemini give the mark back, and another provider's call stays without.
        let (issuer, caller) = (Dialect::OpenaiChat, Inbound::Gemini);
        let (back, _) = turn(vec![call("c1", Some("proof"))], issuer, caller, |_| true, issuer);
        assert_eq!(back, [call("c1", Some("proof"))]);
        let (back, lost) = turn(vec![call("c1", Some("proof"))], issuer, caller, |_| true, Dialect::Gemini);
        assert_eq!((back, lost.len()), (vec![call("c1", None)], 1));
    }

    #[test]
    fn what_another_caller_was_told_cannot_be_brought_forward() {
        let marked = SEAL.mark(Dialect::Anthropic, "sig", false);
        assert!(marked.starts_with(MARK) && is_in(marked.as_bytes()));
        assert_eq!(SEAL.signature(Inbound::OpenaiChat, Dialect::Anthropic, marked.clone()), Some("sig".into()));
        assert_eq!(Seal::new([8; 32]).signature(Inbound::OpenaiChat, Dialect::Anthropic, marked.clone()), None);
        for at in 0..marked.len() {
            let mut broken = marked.clone().into_bytes();
            if let Some(byte) = broken.get_mut(at) {
                *byte = if *byte == b'A' { b'B' } else { b'A' };
            }
            let broken = String::from_utf8(broken).unwrap();
            assert_ne!(SEAL.signature(Inbound::OpenaiChat, Dialect::Anthropic, broken), Some("other".into()));
        }
        let odd = ["c-dG9sbGdhdGUx", "dG9sbGdhdGUx", "c-dG9sbGdhdGUx!", "-dG9sbGdhdGUxAAAAAAAAAAAA", "dG9sbGdhdGUxé"];
        for odd in odd {
            assert_eq!(SEAL.id(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_stream_is_sealed_as_a_whole_answer_is() {
        let parts = answer();
        let response = Response { parts, ..Response::default() };
        let newest = Inbound::AiSdk(Version::V4);
        for caller in [Inbound::OpenaiChat, Inbound::Anthropic, Inbound::Gemini, newest] {
            let mut sealer = Sealer::new(SEAL, Dialect::Anthropic, caller);
            let mut told = Vec::new();
            for event in response.events() {
                sealer.event(event, |event| told.push(event));
            }
            let mut whole = response.clone();
            SEAL.close_response(&mut whole, Dialect::Anthropic, caller);
            assert_eq!(told, whole.events());
        }
    }

    #[test]
    fn more_reasoning_than_an_id_may_hold_is_not_carried() {
        let long = "x".repeat(SEALED_BYTES_MAX + 1);
        let mut response = Response {
            parts: vec![thought(&long, Some("s")), call("c1", None), thought("y", Some("t")), call("c2", None)],
            ..Response::default()
        };
        SEAL.close_response(&mut response, Dialect::Anthropic, Inbound::OpenaiChat);
        let ids: Vec<String> = response.parts.iter().map(id).collect();
        assert_eq!(ids.get(1).map(String::as_str), Some("c1"));
        assert!(ids.get(3).is_some_and(|id| id.len() > 20));
    }
}
