//! The list of models and one of its rows, for callers of each dialect.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value, json};
use tollgate::auth::Keyless;
use tollgate::config::{Config, Draft};
use tollgate::host::{Body, Headers, Incoming, ReplyBody};
use tollgate::serve::{Gateway, serve};

use crate::world::{Scripted, Task, World};

/// What a caller gets who asks in this way; `dialect` is a header of that dialect's clients.
fn asked(method: &str, path: &str, dialect: (&str, &str)) -> (u16, Value) {
    let draft = json!({
        "providers": {"up": {"dialect": "openai-chat", "base_url": "http://up/v1", "auth": "none", "models": ["m"]}},
        "models": {"smart": {"targets": ["up/m"]}},
        "callers": {"ci": {"secret": "CI"}},
        "prices": {"up/m": {"input": "1", "output": "10", "context_tokens": 9, "output_tokens": 7}},
    });
    let draft = Draft::from_json(Some(&draft.to_string())).unwrap();
    let config = Config::compile(&draft, |name| (name == "CI").then(|| "key".to_owned())).unwrap();
    let gateway = Gateway::new(config, Keyless::Refused);
    let world = Rc::new(World::default());
    let host = Scripted::new(world.clone());
    let request = Incoming {
        method: method.to_owned(),
        path: path.to_owned(),
        query: None,
        headers: Headers::from_iter([("authorization", "Bearer key"), dialect]),
        body: Body::Whole(Vec::new().into()),
    };
    let told = RefCell::new(None);
    let task: Task<'_> = Box::pin(async {
        let reply = serve(&gateway, &host, request).await;
        let ReplyBody::Whole(body) = reply.body else { panic!("a stream") };
        *told.borrow_mut() = Some((reply.status, serde_json::from_slice(&body).unwrap()));
    });
    world.run(vec![task]);
    told.into_inner().unwrap()
}

const OPENAI: (&str, &str) = ("user-agent", "any");
const ANTHROPIC: (&str, &str) = ("anthropic-version", "2023-06-01");
const GOOGLE: (&str, &str) = ("x-goog-api-client", "any");

#[test]
fn a_model_is_told_alone_as_it_is_in_the_list() {
    let cases = [
        ("/v1/models", OPENAI, "data", "id"),
        ("/v1/models", ANTHROPIC, "data", "id"),
        ("/v1beta/models", GOOGLE, "models", "displayName"),
    ];
    for (path, dialect, list, id) in cases {
        let (status, all) = asked("GET", path, dialect);
        assert_eq!(status, 200, "{all}");
        for model in ["smart", "up/m", "tollgate/echo"] {
            let row = all[list].as_array().unwrap().iter().find(|row| row[id] == model).unwrap();
            assert_eq!(asked("GET", &format!("{path}/{model}"), dialect), (200, row.clone()), "{path} {dialect:?}");
        }
    }
}

#[test]
fn prices_and_limits_stand_where_clients_of_each_dialect_look_for_them() {
    let (_, row) = asked("GET", "/v1/models/smart", OPENAI);
    assert_eq!((&row["context_length"], &row["top_provider"]["max_completion_tokens"]), (&json!(9), &json!(7)));
    assert_eq!((&row["pricing"]["prompt"], &row["pricing"]["completion"]), (&json!("0.000001"), &json!("0.00001")));
    let (_, row) = asked("GET", "/v1/models/up%2Fm", ANTHROPIC);
    assert_eq!((&row["max_input_tokens"], &row["max_tokens"]), (&json!(9), &json!(7)));
    let (_, row) = asked("GET", "/v1beta/models/up/m", GOOGLE);
    assert_eq!((&row["inputTokenLimit"], &row["outputTokenLimit"]), (&json!(9), &json!(7)));
}

#[test]
fn what_is_no_model_is_an_error_in_the_callers_dialect() {
    let (status, error) = asked("GET", "/v1/models/nothing", ANTHROPIC);
    assert_eq!((status, &error["error"]["type"]), (404, &json!("not_found_error")));
    let (status, error) = asked("GET", "/v1beta/models/nothing", GOOGLE);
    assert_eq!((status, &error["error"]["status"]), (404, &json!("NOT_FOUND")));
    let (status, error) = asked("POST", "/v1beta/models/up/m:embedContent", GOOGLE);
    assert_eq!((status, &error["error"]["status"]), (404, &json!("NOT_FOUND")), "a verb that is not served");
    assert_eq!(asked("DELETE", "/v1/models/smart", OPENAI).0, 405);
    for name in ["m".repeat(201), "a%0Ab".to_owned()] {
        let (status, error) = asked("GET", &format!("/v1/models/{name}"), OPENAI);
        assert_eq!((status, &error["error"]["param"]), (400, &json!("model")), "no request could name it either");
    }
}
