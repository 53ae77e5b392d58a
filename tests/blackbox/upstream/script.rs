//! The scripted upstream's plan for one request: what it does is chosen by the name of the model.
//!
//! | model | what happens |
//! | --- | --- |
//! | `text` `tools` `thinking` `length` `stop-sequence` `cheap` `bash` `exec-command` | the [`Answer`] of that name, whole or streamed |
//! | `status-N`, `retry-after-N` | an error; the latter a 429 that names the seconds; both may have a name of their own (`retry-after-7-x`) |
//! | `slow-first-byte`, `slow-priced`, `slow-content` | silence before the head; the same; before the first content |
//! | `error-event-first`, `error-event-early` | an error event as first frame; after the opening frame |
//! | `end-first`, `cut-early` | a clean end without a frame; a cut after the opening frame |
//! | `error-event-mid` `reset-after-3` `cut-after-3` `silent-end` | three pieces, and when the test permits it, the fault |
//! | `idle` | three pieces, then silence |
//! | `drip-N` | N pieces, one each 100 ms |
//! | `interleaved-tools`, `sloppy-tools` | only Chat Completions: calls by turns; with empty ids and names |
//! | `malformed` | a reply that is not JSON |
//!
//! Before all of it stands the provider's family, where it has one. Before any of these may stand `bytewise-` (one byte at a time), `crlf-`, `comments-` (SSE comments between the
//! frames) and `late-` (the head waits for the test's permit); before an answer also `gated-` (each piece waits for it)
//! or `paused-` (what follows three pieces does).

use std::time::Duration;

use serde_json::Value;

use super::{Asked, Frame, Provider};
use crate::answer::{AFTER_TOOLS, Answer, Stop};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The whole reply; `length` larger than the body announces more than will come.
    Whole {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
        length: usize,
    },
    StreamHead {
        kind: &'static str,
    },
    Send(Vec<u8>),
    /// Waits until the test permits the next step.
    Gate,
    Pause(Duration),
    /// Silence until the gateway closes the connection.
    Hang,
    /// A TCP reset.
    Reset,
    /// Closes the connection in the middle of the body.
    Cut,
    /// The clean end of a streamed body.
    End,
}

/// What the scripted failures say; a caller is told it where the gateway passes an error on.
pub(crate) const FAILURE: &str = "scripted failure";

pub(crate) fn steps(asked: &Asked, request: &Value) -> Vec<Step> {
    let name = asked.model.as_deref().or(request["model"].as_str()).unwrap_or_default();
    let (_, model) = prefix(name, asked.provider.family());
    let (bytewise, rest) = prefix(model, "bytewise-");
    let (crlf, rest) = prefix(rest, "crlf-");
    let (comments, rest) = prefix(rest, "comments-");
    let (late, model) = prefix(rest, "late-");
    let mut steps = plain_steps(asked, name, model, request);
    if late {
        steps.insert(0, Step::Gate);
    }
    if comments {
        commented(&mut steps);
    }
    for step in &mut steps {
        if let Step::Send(bytes) = step
            && crlf
        {
            *bytes = String::from_utf8_lossy(bytes).replace("\r\n", "\n").replace('\n', "\r\n").into_bytes();
        }
    }
    if bytewise {
        steps = steps.into_iter().flat_map(one_byte_each).collect();
    }
    steps
}

