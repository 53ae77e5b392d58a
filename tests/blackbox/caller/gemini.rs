//! Reads `generateContent` as Google's own clients do.

use serde_json::{Value, json};

use super::{Called, Problem, Reading, number, text};
use crate::answer::Usage;

pub(crate) fn read_whole(body: &Value) -> Reading {
    let (reading, problem) = read_stream(std::slice::from_ref(body));
    assert!(problem.is_none(), "{body}");
    reading
}

/// Pieces until the one with the reason why the model stopped; or an error in the place of one.
pub(crate) fn read_stream(pieces: &[Value]) -> (Reading, Option<Problem>) {
    let (mut parts, mut stop, mut told) = (Vec::new(), String::new(), None);
    for (at, piece) in pieces.iter().enumerate() {
        assert!(stop.is_empty(), "something follows the end: {piece}");
        if !piece["error"].is_null() {
            assert_eq!(at + 1, pieces.len(), "something follows the error");
            return (reading(parts, stop, None), Some(problem(piece)));
        }
        text(piece, "modelVersion");
        text(piece, "responseId");
        let candidate = &piece["candidates"][0];
        assert_eq!(candidate["content"]["role"], "model", "{piece}");
        for part in candidate["content"]["parts"].as_array().expect("every piece has parts") {
            add(&mut parts, part);
        }
        candidate["finishReason"].as_str().unwrap_or_default().clone_into(&mut stop);
        if piece["usageMetadata"].is_object() {
            told = Some(&piece["usageMetadata"]);
        }
    }
    assert!(!stop.is_empty(), "the stream ends with neither a finishReason nor an error after {} pieces", pieces.len());
    (reading(parts, stop, Some(usage(told.expect("an answer tells its usage")))), None)
}

pub(crate) fn problem(body: &Value) -> Problem {
    let error = &body["error"];
    number(error, "code");
    Problem { kind: text(error, "status").to_owned(), code: String::new(), message: text(error, "message").to_owned() }
}

/// Texts of one kind grow together; what has a signature stands for itself.
fn add(parts: &mut Vec<Value>, part: &Value) {
    let is_plain = |part: &Value| part["text"].is_string() && part["thoughtSignature"].is_null();
    if let Some(last) =
        parts.last_mut().filter(|last| is_plain(last) && is_plain(part) && last["thought"] == part["thought"])
    {
        let whole = [&*last, part].map(|part| part["text"].as_str().unwrap_or_default()).concat();
        last["text"] = whole.into();
    } else {
        parts.push(part.clone());
    }
}

fn reading(parts: Vec<Value>, stop: String, usage: Option<Usage>) -> Reading {
    let mut reading = Reading { stop, usage, ..Reading::default() };
    for part in &parts {
        if let Some(call) = part.get("functionCall") {
            reading.calls.push(Called {
                id: text(call, "id").to_owned(),
                name: text(call, "name").to_owned(),
                arguments: call["args"].clone(),
            });
            continue;
        }
        let words = part["text"].as_str().unwrap_or_else(|| panic!("not a part that was scripted: {part}"));
        if part["thought"] == true { &mut reading.thinking } else { &mut reading.text }.push_str(words);
    }
    reading.message = json!({"role": "model", "parts": parts});
    reading
}

fn usage(usage: &Value) -> Usage {
    let told = |field: &str| usage[field].as_u64().unwrap_or_default();
    let (input, reasoning) = (number(usage, "promptTokenCount"), told("thoughtsTokenCount"));
    let output = number(usage, "candidatesTokenCount") + reasoning;
    assert_eq!(number(usage, "totalTokenCount"), input + output, "{usage}");
    Usage { input, cached: told("cachedContentTokenCount"), cache_write: 0, output, reasoning }
}
