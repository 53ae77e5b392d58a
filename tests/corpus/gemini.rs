//! Gemini's `generateContent`, of AI Studio and of Vertex AI, and its `countTokens`.

use serde_json::{Value, json};
use tollgate::chat::{Block, Content, Event, Grammar, Message, Part, Role, Usage};
use tollgate::dialect::{Dialect, Inbound, Label};
use tollgate::wire::frame::{Frame, Framing, Splitter};
use tollgate::wire::json::Fields;

use crate::cases::{Case, Faults, cases, faults};

/// What any reading of an answer must agree upon.
#[derive(Debug, Default, PartialEq)]
struct Answer {
    id: String,
    model: String,
    text: String,
    thoughts: String,
    signatures: Vec<String>,
    calls: Vec<(String, Value)>,
    stop: Option<String>,
    usage: Usage,
}

fn label() -> Label {
    Label { id: "req_1".to_owned(), ..Label::default() }
}

fn decode(framing: Framing, body: &[u8], size: usize) -> Result<Vec<Event>, String> {
    let (mut splitter, mut decoder, mut events) = (Splitter::new(framing), Dialect::Gemini.decoder(), Vec::new());
    let mut fault = None;
    let mut each = |raw: &[u8], events: &mut Vec<Event>| {
        let frame = Frame::read(framing, raw).unwrap();
        if let Err(error) = decoder.frame(&frame, events) {
            fault.get_or_insert(error.0);
        }
    };
    for chunk in body.chunks(size.max(1)) {
        splitter.feed(chunk, |raw| each(raw, &mut events)).unwrap();
    }
    let rest = splitter.take_rest();
    if !rest.trim_ascii().is_empty() {
        each(&rest, &mut events);
    }
    decoder.finish(&mut events);
    fault.map_or(Ok(events), Err)
}

fn walk(events: &[Event]) -> Option<Grammar> {
    events.iter().try_fold(Grammar::default(), |at, event| at.after(event)).ok()
}

fn told(events: &[Event]) -> Answer {
    let mut answer = Answer::default();
    let (mut name, mut arguments) = (None, String::new());
    for event in events {
        match event {
            Event::Start { id, model } => (answer.id, answer.model) = (id.clone(), model.clone()),
            Event::Open(Block::ToolCall { name: called, signature, .. }) => {
                name = Some(called.clone());
                answer.signatures.extend(signature.clone());
            }
            Event::Open(Block::SealedReasoning(sealed)) => answer.signatures.push(sealed.clone()),
            Event::Text(text) => answer.text += text,
            Event::Reasoning(text) => answer.thoughts += text,
            Event::Signature(signature) => answer.signatures.push(signature.clone()),
            Event::Arguments(text) => arguments += text,
            Event::Close => {
                if let Some(name) = name.take() {
                    answer.calls.push((name, serde_json::from_str(&std::mem::take(&mut arguments)).unwrap()));
                }
            }
            Event::Stop(stop) => answer.stop.clone_from(&stop.native),
            Event::Usage(usage) => answer.usage = *usage,
            Event::Open(_) | Event::Ping | Event::Error { .. } | Event::End => {}
        }
    }
    answer
}

