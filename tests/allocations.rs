//! What a piece of a stream costs in allocations: a bounded number, however long the stream is.

use tollgate::chat::{Block, Event, Stop, Usage};
use tollgate::config::Patience;
use tollgate::dialect::{Dialect, Inbound, Label};
use tollgate::platform::Platform;
use tollgate::quirks::Reader;
use tollgate::record::End;
use tollgate::relay::{Ends, Relay, Stopped};
use tollgate::seal::Seal;
use tollgate::usage::Rule;
use tollgate::wire::frame::Framing;

const DIALECTS: [(Dialect, Inbound); 4] = [
    (Dialect::OpenaiChat, Inbound::OpenaiChat),
    (Dialect::Anthropic, Inbound::Anthropic),
    (Dialect::OpenaiResponses, Inbound::OpenaiResponses),
    (Dialect::Gemini, Inbound::Gemini),
];
const CHUNK_BYTES: usize = 16 * 1024;

/// Of one piece of text within one dialect: its text, and what its frame is read with.
const TAPPED_MAX: u64 = 4;
/// And where it is written for another dialect.
const TRANSLATED_MAX: u64 = 10;

fn label() -> Label {
    Label { id: "req_1".to_owned(), usage_wanted: true, ..Label::default() }
}

/// A stream of so many pieces.
fn stream(caller: Inbound, pieces: u64) -> Vec<u8> {
    let (mut encoder, mut out) = (caller.encoder(label()), Vec::new());
    let mut tell = |event| encoder.event(&event, &mut out);
    tell(Event::Start { id: "answer_1".to_owned(), model: "model-1".to_owned() });
    tell(Event::Open(Block::Text));
    (0..pieces).for_each(|_| tell(Event::Text(" word".to_owned())));
    tell(Event::Close);
    tell(Event::Stop(Stop::default()));
    tell(Event::Usage(Usage { input: 10, output: 5, ..Usage::default() }));
    tell(Event::End);
    out
}

fn allocations((upstream, teller): (Dialect, Inbound), caller: Inbound, pieces: u64) -> u64 {
    let body = stream(teller, pieces);
    let patience = Patience { first_byte_ms: 1, idle_ms: 1, total_ms: u64::MAX, heartbeat_ms: 1 };
    let info = allocation_counter::measure(|| {
        let ends = Ends {
            upstream,
            platform: Platform::Native,
            reader: Reader::default(),
            usage: Rule::default(),
            framing: Framing::Sse,
            caller,
            label: label(),
            seal: Seal::default(),
            input_estimate: 1,
            patience,
            until: u64::MAX,
        };
        let mut relay = Relay::new(ends, 0);
        for chunk in body.chunks(CHUNK_BYTES) {
            std::hint::black_box(relay.feed(chunk, 0));
        }
        assert_eq!(relay.end(Stopped::Closed).1, End::Complete);
    });
    info.count_total
}

#[test]
fn a_piece_costs_a_bounded_number_of_allocations() {
    for upstream in DIALECTS {
        for (dialect, caller) in DIALECTS {
            let (some, more) = (2_000, 6_000);
            let each = (allocations(upstream, caller, more) - allocations(upstream, caller, some)) as f64
                / (more - some) as f64;
            let most = if upstream.0 == dialect { TAPPED_MAX } else { TRANSLATED_MAX };
            println!("{:?} to {caller:?}: {each:.2} allocations a piece", upstream.0);
            assert!(each <= most as f64, "{:?} to {caller:?}: {each} of {most}", upstream.0);
        }
    }
}
