//! The same dialect on both sides: the gateway changes the model's name, and not a byte more.

use serde_json::json;

use super::{Pair, add_all_callers, add_callers};
use crate::answer::Answer;
use crate::caller::{Dialect, read_list};
use crate::client;
use crate::suite::Suite;
use crate::test::{Test, Totals};
use crate::upstream::Provider;

pub(crate) fn add(suite: &mut Suite) {
    add_all_callers(suite, "bytes", "a_request_arrives_byte_for_byte", request);
    add_all_callers(suite, "bytes", "a_streamed_request_arrives_byte_for_byte", streamed_request);
    for model in ["text", "tools", "thinking"] {
        add_all_callers(
            suite,
            "bytes",
            &format!("a_whole_reply_returns_byte_for_byte::{model}"),
            move |test, dialect| async move {
                let reply = test.answer(dialect, &dialect.request(&dialect.own().target(model), &test.prompt())).await;
                assert_eq!(reply.body, test.exchange().sent());
            },
        );
    }
    for model in ["crlf-text", "comments-text", "bytewise-tools", "bytewise-crlf-text"] {
        add_callers(suite, "bytes", &format!("a_stream_returns_byte_for_byte::{model}"), move |test, dialect| {
            stream(test, dialect, model)
        });
    }
    for model in ["text", "tools", "thinking"] {
        add_all_callers(suite, "bytes", &format!("a_stream_returns_byte_for_byte::{model}"), move |test, dialect| {
            stream(test, dialect, model)
        });
    }
    for status in [400, 403, 404, 413, 422] {
        add_all_callers(
            suite,
            "bytes",
            &format!("an_error_returns_byte_for_byte::{status}"),
            move |test, dialect| async move {
                let model = dialect.own().target(&format!("status-{status}"));
                for request in [dialect.request(&model, &test.prompt()), dialect.streamed(&model, &test.prompt())] {
                    let reply = test.ask(dialect, &request).await;
                    assert_eq!(reply.status, status);
                    let exchanges = test.upstream.exchanges(&test.marker);
                    assert_eq!(reply.body, exchanges.last().expect("the upstream was asked").sent());
                }
            },
        );
    }
    for model in ["text", "thinking"] {
        for provider in [Provider::AnthropicOnBedrock, Provider::AnthropicOnVertex] {
            let name = format!("bytes::anthropic::{}_returns_what_anthropic_said::{model}", provider.name());
            suite.add(&name, move |test| reframed(test, provider, model));
        }
        for provider in [Provider::Gemini, Provider::Anthropic, Provider::Ollama] {
            let name = format!("bytes::gemini::a_stream_from_{}_may_be_one_list::{model}", provider.name());
            suite.add(&name, move |test| list(test, provider, model));
        }
    }
    suite.add("bytes::openai_chat::usage_that_the_caller_did_not_ask_for_is_counted_and_withheld", unasked_usage);
    suite.add("bytes::openai_chat::the_upstreams_request_id_returns", |test| async move {
        let reply =
            test.answer(Dialect::OpenaiChat, &Dialect::OpenaiChat.request("up-openai/text", &test.prompt())).await;
        assert_eq!(reply.header("x-request-id"), Some("req_scripted1"));
    });
}

async fn stream(test: Test, dialect: Dialect, model: &str) {
    let reply = test.answer(dialect, &dialect.streamed(&dialect.own().target(model), &test.prompt())).await;
    assert_eq!(reply.text(), String::from_utf8_lossy(&test.exchange().sent()));
}

async fn request(test: Test, dialect: Dialect) {
    verbatim(test, dialect, false).await;
}

async fn streamed_request(test: Test, dialect: Dialect) {
    verbatim(test, dialect, true).await;
}

