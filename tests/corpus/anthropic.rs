//! Anthropic Messages, and the same bodies behind Bedrock and Vertex.

use serde_json::{Value, json};
use tollgate::chat::{Block, Content, Event, Grammar, Message, Part, Response, Role, Usage};
use tollgate::dialect::{Decode, Dialect, Inbound, Label};
use tollgate::wire::frame::{Frame, Framing, Splitter};
use tollgate::wire::json::Fields;

use crate::cases::{Case, cases};

/// Requests that are meant to be refused, and why.
const REFUSED: &[(&str, &str)] = &[
    ("dd-trace-py__anthropic-anthropic-completion-error", "a message that is not an object; Anthropic answered 400"),
    ("braintrust-sdk-ruby__anthropic-beta-structured-outputs", "a format without its schema; Anthropic answered 400"),
];

/// What any reading of an answer must agree upon.
#[derive(Debug, Default, PartialEq)]
struct Answer {
    id: String,
    model: String,
    text: String,
    thinking: String,
    signatures: Vec<String>,
    sealed: Vec<String>,
    calls: Vec<(String, String, Value)>,
    stop: Option<String>,
    sequence: Option<String>,
    usage: Usage,
    is_complete: bool,
}

#[test]
fn every_recorded_stream_says_what_its_bytes_say() {
    let mut read = 0;
    for case in cases("anthropic-messages") {
        let Some(body) = case.body("response.sse") else { continue };
        let expected = naive_stream(&String::from_utf8(body.clone()).unwrap());
        for size in [body.len(), 1, 7] {
            let events = decode(&body, size);
            in_order(&events, &case);
            assert_eq!(told(&events), expected, "{}", case.name);
        }
        // Through our own encoder and back.
        let mut encoder = Inbound::Anthropic.encoder(label());
        let mut encoded = Vec::new();
        decode(&body, body.len()).iter().for_each(|event| encoder.event(event, &mut encoded));
        assert_eq!(told(&decode(&encoded, encoded.len())), expected, "{}", case.name);
        assert_eq!(naive_stream(&String::from_utf8(encoded).unwrap()), expected, "{}", case.name);
        // Cut anywhere before the end it is not complete.
        let cut = String::from_utf8(body.clone()).unwrap().find("message_stop").unwrap();
        for at in (0..cut).step_by(cut / 50 + 1) {
            let events = decode(&body[..at], 64);
            assert!(!events.contains(&Event::End), "{} cut at {at}", case.name);
        }
        read += 1;
    }
    println!("{read} streams");
}

#[test]
fn every_recorded_answer_says_what_its_bytes_say() {
    let (mut read, mut errors) = (0, 0);
    for case in cases("anthropic-messages") {
        let Some(body) = case.body("response.json") else { continue };
        let value: Value = serde_json::from_slice(&body).unwrap();
        if value["type"] == "error" {
            let message = value["error"]["message"].as_str().map(str::to_owned);
            assert_eq!(Dialect::Anthropic.read_error(&body), message, "{}", case.name);
            assert!(Dialect::Anthropic.read_response(&body).is_err(), "{}", case.name);
            errors += 1;
            continue;
        }
        let expected = naive_message(&value);
        let response = Dialect::Anthropic.read_response(&body).unwrap();
        assert_eq!(whole(&response), expected, "{}", case.name);
        assert_eq!(told(&response.events()), expected, "{}", case.name);
        let written = Inbound::Anthropic.write_response(&response, &label());
        assert_eq!(naive_message(&serde_json::from_slice(&written).unwrap()), expected, "{}", case.name);
        read += 1;
    }
    println!("{read} answers, {errors} errors");
}