/// The values of a recording, whatever it is framed as.
fn values(body: &str) -> Vec<Value> {
    if let Ok(value) = serde_json::from_str(body) {
        return match value {
            Value::Array(values) => values,
            value => vec![value],
        };
    }
    body.lines().filter_map(|line| line.strip_prefix("data:")).map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn naive(values: &[Value]) -> Answer {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut answer = Answer::default();
    for (at, value) in values.iter().enumerate() {
        if at == 0 {
            (answer.id, answer.model) = (text(&value["responseId"]), text(&value["modelVersion"]));
        }
        let usage = &value["usageMetadata"];
        if !usage["promptTokenCount"].is_null() {
            let count = |name: &str| usage[name].as_u64().unwrap_or_default();
            answer.usage = Usage {
                input: count("promptTokenCount") + count("toolUsePromptTokenCount"),
                cached_input: count("cachedContentTokenCount"),
                cache_write: 0,
                output: count("candidatesTokenCount") + count("thoughtsTokenCount"),
                reasoning: count("thoughtsTokenCount"),
            };
        }
        if let Some(word) = value["promptFeedback"]["blockReason"].as_str() {
            answer.stop = Some(word.to_owned());
        }
        let candidate = &value["candidates"][0];
        match &candidate["finishReason"] {
            Value::String(word) => answer.stop = Some(word.clone()),
            Value::Number(number) => {
                answer.stop = Some(["", "STOP", "MAX_TOKENS"][number.as_u64().unwrap() as usize].into())
            }
            _ => {}
        }
        for part in candidate["content"]["parts"].as_array().into_iter().flatten() {
            let signature = part["thoughtSignature"].as_str().map(str::to_owned);
            if let Some(call) = part.get("functionCall") {
                if let Some(name) = call["name"].as_str() {
                    let empty = json!({});
                    answer.calls.push((name.to_owned(), call.get("args").unwrap_or(&empty).clone()));
                    answer.signatures.extend(signature);
                }
                for piece in call["partialArgs"].as_array().into_iter().flatten() {
                    set(&mut answer.calls.last_mut().unwrap().1, piece);
                }
                continue;
            }
            if !(part.get("toolCall").is_some() || part.get("toolResponse").is_some()) || signature.is_some() {
                answer.signatures.extend(signature);
            }
            if part["thought"] == true {
                answer.thoughts += part["text"].as_str().unwrap_or_default();
                continue;
            }
            answer.text += part["text"].as_str().unwrap_or_default();
            if let Some(code) = part["executableCode"]["code"].as_str() {
                answer.text += &format!("\n```python\n{}\n```\n", code.trim_end());
            }
            if let Some(output) = part["codeExecutionResult"]["output"].as_str() {
                answer.text += &format!("\n```\n{}\n```\n", output.trim_end());
            }
            if let Some(media_type) = part["inlineData"]["mimeType"].as_str() {
                answer.text += &format!("[{media_type} left out]");
            }
        }
    }
    answer
}

/// One of `partialArgs`, by way of a JSON pointer.
fn set(arguments: &mut Value, piece: &Value) {
    let path = piece["jsonPath"].as_str().unwrap().trim_start_matches("$.").replace(']', "").replace('[', ".");
    let mut at = arguments;
    for step in path.split('.') {
        at = match step.parse::<usize>() {
            Ok(index) => {
                if !at.is_array() {
                    *at = json!([]);
                }
                let list = at.as_array_mut().unwrap();
                list.resize(list.len().max(index + 1), Value::Null);
                &mut list[index]
            }
            Err(_) => {
                if !at.is_object() {
                    *at = json!({});
                }
                at.as_object_mut().unwrap().entry(step).or_insert(Value::Null)
            }
        };
    }
    if let Some(text) = piece["stringValue"].as_str() {
        *at = json!(at.as_str().unwrap_or_default().to_owned() + text);
    } else if !piece["numberValue"].is_null() {
        *at = piece["numberValue"].clone();
    } else if !piece["boolValue"].is_null() {
        *at = piece["boolValue"].clone();
    }
}

#[test]
fn every_recorded_stream_says_what_its_bytes_say() {
    let (mut read, mut faults) = (0, Faults::default());
    for case in cases("gemini") {
        let list = case.body("response.json").filter(|body| body.trim_ascii_start().starts_with(b"["));
        let stream = case.body("response.sse").map(|body| (Framing::Sse, body));
        let Some((framing, body)) = stream.or(list.map(|body| (Framing::Array, body))) else { continue };
        read += 1;
        let expected = naive(&values(&String::from_utf8(body.clone()).unwrap()));
        let events = match decode(framing, &body, body.len()) {
            Ok(events) => events,
            Err(fault) => {
                faults.check(&case, false, || fault);
                continue;
            }
        };
        faults.check(&case, told(&events) == expected, || format!("{:?}\n instead of {expected:?}", told(&events)));
        let ended = if expected.stop.is_some() { Some(Grammar::Ended) } else { None };
        let at = walk(&events);
        faults.check(&case, at.is_some() && (at == ended || ended.is_none()), || format!("ends at {at:?}"));
        for size in [1, 7] {
            let same = decode(framing, &body, size).as_ref() == Ok(&events);
            faults.check(&case, same, || format!("depends on chunks of {size}"));
        }
        if expected.stop.is_some() {
            written_again(&mut faults, &case, &events, &expected);
            for caller in [Inbound::OpenaiChat, Inbound::Anthropic] {
                let found = told_to(caller, &events);
                let same = found.text == expected.text && found.thoughts == expected.thoughts;
                faults.check(&case, same, || format!("{caller:?} is told {found:?}"));
                faults.check(&case, found.calls == expected.calls, || format!("{caller:?} is told {:?}", found.calls));
            }
        }
        cut(&mut faults, &case, framing, &body, &events);
    }
    println!("{read} streams");
    faults.report();
}

/// Whole frames of a stream, but not all of them, are complete only if the reason of the stop was among them.
fn cut(faults: &mut Faults, case: &Case, framing: Framing, body: &[u8], whole: &[Event]) {
    let (mut splitter, mut ends, mut at) = (Splitter::new(framing), Vec::new(), 0);
    splitter
        .feed(body, |raw| {
            at += raw.len();
            ends.push(at);
        })
        .unwrap();
    for end in ends {
        let events = decode(framing, &body[..end], 1024).unwrap();
        let said = String::from_utf8_lossy(&body[..end]);
        let is_over = said.contains("\"finishReason\"") || said.contains("\"blockReason\"");
        let has_ended = events.contains(&Event::End);
        faults.check(case, has_ended == (is_over && whole.contains(&Event::End)), || format!("cut at {end}"));
    }
}

/// What we write of it ourselves says the same, in either framing.
fn written_again(faults: &mut Faults, case: &Case, events: &[Event], expected: &Answer) {
    for framing in [Framing::Sse, Framing::Array] {
        let mut encoder = Inbound::Gemini.encoder(Label { framing, ..label() });
        let mut out = Vec::new();
        events.iter().for_each(|event| encoder.event(event, &mut out));
        let text = String::from_utf8(out.clone()).unwrap();
        if framing == Framing::Array {
            faults.check(case, serde_json::from_str::<Value>(&text).is_ok(), || "no list".to_owned());
        }
        let again = match decode(framing, &out, 7) {
            Ok(again) => again,
            Err(fault) => {
                faults.check(case, false, || format!("written, it cannot be read: {fault}: {text:?}"));
                continue;
            }
        };
        faults.check(case, same(&told(&again), expected), || {
            format!("written {:?}\n instead of {expected:?}", told(&again))
        });
        faults.check(case, walk(&again) == Some(Grammar::Ended), || format!("written, ends at {:?}", walk(&again)));
        let found = naive(&values(&text));
        faults.check(case, same(&found, expected), || format!("written {found:?}\n instead of {expected:?}"));
    }
}

/// What callers of another dialect are told of it, as their clients read it.
fn told_to(caller: Inbound, events: &[Event]) -> Answer {
    let mut encoder = caller.encoder(label());
    let mut out = Vec::new();
    events.iter().for_each(|event| encoder.event(event, &mut out));
    let (mut splitter, mut decoder, mut again) = (Splitter::default(), caller.dialect().unwrap().decoder(), Vec::new());
    splitter.feed(&out, |raw| decoder.frame(&Frame::read(Framing::Sse, raw).unwrap(), &mut again).unwrap()).unwrap();
    assert_eq!(walk(&again), Some(Grammar::Ended));
    told(&again)
}

/// But for ids that were not given, which are ours then.
fn same(found: &Answer, expected: &Answer) -> bool {
    let id = if expected.id.is_empty() { found.id.clone() } else { expected.id.clone() };
    let expected = Answer { id, ..expected_of(expected) };
    *found == expected
}

fn expected_of(answer: &Answer) -> Answer {
    Answer {
        id: answer.id.clone(),
        model: answer.model.clone(),
        text: answer.text.clone(),
        thoughts: answer.thoughts.clone(),
        signatures: answer.signatures.clone(),
        calls: answer.calls.clone(),
        stop: answer.stop.clone(),
        usage: answer.usage,
    }
}

#[test]
fn every_recorded_answer_says_what_its_bytes_say() {
    let (mut read, mut errors, mut faults) = (0, 0, Faults::default());
    for case in cases("gemini") {
        let Some(body) = case.body("response.json") else { continue };
        let values = values(&String::from_utf8(body.clone()).unwrap());
        if let Some(error) = values.iter().find_map(|value| value.get("error")) {
            let message = error["message"].as_str().map(str::to_owned);
            faults.check(&case, Dialect::Gemini.read_error(&body) == message, || format!("{message:?} not found"));
            faults.check(&case, Dialect::Gemini.read_response(&body).is_err(), || "is no answer".to_owned());
            errors += 1;
            continue;
        }
        let mut expected = naive(&values);
        expected.stop.get_or_insert_with(|| "STOP".to_owned());
        let response = match Dialect::Gemini.read_response(&body) {
            Ok(response) => response,
            Err(fault) => {
                faults.check(&case, false, || fault.0);
                continue;
            }
        };
        let found = told(&response.events());
        faults.check(&case, found == expected, || format!("{found:?}\n instead of {expected:?}"));
        let written = Inbound::Gemini.write_response(&response, &label());
        let found = naive(&[serde_json::from_slice(&written).unwrap()]);
        faults.check(&case, same(&found, &expected), || format!("written {found:?}\n instead of {expected:?}"));
        let again = Dialect::Gemini.read_response(&written).unwrap();
        faults.check(&case, again.parts == response.parts, || "parts change".to_owned());
        faults.check(&case, again.stop == response.stop, || "the stop changes".to_owned());
        read += 1;
    }
    println!("{read} answers, {errors} errors");
    faults.report();
}

#[test]
fn every_recorded_request_is_read_and_written_back_in_meaning() {
    let (mut read, mut faults) = (0, Faults::default());
    let mut unread = std::collections::BTreeMap::<String, usize>::new();
    let mut lost = std::collections::BTreeMap::<String, usize>::new();
    for case in cases("gemini") {
        let Some(body) = case.body("request.json") else { continue };
        let mut request = match Inbound::Gemini.read_request(&Fields::read(&body).unwrap()) {
            Ok(request) => request,
            Err(error) => {
                faults.check(&case, false, || format!("{error} (Google answered {})", case.status));
                continue;
            }
        };
        let naive: Value = serde_json::from_slice(&body).unwrap();
        let (found, expected) = (gist(&request.messages), naive_gist(&naive));
        faults.check(&case, found == expected, || format!("{found:#?}\n instead of {expected:#?}"));
        request.unread.drain(..).for_each(|field| *unread.entry(field).or_default() += 1);
        request.model = "gemini-3-flash".to_owned();
        let mut losses = Vec::new();
        let written = Dialect::Gemini.write_request(&request, &mut losses);
        losses.into_iter().for_each(|field| *lost.entry(field).or_default() += 1);
        let again = match Inbound::Gemini.read_request(&Fields::read(&written).unwrap()) {
            Ok(again) => again,
            Err(error) => {
                faults.check(&case, false, || format!("written: {error}"));
                continue;
            }
        };
        faults.check(&case, again.unread.is_empty(), || format!("writes {:?}", again.unread));
        let (found, expected) = (joined(&again.messages), joined(&request.messages));
        faults.check(&case, found == expected, || format!("written {found:#?}\n instead of {expected:#?}"));
        let names = |request: &tollgate::chat::Request| -> Vec<String> {
            request.tools.iter().map(|tool| tool.name.clone()).collect()
        };
        faults.check(&case, names(&again) == names(&request), || "tools change".to_owned());
        faults.check(&case, again.tool_choice == request.tool_choice, || "the choice changes".to_owned());
        faults.check(&case, again.max_tokens == request.max_tokens, || "max_tokens changes".to_owned());
        faults.check(&case, again.stop == request.stop, || "stop changes".to_owned());
        faults.check(&case, again.format.is_some() == request.format.is_some(), || "the format changes".to_owned());
        let value: Value = serde_json::from_slice(&written).unwrap();
        let roles: Vec<&str> =
            value["contents"].as_array().unwrap().iter().map(|content| content["role"].as_str().unwrap()).collect();
        faults.check(&case, roles.windows(2).all(|pair| pair[0] != pair[1]), || format!("{roles:?}"));
        let bare = |tools: &Value| {
            let text = tools.to_string();
            [r#""$ref":"#, r#""$defs":"#, r#""$schema":"#].iter().all(|key| !text.contains(key))
        };
        faults.check(&case, bare(&value["tools"]), || "references are left".to_owned());
        read += 1;
    }
    println!("{read} requests\nunread: {unread:#?}\nlost: {lost:#?}");
    faults.report();
}

/// What each turn says, those of one role together.
fn joined(messages: &[Message]) -> Vec<(bool, Vec<String>)> {
    let mut turns: Vec<(bool, Vec<String>)> = Vec::new();
    for message in messages {
        let is_model = message.role == Role::Assistant;
        let says: Vec<String> = message.parts.iter().filter_map(say).collect();
        match turns.last_mut() {
            Some((last, said)) if *last == is_model => said.extend(says),
            _ if says.is_empty() => {}
            _ => turns.push((is_model, says)),
        }
    }
    turns
}

fn gist(messages: &[Message]) -> Vec<String> {
    joined(messages).into_iter().flat_map(|(_, says)| says).collect()
}

fn say(part: &Part) -> Option<String> {
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    Some(match &part.content {
        Content::Text(text) if text.is_empty() => return None,
        Content::Text(text) => format!("text {text}"),
        Content::Reasoning { text, signature } => format!("thought {text} {}", bytes(signature.as_deref())),
        Content::SealedReasoning(sealed) => format!("signature {}", bytes(Some(sealed))),
        Content::ToolCall(call) => {
            format!("call {} {} {}", call.name, json(&call.arguments), bytes(call.signature.as_deref()))
        }
        Content::ToolResult { parts, .. } => {
            let says: Vec<String> = parts
                .iter()
                .map(|part| match &part.content {
                    Content::Text(text) => meant(text),
                    _ => "file".to_owned(),
                })
                .collect();
            format!("result {says:?}")
        }
        Content::Image(_) | Content::Audio(_) | Content::Video(_) | Content::Document { .. } => "file".to_owned(),
    })
}

/// JSON is JSON however it is spaced; all else is text.
fn meant(text: &str) -> String {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())).to_string()
}

