//! Small cases of our own, after the official documentation.

use serde_json::{Value, json};

use super::*;
use crate::catalog::models;
use crate::chat::{
    Block, Content, Effort, Event, Format, Grammar, Media, Message, Part, Request, Response, Role, Tool, ToolCall,
    ToolChoice,
};
use crate::dialect::{Decode, Encode, Label};
use crate::error::Kind;
use crate::wire::frame::Frame;

fn decode(frames: &[&str]) -> Vec<Event> {
    let (mut decoder, mut events) = (Decoder::default(), Vec::new());
    for data in frames {
        decoder.frame(&Frame { event: None, data: Some((*data).into()) }, &mut events).unwrap();
    }
    decoder.finish(&mut events);
    events
}

fn piece(parts: &str, more: &str) -> String {
    format!(
        r#"{{"candidates":[{{"content":{{"parts":[{parts}],"role":"model"}}{more}}}],"responseId":"r-1","modelVersion":"m"}}"#
    )
}

fn end_of(events: &[Event]) -> Option<Grammar> {
    events.iter().try_fold(Grammar::default(), |at, event| at.after(event)).ok()
}

fn start() -> Event {
    Event::Start { id: "r-1".into(), model: "m".into() }
}

fn stop(reason: StopReason, word: &str) -> Event {
    Event::Stop(Stop { reason, native: Some(word.into()), sequence: None })
}

