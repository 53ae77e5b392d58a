//! A caller's Anthropic Messages body, into the canonical form.
//!
//! What has no place there is named, never refused: Claude Code answers a 400 by asking up to five times
//! more, each time without one more field.

use std::borrow::Cow;
use std::fmt;

use super::Block;
use crate::chat::{
    Content, Effort, Format, Json, Media, Message, Part, Request, Role, Tool, ToolCall, ToolChoice, UNREAD_MAX,
};
use crate::error::Error;
use crate::wire::json::{self, Cursor, Fields, Raw, Read, objects};

pub fn read_request(body: &Fields<'_>) -> Result<Request, Error> {
    let object = Object { fields: body, path: "" };
    let mut reader = Reader::default();
    let mut request = Request {
        model: object.need("model", "a string")?,
        max_tokens: Some(object.need("max_tokens", "a whole number")?),
        temperature: object.get("temperature", "a number")?,
        top_p: object.get("top_p", "a number")?,
        top_k: object.get("top_k", "a whole number")?,
        stop: object.get("stop_sequences", "a list of strings")?.unwrap_or_default(),
        stream: object.get("stream", "true or false")?.unwrap_or_default(),
        ..Request::default()
    };
    for name in body.names().filter(|name| !READ.contains(name) && object.raw(name).is_some()) {
        reader.pass_over(name);
    }
    if let Some(raw) = object.raw("system") {
        reader.system(raw, &mut request.messages)?;
    }
    let messages = object.raw("messages").ok_or_else(|| Error::field("messages", REQUIRED))?;
    reader.messages(messages, &mut request.messages)?;
    if let Some(raw) = object.raw("tools") {
        reader.tools(raw, &mut request.tools)?;
    }
    if let Some(raw) = object.raw("tool_choice") {
        reader.tool_choice(raw, &mut request)?;
    }
    reader.effort(&object, &mut request)?;
    reader.format(&object, &mut request)?;
    if let Some(raw) = object.raw("metadata") {
        let metadata = fields(raw, "metadata")?;
        request.user = Object { fields: &metadata, path: "metadata" }.get("user_id", "a string")?;
        reader.pass_over_other(&metadata, "metadata", &["user_id"]);
    }
    request.unread = reader.unread;
    Ok(request)
}

/// The fields that `read_request` looks at.
const READ: &[&str] = &[
    "model",
    "messages",
    "system",
    "max_tokens",
    "metadata",
    "stop_sequences",
    "stream",
    "temperature",
    "top_p",
    "top_k",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "output_format",
];

const REQUIRED: &str = "Field required";

/// Claude Code's first system block starts with this, says which version of it is asking and means nothing
/// to a model. It would spoil every other provider's prompt cache.
const BILLING: &str = "x-anthropic-billing-header:";

#[derive(Default)]
struct Reader {
    unread: Vec<String>,
}

impl Reader {
    fn pass_over(&mut self, name: impl Into<String>) {
        let name = name.into();
        if self.unread.len() < UNREAD_MAX && !self.unread.contains(&name) {
            self.unread.push(name);
        }
    }

    fn pass_over_other(&mut self, fields: &Fields<'_>, path: &str, read: &[&str]) {
        for name in fields.names().filter(|name| !read.contains(name)) {
            if fields.raw(name).is_some_and(|raw| raw.get() != "null") {
                self.pass_over(format!("{path}.{name}"));
            }
        }
    }

    fn system(&mut self, raw: Raw<'_>, messages: &mut Vec<Message>) -> Result<(), Error> {
        let parts = match body(raw, &"system")? {
            Body::Text(text) => vec![Part::text(text)],
            Body::Blocks(blocks) => self.parts(&blocks, At::System)?,
        };
        let billed = |part: &Part| matches!(&part.content, Content::Text(text) if text.starts_with(BILLING));
        let skipped = usize::from(parts.first().is_some_and(billed));
        let parts: Vec<Part> = parts.into_iter().skip(skipped).collect();
        if !parts.is_empty() {
            messages.push(Message { role: Role::System, parts });
        }
        Ok(())
    }

    fn messages(&mut self, raw: Raw<'_>, messages: &mut Vec<Message>) -> Result<(), Error> {
        let turns: Vec<Turn<'_>> = json::parse(raw.get()).map_err(|_| fault_in_messages(raw))?;
        for (i, turn) in turns.into_iter().enumerate() {
            let role = match &*turn.role {
                "user" => Role::User,
                "assistant" => Role::Assistant,
                "system" => Role::System,
                _ => {
                    let path = format!("messages[{i}].role");
                    return Err(Error::field(path, "must be \"user\", \"assistant\" or \"system\""));
                }
            };
            let parts = match turn.content {
                Body::Text(text) => vec![Part::text(text)],
                Body::Blocks(blocks) if blocks.is_empty() => Vec::new(),
                Body::Blocks(blocks) => match self.parts(&blocks, |j| At::Message(i, j))? {
                    // A turn of nothing but blocks without a place here is not an empty turn.
                    parts if parts.is_empty() => continue,
                    parts => parts,
                },
            };
            messages.push(Message { role, parts });
        }
        Ok(())
    }

