//! Phones: what Apple and Google say of them is exchanged for tokens, by an authority and a server of the suite's own.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::caller::Dialect;
use crate::client::{self, Whole};
use crate::forge::{Authority, Phone};
use crate::suite::Suite;
use crate::test::Test;
use crate::upstream::play;

const APP: &str = "A1B2C3D4E5.com.example.app";

pub(crate) fn add(suite: &mut Suite) {
    // Its certificates are short, as is what a host's command line may hold.
    let authority = Arc::new(Authority::new(false));
    let (own, root) = (Arc::clone(&authority), authority.pem());
    let first = suite.add("apps::apple::a_device_is_attested_and_asserts_and_asks_a_model", move |test| {
        apple(test, Arc::clone(&own))
    });
    let caller = first.caller.clone();
    suite.app(json!({
        "caller": caller,
        "models": ["up-openai/text"],
        "apple": {"team_id": "A1B2C3D4E5", "bundle_id": "com.example.app", "root": root},
        "google": {"package": play::PACKAGE, "certificates": [play::CERTIFICATE], "secret": play::ACCOUNT},
    }));
    suite.add("apps::apple::a_device_of_another_authority_and_a_used_challenge_are_refused", move |test| {
        refused(test, Arc::clone(&authority))
    });
    suite.add("apps::google::a_verdict_is_exchanged_and_a_bad_one_is_refused", google);
}

async fn post(test: &Test, path: &str, body: Value) -> Whole {
    let headers = [("content-type", "application/json".to_owned())];
    client::send(test.host.address, "POST", path, &headers, body.to_string()).await.whole().await
}

async fn challenge(test: &Test) -> String {
    let reply = post(test, "/v1/attest/challenge", json!({"app": "phones"})).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["challenge"].as_str().expect("a challenge").to_owned()
}

async fn attested(test: &Test, authority: &Authority, phone: &Phone) -> Value {
    let challenge = challenge(test).await;
    json!({
        "app": "phones", "challenge": challenge, "key_id": STANDARD.encode(phone.key_id()),
        "attestation": STANDARD.encode(authority.attest(phone, &Sha256::digest(&challenge))),
    })
}

/// Asks a model with a token.
async fn asks(test: &Test, token: &Value, model: &str) -> u16 {
    let dialect = Dialect::OpenaiChat;
    let (path, body) = dialect.sent(&dialect.request(model, &test.prompt()));
    let headers = dialect.headers(token.as_str().expect("a token"));
    client::send(test.host.address, "POST", &path, &headers, body).await.whole().await.status
}

async fn apple(test: Test, authority: Arc<Authority>) {
    let mut phone = Phone::new(APP);
    let first = post(&test, "/v1/attest/apple", attested(&test, &authority, &phone).await).await;
    assert_eq!(first.status, 200, "{}", first.text());
    let first = first.json();
    assert_eq!(asks(&test, &first["token"], "up-openai/text").await, 200);
    assert_eq!(asks(&test, &first["token"], "up-openai/tools").await, 403);
    test.exchange();
    let challenge = challenge(&test).await;
    let assertion = STANDARD.encode(phone.assert(&Sha256::digest(&challenge)));
    let body = json!({"app": "phones", "challenge": challenge, "device": first["device"], "assertion": assertion});
    let second = post(&test, "/v1/attest/apple/assert", body.clone()).await;
    assert_eq!(second.status, 200, "{}", second.text());
    assert_eq!(second.json()["device_id"], STANDARD.encode(phone.key_id()));
    assert_eq!(asks(&test, &second.json()["token"], "up-openai/tools").await, 403);
    let again = post(&test, "/v1/attest/apple/assert", body).await;
    assert!(again.status == 403 && again.text().contains("has been used"), "{}", again.text());
}

async fn refused(test: Test, authority: Arc<Authority>) {
    let phone = Phone::new(APP);
    let reply = post(&test, "/v1/attest/apple", attested(&test, &Authority::new(false), &phone).await).await;
    assert!(reply.status == 403 && reply.text().contains("a signature is not good"), "{}", reply.text());
    let body = attested(&test, &authority, &phone).await;
    let replies = [post(&test, "/v1/attest/apple", body.clone()).await, post(&test, "/v1/attest/apple", body).await];
    assert_eq!(replies.each_ref().map(|reply| reply.status), [200, 403], "{}", replies[1].text());
    let long = post(&test, "/v1/attest/apple", json!({"app": "x".repeat(100_000)})).await;
    assert_eq!(long.status, 413, "{}", long.text());
}

async fn google(test: Test) {
    let verdict = async |device: &str| {
        let challenge = challenge(&test).await;
        let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(&challenge));
        let body = json!({"app": "phones", "challenge": challenge, "token": play::token(&hash, device)});
        post(&test, "/v1/attest/google", body).await
    };
    let good = verdict("MEETS_DEVICE_INTEGRITY").await;
    assert_eq!(good.status, 200, "{}", good.text());
    assert_eq!(asks(&test, &good.json()["token"], "up-openai/text").await, 200);
    test.exchange();
    let bad = verdict("MEETS_BASIC_INTEGRITY").await;
    assert!(bad.status == 403 && bad.text().contains("integrity"), "{}", bad.text());
}
