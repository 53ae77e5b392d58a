//! Legacy text completions, which some of the same servers still have: a prompt in, text out.
//!
//! For a caller whose target knows chats only, the prompt is what the user says. Several prompts in one request, and
//! prompts of tokens, are for servers of this protocol.

use super::answer::{Str, UsageOut, finish_reason, of, read_usage, stop_reason};
use super::read_request::{TextOr, field};
use super::{Fault, error_frame};
use crate::chat::{self, Block, Content, Event, Message, Number, Part, Request, Response, Role, Stop, Unread};
use crate::dialect::{Decode, Encode, Label, Malformed};
use crate::error::{self, Error};
use crate::usage::Rule;
use crate::wire::frame::Frame;
use crate::wire::json::{self, Fields, Ignored, Raw, Write, objects, to_vec, written};

/// Models of OpenAI that complete and do not chat, by the start of their name. Source: "Models", OpenAI API
/// documentation, read 2026-11.
const COMPLETION_MODELS: &[&str] = &["gpt-3.5-turbo-instruct", "davinci-", "babbage-"];

/// The fields that are read here; every other one is named in `unread`.
const READ: &[&str] = &[
    "model",
    "prompt",
    "stream",
    "stream_options",
    "max_tokens",
    "temperature",
    "top_p",
    "stop",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "user",
];

/// Whether a server of chats completes with this model instead.
pub fn completes(model: &str) -> bool {
    COMPLETION_MODELS.iter().any(|start| model.starts_with(start))
}

/// How many answers are asked for: one to each prompt, of text or of tokens, and the best of many is as many.
pub fn answers(body: &Fields<'_>) -> u64 {
    let number = |name| body.get::<u64>(name).ok().flatten().unwrap_or(1);
    let texts = body.get::<Vec<String>>("prompt").ok().flatten().map(|prompts| prompts.len());
    let tokens = || body.get::<Vec<Vec<Ignored>>>("prompt").ok().flatten().map(|prompts| prompts.len());
    let prompts = texts.or_else(tokens).map_or(1, |prompts| prompts as u64);
    number("n").max(number("best_of")).max(1).saturating_mul(prompts.max(1))
}

/// A caller's `POST /v1/completions`.
pub fn read_request(body: &Fields<'_>) -> Result<Request, Error> {
    let mut unread = Unread::default();
    for name in body.names().filter(|name| !READ.contains(name)) {
        // What is told to be as it would be anyhow is no loss.
        let is_default =
            |raw: Raw<'_>| matches!((name, raw.get()), (_, "null") | ("n" | "best_of", "1") | ("echo", "false"));
        if body.raw(name).is_some_and(|raw| !is_default(raw)) {
            unread.note(name);
        }
    }
    let stop = field(body, "stop")?.map_or_else(Vec::new, |stop| match stop {
        TextOr::Text(text) => vec![text],
        TextOr::Other(texts) => texts,
    });
    let prompt = prompt(body.raw("prompt").ok_or_else(|| Error::field("prompt", "is missing"))?)?;
    Ok(Request {
        model: field(body, "model")?.ok_or_else(|| Error::field("model", "is missing"))?,
        messages: vec![Message { role: Role::User, parts: vec![Part::text(prompt)] }],
        max_tokens: field(body, "max_tokens")?,
        temperature: field::<Number>(body, "temperature")?,
        top_p: field::<Number>(body, "top_p")?,
        stop,
        seed: field(body, "seed")?,
        frequency_penalty: field(body, "frequency_penalty")?,
        presence_penalty: field(body, "presence_penalty")?,
        user: field(body, "user")?,
        stream: field(body, "stream")?.unwrap_or(false),
        unread: unread.0,
        ..Request::default()
    })
}

