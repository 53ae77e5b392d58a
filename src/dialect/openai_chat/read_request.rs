//! Reads a caller's `POST /v1/chat/completions`.
//!
//! One pass over the messages; only when that fails are they walked again, to say where. What the canonical
//! form cannot hold is named in `unread`.

use std::borrow::Cow;

use super::detail::Shape;
use crate::chat::{
    Content, Effort, Format, Json, Media, Message, Number, Part, Request, Role, Tool, ToolCall, ToolChoice, Unread,
};
use crate::error::Error;
use crate::wire::json::{self, Cursor, Fields, Ignored, Raw, Read, objects, quoted};

/// The fields that are read here; every other one is named in `unread`.
const READ: &[&str] = &[
    "model",
    "messages",
    "stream",
    "stream_options",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "top_k",
    "stop",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "verbosity",
    "service_tier",
    "prompt_cache_key",
    "reasoning_effort",
    "reasoning",
    "response_format",
    "user",
    "safety_identifier",
    "n",
];

pub fn read_request(body: &Fields<'_>) -> Result<Request, Error> {
    let mut unread = Unread(Vec::new());
    for name in body.names().filter(|name| !READ.contains(name)) {
        if body.raw(name).is_some_and(|value| value.get() != "null") {
            unread.note(name);
        }
    }
    if field::<u64>(body, "n")?.is_some_and(|n| n > 1) {
        unread.note("n");
    }
    let model: String = field(body, "model")?.ok_or_else(|| Error::field("model", "is missing"))?;
    let messages = messages(body, &mut unread)?;
    let max_tokens = field(body, "max_completion_tokens")?;
    let stop = field(body, "stop")?.map_or_else(Vec::new, |stop| match stop {
        TextOr::Text(text) => vec![text],
        TextOr::Other(texts) => texts,
    });
    Ok(Request {
        model,
        messages,
        tools: tools(body, &mut unread)?,
        tool_choice: tool_choice(body, &mut unread)?,
        parallel_tools: field(body, "parallel_tool_calls")?,
        max_tokens: if max_tokens.is_some() { max_tokens } else { field(body, "max_tokens")? },
        temperature: field::<Number>(body, "temperature")?,
        top_p: field::<Number>(body, "top_p")?,
        top_k: field(body, "top_k")?,
        stop,
        seed: field(body, "seed")?,
        frequency_penalty: field(body, "frequency_penalty")?,
        presence_penalty: field(body, "presence_penalty")?,
        verbosity: field(body, "verbosity")?,
        service_tier: field(body, "service_tier")?,
        cache_key: field(body, "prompt_cache_key")?,
        reasoning_told: None,
        stream: field(body, "stream")?.unwrap_or(false),
        reasoning: effort(body, &mut unread)?,
        format: format(body)?,
        user: match field(body, "safety_identifier")? {
            None => field(body, "user")?,
            identifier => identifier,
        },
        betas: Vec::new(),
        unread: unread.0,
    })
}

/// The same body with another model, and with usage asked for in a stream: without it nothing can be billed.
pub fn splice(body: &Fields<'_>, model: &str) -> Vec<u8> {
    let model = quoted(model);
    let options = usage_options(body);
    match &options {
        Some(options) => body.with(&[("model", &model), ("stream_options", options)]),
        None => body.with(&[("model", &model)]),
    }
}

pub fn usage_wanted(body: &Fields<'_>) -> bool {
    let options = body.raw("stream_options").and_then(|raw| Fields::read(raw.get().as_bytes()).ok());
    options.and_then(|options| options.raw("include_usage")).is_some_and(|wanted| wanted.get() == "true")
}

