//! Reads a caller's `POST /v1/responses`.
//!
//! The input is a list of items, one for each thing said, thought or called; those of one turn are one message here.
//! What points into a provider's memory is refused, since nothing is stored between dialects.

use super::tools::{self, joined, wrapped};
use crate::chat::{
    Content, Effort, Format, Json, Media, Message, Number, Part, Request, Role, Tool, ToolCall, ToolChoice, Unread,
};
use crate::error::Error;
use crate::wire::json::{self, Fields, Ignored, Raw, Read, objects, quoted};

/// The fields that are read here, or that change nothing; every other one is named in `unread`.
const READ: &[&str] = &[
    "model",
    "instructions",
    "input",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "max_output_tokens",
    "temperature",
    "top_p",
    "reasoning",
    "text",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "service_tier",
    "include",
    "stream",
    // Whether chunks are padded, and, from clients of Chat Completions, whether usage is told.
    "stream_options",
    // Nothing is stored, whatever is asked.
    "store",
    // Refused unless they ask for nothing.
    "background",
    "previous_response_id",
    "conversation",
    "prompt",
];

/// Whether a body is a request of this dialect, wherever it was sent: Cursor sends them to Chat Completions.
///
/// Source: router-for-me/CLIProxyAPI#658, Soju06/codex-lb#833, read 2026-11.
pub fn is_request(body: &Fields<'_>) -> bool {
    let is_given = |name| body.raw(name).is_some_and(|value: Raw<'_>| !matches!(value.get(), "null" | "[]"));
    is_given("input") && !is_given("messages")
}

pub fn read_request(body: &Fields<'_>) -> Result<Request, Error> {
    let mut unread = Unread(Vec::new());
    refuse_memory(body)?;
    for name in body.names().filter(|name| !READ.contains(name)) {
        let says = body.raw(name).map(Raw::get);
        let is_default = says == Some("null") || (name == "truncation" && says == Some("\"disabled\""));
        if !is_default {
            unread.note(name);
        }
    }
    let include: Vec<String> = field(body, "include")?.unwrap_or_default();
    if include.iter().any(|what| what != "reasoning.encrypted_content") {
        unread.note("include");
    }
    let model: String = field(body, "model")?.ok_or_else(|| Error::field("model", "is missing"))?;
    let mut reading = Reading { unread: &mut unread, turns: Vec::new(), tools: Vec::new() };
    if let Some(wire) = field::<Vec<Raw<'_>>>(body, "tools")? {
        tools::read(wire, "tools", &mut reading.tools, reading.unread)?;
    }
    if let Some(text) = field::<String>(body, "instructions")?.filter(|text| !text.is_empty()) {
        reading.turns.push((Message { role: Role::System, parts: vec![Part::text(text)] }, Turn::Words));
    }
    reading.input(body)?;
    let Reading { turns, tools, .. } = reading;
    let messages = turns.into_iter().map(|(message, _)| message).collect();
    let reasoning: WireReasoning = field(body, "reasoning")?.unwrap_or_default();
    for (name, is_given) in
        [("reasoning.context", reasoning.context.is_some()), ("reasoning.mode", reasoning.mode.is_some())]
    {
        if is_given {
            unread.note(name);
        }
    }
    let text: WireText = field(body, "text")?.unwrap_or_default();
    Ok(Request {
        model,
        messages,
        tools,
        tool_choice: tool_choice(body, &mut unread)?,
        parallel_tools: field(body, "parallel_tool_calls")?,
        max_tokens: field(body, "max_output_tokens")?,
        temperature: field::<Number>(body, "temperature")?,
        top_p: field::<Number>(body, "top_p")?,
        stream: field(body, "stream")?.unwrap_or(false),
        reasoning: reasoning.effort.map(|level| if level == "none" { Effort::Off } else { Effort::Level(level) }),
        reasoning_told: reasoning.summary.or(reasoning.generate_summary).map(|summary| summary != "none"),
        verbosity: text.verbosity,
        service_tier: field(body, "service_tier")?,
        cache_key: field(body, "prompt_cache_key")?,
        format: text.format.map(format).transpose()?.flatten(),
        user: match field(body, "safety_identifier")? {
            None => field(body, "user")?,
            identifier => identifier,
        },
        unread: unread.0,
        ..Request::default()
    })
}

