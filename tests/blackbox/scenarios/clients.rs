//! Callers with the official SDKs, in the versions that `tests/clients` pins: what the upstream meant is what their
//! users get, as the SDK's own objects and as its own exceptions, whichever dialect the upstream speaks.

use serde_json::{Value, json};

use crate::answer::{AFTER_TOOLS, Answer, Stop};
use crate::program::Program;
use crate::suite::Suite;
use crate::test::Test;
use crate::upstream::Provider;
use crate::upstream::script::FAILURE;

/// An SDK and what its users see.
struct Client {
    name: &'static str,
    program: Program,
    /// Its words for an end, and for calls.
    stops: [&'static str; 2],
    /// The exceptions for a 400 and a 401.
    refusals: [&'static str; 2],
    /// Whether it lists models.
    lists: bool,
}

static CLIENTS: [Client; 13] = [
    Client {
        name: "openai_python",
        program: Program::new("python/openai_chat.py"),
        stops: ["stop", "tool_calls"],
        refusals: ["BadRequestError", "AuthenticationError"],
        lists: true,
    },
    Client {
        name: "openai_node",
        program: Program::new("node/openai_chat.mjs"),
        stops: ["stop", "tool_calls"],
        refusals: ["BadRequestError", "AuthenticationError"],
        lists: true,
    },
    Client {
        name: "anthropic_python",
        program: Program::new("python/anthropic_messages.py"),
        stops: ["end_turn", "tool_use"],
        refusals: ["BadRequestError", "AuthenticationError"],
        lists: true,
    },
    Client {
        name: "anthropic_node",
        program: Program::new("node/anthropic_messages.mjs"),
        stops: ["end_turn", "tool_use"],
        refusals: ["BadRequestError", "AuthenticationError"],
        lists: true,
    },
    Client {
        name: "ai_sdk_compatible",
        program: Program::new("node/ai_sdk_compatible.mjs"),
        stops: ["stop", "tool-calls"],
        refusals: ["APICallError", "APICallError"],
        lists: false,
    },
    Client {
        name: "ai_sdk_anthropic",
        program: Program::new("node/ai_sdk_anthropic.mjs"),
        stops: ["stop", "tool-calls"],
        refusals: ["APICallError", "APICallError"],
        lists: false,
    },
    Client {
        name: "ai_sdk_openai",
        program: Program::new("node/ai_sdk_openai.mjs"),
        stops: ["stop", "tool-calls"],
        refusals: ["APICallError", "APICallError"],
        lists: false,
    },
    Client {
        name: "openai_python_responses",
        program: Program::new("python/openai_responses.py"),
        stops: ["completed", "completed"],
        refusals: ["BadRequestError", "AuthenticationError"],
        lists: false,
    },
    Client {
        name: "openai_node_responses",
        program: Program::new("node/openai_responses.mjs"),
        stops: ["completed", "completed"],
        refusals: ["BadRequestError", "AuthenticationError"],
        lists: false,
    },
    Client {
        name: "google_genai_python",
        program: Program::new("python/google_genai.py"),
        stops: ["STOP", "STOP"],
        refusals: ["ClientError", "ClientError"],
        lists: true,
    },
    Client {
        name: "google_genai_node",
        program: Program::new("node/google_genai.mjs"),
        stops: ["STOP", "STOP"],
        refusals: ["ApiError", "ApiError"],
        lists: true,
    },
    Client {
        name: "ai_sdk_google",
        program: Program::new("node/ai_sdk_google.mjs"),
        stops: ["stop", "tool-calls"],
        refusals: ["APICallError", "APICallError"],
        lists: false,
    },
    Client {
        name: "ai_sdk_gateway",
        program: Program::new("node/ai_sdk_gateway.mjs"),
        stops: ["stop", "tool-calls"],
        refusals: ["GatewayInvalidRequestError", "Error"],
        lists: true,
    },
];

/// What a client does with an upstream behind the gateway.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Whole,
    Streamed,
    Tools,
    StreamedTools,
    Signed,
    StreamedSigned,
    Cut,
    Refused,
}

const CASES: [(&str, Case); 8] = [
    ("a_whole_answer_is_read", Case::Whole),
    ("a_streamed_answer_is_read", Case::Streamed),
    ("tools_make_the_round_trip", Case::Tools),
    ("streamed_tools_make_the_round_trip", Case::StreamedTools),
    ("a_signed_thought_returns_with_its_calls", Case::Signed),
    ("a_streamed_signed_thought_returns_with_its_calls", Case::StreamedSigned),
    ("a_cut_stream_raises", Case::Cut),
    ("a_refusal_raises_its_own_error", Case::Refused),
];

pub(crate) fn add(suite: &mut Suite) {
    for client in &CLIENTS {
        for upstream in Provider::DIALECTS {
            let signs = |case| ![Case::Signed, Case::StreamedSigned].contains(&case) || upstream.signs();
            for (sentence, case) in CASES.into_iter().filter(|(_, case)| signs(*case)) {
                let name = format!("clients::{}_to_{}::{sentence}", client.name, upstream.name());
                suite.add(&name, move |test| play(test, client, upstream, case)).last();
            }
        }
        let name = format!("clients::{}::a_wrong_key_raises_its_own_error", client.name);
        suite.add(&name, move |test| wrong_key(test, client)).last();
        if client.lists {
            suite.add(&format!("clients::{}::models_are_listed", client.name), move |test| models(test, client)).last();
        }
    }
}

async fn play(test: Test, client: &Client, upstream: Provider, case: Case) {
    match case {
        Case::Whole => answer(test, client, upstream, "whole").await,
        Case::Streamed => answer(test, client, upstream, "streamed").await,
        Case::Tools => round_trip(test, client, upstream, "tools").await,
        Case::StreamedTools => round_trip(test, client, upstream, "streamed_tools").await,
        Case::Signed => signed(test, client, upstream, "tools").await,
        Case::StreamedSigned => signed(test, client, upstream, "streamed_tools").await,
        Case::Cut => cut(test, client, upstream).await,
        Case::Refused => refused(test, client, upstream).await,
    }
}

impl Client {
    /// What the program says of a case.
    async fn ask(&self, test: &Test, case: &str, model: &str) -> Value {
        self.ask_with(test, case, model, &test.key).await
    }

