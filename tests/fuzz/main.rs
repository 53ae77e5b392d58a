//! Broken, cut and hostile bodies: nothing panics, nothing takes long, and no stream ends that was cut.
//!
//! Bodies are those that the project's own encoders write, and recordings where they lie beside the project; then they
//! are damaged. The seed is always the same here; `scripts/fuzz` goes on with one of its own for as long as it is told.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod damage;
mod seeds;

use std::time::{Duration, Instant};

use serde_json::Value;
use serde_json::value::RawValue;
use tollgate::chat::{Block, Event, Grammar, Media, Request};
use tollgate::config::Patience;
use tollgate::dialect::ai_sdk::Version;
use tollgate::dialect::{Dialect, Inbound, Label};
use tollgate::host::Headers;
use tollgate::media::{Files, Kind, Policy, inlined, place};
use tollgate::platform::{Platform, unwrap};
use tollgate::quirks::Reader;
use tollgate::record::End;
use tollgate::relay::{Ends, Relay, Stopped, Write};
use tollgate::seal::Seal;
use tollgate::usage::Rule;
use tollgate::wire::frame::{Frame, Framing, Splitter};
use tollgate::wire::json::Fields;

use self::damage::Dice;
use self::seeds::{SECRET, requests, streams, wholes, wrapped};

const CALLERS: [Inbound; 6] = [
    Inbound::OpenaiChat,
    Inbound::Anthropic,
    Inbound::OpenaiResponses,
    Inbound::Gemini,
    Inbound::OpenaiCompletions,
    Inbound::AiSdk(Version::V4),
];
const DIALECTS: [Dialect; 8] = [
    Dialect::OpenaiChat,
    Dialect::Anthropic,
    Dialect::OpenaiResponses,
    Dialect::Cohere,
    Dialect::Ollama,
    Dialect::BedrockConverse,
    Dialect::Gemini,
    Dialect::OpenaiCompletions,
];

/// One damaged body may take this long, in a debug build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// Damages `seeds` and gives each to `check`: a fixed number of times, or for as long as the environment says.
fn fuzz<S>(name: &str, rounds: u64, seeds: &[S], body: impl Fn(&S) -> &[u8], check: impl Fn(&S, &[u8], &mut Dice)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("TOLLGATE_FUZZ_SEED").unwrap_or(1);
    let started = Instant::now();
    let until = number("TOLLGATE_FUZZ_SECONDS").map(|seconds| started + Duration::from_secs(seconds));
    let mut round = 0;
    while until.map_or(round < rounds, |until| Instant::now() < until) {
        round += 1;
        let mut dice = Dice::new(seed, round);
        let whole = dice.pick(seeds);
        let other = dice.pick(seeds);
        let damaged = dice.damage(body(whole), body(other));
        let began = Instant::now();
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(whole, &damaged, &mut dice)));
        let took = began.elapsed();
        if checked.is_err() || took > PATIENCE {
            let file = std::env::temp_dir().join(format!("tollgate-fuzz-{name}"));
            std::fs::write(&file, &damaged).unwrap();
            panic!("{name}: round {round} of seed {seed} fails after {took:?}; its input is in {}", file.display());
        }
    }
    println!("{name}: {round} rounds over {} bodies, seed {seed}, {} s", seeds.len(), started.elapsed().as_secs());
}

/// What a decoder says of a stream, up to where it is no stream of its dialect.
#[derive(Debug, PartialEq)]
struct Heard {
    events: Vec<Event>,
    is_malformed: bool,
}

impl Heard {
    fn is_complete(&self) -> bool {
        !self.is_malformed && self.events.last() == Some(&Event::End)
    }

    /// What is said, however it is cut into events.
    fn content(&self) -> String {
        let mut content = String::new();
        for event in &self.events {
            match event {
                Event::Text(text) | Event::Reasoning(text) | Event::Arguments(text) => content += text,
                Event::Open(Block::ToolCall { name, .. }) => content += &format!("<{name}>"),
                _ => {}
            }
        }
        content
    }
}

