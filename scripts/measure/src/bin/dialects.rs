//! How fast streams go through a relay, on one core: `dialects [PART]`, where PART leaves out the dialects in whose name
//! it does not stand.
//!
//! Each stream is made here, long and in small pieces as models send them, and goes through in chunks of 16 KB. Beside it
//! the same chunks are copied and nothing more. Prints figures and judges nothing.

use std::time::Instant;

use tollgate::chat::{Block, Event, Stop, Usage};
use tollgate::config::Patience;
use tollgate::dialect::{Dialect, Inbound, Label};
use tollgate::platform::Platform;
use tollgate::quirks::Reader;
use tollgate::record::End;
use tollgate::relay::{Ends, Relay, Stopped, Write};
use tollgate::seal::Seal;
use tollgate::wire::frame::Framing;

const CHUNK_BYTES: usize = 16 * 1024;
const DELTAS: usize = 60_000;
/// The best of so many rounds: the machine's other work only ever makes one slower.
const ROUNDS: usize = 7;

fn main() {
    let part = std::env::args().nth(1).unwrap_or_default();
    println!("MB of the upstream's bytes a second, on one core: the best of {ROUNDS} rounds (ratio to a copy)\n");
    println!(
        "{:<18} {:>8} {:>12} {:>18} {:>18} {:>18}",
        "", "MB", "copy", "same dialect", "to openai-chat", "to anthropic"
    );
    for (name, dialect, framing, body) in streams().into_iter().filter(|(name, ..)| name.contains(&part)) {
        let copy = best(&body, || {
            let mut out = Vec::new();
            for chunk in body.chunks(CHUNK_BYTES) {
                out = chunk.to_vec();
                std::hint::black_box(&out);
            }
            out
        });
        print!("{name:<18} {:>8.1} {copy:>12.0}", body.len() as f64 / 1e6);
        let own = CALLERS.into_iter().find(|caller| caller.dialect() == Some(dialect));
        for caller in [own, Some(Inbound::OpenaiChat), Some(Inbound::Anthropic)] {
            match caller {
                Some(caller) => {
                    let speed = best(&body, || relayed(dialect, framing, caller, &body));
                    print!(" {:>18}", format!("{speed:.0} ({:.3})", speed / copy));
                }
                None => print!(" {:>18}", "-"),
            }
        }
        println!();
    }
}

const CALLERS: [Inbound; 5] =
    [Inbound::OpenaiChat, Inbound::Anthropic, Inbound::OpenaiResponses, Inbound::Gemini, Inbound::OpenaiCompletions];

/// Megabytes a second.
fn best<T>(body: &[u8], work: impl Fn() -> T) -> f64 {
    let round = |_| {
        let began = Instant::now();
        std::hint::black_box(work());
        body.len() as f64 / 1e6 / began.elapsed().as_secs_f64()
    };
    (0..ROUNDS).map(round).fold(0.0, f64::max)
}

/// How many bytes the caller gets.
fn relayed(upstream: Dialect, framing: Framing, caller: Inbound, body: &[u8]) -> usize {
    let label = Label { id: "req_1".to_owned(), usage_wanted: true, ..Label::default() };
    let patience = Patience { first_byte_ms: 1, idle_ms: 1, total_ms: u64::MAX, heartbeat_ms: 1 };
    let (platform, seal) = (Platform::Native, Seal::default());
    let mut relay = Relay::new(
        Ends {
            upstream,
            platform,
            reader: Reader::default(),
            framing,
            caller,
            label,
            seal,
            input_estimate: 1,
            patience,
            until: u64::MAX,
        },
        0,
    );
    let mut length = 0;
    for chunk in body.chunks(CHUNK_BYTES) {
        length += match relay.feed(chunk, 0) {
            Write::Unchanged => chunk.len(),
            Write::Bytes(bytes) => std::hint::black_box(bytes).len(),
            Write::Nothing => 0,
        };
    }
    let (tail, end) = relay.end(Stopped::Closed);
    assert_eq!(end, End::Complete, "the stream was not understood");
    length + tail.len()
}