    async fn ask_with(&self, test: &Test, case: &str, model: &str, key: &str) -> Value {
        let base_url = format!("http://{}", test.host.address);
        let prompt = test.prompt();
        let task = json!({
            "id": test.marker, "case": case, "base_url": base_url, "key": key, "model": model, "prompt": prompt,
        });
        self.program.ask(&task).await
    }

    /// That its user got what the upstream meant.
    fn check(&self, told: &Value, answer: &Answer, upstream: Provider) {
        assert_eq!(told["text"], answer.whole_text(), "{told}");
        assert_eq!(told["stop"], self.stops[usize::from(answer.stop == Stop::Tools)], "{told}");
        let calls = told["calls"].as_array().expect("calls is a list");
        assert_eq!(calls.len(), answer.calls.len(), "{told}");
        for (told, call) in calls.iter().zip(answer.calls) {
            assert_eq!((&told["name"], &told["arguments"]), (&json!(call.name), &call.value()));
            // A proof of reasoning may stand behind the id; where there is none, the id is the gateway's own.
            let id = told["id"].as_str().expect("a call has an id");
            let is_its = match upstream.proof_of(answer) {
                _ if !upstream.names_calls() => !id.is_empty(),
                Some(_) => id.starts_with(call.id),
                None => id == call.id,
            };
            assert!(is_its, "{id}");
        }
        let usage = upstream.reports(answer.usage);
        assert_eq!(told["usage"], json!({"input": usage.input, "cached": usage.cached, "output": usage.output}));
    }
}

/// What a case returned.
fn told(answer: &Value) -> &Value {
    assert!(answer["told"] != Value::Null, "{answer}");
    &answer["told"]
}

async fn answer(test: Test, client: &Client, upstream: Provider, case: &str) {
    let answer = client.ask(&test, case, &upstream.target("text")).await;
    client.check(told(&answer), &Answer::of("text"), upstream);
    test.exchange();
}

async fn round_trip(test: Test, client: &Client, upstream: Provider, case: &str) {
    let answer = client.ask(&test, case, &upstream.target("tools")).await;
    client.check(&told(&answer)["called"], &Answer::of("tools"), upstream);
    client.check(&told(&answer)["after"], &AFTER_TOOLS, upstream);
    let exchanges = test.upstream.exchanges(&test.marker);
    assert_eq!(exchanges.len(), 2);
    let calls = Answer::of("tools").calls;
    let results = upstream.results(&exchanges[1].json());
    assert_eq!(results.len(), calls.len());
    for ((call, (of, told)), text) in calls.iter().zip(&results).zip(["21 °C", "9 am"]) {
        assert!(of == upstream.result_of(call) && says(told, text), "{results:?}");
    }
}

/// What the model signed comes back to it, whatever the client keeps of a thought.
async fn signed(test: Test, client: &Client, upstream: Provider, case: &str) {
    let answer = client.ask(&test, case, &upstream.target("thinking")).await;
    client.check(&told(&answer)["called"], &Answer::of("thinking"), upstream);
    client.check(&told(&answer)["after"], &AFTER_TOOLS, upstream);
    let exchanges = test.upstream.exchanges(&test.marker);
    assert_eq!(exchanges.len(), 2);
    assert!(exchanges[1].is_signed(), "{}", exchanges[1].json());
}

/// Whether a result is this text, as it is or in an object: Gemini's callers give objects, and its upstreams want them.
fn says(told: &str, text: &str) -> bool {
    let object = serde_json::from_str::<Value>(told).unwrap_or_default();
    told == text || object.as_object().is_some_and(|fields| fields.values().any(|value| value == text))
}

async fn refused(test: Test, client: &Client, upstream: Provider) {
    let answer = client.ask(&test, "whole", &upstream.target("status-400")).await;
    let raised = &answer["raised"];
    assert_eq!((&raised["class"], &raised["status"]), (&json!(client.refusals[0]), &json!(400)), "{answer}");
    assert!(raised["message"].as_str().is_some_and(|message| message.contains(FAILURE)), "{answer}");
    test.exchange();
}

async fn cut(test: Test, client: &Client, upstream: Provider) {
    test.upstream.permit(&test.marker);
    let answer = client.ask(&test, "cut", &upstream.target("cut-after-3")).await;
    assert_eq!(told(&answer)["text"], "Grüße aus 東京 🙂", "what arrived is kept: {answer}");
    assert!(told(&answer)["raised"] != Value::Null, "the stream looks complete: {answer}");
    test.exchange();
}

async fn wrong_key(test: Test, client: &Client) {
    let answer = client.ask_with(&test, "whole", "up-openai/text", "tg-of-nobody").await;
    let raised = &answer["raised"];
    // To a key that its gateway does not know the AI SDK has words of its own, without the status.
    let status = if client.refusals[1] == "Error" { Value::Null } else { json!(401) };
    assert_eq!((&raised["class"], &raised["status"]), (&json!(client.refusals[1]), &status), "{answer}");
}

async fn models(test: Test, client: &Client) {
    let answer = client.ask(&test, "models", "").await;
    let names = told(&answer).as_array().expect("the names of models");
    assert!(names.contains(&json!("up-openai/text")) && names.contains(&json!("up-anthropic/thinking")), "{answer}");
}