fn prompt(raw: Raw<'_>) -> Result<String, Error> {
    if let Ok(prompt) = json::parse(raw.get()) {
        return Ok(prompt);
    }
    let mut prompts = json::parse::<Vec<String>>(raw.get()).unwrap_or_default();
    match (prompts.pop(), prompts.is_empty()) {
        (Some(prompt), true) => Ok(prompt),
        _ => Err(Error::field("prompt", "must be one text: this model chats, and takes no tokens or several prompts")),
    }
}

/// A chat for an upstream that only completes: its texts, one after the other.
pub fn write_request(request: &Request, lost: &mut Vec<String>) -> Vec<u8> {
    let mut texts = Vec::new();
    let mut lose = |name: &str| {
        if !lost.iter().any(|known| known == name) {
            lost.push(name.to_owned());
        }
    };
    for part in request.messages.iter().flat_map(|message| &message.parts) {
        match &part.content {
            Content::Text(text) => texts.push(text.as_str()),
            _ => lose("messages.content"),
        }
    }
    let losses = [
        ("messages.role", request.messages.len() > 1),
        ("tools", !request.tools.is_empty()),
        ("response_format", request.format.is_some()),
        ("reasoning", request.reasoning.as_ref().is_some_and(|effort| *effort != chat::Effort::Off)),
    ];
    losses.into_iter().filter(|(_, is_lost)| *is_lost).for_each(|(name, _)| lose(name));
    for name in ["top_k", "verbosity", "service_tier", "prompt_cache_key"] {
        if request.settings().any(|given| given == name) {
            lose(name);
        }
    }
    to_vec(&RequestOut {
        model: &request.model,
        prompt: texts.join("\n\n"),
        max_tokens: request.max_tokens,
        temperature: request.temperature.as_ref(),
        top_p: request.top_p.as_ref(),
        stop: &request.stop,
        seed: request.seed.as_ref(),
        frequency_penalty: request.frequency_penalty.as_ref(),
        presence_penalty: request.presence_penalty.as_ref(),
        user: request.user.as_deref(),
        stream: request.stream,
        stream_options: request.stream.then_some(StreamOptions { include_usage: true }),
    })
}

/// Reads a stream of `text_completion`.
#[derive(Debug, Default)]
pub struct Decoder {
    at: At,
    is_open: bool,
    /// Why the model stopped, once it was said.
    stop: Option<Stop>,
    /// How usage is told.
    rule: Rule,
    extra: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Before,
    Telling,
    Over,
}

objects! {
    struct Chunk<'a> {
        id: Option<Str<'a>>,
        model: Option<Str<'a>>,
        choices: Option<Vec<Choice<'a>>>,
        usage: Option<Raw<'a>>,
        error: Option<Raw<'a>>,
    }

    struct Choice<'a> {
        index: Option<u64>,
        text: Option<Str<'a>>,
        finish_reason: Option<Str<'a>>,
    }
}

impl Decode for Decoder {
    fn frame(&mut self, frame: &Frame<'_>, events: &mut Vec<Event>) -> Result<(), Malformed> {
        self.extra = false;
        if self.at == At::Over {
            return Ok(());
        }
        match frame.data.as_deref().map(str::trim) {
            None | Some("") => events.push(Event::Ping),
            Some("[DONE]") => self.done(events),
            Some(data) => self.chunk(&json::parse(data).map_err(|error| malformed(&error))?, events),
        }
        Ok(())
    }

    /// A body that ends after the finish reason is complete: not every server says `[DONE]`.
    fn finish(&mut self, events: &mut Vec<Event>) {
        if self.stop.is_some() {
            self.done(events);
        }
    }

    fn is_extra(&self) -> bool {
        self.extra
    }

    fn knows_more(&self) -> bool {
        self.stop.is_some()
    }
}

impl Decoder {
    pub fn by(usage: &Rule) -> Self {
        Self { rule: usage.clone(), ..Self::default() }
    }

