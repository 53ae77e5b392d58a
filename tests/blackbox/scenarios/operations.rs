//! What can be asked besides a chat, and a chat in the ways that only some callers have: embeddings, rerankings, legacy
//! completions, counts of tokens, and keys where Google's clients put them.

use serde_json::{Value, json};

use super::add_all_callers;
use crate::answer::{Answer, Usage};
use crate::caller::Dialect;
use crate::client::{self, Whole};
use crate::sse;
use crate::suite::Suite;
use crate::test::{Test, Totals};
use crate::upstream::operations::{TOKENS, VECTOR, packed};
use crate::upstream::{Exchange, Provider};

pub(crate) fn add(suite: &mut Suite) {
    for provider in [Provider::OpenaiChat, Provider::Cohere, Provider::Ollama, Provider::Gemini] {
        for encoding in ["float", "base64"] {
            let name = format!("embeddings::{}::every_text_gets_its_vector::{encoding}", provider.name());
            suite.add(&name, move |test| embeddings(test, provider, encoding));
        }
    }
    for (path, what) in [("/v1/embeddings", "embeddings"), ("/v1/rerank", "rerank")] {
        suite.add(&format!("{what}::anthropic::has_none_and_is_not_asked"), move |test| not_asked(test, path));
    }
    for provider in [Provider::OpenaiChat, Provider::Cohere] {
        for path in ["/v1/rerank", "/v2/rerank"] {
            let name = format!("rerank::{}::a_request_and_its_answer_go_through_as_they_are::{path}", provider.name());
            suite.add(&name, move |test| rerank(test, provider, path));
        }
    }
    for stream in [false, true] {
        let how = if stream { "streamed" } else { "whole" };
        suite.add(&format!("completions::own::an_answer_returns_byte_for_byte::{how}"), move |test| async move {
            let reply = complete(&test, "up-legacy/text", stream).await;
            assert_eq!(reply.text(), String::from_utf8_lossy(&test.exchange().sent()));
            let usage = Provider::OpenaiChat.reports(Answer::of("text").usage);
            test.settles([("up-legacy/text", Totals::of(1, "unpriced", usage))]).await;
        });
        for provider in [Provider::Anthropic, Provider::Gemini, Provider::Ollama] {
            let name = format!("completions::{}::a_chat_completes_the_prompt::{how}", provider.name());
            suite.add(&name, move |test| completed_by_a_chat(test, provider, stream));
        }
    }
    for (caller, upstream) in [
        (Dialect::Anthropic, Provider::Anthropic),
        (Dialect::Anthropic, Provider::OpenaiChat),
        (Dialect::Gemini, Provider::Gemini),
        (Dialect::Gemini, Provider::Cohere),
    ] {
        let name = format!("count_tokens::{}_to_{}::says_whether_it_is_an_estimate", caller.name(), upstream.name());
        suite.add(&name, move |test| count(test, caller, upstream));
    }
    for (path, dialect) in [
        ("/v1/explain", Dialect::OpenaiChat),
        ("/v1/explain/v1/chat/completions", Dialect::OpenaiChat),
        ("/v1/explain/v1/messages", Dialect::Anthropic),
    ] {
        let name = format!("explain::{}::says_whom_it_would_ask_and_asks_nobody", path.trim_start_matches('/'));
        suite.add(&name, move |test| explain(test, path, dialect));
    }
    suite.add("models::are_listed_as_google_does_for_its_clients", google_models);
    for upstream in [Provider::Gemini, Provider::Anthropic] {
        let name = format!("keys::{}::a_key_in_the_query_opens_and_is_not_passed_on", upstream.name());
        suite.add(&name, move |test| key_in_query(test, upstream));
    }
    add_all_callers(suite, "keys", "a_key_in_any_header_opens_and_is_not_passed_on", key_in_any_header);
}

async fn post(test: &Test, path: &str, body: &Value) -> Whole {
    let headers = Dialect::OpenaiChat.headers(&test.key);
    client::send(test.host.address, "POST", path, &headers, body.to_string()).await.whole().await
}