#[test]
fn every_recorded_request_is_read_and_written_back_in_meaning() {
    let (mut read, mut refused) = (0, 0);
    let mut unread = std::collections::BTreeMap::<String, usize>::new();
    let mut lost = std::collections::BTreeMap::<String, usize>::new();
    for case in cases("anthropic-messages") {
        let Some(body) = case.body("request.json") else { continue };
        let name = case.short();
        let fields = Fields::read(&body).unwrap();
        // Bedrock and Vertex name the model in the path.
        let body = if fields.raw("model").is_some() { body.clone() } else { fields.with(&[("model", "\"claude\"")]) };
        let result = Inbound::Anthropic.read_request(&Fields::read(&body).unwrap());
        if REFUSED.iter().any(|(refused, _)| *refused == name) {
            println!("{name}: {}", result.expect_err(name));
            refused += 1;
            continue;
        }
        let request = result.unwrap_or_else(|error| panic!("{name}: {error}"));
        for field in &request.unread {
            *unread.entry(field.clone()).or_default() += 1;
        }
        let mut losses = Vec::new();
        let written = Dialect::Anthropic.write_request(&request, &mut losses);
        for field in &losses {
            *lost.entry(field.clone()).or_default() += 1;
        }
        let again = Inbound::Anthropic.read_request(&Fields::read(&written).unwrap()).unwrap();
        assert!(again.unread.is_empty(), "{name}: {:?}", again.unread);
        // A conversation that does not begin with the user's words begins with a stop.
        let (says, meant) = (gist(&again.messages), gist(&request.messages));
        let stands_in = usize::from(says.len() > meant.len() && says[0] == "text .");
        assert_eq!(says[stands_in..], meant, "{name}");
        let naive: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(gist(&request.messages), naive_gist(&naive), "{name}");
        assert_eq!(again.tools.len(), request.tools.len(), "{name}");
        assert_eq!(again.tool_choice, request.tool_choice, "{name}");
        assert_eq!(again.stop, request.stop, "{name}");
        assert_eq!(again.stream, request.stream, "{name}");
        assert_eq!(again.messages.first().map(|message| message.role == Role::System), {
            request.messages.first().map(|message| message.role == Role::System)
        });
        let value: Value = serde_json::from_slice(&written).unwrap();
        let roles: Vec<&str> =
            value["messages"].as_array().unwrap().iter().map(|m| m["role"].as_str().unwrap()).collect();
        assert_eq!(roles[0], "user", "{name}");
        assert!(roles.windows(2).all(|pair| pair[0] != pair[1]), "{name}: {roles:?}");
        read += 1;
    }
    println!("{read} requests, {refused} refused\nunread: {unread:#?}\nlost: {lost:#?}");
}

fn label() -> Label {
    Label { id: "msg_ours".to_owned(), usage_wanted: true, ..Label::default() }
}

fn decode(body: &[u8], size: usize) -> Vec<Event> {
    let mut decoder = Dialect::Anthropic.decoder();
    let mut splitter = Splitter::default();
    let mut events = Vec::new();
    for chunk in body.chunks(size.max(1)) {
        splitter.feed(chunk, |raw| feed(&mut *decoder, raw, &mut events)).unwrap();
    }
    let rest = splitter.take_rest();
    // A stream that was cut may end inside a frame.
    if let Some(frame) = Frame::read(Framing::Sse, &rest) {
        let _ = decoder.frame(&frame, &mut events);
    }
    decoder.finish(&mut events);
    events
}

fn feed(decoder: &mut dyn Decode, raw: &[u8], events: &mut Vec<Event>) {
    decoder.frame(&Frame::read(Framing::Sse, raw).unwrap(), events).unwrap();
}

fn in_order(events: &[Event], case: &Case) {
    let mut at = Grammar::default();
    for event in events {
        at = at.after(event).unwrap_or_else(|_| panic!("{}: {event:?} at {at:?}", case.name));
    }
    assert!(at.is_over(), "{}", case.name);
}

fn told(events: &[Event]) -> Answer {
    let mut answer = Answer::default();
    let mut arguments = String::new();
    let mut call = None;
    for event in events {
        match event {
            Event::Start { id, model } => (answer.id, answer.model) = (id.clone(), model.clone()),
            Event::Open(Block::ToolCall { id, name, .. }) => call = Some((id.clone(), name.clone())),
            Event::Open(Block::SealedReasoning(data)) => answer.sealed.push(data.clone()),
            Event::Open(_) | Event::Ping => {}
            Event::Text(text) => answer.text += text,
            Event::Reasoning(text) => answer.thinking += text,
            Event::Signature(signature) => answer.signatures.push(signature.clone()),
            Event::Arguments(text) => arguments += text,
            Event::Close => {
                if let Some((id, name)) = call.take() {
                    answer.calls.push((id, name, serde_json::from_str(&arguments).unwrap_or(Value::Null)));
                    arguments.clear();
                }
            }
            Event::Stop(stop) => (answer.stop, answer.sequence) = (stop.native.clone(), stop.sequence.clone()),
            Event::Usage(usage) => answer.usage = *usage,
            Event::Error { .. } => panic!("no recording has one"),
            Event::End => answer.is_complete = true,
        }
    }
    fold(answer)
}

