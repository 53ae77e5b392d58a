//! Recorded conversations of several turns: what the recorded client gave back of an answer, in its next request, reaches
//! the provider as well through callers of every dialect.
//!
//! An answer is told to a client of each dialect, whole and streamed. What such a client gives back of it (`client.rs`) is
//! read, opened and written for the provider as the gateway does it, and held against the same turn of the request that
//! the provider was really sent (`turn.rs`). Neither reading knows the other's code.

mod client;
mod turn;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tollgate::chat::{Content, Event};
use tollgate::dialect::{Dialect, Inbound};
use tollgate::wire::frame::Framing;
use tollgate::wire::json::Fields;

use self::turn::{Turn, turns};
use crate::cases::{Case, Faults};
use crate::pairs::{
    APIS, CALLERS, Recorded, SEAL, caller_of, opaque, recorded, relayed, told_whole, told_whole_as_stream,
};

/// An answer, and what a later request of the same recording says of it.
struct Sequence<'a> {
    answer: &'a Recorded,
    next: Value,
    /// The one that repeats the answer.
    turn: Turn,
}

/// What does not hold of a recorded turn by way of a caller's clients, and why it need not.
const EXCEPTIONS: &[(&str, Option<Inbound>, &str)] = &[
    (
        "openai-responses/pydantic-ai__test-openai-responses-test-openai-responses-phase-streamed-on-part-start__01",
        None,
        "the recording has other quotation marks in the request than in the answer that it repeats",
    ),
    (
        "anthropic-messages/ruby-llm__chat-citations-with-anthropic-claude-haiku-4-5-cites-tool-results-returned-3c3a3bb1__01",
        Some(Inbound::Anthropic),
        "a search result inside a tool's result is told as text, with its title and address; its own callers' bytes stay",
    ),
];

#[test]
fn what_a_recorded_client_gave_back_reaches_the_provider_through_every_caller() {
    let mut faults = Faults::default();
    let (mut found, mut any) = (BTreeMap::<&str, (usize, usize)>::new(), false);
    for (api, dialect) in APIS {
        // Completions have no turns, and Bedrock's other bodies are counted with those of their dialect.
        if *dialect == Dialect::OpenaiCompletions {
            continue;
        }
        let all = recorded(api, *dialect);
        any |= !all.is_empty();
        for sequence in sequences(&all) {
            let counts = found.entry(api).or_default();
            counts.0 += 1;
            counts.1 += usize::from(!sequence.turn.calls.is_empty());
            for caller in CALLERS {
                if Some(caller) == caller_of(*dialect) {
                    again(&sequence, caller, &mut faults);
                    continue;
                }
                for streams in [false, true] {
                    check(&sequence, caller, streams, &mut faults);
                }
            }
        }
    }
    for (api, (sequences, with_tools)) in &found {
        println!("{api}: {sequences} answers given back, {with_tools} of them with tool calls");
    }
    faults.report();
    let apis = APIS.iter().filter(|(_, dialect)| any && *dialect != Dialect::OpenaiCompletions);
    for (api, _) in apis {
        assert!(found.get(api).is_some_and(|(_, with_tools)| *with_tools > 0), "no sequence of {api} was found");
    }
}

/// Every answer that a later request of its recording repeats.
fn sequences(all: &[Recorded]) -> Vec<Sequence<'_>> {
    let place = |case: &Case| {
        let meta: Value = serde_json::from_slice(&case.body("meta.json")?).ok()?;
        let sequence = meta.get("sequence")?;
        Some((meta["dialect"].clone(), sequence["recording"].clone(), sequence["index"].as_u64()?))
    };
    let placed: Vec<_> = all.iter().filter_map(|one| Some((place(&one.case)?, one))).collect();
    let mut sequences = Vec::new();
    for ((vendor, recording, index), answer) in &placed {
        if !answer.events.contains(&Event::End) {
            continue;
        }
        let mut later: Vec<_> = placed
            .iter()
            .filter(|((of, again, after), _)| of == vendor && again == recording && after > index)
            .collect();
        later.sort_by_key(|((_, _, after), _)| *after);
        let repeats = later.into_iter().find_map(|(_, next)| {
            let next: Value = serde_json::from_slice(&next.case.body("request.json")?).ok()?;
            let turn = turns(answer.dialect, &next).into_iter().find(|turn| is_of(turn, answer))?;
            Some(Sequence { answer, next, turn })
        });
        sequences.extend(repeats);
    }
    sequences
}

