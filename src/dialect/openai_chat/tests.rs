//! Cases as data. Streams are told in a short notation, one word per event, see [`word`].

use serde_json::{Value, json};

use super::*;
use crate::chat::{Block, Content, Effort, Event, Format, Grammar, Json, Media, Message, Part, Role, ToolCall};
use crate::chat::{Request, Response, Stop, StopReason, Tool, ToolChoice, Usage};
use crate::dialect::{Decode, Dialect, Encode, Label, Malformed};
use crate::error::Kind;
use crate::usage::Rule;
use crate::wire::frame::{Frame, Framing, Splitter};
use crate::wire::json::Fields;

// Streams, read.

fn word(event: &Event) -> String {
    match event {
        Event::Start { id, model } => format!("start({id},{model})"),
        Event::Open(Block::Text) => "text".to_owned(),
        Event::Open(Block::Reasoning) => "reasoning".to_owned(),
        Event::Open(Block::SealedReasoning(sealed)) => format!("sealed({sealed})"),
        Event::Open(Block::ToolCall { id, name, .. }) => format!("call({id},{name})"),
        Event::Text(text) | Event::Reasoning(text) | Event::Arguments(text) => format!("'{text}'"),
        Event::Signature(signature) => format!("signature({signature})"),
        Event::Close => ".".to_owned(),
        Event::Stop(Stop { reason, native, .. }) => format!("stop({reason:?},{})", native.as_deref().unwrap_or("-")),
        Event::Usage(usage) => format!(
            "usage({},{},{},{},{})",
            usage.input, usage.cached_input, usage.cache_write, usage.output, usage.reasoning
        ),
        Event::Ping => "ping".to_owned(),
        Event::Error { kind, message } => format!("error({},{message})", kind.as_deref().unwrap_or("-")),
        Event::End => "end".to_owned(),
    }
}

fn words(events: &[Event]) -> String {
    events.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn decode(frames: &[&str]) -> Result<Vec<Event>, Malformed> {
    let (mut decoder, mut events) = (Decoder::default(), Vec::new());
    for frame in frames {
        let raw = format!("data: {frame}\n\n");
        decoder.frame(&Frame::read(Framing::Sse, raw.as_bytes()).unwrap(), &mut events)?;
    }
    decoder.finish(&mut events);
    let order = events.iter().try_fold(Grammar::default(), |at, event| at.after(event));
    assert!(order.is_ok(), "out of order: {}", words(&events));
    Ok(events)
}

/// A chunk that adds `delta`.
fn delta(delta: &Value) -> String {
    json!({"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": null}]}).to_string()
}

/// A chunk that ends the answer.
fn finish(reason: &str) -> String {
    json!({"id": "c1", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}).to_string()
}

/// The deltas, a finish reason and `[DONE]`, and what they tell between start and stop.
#[track_caller]
fn check(deltas: &[Value], expected: &str) {
    let mut frames: Vec<String> = deltas.iter().map(delta).collect();
    frames.extend([finish("stop"), "[DONE]".to_owned()]);
    let events = decode(&frames.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    let told = words(&events);
    let told = told.strip_prefix("start(c1,m) ").unwrap();
    let (told, _) = told.rsplit_once("stop(").unwrap();
    assert_eq!(told.trim(), expected);
}

#[track_caller]
fn check_frames(frames: &[&str], expected: &str) {
    assert_eq!(words(&decode(frames).unwrap()), expected, "{frames:#?}");
}

fn call(index: u64, id: &str, name: &str, arguments: &str) -> Value {
    json!({"tool_calls": [{"index": index, "id": id, "type": "function",
        "function": {"name": name, "arguments": arguments}}]})
}

fn arguments(index: u64, arguments: &str) -> Value {
    json!({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]})
}

#[test]
fn text_is_told_as_it_comes() {
    check(&[json!({"role": "assistant", "content": ""})], "");
    check(
        &[json!({"role": "assistant"}), json!({"content": "He"}), json!({"content": "y \u{1f980}"})],
        "text 'He' 'y \u{1f980}' .",
    );
    check(&[json!({"content": null, "refusal": null, "tool_calls": null, "reasoning": null})], "");
    check(&[json!({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]})], "text 'a' 'b' .");
    check(&[json!({"content": "a\nb \"c\""})], "text 'a\nb \"c\"' .");
}

#[test]
fn a_refusal_is_text_and_a_filtered_end() {
    let frames = [delta(&json!({"refusal": "I can't."})), finish("stop"), "[DONE]".to_owned()];
    let frames: Vec<&str> = frames.iter().map(String::as_str).collect();
    check_frames(&frames, "start(c1,m) text 'I can't.' . stop(Filtered,stop) end");
}

#[test]
fn reasoning_is_read_under_each_of_its_names() {
    check(
        &[json!({"reasoning_content": "a"}), json!({"reasoning_content": "b"}), json!({"content": "c"})],
        "reasoning 'a' 'b' . text 'c' .",
    );
    check(&[json!({"reasoning": "a", "reasoning_content": null})], "reasoning 'a' .");
    // Both names carry the same.
    check(&[json!({"reasoning": "a", "reasoning_content": "a"})], "reasoning 'a' .");
    check(
        &[
            json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "a"}]}]}),
            json!({"content": [{"type": "thinking", "thinking": "b"}]}),
            json!({"content": [{"type": "thinking", "thinking": []}, {"type": "text", "text": "c"}]}),
        ],
        "reasoning 'a' 'b' . text 'c' .",
    );
}

#[test]
fn reasoning_details_win_over_the_plain_string() {
    let detail = |text: &str| json!({"reasoning": text, "reasoning_details": [{"type": "reasoning.text", "text": text, "index": 0}]});
    let signature = json!({"reasoning_details": [{"type": "reasoning.text", "signature": "s", "index": 0}]});
    check(&[detail("a"), detail("b"), signature.clone()], "reasoning 'a' 'b' signature(s) .");
    check(
        &[json!({"reasoning": null, "reasoning_details": [{"type": "reasoning.summary", "summary": "a"}]})],
        "reasoning 'a' .",
    );
    check(
        &[json!({"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]}), json!({"content": "a"})],
        "sealed(x) . text 'a' .",
    );
    // What a signature follows is another block.
    check(
        &[detail("a"), signature.clone(), detail("b"), signature.clone()],
        "reasoning 'a' signature(s) . reasoning 'b' signature(s) .",
    );
    // Thoughts that were not shown have a proof all the same.
    check(&[signature, json!({"content": "a"})], "reasoning signature(s) . text 'a' .");
    check(&[json!({"reasoning_details": [{"type": "reasoning.text", "text": "", "signature": ""}]})], "");
    // As our own encoder has it: the text plainly, then whole with its signature.
    check(
        &[
            json!({"reasoning_content": "a"}),
            json!({"reasoning_content": "b"}),
            json!({"reasoning_details": [{"type": "reasoning.text", "text": "ab", "signature": "s", "index": 0}]}),
        ],
        "reasoning 'a' 'b' signature(s) .",
    );
}

#[test]
fn arguments_survive_fragments_with_empty_names() {
    // Pitfall: frames with empty id, name or content between the fragments lost the arguments.
    check(
        &[
            call(0, "a", "f", ""),
            call(0, "", "", "{\"x\""),
            json!({"content": ""}),
            json!({"tool_calls": [{"index": 0, "id": null, "type": null, "function": {"name": null, "arguments": ":1"}}]}),
            json!({"tool_calls": [{"index": 0, "function": {"arguments": null}}]}),
            json!({"tool_calls": [{"function": {"arguments": "}"}}]}),
            json!({"tool_calls": []}),
        ],
        r#"call(a,f) '{"x"' ':1' '}' ."#,
    );
    // The id and the name in every fragment.
    check(&[call(0, "a", "f", "{"), call(0, "a", "f", "}")], "call(a,f) '{' '}' .");
    // An entry that never says anything.
    check(&[call(0, "", "", ""), json!({"content": "a"})], "text 'a' .");
}

#[test]
fn interleaved_tool_calls_come_out_one_after_the_other() {
    check(
        &[
            call(0, "a", "f", ""),
            call(1, "b", "g", ""),
            arguments(1, "{\"y\":"),
            arguments(0, "{\"x\":"),
            arguments(1, "2}"),
            arguments(0, "\"}\"}"),
        ],
        r#"call(a,f) '{"x":' '"}"}' . call(b,g) '{"y":2}' ."#,
    );
    // In order, nothing waits.
    check(
        &[call(0, "a", "f", "{}"), call(1, "b", "g", "{"), arguments(1, "}"), json!({"content": "c"})],
        "call(a,f) '{}' . call(b,g) '{' '}' . text 'c' .",
    );
    // Without arguments, and cut short.
    check(&[call(0, "a", "f", ""), call(1, "b", "g", "{\"x")], r#"call(a,f) . call(b,g) '{"x' ."#);
    // Text and thoughts in the middle of arguments wait too.
    check(
        &[call(0, "a", "f", "{"), json!({"content": "b"}), json!({"content": "c"}), arguments(0, "}")],
        "call(a,f) '{' '}' . text 'bc' .",
    );
    // The same index for every call, as Gemini's compatible endpoint has it.
    check(&[call(0, "a", "f", "{}"), call(0, "b", "g", "{}")], "call(a,f) '{}' . call(b,g) '{}' .");
    // No index at all.
    let bare = |id: &str| json!({"tool_calls": [{"id": id, "function": {"name": "f", "arguments": "{}"}}]});
    check(&[bare("a"), bare("b")], "call(a,f) '{}' . call(b,f) '{}' .");
}

#[test]
fn a_call_that_is_named_late_waits_for_its_name() {
    check(
        &[
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]}),
            json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "}"}}]}),
        ],
        "call(a,f) '{}' .",
    );
    check(
        &[call(0, "", "f", ""), json!({"tool_calls": [{"index": 0, "id": "a", "function": {"arguments": "{}"}}]})],
        "call(a,f) '{}' .",
    );
    // Without an id it gets one, unlike that of another answer.
    check(&[call(0, "", "f", "{}"), call(1, "", "g", "{}")], "call(call_c1_0,f) '{}' . call(call_c1_1,g) '{}' .");
    check(&[call(0, "", "f", "")], "call(call_c1_0,f) .");
}

