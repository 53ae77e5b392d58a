//! A stream as its caller reads it: written for this test alone, without the project's own parsers.

use serde_json::Value;
use tollgate::dialect::Inbound;

/// The name and the data of each whole event of a stream.
fn events(bytes: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n").replace('\r', "\n");
    let field = |frame: &str, name: &str| {
        let values: Vec<&str> = frame.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).collect();
        values.join("\n")
    };
    let Some((whole, _)) = text.rsplit_once("\n\n") else { return Vec::new() };
    whole.split("\n\n").map(|frame| (field(frame, "event"), field(frame, "data"))).collect()
}

/// Whether the protocol's own end is the last thing said. Some leave out what ends the last frame, and of OpenAI's
/// imitators some say no `[DONE]`.
pub fn is_complete(dialect: Inbound, body: &[u8]) -> bool {
    let events = events(&[body.trim_ascii_end(), b"\n\n"].concat());
    // What is neither an event nor an end means nothing to anybody.
    let means = |data: &str| data == "[DONE]" || serde_json::from_str::<Value>(data).is_ok();
    let Some((event, data)) = events.iter().rfind(|(_, data)| means(data)) else { return false };
    let value: Value = serde_json::from_str(data).unwrap_or_default();
    match dialect {
        Inbound::OpenaiChat | Inbound::OpenaiCompletions => {
            data == "[DONE]" || value["choices"][0]["finish_reason"].is_string() || value["usage"].is_object()
        }
        Inbound::Anthropic => event == "message_stop",
        Inbound::OpenaiResponses => event == "response.completed",
        // The usage may come after the reason of the stop.
        Inbound::Gemini => value["error"].is_null() && events.iter().any(|(_, data)| data.contains("\"finishReason\"")),
        Inbound::AiSdk(_) => value["type"] == "finish",
    }
}

/// Whether a client can read the last event, and it is an error.
pub fn ends_with_error(dialect: Inbound, body: &[u8]) -> bool {
    if !body.ends_with(b"\n\n") && !body.ends_with(b"\r\n\r\n") {
        return false;
    }
    let events = events(body);
    let Some((event, data)) = events.last() else { return false };
    let data: Value = serde_json::from_str(data).unwrap_or_default();
    let is_said = |error: &Value| error["message"].is_string();
    match dialect {
        Inbound::OpenaiChat | Inbound::OpenaiCompletions => is_said(&data["error"]),
        Inbound::Anthropic => event == "error" && data["type"] == "error" && is_said(&data["error"]),
        // An upstream's own words may be the shorter ones.
        Inbound::OpenaiResponses if event == "error" => is_said(&data),
        Inbound::OpenaiResponses => event == "response.failed" && is_said(&data["response"]["error"]),
        Inbound::Gemini => is_said(&data["error"]),
        Inbound::AiSdk(_) => data["type"] == "error" && is_said(&data["error"]),
    }
}

/// The text that a client would put together.
pub fn text(dialect: Inbound, body: &[u8]) -> String {
    let texts = events(body).into_iter().map(|(_, data)| {
        let data: Value = serde_json::from_str(&data).unwrap_or_default();
        let text = match dialect {
            Inbound::OpenaiChat => &data["choices"][0]["delta"]["content"],
            Inbound::Anthropic => &data["delta"]["text"],
            Inbound::OpenaiResponses | Inbound::AiSdk(_) => &data["delta"],
            Inbound::Gemini => &data["candidates"][0]["content"]["parts"][0]["text"],
            Inbound::OpenaiCompletions => &data["choices"][0]["text"],
        };
        text.as_str().unwrap_or_default().to_owned()
    });
    texts.collect()
}