/// Whether a turn repeats an answer: its calls, or its text where it has none.
fn is_of(turn: &Turn, answer: &Recorded) -> bool {
    let response = answer.response();
    let (mut text, mut calls) = (String::new(), Vec::new());
    for part in &response.parts {
        match &part.content {
            Content::Text(piece) => text += piece,
            Content::ToolCall(call) => {
                let arguments = serde_json::from_str(&call.arguments).ok().filter(|value: &Value| !value.is_null());
                let arguments = arguments.unwrap_or_else(|| json!({}));
                calls.push((call.id.clone(), call.name.clone(), arguments));
            }
            _ => {}
        }
    }
    if calls.is_empty() {
        return turn.calls.is_empty() && !text.trim().is_empty() && turn.text.trim() == text.trim();
    }
    // Where the dialect has no ids, or the client had none of them, name and arguments tell.
    calls.len() == turn.calls.len()
        && calls.iter().zip(&turn.calls).all(|((id, name, arguments), (known, own_name, own))| {
            known.as_ref().is_none_or(|known| known == id) && name == own_name && arguments == own
        })
}

/// What of a turn's reasoning a client of `caller` brings back, its texts and its proofs: those who drop reasoning bring what
/// is before their last call.
fn owed(sequence: &Sequence<'_>, caller: Inbound) -> (Vec<String>, Vec<String>) {
    let answer = sequence.answer;
    let parts = answer.response().parts;
    let last_call = parts.iter().rposition(|part| matches!(part.content, Content::ToolCall(_)));
    let wants = wants_thoughts(&model(answer)) && caller.keeps_reasoning() && caller.dialect() != Some(answer.dialect);
    let (mut thoughts, mut proofs) = (Vec::new(), Vec::new());
    for (at, part) in parts.iter().enumerate() {
        match &part.content {
            Content::ToolCall(call) => proofs.extend(call.signature.clone()),
            Content::Reasoning { text, signature: None } if wants => thoughts.push(bare(text)),
            _ if !caller.keeps_reasoning() && last_call.is_none_or(|last_call| at > last_call) => {}
            Content::Reasoning { text, signature: Some(proof) } => {
                thoughts.push(bare(text));
                proofs.extend(opaque(proof));
            }
            Content::SealedReasoning(proof) => proofs.extend(opaque(proof)),
            _ => {}
        }
    }
    let turn = &sequence.turn;
    if caller.dialect() == Some(answer.dialect) && turn.proofs.is_empty() {
        // The recorded client has left out what proves them.
        thoughts.clear();
    }
    let thoughts = turn.thoughts.iter().filter(|text| thoughts.contains(&bare(text))).cloned().collect();
    // What a recorder wrote over a signature of Gemini is no base64, as all are.
    let is_base64 = |proof: &&String| answer.dialect != Dialect::Gemini || !proof.contains("REDACTED");
    (thoughts, turn.proofs.iter().filter(|proof| proofs.contains(proof)).filter(is_base64).cloned().collect())
}

/// Whether a model of Chat Completions wants what it thought although nothing proves it.
///
/// Sources: "Thinking mode", DeepSeek API documentation; "Thinking models", Moonshot AI documentation; "Thinking mode", Z.ai
/// documentation; read 2026-11.
fn wants_thoughts(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or_default();
    ["deepseek-", "kimi-k", "glm-"].iter().any(|start| name.starts_with(start))
}

/// Without the space between paragraphs, which dialects have in different ways.
fn bare(text: &str) -> String {
    text.split_whitespace().collect()
}