    fn parts(&mut self, blocks: &[Block<'_>], at: impl Fn(usize) -> At) -> Result<Vec<Part>, Error> {
        let mut parts = Vec::with_capacity(blocks.len());
        for (j, block) in blocks.iter().enumerate() {
            if let Some(content) = self.content(block, at(j))? {
                let cache = block.cache_control.map(Json::from);
                parts.push(Part { content, cache });
            }
        }
        Ok(parts)
    }

    fn content(&mut self, block: &Block<'_>, at: At) -> Result<Option<Content>, Error> {
        Ok(Some(match &*block.kind {
            "text" => Content::Text(at.need(block.text, "text", "a string")?),
            "image" => match self.source(block, at)? {
                Some(Source::Media(media)) => Content::Image(media),
                Some(Source::Text(_)) => return Err(Error::field(at.field("source.type"), "is not one of an image")),
                None => return Ok(None),
            },
            "document" => {
                let name: Option<String> = at.get(block.title, "title", "a string")?;
                match self.source(block, at)? {
                    Some(Source::Media(media)) => Content::Document { media, name },
                    // Other dialects take documents as PDF only; as text every model can read it.
                    Some(Source::Text(text)) => Content::Text(titled(name, text)),
                    None => return Ok(None),
                }
            }
            "search_result" => {
                let title: Option<String> = at.get(block.title, "title", "a string")?;
                let source: String = at.need(block.source, "source", "a string")?;
                let text = self.text_within(block.content, at)?;
                Content::Text(titled(title, format!("{source}\n\n{text}")))
            }
            "thinking" => Content::Reasoning {
                text: at.get(block.thinking, "thinking", "a string")?.unwrap_or_default(),
                // An empty one is what a translated answer carries; it proves nothing.
                signature: at.get(block.signature, "signature", "a string")?.filter(|proof: &String| !proof.is_empty()),
            },
            "redacted_thinking" => Content::SealedReasoning(at.need(block.data, "data", "a string")?),
            "tool_use" => Content::ToolCall(ToolCall {
                id: at.need(block.id, "id", "a string")?,
                name: at.need(block.name, "name", "a string")?,
                arguments: block.input.map_or("{}", Raw::get).to_owned(),
                signature: None,
            }),
            "tool_result" => Content::ToolResult {
                call: at.need(block.tool_use_id, "tool_use_id", "a string")?,
                parts: self.within(block.content, at)?,
                is_error: at.get(block.is_error, "is_error", "true or false")?.unwrap_or_default(),
            },
            kind if passes_over(kind) => {
                self.pass_over(format!("messages.content ({kind})"));
                return Ok(None);
            }
            kind => {
                let name = if is_plain(kind) { kind } else { "?" };
                return Err(Error::field(at.field("type"), format_args!("no block type \"{name}\" is known here")));
            }
        }))
    }

    /// The parts of a block's own `content`.
    fn within(&mut self, content: Option<Raw<'_>>, at: At) -> Result<Vec<Part>, Error> {
        let Some(raw) = content else { return Ok(Vec::new()) };
        if at.inner(0).is_none() {
            return Err(Error::field(at.field("content"), "is nested too deeply"));
        }
        match body(raw, &format_args!("{at}.content"))? {
            Body::Text(text) => Ok(vec![Part::text(text)]),
            Body::Blocks(blocks) => self.parts(&blocks, |k| at.inner(k).unwrap_or(at)),
        }
    }

    fn text_within(&mut self, content: Option<Raw<'_>>, at: At) -> Result<String, Error> {
        let texts = self.within(content, at)?.into_iter().filter_map(|part| match part.content {
            Content::Text(text) => Some(text),
            _ => None,
        });
        Ok(texts.collect::<Vec<_>>().join("\n"))
    }

    fn source(&mut self, block: &Block<'_>, at: At) -> Result<Option<Source>, Error> {
        objects! {
            struct Given<'a> {
                kind as "type": Cow<'a, str>,
                media_type: Option<String>,
                data: Option<String>,
                url: Option<String>,
                content: Option<Raw<'a>>,
            }
        }
        let source: Given<'_> = at.need(block.source, "source", "an object with a \"type\"")?;
        let need = |value: Option<String>, name| value.ok_or_else(|| Error::field(at.field(name), REQUIRED));
        Ok(Some(match &*source.kind {
            "base64" => Source::Media(Media::Inline {
                media_type: need(source.media_type, "source.media_type")?,
                data: need(source.data, "source.data")?,
            }),
            "url" => Source::Media(Media::Url(need(source.url, "source.url")?)),
            "text" => Source::Text(need(source.data, "source.data")?),
            "content" => Source::Text(self.text_within(source.content, at)?),
            // A file lives with the provider that it was uploaded to.
            "file" => {
                self.pass_over(format!("messages.content ({} file)", block.kind));
                return Ok(None);
            }
            _ => {
                return Err(Error::field(at.field("source.type"), "must be \"base64\", \"url\", \"text\" or \"file\""));
            }
        }))
    }