async fn embeddings(test: Test, provider: Provider, encoding: &str) {
    let target = provider.target("embed");
    let input = [test.prompt(), "Another.".to_owned()];
    let body = json!({"model": target, "input": input, "encoding_format": encoding});
    let reply = post(&test, "/v1/embeddings", &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("x-tollgate-target"), Some(target.as_str()));
    let list = reply.json();
    let vector = if encoding == "float" { json!(VECTOR) } else { json!(packed()) };
    let data = [0, 1].map(|index| json!({"object": "embedding", "index": index, "embedding": vector}));
    assert_eq!((&list["object"], &list["data"]), (&json!("list"), &json!(data)));
    assert_eq!(list["usage"], json!({"prompt_tokens": TOKENS, "total_tokens": TOKENS}));
    assert!(list["model"].as_str().is_some_and(|model| model.ends_with("embed")), "{list}");
    test.settles([(&target, Totals::of(1, "unpriced", Usage { input: TOKENS, ..Usage::default() }))]).await;
}

async fn not_asked(test: Test, path: &str) {
    let body = json!({"model": "up-anthropic/text", "input": test.prompt(), "query": "q", "documents": ["a"]});
    let reply = post(&test, path, &body).await;
    assert_eq!(reply.status, 400, "{}", reply.text());
    assert_eq!(Dialect::OpenaiChat.read_error(&reply.body).kind, "invalid_request_error");
    assert!(test.upstream.exchanges(&test.marker).is_empty());
    test.settles([]).await;
}