/// What `stream_options` must become; `None` where it may stay.
fn usage_options(body: &Fields<'_>) -> Option<String> {
    if body.raw("stream")?.get() != "true" || usage_wanted(body) {
        return None;
    }
    let alone = || Some(r#"{"include_usage":true}"#.to_owned());
    match body.raw("stream_options") {
        None => alone(),
        Some(raw) if raw.get() == "null" => alone(),
        // What is no object is for the upstream to refuse.
        Some(raw) => {
            let options = Fields::read(raw.get().as_bytes()).ok()?;
            String::from_utf8(options.with(&[("include_usage", "true")])).ok()
        }
    }
}

pub(super) fn field<'a, T: Read<'a>>(body: &Fields<'a>, name: &str) -> Result<Option<T>, Error> {
    match body.raw(name) {
        None => Ok(None),
        Some(raw) => parse(raw, name),
    }
}

fn parse<'a, T: Read<'a>>(raw: Raw<'a>, path: &str) -> Result<T, Error> {
    json::parse(raw.get()).map_err(|error| Error::field(path, error))
}

fn messages(body: &Fields<'_>, unread: &mut Unread) -> Result<Vec<Message>, Error> {
    let raw = body.raw("messages").ok_or_else(|| Error::field("messages", "is missing"))?;
    let wire: Vec<WireMessage> = json::parse(raw.get()).map_err(|error| misread(raw, &error))?;
    if wire.is_empty() {
        return Err(Error::field("messages", "is empty; at least one message is needed"));
    }
    let mut messages: Vec<Message> = Vec::with_capacity(wire.len());
    let mut after_tool = false;
    for (index, wire) in wire.into_iter().enumerate() {
        let path = format!("messages[{index}]");
        let is_tool = wire.role.as_deref() == Some("tool");
        let message = message(wire, &path, unread)?;
        if message.parts.is_empty() {
            // An assistant that said nothing, or only what could not be read. Other dialects refuse such messages.
            continue;
        }
        match messages.last_mut() {
            // Results of one turn's calls are one turn.
            Some(last) if is_tool && after_tool => last.parts.extend(message.parts),
            _ => messages.push(message),
        }
        after_tool = is_tool;
    }
    Ok(messages)
}

/// Which message, and which part of it, has a field of the wrong type.
fn misread(raw: Raw<'_>, error: &json::Error) -> Error {
    objects! {
        struct Contents<'a> {
            content: Option<Raw<'a>>,
        }
    }
    let Ok(messages) = json::parse::<Vec<Raw<'_>>>(raw.get()) else {
        return Error::field("messages", "expected an array");
    };
    for (index, message) in messages.into_iter().enumerate() {
        let Err(error) = json::parse::<WireMessage>(message.get()) else { continue };
        let path = format!("messages[{index}]");
        let contents = json::parse::<Contents<'_>>(message.get()).ok().and_then(|message| message.content);
        let parts = contents.and_then(|raw| json::parse::<Vec<Raw<'_>>>(raw.get()).ok());
        for (index, part) in parts.unwrap_or_default().into_iter().enumerate() {
            if let Err(error) = json::parse::<WirePart>(part.get()) {
                return Error::field(format!("{path}.content[{index}]"), error);
            }
        }
        return Error::field(path, error);
    }
    Error::field("messages", error)
}

fn message(wire: WireMessage, path: &str, unread: &mut Unread) -> Result<Message, Error> {
    for (name, sent) in [
        ("messages.name", wire.name.is_some()),
        ("messages.audio", wire.audio.is_some()),
        ("messages.prefix", wire.prefix == Some(true)),
    ] {
        if sent {
            unread.note(name);
        }
    }
    if wire.function_call.is_some() {
        return Err(Error::field(
            format!("{path}.function_call"),
            "the legacy function calls are not understood; use tool_calls",
        ));
    }
    let role = match wire.role.as_deref() {
        Some("system" | "developer") => Role::System,
        Some("user" | "tool") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("function") => {
            return Err(Error::field(
                format!("{path}.role"),
                "the legacy role function is not understood; use tool with a tool_call_id",
            ));
        }
        Some(_) => {
            return Err(Error::field(format!("{path}.role"), "must be system, developer, user, assistant or tool"));
        }
        None => return Err(Error::field(format!("{path}.role"), "is missing")),
    };
    let mut parts = Vec::new();
    if role == Role::Assistant {
        let plain = wire.reasoning_content.filter(|text| !text.is_empty()).or(wire.reasoning);
        reasoning(wire.reasoning_details.unwrap_or_default(), plain, &mut parts);
    }
    content(wire.content, path, &mut parts, unread)?;
    if let Some(refusal) = wire.refusal.filter(|text| !text.is_empty()) {
        parts.push(Part::text(refusal));
    }
    if role == Role::Assistant {
        for (index, call) in wire.tool_calls.unwrap_or_default().into_iter().enumerate() {
            parts.push(Part::new(Content::ToolCall(tool_call(call, &format!("{path}.tool_calls[{index}]"))?)));
        }
    }
    if let Some(part) = parts.last_mut()
        && let Some(marker) = wire.cache_control
    {
        // On a message it means everything up to its end.
        part.cache.get_or_insert(marker);
    }
    if wire.role.as_deref() == Some("tool") {
        let call = wire.tool_call_id.ok_or_else(|| Error::field(format!("{path}.tool_call_id"), "is missing"))?;
        // The result's own marker is what a cache goes by.
        let cache = parts.last_mut().and_then(|part| part.cache.take());
        parts = vec![Part { content: Content::ToolResult { call, parts, is_error: false }, cache }];
    }
    Ok(Message { role, parts })
}

