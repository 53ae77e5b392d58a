//! Short-lived tokens in place of a key: made by the gateway, by an own backend, and by an issuer who publishes its keys.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::Signer as _;
use p256::ecdsa::signature::Signer as _;
use serde_json::{Value, json};

use crate::caller::Dialect;
use crate::client;
use crate::suite::{Suite, backend, published};
use crate::test::Test;

pub(crate) fn add(suite: &mut Suite) {
    for dialect in Dialect::ALL {
        let name = format!("tokens::{}::one_is_made_and_is_good_for_what_it_says", dialect.name());
        suite.add(&name, move |test| made(test, dialect));
    }
    let own = suite.add("tokens::an_own_backends_are_believed_by_its_public_key", signed).caller.clone();
    suite.issuer("signed", json!({"caller": own, "public_key": part(backend().verifying_key().as_bytes())}));
    let other = suite.add("tokens::an_issuers_are_believed_by_the_keys_that_it_publishes", fetched).caller.clone();
    let issuer =
        json!({"caller": other, "issuer": ISSUER, "audience": ["suite"], "jwks_url": "/files/issuer/jwks.json"});
    suite.issuer("published", issuer);
}

const ISSUER: &str = "https://issuer.example";

fn part(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn token(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let signed = format!("{}.{}", part(header.to_string().as_bytes()), part(claims.to_string().as_bytes()));
    let signature = sign(signed.as_bytes());
    format!("{signed}.{}", part(&signature))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs()
}

async fn made(mut test: Test, dialect: Dialect) {
    let (text, tools) = (dialect.own().target("text"), dialect.own().target("tools"));
    let mint = |test: &Test| {
        let body = json!({"user": "u1", "expires_in": 60, "models": [text], "max_tokens": 200, "max_cost_usd": "1", "tags": ["made"]});
        let (address, headers) = (test.host.address, Dialect::OpenaiChat.headers(&test.key));
        async move { client::send(address, "POST", "/v1/tokens", &headers, body.to_string()).await.whole().await }
    };
    let reply = mint(&test).await;
    assert_eq!((reply.status, reply.header("cache-control")), (201, Some("no-store")), "{}", reply.text());
    test.key = reply.json()["token"].as_str().expect("the token is shown").to_owned();
    let prompt = test.prompt();
    let ask = |model: &str, tokens: u64| {
        let mut request = dialect.request(model, &prompt);
        match dialect {
            Dialect::OpenaiResponses => request["max_output_tokens"] = tokens.into(),
            Dialect::Gemini => request["generationConfig"]["maxOutputTokens"] = tokens.into(),
            Dialect::OpenaiChat | Dialect::Anthropic => request["max_tokens"] = tokens.into(),
        }
        request
    };
    let reply = test.answer(dialect, &ask(&text, 200)).await;
    let line = test.log_line(reply.header("x-tollgate-id")).await;
    assert_eq!(
        (&line["caller"], &line["user"], &line["tags"]),
        (&test.caller.clone().into(), &json!("u1"), &json!(["made"]))
    );
    for (model, tokens, why) in
        [(&tools, 200, "not among those that this key may ask for"), (&text, 201, "of 200 tokens at most")]
    {
        let refused = test.ask(dialect, &ask(model, tokens)).await;
        assert_eq!(refused.status, 403, "{}", refused.text());
        assert!(dialect.read_error(&refused.body).message.contains(why), "{}", refused.text());
    }
    assert_eq!(mint(&test).await.status, 403, "a token makes none");
    let told = test.get("/v1/key").await.json();
    assert_eq!((&told["data"]["token"]["models"], &told["data"]["limit"]), (&json!([text]), &json!(1)), "{told}");
    assert_eq!(test.get("/v1/usage").await.status, 403);
    let damaged = test.key.pop().expect("it is not empty");
    test.key.push(if damaged == 'A' { 'E' } else { 'A' });
    let refused = test.ask(dialect, &ask(&text, 200)).await;
    assert_eq!(refused.status, 401, "{}", refused.text());
    assert!(!refused.text().contains(&test.key));
    // Only what was answered reached the upstream, and nothing of the token.
    let exchange = test.exchange();
    assert!(exchange.headers.iter().all(|(_, value)| !value.contains("eyJ")), "{:?}", exchange.headers);
}

async fn signed(mut test: Test) {
    let (dialect, key) = (Dialect::OpenaiChat, backend());
    let sign = |key: &ed25519_dalek::SigningKey, ends: u64| {
        let claims = json!({"iss": "signed", "sub": "u1", "iat": now(), "exp": ends});
        token(&json!({"alg": "EdDSA"}), &claims, |signed| key.sign(signed).to_bytes().to_vec())
    };
    let request = dialect.request(&dialect.own().target("text"), &test.prompt());
    let other = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
    let cases = [
        (sign(&key, now() + 600), 200, ""),
        (sign(&other, now() + 600), 401, "the token's signature is not its issuer's"),
        (sign(&key, now() - 120), 401, "the token has expired"),
        (sign(&key, now() + 6000), 401, "the token lives for too long"),
    ];
    for (token, status, why) in cases {
        test.key = token;
        // The second time it has been seen.
        let times = if status == 200 { 2 } else { 1 };
        for _ in 0..times {
            let reply = test.ask(dialect, &request).await;
            assert!(reply.status == status && reply.text().contains(why), "{}", reply.text());
        }
    }
    assert_eq!(test.upstream.exchanges(&test.marker).len(), 2);
}

async fn fetched(mut test: Test) {
    let (dialect, (_, key)) = (Dialect::Anthropic, published());
    let sign = |audience: &str, id: &str| {
        let claims = json!({"iss": ISSUER, "aud": audience, "sub": "u1", "iat": now(), "exp": now() + 3600});
        token(&json!({"alg": "ES256", "kid": id}), &claims, |signed| {
            let signature: p256::ecdsa::Signature = key.sign(signed);
            signature.to_bytes().to_vec()
        })
    };
    let request = dialect.request(&dialect.own().target("text"), &test.prompt());
    let cases = [
        (sign("suite", "one"), 200, ""),
        (sign("others", "one"), 401, "for another audience"),
        (sign("suite", "made-up"), 401, "key is not known here"),
    ];
    for (token, status, why) in cases {
        test.key = token;
        let reply = test.ask(dialect, &request).await;
        assert!(reply.status == status && reply.text().contains(why), "{}", reply.text());
    }
    test.exchange();
}