    fn tools(&mut self, raw: Raw<'_>, tools: &mut Vec<Tool>) -> Result<(), Error> {
        let list: Vec<Raw<'_>> =
            json::parse(raw.get()).map_err(|_| Error::field("tools", "must be a list of tools"))?;
        for (i, raw) in list.into_iter().enumerate() {
            let path = format!("tools[{i}]");
            let fields = fields(raw, &path)?;
            let tool = Object { fields: &fields, path: &path };
            let kind: Option<String> = tool.get("type", "a string")?;
            match kind.as_deref() {
                None | Some("custom") => {}
                Some(kind) => {
                    self.pass_over(format!("{path} ({})", undated(kind)));
                    continue;
                }
            }
            let schema = tool.raw("input_schema");
            tools.push(Tool {
                name: tool.need("name", "a string")?,
                description: tool.get("description", "a string")?,
                schema: Some(schema.ok_or_else(|| Error::field(tool.at("input_schema"), REQUIRED))?.into()),
                strict: tool.get("strict", "true or false")?,
                cache: tool.raw("cache_control").map(Json::from),
                custom: None,
                namespace: None,
            });
            self.pass_over_other(&fields, "tools", TOOL_READ);
        }
        Ok(())
    }

    fn tool_choice(&mut self, raw: Raw<'_>, request: &mut Request) -> Result<(), Error> {
        let fields = fields(raw, "tool_choice")?;
        let object = Object { fields: &fields, path: "tool_choice" };
        let choice = match object.need::<String>("type", "a string")?.as_str() {
            "auto" => ToolChoice::Auto,
            "any" => ToolChoice::Required,
            "none" => ToolChoice::None,
            "tool" => ToolChoice::Named(object.need("name", "a string")?),
            _ => return Err(Error::field("tool_choice.type", "must be \"auto\", \"any\", \"none\" or \"tool\"")),
        };
        let single: Option<bool> = object.get("disable_parallel_tool_use", "true or false")?;
        // Some tools may have been left out, and a choice among none is refused by other dialects.
        let is_possible = match &choice {
            ToolChoice::Named(name) => request.tools.iter().any(|tool| tool.name == *name),
            _ => !request.tools.is_empty(),
        };
        if is_possible {
            request.parallel_tools = single.map(|single| !single);
            request.tool_choice = Some(choice);
        } else if matches!(choice, ToolChoice::Required | ToolChoice::Named(_)) {
            self.pass_over("tool_choice");
        }
        Ok(())
    }

    fn effort(&mut self, body: &Object<'_, '_>, request: &mut Request) -> Result<(), Error> {
        let level: Option<String> = match body.raw("output_config") {
            None => None,
            Some(raw) => {
                let fields = fields(raw, "output_config")?;
                self.pass_over_other(&fields, "output_config", &["effort", "format"]);
                Object { fields: &fields, path: "output_config" }.get("effort", "a string")?
            }
        };
        // `max` is above the highest word that the canonical form has.
        let level = level.map(|level| Effort::Level(if level == "max" { "xhigh".to_owned() } else { level }));
        let Some(raw) = body.raw("thinking") else {
            request.reasoning = level;
            return Ok(());
        };
        let fields = fields(raw, "thinking")?;
        let thinking = Object { fields: &fields, path: "thinking" };
        self.pass_over_other(&fields, "thinking", &["type", "budget_tokens"]);
        let kind: String = thinking.need("type", "a string")?;
        // Who asks for thinking here is shown it.
        request.reasoning_told = matches!(kind.as_str(), "enabled" | "adaptive").then_some(true);
        request.reasoning = match (kind.as_str(), level) {
            ("disabled", level) => {
                if level.is_some() {
                    self.pass_over("output_config.effort");
                }
                Some(Effort::Off)
            }
            ("enabled", level) => {
                let budget = thinking.need("budget_tokens", "a whole number")?;
                if level.is_some() {
                    self.pass_over("thinking.budget_tokens");
                }
                Some(level.unwrap_or(Effort::Budget(budget)))
            }
            ("adaptive", level) => Some(level.unwrap_or(Effort::Adaptive)),
            (_, level) => {
                self.pass_over("thinking");
                level
            }
        };
        Ok(())
    }

    /// `output_config.format`, or `output_format` as the beta of structured outputs had it.
    fn format(&mut self, body: &Object<'_, '_>, request: &mut Request) -> Result<(), Error> {
        let config = body.raw("output_config").map(|raw| fields(raw, "output_config")).transpose()?;
        let config = config.as_ref().and_then(|config| Object { fields: config, path: "" }.raw("format"));
        let (raw, path) = match (config, body.raw("output_format")) {
            (Some(raw), _) => (raw, "output_config.format"),
            (None, Some(raw)) => (raw, "output_format"),
            (None, None) => return Ok(()),
        };
        let fields = fields(raw, path)?;
        let format = Object { fields: &fields, path };
        if format.need::<String>("type", "a string")? != "json_schema" {
            self.pass_over(path);
            return Ok(());
        }
        let schema = format.raw("schema").ok_or_else(|| Error::field(format.at("schema"), REQUIRED))?;
        request.format = Some(Format::Schema {
            // Other dialects want a name, and this one has none.
            name: "output".to_owned(),
            schema: schema.into(),
            // Anthropic always holds the model to the schema.
            strict: Some(true),
        });
        Ok(())
    }
}