/// The same body with another model.
pub fn splice(body: &Fields<'_>, model: &str) -> Vec<u8> {
    body.with(&[("model", &quoted(model))])
}

fn refuse_memory(body: &Fields<'_>) -> Result<(), Error> {
    let is_given = |name| body.raw(name).is_some_and(|value| !matches!(value.get(), "null" | "false"));
    let refusals = [
        ("previous_response_id", "the target of this model keeps no responses; send the whole conversation in input"),
        ("conversation", "the target of this model keeps no conversations; send the whole conversation in input"),
        ("background", "the target of this model answers at once or not at all; leave it out"),
        ("prompt", "the target of this model keeps no prompts; send instructions and input"),
    ];
    match refusals.into_iter().find(|(name, _)| is_given(name)) {
        Some((name, why)) => Err(Error::field(name, why)),
        None => Ok(()),
    }
}

fn field<'a, T: Read<'a>>(body: &Fields<'a>, name: &str) -> Result<Option<T>, Error> {
    match body.raw(name) {
        None => Ok(None),
        Some(raw) => parse(raw, name),
    }
}

pub(super) fn parse<'a, T: Read<'a>>(raw: Raw<'a>, path: &str) -> Result<T, Error> {
    json::parse(raw.get()).map_err(|error| Error::field(path, error))
}

/// A string's text; `None` where something else stands.
fn text(raw: Raw<'_>) -> Option<String> {
    raw.get().starts_with('"').then(|| json::parse(raw.get()).ok()).flatten()
}

/// What a message was made of, and so which items belong to it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Words,
    /// What the model said, thought and called, one after the other.
    Model,
    Results,
}

struct Reading<'a> {
    unread: &'a mut Unread,
    turns: Vec<(Message, Turn)>,
    tools: Vec<Tool>,
}

