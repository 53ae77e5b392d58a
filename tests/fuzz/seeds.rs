//! Whole bodies to begin with: what our own encoders write of a few answers, small cases of the other dialects, and
//! recordings where they lie beside the project.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tollgate::chat::{Content, Part, Response, Stop, StopReason, ToolCall, Usage};
use tollgate::dialect::ai_sdk::Version;
use tollgate::dialect::{Dialect, Inbound, Label};
use tollgate::platform::Platform;
use tollgate::wire::frame::Framing;

use super::CALLERS;

/// Stands in every content of a request, and in no error.
pub(super) const SECRET: &str = "plover";

pub(super) struct Stream {
    pub(super) dialect: Dialect,
    pub(super) platform: Platform,
    pub(super) framing: Framing,
    pub(super) body: Vec<u8>,
}

pub(super) struct Whole {
    pub(super) dialect: Dialect,
    pub(super) body: Vec<u8>,
}

pub(super) struct Asked {
    pub(super) caller: Inbound,
    pub(super) body: Vec<u8>,
}

fn answers() -> Vec<Response> {
    let call = |id: &str, arguments: &str| {
        let (id, name, arguments) = (id.to_owned(), "look".to_owned(), arguments.to_owned());
        Part::new(Content::ToolCall(ToolCall { id, name, arguments, signature: None }))
    };
    let thought = Content::Reasoning { text: "Hm, \u{1f980}".into(), signature: Some("c2lnbmVk".into()) };
    let usage = Some(Usage { input: 10, cached_input: 3, cache_write: 2, output: 5, reasoning: 1 });
    let response = |parts, reason| Response {
        id: "a1".into(),
        model: "m".into(),
        parts,
        stop: Stop { reason, native: None, sequence: None },
        usage,
    };
    vec![
        response(vec![Part::text("Hé\nllo")], StopReason::EndTurn),
        response(
            vec![Part::new(thought), Part::text("I look."), call("c1", r#"{"a":[1,{"b":"\n"}]}"#), call("c2", "{}")],
            StopReason::ToolUse,
        ),
    ]
}

pub(super) fn streams() -> Vec<Stream> {
    let mut streams = Vec::new();
    for caller in CALLERS {
        for answer in answers() {
            let framings: &[Framing] =
                if caller == Inbound::Gemini { &[Framing::Sse, Framing::Array] } else { &[Framing::Sse] };
            for framing in framings {
                let label = Label { id: "r".into(), usage_wanted: true, framing: *framing, ..Label::default() };
                let (mut encoder, mut body) = (caller.encoder(label), Vec::new());
                answer.events().iter().for_each(|event| encoder.event(event, &mut body));
                // No upstream speaks some of them.
                let Some(dialect) = caller.dialect() else { continue };
                if caller == Inbound::Anthropic {
                    let body = wrapped(&body);
                    streams.push(Stream { dialect, platform: Platform::Bedrock, framing: Framing::EventStream, body });
                }
                streams.push(native(dialect, *framing, body));
            }
        }
    }
    for (dialect, framing, body) in [(Dialect::Cohere, Framing::Sse, COHERE), (Dialect::Ollama, Framing::Lines, OLLAMA)]
    {
        streams.push(native(dialect, framing, body.as_bytes().to_vec()));
    }
    for (dialect, name, body) in recordings() {
        let framing = match name {
            "response.sse" => Framing::Sse,
            "response.ndjson" => Framing::Lines,
            "response.eventstream" => Framing::EventStream,
            _ => continue,
        };
        streams.push(native(dialect, framing, body));
    }
    streams
}

fn native(dialect: Dialect, framing: Framing, body: Vec<u8>) -> Stream {
    Stream { dialect, platform: Platform::Native, framing, body }
}

/// Events of Anthropic as Bedrock sends them: each in base64, in JSON, in a binary frame.
pub(super) fn wrapped(body: &[u8]) -> Vec<u8> {
    let data = body.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"data: "));
    let chunk = |data: &[u8]| frame("chunk", &format!(r#"{{"bytes":"{}","p":"ab"}}"#, STANDARD.encode(data)));
    data.flat_map(chunk).collect()
}

/// A binary frame of one event.
fn frame(event: &str, payload: &str) -> Vec<u8> {
    let crc = |bytes: &[u8]| {
        let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
        (!bytes.iter().fold(!0_u32, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))).to_be_bytes()
    };
    let mut head = Vec::new();
    for (name, value) in [(":event-type", event), (":message-type", "event")] {
        let length = u16::try_from(value.len()).unwrap().to_be_bytes();
        head.extend([&[u8::try_from(name.len()).unwrap()], name.as_bytes(), &[7], &length, value.as_bytes()].concat());
    }
    let length = |length: usize| u32::try_from(length).unwrap().to_be_bytes();
    let mut frame = [length(16 + head.len() + payload.len()), length(head.len())].concat();
    frame.extend(crc(&frame));
    frame.extend_from_slice(&head);
    frame.extend_from_slice(payload.as_bytes());
    frame.extend(crc(&frame));
    frame
}

pub(super) fn wholes() -> Vec<Whole> {
    let mut wholes = Vec::new();
    for caller in CALLERS {
        for answer in answers() {
            let body = caller.write_response(&answer, &Label::default());
            wholes.extend(caller.dialect().map(|dialect| Whole { dialect, body }));
        }
    }
    let recorded = recordings().into_iter().filter(|(_, name, _)| *name == "response.json");
    wholes.extend(recorded.map(|(dialect, _, body)| Whole { dialect, body }));
    wholes
}

pub(super) fn requests() -> Vec<Asked> {
    let caller_of = |dialect| CALLERS.into_iter().find(|caller| caller.dialect() == Some(dialect));
    let own = REQUESTS.iter().map(|(caller, body)| Asked { caller: *caller, body: body.as_bytes().to_vec() });
    let recorded = recordings().into_iter().filter(|(_, name, _)| *name == "request.json");
    let recorded = recorded.filter_map(|(dialect, _, body)| Some(Asked { caller: caller_of(dialect)?, body }));
    own.chain(recorded).collect()
}

/// Some of the small files of each dialect.
fn recordings() -> Vec<(Dialect, &'static str, Vec<u8>)> {
    let wire = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/wire");
    let folders = [
        ("openai-chat", Dialect::OpenaiChat),
        ("openai-chat.openrouter", Dialect::OpenaiChat),
        ("openai-chat.vercel", Dialect::OpenaiChat),
        ("anthropic-messages", Dialect::Anthropic),
        ("openai-responses", Dialect::OpenaiResponses),
        ("gemini", Dialect::Gemini),
        ("cohere-chat", Dialect::Cohere),
        ("ollama-chat", Dialect::Ollama),
        ("bedrock-converse", Dialect::BedrockConverse),
        ("openai-completions", Dialect::OpenaiCompletions),
    ];
    let names = ["request.json", "response.json", "response.sse", "response.ndjson", "response.eventstream"];
    let mut found = Vec::new();
    for (folder, dialect) in folders {
        let Ok(entries) = fs::read_dir(wire.join(folder)) else { continue };
        let mut cases: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        cases.sort();
        for case in cases.iter().step_by(5) {
            for name in names {
                let small = |body: &Vec<u8>| body.len() < RECORDING_BYTES_MAX;
                found.extend(fs::read(case.join(name)).ok().filter(small).map(|body| (dialect, name, body)));
            }
        }
    }
    found
}

const RECORDING_BYTES_MAX: usize = 12 * 1024;

const COHERE: &str = r#"data: {"type":"message-start","id":"a1","delta":{"message":{"role":"assistant","content":[],"tool_calls":[]}}}

data: {"type":"content-start","index":0,"delta":{"message":{"content":{"type":"text","text":""}}}}

data: {"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"Hello"}}}}

data: {"type":"content-end","index":0}

data: {"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"c1","type":"function","function":{"name":"look","arguments":""}}}}}

data: {"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"{\"a\":1}"}}}}}