/// Signatures come back in either alphabet.
fn bytes(signature: Option<&str>) -> String {
    signature.unwrap_or_default().replace('-', "+").replace('_', "/").trim_end_matches('=').to_owned()
}

fn naive_gist(body: &Value) -> Vec<String> {
    let either = |value: &Value, names: [&str; 2]| names.iter().find_map(|name| value.get(name)).cloned();
    let mut says = Vec::new();
    let mut contents: Vec<Value> = either(body, ["systemInstruction", "system_instruction"]).into_iter().collect();
    contents.extend(body["contents"].as_array().into_iter().flatten().cloned());
    let mut said_text = false;
    for content in contents {
        // What the model said in pieces is one text.
        let is_model = content["role"] == "model";
        said_text &= is_model;
        let parts = match &content["parts"] {
            Value::Array(parts) => parts.clone(),
            Value::Null => Vec::new(),
            part => vec![part.clone()],
        };
        for part in parts {
            let before = says.len();
            let signature = either(&part, ["thoughtSignature", "thought_signature"]);
            let signature = signature.as_ref().and_then(Value::as_str).filter(|text| !text.starts_with("skip_thought"));
            if let Some(call) = either(&part, ["functionCall", "function_call"]) {
                says.push(format!("call {} {} {}", call["name"].as_str().unwrap(), call["args"], bytes(signature)));
            } else if let Some(result) = either(&part, ["functionResponse", "function_response"]) {
                // A text that is only wrapped because an object is due is a text.
                let fields = result["response"].as_object().filter(|fields| fields.len() == 1);
                let text = ["error", "output", "result"].iter().find_map(|name| fields?.get(*name)?.as_str());
                let mut inner = vec![meant(text.unwrap_or(&result["response"].to_string()))];
                inner.extend(result["parts"].as_array().into_iter().flatten().map(|_| "file".to_owned()));
                says.push(format!("result {inner:?}"));
            } else if part["thought"] == true && part["text"].is_string() {
                says.push(format!("thought {} {}", part["text"].as_str().unwrap(), bytes(signature)));
            } else {
                let text = part["text"].as_str();
                match text.filter(|text| !text.is_empty()) {
                    Some(text) if said_text => says.last_mut().unwrap().push_str(text),
                    text => says.extend(text.map(|text| format!("text {text}"))),
                }
                let file =
                    ["inlineData", "inline_data", "fileData", "file_data"].iter().any(|name| part.get(name).is_some());
                says.extend(file.then(|| "file".to_owned()));
                if text.is_some() || file {
                    says.extend(signature.map(|signature| format!("signature {}", bytes(Some(signature)))));
                }
            }
            if says.len() > before {
                said_text = is_model && says.last().is_some_and(|last| last.starts_with("text "));
            }
        }
    }
    says
}