/// Frames in the words of the scenario files, anything else as it is.
pub fn told(dialect: Inbound, bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if !text.ends_with("\n\n") && !text.ends_with("\r\n\r\n") {
        return text.replace('\n', "\\n").replace('\r', "\\r");
    }
    let end = if text.contains('\r') { "\r\n\r\n" } else { "\n\n" };
    let mut told: Vec<String> = Vec::new();
    for frame in text.split_inclusive(end) {
        let (_, data) = events(frame.as_bytes()).into_iter().next().unwrap_or_default();
        let value: Value = serde_json::from_str(&data).unwrap_or_default();
        let known = match dialect {
            _ if data == "[DONE]" => Some("done".to_owned()),
            Inbound::OpenaiChat | Inbound::OpenaiCompletions => chunk(&value),
            Inbound::Anthropic => message(&value),
            Inbound::OpenaiResponses => response(&value),
            Inbound::Gemini => piece(&value),
            Inbound::AiSdk(_) => part(&value),
        };
        let known = known.unwrap_or_else(|| frame.trim().replace('\r', "\\r").replace('\n', "\\n"));
        // A flood is told by its first frames.
        match told.len() {
            0..20 => told.push(known),
            20 => told.push("…".to_owned()),
            _ => {}
        }
    }
    told.join(" ")
}

fn chunk(data: &Value) -> Option<String> {
    if let Some(usage) = data.get("usage").filter(|usage| usage.is_object()) {
        return Some(format!("usage({},{})", usage["prompt_tokens"], usage["completion_tokens"]));
    }
    let choice = data.get("choices")?.get(0)?;
    let delta = &choice["delta"];
    match choice["finish_reason"].as_str() {
        Some(reason) => Some(format!("stop({reason})")),
        None if delta["role"].is_string() && delta["content"] == "" => Some("start".to_owned()),
        None => delta["content"].is_string().then(|| delta["content"].to_string()),
    }
}

fn piece(data: &Value) -> Option<String> {
    let usage = &data["usageMetadata"];
    let counts = || format!("usage({},{})", usage["promptTokenCount"], usage["candidatesTokenCount"]);
    let Some(candidate) = data.get("candidates").and_then(|list| list.get(0)) else {
        return usage.is_object().then(counts);
    };
    match candidate["finishReason"].as_str() {
        Some(reason) if usage.is_object() => Some(format!("stop({reason}) {}", counts())),
        Some(reason) => Some(format!("stop({reason})")),
        None => candidate["content"]["parts"][0]["text"]
            .is_string()
            .then(|| candidate["content"]["parts"][0]["text"].to_string()),
    }
}

fn message(data: &Value) -> Option<String> {
    let delta = &data["delta"];
    Some(match data["type"].as_str()? {
        "message_start" => "start".to_owned(),
        "content_block_start" => format!("open({})", data["content_block"]["type"].as_str()?),
        "content_block_delta" => delta["text"].is_string().then(|| delta["text"].to_string())?,
        "content_block_stop" => "close".to_owned(),
        "message_delta" => format!("stop({},{})", delta["stop_reason"].as_str()?, data["usage"]["output_tokens"]),
        "message_stop" => "done".to_owned(),
        "ping" => "ping".to_owned(),
        _ => return None,
    })
}

fn part(data: &Value) -> Option<String> {
    let usage = &data["usage"];
    Some(match data["type"].as_str()? {
        "text-delta" => data["delta"].to_string(),
        "finish" => {
            let [input, output] = ["inputTokens", "outputTokens"].map(|field| &usage[field]["total"]);
            format!("finish({},{input},{output})", data["finishReason"]["unified"].as_str()?)
        }
        "error" => return None,
        kind => kind.to_owned(),
    })
}

fn response(data: &Value) -> Option<String> {
    let usage = &data["response"]["usage"];
    Some(match data["type"].as_str()?.strip_prefix("response.")? {
        "created" => "start".to_owned(),
        "output_item.added" => format!("open({})", data["item"]["type"].as_str()?),
        "output_text.delta" => data["delta"].to_string(),
        "output_item.done" => "close".to_owned(),
        "completed" => format!("done({},{})", usage["input_tokens"], usage["output_tokens"]),
        "failed" => {
            let (response, sequence) = (&data["response"], &data["sequence_number"]);
            let (id, model) = (response["id"].as_str()?, response["model"].as_str()?);
            format!("failed({id},{model},#{sequence},{})", response["error"])
        }
        kind @ ("in_progress" | "content_part.added" | "content_part.done" | "output_text.done") => kind.to_owned(),
        _ => return None,
    })
}
