//! The relay alone: however its input is cut into pieces, and wherever it ends.

use tollgate::config::Patience;
use tollgate::dialect::ai_sdk::Version;
use tollgate::dialect::{Inbound, Label};
use tollgate::platform::Platform;
use tollgate::quirks::Reader;
use tollgate::record::End;
use tollgate::relay::{Ends, Relay, Share, Stopped, Write};
use tollgate::seal::Seal;
use tollgate::usage::Rule;
use tollgate::wire::frame::Framing;

use crate::frames;
use crate::script::Wire;

const DIALECTS: [Inbound; 4] = [Inbound::OpenaiChat, Inbound::Anthropic, Inbound::OpenaiResponses, Inbound::Gemini];
/// No upstream speaks the last.
const CALLERS: [Inbound; 5] = {
    let [chat, anthropic, responses, gemini] = DIALECTS;
    [chat, anthropic, responses, gemini, Inbound::AiSdk(Version::V4)]
};
const WORDS: &[&str] =
    &["start", "comment", "ping", "\"Hé\"", "\"llo, \u{1f980}\"", "comment", "stop", "usage", "done"];

/// A stream of `upstream`'s dialect, with either kind of line end.
fn stream(upstream: Inbound, line_end: &str) -> Vec<u8> {
    let mut wire = Wire { dialect: upstream, open: false };
    let text: Vec<u8> = WORDS.iter().flat_map(|word| wire.bytes(word)).collect();
    String::from_utf8(text).unwrap().replace('\n', line_end).into_bytes()
}

fn relay(upstream: Inbound, caller: Inbound, usage_wanted: bool) -> Relay {
    relay_of(Share::Whole, upstream, caller, usage_wanted)
}

fn relay_of(share: Share, upstream: Inbound, caller: Inbound, usage_wanted: bool) -> Relay {
    let label = Label { id: "req_1".into(), created: 1, usage_wanted, ..Label::default() };
    let patience = Patience { first_byte_ms: 1_000, idle_ms: 1_000, total_ms: u64::MAX, heartbeat_ms: 1_000 };
    let (upstream, framing, seal) = (upstream.dialect().unwrap(), Framing::Sse, Seal::default());
    let platform = Platform::Native;
    Relay::of(
        share,
        Ends {
            upstream,
            platform,
            reader: Reader::default(),
            usage: Rule::default(),
            framing,
            caller,
            label,
            seal,
            input_estimate: 1,
            patience,
            until: u64::MAX,
        },
        0,
    )
}

/// Everything that the caller gets of `pieces`.
fn relayed<'a>(relay: &mut Relay, pieces: impl Iterator<Item = &'a [u8]>, stopped: Stopped) -> (Vec<u8>, End) {
    let mut out = Vec::new();
    for piece in pieces {
        match relay.feed(piece, 0) {
            Write::Unchanged => out.extend_from_slice(piece),
            Write::Bytes(bytes) => out.extend_from_slice(&bytes),
            Write::Nothing => {}
        }
    }
    let (tail, end) = relay.end(stopped);
    out.extend_from_slice(&tail);
    (out, end)
}

fn pairs() -> impl Iterator<Item = (Inbound, Inbound)> {
    DIALECTS.into_iter().flat_map(|upstream| CALLERS.map(|caller| (upstream, caller)))
}

/// Where a stream is cut: around every end of a line, where frames end, and at every ninth byte, others for each `shift`.
fn places(stream: &[u8], shift: usize) -> impl Iterator<Item = usize> {
    let is_end = |byte: Option<&u8>| matches!(byte, Some(b'\n' | b'\r'));
    let is_near = move |at: usize| (at.saturating_sub(3)..at + 3).any(|near| is_end(stream.get(near)));
    (0..stream.len()).filter(move |at| (at + shift).is_multiple_of(9) || is_near(*at))
}

#[test]
fn the_caller_gets_the_same_bytes_whatever_the_pieces() {
    for (upstream, caller) in pairs() {
        for line_end in ["\n", "\r\n", "\r"] {
            let stream = stream(upstream, line_end);
            let run = |size| relayed(&mut relay(upstream, caller, true), stream.chunks(size), Stopped::Closed);
            let (whole, end) = run(stream.len());
            assert_eq!(end, End::Complete, "{upstream:?} {caller:?} {line_end:?}");
            assert_eq!(frames::text(caller, &whole), "Héllo, \u{1f980}");
            if upstream == caller {
                assert_eq!(String::from_utf8_lossy(&whole), String::from_utf8_lossy(&stream));
            }
            for size in 1..40 {
                assert_eq!(run(size), (whole.clone(), End::Complete), "{upstream:?} {caller:?} pieces of {size}");
            }
            for at in places(&stream, 0) {
                let (head, tail) = stream.split_at(at);
                let two = relayed(&mut relay(upstream, caller, true), [head, tail].into_iter(), Stopped::Closed);
                assert_eq!(two, (whole.clone(), End::Complete), "{upstream:?} {caller:?} in two at {at}");
            }
        }
    }
}