impl Reading<'_> {
    fn input(&mut self, body: &Fields<'_>) -> Result<(), Error> {
        let raw = body.raw("input").ok_or_else(|| Error::field("input", "is missing"))?;
        if let Some(words) = text(raw) {
            self.add(Role::User, Turn::Words, vec![Part::text(words)]);
            return Ok(());
        }
        let items: Vec<Raw<'_>> =
            json::parse(raw.get()).map_err(|_| Error::field("input", "expected a string or an array"))?;
        for (index, raw) in items.into_iter().enumerate() {
            let path = format!("input[{index}]");
            match text(raw) {
                Some(words) => self.add(Role::User, Turn::Words, vec![Part::text(words)]),
                None => self.item(parse(raw, &path)?, &path)?,
            }
        }
        if self.turns.is_empty() {
            return Err(Error::field("input", "is empty; at least one item is needed"));
        }
        Ok(())
    }

    fn add(&mut self, role: Role, turn: Turn, parts: Vec<Part>) {
        match self.turns.last_mut() {
            // An assistant that said nothing, or only what could not be read. Other dialects refuse such messages.
            _ if parts.is_empty() => {}
            Some((message, last)) if turn != Turn::Words && *last == turn => message.parts.extend(parts),
            _ => self.turns.push((Message { role, parts }, turn)),
        }
    }

    fn item(&mut self, item: WireItem<'_>, path: &str) -> Result<(), Error> {
        let missing = |name: &str| Error::field(format!("{path}.{name}"), "is missing");
        let kind = item.kind.as_deref().unwrap_or("message");
        match kind {
            "message" => return self.message(item, path),
            "reasoning" => {
                let part = reasoning(&item);
                self.add(Role::Assistant, Turn::Model, part.into_iter().collect());
            }
            "function_call" | "custom_tool_call" => {
                let name = item.name.ok_or_else(|| missing("name"))?;
                let arguments = if kind == "custom_tool_call" {
                    wrapped(&item.input.ok_or_else(|| missing("input"))?)
                } else {
                    // The object itself where its text is due: its text, then.
                    let said = |raw: Raw<'_>| text(raw).unwrap_or_else(|| raw.get().to_owned());
                    item.arguments.map(said).unwrap_or_default()
                };
                let call = ToolCall {
                    id: item.call_id.ok_or_else(|| missing("call_id"))?,
                    name: joined(item.namespace.as_deref().unwrap_or_default(), &name),
                    arguments,
                    signature: None,
                };
                self.add(Role::Assistant, Turn::Model, vec![Part::new(Content::ToolCall(call))]);
            }
            "function_call_output" | "custom_tool_call_output" => {
                let call = item.call_id.ok_or_else(|| missing("call_id"))?;
                let output = item.output.ok_or_else(|| missing("output"))?;
                let parts = self.content(output, &format!("{path}.output"))?;
                let result = Content::ToolResult { call, parts, is_error: false };
                self.add(Role::User, Turn::Results, vec![Part::new(result)]);
            }
            "item_reference" => {
                let why = "refers to what was stored; the target of this model stores nothing, so send the item itself";
                return Err(Error::field(path, why));
            }
            // Tools that came up on the way. For others there is one list.
            "additional_tools" | "tool_search_output" => {
                let path = format!("{path}.tools");
                tools::read(item.tools.unwrap_or_default(), &path, &mut self.tools, self.unread)?;
            }
            // Calls that the provider ran itself, and what came of them.
            kind => self.unread.note(&format!("input.{kind}")),
        }
        Ok(())
    }

    fn message(&mut self, item: WireItem<'_>, path: &str) -> Result<(), Error> {
        if item.phase.is_some() {
            self.unread.note("input.phase");
        }
        let (role, turn) = match item.role.as_deref() {
            Some("user") => (Role::User, Turn::Words),
            Some("system" | "developer") => (Role::System, Turn::Words),
            Some("assistant") => (Role::Assistant, Turn::Model),
            // Bodies that mix the two dialects have results in Chat Completions' way.
            Some("tool") => {
                let missing = |name: &str| Error::field(format!("{path}.{name}"), "is missing");
                let call = item.tool_call_id.or(item.call_id).ok_or_else(|| missing("tool_call_id"))?;
                let content = item.content.ok_or_else(|| missing("content"))?;
                let parts = self.content(content, &format!("{path}.content"))?;
                let result = Content::ToolResult { call, parts, is_error: false };
                self.add(Role::User, Turn::Results, vec![Part::new(result)]);
                return Ok(());
            }
            Some(_) => {
                return Err(Error::field(format!("{path}.role"), "must be user, assistant, system or developer"));
            }
            None => return Err(Error::field(format!("{path}.role"), "is missing")),
        };
        let parts = match item.content {
            Some(content) => self.content(content, &format!("{path}.content"))?,
            None => Vec::new(),
        };
        self.add(role, turn, parts);
        Ok(())
    }

    /// A string, or an array of parts.
    fn content(&mut self, raw: Raw<'_>, path: &str) -> Result<Vec<Part>, Error> {
        if let Some(words) = text(raw) {
            return Ok(if words.is_empty() { Vec::new() } else { vec![Part::text(words)] });
        }
        let wire: Vec<Raw<'_>> =
            json::parse(raw.get()).map_err(|_| Error::field(path, "expected a string or an array of parts"))?;
        let mut parts = Vec::with_capacity(wire.len());
        for (index, raw) in wire.into_iter().enumerate() {
            let path = format!("{path}[{index}]");
            let part = self.part(parse(raw, &path)?, &path)?;
            // Other dialects refuse a text without words.
            parts.extend(part.filter(|part| !matches!(part, Content::Text(text) if text.is_empty())).map(Part::new));
        }
        Ok(parts)
    }

    fn part(&mut self, wire: WirePart<'_>, path: &str) -> Result<Option<Content>, Error> {
        let missing = |name: &str| Error::field(format!("{path}.{name}"), "is missing");
        if wire.prompt_cache_breakpoint.is_some() {
            self.unread.note("input.content.prompt_cache_breakpoint");
        }
        Ok(Some(match wire.kind.as_deref() {
            Some("input_text" | "output_text" | "text") => Content::Text(wire.text.ok_or_else(|| missing("text"))?),
            Some("refusal") => Content::Text(wire.refusal.ok_or_else(|| missing("refusal"))?),
            Some("input_image" | "image_url") => {
                if wire.detail.is_some_and(|detail| detail != "auto") {
                    self.unread.note("input.content.detail");
                }
                let Some(raw) = wire.image_url else {
                    // An uploaded file is known to one provider only.
                    self.unread.note("input.content.file_id");
                    return Ok(None);
                };
                let path = format!("{path}.image_url");
                let url = match text(raw) {
                    Some(url) => url,
                    None => parse::<WireUrl>(raw, &path)?.url,
                };
                Content::Image(media(url, &path)?)
            }
            Some("input_file") => {
                let media = match (wire.file_data, wire.file_url) {
                    (Some(data), _) => document(data, &format!("{path}.file_data"))?,
                    (None, Some(url)) => Media::Url(url),
                    (None, None) => {
                        self.unread.note("input.content.file_id");
                        return Ok(None);
                    }
                };
                Content::Document { media, name: wire.filename }
            }
            Some("input_audio") => {
                self.unread.note("input.content.input_audio");
                return Ok(None);
            }
            Some(_) => {
                return Err(Error::field(
                    format!("{path}.type"),
                    "must be input_text, input_image, input_file, output_text or refusal",
                ));
            }
            None => return Err(missing("type")),
        }))
    }
}