/// Conversations with a result whose call is not there, or has another id.
const ORPHANED: &[&str] = &["dd-trace-py__anthropic-anthropic-completion-tools-call-with-tool-result-stream-helper"];

/// What Gemini's `Schema` has. Source: "Schema", Gemini API reference, read 2026-11.
const SCHEMA: &[&str] = &[
    "type",
    "format",
    "title",
    "description",
    "nullable",
    "enum",
    "maxItems",
    "minItems",
    "properties",
    "required",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "example",
    "anyOf",
    "propertyOrdering",
    "default",
    "items",
    "minimum",
    "maximum",
];

/// What in a schema Gemini would refuse.
fn refused(schema: &Value) -> Option<String> {
    let schema = schema.as_object().unwrap();
    if let Some(name) = schema.keys().find(|name| !SCHEMA.contains(&name.as_str())) {
        return Some(name.clone());
    }
    let kind = schema.get("type").and_then(Value::as_str);
    if kind.is_none() && schema.get("anyOf").is_none() || kind.is_some_and(|kind| kind != kind.to_uppercase()) {
        return Some(format!("type {kind:?}"));
    }
    if kind == Some("ARRAY") && schema.get("items").is_none() {
        return Some("a list of nothing".to_owned());
    }
    if schema.get("enum").is_some_and(|list| list.as_array().unwrap().iter().any(|value| !value.is_string())) {
        return Some("enum".to_owned());
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
        if !properties.is_some_and(|properties| properties.contains_key(name.as_str().unwrap())) {
            return Some(format!("required {name}"));
        }
    }
    let inner = properties.into_iter().flat_map(|properties| properties.values());
    let alternatives = schema.get("anyOf").and_then(Value::as_array).into_iter().flatten();
    inner.chain(schema.get("items")).chain(alternatives).find_map(refused)
}