    fn chunk(&mut self, chunk: &Chunk<'_>, events: &mut Vec<Event>) {
        if let Some(error) = chunk.error {
            self.at = At::Over;
            let Fault { kind, message } = Fault::read(error);
            let message = message.unwrap_or_else(|| "the upstream failed without saying why".to_owned());
            events.push(Event::Error { kind, message });
            return;
        }
        if self.at == At::Before {
            self.at = At::Telling;
            events.push(Event::Start { id: of(&chunk.id).to_owned(), model: of(&chunk.model).to_owned() });
        }
        let choices = chunk.choices.as_deref().unwrap_or_default();
        self.extra = choices.is_empty();
        // The answers to other prompts are left out; the canonical form has one.
        for choice in choices.iter().filter(|choice| choice.index.unwrap_or(0) == 0) {
            let said = of(&choice.text);
            if !said.is_empty() {
                if !std::mem::replace(&mut self.is_open, true) {
                    events.push(Event::Open(Block::Text));
                }
                events.push(Event::Text(said.to_owned()));
            }
            let word = of(&choice.finish_reason);
            if !word.is_empty() {
                self.stop = Some(Stop { reason: stop_reason(word), native: Some(word.to_owned()), sequence: None });
            }
        }
        events.extend(chunk.usage.and_then(|usage| read_usage(usage, &self.rule)).map(Event::Usage));
    }

    fn done(&mut self, events: &mut Vec<Event>) {
        if self.at != At::Telling {
            return;
        }
        self.at = At::Over;
        if self.is_open {
            events.push(Event::Close);
        }
        events.extend([Event::Stop(self.stop.take().unwrap_or_default()), Event::End]);
    }
}

pub fn read_response(body: &[u8], usage: &Rule) -> Result<Response, Malformed> {
    let reply: Chunk<'_> = json::read(body).map_err(|error| malformed(&error))?;
    if reply.choices.as_ref().is_none_or(Vec::is_empty) {
        return Err(Malformed("choices: missing".to_owned()));
    }
    let usage = reply.usage.and_then(|told| read_usage(told, usage));
    let (mut decoder, mut events) = (Decoder::default(), Vec::new());
    decoder.chunk(&reply, &mut events);
    decoder.done(&mut events);
    let mut response = Response { usage, ..Response::default() };
    for event in events {
        match event {
            Event::Start { id, model } => (response.id, response.model) = (id, model),
            Event::Text(said) => response.parts.push(Part::text(said)),
            Event::Stop(stop) => response.stop = stop,
            _ => {}
        }
    }
    Ok(response)
}

/// Says what was due; never what stood there.
fn malformed(error: &json::Error) -> Malformed {
    Malformed(format!("the completion: {error}"))
}

/// Writes a whole `text_completion`. What is no text has no place in one.
pub fn write_response(response: &Response, label: &Label) -> Vec<u8> {
    let texts = response.parts.iter().filter_map(|part| match &part.content {
        Content::Text(said) => Some(said.as_str()),
        _ => None,
    });
    let said: String = texts.collect();
    let finish_reason = Some(finish_reason(response.stop.reason));
    to_vec(&ChunkOut {
        id: if response.id.is_empty() { &label.id } else { &response.id },
        object: OBJECT,
        created: label.created,
        model: &response.model,
        choices: &[ChoiceOut { text: &said, index: 0, logprobs: None, finish_reason }],
        usage: Some(UsageOut::from(&response.usage.unwrap_or_default())),
    })
}

/// Writes a stream of `text_completion`.
#[derive(Debug)]
pub struct Encoder {
    label: Label,
    id: String,
    model: String,
    usage: Option<chat::Usage>,
}

impl Encoder {
    pub fn new(label: Label) -> Self {
        Self { id: label.id.clone(), label, model: String::new(), usage: None }
    }