/// Odd spacing, order, escapes and numbers, and where the upstream lets them pass, fields that nobody knows.
async fn verbatim(test: Test, dialect: Dialect, stream: bool) {
    let odd = "{\"z\":[1e3, 1.50,-0.0, 12345678901234567890.123], \"a\":\"\\u00e9é\\/\"}";
    let prompt = format!("\"{}\\ud83d\\ude42\"", test.prompt());
    let more = if stream { ", \"stream\" :true" } else { "" };
    let body = |model: &str| match dialect {
        Dialect::OpenaiChat | Dialect::Anthropic => {
            let usage = if stream && dialect == Dialect::OpenaiChat {
                ", \"stream_options\": {\"include_usage\":true } "
            } else {
                ""
            };
            format!(
                "{{ \"unknown\" : {odd},\n\t\"messages\":[ {{\"role\":\"user\",\"cache_control\":null,\"content\":{prompt}}} ],\r\n \
                 \"model\" : \"{model}\"  ,\"max_tokens\":64,\"metadata\":{{\"model\":\"not/this\"}},\"temperature\":1.00{more}{usage}}}\n"
            )
        }
        Dialect::OpenaiResponses => format!(
            "{{ \"metadata\" : {odd},\n\t\"input\":[ {{\"role\":\"user\",\"content\":{prompt}}} ],\r\n \
             \"model\" : \"{model}\"  ,\"max_output_tokens\":64,\"text\":{{\"model\":\"not/this\"}}{more}}}\n"
        ),
        Dialect::Gemini => format!(
            "{{ \"labels\" : {odd},\n\t\"contents\":[ {{\"role\":\"user\",\"parts\":[ {{\"text\":{prompt}}}] }} ],\r\n \
             \"generationConfig\":{{\"maxOutputTokens\":64,\"temperature\":1.00}}}}\n"
        ),
    };
    let provider = dialect.own();
    let (path, _) = dialect.sent(&json!({"model": provider.target("text"), "stream": stream}));
    let headers = dialect.headers(&test.key);
    let asked = body(&provider.target("text"));
    let reply = client::send(test.host.address, "POST", &path, &headers, asked).await.whole().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let arrived = body(&format!("{}text", provider.family()));
    assert_eq!(String::from_utf8_lossy(&test.exchange().body), arrived);
}

/// A cloud's own framing is taken off, and what is in it stays.
async fn reframed(test: Test, provider: Provider, model: &'static str) {
    let dialect = Dialect::Anthropic;
    let target = provider.target(model);
    let reply = test.answer(dialect, &dialect.streamed(&target, &test.prompt())).await;
    let name = format!("{}{model}", provider.family());
    let frames = dialect.own().frames(&Answer::of(model), &name, &json!({}), false);
    let expected: Vec<u8> = frames.into_iter().flat_map(|frame| frame.bytes).collect();
    assert_eq!(reply.text(), String::from_utf8_lossy(&expected));
}

/// Gemini's stream without `alt=sse`.
async fn list(test: Test, provider: Provider, model: &'static str) {
    let dialect = Dialect::Gemini;
    let (path, body) = dialect.sent(&dialect.streamed(&provider.target(model), &test.prompt()));
    let path = path.trim_end_matches("?alt=sse");
    let reply = client::send(test.host.address, "POST", path, &dialect.headers(&test.key), body).await.whole().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(reply.header("content-type").is_some_and(|kind| kind.starts_with("application/json")));
    let (reading, problem) = read_list(&reply.body);
    assert!(problem.is_none(), "the list ended with an error: {problem:?}");
    Pair { caller: dialect, upstream: provider }.check(&reading, &Answer::of(model));
    if provider == dialect.own() {
        assert_eq!(reply.text(), String::from_utf8_lossy(&test.exchange().sent()));
    }
}

async fn unasked_usage(test: Test) {
    let dialect = Dialect::OpenaiChat;
    let mut request = dialect.request("up-openai/text", &test.prompt());
    request["stream"] = true.into();
    let reply = test.answer(dialect, &request).await;
    let sent = String::from_utf8_lossy(&test.exchange().sent()).into_owned();
    let withheld = sent.split_inclusive("\n\n").filter(|frame| !frame.contains("\"choices\":[]"));
    assert_eq!(reply.text(), withheld.collect::<String>());
    let usage = dialect.own().reports(Answer::of("text").usage);
    test.settles([("up-openai/text", Totals::of(1, "text", usage))]).await;
}
