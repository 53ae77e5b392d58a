//! The prompt of a call: messages and their parts, in the shapes of every version.

use super::options::Marks;
use super::read_request::parse;
use crate::chat::{Content, Json, Media, Message, Part, Role, ToolCall, Unread};
use crate::error::Error;
use crate::wire::json::{self, Fields, Raw, objects};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Where names of what stands beside a part are told.
const BESIDE: &str = "prompt.providerOptions";

objects! {
    struct WireMessage<'a> {
        role: String,
        content: Raw<'a>,
        provider_options as "providerOptions": Option<Raw<'a>>,
    }

    /// A part of a message, or of a tool's result.
    struct WirePart<'a> {
        kind as "type": String,
        text: Option<String>,
        data: Option<Raw<'a>>,
        url: Option<String>,
        media_type as "mediaType": Option<String>,
        filename: Option<String>,
        tool_call_id as "toolCallId": Option<String>,
        tool_name as "toolName": Option<String>,
        input: Option<Raw<'a>>,
        output: Option<Output<'a>>,
        provider_executed as "providerExecuted": Option<bool>,
        provider_options as "providerOptions": Option<Raw<'a>>,
    }

    /// What a tool returned.
    struct Output<'a> {
        kind as "type": String,
        value: Option<Raw<'a>>,
        reason: Option<String>,
    }

    /// A file, since version 4; before it was a text alone.
    struct File {
        kind as "type": String,
        data: Option<String>,
        url: Option<String>,
        text: Option<String>,
    }
}

pub(super) fn messages(body: &Fields<'_>, unread: &mut Unread) -> Result<Vec<Message>, Error> {
    let raw = body.raw("prompt").ok_or_else(|| Error::field("prompt", "is missing"))?;
    let wire: Vec<Raw<'_>> = parse(raw, "prompt")?;
    let mut messages: Vec<Message> = Vec::with_capacity(wire.len());
    let mut after_tool = false;
    for (index, raw) in wire.into_iter().enumerate() {
        let path = format!("prompt[{index}]");
        let wire: WireMessage<'_> = parse(raw, &path)?;
        let is_tool = wire.role == "tool";
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
    if messages.is_empty() {
        return Err(Error::field("prompt", "is empty; at least one message is needed"));
    }
    Ok(messages)
}

fn message(wire: WireMessage<'_>, path: &str, unread: &mut Unread) -> Result<Message, Error> {
    let role = match wire.role.as_str() {
        "system" => Role::System,
        "user" | "tool" => Role::User,
        "assistant" => Role::Assistant,
        _ => return Err(Error::field(format!("{path}.role"), "must be system, user, assistant or tool")),
    };
    let path = format!("{path}.content");
    let mut parts = Vec::new();
    if role == Role::System {
        parts.push(Part::text(parse::<String>(wire.content, &path)?));
    } else {
        for (index, raw) in parse::<Vec<Raw<'_>>>(wire.content, &path)?.into_iter().enumerate() {
            let path = format!("{path}[{index}]");
            parts.extend(part(parse(raw, &path)?, &path, unread)?);
        }
    }
    // On a message it means everything up to its end.
    let cache = Marks::read(wire.provider_options, BESIDE, unread).cache;
    if let Some(part) = parts.last_mut() {
        part.cache = part.cache.take().or(cache);
    }
    Ok(Message { role, parts })
}

/// `None` for what has no place.
fn part(wire: WirePart<'_>, path: &str, unread: &mut Unread) -> Result<Option<Part>, Error> {
    let missing = |name: &str| Error::field(format!("{path}.{name}"), "is missing");
    let marks = Marks::read(wire.provider_options, BESIDE, unread);
    if wire.provider_executed == Some(true) {
        unread.note("prompt.content (providerExecuted)");
        return Ok(None);
    }
    let content = match wire.kind.as_str() {
        "text" => Content::Text(wire.text.ok_or_else(|| missing("text"))?),
        "reasoning" => match (marks.sealed, wire.text.unwrap_or_default()) {
            (Some(sealed), _) => Content::SealedReasoning(sealed),
            // What only another gateway's proof stood behind.
            (None, text) if text.is_empty() && marks.signature.is_none() => return Ok(None),
            (None, text) => Content::Reasoning { text, signature: marks.signature },
        },
        "file" => match file(wire, path)? {
            Some(file) => file,
            None => {
                // An uploaded file is known to one provider only.
                unread.note("prompt.content.data (reference)");
                return Ok(None);
            }
        },
        "tool-call" => Content::ToolCall(ToolCall {
            id: wire.tool_call_id.ok_or_else(|| missing("toolCallId"))?,
            name: wire.tool_name.ok_or_else(|| missing("toolName"))?,
            // The text of a call that is no JSON stands there as a string.
            arguments: wire.input.map_or_else(
                || "{}".to_owned(),
                |input| json::parse::<String>(input.get()).unwrap_or_else(|_| input.get().to_owned()),
            ),
            signature: marks.signature,
        }),
        "tool-result" => {
            let call = wire.tool_call_id.ok_or_else(|| missing("toolCallId"))?;
            let output = wire.output.ok_or_else(|| missing("output"))?;
            let is_error = output.kind.starts_with("error");
            Content::ToolResult { call, parts: result(output, &format!("{path}.output"), unread)?, is_error }
        }
        kind @ ("custom" | "reasoning-file" | "tool-approval-request" | "tool-approval-response") => {
            unread.note(&format!("prompt.content ({kind})"));
            return Ok(None);
        }
        _ => {
            return Err(Error::field(
                format!("{path}.type"),
                "must be text, reasoning, file, tool-call or tool-result",
            ));
        }
    };
    Ok(Some(Part { content, cache: marks.cache }))
}