/// Tells the answer to a client of `caller`, and holds what that gives back against the recorded turn.
fn check(sequence: &Sequence<'_>, caller: Inbound, streams: bool, faults: &mut Faults) {
    let answer = sequence.answer;
    let case = &answer.case;
    let to = format!("by {caller:?}, {}", if streams { "streamed" } else { "whole" });
    let message = if streams {
        let bytes = match answer.framing {
            Some(from) => relayed(answer, from, caller, Framing::Sse, &[answer.body.len()]).0,
            None => told_whole_as_stream(answer, caller, Framing::Sse),
        };
        client::collected(caller, &String::from_utf8(bytes).unwrap())
    } else {
        serde_json::from_slice(&told_whole(answer, caller)).unwrap()
    };
    let body = client::next_request(caller, &message, &sequence.turn.results);
    let body = serde_json::to_vec(&body).unwrap();
    let mut read = match caller.read_request(&Fields::read(&body).unwrap()) {
        Ok(read) => read,
        Err(error) => return faults.check(case, false, || format!("{to}: {error}")),
    };
    read.model = model(answer);
    read.tools.clone_from(&answer.request.tools);
    read.reasoning.clone_from(&answer.request.reasoning);
    SEAL.open_request(&mut read, caller, answer.dialect, &mut Vec::new());
    let written = answer.dialect.write_request(&read, &mut Vec::new());
    let written: Value = serde_json::from_slice(&written).unwrap();
    let found = turns(answer.dialect, &written);
    faults.check(case, found.len() == 1, || format!("{to}: {} turns in {written}", found.len()));
    if let [found] = found.as_slice() {
        compare(sequence, caller, found, &to, faults);
    }
}

/// The recorded request itself, by the provider's own callers, through the canonical form.
fn again(sequence: &Sequence<'_>, caller: Inbound, faults: &mut Faults) {
    let case = &sequence.answer.case;
    let body = serde_json::to_vec(&sequence.next).unwrap();
    let fields = Fields::read(&body).unwrap();
    // Clouds and Gemini name it elsewhere.
    let body = if fields.raw("model").is_some() { body.clone() } else { fields.with(&[("model", "\"m\"")]) };
    let Ok(mut read) = caller.read_request(&Fields::read(&body).unwrap()) else { return };
    SEAL.open_request(&mut read, caller, sequence.answer.dialect, &mut Vec::new());
    let written = sequence.answer.dialect.write_request(&read, &mut Vec::new());
    let found = turns(sequence.answer.dialect, &serde_json::from_slice(&written).unwrap());
    let Some(found) = found.iter().find(|turn| is_of(turn, sequence.answer)) else {
        return faults.check(case, false, || format!("by its own caller: not one of {found:?}"));
    };
    compare(sequence, caller, found, "by its own caller", faults);
}

fn compare(sequence: &Sequence<'_>, caller: Inbound, found: &Turn, to: &str, faults: &mut Faults) {
    let (case, turn) = (&sequence.answer.case, &sequence.turn);
    if is_excepted(case, caller) {
        return;
    }
    // Where one of the two has no ids, order and name tell.
    let same_id = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
    let calls = found.calls.len() == turn.calls.len()
        && found.calls.iter().zip(&turn.calls).all(|(a, b)| same_id(&a.0, &b.0) && a.1 == b.1 && a.2 == b.2);
    faults.check(case, calls, || format!("{to}: calls {:?} instead of {:?}", found.calls, turn.calls));
    // A client may leave the text before a call out, as some recorded ones did.
    let text = turn.text.trim().is_empty() || found.text.trim() == turn.text.trim();
    faults.check(case, text, || format!("{to}: text {:?} instead of {:?}", found.text, turn.text));
    let (thoughts, proofs) = owed(sequence, caller);
    for proof in proofs {
        faults.check(case, found.proofs.contains(&proof), || format!("{to}: {proof:?} is not in {:?}", found.proofs));
    }
    for thought in thoughts {
        let has = found.thoughts.iter().any(|text| bare(text) == bare(&thought));
        faults.check(case, has, || format!("{to}: {thought:?} is not in {:?}", found.thoughts));
    }
    let results = found.results.len() == turn.results.len()
        && found.results.iter().zip(&turn.results).all(|(a, b)| same_id(&a.call, &b.call) && a.text == b.text);
    faults.check(case, results, || format!("{to}: results {:?} instead of {:?}", found.results, turn.results));
}

fn is_excepted(case: &Case, caller: Inbound) -> bool {
    EXCEPTIONS.iter().any(|(name, of, _)| case.name == *name && of.is_none_or(|of| of == caller))
}

/// As the provider knows it: models differ in what they take back.
fn model(answer: &Recorded) -> String {
    let meta: Value = serde_json::from_slice(&answer.case.body("meta.json").unwrap()).unwrap();
    let asked = Some(answer.request.model.clone()).filter(|model| !model.is_empty());
    asked.or_else(|| meta["model"].as_str().map(str::to_owned)).unwrap_or_else(|| "m".to_owned())
}