#[test]
fn arguments_that_are_an_object_become_its_text() {
    let call = json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": {"x": 1}}}]});
    check(&[call], r#"call(a,f) '{"x":1}' ."#);
}

#[test]
fn whatever_comes_is_told_in_order_and_whole() {
    let pieces = [
        json!({"content": "T"}),
        json!({"reasoning": "R"}),
        json!({"reasoning_details": [{"type": "reasoning.text", "text": "R"}]}),
        json!({"reasoning_details": [{"type": "reasoning.text", "signature": "S"}]}),
        json!({"reasoning_details": [{"type": "reasoning.encrypted", "data": "X"}]}),
        call(0, "a", "f", ""),
        call(1, "b", "g", "["),
        call(1, "", "", "1"),
        call(2, "", "h", "{}"),
        arguments(0, "{"),
        arguments(0, "}"),
        arguments(1, "]"),
        json!({"tool_calls": [{"function": {"arguments": "1"}}]}),
        json!({}),
    ];
    // A linear congruential generator: the cases differ, and are the same in every run.
    let mut state = 1_u64;
    let mut next = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    for _ in 0..3000 {
        let chosen: Vec<&Value> = (0..next(14)).map(|_| &pieces[next(pieces.len())]).collect();
        let mut frames: Vec<String> = chosen.iter().map(|piece| delta(piece)).collect();
        frames.push(finish("stop"));
        let events = decode(&frames.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        let told = words(&events);
        assert!(told.ends_with(" end"), "{told}");
        for text in ["T", "R"] {
            let sent = chosen.iter().filter(|piece| piece.to_string().contains(&format!("\"{text}\""))).count();
            let texts = events.iter().filter_map(|event| match event {
                Event::Text(told) | Event::Reasoning(told) => Some(told.matches(text).count()),
                _ => None,
            });
            assert_eq!(texts.sum::<usize>(), sent, "{told}\n{chosen:?}");
        }
        let opened = events.iter().filter(|event| matches!(event, Event::Open(_))).count();
        let closed = events.iter().filter(|event| matches!(event, Event::Close)).count();
        assert_eq!(opened, closed, "{told}");
    }
}

#[test]
fn fields_of_an_odd_type_break_nothing() {
    let chunk = r#"{"id":5,"model":["m"],"object":null,"choices":[{"index":0,"native_finish_reason":1,"delta":
        {"content":"a","reasoning":{"x":[1]},"refusal":false,"tool_calls":[{"index":0,"id":7,"function":{"name":"f"}}]}}]}"#;
    check_frames(&[&chunk.replace('\n', ""), "[DONE]"], "start(,) text 'a' . call(call__0,f) . stop(ToolUse,-) end");
}