fn hear(
    dialect: Dialect,
    platform: Platform,
    framing: Framing,
    body: &[u8],
    sizes: &mut impl FnMut() -> usize,
) -> Heard {
    let (mut splitter, mut decoder) = (Splitter::new(framing), dialect.decoder());
    let mut heard = Heard { events: Vec::new(), is_malformed: false };
    let mut each = |raw: &[u8], heard: &mut Heard| {
        if heard.is_malformed {
            return;
        }
        let is_wrapped = platform.wraps(framing);
        let unwrapped = if is_wrapped { unwrap(raw) } else { Some(raw.to_vec()) };
        let framing = if is_wrapped { Framing::Sse } else { framing };
        let frame = unwrapped.as_deref().and_then(|raw| Frame::read(framing, raw));
        let read = frame.map(|frame| decoder.frame(&frame, &mut heard.events));
        heard.is_malformed = !matches!(read, Some(Ok(())));
    };
    let mut rest = body;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(sizes().clamp(1, rest.len()));
        rest = after;
        if splitter.feed(piece, |raw| each(raw, &mut heard)).is_err() {
            heard.is_malformed = true;
        }
    }
    if !splitter.is_empty() {
        each(&splitter.take_rest(), &mut heard);
    }
    if !heard.is_malformed {
        decoder.finish(&mut heard.events);
    }
    heard
}

#[test]
fn a_damaged_stream_is_read_in_order_and_the_same_in_every_piece() {
    fuzz(
        "streams",
        2_500,
        &streams(),
        |seed| &seed.body,
        |seed, body, dice| {
            let dialect = if dice.one_in(8) { *dice.pick(&DIALECTS) } else { seed.dialect };
            let within = seed.dialect == Dialect::Anthropic && seed.framing == Framing::Sse && dice.one_in(3);
            let wrapped = if within { wrapped(body) } else { Vec::new() };
            let (platform, framing, body) = if within {
                (Platform::Bedrock, Framing::EventStream, wrapped.as_slice())
            } else {
                (seed.platform, seed.framing, body)
            };
            let whole = hear(dialect, platform, framing, body, &mut || body.len());
            // What is wrong with the last frame is said while it is read, so its events may stand before that.
            let order = whole.events.iter().try_fold(Grammar::default(), |at, event| at.after(event));
            assert!(order.is_ok(), "out of order: {:?}", whole.events);
            let pieces = hear(dialect, platform, framing, body, &mut || 1 + dice.below(40));
            assert_eq!(whole, pieces);
        },
    );
}

#[test]
fn a_cut_stream_that_ends_has_said_everything() {
    let seeds = streams();
    fuzz(
        "cuts",
        1_500,
        &seeds,
        |seed| &seed.body,
        |seed, _, dice| {
            let whole = hear(seed.dialect, seed.platform, seed.framing, &seed.body, &mut || usize::MAX);
            let cut = &seed.body[..dice.below(seed.body.len())];
            let heard = hear(seed.dialect, seed.platform, seed.framing, cut, &mut || usize::MAX);
            if heard.is_complete() {
                assert_eq!(heard.content(), whole.content(), "cut at {}", cut.len());
            }
        },
    );
}

#[test]
fn a_damaged_stream_is_told_to_callers_as_one_of_their_own() {
    fuzz(
        "relay",
        1_500,
        &streams(),
        |seed| &seed.body,
        |seed, body, dice| {
            let caller = *dice.pick(&CALLERS);
            // Within one dialect the caller gets the upstream's own faults; what we unwrap is still ours to frame.
            let is_own = caller.dialect() == Some(seed.dialect);
            if is_own && !seed.platform.wraps(seed.framing) {
                return;
            }
            let mut relay = Relay::new(
                Ends {
                    upstream: seed.dialect,
                    platform: seed.platform,
                    reader: Reader::default(),
                    usage: Rule::default(),
                    framing: seed.framing,
                    caller,
                    label: Label { id: "req_1".into(), usage_wanted: true, ..Label::default() },
                    seal: Seal::default(),
                    input_estimate: 1,
                    patience: Patience { first_byte_ms: 1, idle_ms: 1, total_ms: u64::MAX, heartbeat_ms: 1 },
                    until: u64::MAX,
                },
                0,
            );
            let (mut out, mut rest) = (Vec::new(), body);
            while !rest.is_empty() {
                let (piece, after) = rest.split_at((1 + dice.below(2_000)).min(rest.len()));
                rest = after;
                match relay.feed(piece, 0) {
                    Write::Unchanged => out.extend_from_slice(piece),
                    Write::Bytes(bytes) => out.extend_from_slice(&bytes),
                    Write::Nothing => {}
                }
            }
            let (tail, end) = relay.end(Stopped::Closed);
            out.extend_from_slice(&tail);
            let said = String::from_utf8_lossy(&out);
            let Some(dialect) = caller.dialect() else { return parts_are_whole(&said, end) };
            let heard = hear(dialect, Platform::Native, Framing::Sse, &out, &mut || usize::MAX);
            if is_own {
                return assert!(out.is_empty() || out.ends_with(b"\n\n"), "{end:?}, told as {said}");
            }
            assert!(!heard.is_malformed, "{caller:?} is told what it cannot read: {said}");
            // A model that failed by its own word is told to callers of Responses as a failure.
            let failed = heard.events.iter().any(|event| matches!(event, Event::Error { .. }));
            assert!(heard.is_complete() == (end == End::Complete) || failed, "{end:?}, told to {caller:?} as {said}");
        },
    );
}