fn result(output: Output<'_>, path: &str, unread: &mut Unread) -> Result<Vec<Part>, Error> {
    let value_path = format!("{path}.value");
    let text = match (output.kind.as_str(), output.value) {
        ("text" | "error-text", Some(value)) => parse(value, &value_path)?,
        ("json" | "error-json", value) => value.unwrap_or(Raw::NULL).get().to_owned(),
        // What the SDK's own providers say for it.
        ("execution-denied", _) => output.reason.unwrap_or_else(|| "Tool call execution denied.".to_owned()),
        ("content", Some(value)) => {
            let mut parts = Vec::new();
            for (index, raw) in parse::<Vec<Raw<'_>>>(value, &value_path)?.into_iter().enumerate() {
                let path = format!("{value_path}[{index}]");
                parts.extend(piece(parse(raw, &path)?, &path, unread)?);
            }
            return Ok(parts);
        }
        ("text" | "error-text" | "content", None) => return Err(Error::field(value_path, "is missing")),
        _ => {
            let known = "must be text, json, error-text, error-json, content or execution-denied";
            return Err(Error::field(format!("{path}.type"), known));
        }
    };
    Ok(vec![Part::text(text)])
}

/// A part of a result that is a list of them.
fn piece(wire: WirePart<'_>, path: &str, unread: &mut Unread) -> Result<Option<Part>, Error> {
    let cache: Option<Json> = Marks::read(wire.provider_options, BESIDE, unread).cache;
    let content = match wire.kind.as_str() {
        "text" => wire.text.map(Content::Text),
        // Version 2 has the first alone, 3 the others.
        "file" | "media" | "file-data" | "image-data" | "file-url" | "image-url" => file(wire, path)?,
        _ => None,
    };
    if content.is_none() {
        unread.note("prompt.content.output.value");
    }
    Ok(content.map(|content| Part { content, cache }))
}

/// `None` for what is known to one provider only.
fn file(wire: WirePart<'_>, path: &str) -> Result<Option<Content>, Error> {
    let is_image = wire.kind.starts_with("image");
    // A link alone says nothing of its type but that it is an image.
    let default = if is_image { "image/*" } else { "application/octet-stream" };
    let media_type = wire.media_type.unwrap_or_else(|| default.to_owned());
    let media = match (wire.data, wire.url) {
        (None, Some(url)) => located(url, media_type.clone(), path)?,
        (None, None) => return Err(Error::field(format!("{path}.data"), "is missing")),
        (Some(raw), _) => match json::parse::<String>(raw.get()) {
            Ok(text) => located(text, media_type.clone(), path)?,
            Err(_) => {
                let File { kind, data, url, text } = parse(raw, &format!("{path}.data"))?;
                match (kind.as_str(), data, url, text) {
                    ("data", Some(data), _, _) => Media::Inline { media_type: media_type.clone(), data },
                    ("url", _, Some(url), _) => located(url, media_type.clone(), path)?,
                    ("text", _, _, Some(text)) => {
                        Media::Inline { media_type: media_type.clone(), data: STANDARD.encode(text) }
                    }
                    ("reference", ..) => return Ok(None),
                    _ => return Err(Error::field(format!("{path}.data"), "must be data, a url or a text")),
                }
            }
        },
    };
    Ok(Some(match media_type.split('/').next() {
        Some("image") => Content::Image(media),
        Some("audio") => Content::Audio(media),
        Some("video") => Content::Video(media),
        _ => Content::Document { media, name: wire.filename },
    }))
}

/// What a text is: an address, an address that holds the data, or the data in base64.
fn located(text: String, media_type: String, path: &str) -> Result<Media, Error> {
    let Some(rest) = text.strip_prefix("data:") else {
        let is_address = text.contains("://");
        return Ok(if is_address { Media::Url(text) } else { Media::Inline { media_type, data: text } });
    };
    let inline = rest.split_once(',').and_then(|(head, data)| Some((head.strip_suffix(";base64")?, data)));
    let Some((head, data)) = inline else {
        return Err(Error::field(
            format!("{path}.data"),
            "must be a data URL in base64: data:<media type>;base64,<data>",
        ));
    };
    let own = head.split(';').next().filter(|own| !own.is_empty());
    Ok(Media::Inline { media_type: own.map_or(media_type, str::to_owned), data: data.to_owned() })
}
