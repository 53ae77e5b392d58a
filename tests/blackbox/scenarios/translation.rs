//! What the upstream must find in its request, whoever asked: conversation, images, tool choice, parameters.

use serde_json::{Value, json};

use super::{Pair, add_pairs};
use crate::answer::Answer;
use crate::caller::Dialect;
use crate::client;
use crate::suite::Suite;
use crate::test::Test;
use crate::upstream::files::PIXEL;
use crate::upstream::{Provider, flat};

pub(crate) fn add(suite: &mut Suite) {
    add_pairs(suite, "translation", "system_and_turns_arrive_in_order", conversation);
    add_pairs(suite, "translation", "images_arrive_inline_and_by_address", images);
    add_pairs(suite, "translation", "a_demand_for_any_tool_arrives", any_tool);
    add_pairs(suite, "translation", "a_demand_for_one_tool_arrives", one_tool);
    add_pairs(suite, "translation", "sampling_parameters_arrive", sampling);
    suite.add("translation::openai_chat_to_anthropic::fields_that_cannot_be_carried_are_listed", |test| {
        lost(test, Dialect::OpenaiChat, json!({"seed": 7, "logit_bias": {"50256": -100}, "stop": ["\n\n"]}))
    });
    suite.add("translation::anthropic_to_openai_chat::fields_that_cannot_be_carried_are_listed", |test| {
        lost(test, Dialect::Anthropic, json!({"top_k": 7}))
    });
    suite.add("translation::anthropic_to_openai_chat::a_system_message_among_the_turns_arrives", system_among_turns);
    suite.add("translation::anthropic_to_openai_chat::calls_streamed_by_turns_stay_apart", |test| {
        untidy_tools(test, "interleaved-tools")
    });
    suite.add("translation::anthropic_to_openai_chat::empty_ids_and_names_in_later_pieces_change_nothing", |test| {
        untidy_tools(test, "sloppy-tools")
    });
    suite.add(
        "translation::openai_chat_to_anthropic::max_tokens_is_supplied_where_it_is_required",
        |test| async move {
            let pair = Pair { caller: Dialect::OpenaiChat, upstream: Provider::Anthropic };
            let asked = asked(&test, pair, pair.caller.request(&pair.target("text"), &test.prompt())).await;
            assert!(asked["max_tokens"].as_u64().is_some_and(|max| max >= 1024), "{asked}");
        },
    );
}

/// Clients for models that know it send system messages among the turns.
async fn system_among_turns(test: Test) {
    let pair = Pair { caller: Dialect::Anthropic, upstream: Provider::OpenaiChat };
    let mut request = pair.caller.request(&pair.target("text"), &test.prompt());
    let turns = request["messages"].as_array_mut().expect("a request has messages");
    turns.push(json!({"role": "system", "content": [{"type": "text", "text": "Mind the gap."}]}));
    let asked = asked(&test, pair, request).await;
    let heard: Vec<_> = asked["messages"].as_array().expect("checked by the upstream").iter().collect();
    let reminder = heard.iter().position(|turn| flat(&turn["content"]).contains("Mind the gap."));
    assert_eq!(reminder, Some(1), "{heard:?}");
}

/// What other servers make of Chat Completions is less tidy than the original.
async fn untidy_tools(test: Test, model: &str) {
    let pair = Pair { caller: Dialect::Anthropic, upstream: Provider::OpenaiChat };
    let mut request = pair.caller.streamed(&pair.target(model), &test.prompt());
    request["tools"] = pair.caller.tools();
    let reply = test.answer(pair.caller, &request).await;
    pair.check(&pair.caller.read_stream(&reply.body), &Answer::of("tools"));
}

/// The upstream's dialect, which is one of the two that are looked at here.
fn spoken(pair: Pair) -> Dialect {
    if pair.upstream == Provider::Anthropic { Dialect::Anthropic } else { Dialect::OpenaiChat }
}

/// What the upstream got for a request that it answered with 200.
async fn asked(test: &Test, pair: Pair, request: Value) -> Value {
    test.answer(pair.caller, &request).await;
    test.exchange().json()
}

async fn conversation(test: Test, pair: Pair) {
    let mut request = pair.caller.request(&pair.target("text"), "");
    let turns = json!([
        {"role": "user", "content": "First question."},
        {"role": "assistant", "content": [{"type": "text", "text": "First answer."}]},
        {"role": "user", "content": [{"type": "text", "text": "Second "}, {"type": "text", "text": test.prompt()}]},
    ]);
    request["messages"] = turns.clone();
    match pair.caller {
        Dialect::Anthropic => request["system"] = json!([{"type": "text", "text": "Be brief, 東京."}]),
        _ => {
            let system = json!({"role": "system", "content": "Be brief, 東京."});
            request["messages"].as_array_mut().expect("turns is a list").insert(0, system);
        }
    }
    let asked = asked(&test, pair, request).await;
    let (system, skip) = match spoken(pair) {
        Dialect::Anthropic => (&asked["system"], 0),
        _ => (&asked["messages"][0]["content"], 1),
    };
    assert_eq!(flat(system), "Be brief, 東京.");
    let heard = asked["messages"].as_array().expect("checked by the upstream").iter().skip(skip);
    let heard: Vec<_> = heard.map(|turn| (turn["role"].clone(), flat(&turn["content"]))).collect();
    let said = turns.as_array().expect("a list").iter();
    assert_eq!(heard, said.map(|turn| (turn["role"].clone(), flat(&turn["content"]))).collect::<Vec<_>>());
}

