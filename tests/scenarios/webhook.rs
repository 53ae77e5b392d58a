//! A webhook is told of budgets that are nearly used up, once, and signed.

use std::cell::RefCell;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use tollgate::auth::Keyless;
use tollgate::config::{Config, Draft};
use tollgate::host::{Body, Incoming};
use tollgate::serve::{Gateway, serve};

use crate::script::Act;
use crate::world::{Scripted, Task, World};

fn gateway(limits: Value) -> Gateway {
    let draft = json!({
        "media": {"hosts": ["http://hook"]},
        "webhook": {"url": "http://hook/budgets", "secret": "HOOK"},
        "limits": limits,
    });
    let draft = Draft::from_json(Some(&draft.to_string())).unwrap();
    let secret = |name: &str| (name == "HOOK").then(|| format!("whsec_{}", STANDARD.encode("told")));
    Gateway::new(Config::compile(&draft, secret).unwrap(), Keyless::Loopback)
}

/// One request to the built-in model, and what is due after it: its status, and lines of the log.
fn asked(world: &Rc<World>, gateway: &Gateway) -> (u16, Vec<String>) {
    let request = Incoming {
        method: "POST".to_owned(),
        path: "/v1/chat/completions".to_owned(),
        query: None,
        headers: [("host", "127.0.0.1")].into_iter().collect(),
        body: Body::Whole(r#"{"model":"tollgate/echo","messages":[{"role":"user","content":"?"}]}"#.into()),
    };
    let told = RefCell::default();
    let task = async {
        let host = Scripted::new(world.clone());
        let status = serve(gateway, &host, request).await.status;
        if gateway.is_due(u64::MAX) {
            gateway.sync(&host).await;
        }
        told.replace((status, host.lines.take()));
    };
    world.run(vec![Box::pin(task) as Task<'_>]);
    told.into_inner()
}

fn ask(world: &Rc<World>, gateway: &Gateway) -> u16 {
    asked(world, gateway).0
}

fn told(world: &World) -> Vec<Value> {
    let sent = world.sent.borrow();
    sent.iter().map(|(_, body)| serde_json::from_slice(body).unwrap()).collect()
}

#[test]
fn each_share_of_a_budget_is_told_once_and_its_end_when_a_request_comes_too_late() {
    let world = Rc::<World>::default();
    let gateway = gateway(json!({"daily": {"requests": 8, "every": "day"}, "burst": {"requests": 100}}));
    for _ in 0..10 {
        world.answer_whole("hook", "{}");
    }
    let statuses: Vec<u16> = (0..11).map(|_| ask(&world, &gateway)).collect();
    assert_eq!(statuses, [[200; 8].as_slice(), &[429; 3]].concat());
    let told = told(&world);
    let shares: Vec<_> =
        told.iter().map(|told| (&told["type"], &told["data"]["share"], &told["data"]["used"])).collect();
    let (warning, reached) = (json!("limit.warning"), json!("limit.reached"));
    assert_eq!(
        shares,
        [(&warning, &json!(50), &json!(4)), (&warning, &json!(75), &json!(6)), (&reached, &json!(100), &json!(8))]
    );
    assert_eq!((&told[0]["data"]["limit"], &told[0]["data"]["owner"]), (&json!("daily"), &json!(":all")));

    let (url, body) = world.sent.borrow()[0].clone();
    let (method, headers) = world.heads.borrow()[0].clone();
    assert_eq!((url.as_str(), method), ("http://hook/budgets", "POST"));
    let header = |name: &str| headers.get(name).unwrap().to_owned();
    let mut mac = Hmac::<Sha256>::new_from_slice(b"told").unwrap();
    mac.update(format!("{}.{}.", header("webhook-id"), header("webhook-timestamp")).as_bytes());
    mac.update(&body);
    assert_eq!(header("webhook-signature"), format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())));
    // Another process finds by the counters that it was told.
    let again = self::gateway(json!({"daily": {"requests": 8, "every": "day"}}));
    assert_eq!(ask(&world, &again), 429);
    assert_eq!(world.sent.borrow().len(), 3);
}

#[test]
fn what_does_not_arrive_is_tried_again_and_then_logged() {
    let world = Rc::<World>::default();
    let gateway = gateway(json!({"daily": {"requests": 2, "every": "day", "warn_at": [50]}}));
    let failing = || [(0, Act::Head { status: 500, headers: Vec::new() }), (0, Act::Close)].into_iter().collect();
    world.targets.borrow_mut().insert("hook".to_owned(), [failing(), failing(), failing()].into_iter().collect());
    assert_eq!((ask(&world, &gateway), told(&world).len()), (200, 0));
    let (status, lines) = asked(&world, &gateway);
    assert_eq!((status, told(&world).len()), (200, 3));
    assert_eq!(world.passed(), 6_000, "it waited between them");
    let line = lines.iter().find(|line| line.contains(r#""event":"webhook""#)).unwrap();
    assert_eq!(line, r#"{"event":"webhook","limit":"daily","error":"status 500"}"#);
    let ids: Vec<_> = world.heads.borrow().iter().map(|(_, head)| head.get("webhook-id").unwrap().to_owned()).collect();
    assert!(ids.iter().all(|id| *id == ids[0] && id.starts_with("msg_")), "{ids:?}");
}
