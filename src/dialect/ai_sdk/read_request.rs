//! Reads a call of a language model: its settings and tools. Its prompt is read in `content`.
//!
//! What has no place in the canonical form is named, never refused.

use super::content::messages;
use super::field;
use super::options::Settings;
use crate::chat::{Effort, Format, Json, Number, Request, Tool, ToolChoice, Unread};
use crate::error::Error;
use crate::wire::json::{self, Fields, Raw, Read, objects};

/// The fields that are read here, or that change nothing; every other one is named in `unread`.
const READ: &[&str] = &[
    "prompt",
    "maxOutputTokens",
    "temperature",
    "stopSequences",
    "topP",
    "topK",
    "presencePenalty",
    "frequencyPenalty",
    "responseFormat",
    "seed",
    "tools",
    "toolChoice",
    "reasoning",
    "providerOptions",
    // The client sends them as headers too.
    "headers",
];

pub fn read_request(body: &Fields<'_>) -> Result<Request, Error> {
    let mut unread = Unread::default();
    for name in body.names().filter(|name| !READ.contains(name)) {
        if body.raw(name).is_some_and(|value| !matches!(value.get(), "null" | "false")) {
            unread.note(name);
        }
    }
    let settings = Settings::read(body, &mut unread)?;
    let level: Option<String> = field(body, "reasoning")?;
    let tools = tools(body, &mut unread)?;
    Ok(Request {
        messages: messages(body, &mut unread)?,
        // A choice among no tools, as it is when all are a provider's own, is refused by other dialects.
        tool_choice: tool_choice(body)?.filter(|_| !tools.is_empty()),
        tools,
        parallel_tools: settings.parallel_tools,
        max_tokens: field(body, "maxOutputTokens")?,
        temperature: field::<Number>(body, "temperature")?,
        top_p: field(body, "topP")?,
        top_k: field(body, "topK")?,
        stop: field(body, "stopSequences")?.unwrap_or_default(),
        seed: field(body, "seed")?,
        frequency_penalty: field(body, "frequencyPenalty")?,
        presence_penalty: field(body, "presencePenalty")?,
        // What is said for a provider goes before what is said for all.
        reasoning: settings.reasoning.or_else(|| level.and_then(effort)),
        reasoning_told: settings.reasoning_told,
        verbosity: settings.verbosity,
        service_tier: settings.service_tier,
        cache_key: settings.cache_key,
        format: format(body, settings.strict, &mut unread)?,
        user: settings.user,
        unread: unread.0,
        // The head says model and stream.
        ..Request::default()
    })
}

pub(super) fn parse<'a, T: Read<'a>>(raw: Raw<'a>, path: &str) -> Result<T, Error> {
    json::parse(raw.get()).map_err(|error| Error::field(path, error))
}

fn effort(level: String) -> Option<Effort> {
    match level.as_str() {
        "provider-default" => None,
        "none" => Some(Effort::Off),
        _ => Some(Effort::Level(level)),
    }
}

fn tools(body: &Fields<'_>, unread: &mut Unread) -> Result<Vec<Tool>, Error> {
    objects! {
        struct Wire<'a> {
            kind as "type": Option<String>,
            id: Option<String>,
            name: Option<String>,
            description: Option<String>,
            input_schema as "inputSchema": Option<Raw<'a>>,
            input_examples as "inputExamples": Option<Raw<'a>>,
            strict: Option<bool>,
            provider_options as "providerOptions": Option<Raw<'a>>,
        }
    }
    let wire: Vec<Raw<'_>> = field(body, "tools")?.unwrap_or_default();
    let mut tools = Vec::with_capacity(wire.len());
    for (index, raw) in wire.into_iter().enumerate() {
        let path = format!("tools[{index}]");
        let tool: Wire<'_> = parse(raw, &path)?;
        if tool.kind.is_some_and(|kind| kind != "function") {
            // What runs at one provider only, such as `openai.web_search`.
            unread.note(&format!("tools ({})", tool.id.unwrap_or_default()));
            continue;
        }
        if tool.input_examples.is_some() {
            unread.note("tools.inputExamples");
        }
        tools.push(Tool {
            name: tool.name.ok_or_else(|| Error::field(format!("{path}.name"), "is missing"))?,
            description: tool.description,
            schema: tool.input_schema.map(Json::from),
            strict: tool.strict,
            cache: super::options::Marks::read(tool.provider_options, "tools.providerOptions", unread).cache,
            custom: None,
            namespace: None,
        });
    }
    Ok(tools)
}

fn tool_choice(body: &Fields<'_>) -> Result<Option<ToolChoice>, Error> {
    objects! {
        struct Wire {
            kind as "type": String,
            tool_name as "toolName": Option<String>,
        }
    }
    let Some(Wire { kind, tool_name }) = field(body, "toolChoice")? else { return Ok(None) };
    Ok(Some(match (kind.as_str(), tool_name) {
        ("auto", _) => ToolChoice::Auto,
        ("none", _) => ToolChoice::None,
        ("required", _) => ToolChoice::Required,
        ("tool", Some(name)) => ToolChoice::Named(name),
        ("tool", None) => return Err(Error::field("toolChoice.toolName", "is missing")),
        _ => return Err(Error::field("toolChoice.type", "must be auto, none, required or tool")),
    }))
}

fn format(body: &Fields<'_>, strict: Option<bool>, unread: &mut Unread) -> Result<Option<Format>, Error> {
    objects! {
        struct Wire<'a> {
            kind as "type": String,
            schema: Option<Raw<'a>>,
            name: Option<String>,
            description: Option<Raw<'a>>,
        }
    }
    let Some(wire) = field::<Wire<'_>>(body, "responseFormat")? else { return Ok(None) };
    match (wire.kind.as_str(), wire.schema) {
        ("text", _) => Ok(None),
        ("json", None) => Ok(Some(Format::Json)),
        ("json", Some(schema)) => {
            if wire.description.is_some() {
                unread.note("responseFormat.description");
            }
            let name = wire.name.unwrap_or_else(|| "response".to_owned());
            Ok(Some(Format::Schema { name, schema: schema.into(), strict }))
        }
        _ => Err(Error::field("responseFormat.type", "must be text or json")),
    }
}