    fn chunk(&self, choices: &[ChoiceOut<'_>], usage: Option<UsageOut>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"data: ");
        let (id, model, created) = (&self.id, &self.model, self.label.created);
        ChunkOut { id, object: OBJECT, created, model, choices, usage }.write(out);
        out.extend_from_slice(b"\n\n");
    }

    fn choice(&self, text: &str, finish_reason: Option<&'static str>, out: &mut Vec<u8>) {
        self.chunk(&[ChoiceOut { text, index: 0, logprobs: None, finish_reason }], None, out);
    }
}

impl Encode for Encoder {
    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, model } => {
                if !id.is_empty() {
                    self.id.clone_from(id);
                }
                self.model.clone_from(model);
            }
            Event::Text(said) => self.choice(said, None, out),
            // What is no text has no place here. A client that waits through it should know that all is well.
            Event::Reasoning(_) | Event::Arguments(_) | Event::Ping => out.extend_from_slice(b": ping\n\n"),
            Event::Open(_) | Event::Signature(_) | Event::Close => {}
            Event::Stop(stop) => self.choice("", Some(finish_reason(stop.reason)), out),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Error { message, .. } => {
                out.extend(error_frame(&Error::new(error::Kind::BadUpstream, message.as_str())));
            }
            Event::End => {
                if self.label.usage_wanted {
                    self.chunk(&[], Some(UsageOut::from(&self.usage.unwrap_or_default())), out);
                }
                out.extend_from_slice(b"data: [DONE]\n\n");
            }
        }
    }
}

const OBJECT: &str = "text_completion";