fn whole(response: &Response) -> Answer {
    let mut answer = Answer {
        id: response.id.clone(),
        model: response.model.clone(),
        stop: response.stop.native.clone(),
        sequence: response.stop.sequence.clone(),
        usage: response.usage.unwrap_or_default(),
        is_complete: true,
        ..Answer::default()
    };
    for part in &response.parts {
        match &part.content {
            Content::Text(text) => answer.text += text,
            Content::Reasoning { text, signature } => {
                answer.thinking += text;
                answer.signatures.extend(signature.clone());
            }
            Content::SealedReasoning(data) => answer.sealed.push(data.clone()),
            Content::ToolCall(call) => {
                let arguments = serde_json::from_str(&call.arguments).unwrap();
                answer.calls.push((call.id.clone(), call.name.clone(), arguments));
            }
            other => panic!("{other:?}"),
        }
    }
    fold(answer)
}

/// Words that we write in another way than Anthropic had them.
fn fold(mut answer: Answer) -> Answer {
    answer.stop = answer.stop.map(|stop| if stop == "compaction" { "max_tokens".to_owned() } else { stop });
    answer
}

/// Reads the data lines as untyped JSON, up to the first `message_stop`: two recordings hold several streams.
fn naive_stream(body: &str) -> Answer {
    let mut message = Value::Null;
    let mut is_complete = false;
    for line in body.lines().filter_map(|line| line.strip_prefix("data:")) {
        let event: Value = serde_json::from_str(line).unwrap();
        match event["type"].as_str().unwrap() {
            "message_start" => message = event["message"].clone(),
            "content_block_start" => message["content"].as_array_mut().unwrap().push(event["content_block"].clone()),
            "content_block_delta" => {
                let block = &mut message["content"][event["index"].as_u64().unwrap() as usize];
                for (from, to) in
                    [("text", "text"), ("thinking", "thinking"), ("signature", "signature"), ("partial_json", "json")]
                {
                    if let Some(piece) = event["delta"][from].as_str() {
                        block[to] = json!(block[to].as_str().unwrap_or_default().to_owned() + piece);
                    }
                }
            }
            "message_delta" => {
                message["stop_reason"] = event["delta"]["stop_reason"].clone();
                message["stop_sequence"] = event["delta"]["stop_sequence"].clone();
                for (name, value) in event["usage"].as_object().unwrap().iter().filter(|(_, value)| !value.is_null()) {
                    message["usage"][name] = value.clone();
                }
            }
            "message_stop" => {
                is_complete = true;
                break;
            }
            _ => {}
        }
    }
    for block in message["content"].as_array_mut().unwrap() {
        if let Some(text) = block["json"].as_str().filter(|text| !text.is_empty()) {
            block["input"] = serde_json::from_str(text).unwrap_or(Value::Null);
        }
    }
    Answer { is_complete, ..naive_message(&message) }
}

fn naive_message(message: &Value) -> Answer {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let usage = &message["usage"];
    let count = |name: &str| usage[name].as_u64().unwrap_or_default();
    let (cached_input, cache_write) = (count("cache_read_input_tokens"), count("cache_creation_input_tokens"));
    let mut answer = Answer {
        id: text(&message["id"]),
        model: text(&message["model"]),
        stop: message["stop_reason"].as_str().map(str::to_owned),
        sequence: message["stop_sequence"].as_str().map(str::to_owned),
        usage: Usage {
            input: count("input_tokens") + cached_input + cache_write,
            cached_input,
            cache_write,
            output: count("output_tokens"),
            reasoning: usage["output_tokens_details"]["thinking_tokens"].as_u64().unwrap_or_default(),
        },
        is_complete: true,
        ..Answer::default()
    };
    for block in message["content"].as_array().unwrap() {
        match block["type"].as_str().unwrap() {
            "text" => answer.text += &text(&block["text"]),
            "thinking" => {
                answer.thinking += &text(&block["thinking"]);
                answer.signatures.extend(Some(text(&block["signature"])).filter(|signature| !signature.is_empty()));
            }
            "redacted_thinking" => answer.sealed.push(text(&block["data"])),
            "tool_use" => answer.calls.push((text(&block["id"]), text(&block["name"]), block["input"].clone())),
            _ => {}
        }
    }
    fold(answer)
}