#[test]
fn what_callers_of_others_ask_can_be_asked_of_gemini() {
    let (mut read, mut faults) = (0, Faults::default());
    let mut lost = std::collections::BTreeMap::<String, usize>::new();
    for (api, inbound) in [("openai-chat", Inbound::OpenaiChat), ("anthropic-messages", Inbound::Anthropic)] {
        for case in cases(api) {
            let Some(body) = case.body("request.json") else { continue };
            let Ok(mut request) = inbound.read_request(&Fields::read(&body).unwrap()) else { continue };
            request.model = "gemini-3-pro".to_owned();
            let mut losses = Vec::new();
            let written = Dialect::Gemini.write_request(&request, &mut losses);
            losses.into_iter().for_each(|field| *lost.entry(field).or_default() += 1);
            let value: Value = serde_json::from_slice(&written).unwrap();
            let contents = value["contents"].as_array().unwrap();
            faults.check(&case, contents.windows(2).all(|pair| pair[0]["role"] != pair[1]["role"]), || {
                "roles".to_owned()
            });
            let mut calls = Vec::new();
            for content in contents {
                let parts = content["parts"].as_array().unwrap();
                faults.check(&case, !parts.is_empty(), || "a turn without parts".to_owned());
                let called: Vec<&Value> = parts.iter().filter(|part| part.get("functionCall").is_some()).collect();
                calls.extend(called.iter().map(|part| &part["functionCall"]["name"]));
                let signed = called.first().is_none_or(|first| first["thoughtSignature"].is_string());
                faults.check(&case, signed, || "a first call without a signature".to_owned());
                for result in parts.iter().filter_map(|part| part.get("functionResponse")) {
                    faults.check(&case, result["response"].is_object(), || format!("{result}"));
                    let known = calls.contains(&&result["name"]) || ORPHANED.contains(&case.short());
                    faults.check(&case, known, || format!("a result of {}", result["name"]));
                }
            }
            let declared = value["tools"][0]["functionDeclarations"].as_array().into_iter().flatten();
            let schemas = declared.filter_map(|tool| tool.get("parameters"));
            for schema in schemas.chain(value["generationConfig"].get("responseSchema")) {
                faults.check(&case, refused(schema).is_none(), || format!("{:?} in {schema}", refused(schema)));
            }
            read += 1;
        }
    }
    println!("{read} requests of others\nlost: {lost:#?}");
    faults.report();
}

