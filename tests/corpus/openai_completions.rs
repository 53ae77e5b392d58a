//! Legacy text completions. Mistral's recordings of this kind are agents and fill-in-the-middle, which answer as chats
//! do, at addresses of their own; Writer streams in a protocol of its own, of bare values without an end.

use serde_json::Value;
use tollgate::dialect::{Dialect, Inbound, Label};
use tollgate::wire::frame::Framing;
use tollgate::wire::json::Fields;

use crate::cases::{Case, cases};
use crate::told::{Told, decode, told};

fn completions() -> impl Iterator<Item = Case> {
    cases("openai-completions").into_iter().filter(|case| !case.name.starts_with("openai-completions.mistral/"))
}

/// What the first answer says, gathered from chunks or read whole.
fn naive(chunks: &[Value]) -> Told {
    let mut told = Told { is_complete: true, ..Told::default() };
    for choice in chunks.iter().flat_map(|chunk| chunk["choices"].as_array().into_iter().flatten()) {
        if choice["index"].as_u64().unwrap_or(0) == 0 {
            told.text += choice["text"].as_str().unwrap_or_default();
            told.stop = choice["finish_reason"].as_str().map(str::to_owned).or(told.stop);
        }
    }
    told
}

fn tokens(chunks: &[Value]) -> Option<(u64, u64)> {
    let usage = chunks.iter().rev().map(|chunk| &chunk["usage"]).find(|usage| usage.is_object())?;
    Some((usage["prompt_tokens"].as_u64()?, usage["completion_tokens"].as_u64().unwrap_or(0)))
}

fn without_usage(told: Told) -> (Told, Option<(u64, u64)>) {
    let usage = told.usage.map(|usage| (usage.input, usage.output));
    (Told { usage: None, ..told }, usage)
}

#[test]
fn every_recorded_stream_says_what_its_bytes_say() {
    let mut read = 0;
    for case in completions() {
        let Some(body) = case.body("response.sse").filter(|_| !case.name.contains(".writer/")) else { continue };
        let text = String::from_utf8(body.clone()).unwrap();
        let data = text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim);
        let chunks: Vec<Value> =
            data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect();
        let expected = (naive(&chunks), tokens(&chunks));
        let events = decode(Dialect::OpenaiCompletions, Framing::Sse, &body, body.len());
        assert_eq!(without_usage(told(&events)), expected, "{}", case.name);
        for size in [1, 7] {
            assert_eq!(decode(Dialect::OpenaiCompletions, Framing::Sse, &body, size), events, "{}", case.name);
        }
        let label = Label { usage_wanted: expected.1.is_some(), ..Label::default() };
        let (mut encoder, mut written) = (Inbound::OpenaiCompletions.encoder(label), Vec::new());
        events.iter().for_each(|event| encoder.event(event, &mut written));
        let again = told(&decode(Dialect::OpenaiCompletions, Framing::Sse, &written, 64));
        assert_eq!((again.text, again.is_complete), (expected.0.text, true), "{}", case.name);
        read += 1;
    }
    println!("{read} streams");
}

#[test]
fn every_recorded_answer_says_what_its_bytes_say() {
    let (mut read, mut errors) = (0, 0);
    for case in completions() {
        let Some(body) = case.body("response.json") else { continue };
        let value: Value = serde_json::from_slice(&body).unwrap();
        if case.status >= 400 {
            assert!(Dialect::OpenaiCompletions.read_error(&body).is_some(), "{}", case.name);
            assert!(Dialect::OpenaiCompletions.read_response(&body).is_err(), "{}", case.name);
            errors += 1;
            continue;
        }
        let response = Dialect::OpenaiCompletions.read_response(&body).unwrap();
        let expected = (naive(std::slice::from_ref(&value)), tokens(&[value]));
        assert_eq!(without_usage(told(&response.events())), expected, "{}", case.name);
        let written = Inbound::OpenaiCompletions.write_response(&response, &Label::default());
        let again = Dialect::OpenaiCompletions.read_response(&written).unwrap();
        assert_eq!(again.parts, response.parts, "{}", case.name);
        read += 1;
    }
    println!("{read} answers, {errors} errors");
}

#[test]
fn every_recorded_request_goes_through_or_is_one_that_a_chat_can_be_asked() {
    let (mut read, mut refused) = (0, 0);
    for case in completions() {
        let Some(body) = case.body("request.json") else { continue };
        let fields = Fields::read(&body).unwrap();
        let value: Value = serde_json::from_slice(&body).unwrap();
        let spliced: Value = serde_json::from_slice(&Inbound::OpenaiCompletions.splice(&fields, "m")).unwrap();
        assert_eq!((&spliced["model"], &spliced["prompt"]), (&Value::from("m"), &value["prompt"]), "{}", case.name);
        match Inbound::OpenaiCompletions.read_request(&fields) {
            Ok(request) => {
                let written = Dialect::OpenaiCompletions.write_request(&request, &mut Vec::new());
                let written: Value = serde_json::from_slice(&written).unwrap();
                let prompt = if value["prompt"].is_array() { &value["prompt"][0] } else { &value["prompt"] };
                assert_eq!(&written["prompt"], prompt, "{}", case.name);
                for name in ["max_tokens", "temperature", "top_p", "seed", "user"] {
                    assert_eq!(written[name], value[name], "{}: {name}", case.name);
                }
                read += 1;
            }
            Err(error) => {
                let is_for_completions_only = value["prompt"].as_array().is_some_and(|prompts| prompts.len() > 1);
                // The other was refused by its server too.
                assert!(is_for_completions_only || case.status >= 400, "{}: {error}", case.name);
                refused += 1;
            }
        }
    }
    println!("{read} requests, {refused} refused");
}