data: {"type":"tool-call-end","index":0}

data: {"type":"message-end","delta":{"finish_reason":"TOOL_CALL","usage":{"billed_units":{"input_tokens":1,"output_tokens":2},"tokens":{"input_tokens":3,"output_tokens":4}}}}

data: [DONE]

"#;

const OLLAMA: &str = r#"{"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"","thinking":"Hm"},"done":false}
{"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"Hello"},"done":false}
{"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"look","arguments":{"a":1}}}]},"done":false}
{"model":"m","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":3,"eval_count":4}
"#;

const REQUESTS: &[(Inbound, &str)] = &[
    (
        Inbound::OpenaiChat,
        r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"max_tokens":9,"temperature":0.70,"stop":["x"],
        "messages":[{"role":"system","content":"plover"},{"role":"user","content":[{"type":"text","text":"plover"},
        {"type":"image_url","image_url":{"url":"data:image/png;base64,plover=="}},
        {"type":"image_url","image_url":{"url":"https://a.example/plover.png","detail":"low"}},
        {"type":"image_url","image_url":{"url":"https:\/\/a.example/1.png"}}]},
        {"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"look","arguments":"{\"a\":\"plover\"}"}}]},
        {"role":"tool","tool_call_id":"c1","content":"plover"}],
        "tools":[{"type":"function","function":{"name":"look","description":"plover","parameters":{"type":"object","properties":{"a":{"type":"string"}}},"strict":true}}],
        "tool_choice":{"type":"function","function":{"name":"look"}},"response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{"type":"object"}}}}"#,
    ),
    (
        Inbound::Anthropic,
        r#"{"model":"m","max_tokens":9,"stream":true,"thinking":{"type":"enabled","budget_tokens":1024},
        "system":[{"type":"text","text":"plover","cache_control":{"type":"ephemeral"}}],
        "messages":[{"role":"user","content":[{"type":"text","text":"plover"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"plover=="}},
        {"type":"image","source":{"type":"url","url":"https://a.example/plover.png"},"cache_control":{"type":"ephemeral"}}]},
        {"role":"assistant","content":[{"type":"thinking","thinking":"plover","signature":"cw=="},{"type":"tool_use","id":"c1","name":"look","input":{"a":"plover"}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":[{"type":"text","text":"plover"},
        {"type":"image","source":{"type":"url","url":"https://a.example/plover.png"}}],"is_error":true}]}],
        "tools":[{"name":"look","description":"plover","input_schema":{"type":"object"}}],"tool_choice":{"type":"tool","name":"look"}}"#,
    ),
    (
        Inbound::OpenaiResponses,
        r#"{"model":"m","instructions":"plover","stream":true,"store":false,"include":["reasoning.encrypted_content"],
        "input":[{"role":"user","content":[{"type":"input_text","text":"plover"},
        {"type":"input_image","image_url":"https://a.example/plover.png"}]},
        {"type":"reasoning","id":"r1","summary":[{"type":"summary_text","text":"plover"}],"encrypted_content":"cw=="},
        {"type":"function_call","call_id":"c1","name":"look","arguments":"{\"a\":\"plover\"}"},
        {"type":"function_call_output","call_id":"c1","output":"plover"}],
        "tools":[{"type":"function","name":"look","parameters":{"type":"object"}},{"type":"custom","name":"free"}],
        "reasoning":{"effort":"low"},"text":{"format":{"type":"text"}}}"#,
    ),
    (
        Inbound::Gemini,
        r#"{"model":"m","systemInstruction":{"parts":[{"text":"plover"}]},"contents":[{"role":"user","parts":[{"text":"plover"},{"inlineData":{"mimeType":"image/png","data":"plover=="}}]},
        {"role":"model","parts":[{"functionCall":{"name":"look","args":{"a":"plover"}},"thoughtSignature":"cw=="}]},
        {"role":"user","parts":[{"functionResponse":{"name":"look","response":{"result":"plover"}}}]}],
        "tools":[{"functionDeclarations":[{"name":"look","description":"plover","parameters":{"type":"OBJECT"}}]}],
        "generationConfig":{"maxOutputTokens":9,"temperature":0.5,"thinkingConfig":{"thinkingBudget":1}}}"#,
    ),
    (
        Inbound::AiSdk(Version::V4),
        r#"{"maxOutputTokens":9,"temperature":0.5,"prompt":[{"role":"system","content":"plover"},
        {"role":"user","content":[{"type":"text","text":"plover","providerOptions":{"anthropic":{"cacheControl":{"type":"ephemeral"}}}},
        {"type":"file","mediaType":"image/png","data":{"type":"data","data":"plover=="}},{"type":"file","mediaType":"text/plain","data":{"type":"text","text":"plover"}}]},
        {"role":"assistant","content":[{"type":"reasoning","text":"plover","providerOptions":{"tollgate":{"signature":"cw=="}}},
        {"type":"tool-call","toolCallId":"c1","toolName":"look","input":{"a":"plover"}}]},
        {"role":"tool","content":[{"type":"tool-result","toolCallId":"c1","toolName":"look","output":{"type":"content","value":[{"type":"text","text":"plover"}]}}]}],
        "tools":[{"type":"function","name":"look","description":"plover","inputSchema":{"type":"object"}}],"toolChoice":{"type":"tool","toolName":"look"},
        "responseFormat":{"type":"json","schema":{"type":"object"}},"providerOptions":{"openai":{"reasoningEffort":"low"},"anthropic":{"thinking":{"type":"enabled","budgetTokens":9}},
        "google":{"thinkingConfig":{"thinkingBudget":1}}}}"#,
    ),
    (Inbound::OpenaiCompletions, r#"{"model":"m","prompt":["plover"],"max_tokens":9,"n":1,"stream":false,"stop":"x"}"#),
];