async fn explain(test: Test, path: &str, dialect: Dialect) {
    let target = Provider::Anthropic.target("text");
    let body =
        json!({"model": target, "max_tokens": 9, "seed": 1, "messages": [{"role": "user", "content": test.prompt()}]});
    let reply = post(&test, path, &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let told = reply.json();
    assert_eq!((&told["object"], &told["model"]), (&json!("explanation"), &json!(target)));
    let place = &told["targets"][0];
    assert_eq!((&place["target"], &place["dialect"]), (&json!(target), &json!("anthropic")), "{told}");
    // Within its own dialect a field that is not known is passed on and not lost.
    let lost = if dialect == Dialect::Anthropic { Value::Null } else { json!(["seed"]) };
    assert_eq!(place["lost"], lost, "{told}");
    let wrong = post(&test, path, &json!({"model": "no-such-model", "messages": []})).await;
    assert_eq!(wrong.status, 404, "{}", wrong.text());
    assert!(test.upstream.exchanges(&test.marker).is_empty());
    test.settles([]).await;
}

async fn rerank(test: Test, provider: Provider, path: &str) {
    let target = provider.target("rerank");
    let body = |model: &str| {
        format!(
            "{{ \"query\" : \"{}\",\n\"documents\":[\"a\\u00e9\", \"b\"] ,\"top_n\":2, \"model\":\"{model}\" }}",
            test.prompt()
        )
    };
    let headers = Dialect::OpenaiChat.headers(&test.key);
    let reply = client::send(test.host.address, "POST", path, &headers, body(&target)).await.whole().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let exchange = test.exchange();
    assert_eq!(String::from_utf8_lossy(&exchange.body), body(&format!("{}rerank", provider.family())));
    assert_eq!(reply.body, exchange.sent());
    test.settles([(&target, Totals::of(1, "unpriced", Usage { input: TOKENS, ..Usage::default() }))]).await;
}

async fn complete(test: &Test, target: &str, stream: bool) -> Whole {
    let mut body = json!({"model": target, "prompt": test.prompt(), "max_tokens": 64});
    if stream {
        body["stream"] = true.into();
        body["stream_options"] = json!({"include_usage": true});
    }
    let reply = post(test, "/v1/completions", &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply
}

async fn completed_by_a_chat(test: Test, provider: Provider, stream: bool) {
    let target = provider.target("text");
    let reply = complete(&test, &target, stream).await;
    let (mut text, mut finish, mut usage) = (String::new(), Value::Null, Value::Null);
    let chunks = if stream {
        let mut events = sse::events(&reply.body);
        assert_eq!(events.pop().map(|event| event.data).as_deref(), Some("[DONE]"));
        events.iter().map(sse::Event::json).collect()
    } else {
        vec![reply.json()]
    };
    for chunk in chunks {
        assert_eq!(chunk["object"], "text_completion", "{chunk}");
        assert!(chunk["id"].is_string() && chunk["created"].is_u64() && chunk["model"].is_string(), "{chunk}");
        for choice in chunk["choices"].as_array().expect("choices is a list") {
            text += choice["text"].as_str().expect("every choice has a text");
            if !choice["finish_reason"].is_null() {
                finish = choice["finish_reason"].clone();
            }
        }
        if chunk["usage"].is_object() {
            usage = chunk["usage"].clone();
        }
    }
    let answer = Answer::of("text");
    let counted = provider.reports(answer.usage);
    assert_eq!((text, finish), (answer.whole_text(), json!("stop")));
    assert_eq!(
        (usage["prompt_tokens"].as_u64(), usage["completion_tokens"].as_u64()),
        (Some(counted.input), Some(counted.output))
    );
    test.settles([(&target, Totals::of(1, "text", counted))]).await;
}

async fn count(test: Test, caller: Dialect, upstream: Provider) {
    let request = caller.request(&upstream.target("text"), &test.prompt());
    let (path, field, body) = match caller {
        Dialect::Gemini => {
            let (path, body) = caller.sent(&request);
            (path.replace(":generateContent", ":countTokens"), "totalTokens", body)
        }
        _ => {
            let mut request = request;
            request.as_object_mut().expect("a request is an object").remove("max_tokens");
            (format!("{}/count_tokens", caller.path()), "input_tokens", request.to_string())
        }
    };
    let reply = client::send(test.host.address, "POST", &path, &caller.headers(&test.key), body).await.whole().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let tokens = reply.json()[field].as_u64().expect("a count is a number");
    if caller.own() == upstream {
        assert_eq!((tokens, reply.header("x-tollgate-estimated")), (TOKENS, None));
        test.exchange();
    } else {
        assert!(tokens > 0 && reply.header("x-tollgate-estimated").is_some(), "{}", reply.text());
        assert!(test.upstream.exchanges(&test.marker).is_empty(), "nobody is asked for an estimate");
    }
}

async fn google_models(test: Test) {
    let by_header = Dialect::Gemini.headers(&test.key);
    let query = format!("/v1beta/models?key={}", test.key);
    let asks: [(&str, &[(&str, String)]); 3] =
        [("/v1beta/models", &by_header), ("/v1/models", &by_header), (&query, &[])];
    for (path, headers) in asks {
        let reply = client::send(test.host.address, "GET", path, headers, "").await.whole().await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let list = reply.json();
        let models = list["models"].as_array().unwrap_or_else(|| panic!("not Google's list: {list}"));
        for name in ["models/up-openai/text", "models/up-anthropic/thinking", "models/tollgate/echo"] {
            assert_eq!(models.iter().filter(|model| model["name"] == name).count(), 1, "{name} in {models:?}");
        }
        let methods = json!(["generateContent", "streamGenerateContent", "countTokens"]);
        assert!(models.iter().all(|model| model["supportedGenerationMethods"] == methods), "{models:?}");
    }
}

async fn key_in_query(test: Test, upstream: Provider) {
    let dialect = Dialect::Gemini;
    let content = [("content-type", "application/json".to_owned())];
    for stream in [false, true] {
        let mut request = dialect.request(&upstream.target("text"), &test.prompt());
        if stream {
            request = dialect.as_stream(request);
        }
        let (path, body) = dialect.sent(&request);
        let path = format!("{path}{}key={}", if path.contains('?') { '&' } else { '?' }, test.key);
        let reply = client::send(test.host.address, "POST", &path, &content, body.clone()).await.whole().await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let wrong = client::send(test.host.address, "POST", &format!("{path}x"), &content, body).await.whole().await;
        assert_eq!(wrong.status, 401, "{}", wrong.text());
        assert_eq!(dialect.read_error(&wrong.body).kind, "UNAUTHENTICATED");
    }
    let exchanges = test.upstream.exchanges(&test.marker);
    assert_eq!(exchanges.len(), 2);
    exchanges.iter().for_each(|exchange| keeps_secret(exchange, &test.key));
}

async fn key_in_any_header(test: Test, dialect: Dialect) {
    let (path, body) = dialect.sent(&dialect.request(&dialect.own().target("text"), &test.prompt()));
    let bearer = format!("Bearer {}", test.key);
    for (name, value) in [("authorization", &bearer), ("x-api-key", &test.key), ("x-goog-api-key", &test.key)] {
        let headers = [("content-type", "application/json".to_owned()), (name, value.clone())];
        let reply = client::send(test.host.address, "POST", &path, &headers, body.clone()).await.whole().await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let exchanges = test.upstream.exchanges(&test.marker);
    assert_eq!(exchanges.len(), 3);
    exchanges.iter().for_each(|exchange| keeps_secret(exchange, &test.key));
}

/// The caller's key is nobody's business but the gateway's.
fn keeps_secret(exchange: &Exchange, key: &str) {
    assert!(!exchange.path.contains(key), "{}", exchange.path);
    assert!(!exchange.headers.iter().any(|(_, value)| value.contains(key)), "{:?}", exchange.headers);
}