#[test]
fn every_known_fault_is_understood() {
    let mut read = 0;
    for fault in faults("errors").into_iter().filter(|fault| fault["api"] == "gemini") {
        let message = fault["body"]["error"]["message"].as_str().map(str::to_owned);
        assert_eq!(Dialect::Gemini.read_error(fault["body"].to_string().as_bytes()), message, "{fault}");
        let list = json!([fault["body"]]).to_string();
        assert_eq!(Dialect::Gemini.read_error(list.as_bytes()), message, "{fault}");
        // Our words for a status are Google's.
        let status = u16::try_from(fault["status"].as_u64().unwrap()).unwrap();
        let word = fault["body"]["error"]["status"].as_str().unwrap();
        let ours = tollgate::error::Kind::Upstream(status).row().gemini;
        assert!(ours == word || word == "FAILED_PRECONDITION", "{fault}: {ours}");
        read += 1;
    }
    for fault in faults("midstream").into_iter().filter(|fault| fault["api"] == "gemini") {
        let events = decode(Framing::Sse, fault["frame"].as_str().unwrap().as_bytes(), 7).unwrap();
        assert!(matches!(events.as_slice(), [Event::Error { .. }]), "{fault}: {events:?}");
        read += 1;
    }
    println!("{read} faults");
}