/// A stream to the AI SDK, which no decoder reads: JSON to the last, and an end only where there was one.
fn parts_are_whole(said: &str, end: End) {
    let frames = said.split_terminator("\n\n").map(|frame| frame.strip_prefix("data: ").unwrap());
    let kinds: Vec<Value> = frames.map(|data| serde_json::from_str::<Value>(data).unwrap()["type"].take()).collect();
    assert_eq!(kinds.last().is_some_and(|kind| kind == "finish"), end == End::Complete, "{said}");
    assert_eq!(kinds.contains(&"error".into()), end != End::Complete, "{said}");
}

#[test]
fn a_damaged_answer_is_read_as_one_or_refused() {
    fuzz(
        "answers",
        2_500,
        &wholes(),
        |seed| &seed.body,
        |seed, body, dice| {
            let dialect = if dice.one_in(8) { *dice.pick(&DIALECTS) } else { seed.dialect };
            let _ = dialect.read_error(body);
            let Ok(response) = dialect.read_response(body) else { return };
            let caller = *dice.pick(&CALLERS);
            let written = caller.write_response(&response, &Label::default());
            assert!(is_json(&written), "{}", String::from_utf8_lossy(&written));
        },
    );
}

#[test]
fn a_damaged_request_is_read_as_one_or_refused_without_a_word_of_it() {
    fuzz(
        "requests",
        2_500,
        &requests(),
        |seed| &seed.body,
        |seed, body, dice| {
            let Ok(fields) = Fields::read(body) else { return };
            let caller = if dice.one_in(8) { *dice.pick(&CALLERS) } else { seed.caller };
            let spliced = caller.splice(&fields, "other");
            assert!(is_json(&spliced));
            dressed(&spliced, dice);
            let _ = (caller.output_asked(&fields), caller.usage_wanted(&fields), caller.read_count(&fields));
            match caller.read_request(&fields) {
                Ok(request) => {
                    told_to_all(&request);
                    files_are_the_same_in_the_body(caller, &fields, body, request);
                }
                Err(error) => assert!(!error.message.contains(SECRET), "{}", error.message),
            }
        },
    );
}

/// What a cloud is sent of it is an object that names its version, once.
fn dressed(body: &[u8], dice: &mut Dice) {
    let platform = *dice.pick(&[Platform::Bedrock, Platform::Vertex]);
    let betas = *dice.pick(&["", ",", "context-1m-2025-08-07", "a,,\"b\",effort-2025-11-24"]);
    let mut headers = Headers::from_iter([("anthropic-version", "2023-06-01"), ("anthropic-beta", betas)]);
    let dressed = platform.dress(body.to_vec(), &mut headers, &mut Vec::new());
    let fields = Fields::read(&dressed).unwrap();
    let named = fields.get::<String>("anthropic_version").unwrap();
    assert!(named.is_some_and(|name| name.starts_with("bedrock-") || name.starts_with("vertex-")));
    assert!(fields.raw("model").is_none() && headers.get("anthropic-version").is_none());
}

/// Of any size: numbers that no float can hold are JSON.
fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(bytes).is_ok()
}

/// An image put into the caller's own bytes is what it is when it is put into what was read of them.
fn files_are_the_same_in_the_body(caller: Inbound, fields: &Fields<'_>, body: &[u8], mut request: Request) {
    let images = |kind| kind == Kind::Image;
    let mut files = Files::default();
    let Err(links) = files.put(&mut request, &images) else { return };
    for link in links {
        let _ = (Policy::default().permit(&link.url), place(fields, &link.url));
        files.keep(link, Media::Inline { media_type: "image/png".into(), data: "AAAA".into() });
    }
    let count = files.put(&mut request, &images).unwrap();
    if let Some(told) = inlined(caller, fields, body, &files, count) {
        let told = Fields::read(&told).unwrap();
        assert_eq!(caller.read_request(&told).unwrap().messages, request.messages);
    }
}

fn told_to_all(request: &Request) {
    for dialect in DIALECTS {
        let body = dialect.write_request(request, &mut Vec::new());
        assert!(is_json(&body), "{dialect:?}: {}", String::from_utf8_lossy(&body));
    }
}