/// Details win over the plain string, which says the same without proof. A client that collects a stream
/// sends one entry per chunk, so entries of one block are joined until its signature.
fn reasoning(details: Vec<WireDetail>, plain: Option<String>, parts: &mut Vec<Part>) {
    let mut open: Option<Shape<'_>> = None;
    for detail in details {
        let (text, shape) = detail.taken();
        if !shape.data.is_empty() {
            parts.extend(shape.told().map(Content::SealedReasoning).map(Part::new));
            open = None;
        } else if !text.is_empty() || !shape.signature.is_empty() {
            match (parts.last_mut().map(|part| &mut part.content), &mut open) {
                (Some(Content::Reasoning { text: known, signature }), Some(open))
                    if open.signature.is_empty() && open.goes_on_in(&shape) =>
                {
                    known.push_str(&text);
                    open.add(shape);
                    *signature = open.told();
                }
                _ => {
                    parts.push(Part::new(Content::Reasoning { text, signature: shape.told() }));
                    open = Some(shape);
                }
            }
        }
    }
    let is_told = parts.iter().any(|part| matches!(&part.content, Content::Reasoning { text, .. } if !text.is_empty()));
    if let Some(text) = plain.filter(|text| !is_told && !text.is_empty()) {
        match parts.first_mut().map(|part| &mut part.content) {
            Some(Content::Reasoning { text: missing, .. }) => *missing = text,
            _ => parts.insert(0, Part::new(Content::Reasoning { text, signature: None })),
        }
    }
}

impl WireDetail {
    /// The text, and all the rest.
    fn taken(self) -> (String, Shape<'static>) {
        let own = |text: Option<String>| Cow::Owned(text.unwrap_or_default());
        let (signature, data) = (own(self.signature), own(self.data));
        let (kind, format, id) = (own(self.kind), own(self.format), own(self.id));
        let shape = Shape { kind, signature, data, format, id, index: self.index };
        (self.text.or(self.summary).unwrap_or_default(), shape)
    }
}

fn content(
    wire: Option<TextOr<Vec<WirePart>>>,
    path: &str,
    parts: &mut Vec<Part>,
    unread: &mut Unread,
) -> Result<(), Error> {
    match wire {
        None => {}
        // An assistant's empty content beside tool calls is no text.
        Some(TextOr::Text(text)) if text.is_empty() => {}
        Some(TextOr::Text(text)) => parts.push(Part::text(text)),
        Some(TextOr::Other(wire)) => {
            for (index, wire) in wire.into_iter().enumerate() {
                part(wire, &format!("{path}.content[{index}]"), parts, unread)?;
            }
        }
    }
    Ok(())
}

fn part(wire: WirePart, path: &str, parts: &mut Vec<Part>, unread: &mut Unread) -> Result<(), Error> {
    let missing = |name: &str| Error::field(format!("{path}.{name}"), "is missing");
    let content = match wire.kind.as_deref() {
        Some("text") => Content::Text(wire.text.ok_or_else(|| missing("text"))?),
        Some("refusal") => Content::Text(wire.refusal.ok_or_else(|| missing("refusal"))?),
        Some("thinking") => {
            Content::Reasoning { text: wire.thinking.map(thought).unwrap_or_default(), signature: None }
        }
        Some("image_url") => {
            let image = match wire.image_url.ok_or_else(|| missing("image_url"))? {
                TextOr::Text(url) => ImageUrl { url, detail: None },
                TextOr::Other(image) => image,
            };
            if image.detail.is_some_and(|detail| detail != "auto") {
                unread.note("messages.content.image_url.detail");
            }
            Content::Image(media(image.url, &format!("{path}.image_url.url"))?)
        }
        Some("file") => {
            let file = wire.file.ok_or_else(|| missing("file"))?;
            let Some(data) = file.file_data else {
                // An uploaded file is known to one provider only.
                unread.note("messages.content.file.file_id");
                return Ok(());
            };
            Content::Document { media: document(data, &format!("{path}.file.file_data"))?, name: file.filename }
        }
        Some(kind @ ("input_audio" | "video_url")) => {
            unread.note(&format!("messages.content.{kind}"));
            return Ok(());
        }
        Some(_) => return Err(Error::field(format!("{path}.type"), "must be text, image_url or file")),
        None => return Err(missing("type")),
    };
    parts.push(Part { content, cache: wire.cache_control });
    Ok(())
}