#[test]
fn every_recorded_count_is_read() {
    let mut read = 0;
    for case in cases("count-tokens") {
        let inbound = match case.name.split('/').next() {
            Some("count-tokens.google" | "count-tokens.vertex") => Inbound::Gemini,
            Some("count-tokens.anthropic") => Inbound::Anthropic,
            _ => continue,
        };
        let Some(body) = case.body("request.json") else { continue };
        let fields = Fields::read(&body).unwrap();
        if fields.raw("contents").is_none()
            && inbound == Inbound::Gemini
            && fields.raw("generateContentRequest").is_none()
        {
            continue;
        }
        let request = inbound.read_count(&fields).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let found = tollgate::count::tokens(&request);
        let answer: Value =
            case.body("response.json").map_or(Value::Null, |body| serde_json::from_slice(&body).unwrap());
        let told = answer["totalTokens"].as_u64().or(answer["input_tokens"].as_u64());
        println!("{}: {found}, {told:?} by the provider", case.name);
        let spliced: Value = serde_json::from_slice(&inbound.splice(&fields, "x")).unwrap();
        let named = spliced.pointer("/generateContentRequest/model").and_then(Value::as_str);
        assert!(named.is_none_or(|name| name == "models/x"), "{}", case.name);
        read += 1;
    }
    println!("{read} counts");
}