const TOOL_READ: &[&str] = &["type", "name", "description", "input_schema", "strict", "cache_control"];

enum Source {
    Media(Media),
    Text(String),
}

fn titled(title: Option<String>, text: String) -> String {
    match title {
        Some(title) => format!("{title}\n\n{text}"),
        None => text,
    }
}

/// Blocks that only Anthropic's own tools make or use. Without them the rest of the conversation stands.
fn passes_over(kind: &str) -> bool {
    const NAMED: &[&str] = &[
        "container_upload",
        "compaction",
        "tool_reference",
        "tool_addition",
        "tool_removal",
        "mcp_tool_listing",
        "browser_state",
        "fallback",
    ];
    is_plain(kind) && (NAMED.contains(&kind) || kind.ends_with("_tool_use") || kind.ends_with("_tool_result"))
}

/// Whether `word` may be repeated in a header or a message: callers choose it.
fn is_plain(word: &str) -> bool {
    word.len() <= 64 && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// `web_search` of `web_search_20250305`.
fn undated(kind: &str) -> &str {
    let name = kind.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('_');
    if is_plain(name) { name } else { "?" }
}

/// Where a block stands.
#[derive(Debug, Clone, Copy)]
enum At {
    System(usize),
    Message(usize, usize),
    /// In a tool result, or the text of a document or search result.
    Within(usize, usize, usize),
    /// The text of a document or search result in a tool result.
    Deep(usize, usize, usize),
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(i) => write!(f, "system[{i}]"),
            Self::Message(i, j) => write!(f, "messages[{i}].content[{j}]"),
            Self::Within(i, j, k) => write!(f, "messages[{i}].content[{j}].content[{k}]"),
            Self::Deep(i, j, k) => write!(f, "messages[{i}].content[{j}].content[{k}].content"),
        }
    }
}

impl At {
    fn field(self, name: &str) -> String {
        format!("{self}.{name}")
    }

    /// The place of block `k` within this one; `None` below the depth that means something, which bounds the
    /// stack.
    fn inner(self, k: usize) -> Option<Self> {
        match self {
            Self::Message(i, j) => Some(Self::Within(i, j, k)),
            Self::Within(i, j, k) => Some(Self::Deep(i, j, k)),
            Self::System(_) | Self::Deep(..) => None,
        }
    }

    fn get<'a, T: Read<'a>>(self, raw: Option<Raw<'a>>, name: &str, what: &str) -> Result<Option<T>, Error> {
        let Some(raw) = raw else { return Ok(None) };
        let value = json::parse(raw.get());
        value.map(Some).map_err(|_| Error::field(self.field(name), format_args!("must be {what}")))
    }

    fn need<'a, T: Read<'a>>(self, raw: Option<Raw<'a>>, name: &str, what: &str) -> Result<T, Error> {
        self.get(raw, name, what)?.ok_or_else(|| Error::field(self.field(name), REQUIRED))
    }
}

/// An object of the request and where it stands.
struct Object<'o, 'a> {
    fields: &'o Fields<'a>,
    path: &'o str,
}

impl<'a> Object<'_, 'a> {
    fn at(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// `null` is absent.
    fn raw(&self, name: &str) -> Option<Raw<'a>> {
        self.fields.raw(name).filter(|raw| raw.get() != "null")
    }

    fn get<T: Read<'a>>(&self, name: &str, what: &str) -> Result<Option<T>, Error> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        // Not the parser's own words: they quote what the caller sent.
        json::parse(raw.get()).map(Some).map_err(|_| Error::field(self.at(name), format_args!("must be {what}")))
    }

    fn need<T: Read<'a>>(&self, name: &str, what: &str) -> Result<T, Error> {
        self.get(name, what)?.ok_or_else(|| Error::field(self.at(name), REQUIRED))
    }
}

fn fields<'a>(raw: Raw<'a>, path: &str) -> Result<Fields<'a>, Error> {
    Fields::read(raw.get().as_bytes()).map_err(|_| Error::field(path, "must be an object"))
}

objects! {
    struct Turn<'a> {
        role: Cow<'a, str>,
        content: Body<'a>,
    }
}

/// `content` and `system`: a text or blocks.
enum Body<'a> {
    Text(String),
    Blocks(Vec<Block<'a>>),
}

impl<'a> Read<'a> for Body<'a> {
    fn read(at: &mut Cursor<'a>) -> Self {
        if at.peek() == b'"' { Self::Text(String::read(at)) } else { Self::Blocks(Vec::read(at)) }
    }

    fn blank() -> Self {
        Self::Blocks(Vec::new())
    }
}