written! {
    struct ChunkOut<'a> {
        id: &'a str,
        object: &'static str,
        created: u64,
        model: &'a str,
        choices: &'a [ChoiceOut<'a>],
        usage?: Option<UsageOut>,
    }

    struct ChoiceOut<'a> {
        text: &'a str,
        index: u64,
        /// Always null, and required by OpenAI's schema.
        logprobs: Option<&'static str>,
        finish_reason: Option<&'static str>,
    }

    struct RequestOut<'a> {
        model: &'a str,
        prompt: String,
        max_tokens?: Option<u64>,
        temperature?: Option<&'a Number>,
        top_p?: Option<&'a Number>,
        stop?: &'a [String],
        seed?: Option<&'a Number>,
        frequency_penalty?: Option<&'a Number>,
        presence_penalty?: Option<&'a Number>,
        user?: Option<&'a str>,
        stream?: bool,
        stream_options?: Option<StreamOptions>,
    }

    struct StreamOptions {
        include_usage: bool,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::chat::{Grammar, StopReason, Tool, Usage};

    fn read(body: &str) -> Result<Request, Error> {
        read_request(&Fields::read(body.as_bytes()).unwrap())
    }

    fn told(frames: &[&str]) -> Vec<Event> {
        let (mut decoder, mut events) = (Decoder::default(), Vec::new());
        for data in frames {
            decoder.frame(&Frame { event: None, data: Some((*data).into()) }, &mut events).unwrap();
        }
        decoder.finish(&mut events);
        let order = events.iter().try_fold(Grammar::default(), |at, event| at.after(event));
        assert!(order.is_ok(), "{events:?}");
        events
    }

    #[test]
    fn a_prompt_is_what_the_user_says() {
        for prompt in [r#""hi""#, r#"["hi"]"#] {
            let body = format!(
                r#"{{"model":"m","prompt":{prompt},"max_tokens":5,"stop":"x","n":1,"echo":false,"suffix":null,"logprobs":2,"stream":true}}"#
            );
            let request = read(&body).unwrap();
            assert_eq!(request.messages, [Message { role: Role::User, parts: vec![Part::text("hi")] }]);
            assert_eq!((request.max_tokens, request.stop, request.stream), (Some(5), vec!["x".to_owned()], true));
            assert_eq!(request.unread, ["logprobs"]);
        }
    }

    #[test]
    fn what_a_chat_cannot_be_asked_is_refused() {
        for prompt in [r#"["a","b"]"#, "[1,2]", "[[1],[2]]", "[]", "7"] {
            let error = read(&format!(r#"{{"model":"m","prompt":{prompt}}}"#)).unwrap_err();
            assert_eq!(error.param.as_deref(), Some("prompt"), "{prompt}");
        }
        assert_eq!(read(r#"{"model":"m"}"#).unwrap_err().param.as_deref(), Some("prompt"));
    }

    #[test]
    fn a_chat_is_asked_as_its_texts() {
        let says = |role, text: &str| Message { role, parts: vec![Part::text(text)] };
        let request = Request {
            model: "m".into(),
            messages: vec![says(Role::System, "be brief"), says(Role::User, "hi")],
            tools: vec![Tool::default()],
            stream: true,
            ..Request::default()
        };
        let mut lost = Vec::new();
        let body: Value = serde_json::from_slice(&write_request(&request, &mut lost)).unwrap();
        let expected = json!({"model": "m", "prompt": "be brief\n\nhi", "stream": true, "stream_options": {"include_usage": true}});
        assert_eq!((body, lost), (expected, vec!["messages.role".to_owned(), "tools".to_owned()]));
    }

    #[test]
    fn a_stream_is_one_text() {
        let events = told(&[
            r#"{"id":"c","model":"m","choices":[{"text":"a","index":0,"logprobs":null,"finish_reason":null}]}"#,
            r#"{"id":"c","model":"m","choices":[{"text":"other","index":1,"finish_reason":"stop"}]}"#,
            r#"{"id":"c","model":"m","choices":[{"text":"b","index":0,"finish_reason":"length"}]}"#,
            r#"{"id":"c","model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#,
            "[DONE]",
        ]);
        let expected = [
            Event::Start { id: "c".into(), model: "m".into() },
            Event::Open(Block::Text),
            Event::Text("a".into()),
            Event::Text("b".into()),
            Event::Usage(Usage { input: 1, output: 2, ..Usage::default() }),
            Event::Close,
            Event::Stop(Stop { reason: StopReason::Length, native: Some("length".into()), sequence: None }),
            Event::End,
        ];
        assert_eq!(events, expected);
        assert!(!told(&[r#"{"choices":[{"text":"a"}]}"#]).contains(&Event::End), "a cut is no end");
        let failed = told(&[r#"{"choices":[{"text":"a"}]}"#, r#"{"error":{"message":"no","type":"t"}}"#]);
        assert_eq!(failed.last(), Some(&Event::Error { kind: Some("t".into()), message: "no".into() }));
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let response = Response {
            id: "c".into(),
            model: "m".into(),
            parts: vec![Part::text("hello")],
            stop: Stop { reason: StopReason::EndTurn, native: Some("stop".into()), sequence: None },
            usage: Some(Usage { input: 1, output: 2, ..Usage::default() }),
        };
        let label = Label { usage_wanted: true, ..Label::default() };
        assert_eq!(read_response(&write_response(&response, &label), &Rule::default()), Ok(response.clone()));
        let (mut encoder, mut out) = (Encoder::new(label), Vec::new());
        response.events().iter().for_each(|event| encoder.event(event, &mut out));
        let written = String::from_utf8(out).unwrap();
        let frames: Vec<&str> = written.split("\n\n").filter_map(|frame| frame.strip_prefix("data: ")).collect();
        let texts = |events: Vec<Event>| {
            events.into_iter().filter(|event| matches!(event, Event::Text(_) | Event::Usage(_) | Event::Stop(_)))
        };
        let mut expected: Vec<Event> = texts(response.events()).collect();
        expected.swap(1, 2);
        assert_eq!(texts(told(&frames)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_no_completion_is_malformed_and_not_quoted() {
        for body in ["", "secret", r#"{"error":"secret"}"#, r#"{"choices":"secret"}"#, r#"{"choices":[]}"#] {
            let Malformed(why) = read_response(body.as_bytes(), &Rule::default()).unwrap_err();
            assert!(!why.contains("secret"), "{why}");
        }
    }

    #[test]
    fn only_models_that_complete_are_asked_to() {
        for (model, is_one) in
            [("gpt-3.5-turbo-instruct", true), ("davinci-002", true), ("gpt-4o", false), ("m", false)]
        {
            assert_eq!(completes(model), is_one, "{model}");
        }
    }
}