/// Texts, calls and results in order, results first in their turn; all that a conversation says.
fn gist(messages: &[Message]) -> Vec<String> {
    let mut says = Vec::new();
    let mut turns: Vec<(Role, Vec<String>)> = Vec::new();
    for message in messages {
        let role = if message.role == Role::Assistant { Role::Assistant } else { Role::User };
        let parts = message.parts.iter().filter_map(say);
        match turns.last_mut() {
            Some((last, says)) if *last == role => says.extend(parts),
            _ => turns.push((role, parts.collect())),
        }
    }
    for (_, mut parts) in turns {
        parts.sort_by_key(|part| !part.starts_with("result "));
        says.extend(parts);
    }
    says
}

fn say(part: &Part) -> Option<String> {
    Some(match &part.content {
        Content::Text(text) if text.trim().is_empty() => return None,
        Content::Text(text) => format!("text {}", text.trim_end()),
        Content::ToolCall(call) => {
            let arguments: Value = serde_json::from_str(&call.arguments).unwrap();
            format!("call {} {} {arguments}", call.id, call.name)
        }
        Content::ToolResult { call, parts, is_error } => {
            format!("result {call} {is_error} {:?}", parts.iter().filter_map(say).collect::<Vec<_>>())
        }
        Content::Reasoning { signature: None, .. } => return None,
        Content::Reasoning { text, signature: Some(signature) } => format!("thinking {text} {signature}"),
        Content::SealedReasoning(data) => format!("sealed {data}"),
        Content::Image(_) => "image".to_owned(),
        Content::Audio(_) => "audio".to_owned(),
        Content::Video(_) => "video".to_owned(),
        Content::Document { .. } => "document".to_owned(),
    })
}

/// The same from the untyped request.
fn naive_gist(request: &Value) -> Vec<String> {
    let mut all = Vec::new();
    let mut turns: Vec<(bool, Vec<String>)> = Vec::new();
    let system = json!({"role": "user", "content": request["system"]});
    for message in std::iter::once(&system).chain(request["messages"].as_array().unwrap()) {
        let is_answer = message["role"] == "assistant";
        let says = naive_say(&message["content"]);
        match turns.last_mut() {
            Some((last, all)) if *last == is_answer => all.extend(says),
            _ if says.is_empty() => {}
            _ => turns.push((is_answer, says)),
        }
    }
    for (_, mut parts) in turns {
        parts.sort_by_key(|part| !part.starts_with("result "));
        all.extend(parts);
    }
    all
}

fn naive_say(content: &Value) -> Vec<String> {
    if let Some(text) = content.as_str() {
        return if text.trim().is_empty() { Vec::new() } else { vec![format!("text {}", text.trim_end())] };
    }
    let mut says = Vec::new();
    for block in content.as_array().into_iter().flatten() {
        let text = |name: &str| block[name].as_str().unwrap_or_default();
        match (text("type"), block["source"]["type"].as_str()) {
            ("text", _) => says.extend(naive_say(&block["text"])),
            ("tool_use", _) => says.push(format!("call {} {} {}", text("id"), text("name"), block["input"])),
            ("tool_result", _) => {
                let is_error = block["is_error"] == true;
                says.push(format!("result {} {is_error} {:?}", text("tool_use_id"), naive_say(&block["content"])));
            }
            ("thinking", _) if text("signature").is_empty() => {}
            ("thinking", _) => says.push(format!("thinking {} {}", text("thinking"), text("signature"))),
            ("redacted_thinking", _) => says.push(format!("sealed {}", text("data"))),
            ("image" | "document", Some("file")) => {}
            ("image", _) => says.push("image".to_owned()),
            ("document", Some("text")) => {
                let title = block["title"].as_str().map(|title| format!("{title}\n\n")).unwrap_or_default();
                says.push(format!("text {title}{}", block["source"]["data"].as_str().unwrap()).trim_end().to_owned());
            }
            ("document", _) => says.push("document".to_owned()),
            ("search_result", _) => {
                let text: Vec<&str> =
                    block["content"].as_array().unwrap().iter().map(|b| b["text"].as_str().unwrap()).collect();
                let (title, source) = (block["title"].as_str().unwrap(), block["source"].as_str().unwrap());
                says.push(format!("text {title}\n\n{source}\n\n{}", text.join("\n")).trim_end().to_owned());
            }
            _ => {}
        }
    }
    says
}