/// `None` where an item says nothing that could be given back. An empty summary is not told apart from none by
/// providers, but by us: reasoning whose text is withheld has an empty one, and what only its provider can read none.
fn reasoning(item: &WireItem) -> Option<Part> {
    let sealed = item.encrypted_content.clone().filter(|sealed| !sealed.is_empty());
    let content = item.content.and_then(|raw| json::parse::<Option<Vec<WireThought>>>(raw.get()).ok());
    let summary = item.summary.as_deref().unwrap_or_default();
    let content = content.flatten().unwrap_or_default();
    let texts: Vec<&str> = summary.iter().chain(&content).filter_map(|thought| thought.text.as_deref()).collect();
    match sealed {
        None if texts.iter().all(|text| text.is_empty()) => None,
        Some(sealed) if texts.is_empty() => Some(Part::new(Content::SealedReasoning(sealed))),
        signature => Some(Part::new(Content::Reasoning { text: texts.join("\n\n"), signature })),
    }
}

fn media(url: String, path: &str) -> Result<Media, Error> {
    let Some(rest) = url.strip_prefix("data:") else { return Ok(Media::Url(url)) };
    let (head, data) = rest.split_once(',').ok_or_else(|| Error::field(path, "is a data URL without data"))?;
    let media_type = head
        .strip_suffix(";base64")
        .ok_or_else(|| Error::field(path, "must be a data URL in base64: data:<media type>;base64,<data>"))?;
    let media_type = media_type.split(';').next().unwrap_or_default().to_owned();
    Ok(Media::Inline { media_type, data: data.to_owned() })
}

/// `file_data` is a data URL; some clients send bare base64.
fn document(data: String, path: &str) -> Result<Media, Error> {
    if data.starts_with("data:") {
        return media(data, path);
    }
    Ok(Media::Inline { media_type: "application/pdf".to_owned(), data })
}