fn body<'a>(raw: Raw<'a>, path: &dyn fmt::Display) -> Result<Body<'a>, Error> {
    json::parse(raw.get()).map_err(|_| fault_in_body(raw, path))
}

/// Says where `messages` is not what it must be; only for what could not be read at once.
fn fault_in_messages(raw: Raw<'_>) -> Error {
    let Ok(turns) = json::parse::<Vec<Raw<'_>>>(raw.get()) else {
        return Error::field("messages", "must be a list of messages");
    };
    let faulty = turns.iter().enumerate().find(|(_, turn)| json::parse::<Turn<'_>>(turn.get()).is_err());
    let Some((i, turn)) = faulty else { return Error::field("messages", "must be a list of messages") };
    let path = format!("messages[{i}]");
    let fields = match fields(*turn, &path) {
        Ok(fields) => fields,
        Err(error) => return error,
    };
    let turn = Object { fields: &fields, path: &path };
    if let Err(error) = turn.need::<String>("role", "a string") {
        return error;
    }
    match turn.raw("content") {
        Some(content) => fault_in_body(content, &format_args!("{path}.content")),
        None => Error::field(turn.at("content"), REQUIRED),
    }
}

fn fault_in_body(raw: Raw<'_>, path: &dyn fmt::Display) -> Error {
    if let Ok(blocks) = json::parse::<Vec<Raw<'_>>>(raw.get()) {
        let is_faulty = |block: &Raw<'_>| json::parse::<Block<'_>>(block.get()).is_err();
        if let Some(j) = blocks.iter().position(is_faulty) {
            return Error::field(format!("{path}[{j}]"), "must be an object with a \"type\"");
        }
    }
    Error::field(path.to_string(), "must be a string or a list of blocks")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `{"model":"m","max_tokens":9,"messages":[…], …}` with `more` added.
    fn read(messages: &str, more: &str) -> Result<Request, Error> {
        let body = format!(r#"{{"model":"m","max_tokens":9,"messages":[{messages}]{more}}}"#);
        read_request(&Fields::read(body.as_bytes()).unwrap())
    }

    fn messages(messages: &str) -> Vec<Message> {
        read(messages, "").unwrap().messages
    }

    /// The parts of one user message with this content.
    fn parts(blocks: &str) -> Vec<Part> {
        let message = format!(r#"{{"role":"user","content":[{blocks}]}}"#);
        messages(&message).into_iter().flat_map(|message| message.parts).collect()
    }

    fn raw(text: &str) -> Json {
        json::parse(text).unwrap()
    }

    const HI: &str = r#"{"role":"user","content":"hi"}"#;

    #[test]
    fn the_plain_fields_are_read() {
        let request = read(
            HI,
            r#","stream":true,"temperature":0.50,"top_p":0.9,"top_k":5,"stop_sequences":["a","b"],
               "metadata":{"user_id":"u"}"#,
        )
        .unwrap();
        assert_eq!(request.model, "m");
        assert_eq!(request.max_tokens, Some(9));
        assert_eq!(request.messages, [Message { role: Role::User, parts: vec![Part::text("hi")] }]);
        assert!(request.stream);
        assert_eq!(request.temperature.unwrap().value(), 0.5);
        assert_eq!(request.top_p.unwrap().value(), 0.9);
        assert_eq!(request.top_k, Some(5));
        assert_eq!(request.stop, ["a", "b"]);
        assert_eq!(request.user.as_deref(), Some("u"));
        assert!(request.unread.is_empty());
    }

    #[test]
    fn names_beyond_number_are_not_all_kept() {
        let block = |i| format!(r#"{{"type":"a{i}_tool_result"}}"#);
        let blocks: Vec<String> = (0..2 * UNREAD_MAX).map(block).collect();
        let content = format!(r#"{{"role":"user","content":[{}]}}"#, blocks.join(","));
        assert_eq!(read(&content, "").unwrap().unread.len(), UNREAD_MAX);
    }

    #[test]
    fn null_is_absent() {
        let fields = ["system", "stream", "temperature", "top_k", "stop_sequences", "metadata", "tools", "tool_choice"];
        let more = ["thinking", "output_config", "output_format", "service_tier"];
        let nulls: String = fields.iter().chain(&more).map(|name| format!(",\"{name}\":null")).collect();
        let request = read(HI, &nulls).unwrap();
        assert!(request.unread.is_empty() && request.tools.is_empty() && request.reasoning.is_none());
    }

    #[test]
    fn every_block_has_its_place() {
        let inline = |media_type: &str| Media::Inline { media_type: media_type.to_owned(), data: "QQ==".to_owned() };
        let cases = [
            (r#"{"type":"text","text":"a\u0062"}"#, Content::Text("ab".into())),
            (
                r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"QQ=="}}"#,
                Content::Image(inline("image/png")),
            ),
            (
                r#"{"type":"image","source":{"type":"url","url":"https://a/b"}}"#,
                Content::Image(Media::Url("https://a/b".into())),
            ),
            (
                r#"{"type":"document","title":"t","source":{"type":"base64","media_type":"application/pdf","data":"QQ=="},
                    "citations":{"enabled":true}}"#,
                Content::Document { media: inline("application/pdf"), name: Some("t".into()) },
            ),
            (
                r#"{"type":"document","title":null,"source":{"type":"url","url":"https://a"}}"#,
                Content::Document { media: Media::Url("https://a".into()), name: None },
            ),
            (
                r#"{"type":"document","title":"t","source":{"type":"text","media_type":"text/plain","data":"b"}}"#,
                Content::Text("t\n\nb".into()),
            ),
            (
                r#"{"type":"document","source":{"type":"content","content":[{"type":"text","text":"b"}]}}"#,
                Content::Text("b".into()),
            ),
            (
                r#"{"type":"search_result","title":"t","source":"s","content":[{"type":"text","text":"b"}]}"#,
                Content::Text("t\n\ns\n\nb".into()),
            ),
            (
                r#"{"type":"thinking","thinking":"hm","signature":"s"}"#,
                Content::Reasoning { text: "hm".into(), signature: Some("s".into()) },
            ),
            (
                r#"{"type":"thinking","thinking":"hm","signature":""}"#,
                Content::Reasoning { text: "hm".into(), signature: None },
            ),
            (r#"{"type":"redacted_thinking","data":"d"}"#, Content::SealedReasoning("d".into())),
            (
                r#"{"type":"tool_use","id":"i","name":"f","input":{"b" : 1.0,"a":[]}}"#,
                Content::ToolCall(ToolCall {
                    id: "i".into(),
                    name: "f".into(),
                    arguments: r#"{"b" : 1.0,"a":[]}"#.into(),
                    signature: None,
                }),
            ),
            (
                r#"{"type":"tool_result","tool_use_id":"i","content":"r","is_error":true}"#,
                Content::ToolResult { call: "i".into(), parts: vec![Part::text("r")], is_error: true },
            ),
            (
                r#"{"type":"tool_result","tool_use_id":"i","content":[{"type":"text","text":"r"},
                    {"type":"image","source":{"type":"url","url":"u"}},{"type":"tool_reference","tool_name":"x"}]}"#,
                Content::ToolResult {
                    call: "i".into(),
                    parts: vec![Part::text("r"), Part::new(Content::Image(Media::Url("u".into())))],
                    is_error: false,
                },
            ),
            (
                r#"{"type":"tool_result","tool_use_id":"i"}"#,
                Content::ToolResult { call: "i".into(), parts: vec![], is_error: false },
            ),
        ];
        for (block, content) in cases {
            assert_eq!(parts(block), [Part::new(content)], "{block}");
        }
    }

    #[test]
    fn a_system_message_stays_in_the_middle() {
        let message = r#"{"role":"user","content":"a"},{"role":"system","content":[{"type":"text","text":"s"}]},
            {"role":"assistant","content":"b"}"#;
        let roles: Vec<Role> = messages(message).iter().map(|message| message.role).collect();
        assert_eq!(roles, [Role::User, Role::System, Role::Assistant]);
    }

    #[test]
    fn claude_codes_billing_header_is_dropped() {
        let billing = r#"{"type":"text","text":"x-anthropic-billing-header: cc_version=2"}"#;
        let cases = [
            (r#""s""#.to_owned(), vec!["s"]),
            (format!(r#"[{billing},{{"type":"text","text":"s"}}]"#), vec!["s"]),
            (
                format!(r#"[{{"type":"text","text":"s"}},{billing}]"#),
                vec!["s", "x-anthropic-billing-header: cc_version=2"],
            ),
            (format!("[{billing}]"), vec!["hi"]),
        ];
        for (system, expected) in cases {
            let request = read(HI, &format!(r#","system":{system}"#)).unwrap();
            let first: Vec<Part> = expected.into_iter().map(Part::text).collect();
            assert_eq!(request.messages[0].parts, first, "{system}");
            assert!(request.unread.is_empty());
        }
    }

    #[test]
    fn cache_markers_are_kept_on_blocks_and_tools() {
        let marker = r#"{"type":"ephemeral", "ttl":"1h"}"#;
        let block = |fields: &str| format!(r#"{{{fields},"cache_control":{marker}}}"#);
        for fields in [
            r#""type":"text","text":"a""#,
            r#""type":"tool_result","tool_use_id":"i","content":"r""#,
            r#""type":"tool_use","id":"i","name":"f","input":{}"#,
        ] {
            assert_eq!(parts(&block(fields))[0].cache, Some(raw(marker)), "{fields}");
        }
        let tools = format!(r#","tools":[{}]"#, block(r#""name":"f","input_schema":{}"#));
        assert_eq!(read(HI, &tools).unwrap().tools[0].cache, Some(raw(marker)));
        let system = format!(r#","system":[{}]"#, block(r#""type":"text","text":"s""#));
        assert_eq!(read(HI, &system).unwrap().messages[0].parts[0].cache, Some(raw(marker)));
    }

    #[test]
    fn a_tool_keeps_the_text_of_its_schema() {
        let request = read(
            HI,
            r#","tools":[{"type":"custom","name":"f","description":null,"strict":true,"input_schema":{"type" : "object"}}]"#,
        )
        .unwrap();
        let tool = &request.tools[0];
        assert_eq!((tool.name.as_str(), &tool.description, tool.strict), ("f", &None, Some(true)));
        assert_eq!(tool.schema, Some(raw(r#"{"type" : "object"}"#)));
    }

    #[test]
    fn what_has_no_place_is_named_and_not_refused() {
        let cases: &[(&str, &str, &[&str])] = &[
            (HI, r#","service_tier":"auto","context_management":{}"#, &["service_tier", "context_management"]),
            (HI, r#","metadata":{"x":1}"#, &["metadata.x"]),
            (HI, r#","thinking":{"type":"adaptive","display":"omitted"}"#, &["thinking.display"]),
            (HI, r#","thinking":{"type":"between_tools"}"#, &["thinking"]),
            (HI, r#","output_config":{"task_budget":{}}"#, &["output_config.task_budget"]),
            (HI, r#","tools":[{"type":"web_search_20250305","name":"web_search"}]"#, &["tools[0] (web_search)"]),
            (HI, r#","tools":[{"name":"f","input_schema":{},"defer_loading":true}]"#, &["tools.defer_loading"]),
            (
                r#"{"role":"user","content":[{"type":"image","source":{"type":"file","file_id":"f"}}]}"#,
                "",
                &["messages.content (image file)"],
            ),
            (
                r#"{"role":"assistant","content":[{"type":"server_tool_use","id":"i","name":"n","input":{}},
                    {"type":"web_search_tool_result","tool_use_id":"i","content":{"type":"x","source":1}},
                    {"type":"server_tool_use","id":"i","name":"n","input":{}}]}"#,
                "",
                &["messages.content (server_tool_use)", "messages.content (web_search_tool_result)"],
            ),
        ];
        for (messages, more, unread) in cases {
            assert_eq!(read(messages, more).unwrap().unread, *unread, "{messages}{more}");
        }
    }

    #[test]
    fn a_turn_of_server_tool_blocks_only_is_no_turn() {
        let message = r#"{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"compaction"}]}"#;
        assert_eq!(messages(message).len(), 1);
    }

    #[test]
    fn tool_choice_is_read_when_it_can_be_kept() {
        let tool = r#"{"name":"f","input_schema":{}}"#;
        let cases = [
            (tool, r#"{"type":"auto"}"#, Some(ToolChoice::Auto), None),
            (tool, r#"{"type":"auto","disable_parallel_tool_use":true}"#, Some(ToolChoice::Auto), Some(false)),
            (tool, r#"{"type":"any","disable_parallel_tool_use":false}"#, Some(ToolChoice::Required), Some(true)),
            (tool, r#"{"type":"none"}"#, Some(ToolChoice::None), None),
            (tool, r#"{"type":"tool","name":"f"}"#, Some(ToolChoice::Named("f".into())), None),
            (tool, r#"{"type":"tool","name":"g"}"#, None, None),
            ("", r#"{"type":"auto","disable_parallel_tool_use":true}"#, None, None),
        ];
        for (tools, choice, expected, parallel) in cases {
            let request = read(HI, &format!(r#","tools":[{tools}],"tool_choice":{choice}"#)).unwrap();
            assert_eq!((request.tool_choice, request.parallel_tools), (expected, parallel), "{choice}");
            assert_eq!(request.unread, if choice.contains('g') { vec!["tool_choice"] } else { vec![] });
        }
    }

    #[test]
    fn effort_is_one_of_four() {
        let level = |word: &str| Some(Effort::Level(word.to_owned()));
        let cases = [
            (r#""thinking":{"type":"enabled","budget_tokens":2000}"#, Some(Effort::Budget(2000))),
            (r#""thinking":{"type":"disabled"}"#, Some(Effort::Off)),
            (r#""thinking":{"type":"adaptive"}"#, Some(Effort::Adaptive)),
            (r#""output_config":{"effort":"low"}"#, level("low")),
            (r#""output_config":{"effort":"max"}"#, level("xhigh")),
            (r#""thinking":{"type":"adaptive"},"output_config":{"effort":"high"}"#, level("high")),
            (r#""thinking":{"type":"disabled"},"output_config":{"effort":"high"}"#, Some(Effort::Off)),
            (r#""thinking":{"type":"enabled","budget_tokens":2000},"output_config":{"effort":"high"}"#, level("high")),
        ];
        for (fields, expected) in cases {
            assert_eq!(read(HI, &format!(",{fields}")).unwrap().reasoning, expected, "{fields}");
        }
    }

    #[test]
    fn the_format_is_read_from_both_of_its_places() {
        let format = r#"{"type":"json_schema","schema":{"type" :"object"}}"#;
        for field in [format!(r#""output_config":{{"format":{format}}}"#), format!(r#""output_format":{format}"#)] {
            let Some(Format::Schema { schema, .. }) = read(HI, &format!(",{field}")).unwrap().format else {
                panic!("{field}")
            };
            assert_eq!(schema, raw(r#"{"type" :"object"}"#));
        }
    }

    #[test]
    fn an_error_says_where() {
        let block =
            |block: &str| format!(r#""model":"m","max_tokens":1,"messages":[{{"role":"user","content":[{block}]}}]"#);
        let hi = format!(r#""model":"m","max_tokens":1,"messages":[{HI}]"#);
        let cases = [
            (r#""max_tokens":1,"messages":[]"#.to_owned(), "model: Field required"),
            (r#""model":"m","messages":[]"#.to_owned(), "max_tokens: Field required"),
            (r#""model":"m","max_tokens":"secret","messages":[]"#.to_owned(), "max_tokens: must be a whole number"),
            (r#""model":"m","max_tokens":1"#.to_owned(), "messages: Field required"),
            (r#""model":"m","max_tokens":1,"messages":"secret""#.to_owned(), "messages: must be a list of messages"),
            (r#""model":"m","max_tokens":1,"messages":["secret"]"#.to_owned(), "messages[0]: must be an object"),
            (
                format!(r#""model":"m","max_tokens":1,"messages":[{HI},{{"role":"secret","content":""}}]"#),
                r#"messages[1].role: must be "user", "assistant" or "system""#,
            ),
            (
                format!(r#""model":"m","max_tokens":1,"messages":[{HI},{{"content":""}}]"#),
                "messages[1].role: Field required",
            ),
            (
                format!(r#""model":"m","max_tokens":1,"messages":[{HI},{{"role":"user"}}]"#),
                "messages[1].content: Field required",
            ),
            (
                format!(r#""model":"m","max_tokens":1,"messages":[{HI},{{"role":"user","content":1}}]"#),
                "messages[1].content: must be a string or a list of blocks",
            ),
            (
                block(r#"{"type":"text","text":"a"},"secret""#),
                r#"messages[0].content[1]: must be an object with a "type""#,
            ),
            (block(r#"{"type":"text"}"#), "messages[0].content[0].text: Field required"),
            (block(r#"{"type":"text","text":["secret"]}"#), "messages[0].content[0].text: must be a string"),
            (block(r#"{"type":"poem"}"#), r#"messages[0].content[0].type: no block type "poem" is known here"#),
            (block(r#"{"type":"a\nb"}"#), r#"messages[0].content[0].type: no block type "?" is known here"#),
            (block(r#"{"type":"image"}"#), "messages[0].content[0].source: Field required"),
            (block(r#"{"type":"image","source":{"type":"url"}}"#), "messages[0].content[0].source.url: Field required"),
            (
                block(r#"{"type":"tool_result","tool_use_id":"i","content":[{"type":"text"}]}"#),
                "messages[0].content[0].content[0].text: Field required",
            ),
            (
                block(r#"{"type":"tool_result","tool_use_id":"i","content":[{"typ":"text"}]}"#),
                r#"messages[0].content[0].content[0]: must be an object with a "type""#,
            ),
            (format!(r#"{hi},"system":7"#), "system: must be a string or a list of blocks"),
            (format!(r#"{hi},"system":[{{"type":"text"}}]"#), "system[0].text: Field required"),
            (format!(r#"{hi},"stop_sequences":"secret""#), "stop_sequences: must be a list of strings"),
            (format!(r#"{hi},"tools":{{}}"#), "tools: must be a list of tools"),
            (format!(r#"{hi},"tools":[{{"name":"f"}}]"#), "tools[0].input_schema: Field required"),
            (format!(r#"{hi},"tools":[{{"input_schema":{{}}}}]"#), "tools[0].name: Field required"),
            (
                format!(r#"{hi},"tool_choice":{{"type":"secret"}}"#),
                r#"tool_choice.type: must be "auto", "any", "none" or "tool""#,
            ),
            (format!(r#"{hi},"thinking":{{"type":"enabled"}}"#), "thinking.budget_tokens: Field required"),
            (format!(r#"{hi},"metadata":"secret""#), "metadata: must be an object"),
        ];
        for (body, expected) in cases {
            let body = format!("{{{body}}}");
            let error = read_request(&Fields::read(body.as_bytes()).unwrap()).unwrap_err();
            assert_eq!(error.message, expected, "{body}");
            assert_eq!(error.param.as_deref(), expected.split_once(": ").map(|(path, _)| path));
        }
    }

    #[test]
    fn deep_nesting_is_an_error_and_not_a_crash() {
        let depth = 100_000;
        let open = r#"{"type":"tool_result","tool_use_id":"i","content":["#.repeat(depth);
        let message = format!(r#"{{"role":"user","content":[{open}{}]}}"#, "]}".repeat(depth));
        assert!(read(&message, "").is_err());
    }
}