const PICTURE: &str = "https://pictures.example/a%20b.png?x=1&y=2";

async fn images(test: Test, pair: Pair) {
    let mut request = pair.caller.request(&pair.target("text"), "");
    let mut parts = image_parts(pair.caller).as_array().expect("a list").clone();
    parts.push(json!({"type": "text", "text": test.prompt()}));
    request["messages"][0]["content"] = Value::Array(parts);
    let asked = asked(&test, pair, request).await;
    let parts = asked["messages"][0]["content"].as_array().expect("images need parts");
    assert_eq!(parts.len(), 3, "{parts:?}");
    let images = parts[..2].iter().map(|part| match spoken(pair) {
        Dialect::Anthropic => part.clone(),
        // `detail` may be there as well.
        _ => {
            json!({"type": part["type"], "image_url": {"url": part["image_url"]["url"]}})
        }
    });
    assert_eq!(images.collect::<Value>(), image_parts(spoken(pair)));
    assert_eq!(parts[2]["text"], test.prompt());
}

fn image_parts(dialect: Dialect) -> Value {
    match dialect {
        Dialect::Anthropic => json!([
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
            {"type": "image", "source": {"type": "url", "url": PICTURE}},
        ]),
        _ => json!([
            {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PIXEL}")}},
            {"type": "image_url", "image_url": {"url": PICTURE}},
        ]),
    }
}

async fn any_tool(test: Test, pair: Pair) {
    let mut request = pair.caller.request(&pair.target("text"), &test.prompt());
    request["tools"] = pair.caller.tools();
    match pair.caller {
        Dialect::Anthropic => request["tool_choice"] = json!({"type": "any", "disable_parallel_tool_use": true}),
        _ => {
            request["tool_choice"] = "required".into();
            request["parallel_tool_calls"] = false.into();
        }
    }
    let asked = asked(&test, pair, request).await;
    assert_eq!(asked["tools"], spoken(pair).tools());
    match spoken(pair) {
        Dialect::Anthropic => {
            assert_eq!(asked["tool_choice"], json!({"type": "any", "disable_parallel_tool_use": true}));
        }
        _ => {
            assert_eq!((&asked["tool_choice"], &asked["parallel_tool_calls"]), (&json!("required"), &json!(false)));
        }
    }
}

async fn one_tool(test: Test, pair: Pair) {
    let choice = |dialect| match dialect {
        Dialect::Anthropic => json!({"type": "tool", "name": "get_time"}),
        _ => json!({"type": "function", "function": {"name": "get_time"}}),
    };
    let mut request = pair.caller.request(&pair.target("text"), &test.prompt());
    request["tools"] = pair.caller.tools();
    request["tool_choice"] = choice(pair.caller);
    assert_eq!(asked(&test, pair, request).await["tool_choice"], choice(spoken(pair)));
}

async fn sampling(test: Test, pair: Pair) {
    let mut request = pair.caller.request(&pair.target("text"), &test.prompt());
    request["temperature"] = json!(0.25);
    request["top_p"] = json!(0.5);
    let asked = asked(&test, pair, request).await;
    assert_eq!((&asked["temperature"], &asked["top_p"]), (&json!(0.25), &json!(0.5)));
}

async fn lost(test: Test, caller: Dialect, fields: Value) {
    let pair = Pair { caller, upstream: caller.own().other() };
    let mut request = caller.request(&pair.target("text"), &test.prompt());
    for (field, value) in fields.as_object().expect("fields by name") {
        request[field] = value.clone();
    }
    let headers: Vec<_> =
        caller.headers(&test.key).into_iter().chain([("x-tollgate-strict", "true".to_owned())]).collect();
    let address = test.host.address;
    let refused = client::send(address, "POST", caller.path(), &headers, request.to_string()).await.whole().await;
    assert_eq!(refused.status, 400, "who wants all or nothing gets nothing: {}", refused.text());
    assert!(test.upstream.exchanges(&test.marker).is_empty());
    let reply = test.answer(caller, &request).await;
    let mut listed: Vec<_> = reply.header("x-tollgate-lost").unwrap_or_default().split(',').map(str::trim).collect();
    listed.sort_unstable();
    let mut expected: Vec<_> = fields.as_object().expect("fields by name").keys().map(String::as_str).collect();
    expected.sort_unstable();
    assert_eq!(listed, expected);
}