fn streams() -> Vec<(&'static str, Dialect, Framing, Vec<u8>)> {
    let own = [
        ("openai-chat", Inbound::OpenaiChat),
        ("anthropic", Inbound::Anthropic),
        ("openai-responses", Inbound::OpenaiResponses),
        ("gemini", Inbound::Gemini),
        ("openai-completions", Inbound::OpenaiCompletions),
    ];
    let mut streams: Vec<_> = own
        .into_iter()
        .filter_map(|(name, caller)| Some((name, caller.dialect()?, Framing::Sse, told(caller))))
        .collect();
    let mut cohere = "data: {\"type\":\"message-start\",\"id\":\"a\",\"delta\":{\"message\":{\"role\":\"assistant\"}}}\n\n\
        data: {\"type\":\"content-start\",\"index\":0,\"delta\":{\"message\":{\"content\":{\"type\":\"text\",\"text\":\"\"}}}}\n\n"
        .to_owned();
    let mut ollama = String::new();
    for at in 0..DELTAS {
        let word = word(at);
        cohere += &format!(
            "data: {{\"type\":\"content-delta\",\"index\":0,\"delta\":{{\"message\":{{\"content\":{{\"text\":\"{word}\"}}}}}}}}\n\n"
        );
        ollama += &format!(
            "{{\"model\":\"m\",\"created_at\":\"2026-01-01T00:00:00Z\",\"message\":{{\"role\":\"assistant\",\"content\":\"{word}\"}},\"done\":false}}\n"
        );
    }
    cohere += "data: {\"type\":\"content-end\",\"index\":0}\n\n\
        data: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"COMPLETE\",\"usage\":{\"tokens\":{\"input_tokens\":3,\"output_tokens\":4}}}}\n\n";
    ollama += "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\",\"eval_count\":4}\n";
    streams.push(("cohere", Dialect::Cohere, Framing::Sse, cohere.into_bytes()));
    streams.push(("ollama", Dialect::Ollama, Framing::Lines, ollama.into_bytes()));
    streams.push(("bedrock-converse", Dialect::BedrockConverse, Framing::EventStream, converse()));
    streams
}

fn converse() -> Vec<u8> {
    let mut out = frame("messageStart", r#"{"role":"assistant"}"#);
    for at in 0..DELTAS {
        let delta = format!(r#"{{"contentBlockIndex":0,"delta":{{"text":"{}"}},"p":"abcdefghijklmno"}}"#, word(at));
        out.extend(frame("contentBlockDelta", &delta));
    }
    out.extend(frame("contentBlockStop", r#"{"contentBlockIndex":0}"#));
    out.extend(frame("messageStop", r#"{"stopReason":"end_turn"}"#));
    out.extend(frame("metadata", r#"{"usage":{"inputTokens":3,"outputTokens":4,"totalTokens":7}}"#));
    out
}

/// A frame as Amazon's servers write it.
fn frame(event: &str, payload: &str) -> Vec<u8> {
    let sum = |bytes: &[u8]| {
        let mut sum = flate2::Crc::new();
        sum.update(bytes);
        sum.sum().to_be_bytes()
    };
    let mut headers = Vec::new();
    for (name, value) in [(":event-type", event), (":content-type", "application/json"), (":message-type", "event")] {
        headers.push(name.len() as u8);
        headers.extend(name.bytes());
        headers.push(7);
        headers.extend((value.len() as u16).to_be_bytes());
        headers.extend(value.bytes());
    }
    let mut frame = ((16 + headers.len() + payload.len()) as u32).to_be_bytes().to_vec();
    frame.extend((headers.len() as u32).to_be_bytes());
    frame.extend(sum(&frame));
    frame.extend(headers);
    frame.extend(payload.bytes());
    frame.extend(sum(&frame));
    frame
}

fn told(caller: Inbound) -> Vec<u8> {
    let label = Label { id: "req_1".to_owned(), usage_wanted: true, ..Label::default() };
    let (mut encoder, mut out) = (caller.encoder(label), Vec::new());
    let mut tell = |event| encoder.event(&event, &mut out);
    tell(Event::Start { id: "answer_1".to_owned(), model: "model-1".to_owned() });
    tell(Event::Open(Block::Text));
    (0..DELTAS).for_each(|at| tell(Event::Text(word(at).to_owned())));
    tell(Event::Close);
    tell(Event::Stop(Stop::default()));
    tell(Event::Usage(Usage { input: 10, output: 5, ..Usage::default() }));
    tell(Event::End);
    out
}

/// A token or two, as models say them.
fn word(at: usize) -> &'static str {
    [" the", " gateway", " is", " caf\u{e9}", ",", " and", " it counts", " tokens"][at % 8]
}