fn thought(wire: TextOr<Vec<WireThought>>) -> String {
    match wire {
        TextOr::Text(text) => text,
        TextOr::Other(parts) => parts.into_iter().filter_map(|part| part.text).collect(),
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

/// `file_data` is a data URL; some clients send bare base64, OpenRouter's also a link.
fn document(data: String, path: &str) -> Result<Media, Error> {
    if data.starts_with("data:") || data.starts_with("http://") || data.starts_with("https://") {
        return media(data, path);
    }
    Ok(Media::Inline { media_type: "application/pdf".to_owned(), data })
}

fn tool_call(wire: WireCall, path: &str) -> Result<ToolCall, Error> {
    let function = wire.function.ok_or_else(|| Error::field(format!("{path}.function"), "is missing"))?;
    let arguments = match function.arguments {
        None => String::new(),
        // The object itself where its text is due: its text, then.
        Some(raw) => json::parse::<String>(raw.get()).unwrap_or_else(|_| raw.get().to_owned()),
    };
    let name = function.name.ok_or_else(|| Error::field(format!("{path}.function.name"), "is missing"))?;
    Ok(ToolCall { id: wire.id.unwrap_or_default(), name, arguments, signature: None })
}

fn tools(body: &Fields<'_>, unread: &mut Unread) -> Result<Vec<Tool>, Error> {
    let wire: Vec<Raw<'_>> = field(body, "tools")?.unwrap_or_default();
    let mut tools = Vec::with_capacity(wire.len());
    for (index, raw) in wire.into_iter().enumerate() {
        let path = format!("tools[{index}]");
        let tool: WireTool = parse(raw, &path)?;
        if tool.kind.is_some_and(|kind| kind != "function") {
            unread.note(&path);
            continue;
        }
        // Some clients leave the wrapper out, as in the Responses API.
        let (function, place) = match tool.function {
            Some(function) => (function, ".function"),
            None => (parse::<WireFunction>(raw, &path)?, ""),
        };
        tools.push(Tool {
            name: function.name.ok_or_else(|| Error::field(format!("{path}{place}.name"), "is missing"))?,
            description: function.description,
            schema: function.parameters,
            strict: function.strict,
            cache: tool.cache_control,
            custom: None,
            namespace: None,
        });
    }
    Ok(tools)
}

fn tool_choice(body: &Fields<'_>, unread: &mut Unread) -> Result<Option<ToolChoice>, Error> {
    let unknown = || Error::field("tool_choice", "must be none, auto, required, or an object that names a function");
    let mode = |mode: &str| match mode {
        "auto" => Ok(ToolChoice::Auto),
        "none" => Ok(ToolChoice::None),
        // Mistral's word is any.
        "required" | "any" => Ok(ToolChoice::Required),
        _ => Err(unknown()),
    };
    let choice = match field(body, "tool_choice")? {
        None => return Ok(None),
        Some(TextOr::<ChoiceObject>::Text(word)) => mode(&word)?,
        Some(TextOr::Other(choice)) => match choice.kind.as_deref() {
            Some("allowed_tools") => {
                unread.note("tool_choice.allowed_tools");
                let allowed = choice.allowed_tools.and_then(|allowed| allowed.mode);
                mode(allowed.as_deref().unwrap_or("auto"))?
            }
            Some("function" | "tool") | None => {
                let name = choice.function.and_then(|function| function.name).or(choice.name);
                ToolChoice::Named(name.ok_or_else(|| Error::field("tool_choice.function.name", "is missing"))?)
            }
            Some(word) => mode(word)?,
        },
    };
    Ok(Some(choice))
}

/// `reasoning_effort`, or OpenRouter's `reasoning` object.
fn effort(body: &Fields<'_>, unread: &mut Unread) -> Result<Option<Effort>, Error> {
    let level = |level: String| if level == "none" { Effort::Off } else { Effort::Level(level) };
    let wire: WireReasoning = field(body, "reasoning")?.unwrap_or_default();
    if wire.exclude == Some(true) {
        unread.note("reasoning.exclude");
    }
    if let Some(effort) = field::<String>(body, "reasoning_effort")?.or(wire.effort) {
        return Ok(Some(level(effort)));
    }
    Ok(match (wire.max_tokens, wire.enabled) {
        (_, Some(false)) => Some(Effort::Off),
        (Some(tokens), _) => Some(Effort::Budget(tokens)),
        // OpenRouter's default.
        (None, Some(true)) => Some(Effort::Level("medium".to_owned())),
        (None, None) => None,
    })
}

fn format(body: &Fields<'_>) -> Result<Option<Format>, Error> {
    let Some(wire) = field::<WireFormat>(body, "response_format")? else { return Ok(None) };
    match wire.kind.as_deref() {
        Some("text") => Ok(None),
        Some("json_object") => Ok(Some(Format::Json)),
        Some("json_schema") => {
            let path = "response_format.json_schema";
            let wire = wire.json_schema.ok_or_else(|| Error::field(path, "is missing"))?;
            let Some(schema) = wire.schema else { return Ok(Some(Format::Json)) };
            let name = wire.name.unwrap_or_else(|| "response".to_owned());
            Ok(Some(Format::Schema { name, schema, strict: wire.strict }))
        }
        _ => Err(Error::field("response_format.type", "must be text, json_object or json_schema")),
    }
}

objects! {
    struct WireMessage {
        role: Option<String>,
        content: Option<TextOr<Vec<WirePart>>>,
        refusal: Option<String>,
        reasoning_content: Option<String>,
        reasoning: Option<String>,
        reasoning_details: Option<Vec<WireDetail>>,
        tool_calls: Option<Vec<WireCall>>,
        tool_call_id: Option<String>,
        cache_control: Option<Json>,
        name: Option<Ignored>,
        audio: Option<Ignored>,
        function_call: Option<Ignored>,
        prefix: Option<bool>,
    }

    struct WirePart {
        kind as "type": Option<String>,
        text: Option<String>,
        refusal: Option<String>,
        thinking: Option<TextOr<Vec<WireThought>>>,
        image_url: Option<TextOr<ImageUrl>>,
        file: Option<WireFile>,
        cache_control: Option<Json>,
    }

    struct WireThought {
        text: Option<String>,
    }

    struct WireFile {
        file_data: Option<String>,
        filename: Option<String>,
    }

    struct ImageUrl {
        url: String,
        detail: Option<String>,
    }

    struct WireDetail {
        kind as "type": Option<String>,
        text: Option<String>,
        summary: Option<String>,
        signature: Option<String>,
        data: Option<String>,
        format: Option<String>,
        id: Option<String>,
        index: Option<u64>,
    }

    struct WireCall {
        id: Option<String>,
        function: Option<WireCalled>,
    }

    struct WireCalled {
        name: Option<String>,
        arguments: Option<Json>,
    }

    struct WireTool {
        kind as "type": Option<String>,
        function: Option<WireFunction>,
        cache_control: Option<Json>,
    }

    struct WireFunction {
        name: Option<String>,
        description: Option<String>,
        parameters: Option<Json>,
        strict: Option<bool>,
    }

    struct ChoiceObject {
        kind as "type": Option<String>,
        function: Option<ChoiceFunction>,
        name: Option<String>,
        allowed_tools: Option<AllowedTools>,
    }

    struct ChoiceFunction {
        name: Option<String>,
    }

    struct AllowedTools {
        mode: Option<String>,
    }

    #[derive(Default)]
    struct WireReasoning {
        effort: Option<String>,
        max_tokens: Option<u64>,
        enabled: Option<bool>,
        exclude: Option<bool>,
    }

    struct WireFormat {
        kind as "type": Option<String>,
        json_schema: Option<WireSchema>,
    }

    struct WireSchema {
        name: Option<String>,
        schema: Option<Json>,
        strict: Option<bool>,
    }
}

/// A string, or what may stand in its place.
pub(super) enum TextOr<Other> {
    Text(String),
    Other(Other),
}

impl<'a, Other: Read<'a>> Read<'a> for TextOr<Other> {
    fn read(at: &mut Cursor<'a>) -> Self {
        match at.peek() {
            b'"' => Self::Text(String::read(at)),
            b'[' | b'{' => Self::Other(Other::read(at)),
            _ => {
                at.expected("a string, an array or an object");
                Self::blank()
            }
        }
    }

    fn blank() -> Self {
        Self::Text(String::new())
    }
}