#[test]
fn each_part_is_a_step_of_a_block() {
    let frames = [
        piece(r#"{"text":"hm","thought":true}"#, ""),
        piece(r#"{"text":"m","thought":true,"thoughtSignature":"s1"}"#, ""),
        piece(r#"{"text":"a"}"#, ""),
        piece(r#"{"text":"b","thoughtSignature":"s2"}"#, ""),
        piece(r#"{"functionCall":{"name":"f","args":{"x": 1}},"thoughtSignature":"s3"}"#, ""),
        piece(r#"{"functionCall":{"id":"own","name":"g"}}"#, r#","finishReason":"STOP""#),
    ];
    let events = decode(&frames.each_ref().map(String::as_str));
    let call = |id: &str, name: &str, signature: Option<&str>| {
        Event::Open(Block::ToolCall { id: id.into(), name: name.into(), signature: signature.map(str::to_owned) })
    };
    let expected = [
        start(),
        Event::Open(Block::Reasoning),
        Event::Reasoning("hm".into()),
        Event::Reasoning("m".into()),
        Event::Signature("s1".into()),
        Event::Close,
        Event::Open(Block::Text),
        Event::Text("a".into()),
        Event::Text("b".into()),
        Event::Close,
        Event::Open(Block::SealedReasoning("s2".into())),
        Event::Close,
        call("call_r1_0", "f", Some("s3")),
        Event::Arguments(r#"{"x": 1}"#.into()),
        Event::Close,
        call("own", "g", None),
        Event::Arguments("{}".into()),
        Event::Close,
        stop(StopReason::ToolUse, "STOP"),
        Event::End,
    ];
    assert_eq!(events, expected);
    assert_eq!(end_of(&events), Some(Grammar::Ended));
}

#[test]
fn a_stream_without_a_reason_of_its_end_is_not_complete() {
    let events = decode(&[&piece(r#"{"text":"a"}"#, "")]);
    assert_eq!(end_of(&events), Some(Grammar::Inside(crate::chat::Kind::Text)));
    let blocked = r#"{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"responseId":"r-1","modelVersion":"m"}"#;
    let expected = [start(), stop(StopReason::Filtered, "PROHIBITED_CONTENT"), Event::End];
    assert_eq!(decode(&[blocked]), expected);
    let failed =
        decode(&[&piece(r#"{"text":"a"}"#, ""), r#"{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}"#]);
    assert_eq!(failed.last(), Some(&Event::Error { kind: Some("UNAVAILABLE".into()), message: "busy".into() }));
    assert_eq!(end_of(&failed), Some(Grammar::Failed));
}

#[test]
fn reasons_are_told_apart() {
    let cases = [
        ("STOP", StopReason::EndTurn),
        ("MAX_TOKENS", StopReason::Length),
        ("SAFETY", StopReason::Filtered),
        ("RECITATION", StopReason::Filtered),
        ("MALFORMED_FUNCTION_CALL", StopReason::Error),
        ("UNEXPECTED_TOOL_CALL", StopReason::Error),
        ("SOMETHING_NEW", StopReason::EndTurn),
    ];
    for (word, reason) in cases {
        let events = decode(&[&piece(r#"{"text":"a"}"#, &format!(r#","finishReason":"{word}""#))]);
        assert!(events.contains(&stop(reason, word)), "{word}: {events:?}");
    }
    let own = |reason| stop_word(&Stop { reason, native: Some("content_filter".into()), sequence: None }).to_owned();
    assert_eq!(own(StopReason::Filtered), "SAFETY");
    assert_eq!(own(StopReason::ToolUse), "STOP");
}

#[test]
fn thoughts_and_tools_count_too() {
    let usage = |text: &str| json::parse::<Tally>(text).unwrap().usage();
    let all = r#"{"promptTokenCount":10,"cachedContentTokenCount":4,"candidatesTokenCount":5,"thoughtsTokenCount":7,
        "toolUsePromptTokenCount":3,"totalTokenCount":25}"#;
    assert_eq!(usage(all), Some(Usage { input: 13, cached_input: 4, cache_write: 0, output: 12, reasoning: 7 }));
    assert_eq!(usage(r#"{"trafficType":"ON_DEMAND"}"#), None);
    let written: Value = serde_json::from_slice(&to_vec(&Tally::from(usage(all).unwrap()))).unwrap();
    let expected = json!({"promptTokenCount": 13, "cachedContentTokenCount": 4, "candidatesTokenCount": 5,
        "thoughtsTokenCount": 7, "totalTokenCount": 25});
    assert_eq!(written, expected);
}

#[test]
fn a_whole_answer_may_be_a_list() {
    let list =
        format!("[{},\n{}]", piece(r#"{"text":"a"}"#, ""), piece(r#"{"text":"b"}"#, r#","finishReason":"STOP""#));
    let response = read_response(list.as_bytes()).unwrap();
    assert_eq!(response.parts, [Part::text("ab")]);
    for body in ["{}", "[]", "[{\"error\":{\"code\":1}}]", "x", "{\"candidates\":1}"] {
        assert!(read_response(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn an_upstreams_message_is_found_in_every_shape() {
    let cases = [
        (r#"{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}"#, Some("m")),
        (r#"[{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}]"#, Some("m")),
        (r#"{"error":{"status":"UNAVAILABLE"}}"#, Some("UNAVAILABLE")),
        (r#"{"error":"m"}"#, Some("m")),
        (r#"{"message":"m"}"#, Some("m")),
        (r#"[]"#, None),
        ("<html>", None),
        (r#"{"error":{"code":7}}"#, None),
    ];
    for (body, expected) in cases {
        assert_eq!(read_error(body.as_bytes()).as_deref(), expected, "{body}");
    }
}

#[test]
fn models_are_listed_as_google_lists_them() {
    let known = models::Model { context: Some(9), can: [Need::Reasoning].into_iter().collect(), ..Default::default() };
    let models = [Model { id: "openai/gpt-5".into(), owner: "openai".into(), known }];
    let list: Value = serde_json::from_slice(&write_models(&models)).unwrap();
    let row = json!({"name": "models/openai/gpt-5", "displayName": "openai/gpt-5", "inputTokenLimit": 9, "thinking": true,
        "supportedGenerationMethods": ["generateContent", "streamGenerateContent", "countTokens"]});
    assert_eq!(list, json!({"models": [&row]}));
    assert_eq!(serde_json::from_slice::<Value>(&write_model(&models[0])).unwrap(), row);
    assert_eq!(write_count(7), br#"{"totalTokens":7}"#);
}

#[test]
fn the_wait_stands_among_the_details() {
    let body = |delay: &str| {
        format!(
            r#"{{"error":{{"code":429,"message":"m","details":[{{"@type":"type.googleapis.com/google.rpc.Help","links":[]}},
            {{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":{delay}}}]}}}}"#
        )
    };
    let cases = [("\"34.2s\"", Some("34.2")), ("\"0s\"", Some("0")), ("\"x\"", None), ("7", None)];
    for (delay, expected) in cases {
        assert_eq!(read_wait(body(delay).as_bytes()).as_deref(), expected);
        assert_eq!(read_wait(format!("[{}]", body(delay)).as_bytes()).as_deref(), expected);
    }
    assert_eq!(read_wait(b"{}"), None);
}

#[test]
fn an_error_has_the_shape_of_the_protocol() {
    let error = Error { retry_after: Some(3), ..Error::new(Kind::RateLimited, "slow") };
    let body: Value = serde_json::from_slice(&error_body(&error)).unwrap();
    let details = json!([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3s"}]);
    let expected = json!({"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED", "details": details});
    assert_eq!(body, json!({"error": expected}));
    let frame = error_frame(&Error::new(Kind::Cut, "a\nb"));
    let frame = std::str::from_utf8(&frame).unwrap();
    assert!(frame.starts_with("data: {\"error\":{\"code\":502") && frame.ends_with("}\r\n\r\n"), "{frame}");
}

#[test]
fn what_is_written_reads_the_same() {
    let call = |arguments: &str, signature: Option<&str>| {
        Part::new(Content::ToolCall(ToolCall {
            id: "c".into(),
            name: "f".into(),
            arguments: arguments.into(),
            signature: signature.map(str::to_owned),
        }))
    };
    let response = Response {
        id: "i".into(),
        model: "m".into(),
        parts: vec![
            Part::new(Content::Reasoning { text: "hm".into(), signature: Some("s".into()) }),
            Part::text("a"),
            Part::new(Content::SealedReasoning("t".into())),
            call("{\n \"x\": 1\r\n}", Some("u")),
        ],
        stop: Stop { reason: StopReason::ToolUse, native: Some("STOP".into()), sequence: None },
        usage: Some(Usage { input: 1, output: 2, ..Usage::default() }),
    };
    assert_eq!(read_response(&write_response(&response, &Label::default())), Ok(response.clone()));
    let mut encoder = Encoder::new(Label::default());
    let mut out = Vec::new();
    response.events().iter().for_each(|event| encoder.event(event, &mut out));
    let text = String::from_utf8(out).unwrap();
    let frames: Vec<&str> = text.split("\r\n\r\n").filter_map(|frame| frame.strip_prefix("data: ")).collect();
    assert!(frames.iter().all(|frame| !frame.contains('\n')));
    let mut expected = response;
    expected.parts[3] = call("{  \"x\": 1  }", Some("u"));
    assert_eq!(decode(&frames).len(), expected.events().len());
    assert!(decode(&frames).contains(&Event::Arguments("{  \"x\": 1  }".into())));
}

#[test]
fn a_model_and_a_verb_make_a_url() {
    let base = "https://g/v1beta";
    let cases = [
        ("gemini-3-pro", Ask::Answer, "/models/gemini-3-pro:generateContent"),
        ("a", Ask::Stream(Framing::Sse), "/models/a:streamGenerateContent?alt=sse"),
        ("a", Ask::Stream(Framing::Array), "/models/a:streamGenerateContent"),
        ("a b?c", Ask::TokenCount, "/models/a%20b%3Fc:countTokens"),
        ("tunedModels/x", Ask::Answer, "/tunedModels/x:generateContent"),
    ];
    for (model, ask, expected) in cases {
        assert_eq!(url(base, model, ask), format!("{base}{expected}"));
    }
    assert_eq!(credential("AIza").0, "x-goog-api-key");
    assert_eq!(credential("ya29.x"), ("authorization", "Bearer ya29.x".to_owned()));
}

#[test]
fn only_the_model_is_replaced() {
    let splice = |body: &str| String::from_utf8(splice(&Fields::read(body.as_bytes()).unwrap(), "b")).unwrap();
    assert_eq!(splice(r#"{ "contents":[] }"#), r#"{ "contents":[] }"#);
    assert_eq!(splice(r#"{"model":"models/a"}"#), r#"{"model":"models/b"}"#);
    assert_eq!(
        splice(r#"{"generateContentRequest":{ "model":"models/a","contents":[]}}"#),
        r#"{"generateContentRequest":{ "model":"models/b","contents":[]}}"#
    );
}

fn read(body: &str) -> Request {
    read_request(&Fields::read(body.as_bytes()).unwrap()).unwrap()
}

#[test]
fn both_spellings_are_read() {
    let camel = r#"{"systemInstruction":{"parts":[{"text":"s"}]},"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":"QQ=="}}]}],
        "tools":[{"functionDeclarations":[{"name":"f","parametersJsonSchema":{"type":"object"}}]}],
        "toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["f"]}},
        "generationConfig":{"maxOutputTokens":9,"stopSequences":["x"],"topK":40.0,"thinkingConfig":{"thinkingBudget":-1,"includeThoughts":true}}}"#;
    let mut snake = camel.to_owned();
    for c in 'A'..='Z' {
        // Values in capitals stand alone or after other capitals.
        snake = snake.replace("ANY", "any").replace(c, &format!("_{}", c.to_ascii_lowercase()));
    }
    let snake = snake.replace("_q_q==", "QQ==");
    let (camel, snake) = (read(camel), read(&snake));
    assert_eq!(format!("{camel:?}"), format!("{snake:?}"));
    assert_eq!((camel.max_tokens, camel.top_k, camel.stop.len()), (Some(9), Some(40), 1));
    assert_eq!(camel.tool_choice, Some(ToolChoice::Named("f".into())));
    assert_eq!((camel.reasoning, camel.reasoning_told), (Some(Effort::Adaptive), Some(true)));
    assert_eq!(camel.messages.len(), 2);
    assert_eq!(camel.unread, Vec::<String>::new());
}

#[test]
fn results_find_their_calls_by_name_and_order() {
    let request = read(
        r#"{"contents":[{"role":"model","parts":[{"functionCall":{"name":"f","args":{"a":1}}},{"functionCall":{"name":"g"}},{"functionCall":{"name":"f"}}]},
        {"role":"user","parts":[{"functionResponse":{"name":"f","response":{"r":1}}},{"functionResponse":{"name":"f","response":{"error":"no"}}},
        {"functionResponse":{"id":"unknown","name":"g","response":{"r":3}}}]}]}"#,
    );
    let results: Vec<(&str, bool)> = request.messages[1]
        .parts
        .iter()
        .map(|part| match &part.content {
            Content::ToolResult { call, is_error, .. } => (call.as_str(), *is_error),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(results, [("call_0", false), ("call_2", true), ("call_1", false)]);
}

#[test]
fn the_pieces_of_a_thought_are_one_thought_with_their_signature() {
    let pieces = r#"{"text":"h","thought":true},{"text":"m","thought":true},{"text":"","thought":true,"thoughtSignature":"c2ln"}"#;
    let next = r#"{"text":"so","thought":true},{"text":"a"}"#;
    let request = read(&format!(r#"{{"contents":[{{"role":"model","parts":[{pieces},{next}]}}]}}"#));
    let thought = |text: &str, signature: Option<&str>| {
        Part::new(Content::Reasoning { text: text.into(), signature: signature.map(str::to_owned) })
    };
    assert_eq!(request.messages[0].parts, [thought("hm", Some("c2ln")), thought("so", None), Part::text("a")]);
}

#[test]
fn the_pieces_of_a_text_are_one_text() {
    let pieces = r#"{"text":"The sum of"},{"text":" "},{"text":"5"}"#;
    let contents = format!(
        r#"{{"role":"model","parts":[{pieces}]}},{{"role":"model","parts":[{{"text":"5."}}]}},
        {{"role":"user","parts":[{{"text":"a"}},{{"text":"b"}}]}}"#
    );
    let request = read(&format!(r#"{{"contents":[{contents}]}}"#));
    let said: Vec<&[Part]> = request.messages.iter().map(|message| message.parts.as_slice()).collect();
    // What the user wrote in two parts stays two.
    assert_eq!(said, [[Part::text("The sum of 55.")].as_slice(), [Part::text("a"), Part::text("b")].as_slice()]);
}

#[test]
fn a_result_that_is_a_text_in_an_object_is_a_text() {
    let result = |response: &str| {
        let part = format!(r#"{{"functionResponse":{{"name":"f","response":{response}}}}}"#);
        let request = read(&format!(r#"{{"contents":[{{"role":"user","parts":[{part}]}}]}}"#));
        match &request.messages[0].parts[0].content {
            Content::ToolResult { parts, is_error, .. } => (parts.clone(), *is_error),
            other => panic!("{other:?}"),
        }
    };
    let cases = [
        (r#"{"output":"40 C"}"#, "40 C", false),
        (r#"{"result":"40 C"}"#, "40 C", false),
        (r#"{"error":"no such city"}"#, "no such city", true),
        (r#"{"error":{"code":1}}"#, r#"{"error":{"code":1}}"#, true),
        (r#"{"output":40}"#, r#"{"output":40}"#, false),
        (r#"{"output":"a","more":"b"}"#, r#"{"output":"a","more":"b"}"#, false),
        (r#"{"city":"Oslo"}"#, r#"{"city":"Oslo"}"#, false),
    ];
    for (response, text, is_error) in cases {
        assert_eq!(result(response), (vec![Part::text(text)], is_error), "{response}");
    }
}

#[test]
fn a_signature_comes_in_either_alphabet() {
    let request = read(
        r#"{"contents":[{"role":"model","parts":[{"functionCall":{"name":"f"},"thoughtSignature":"a-_b"},{"text":"","thoughtSignature":"ab"},
        {"functionCall":{"name":"f"},"thoughtSignature":"skip_thought_signature_validator"}]}]}"#,
    );
    let signatures: Vec<Option<&str>> = request.messages[0]
        .parts
        .iter()
        .map(|part| match &part.content {
            Content::ToolCall(call) => call.signature.as_deref(),
            Content::SealedReasoning(sealed) => Some(sealed.as_str()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(signatures, [Some("a+/b"), Some("ab=="), None]);
}

#[test]
fn what_has_no_place_is_named_and_not_refused() {
    let cases = [
        (r#""safetySettings":[]"#, "safetySettings"),
        (r#""cachedContent":"c""#, "cachedContent"),
        (r#""tools":[{"googleSearch":{}}]"#, "tools (googleSearch)"),
        (r#""generationConfig":{"candidateCount":2}"#, "generationConfig.candidateCount"),
        (r#""generationConfig":{"responseModalities":["IMAGE"]}"#, "generationConfig.responseModalities"),
        (r#""contents":[{"parts":[{"executableCode":{}}]}]"#, "contents.parts (executableCode)"),
    ];
    for (field, name) in cases {
        assert_eq!(read(&format!(r#"{{"contents":[],{field}}}"#)).unread, [name]);
    }
}

#[test]
fn what_is_wrong_is_said_with_its_path() {
    let cases = [
        ("{}", "contents: is missing"),
        (r#"{"contents":[{"role":"x","parts":[]}]}"#, "contents[0].role: must be \"user\" or \"model\""),
        (r#"{"contents":[{"parts":[{"text":1}]}]}"#, "contents[0].parts[0].text: must be a string"),
        (r#"{"contents":[{"parts":[{"functionCall":{}}]}]}"#, "contents[0].parts[0].functionCall.name: is missing"),
        (r#"{"contents":[7]}"#, "contents[0]: must be an object"),
        (
            r#"{"contents":[],"generationConfig":{"maxOutputTokens":"x"}}"#,
            "generationConfig.maxOutputTokens: must be a whole number",
        ),
    ];
    for (body, expected) in cases {
        let error = read_request(&Fields::read(body.as_bytes()).unwrap()).unwrap_err();
        assert_eq!(error.message, expected, "{body}");
    }
}

fn write(request: &Request) -> (Value, Vec<String>) {
    let mut lost = Vec::new();
    let body = write_request(request, &mut lost);
    (serde_json::from_slice(&body).unwrap(), lost)
}

fn message(role: Role, parts: Vec<Part>) -> Message {
    Message { role, parts }
}

#[test]
fn a_conversation_takes_the_shape_of_contents() {
    let call = |id: &str, name: &str, signature: Option<&str>| {
        Part::new(Content::ToolCall(ToolCall {
            id: id.into(),
            name: name.into(),
            arguments: r#"{"x":1}"#.into(),
            signature: signature.map(str::to_owned),
        }))
    };
    let result = |id: &str, text: &str, is_error| {
        Part::new(Content::ToolResult { call: id.into(), parts: vec![Part::text(text)], is_error })
    };
    let messages = vec![
        message(Role::System, vec![Part::text("s")]),
        message(Role::User, vec![Part::text("a")]),
        message(Role::Assistant, vec![Part::text("b"), call("1", "f", None), call("2", "g", None)]),
        message(Role::User, vec![result("2", "plain", false)]),
        message(Role::User, vec![result("1", r#"{"a":1}"#, false), result("1", "no", true)]),
        message(Role::User, vec![result("1", r##"{"$ref":"#/x"}"##, false)]),
        message(Role::Assistant, vec![call("3", "f", Some("sig"))]),
        message(Role::System, vec![Part::text("later")]),
    ];
    let mut request = Request { model: "gemini-3-pro".into(), messages, ..Request::default() };
    let (body, lost) = write(&request);
    assert_eq!(body["systemInstruction"], json!({"parts": [{"text": "s"}]}));
    let response = |id: &str, name: &str, response: Value| json!({"functionResponse": {"id": id, "name": name, "response": response}});
    let expected = json!([
        {"role": "user", "parts": [{"text": "a"}]},
        {"role": "model", "parts": [{"text": "b"},
            {"functionCall": {"id": "1", "name": "f", "args": {"x": 1}}, "thoughtSignature": "skip_thought_signature_validator"},
            {"functionCall": {"id": "2", "name": "g", "args": {"x": 1}}}]},
        {"role": "user", "parts": [response("2", "g", json!({"result": "plain"})), response("1", "f", json!({"a": 1})),
            response("1", "f", json!({"error": "no"})), response("1", "f", json!({"result": "{\"$ref\":\"#/x\"}"}))]},
        {"role": "model", "parts": [{"functionCall": {"id": "3", "name": "f", "args": {"x": 1}}, "thoughtSignature": "sig"}]},
        {"role": "user", "parts": [{"text": "later"}]},
    ]);
    assert_eq!(body["contents"], expected);
    assert_eq!(lost, Vec::<String>::new());
    // Earlier models know neither ids nor the stand-in.
    request.model = "gemini-2.5-flash".into();
    let text = write(&request).0.to_string();
    assert!(!text.contains("skip_thought") && !text.contains("\"id\""), "{text}");
}

#[test]
fn thinking_is_asked_for_as_each_generation_has_it() {
    let level = |level: &str| Effort::Level(level.into());
    let cases = [
        ("gemini-3-pro-preview", level("minimal"), json!({"thinkingLevel": "low"}), false),
        ("gemini-3.5-flash", level("minimal"), json!({"thinkingLevel": "minimal"}), false),
        ("gemini-3.5-flash", level("xhigh"), json!({"thinkingLevel": "high"}), false),
        ("gemini-flash-latest", Effort::Budget(5000), json!({"thinkingLevel": "medium"}), false),
        ("gemini-3-flash", Effort::Off, json!({"thinkingLevel": "minimal"}), true),
        ("gemini-3-flash", Effort::Adaptive, Value::Null, false),
        ("google/gemini-2.5-flash", level("low"), json!({"thinkingBudget": 1024}), false),
        ("gemini-2.5-flash", Effort::Off, json!({"thinkingBudget": 0}), false),
        ("gemini-2.5-pro", Effort::Off, json!({"thinkingBudget": 128}), true),
        ("gemini-2.5-pro", Effort::Budget(1 << 40), json!({"thinkingBudget": 32768}), false),
        ("gemini-2.5-flash-lite", Effort::Budget(1), json!({"thinkingBudget": 512}), false),
        ("gemini-2.5-flash", Effort::Adaptive, json!({"thinkingBudget": -1}), false),
        ("gemini-2.0-flash", level("high"), Value::Null, true),
        ("gemma-4", Effort::Off, Value::Null, false),
    ];
    for (model, effort, expected, loses) in cases {
        let request = Request { model: model.into(), reasoning: Some(effort.clone()), ..Request::default() };
        let (body, lost) = write(&request);
        assert_eq!(body["generationConfig"]["thinkingConfig"], expected, "{model} {effort:?}");
        assert_eq!(!lost.is_empty(), loses, "{model} {effort:?} {lost:?}");
    }
}

#[test]
fn a_request_is_written_whole() {
    let raw = |text: &str| crate::wire::json::parse::<crate::chat::Json>(text).unwrap();
    let url = |url: &str| Part::new(Content::Image(Media::Url(url.into())));
    let request = Request {
        model: "gemini-3-flash".into(),
        messages: vec![message(Role::User, vec![url("https://a/b.png?x=1"), url("data:,x")])],
        tools: vec![
            Tool { name: "f".into(), schema: Some(raw(r#"{"type":"object","properties":{}}"#)), ..Tool::default() },
            Tool {
                name: "g".into(),
                schema: Some(raw(r#"{"properties":{"a":{"type":"string","format":"uri"}}}"#)),
                strict: Some(true),
                ..Tool::default()
            },
        ],
        tool_choice: Some(ToolChoice::Required),
        parallel_tools: Some(false),
        max_tokens: Some(5),
        verbosity: Some("low".into()),
        format: Some(Format::Json),
        ..Request::default()
    };
    let (body, mut lost) = write(&request);
    let expected = json!({
        "contents": [{"role": "user", "parts": [{"fileData": {"mimeType": "image/png", "fileUri": "https://a/b.png?x=1"}}]}],
        "tools": [{"functionDeclarations": [{"name": "f"},
            {"name": "g", "parameters": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        "generationConfig": {"maxOutputTokens": 5, "responseMimeType": "application/json"},
    });
    assert_eq!(body, expected);
    let (body, losses) = write(&Request { model: "gemini-2.5-pro".into(), ..request });
    assert_eq!(body["generationConfig"], json!({"maxOutputTokens": 5}));
    assert!(losses.contains(&"response_format".to_owned()), "{losses:?}");
    lost.sort();
    assert_eq!(lost, ["messages.image", "parallel_tool_calls", "tools.parameters.format", "tools.strict", "verbosity"]);
}
