//! The same dialect on both sides: the gateway changes the model's name, and not a byte more.

use super::add_callers;
use crate::answer::Answer;
use crate::caller::Dialect;
use crate::suite::Suite;
use crate::test::{Test, Totals};

pub(crate) fn add(suite: &mut Suite) {
    add_callers(suite, "bytes", "a_request_arrives_byte_for_byte", request);
    add_callers(suite, "bytes", "a_streamed_request_arrives_byte_for_byte", streamed_request);
    for model in ["text", "tools", "thinking"] {
        add_callers(
            suite,
            "bytes",
            &format!("a_whole_reply_returns_byte_for_byte::{model}"),
            move |test, dialect| async move {
                let reply = test.answer(dialect, &dialect.request(&dialect.own().target(model), &test.prompt())).await;
                assert_eq!(reply.body, test.exchange().sent());
            },
        );
    }
    for model in ["text", "tools", "thinking", "crlf-text", "comments-text", "bytewise-tools", "bytewise-crlf-text"] {
        add_callers(
            suite,
            "bytes",
            &format!("a_stream_returns_byte_for_byte::{model}"),
            move |test, dialect| async move {
                let reply = test.answer(dialect, &dialect.streamed(&dialect.own().target(model), &test.prompt())).await;
                let (got, sent) = (reply.text(), String::from_utf8_lossy(&test.exchange().sent()).into_owned());
                assert_eq!(got, sent);
            },
        );
    }
    for status in [400, 403, 404, 413, 422] {
        add_callers(
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
    suite.add("bytes::openai_chat::usage_that_the_caller_did_not_ask_for_is_counted_and_withheld", unasked_usage);
    suite.add("bytes::openai_chat::the_upstreams_request_id_returns", |test| async move {
        let reply =
            test.answer(Dialect::OpenaiChat, &Dialect::OpenaiChat.request("up-openai/text", &test.prompt())).await;
        assert_eq!(reply.header("x-request-id"), Some("req_scripted1"));
    });
}

async fn request(test: Test, dialect: Dialect) {
    verbatim(test, dialect, "").await;
}

async fn streamed_request(test: Test, dialect: Dialect) {
    let stream = match dialect {
        Dialect::Anthropic => ", \"stream\" :true",
        _ => ", \"stream\" :true, \"stream_options\": {\"include_usage\":true } ",
    };
    verbatim(test, dialect, stream).await;
}

/// Odd spacing, order, escapes and numbers, and fields that nobody knows.
async fn verbatim(test: Test, dialect: Dialect, more: &str) {
    let body = |model: &str| {
        format!(
            "{{ \"unknown\" : {{\"z\":[1e3, 1.50,-0.0, 12345678901234567890.123], \"a\":\"\\u00e9é\\/\"}},\n\t\"messages\":\
             [ {{\"role\":\"user\",\"cache_control\":null,\"content\":\"{}\\ud83d\\ude42\"}} ],\r\n \"model\" : \"{model}\"  ,\
             \"max_tokens\":64,\"metadata\":{{\"model\":\"not/this\"}},\"temperature\":1.00{more}}}\n",
            test.prompt()
        )
    };
    let reply = test.open_bytes(dialect, body(&dialect.own().target("text"))).await.whole().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(String::from_utf8_lossy(&test.exchange().body), body("text"));
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