fn plain_steps(asked: &Asked, name: &str, model: &str, request: &Value) -> Vec<Step> {
    let provider = asked.provider;
    let status = model.strip_prefix("status-").and_then(|rest| rest.split('-').next());
    if let Some(status) = status.and_then(|status| status.parse().ok()) {
        return failed(provider, status, FAILURE, Vec::new());
    }
    if let Some(seconds) = model.strip_prefix("retry-after-").and_then(|rest| rest.split('-').next()) {
        return failed(provider, 429, FAILURE, vec![("retry-after", seconds.to_owned())]);
    }
    let (gated, model) = prefix(model, "gated-");
    let (paused, model) = prefix(model, "paused-");
    let answer = answer(provider, model, request);
    match model {
        "slow-first-byte" | "slow-priced" => return vec![Step::Hang],
        "malformed" => {
            return whole(provider, 200, "{\"id\": \"scripted\", <oops".to_owned(), Vec::new());
        }
        _ => {}
    }
    // Ollama streams unless it is told not to.
    let by_default = provider == Provider::Ollama;
    if !asked.stream.or(request["stream"].as_bool()).unwrap_or(by_default) {
        return whole_or_cut(provider, model, provider.whole(&answer, name, request).to_string());
    }
    let frames = provider.frames(&answer, name, request, asked.list);
    let mut steps = vec![Step::StreamHead { kind: provider.stream_type(asked.list) }];
    let opening = &frames[..1];
    let three = || sends(&frames[..=third_content(&frames)]);
    match model {
        "slow-content" => steps.extend(sends(opening).chain([Step::Hang])),
        "error-event-first" => steps.extend([Step::Send(provider.error_frame(FAILURE)), Step::End]),
        "error-event-early" => {
            steps.extend(sends(opening).chain([Step::Send(provider.error_frame(FAILURE)), Step::End]))
        }
        "end-first" => steps.push(Step::End),
        "cut-early" => steps.extend(sends(opening).chain([Step::Cut])),
        "error-event-mid" => {
            steps.extend(three().chain([Step::Gate, Step::Send(provider.error_frame(FAILURE)), Step::End]))
        }
        "reset-after-3" => steps.extend(three().chain([Step::Gate, Step::Reset])),
        "cut-after-3" => steps.extend(three().chain([Step::Gate, Step::Cut])),
        "silent-end" => steps.extend(three().chain([Step::Gate, Step::End])),
        "idle" => steps.extend(three().chain([Step::Hang])),
        model => match model.strip_prefix("drip-").and_then(|count| count.parse().ok()) {
            Some(count) => steps.extend(dripped(&frames, count)),
            None if gated => steps.extend(frames.iter().flat_map(gate).chain([Step::End])),
            None if paused => {
                let (begun, rest) = frames.split_at(third_content(&frames) + 1);
                steps.extend(sends(begun).chain([Step::Gate]).chain(sends(rest)).chain([Step::End]));
            }
            None => steps.extend(sends(&frames).chain([Step::End])),
        },
    }
    steps
}

/// A model given the results of its calls answers with text.
fn answer(provider: Provider, model: &str, request: &Value) -> Answer {
    let answer = Answer::of(model);
    if answer.stop == Stop::Tools && !provider.results(request).is_empty() { AFTER_TOOLS } else { answer }
}

pub(crate) fn failed(
    provider: Provider,
    status: u16,
    message: &str,
    headers: Vec<(&'static str, String)>,
) -> Vec<Step> {
    whole(provider, status, provider.error(status, message).to_string(), headers)
}

pub(crate) fn whole(
    provider: Provider,
    status: u16,
    body: String,
    mut headers: Vec<(&'static str, String)>,
) -> Vec<Step> {
    headers.push((provider.id_header(), "req_scripted1".to_owned()));
    let length = body.len();
    vec![Step::Whole { status, headers, body, length }]
}

fn whole_or_cut(provider: Provider, model: &str, body: String) -> Vec<Step> {
    if model != "cut-early" {
        return whole(provider, 200, body, Vec::new());
    }
    let length = body.len();
    let half = body.chars().take(length / 2).collect();
    vec![Step::Whole { status: 200, headers: Vec::new(), body: half, length }, Step::Cut]
}

fn third_content(frames: &[Frame]) -> usize {
    let contents = frames.iter().enumerate().filter(|(_, frame)| frame.content);
    contents.map(|(at, _)| at).nth(2).expect("every answer has three pieces")
}

fn sends(frames: &[Frame]) -> impl Iterator<Item = Step> {
    frames.iter().map(|frame| Step::Send(frame.bytes.clone()))
}

fn gate(frame: &Frame) -> Vec<Step> {
    let send = Step::Send(frame.bytes.clone());
    if frame.content { vec![Step::Gate, send] } else { vec![send] }
}

/// The stream with its first content repeated `count` times, slowly.
fn dripped(frames: &[Frame], count: usize) -> Vec<Step> {
    let first = frames.iter().position(|frame| frame.content).expect("every answer has content");
    let last = frames.iter().rposition(|frame| frame.content).expect("every answer has content");
    let drip = [Step::Send(frames[first].bytes.clone()), Step::Pause(Duration::from_millis(100))];
    let drips = (0..count).flat_map(|_| drip.clone());
    sends(&frames[..first]).chain(drips).chain(sends(&frames[last + 1..])).chain([Step::End]).collect()
}

fn commented(steps: &mut Vec<Step>) {
    let comment = || Step::Send(b": SCRIPTED PROCESSING\n\n".to_vec());
    *steps = std::mem::take(steps)
        .into_iter()
        .flat_map(|step| if matches!(step, Step::Send(_)) { vec![comment(), step] } else { vec![step] })
        .collect();
}

fn one_byte_each(step: Step) -> Vec<Step> {
    match step {
        Step::Send(bytes) => bytes.into_iter().map(|byte| Step::Send(vec![byte])).collect(),
        step => vec![step],
    }
}

fn prefix<'a>(name: &'a str, prefix: &str) -> (bool, &'a str) {
    match name.strip_prefix(prefix) {
        Some(rest) => (true, rest),
        None => (false, name),
    }
}