#[test]
fn an_id_that_is_made_up_is_short_enough_for_openai() {
    let frame = delta(&call(0, "", "f", "{}")).replace("c1", &"chatcmpl-0123456789".repeat(9));
    let events = decode(&[&frame]).unwrap();
    match &events[1] {
        Event::Open(Block::ToolCall { id, .. }) => assert!(id.len() <= 40 && id.ends_with("cmpl0123456789_0"), "{id}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_waits_has_a_bound() {
    let mut frames = vec![delta(&call(0, "a", "f", "{"))];
    let large = delta(&json!({"content": "x".repeat(1024 * 1024)}));
    frames.extend(std::iter::repeat_n(large, 17));
    let frames: Vec<&str> = frames.iter().map(String::as_str).collect();
    assert!(decode(&frames).is_err());
    let many: Vec<String> = (0..2000).map(|index| delta(&call(index, &format!("c{index}"), "f", "{}"))).collect();
    assert!(decode(&many.iter().map(String::as_str).collect::<Vec<_>>()).is_err());
}

#[test]
fn a_finish_reason_is_kept_and_mapped() {
    let cases = [
        ("stop", "EndTurn"),
        ("length", "Length"),
        ("max_tokens", "Length"),
        ("MAX_TOKENS", "Length"),
        ("model_length", "Length"),
        ("content_filter", "Filtered"),
        ("SAFETY", "Filtered"),
        ("RECITATION", "Filtered"),
        ("stop_sequence", "StopSequence"),
        ("pause_turn", "Pause"),
        ("MALFORMED_FUNCTION_CALL", "Error"),
        ("insufficient_system_resource", "Error"),
        ("eos", "EndTurn"),
        // No calls came.
        ("tool_calls", "EndTurn"),
    ];
    for (native, reason) in cases {
        let frame = finish(native);
        check_frames(&[&frame, "[DONE]"], &format!("start(c1,m) stop({reason},{native}) end"));
    }
    let frame = r#"{"id":"c1","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop","native_finish_reason":"end_turn"}]}"#;
    check_frames(&[frame, "[DONE]"], "start(c1,m) stop(EndTurn,end_turn) end");
    let frames = [delta(&call(0, "a", "f", "{}")), finish("stop")];
    check_frames(&[&frames[0], &frames[1]], "start(c1,m) call(a,f) '{}' . stop(ToolUse,stop) end");
}

#[test]
fn content_after_a_finish_reason_is_still_told() {
    let frames = [
        delta(&call(0, "a", "f", "{}")),
        finish("tool_calls"),
        delta(&call(1, "b", "g", "{}")),
        finish("tool_calls"),
        "[DONE]".to_owned(),
    ];
    check_frames(
        &frames.iter().map(String::as_str).collect::<Vec<_>>(),
        "start(c1,m) call(a,f) '{}' . call(b,g) '{}' . stop(ToolUse,tool_calls) end",
    );
}

#[test]
fn a_stream_is_complete_only_when_it_says_so() {
    let (text, stop) = (delta(&json!({"content": "a"})), finish("stop"));
    // Cut.
    check_frames(&[&text], "start(c1,m) text 'a'");
    check_frames(&[], "");
    check_frames(&["[DONE]"], "");
    // Not every server says both.
    check_frames(&[&text, &stop], "start(c1,m) text 'a' . stop(EndTurn,stop) end");
    check_frames(&[&text, "[DONE]"], "start(c1,m) text 'a' . stop(EndTurn,-) end");
    // Nothing follows the end.
    check_frames(&[&text, &stop, "[DONE]", &text, "[DONE]"], "start(c1,m) text 'a' . stop(EndTurn,stop) end");
}

#[test]
fn an_error_inside_a_stream_is_an_error() {
    let text = delta(&json!({"content": "a"}));
    let cases = [
        (r#"{"error":{"message":"busy","type":"overloaded"}}"#, "error(overloaded,busy)"),
        (r#"{"error":"busy"}"#, "error(-,busy)"),
        (r#"{"error":{"code":400}}"#, "error(-,the upstream failed without saying why)"),
        (r#"{"object":"error","message":"busy","code":3051}"#, "error(-,busy)"),
        (
            r#"{"id":"c1","choices":[{"index":0,"delta":{"content":""}}],"error":{"message":"busy","code":502}}"#,
            "error(-,busy)",
        ),
    ];
    for (frame, expected) in cases {
        check_frames(&[&text, frame, &text, "[DONE]"], &format!("start(c1,m) text 'a' {expected}"));
        check_frames(&[frame], expected);
    }
    let (mut decoder, mut events) = (Decoder::default(), Vec::new());
    for raw in ["event: error\ndata: {\"error\":{\"message\":\"busy\"}}\n\n", "event: error\ndata: more\n\n"] {
        decoder.frame(&Frame::read(Framing::Sse, raw.as_bytes()).unwrap(), &mut events).unwrap();
    }
    assert_eq!(words(&events), "error(-,busy)");
}

#[test]
fn an_upstreams_pings_are_told() {
    let (mut decoder, mut events) = (Decoder::default(), Vec::new());
    decoder.frame(&Frame::read(Framing::Sse, b": OPENROUTER PROCESSING\n\n").unwrap(), &mut events).unwrap();
    assert_eq!(words(&events), "ping");
}

#[test]
fn chunks_without_choices_break_nothing() {
    let azure = r#"{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{}]}"#;
    let text = delta(&json!({"content": "a"}));
    check_frames(&[azure, r#"{"id":"c1"}"#, &text], "start(c1,m) text 'a'");
    let second =
        r#"{"id":"c1","model":"m","choices":[{"index":1,"delta":{"content":"other"},"finish_reason":"length"}]}"#;
    check_frames(&[&text, second, &finish("stop")], "start(c1,m) text 'a' . stop(EndTurn,stop) end");
}

#[test]
fn what_is_no_chunk_is_malformed_and_not_quoted() {
    for frame in ["nonsense", "[]", "\"secret\"", r#"{"choices":"secret"}"#, r#"{"choices":[{"delta":{"content":5}}]}"#]
    {
        let fault = decode(&[frame]).unwrap_err();
        assert!(!fault.0.contains("secret") && fault.0.starts_with("chunk: "), "{fault:?}");
    }
}

#[test]
fn usage_is_found_wherever_it_is() {
    let usage = r#""usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}"#;
    let (text, stop) = (delta(&json!({"content": "a"})), finish("stop"));
    let only = format!(r#"{{"id":"c1","model":"m","choices":[],{usage}}}"#);
    check_frames(&[&text, &stop, &only, "[DONE]"], "start(c1,m) text 'a' . stop(EndTurn,stop) usage(10,0,0,5,0) end");
    let beside =
        format!(r#"{{"id":"c1","model":"m","choices":[{{"index":0,"delta":{{}},"finish_reason":"stop"}}],{usage}}}"#);
    check_frames(&[&text, &beside, &beside], "start(c1,m) text 'a' usage(10,0,0,5,0) . stop(EndTurn,stop) end");
    let groq = format!(
        r#"{{"id":"c1","model":"m","choices":[{{"index":0,"delta":{{}},"finish_reason":"stop"}}],"x_groq":{{"id":"r",{usage}}}}}"#
    );
    check_frames(&[&groq], "start(c1,m) usage(10,0,0,5,0) stop(EndTurn,stop) end");
}

#[test]
fn only_a_chunk_of_usage_alone_is_extra() {
    let mut decoder = Decoder::default();
    let frames = [
        (delta(&json!({"content": "a"})), false),
        (
            r#"{"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}"#
                .to_owned(),
            false,
        ),
        (r#"{"id":"c1","choices":[],"usage":null}"#.to_owned(), false),
        (r#"{"id":"c1","choices":[],"usage":{"prompt_tokens":1}}"#.to_owned(), true),
        ("[DONE]".to_owned(), false),
    ];
    for (data, extra) in frames {
        let raw = format!("data: {data}\n\n");
        decoder.frame(&Frame::read(Framing::Sse, raw.as_bytes()).unwrap(), &mut Vec::new()).unwrap();
        assert_eq!(decoder.is_extra(), extra, "{data}");
    }
}

#[test]
fn cached_tokens_are_counted_once() {
    // Pitfall: cached tokens were billed twice, because providers count them differently.
    let cases = [
        (
            json!({"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 60},
            "completion_tokens_details": {"reasoning_tokens": 3}}),
            (100, 60, 0, 5, 3),
        ),
        (
            json!({"prompt_tokens": 100, "completion_tokens": 5, "prompt_cache_hit_tokens": 60,
            "prompt_cache_miss_tokens": 40}),
            (100, 60, 0, 5, 0),
        ),
        (json!({"prompt_tokens": 100, "completion_tokens": 5, "cached_tokens": 60}), (100, 60, 0, 5, 0)),
        (
            json!({"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105,
            "prompt_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 80}}),
            (100, 10, 80, 5, 0),
        ),
        (json!({"prompt_tokens": 100, "completion_tokens": 5, "cache_creation_input_tokens": 80}), (100, 0, 80, 5, 0)),
        // Grok on Azure: cached beyond the prompt.
        (
            json!({"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8,
            "prompt_tokens_details": {"cached_tokens": 161}}),
            (168, 161, 0, 1, 0),
        ),
        // xAI: reasoning apart.
        (
            json!({"prompt_tokens": 12, "completion_tokens": 2, "total_tokens": 334,
            "completion_tokens_details": {"reasoning_tokens": 320}}),
            (12, 0, 0, 322, 320),
        ),
        // Gemini behind others: reasoning apart, and not in the total either.
        (
            json!({"prompt_tokens": 57, "completion_tokens": 10, "total_tokens": 67,
            "completion_tokens_details": {"reasoning_tokens": 37}}),
            (57, 0, 0, 47, 37),
        ),
        // Gemini's own endpoint: reasoning only in the total.
        (json!({"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109}), (35, 0, 0, 74, 62)),
        // Mistral: audio only in the total.
        (
            json!({"prompt_tokens": 11, "completion_tokens": 15, "total_tokens": 401,
            "prompt_tokens_details": {"audio_tokens": 375, "cached_tokens": 9}}),
            (386, 9, 0, 15, 0),
        ),
        // Nulls, numbers with a fraction, and what is no number.
        (json!({"prompt_tokens": 193, "completion_tokens": null, "total_tokens": null}), (193, 0, 0, 0, 0)),
        (
            json!({"prompt_tokens": 3.0, "completion_tokens": -1, "cached_tokens": "x", "reasoning_tokens": [1, {}],
            "cache_creation_input_tokens": {"a": 1}, "prompt_tokens_details": null}),
            (3, 0, 0, 0, 0),
        ),
        (
            json!({"prompt_tokens": u64::MAX, "completion_tokens": u64::MAX, "total_tokens": u64::MAX,
            "completion_tokens_details": {"reasoning_tokens": u64::MAX}}),
            (u64::MAX, 0, 0, u64::MAX, u64::MAX),
        ),
    ];
    for (wire, (input, cached_input, cache_write, output, reasoning)) in cases {
        let body = json!({"choices": [{"message": {}}], "usage": wire}).to_string();
        let usage = read_told(body.as_bytes()).unwrap().usage;
        assert_eq!(usage, Some(Usage { input, cached_input, cache_write, output, reasoning }), "{body}");
    }
}

/// What the sums leave open is for a rule to say, in whole answers and in streams, of both forms.
#[test]
fn a_rule_says_what_the_sums_leave_open() {
    let told = |cached, reasoning, total| {
        json!({"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": total,
            "prompt_tokens_details": {"cached_tokens": cached}, "completion_tokens_details": {"reasoning_tokens": reasoning}})
    };
    let own = json!({"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
        "cache": {"hits": 30, "writes": 20}, "thoughts": 10, "cached_tokens": 0});
    let at = r#"{"cached_at":"cache.hits","cache_write_at":"cache.writes","reasoning_at":"thoughts"}"#;
    let cases = [
        ("{}", told(30, 10, 150), (100, 30, 0, 50, 10)),
        (r#"{"cached":"beside"}"#, told(30, 10, 150), (130, 30, 0, 50, 10)),
        (r#"{"cached":"beside"}"#, told(30, 10, 180), (130, 30, 0, 50, 10)),
        (r#"{"cached":"beside"}"#, told(300, 10, 150), (400, 300, 0, 50, 10)),
        (r#"{"cached":"beside","reasoning":"beside"}"#, told(30, 10, 160), (130, 30, 0, 60, 10)),
        (r#"{"reasoning":"beside"}"#, told(30, 10, 150), (100, 30, 0, 60, 10)),
        (r#"{"reasoning":"beside"}"#, told(10, 10, 160), (100, 10, 0, 60, 10)),
        (r#"{"reasoning":"beside"}"#, told(0, 70, 220), (100, 0, 0, 120, 70)),
        (r#"{"reasoning":"inside"}"#, told(0, 51, 150), (100, 0, 0, 50, 50)),
        ("{}", told(0, 51, 150), (100, 0, 0, 101, 51)),
        (at, own.clone(), (100, 30, 20, 50, 10)),
        ("{}", own, (100, 0, 0, 50, 0)),
    ];
    for (rule, usage, (input, cached_input, cache_write, output, reasoning)) in cases {
        let rule: Rule = crate::wire::json::parse(rule).unwrap();
        let expected = Some(Usage { input, cached_input, cache_write, output, reasoning });
        for dialect in [Dialect::OpenaiChat, Dialect::OpenaiCompletions] {
            let whole = json!({"choices": [{"message": {"content": "a"}, "text": "a"}], "usage": usage}).to_string();
            assert_eq!(dialect.read_response_by(&rule, whole.as_bytes()).unwrap().usage, expected, "{rule:?} {whole}");
            let last = json!({"choices": [], "usage": usage}).to_string();
            let (mut decoder, mut events) = (dialect.decoder_by(&rule), Vec::new());
            decoder.frame(&Frame { event: None, data: Some(last.as_str().into()) }, &mut events).unwrap();
            let told = events.iter().find_map(|event| match event {
                Event::Usage(usage) => Some(*usage),
                _ => None,
            });
            assert_eq!(told, expected, "{rule:?} {last}");
        }
    }
}

// Streams, written.

fn label(usage_wanted: bool) -> Label {
    Label { id: "req_1".to_owned(), created: 7, usage_wanted, ..Label::default() }
}

fn encode(events: &[Event], usage_wanted: bool) -> String {
    let (mut encoder, mut out) = (Encoder::new(label(usage_wanted)), Vec::new());
    events.iter().for_each(|event| encoder.event(event, &mut out));
    String::from_utf8(out).unwrap()
}

fn an_answer() -> Response {
    Response {
        id: "c1".to_owned(),
        model: "m".to_owned(),
        parts: vec![
            Part::new(Content::Reasoning { text: "hm".to_owned(), signature: Some("s".to_owned()) }),
            Part::new(Content::SealedReasoning("x".to_owned())),
            Part::text("hello"),
            Part::new(Content::ToolCall(a_call("a", "f", "{\"x\":1}"))),
            Part::new(Content::ToolCall(a_call("b", "g", ""))),
        ],
        stop: Stop { reason: StopReason::ToolUse, native: Some("tool_use".to_owned()), sequence: None },
        usage: Some(Usage { input: 10, cached_input: 4, cache_write: 0, output: 5, reasoning: 2 }),
    }
}

fn a_call(id: &str, name: &str, arguments: &str) -> ToolCall {
    ToolCall { id: id.to_owned(), name: name.to_owned(), arguments: arguments.to_owned(), signature: None }
}

#[test]
fn every_chunk_has_the_full_shape() {
    let out = encode(&an_answer().events(), true);
    let head = r#"data: {"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":"#;
    let delta = |delta: &str| format!(r#"{head}[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#);
    let expected = [
        delta(r#"{"role":"assistant","content":""}"#),
        delta(r#"{"reasoning_content":"hm"}"#),
        delta(r#"{"reasoning_details":[{"type":"reasoning.text","text":"hm","signature":"s","index":0}]}"#),
        delta(r#"{"reasoning_details":[{"type":"reasoning.encrypted","data":"x","index":1}]}"#),
        delta(r#"{"content":"hello"}"#),
        delta(r#"{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]}"#),
        delta(r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\":1}"}}]}"#),
        delta(r#"{"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":""}}]}"#),
        delta(r#"{"tool_calls":[{"index":1,"function":{"arguments":""}}]}"#),
        // No arguments are an empty object.
        delta(r#"{"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]}"#),
        format!(
            r#"{head}[{{"index":0,"delta":{{}},"finish_reason":"tool_calls","native_finish_reason":"tool_use"}}]}}"#
        ),
        format!(
            r#"{head}[],"usage":{{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_tokens_details":{{"cached_tokens":4}},"completion_tokens_details":{{"reasoning_tokens":2}}}}}}"#
        ),
        "data: [DONE]".to_owned(),
    ];
    let found: Vec<&str> = out.split_terminator("\n\n").collect();
    assert_eq!(found, expected);
}

#[test]
fn usage_is_told_only_to_who_asked() {
    assert!(!encode(&an_answer().events(), false).contains("usage"));
    let silent = Response { usage: None, ..an_answer() };
    assert!(encode(&silent.events(), true).contains(r#""usage":{"prompt_tokens":0"#));
}

#[test]
fn a_stream_that_fails_has_no_done() {
    let start = Event::Start { id: String::new(), model: "m".to_owned() };
    let error = Event::Error { kind: Some("overloaded".to_owned()), message: "busy".to_owned() };
    let out = encode(&[start, Event::Ping, error], true);
    let (first, rest) = out.split_once("\n\n").unwrap();
    assert!(first.contains(r#""id":"req_1""#), "our id where the upstream has none: {first}");
    let frame = r#"data: {"error":{"message":"busy","type":"server_error","param":null,"code":"upstream_error"}}"#;
    assert_eq!(rest, format!(": ping\n\n{frame}\n\n"));
}

#[test]
fn what_is_written_is_read_the_same() {
    let answer = an_answer();
    let (mut splitter, mut decoder, mut events) = (Splitter::default(), Decoder::default(), Vec::new());
    let out = encode(&answer.events(), true);
    splitter
        .feed(out.as_bytes(), |raw| decoder.frame(&Frame::read(Framing::Sse, raw).unwrap(), &mut events).unwrap())
        .unwrap();
    assert_eq!(
        words(&events),
        "start(c1,m) reasoning 'hm' signature(s) . sealed(x) . text 'hello' . call(a,f) '{\"x\":1}' . call(b,g) '{}' . \
         stop(ToolUse,tool_use) usage(10,4,0,5,2) end",
    );
    let whole = read_told(&write_response(&answer, &label(true))).unwrap();
    assert_eq!((&whole.parts[..4], whole.usage), (&answer.parts[..4], answer.usage));
    assert_eq!(whole.stop, answer.stop);
}

// Whole replies.

#[test]
fn a_whole_reply_has_the_full_shape() {
    let written: Value = serde_json::from_slice(&write_response(&an_answer(), &label(false))).unwrap();
    let expected = json!({
        "id": "c1", "object": "chat.completion", "created": 7, "model": "m",
        "choices": [{
            "index": 0,
            "message": {
                "role": "assistant", "content": "hello", "refusal": null, "reasoning_content": "hm",
                "reasoning_details": [
                    {"type": "reasoning.text", "text": "hm", "signature": "s", "index": 0},
                    {"type": "reasoning.encrypted", "data": "x", "index": 1},
                ],
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
                    {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
                ],
            },
            "logprobs": null, "finish_reason": "tool_calls", "native_finish_reason": "tool_use",
        }],
        "usage": {
            "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 2},
        },
    });
    assert_eq!(written, expected);
}

#[test]
fn content_is_null_only_beside_tool_calls() {
    let cases = [
        (vec![], json!("")),
        (vec![Part::text("a"), Part::text("b")], json!("ab")),
        (vec![Part::new(Content::ToolCall(a_call("a", "f", "{}")))], json!(null)),
    ];
    for (parts, expected) in cases {
        let response = Response { parts, ..Response::default() };
        let written: Value = serde_json::from_slice(&write_response(&response, &label(false))).unwrap();
        assert_eq!(written["choices"][0]["message"]["content"], expected);
        assert_eq!(written["id"], "req_1");
        assert_eq!(written["usage"]["total_tokens"], 0);
    }
}

#[test]
fn a_reply_without_choices_is_malformed() {
    for body in ["", "{}", "[]", r#"{"choices":[]}"#, r#"{"choices":null}"#, r#"{"error":{"message":"secret"}}"#] {
        let fault = read_told(body.as_bytes()).unwrap_err();
        assert!(!fault.0.contains("secret"), "{fault:?}");
    }
    // Azure leaves the message out when it filtered all of it.
    let filtered = read_told(br#"{"choices":[{"index":0,"finish_reason":"content_filter"}]}"#).unwrap();
    assert_eq!((filtered.parts.len(), filtered.stop.reason), (0, StopReason::Filtered));
}

// Requests, read.

#[track_caller]
fn read(body: &Value) -> Request {
    read_request(&Fields::read(body.to_string().as_bytes()).unwrap()).unwrap()
}

/// A request with these messages.
fn says(messages: &Value) -> Value {
    json!({"model": "m", "messages": messages})
}

/// A request with one field more.
fn with(name: &str, value: &Value) -> Value {
    let mut body = says(&json!([{"role": "user", "content": "a"}]));
    body[name] = value.clone();
    body
}

fn raw(text: &str) -> Json {
    crate::wire::json::parse(text).unwrap()
}

fn result(call: &str, parts: Vec<Part>) -> Part {
    Part::new(Content::ToolResult { call: call.to_owned(), parts, is_error: false })
}

#[test]
fn messages_are_read_into_parts() {
    let user = |parts| vec![Message { role: Role::User, parts }];
    let assistant = |parts| vec![Message { role: Role::Assistant, parts }];
    let thought = |text: &str, signature: Option<&str>| {
        Part::new(Content::Reasoning { text: text.to_owned(), signature: signature.map(str::to_owned) })
    };
    let cases = [
        (
            json!([{"role": "developer", "content": "a"}]),
            vec![Message { role: Role::System, parts: vec![Part::text("a")] }],
        ),
        (
            json!([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]),
            user(vec![Part::text("a"), Part::text("b")]),
        ),
        (
            json!([{"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
                {"type": "image_url", "image_url": "data:image/png;base64,QUJD"},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,QUJD", "filename": "a.pdf"}},
                {"type": "file", "file": {"file_data": "QUJD"}},
            ]}]),
            user(vec![
                Part::new(Content::Image(Media::Url("https://x/y.png".to_owned()))),
                Part::new(Content::Image(Media::Inline {
                    media_type: "image/png".to_owned(),
                    data: "QUJD".to_owned(),
                })),
                Part::new(Content::Document {
                    media: Media::Inline { media_type: "application/pdf".to_owned(), data: "QUJD".to_owned() },
                    name: Some("a.pdf".to_owned()),
                }),
                Part::new(Content::Document {
                    media: Media::Inline { media_type: "application/pdf".to_owned(), data: "QUJD".to_owned() },
                    name: None,
                }),
            ]),
        ),
        (json!([{"role": "assistant", "content": null, "refusal": "no"}]), assistant(vec![Part::text("no")])),
        (
            json!([{"role": "assistant", "content": "", "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{ \"x\": 1.0 }"}},
                {"id": "b", "function": {"name": "g", "arguments": {"y": [1]}}},
            ]}]),
            assistant(vec![
                Part::new(Content::ToolCall(a_call("a", "f", "{ \"x\": 1.0 }"))),
                Part::new(Content::ToolCall(a_call("b", "g", "{\"y\":[1]}"))),
            ]),
        ),
        // Thoughts stand before text and calls, under any name.
        (
            json!([{"role": "assistant", "content": "a", "reasoning_content": "hm"}]),
            assistant(vec![thought("hm", None), Part::text("a")]),
        ),
        (
            json!([{"role": "assistant", "content": "a", "reasoning": "hm", "reasoning_content": ""}]),
            assistant(vec![thought("hm", None), Part::text("a")]),
        ),
        (
            json!([{"role": "assistant", "content": "a", "reasoning": "plain", "reasoning_details": [
                {"type": "reasoning.text", "text": "h", "index": 0}, {"type": "reasoning.text", "text": "m", "index": 0},
                {"type": "reasoning.text", "signature": "s", "index": 0}, {"type": "reasoning.text", "text": "b", "index": 1},
                {"type": "reasoning.encrypted", "data": "x", "index": 2}, {"type": "reasoning.encrypted", "index": 3},
            ]}]),
            assistant(vec![
                thought("hm", Some("s")),
                thought("b", None),
                Part::new(Content::SealedReasoning("x".to_owned())),
                Part::text("a"),
            ]),
        ),
        // Details without text do not replace it.
        (
            json!([{"role": "assistant", "content": "a", "reasoning": "hm",
            "reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]}]),
            assistant(vec![thought("hm", None), Part::new(Content::SealedReasoning("x".to_owned())), Part::text("a")]),
        ),
        (
            json!([{"role": "assistant", "content": "a", "reasoning": "hm",
            "reasoning_details": [{"type": "reasoning.text", "signature": "s"}]}]),
            assistant(vec![thought("hm", Some("s")), Part::text("a")]),
        ),
        // Results of one turn are one message.
        (
            json!([{"role": "tool", "tool_call_id": "a", "content": "1"},
            {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "2"}]},
            {"role": "user", "content": "c"}]),
            vec![
                Message {
                    role: Role::User,
                    parts: vec![result("a", vec![Part::text("1")]), result("b", vec![Part::text("2")])],
                },
                Message { role: Role::User, parts: vec![Part::text("c")] },
            ],
        ),
        (json!([{"role": "tool", "tool_call_id": "a", "content": ""}]), user(vec![result("a", vec![])])),
        (
            json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": null}]),
            user(vec![Part::text("a")]),
        ),
    ];
    for (messages, expected) in cases {
        let request = read(&says(&messages));
        assert_eq!(request.messages, expected, "{messages}");
        assert_eq!(request.unread, [""; 0], "{messages}");
    }
}

#[test]
fn cache_markers_are_kept_where_they_stand() {
    // Pitfall: markers on tool calls and results were lost, and with them nearly all cache hits.
    let marker = r#"{"ttl":"1h","type":"ephemeral"}"#;
    let marked: Value = serde_json::from_str(marker).unwrap();
    let request = read(&json!({"model": "m", "messages": [
        {"role": "system", "content": [{"type": "text", "text": "a", "cache_control": marked}, {"type": "text", "text": "b"}]},
        {"role": "user", "content": "c", "cache_control": marked},
        {"role": "tool", "tool_call_id": "x", "content": [{"type": "text", "text": "d", "cache_control": marked}]},
    ], "tools": [{"type": "function", "function": {"name": "f"}, "cache_control": marked}]}));
    let caches: Vec<bool> = request
        .messages
        .iter()
        .flat_map(|message| &message.parts)
        .map(|part| part.cache == Some(raw(marker)))
        .collect();
    assert_eq!(caches, [true, false, true, true]);
    assert_eq!(request.tools[0].cache, Some(raw(marker)));
}

#[test]
fn system_messages_stay_where_they_stand() {
    // Pitfall: moving them to the front changes the prefix that is cached.
    let messages =
        json!([{"role": "user", "content": "a"}, {"role": "system", "content": "b"}, {"role": "user", "content": "c"}]);
    let request = read(&says(&messages));
    let roles: Vec<Role> = request.messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::User, Role::System, Role::User]);
    assert_eq!(write(&request).0["messages"], messages);
}

#[test]
fn options_are_read() {
    let request = read(&json!({
        "model": "m", "messages": [{"role": "user", "content": "a"}], "stream": true,
        "max_tokens": 1, "max_completion_tokens": 2, "temperature": 0.10, "top_p": 1, "top_k": 40, "stop": "x",
        "parallel_tool_calls": false, "user": "u", "n": 1,
    }));
    assert_eq!((request.max_tokens, request.top_k, request.stream), (Some(2), Some(40), true));
    assert_eq!(crate::wire::json::to_string(&request.temperature), "0.1");
    assert_eq!((request.stop, request.parallel_tools), (vec!["x".to_owned()], Some(false)));
    assert_eq!((request.user.as_deref(), request.unread), (Some("u"), vec![]));
    assert_eq!(read(&with("stop", &json!(["a", "b"]))).stop, ["a", "b"]);
}

#[test]
fn null_is_absent() {
    let mut body =
        says(&json!([{"role": "user", "content": "a", "name": null, "tool_calls": null, "cache_control": null}]));
    for name in READ_NULLABLE {
        body[name] = Value::Null;
    }
    let request = read(&body);
    assert_eq!(request.unread, [""; 0]);
    assert!(request.tools.is_empty() && request.stop.is_empty() && request.max_tokens.is_none() && !request.stream);
}

const READ_NULLABLE: &[&str] = &[
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "top_k",
    "stop",
    "reasoning_effort",
    "reasoning",
    "response_format",
    "user",
    "n",
    "stream",
    "stream_options",
    "seed",
];

#[test]
fn reasoning_is_asked_for_in_two_ways() {
    let level = |level: &str| Some(Effort::Level(level.to_owned()));
    let cases = [
        ("reasoning_effort", json!("none"), Some(Effort::Off)),
        ("reasoning_effort", json!("minimal"), level("minimal")),
        ("reasoning", json!({"effort": "high"}), level("high")),
        ("reasoning", json!({"max_tokens": 2000}), Some(Effort::Budget(2000))),
        ("reasoning", json!({"enabled": true}), level("medium")),
        ("reasoning", json!({"enabled": false, "max_tokens": 5}), Some(Effort::Off)),
        ("reasoning", json!({}), None),
    ];
    for (name, value, expected) in cases {
        assert_eq!(read(&with(name, &value)).reasoning, expected, "{value}");
    }
}

#[test]
fn tools_and_their_choice_are_read() {
    // Pitfall: schemas were rewritten, references in them above all. They stay the text they are.
    let schema =
        r##"{"$defs":{"a":{"type":"string"}},"properties":{"x":{"$ref":"#/$defs/a"}},"type":["object","null"]}"##;
    let body = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"a"}}],"tools":[
            {{"type":"function","function":{{"name":"f","description":"d","parameters":{schema},"strict":true}}}},
            {{"type":"function","name":"g","parameters":null}},
            {{"type":"custom","custom":{{"name":"h"}}}}]}}"#
    );
    let request = read_request(&Fields::read(body.as_bytes()).unwrap()).unwrap();
    assert_eq!(request.tools.len(), 2);
    assert_eq!(request.tools[0].schema, Some(raw(schema)));
    assert_eq!((request.tools[0].description.as_deref(), request.tools[0].strict), (Some("d"), Some(true)));
    assert_eq!((request.tools[1].name.as_str(), &request.tools[1].schema), ("g", &None));
    assert_eq!(request.unread, ["tools[2]"]);
    let cases = [
        (json!("auto"), ToolChoice::Auto),
        (json!("none"), ToolChoice::None),
        (json!("required"), ToolChoice::Required),
        (json!("any"), ToolChoice::Required),
        (json!({"type": "function", "function": {"name": "f"}}), ToolChoice::Named("f".to_owned())),
        (json!({"type": "function", "name": "f"}), ToolChoice::Named("f".to_owned())),
        (json!({"type": "auto"}), ToolChoice::Auto),
    ];
    for (wire, expected) in cases {
        assert_eq!(read(&with("tool_choice", &wire)).tool_choice, Some(expected), "{wire}");
    }
}

#[test]
fn formats_are_read() {
    assert!(read(&with("response_format", &json!({"type": "text"}))).format.is_none());
    assert!(matches!(read(&with("response_format", &json!({"type": "json_object"}))).format, Some(Format::Json)));
    let schema =
        json!({"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}, "strict": true}});
    match read(&with("response_format", &schema)).format {
        Some(Format::Schema { name, schema, strict: Some(true) }) => {
            assert_eq!((name.as_str(), schema), ("x", raw(r#"{"type":"object"}"#)));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_not_understood_is_named() {
    let mut body = says(&json!([
        {"role": "user", "name": "x", "content": [
            {"type": "text", "text": "a"},
            {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}},
            {"type": "image_url", "image_url": {"url": "https://x", "detail": "high"}},
            {"type": "file", "file": {"file_id": "file-1"}},
        ]},
        {"role": "user", "name": "y", "content": "b"},
    ]));
    body["seed"] = json!(1);
    body["n"] = json!(2);
    body["logit_bias"] = json!({});
    let mut unread = read(&body).unread;
    unread.sort();
    let expected = [
        "logit_bias",
        "messages.content.file.file_id",
        "messages.content.image_url.detail",
        "messages.content.input_audio",
        "messages.name",
        "n",
    ];
    assert_eq!(unread, expected);
}

#[test]
fn an_error_says_where_and_quotes_nothing() {
    let cases = [
        (json!({"messages": []}), "model: is missing"),
        (json!({"model": "m"}), "messages: is missing"),
        (says(&json!([])), "messages: is empty"),
        (says(&json!("secret")), "messages: expected an array"),
        (says(&json!(["secret"])), "messages[0]: expected an object"),
        (says(&json!([{"role": "user", "content": "a"}, {"content": "secret"}])), "messages[1].role: is missing"),
        (says(&json!([{"role": "secret", "content": "a"}])), "messages[0].role: must be"),
        (says(&json!([{"role": "user", "content": 5}])), "messages[0]: expected a string, an array or an object"),
        (says(&json!([{"role": "user", "content": [{"type": "secret"}]}])), "messages[0].content[0].type: must be"),
        (
            says(
                &json!([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": ["secret"]}]}]),
            ),
            "messages[0].content[1]: expected a string",
        ),
        (says(&json!([{"role": "user", "content": [{"type": "text"}]}])), "messages[0].content[0].text: is missing"),
        (
            says(
                &json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:text/plain,secret"}}]}]),
            ),
            "messages[0].content[0].image_url.url: must be a data URL in base64",
        ),
        (says(&json!([{"role": "tool", "content": "secret"}])), "messages[0].tool_call_id: is missing"),
        (says(&json!([{"role": "function", "name": "f", "content": "secret"}])), "messages[0].role: the legacy role"),
        (
            says(&json!([{"role": "assistant", "function_call": {"name": "f"}}])),
            "messages[0].function_call: the legacy",
        ),
        (
            says(&json!([{"role": "assistant", "tool_calls": [{"id": "a"}]}])),
            "messages[0].tool_calls[0].function: is missing",
        ),
        (with("max_tokens", &json!("secret")), "max_tokens: expected u64"),
        (with("temperature", &json!("secret")), "temperature: expected a number"),
        (with("stop", &json!(5)), "stop: expected a string, an array"),
        (with("tools", &json!([{"type": "function", "function": {}}])), "tools[0].function.name: is missing"),
        (with("tool_choice", &json!("secret")), "tool_choice: must be"),
        (with("response_format", &json!({"type": "secret"})), "response_format.type: must be"),
    ];
    for (body, expected) in cases {
        let error = read_request(&Fields::read(body.to_string().as_bytes()).unwrap()).unwrap_err();
        assert!(
            error.message.starts_with(expected) && !error.message.contains("secret"),
            "{} for {body}",
            error.message
        );
        assert!(error.param.is_some_and(|param| expected.starts_with(&param)), "{body}");
    }
}

#[test]
fn deep_nesting_takes_no_stack() {
    let deep = |open: &str, close: &str| {
        let content = format!("{}{}", open.repeat(50_000), close.repeat(50_000));
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":{content}}}]}}"#)
    };
    assert!(read_request(&Fields::read(deep("[", "]").as_bytes()).unwrap()).is_err());
    let thoughts = deep(r#"[{"type":"thinking","thinking":"#, "}]").replace(":}", ":[]}");
    assert!(read_request(&Fields::read(thoughts.as_bytes()).unwrap()).is_ok());
    let chunk = format!(r#"{{"choices":[{{"delta":{{"content":{}{}}}}}]}}"#, "[".repeat(50_000), "]".repeat(50_000));
    assert!(decode(&[&chunk]).is_err());
}

// Requests, passed on and written.

#[test]
fn a_spliced_body_changes_only_where_it_must() {
    let cases = [
        (r#"{"model":"a", "x":1.0}"#, r#"{"model":"b/c", "x":1.0}"#, false),
        (r#"{"model":"a","stream":false}"#, r#"{"model":"b/c","stream":false}"#, false),
        (
            r#"{"model":"a","stream":true}"#,
            r#"{"model":"b/c","stream":true,"stream_options":{"include_usage":true}}"#,
            false,
        ),
        (
            r#"{"stream_options":{"x":1,"include_usage":false},"stream":true,"model":"a"}"#,
            r#"{"stream_options":{"x":1,"include_usage":true},"stream":true,"model":"b/c"}"#,
            false,
        ),
        (
            r#"{"stream_options":{ },"stream":true,"model":"a"}"#,
            r#"{"stream_options":{ "include_usage":true},"stream":true,"model":"b/c"}"#,
            false,
        ),
        (
            r#"{"model":"a","stream":true,"stream_options":null}"#,
            r#"{"model":"b/c","stream":true,"stream_options":{"include_usage":true}}"#,
            false,
        ),
        (
            r#"{"model":"a","stream":true,"stream_options":{"include_usage": true}}"#,
            r#"{"model":"b/c","stream":true,"stream_options":{"include_usage": true}}"#,
            true,
        ),
        (
            r#"{"model":"a","stream":true,"stream_options":5}"#,
            r#"{"model":"b/c","stream":true,"stream_options":5}"#,
            false,
        ),
    ];
    for (body, expected, wanted) in cases {
        let fields = Fields::read(body.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(splice(&fields, "b/c")).unwrap(), expected);
        assert_eq!(usage_wanted(&fields), wanted, "{body}");
    }
}

fn write(request: &Request) -> (Value, Vec<String>) {
    let mut lost = Vec::new();
    (serde_json::from_slice(&write_request(request, &mut lost)).unwrap(), lost)
}

fn ask(model: &str) -> Request {
    Request {
        model: model.to_owned(),
        messages: vec![Message { role: Role::User, parts: vec![Part::text("a")] }],
        ..Request::default()
    }
}

#[test]
fn the_smallest_request_is_small() {
    let (body, lost) = write(&ask("m"));
    assert_eq!(body, json!({"model": "m", "messages": [{"role": "user", "content": "a"}]}));
    assert!(lost.is_empty());
    let (body, _) = write(&Request { stream: true, ..ask("m") });
    assert_eq!((&body["stream"], &body["stream_options"]), (&json!(true), &json!({"include_usage": true})));
}

#[test]
fn tool_results_stand_before_all_else_of_their_turn() {
    let image =
        Part::new(Content::Image(Media::Inline { media_type: "image/png".to_owned(), data: "QUJD".to_owned() }));
    let mut failed = result("b", vec![Part::text("no such file")]);
    if let Content::ToolResult { is_error, .. } = &mut failed.content {
        *is_error = true;
    }
    let messages = vec![
        Message { role: Role::System, parts: vec![Part::text("s"), Part::text("t")] },
        Message {
            role: Role::Assistant,
            parts: vec![
                Part::new(Content::ToolCall(a_call("a", "f", ""))),
                Part::new(Content::ToolCall(a_call("b", "g", "{\"x\":1}"))),
            ],
        },
        Message {
            role: Role::User,
            parts: vec![
                Part::text("go on"),
                result("a", vec![Part::text("1"), Part::text("2"), image.clone()]),
                failed,
                result("c", vec![]),
                result("d", vec![image]),
            ],
        },
    ];
    let (body, lost) = write(&Request { messages, ..ask("m") });
    let url = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}});
    let expected = json!([
        {"role": "system", "content": [{"type": "text", "text": "s"}, {"type": "text", "text": "t"}]},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{\"x\":1}"}},
        ]},
        {"role": "tool", "tool_call_id": "a", "content": "1\n2"},
        {"role": "tool", "tool_call_id": "b", "content": "Error: no such file"},
        {"role": "tool", "tool_call_id": "c", "content": ""},
        {"role": "tool", "tool_call_id": "d", "content": "The result follows as a file in the next message."},
        {"role": "user", "content": [url, url, {"type": "text", "text": "go on"}]},
    ]);
    assert_eq!(body["messages"], expected);
    assert!(lost.is_empty());
}

#[test]
fn what_is_proven_goes_back_in_the_shape_it_had() {
    let entries = json!([
        {"type": "reasoning.text", "text": "hm", "signature": "s", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.summary", "summary": "so", "format": "xai-responses-v1", "id": "rs_1", "index": 1},
        {"type": "reasoning.encrypted", "data": "x", "format": "openai-responses-v1", "id": "rs_2", "index": 1},
        {"type": "reasoning.text", "text": "plain", "format": "unknown", "index": 2},
    ]);
    let call = json!({"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let said = json!({"role": "assistant", "content": null, "reasoning_details": entries, "tool_calls": [call]});
    let reply = json!({"id": "r", "choices": [{"index": 0, "message": said, "finish_reason": "tool_calls"}]});
    let whole = read_told(reply.to_string().as_bytes()).unwrap();
    // A stream has its entries in pieces, and the signature last.
    let pieces = [
        json!({"reasoning_details": [{"type": "reasoning.text", "text": "h", "format": "anthropic-claude-v1", "index": 0}]}),
        json!({"reasoning_details": [{"type": "reasoning.text", "text": "m", "signature": "", "index": 0}]}),
        json!({"reasoning_details": [{"type": "reasoning.text", "signature": "s", "format": "anthropic-claude-v1", "index": 0}]}),
        json!({"reasoning_details": [{"type": "reasoning.summary", "summary": "s", "format": "xai-responses-v1", "id": "rs_1", "index": 1}]}),
        json!({"reasoning_details": [{"type": "reasoning.summary", "summary": "o", "index": 1}, entries[2].clone()]}),
        json!({"reasoning_details": [entries[3].clone()]}),
        json!({"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "f", "arguments": "{}"}}]}),
    ];
    let (mut decoder, mut events) = (Decoder::default(), Vec::new());
    for delta in pieces {
        let chunk = json!({"id": "r", "choices": [{"index": 0, "delta": delta}]}).to_string();
        let frame = Frame { event: None, data: Some(chunk.into()) };
        decoder.frame(&frame, &mut events).unwrap();
    }
    let chunk = json!({"id": "r", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}).to_string();
    decoder.frame(&Frame { event: None, data: Some(chunk.into()) }, &mut events).unwrap();
    decoder.finish(&mut events);
    let streamed = Response::from_events(events);
    assert_eq!(streamed.parts, whole.parts);
    // Neither a model's own word for nothing nor an entry that proves nothing goes back.
    let owed = json!([entries[0], entries[1], entries[2]]);
    let messages = vec![Message { role: Role::Assistant, parts: whole.parts.clone() }];
    let (body, lost) = write(&Request { messages, ..ask("m") });
    assert_eq!(body["messages"][0]["reasoning_details"], owed);
    assert_eq!(lost, ["messages.reasoning"]);
    // Callers of this dialect get the same, and give it back.
    let told: Value = serde_json::from_slice(&write_response(&whole, &label(false))).unwrap();
    assert_eq!(told["choices"][0]["message"]["reasoning_details"][2], entries[2]);
    let again = json!({"model": "m", "messages": [told["choices"][0]["message"]]}).to_string();
    let read = read_request(&Fields::read(again.as_bytes()).unwrap()).unwrap();
    assert_eq!(read.messages[0].parts[..3], whole.parts[..3]);
}

#[test]
fn a_signature_without_a_shape_goes_back_as_an_entry() {
    let parts = vec![
        Part::new(Content::Reasoning { text: "hm".to_owned(), signature: Some("sig".to_owned()) }),
        Part::new(Content::SealedReasoning("sealed".to_owned())),
        Part::text("a"),
    ];
    let (body, lost) = write(&Request { messages: vec![Message { role: Role::Assistant, parts }], ..ask("m") });
    let said = json!({"role": "assistant", "content": "a", "reasoning_details": [
        {"type": "reasoning.text", "text": "hm", "signature": "sig", "index": 0},
        {"type": "reasoning.encrypted", "data": "sealed", "index": 1},
    ]});
    assert_eq!((body["messages"].clone(), lost), (json!([said]), Vec::<String>::new()));
    // Pitfall: some models refuse a tool turn without the thoughts that led to it.
    let thought = Part::new(Content::Reasoning { text: "hm".to_owned(), signature: None });
    let messages = vec![Message { role: Role::Assistant, parts: vec![thought, Part::text("a")] }];
    let (body, lost) = write(&Request { messages, ..ask("deepseek/deepseek-v4") });
    let said = json!({"role": "assistant", "content": "a", "reasoning_content": "hm"});
    assert_eq!((body["messages"].clone(), lost), (json!([said]), Vec::<String>::new()));
}

#[test]
fn a_tool_has_a_schema_and_no_null() {
    // Pitfall: newer models refuse `description: null`.
    let tool =
        |schema: Option<Json>, cache: Option<Json>| Tool { name: "f".to_owned(), schema, cache, ..Tool::default() };
    let tools = vec![tool(None, None), tool(Some(raw(r#"{"type":"object"}"#)), Some(raw("{}")))];
    let choice = Some(ToolChoice::Named("f".to_owned()));
    let (body, lost) = write(&Request { tools, tool_choice: choice.clone(), parallel_tools: Some(false), ..ask("m") });
    let expected = json!([
        {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}},
        {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}},
    ]);
    assert_eq!((body["tools"].clone(), lost), (expected, vec!["cache_control".to_owned()]));
    assert_eq!(body["tool_choice"], json!({"type": "function", "function": {"name": "f"}}));
    assert_eq!(body["parallel_tool_calls"], false);
    let (body, _) = write(&Request { tool_choice: choice, parallel_tools: Some(true), ..ask("m") });
    assert!(body.get("tool_choice").is_none() && body.get("parallel_tool_calls").is_none());
}

#[test]
fn reasoning_models_get_only_what_they_take() {
    let request = |model: &str| Request {
        max_tokens: Some(9),
        temperature: crate::wire::json::parse("0.5").unwrap(),
        top_p: crate::wire::json::parse("0.9").unwrap(),
        top_k: Some(3),
        stop: vec!["x".to_owned()],
        user: Some("u".repeat(65)),
        ..ask(model)
    };
    for model in ["o1", "o3-mini", "openai/o4-mini", "gpt-5", "a/b/gpt-5.1-codex", "gpt-6-astra", "openai/gpt-6.1-sol"]
    {
        let (body, lost) = write(&request(model));
        assert_eq!(body["max_completion_tokens"], 9, "{model}");
        let kept: Vec<&String> = body.as_object().unwrap().keys().collect();
        assert_eq!(kept, ["max_completion_tokens", "messages", "model"], "{model}");
        assert_eq!(lost, ["temperature", "top_p", "stop", "top_k", "user"], "{model}");
    }
    for model in ["gpt-4o", "llama-o3", "openai/gpt-4.1", "gpt-35-turbo", "gpt-oss-120b"] {
        let (body, lost) = write(&request(model));
        assert_eq!((&body["max_tokens"], &body["temperature"]), (&json!(9), &json!(0.5)), "{model}");
        assert_eq!(lost, ["top_k", "user"], "{model}");
    }
}

#[test]
fn effort_is_a_word() {
    let cases = [
        ("m", Effort::Budget(1024), json!("low"), false),
        ("m", Effort::Budget(4096), json!("medium"), false),
        ("m", Effort::Budget(16384), json!("high"), false),
        ("m", Effort::Level("minimal".to_owned()), json!("minimal"), false),
        ("m", Effort::Level("max".to_owned()), json!("high"), false),
        ("m", Effort::Adaptive, json!(null), true),
        ("m", Effort::Off, json!(null), false),
        ("gpt-5", Effort::Off, json!(null), true),
        ("gpt-4o", Effort::Level("high".to_owned()), json!(null), true),
    ];
    for (model, effort, expected, lost) in cases {
        let (body, names) = write(&Request { reasoning: Some(effort.clone()), ..ask(model) });
        assert_eq!((&body["reasoning_effort"], names == ["thinking"]), (&expected, lost), "{model} {effort:?}");
    }
}

#[test]
fn tools_silence_the_reasoning_of_models_that_refuse_both() {
    let high = || Some(Effort::Level("high".to_owned()));
    let cases = [
        ("gpt-5.2", high(), json!("none"), true),
        ("gpt-5.4-mini", high(), json!("none"), true),
        ("gpt-5.6-terra", None, json!("none"), false),
        ("gpt-5.6-terra", Some(Effort::Off), json!("none"), false),
        ("gpt-6-sol", Some(Effort::Adaptive), json!("none"), true),
        // Behind others it is they who know how to ask.
        ("openai/gpt-5.4", high(), json!("high"), false),
        ("gpt-5.1", high(), json!("high"), false),
        ("gpt-5", high(), json!("high"), false),
        ("gpt-oss-120b", high(), json!("high"), false),
        ("m", None, json!(null), false),
    ];
    for (model, reasoning, expected, lost) in cases {
        let tools = vec![Tool { name: "f".to_owned(), ..Tool::default() }];
        let (body, names) = write(&Request { reasoning: reasoning.clone(), tools, ..ask(model) });
        assert_eq!((&body["reasoning_effort"], names == ["thinking"]), (&expected, lost), "{model} {reasoning:?}");
    }
    let (body, _) = write(&Request { reasoning: high(), ..ask("gpt-5.6") });
    assert_eq!(body["reasoning_effort"], "high");
}

#[test]
fn formats_are_written() {
    let schema = Format::Schema { name: "x".to_owned(), schema: raw("{}"), strict: Some(true) };
    let (body, _) = write(&Request { format: Some(schema), ..ask("m") });
    let expected = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": {}, "strict": true}});
    assert_eq!(body["response_format"], expected);
    let (body, _) = write(&Request { format: Some(Format::Json), ..ask("m") });
    assert_eq!(body["response_format"], json!({"type": "json_object"}));
}

// Errors and models.

#[test]
fn errors_have_the_shape_of_the_dialect() {
    let cases = [
        (
            Error::field("n", "is wrong"),
            json!({"message": "n: is wrong", "type": "invalid_request_error", "param": "n", "code": null}),
        ),
        (
            Error::new(Kind::Unauthenticated, "no"),
            json!({"message": "no", "type": "invalid_request_error", "param": null, "code": "invalid_api_key"}),
        ),
        (
            Error::new(Kind::RateLimited, "slow"),
            json!({"message": "slow", "type": "requests", "param": null, "code": "rate_limit_exceeded"}),
        ),
        (
            Error::new(Kind::Upstream(404), "gone"),
            json!({"message": "gone", "type": "invalid_request_error", "param": null, "code": "model_not_found"}),
        ),
        (
            Error::new(Kind::Cut, "cut \"here\"\n"),
            json!({"message": "cut \"here\"\n", "type": "server_error", "param": null, "code": "upstream_cut"}),
        ),
    ];
    for (error, expected) in cases {
        let body: Value = serde_json::from_slice(&error_body(&error)).unwrap();
        assert_eq!(body, json!({"error": expected}));
        let frame = String::from_utf8(error_frame(&error)).unwrap();
        let data = frame.strip_prefix("data: ").and_then(|rest| rest.strip_suffix("\n\n")).unwrap();
        assert_eq!(serde_json::from_str::<Value>(data).unwrap(), body);
    }
}

#[test]
fn an_upstreams_error_is_found_in_any_shape() {
    let cases: &[(&str, Option<&str>)] = &[
        (r#"{"error":{"message":"m","type":"t","code":400}}"#, Some("m")),
        (r#"{"error":"m"}"#, Some("m")),
        (r#"{"message":"m","object":"error"}"#, Some("m")),
        (r#"{"detail":"m"}"#, Some("m")),
        (r#"{"detail":[{"loc":["body"],"msg":"m"}]}"#, Some(r#"[{"loc":["body"],"msg":"m"}]"#)),
        (r#"{"error":null,"message":"m"}"#, Some("m")),
        (r#"{"error":{"code":1},"message":"m"}"#, Some("m")),
        (r#"{"error":{"message":""}}"#, None),
        (r#"{"status":"bad"}"#, None),
        ("<html>Bad gateway</html>", None),
        ("", None),
    ];
    for (body, expected) in cases {
        assert_eq!(read_error(body.as_bytes()).as_deref(), *expected, "{body}");
    }
}

fn read_told(body: &[u8]) -> Result<Response, Malformed> {
    read_response(body, &Rule::default())
}