#[test]
fn what_was_not_asked_for_is_withheld_whatever_the_pieces() {
    let all = String::from_utf8(stream(Inbound::OpenaiChat, "\n")).unwrap();
    let expected: String = all.split_inclusive("\n\n").filter(|frame| !frame.contains("\"choices\":[]")).collect();
    assert_ne!(expected, all);
    for size in 1..=all.len() {
        let mut relay = relay(Inbound::OpenaiChat, Inbound::OpenaiChat, false);
        let (out, _) = relayed(&mut relay, all.as_bytes().chunks(size), Stopped::Closed);
        assert_eq!(String::from_utf8(out).unwrap(), expected, "pieces of {size}");
        let tally = relay.tally();
        assert_eq!((tally.usage.input, tally.usage.output, tally.estimated), (10, 5, false));
    }
}

#[test]
fn an_answer_of_two_parts_is_the_same_whatever_the_pieces() {
    let said = |upstream, words: &[&str]| -> Vec<u8> {
        let mut wire = Wire { dialect: upstream, open: false };
        words.iter().flat_map(|word| wire.bytes(word)).collect()
    };
    let feed = |relay: &mut Relay, piece: &[u8], out: &mut Vec<u8>| match relay.feed(piece, 0) {
        Write::Unchanged => panic!("a part of an answer was passed on as it is"),
        Write::Bytes(bytes) => out.extend_from_slice(&bytes),
        Write::Nothing => {}
    };
    for (upstream, caller) in pairs() {
        for next in DIALECTS {
            let first = said(upstream, &["start", "\"Hé\"", "\"llo, how\""]);
            let rest = said(next, &["start", "\"llo, \"", "\"how are\"", "\" you?\"", "stop", "usage", "done"]);
            let run = |size: usize, held: usize| {
                let mut out = Vec::new();
                let mut beginning = relay_of(Share::Beginning, upstream, caller, true);
                first.chunks(size).for_each(|piece| feed(&mut beginning, piece, &mut out));
                let (left, text) = beginning.left_off(Stopped::Broken);
                out.extend(left);
                assert_eq!(text.as_deref(), Some("Héllo, how"), "{upstream:?}");
                let mut going = relay_of(Share::Rest, next, caller, true);
                let (before, after) = rest.split_at(held);
                before.chunks(size).for_each(|piece| feed(&mut going, piece, &mut out));
                out.extend(going.follow(&mut beginning, 0));
                after.chunks(size).for_each(|piece| feed(&mut going, piece, &mut out));
                let (tail, end) = going.end(Stopped::Closed);
                out.extend(tail);
                (out, end)
            };
            let (whole, end) = run(1_000_000, 0);
            let case = format!("{upstream:?} {next:?} {caller:?}");
            assert_eq!(
                (frames::text(caller, &whole), end),
                ("Héllo, how are you?".to_owned(), End::Complete),
                "{case}"
            );
            assert!(frames::is_complete(caller, &whole), "{case}");
            for size in [1, 2, 3, 5, 7, 11, 64, 97] {
                for held in [0, rest.len() / 3, rest.len()] {
                    assert_eq!(run(size, held), (whole.clone(), End::Complete), "{case} pieces of {size}, {held} held");
                }
            }
        }
    }
}

#[test]
fn a_cut_stream_is_not_complete() {
    for (number, (upstream, caller)) in pairs().enumerate() {
        for line_end in ["\n", "\r\n", "\r"] {
            let stream = stream(upstream, line_end);
            let finish = match upstream {
                // Not every server says `[DONE]`: after the finish reason a clean end of the body is one.
                Inbound::OpenaiChat | Inbound::OpenaiCompletions => "\"finish_reason\":\"stop\"",
                Inbound::Anthropic => "\"type\":\"message_stop\"",
                Inbound::OpenaiResponses => "\"type\":\"response.completed\"",
                Inbound::Gemini => "\"finishReason\":\"STOP\"",
                Inbound::AiSdk(_) => panic!("no upstream"),
            };
            let finish = std::str::from_utf8(&stream).unwrap().find(finish).unwrap();
            for cut in places(&stream, number) {
                for stopped in [Stopped::Closed, Stopped::Broken, Stopped::Idle] {
                    let mut relay = relay(upstream, caller, true);
                    let (out, end) = relayed(&mut relay, stream[..cut].chunks(97), stopped);
                    let case = format!("{upstream:?} {caller:?} {line_end:?} {stopped:?} at {cut}: {out:?}");
                    let over = end == End::Complete;
                    if stopped == Stopped::Closed {
                        assert!(!over || cut > finish, "{case}");
                    } else {
                        // What was a whole frame before the last byte that could have made it longer.
                        assert!(!over || cut + 1 >= stream.len(), "{case}");
                    }
                    assert_eq!(frames::is_complete(caller, &out), over, "{case}");
                    assert_eq!(frames::ends_with_error(caller, &out), !over, "{case}");
                    assert_eq!(relay.tally().estimated, !over || relay.tally().usage.input != 10, "{case}");
                }
            }
        }
    }
}

#[test]
fn a_caller_who_has_hung_up_is_told_nothing() {
    for (upstream, caller) in pairs() {
        let stream = stream(upstream, "\n");
        for cut in places(&stream, 0) {
            let mut relay = relay(upstream, caller, true);
            relay.feed(&stream[..cut], 0);
            assert!(relay.end(Stopped::HungUp).0.is_empty(), "{upstream:?} {caller:?} at {cut}");
        }
    }
}