fn tool_choice(body: &Fields<'_>, unread: &mut Unread) -> Result<Option<ToolChoice>, Error> {
    let unknown = || Error::field("tool_choice", "must be none, auto, required, or an object that names a tool");
    let mode = |mode: &str| match mode {
        "auto" => Ok(ToolChoice::Auto),
        "none" => Ok(ToolChoice::None),
        "required" => Ok(ToolChoice::Required),
        _ => Err(unknown()),
    };
    let Some(raw) = body.raw("tool_choice").filter(|raw| raw.get() != "null") else { return Ok(None) };
    if let Some(word) = text(raw) {
        return mode(&word).map(Some);
    }
    let choice: WireChoice = parse(raw, "tool_choice")?;
    Ok(Some(match choice.kind.as_deref() {
        Some("function" | "custom") | None => {
            let name = choice.name.or(choice.function.and_then(|function| function.name));
            let name = name.ok_or_else(|| Error::field("tool_choice.name", "is missing"))?;
            ToolChoice::Named(joined(choice.namespace.as_deref().unwrap_or_default(), &name))
        }
        Some("allowed_tools") => {
            unread.note("tool_choice.allowed_tools");
            mode(choice.mode.as_deref().unwrap_or("auto"))?
        }
        // A tool that only its provider can run, and that was not read either.
        Some(kind) => {
            unread.note(&format!("tool_choice ({kind})"));
            return Ok(None);
        }
    }))
}

fn format(wire: WireFormat) -> Result<Option<Format>, Error> {
    match wire.kind.as_deref() {
        Some("text") => Ok(None),
        Some("json_object") => Ok(Some(Format::Json)),
        Some("json_schema") => {
            let schema = wire.schema.ok_or_else(|| Error::field("text.format.schema", "is missing"))?;
            let name = wire.name.unwrap_or_else(|| "response".to_owned());
            Ok(Some(Format::Schema { name, schema, strict: wire.strict }))
        }
        _ => Err(Error::field("text.format.type", "must be text, json_object or json_schema")),
    }
}

objects! {
    struct WireItem<'a> {
        kind as "type": Option<String>,
        role: Option<String>,
        content: Option<Raw<'a>>,
        phase: Option<String>,
        summary: Option<Vec<WireThought>>,
        encrypted_content: Option<String>,
        call_id: Option<String>,
        tool_call_id: Option<String>,
        name: Option<String>,
        namespace: Option<String>,
        arguments: Option<Raw<'a>>,
        input: Option<String>,
        output: Option<Raw<'a>>,
        tools: Option<Vec<Raw<'a>>>,
    }

    struct WireThought {
        text: Option<String>,
    }

    struct WirePart<'a> {
        kind as "type": Option<String>,
        text: Option<String>,
        refusal: Option<String>,
        image_url: Option<Raw<'a>>,
        detail: Option<String>,
        file_data: Option<String>,
        file_url: Option<String>,
        filename: Option<String>,
        prompt_cache_breakpoint: Option<Ignored>,
    }

    struct WireUrl {
        url: String,
    }

    struct WireChoice {
        kind as "type": Option<String>,
        name: Option<String>,
        namespace: Option<String>,
        mode: Option<String>,
        function: Option<WireChosen>,
    }

    struct WireChosen {
        name: Option<String>,
    }

    #[derive(Default)]
    struct WireReasoning {
        effort: Option<String>,
        summary: Option<String>,
        /// The former name.
        generate_summary: Option<String>,
        context: Option<String>,
        mode: Option<String>,
    }

    #[derive(Default)]
    struct WireText {
        format: Option<WireFormat>,
        verbosity: Option<String>,
    }

    struct WireFormat {
        kind as "type": Option<String>,
        name: Option<String>,
        schema: Option<Json>,
        strict: Option<bool>,
    }
}
