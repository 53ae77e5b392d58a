//! Apps on phones: what devices of Apple's and Google's show is exchanged for tokens, and nothing else is.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde_json::{Value, json};
use tollgate::auth::Keyless;
use tollgate::config::{Config, Draft};
use tollgate::host::Millis;
use tollgate::serve::Gateway;

use crate::forge::{Authority, Faults, Phone};
use crate::keys::{Replied, ask};
use crate::script::{Act, Script};
use crate::world::{START, Scripted, Task, World};

const APP: &str = "A1B2C3D4E5.com.example.app";
const CERTIFICATE: [u8; 32] = [9; 32];
const RSA: &str = include_str!("../forge/rsa2048.pem");

struct Stage {
    gateway: Gateway,
    world: Rc<World>,
    authority: Authority,
}

impl Stage {
    fn new(app: &Value) -> Self {
        Self::with(app, &account())
    }

    fn with(app: &Value, account: &str) -> Self {
        let authority = Authority::new(true);
        let mut own = json!({
            "caller": "phones",
            "apple": {"team_id": "A1B2C3D4E5", "bundle_id": "com.example.app", "root": authority.pem()},
            "google": {
                "package": "com.example.app", "certificates": ["09".repeat(32)], "secret": "ACCOUNT", "base_url": "http://play",
            },
        });
        for (name, value) in app.as_object().unwrap() {
            own[name] = value.clone();
        }
        let draft = json!({
            "callers": {"phones": {"models": ["tollgate/*"]}},
            "limits": {"each": {"per": "user", "requests": 2, "every": "day"}},
            "apps": {"app": own, "other": {"caller": "phones", "apple": own["apple"]}},
        });
        let draft = Draft::from_json(Some(&draft.to_string())).unwrap();
        let config = Config::compile(&draft, |name| match name {
            "TOLLGATE_TOKEN_SECRET" => Some("a secret of thirty-two bytes or more".to_owned()),
            "ACCOUNT" => Some(account.to_owned()),
            _ => None,
        });
        let gateway = Gateway::new(config.unwrap(), Keyless::Refused);
        Self { gateway, world: Rc::new(World::default()), authority }
    }

    fn post(&self, path: &str, body: &Value) -> Replied {
        ask(&self.gateway, &self.world, ("POST", path), &[], body)
    }

    fn challenge(&self) -> String {
        let replied = self.post("/v1/attest/challenge", &json!({"app": "app"}));
        assert_eq!(replied.status, 200, "{}", replied.body);
        assert_eq!(replied.headers.get("cache-control"), Some("no-store"));
        replied.body["challenge"].as_str().unwrap().to_owned()
    }

    /// What the phone sends to attest its key, for a challenge.
    fn attestation(&self, phone: &Phone, challenge: &str) -> Value {
        let object = self.authority.attest(phone, &hash(challenge));
        json!({
            "app": "app", "challenge": challenge,
            "key_id": STANDARD.encode(phone.key_id()), "attestation": STANDARD.encode(object),
        })
    }

    fn attest(&self, phone: &Phone) -> Replied {
        self.post("/v1/attest/apple", &self.attestation(phone, &self.challenge()))
    }

    fn assertion(&self, phone: &mut Phone, device: &Value, challenge: &str) -> Value {
        json!({
            "app": "app", "challenge": challenge, "device": device,
            "assertion": STANDARD.encode(phone.assert(&hash(challenge))),
        })
    }

    fn assert(&self, phone: &mut Phone, device: &Value) -> Replied {
        let body = self.assertion(phone, device, &self.challenge());
        self.post("/v1/attest/apple/assert", &body)
    }

    fn chat(&self, token: &Value, model: &str) -> u16 {
        let key = format!("Bearer {}", token.as_str().unwrap());
        let body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
        let headers = [("authorization", key.as_str())];
        ask(&self.gateway, &self.world, ("POST", "/v1/chat/completions"), &headers, &body).status
    }

    /// Has Google answer so, for as long as it is asked.
    fn google(&self, status: u16, body: &Value) {
        let script = script(status, &body.to_string());
        self.world.targets.borrow_mut().insert("play".to_owned(), [script].into());
    }

    fn gives_tokens(&self, status: u16, body: &str) {
        self.world.targets.borrow_mut().insert("oauth".to_owned(), [script(status, body)].into());
    }

    fn integrity(&self) -> Replied {
        let challenge = self.challenge();
        self.google(200, &verdict(&hash(&challenge), self.world.passed()));
        self.post("/v1/attest/google", &json!({"app": "app", "challenge": challenge, "token": "from Google Play"}))
    }

    fn wait(&self, ms: Millis) {
        let host = Scripted::new(self.world.clone());
        let until = host.world.passed() + ms;
        self.world.run(vec![Box::pin(async { host.world.until(until).await }) as Task<'_>]);
    }

    fn asked(&self, target: &str) -> usize {
        let sent = self.world.sent.borrow();
        sent.iter().filter(|(url, _)| url.starts_with(&format!("http://{target}/"))).count()
    }
}

fn hash(said: &str) -> Vec<u8> {
    digest(&SHA256, said.as_bytes()).as_ref().to_vec()
}

fn script(status: u16, body: &str) -> Script {
    let head = Act::Head { status, headers: vec![("content-type".to_owned(), "application/json".to_owned())] };
    [(0, head), (0, Act::Piece(body.to_owned().into())), (0, Act::Close)].into_iter().collect()
}

fn account() -> String {
    let file = json!({
        "type": "service_account", "private_key_id": "k1", "private_key": RSA,
        "client_email": "gateway@example.iam.gserviceaccount.com", "token_uri": "http://oauth/token",
    });
    file.to_string()
}

fn verdict(hash: &[u8], passed: Millis) -> Value {
    json!({"tokenPayloadExternal": {
        "requestDetails": {
            "requestPackageName": "com.example.app", "requestHash": URL_SAFE_NO_PAD.encode(hash),
            "timestampMillis": (START + passed).to_string(),
        },
        "appIntegrity": {
            "appRecognitionVerdict": "PLAY_RECOGNIZED", "packageName": "com.example.app", "versionCode": "7",
            "certificateSha256Digest": [URL_SAFE_NO_PAD.encode(CERTIFICATE)],
        },
        "deviceIntegrity": {"deviceRecognitionVerdict": ["MEETS_DEVICE_INTEGRITY"]},
        "accountDetails": {"appLicensingVerdict": "LICENSED"},
    }})
}

const ACCESS: &str = r#"{"access_token":"ya29.secret","expires_in":3600,"token_type":"Bearer"}"#;

fn message(replied: &Replied) -> String {
    replied.body["error"]["message"].as_str().unwrap_or_default().to_owned()
}

#[track_caller]
fn is_refused(replied: &Replied, status: u16, why: &str) {
    assert!(replied.status == status && message(replied).contains(why), "{}: {}", replied.status, replied.body);
    assert_eq!(replied.body.get("token"), None);
}

#[test]
fn a_device_of_apples_is_attested_once_and_asserts_from_then_on() {
    let stage = Stage::new(&json!({}));
    let mut phone = Phone::new(APP);
    let attested = stage.attest(&phone);
    assert_eq!(attested.status, 200, "{}", attested.body);
    assert_eq!(attested.body["device_id"], STANDARD.encode(phone.key_id()));
    assert_eq!(attested.body["expires_at"], "2026-11-21T12:15:00Z");
    assert_eq!(attested.line["event"], "attest");
    assert_eq!(attested.line["user"], attested.body["device_id"]);
    // As far as its caller may, and as its own end user.
    assert_eq!(stage.chat(&attested.body["token"], "tollgate/echo"), 200);
    assert_eq!(stage.chat(&attested.body["token"], "other"), 403);
    let asserted = stage.assert(&mut phone, &attested.body["device"]);
    assert_eq!(asserted.status, 200, "{}", asserted.body);
    assert_ne!(asserted.body["device"], attested.body["device"]);
    assert_eq!(stage.chat(&asserted.body["token"], "tollgate/echo"), 200);
    assert_eq!(
        stage.chat(&asserted.body["token"], "tollgate/echo"),
        429,
        "two a day has the device, by whichever token"
    );
    let second = stage.attest(&Phone::new(APP));
    assert_eq!(stage.chat(&second.body["token"], "tollgate/echo"), 200, "and two another");
    stage.wait(900_000 + 61_000);
    assert_eq!(stage.chat(&second.body["token"], "tollgate/echo"), 401);
    let again = stage.assert(&mut phone, &asserted.body["device"]);
    assert_eq!(again.status, 200, "{}", again.body);
}

#[test]
fn a_challenge_is_used_once_and_in_time_by_the_app_that_asked() {
    let stage = Stage::new(&json!({}));
    let mut phone = Phone::new(APP);
    let body = stage.attestation(&phone, &stage.challenge());
    let first = stage.post("/v1/attest/apple", &body);
    assert_eq!(first.status, 200, "{}", first.body);
    is_refused(&stage.post("/v1/attest/apple", &body), 403, "the challenge has been used");
    let body = stage.assertion(&mut phone, &first.body["device"], &stage.challenge());
    assert_eq!(stage.post("/v1/attest/apple/assert", &body).status, 200);
    is_refused(&stage.post("/v1/attest/apple/assert", &body), 403, "the challenge has been used");

    let phone = Phone::new(APP);
    let late = stage.attestation(&phone, &stage.challenge());
    stage.wait(300_000);
    is_refused(&stage.post("/v1/attest/apple", &late), 403, "the challenge has expired");
    let foreign = stage.post("/v1/attest/challenge", &json!({"app": "other"}));
    let foreign = stage.attestation(&phone, foreign.body["challenge"].as_str().unwrap());
    is_refused(&stage.post("/v1/attest/apple", &foreign), 403, "not one that was made here for this app");
    is_refused(&stage.post("/v1/attest/challenge", &json!({"app": "none"})), 400, "app: no app of this name");
    // A store that cannot say whether it was used says no.
    stage.world.store_down.set(true);
    is_refused(&stage.attest(&phone), 500, "store");
}

#[test]
fn what_is_wrong_with_a_device_is_told_and_it_gets_no_token() {
    type Change = fn(&mut Stage, &mut Phone);
    let cases: &[(Change, u16, &str)] = &[
        (|_, phone| phone.counter = 1, 403, "the counter has not risen"),
        (|_, phone| phone.aaguid = *b"appattestdevelop", 403, "another environment"),
        (|_, phone| *phone = Phone::new("A1B2C3D4E5.com.example.other"), 403, "made by another app"),
        (|stage, _| stage.authority = Authority::new(true), 403, "a signature is not good"),
        (|stage, _| stage.authority = Authority::new(false), 403, "a signature is not good"),
        (|stage, _| stage.authority.faults.ends = "261121115959Z", 403, "not good at this time"),
        (|stage, _| stage.authority.faults.begins = "261121120001Z", 403, "not good at this time"),
        (|stage, _| stage.authority.faults.is_authority = false, 403, "not fit"),
        (|stage, _| stage.authority.faults.is_strange = true, 403, "not fit"),
        (|stage, _| stage.authority.faults.certificates = 1, 403, "do not lead to the root"),
    ];
    for (change, status, why) in cases {
        let mut stage = Stage::new(&json!({}));
        let mut phone = Phone::new(APP);
        change(&mut stage, &mut phone);
        let replied = stage.attest(&phone);
        is_refused(&replied, *status, why);
        assert!(replied.line["refused"].as_str().unwrap().contains(why), "{}", replied.line);
    }
    let stage = Stage::new(&json!({}));
    let phone = Phone::new(APP);
    let good = stage.attestation(&phone, &stage.challenge());
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        stage.post("/v1/attest/apple", &body)
    };
    is_refused(&with("key_id", json!("AAAA")), 403, "the key's identifier");
    is_refused(&with("key_id", json!("?")), 400, "key_id: not base64");
    is_refused(&with("attestation", Value::Null), 400, "attestation: missing");
    is_refused(&with("challenge", Value::Null), 400, "challenge: missing");
    is_refused(&with("attestation", json!("AAAA")), 400, "cannot be read");
    is_refused(&with("attestations", json!("AAAA")), 400, "attestations: no such field");
    is_refused(&with("user", json!("u1")), 403, "not made for this challenge");
    is_refused(&with("user", json!("u\u{7}")), 400, "user: ");
    is_refused(&with("challenge", json!("x".repeat(70_000))), 413, "longer than 65536 bytes");
    is_refused(&with("app", json!("other")), 403, "not one that was made here for this app");
    assert_eq!(stage.post("/v1/attest/apple", &good).status, 200, "none of them has used the challenge");
    let wrong = ask(&stage.gateway, &stage.world, ("GET", "/v1/attest/apple"), &[], &Value::Null);
    assert_eq!((wrong.status, wrong.headers.get("allow")), (405, Some("POST")));
}

#[test]
fn an_assertion_is_of_an_attested_device_whose_counter_has_risen() {
    let stage = Stage::new(&json!({}));
    let mut phone = Phone::new(APP);
    let first = stage.attest(&phone).body["device"].clone();
    phone.counter = 4;
    let fifth = stage.assert(&mut phone, &first).body["device"].clone();
    assert!(fifth.is_string());
    for counter in [0, 4] {
        phone.counter = counter;
        is_refused(&stage.assert(&mut phone, &fifth), 403, "the counter has not risen");
    }
    // Whose answer was lost shows what it had before.
    phone.counter = 5;
    assert_eq!(stage.assert(&mut phone, &first).status, 200);
    let stranger = stage.attest(&Phone::new(APP)).body["device"].clone();
    is_refused(&stage.assert(&mut phone, &stranger), 403, "a signature is not good");
    is_refused(&stage.assert(&mut phone, &json!("AAAA")), 403, "not one that was attested here");
    is_refused(&stage.assert(&mut phone, &Value::Null), 400, "device: missing");
    let blocked = Stage::new(&json!({"blocked": [STANDARD.encode(phone.key_id())]}));
    phone.counter = 0;
    is_refused(&blocked.attest(&phone), 403, "this device is blocked");
}

#[test]
fn an_app_says_for_whom_a_token_is_and_what_it_allows() {
    let stage = Stage::new(&json!({"models": ["tollgate/none"], "token_seconds": 60}));
    let phone = Phone::new(APP);
    let challenge = stage.challenge();
    let mut body = stage.attestation(&phone, &challenge);
    body["attestation"] = json!(STANDARD.encode(stage.authority.attest(&phone, &hash(&format!("{challenge}\nu1")))));
    body["user"] = json!("u1");
    let replied = stage.post("/v1/attest/apple", &body);
    assert_eq!((replied.status, &replied.line["user"]), (200, &json!("u1")), "{}", replied.body);
    assert_eq!(replied.body["expires_at"], "2026-11-21T12:01:00Z");
    assert_eq!(stage.chat(&replied.body["token"], "tollgate/echo"), 403, "it is narrower than the caller");
    let claims = replied.body["token"].as_str().unwrap().split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    assert_eq!((&claims["caller"], &claims["sub"]), (&json!("phones"), &json!("u1")));
}

#[test]
fn so_many_devices_are_looked_at_in_a_minute() {
    let stage = Stage::new(&json!({"exchanges_per_minute": 2}));
    let phone = Phone::new(APP);
    assert_eq!(stage.attest(&phone).status, 200);
    let mut faulty = Stage::new(&json!({}));
    faulty.authority.faults = Faults::default();
    // One that is not good counts too, or somebody could have signatures checked without end.
    let challenge = stage.challenge();
    is_refused(&stage.post("/v1/attest/apple", &faulty.attestation(&phone, &challenge)), 403, "a signature");
    let third = stage.attest(&phone);
    is_refused(&third, 429, "too many devices of this app");
    assert_eq!(third.headers.get("retry-after"), Some("60"));
    stage.wait(60_000);
    assert_eq!(stage.attest(&phone).status, 200);
}

#[test]
fn a_verdict_of_google_play_is_exchanged_and_the_account_asks_once_an_hour() {
    let stage = Stage::new(&json!({}));
    stage.gives_tokens(200, ACCESS);
    let replied = stage.integrity();
    assert_eq!(replied.status, 200, "{}", replied.body);
    assert!(replied.body.get("device").is_none() && replied.body.get("device_id").is_none());
    assert_eq!(stage.chat(&replied.body["token"], "tollgate/echo"), 200);
    {
        let (sent, heads) = (stage.world.sent.borrow(), stage.world.heads.borrow());
        assert_eq!(sent[0].0, "http://oauth/token");
        let form = String::from_utf8(sent[0].1.to_vec()).unwrap();
        let claim = form.split_once("&assertion=").unwrap().1;
        let (signed, signature) = claim.rsplit_once('.').unwrap();
        let der = tollgate::wire::pem::block(RSA, "PRIVATE KEY").unwrap();
        let key = RsaKeyPair::from_pkcs8(&der).unwrap();
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public().as_ref());
        key.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        assert_eq!(sent[1].0, "http://play/v1/com.example.app:decodeIntegrityToken");
        assert_eq!(sent[1].1.as_ref(), br#"{"integrityToken":"from Google Play"}"#);
        assert_eq!(heads[1].1.get("authorization"), Some("Bearer ya29.secret"));
    }
    stage.wait(3_500_000);
    assert_eq!(stage.integrity().status, 200);
    assert_eq!(stage.asked("oauth"), 1);
    stage.wait(60_000);
    assert_eq!(stage.integrity().status, 200);
    assert_eq!((stage.asked("oauth"), stage.asked("play")), (2, 3));
}

#[test]
fn what_google_does_not_say_well_of_gets_no_token() {
    let stage = Stage::new(&json!({}));
    stage.gives_tokens(200, ACCESS);
    let with = |verdict: Value| {
        let challenge = stage.challenge();
        let mut own = self::verdict(&hash(&challenge), 0);
        for (path, value) in verdict.as_object().unwrap() {
            *own["tokenPayloadExternal"].pointer_mut(path).unwrap() = value.clone();
        }
        stage.google(200, &own);
        stage.post("/v1/attest/google", &json!({"app": "app", "challenge": challenge, "token": "t"}))
    };
    assert_eq!(with(json!({})).status, 200);
    let cases = [
        (json!({"/requestDetails/requestHash": "aGVsbG8gd29scmQgdGhlcmU"}), "not for this challenge"),
        (json!({"/requestDetails/timestampMillis": "1"}), "too old"),
        (json!({"/appIntegrity/appRecognitionVerdict": "UNRECOGNIZED_VERSION"}), "does not recognize"),
        (json!({"/appIntegrity/certificateSha256Digest": []}), "another certificate"),
        (json!({"/deviceIntegrity/deviceRecognitionVerdict": []}), "integrity that this app asks for"),
    ];
    for (verdict, why) in cases {
        is_refused(&with(verdict), 403, why);
    }
    let challenge = stage.challenge();
    let body = json!({"app": "app", "challenge": challenge, "token": "t"});
    stage.google(200, &verdict(&hash(&challenge), 0));
    assert_eq!(stage.post("/v1/attest/google", &body).status, 200);
    is_refused(&stage.post("/v1/attest/google", &body), 403, "the challenge has been used");
    let answers: [(u16, Value, u16, &str); 6] = [
        (400, json!({"error": {"code": 400}}), 400, "cannot be read"),
        (403, json!({"error": {"code": 403}}), 500, "the gateway's log says why"),
        (429, json!({}), 429, "no more verdicts"),
        (503, json!({}), 502, "answered with status 503"),
        (200, json!({}), 502, "no verdict"),
        (200, json!("x".repeat(70_000)), 502, "too long"),
    ];
    for (status, answer, due, why) in answers {
        stage.google(status, &answer);
        let body = json!({"app": "app", "challenge": stage.challenge(), "token": "t"});
        is_refused(&stage.post("/v1/attest/google", &body), due, why);
    }
    assert_eq!(stage.asked("oauth"), 2, "once anew, after 403");
    let silent: Script = [(0, Act::Silence)].into_iter().collect();
    stage.world.targets.borrow_mut().insert("play".to_owned(), [silent].into());
    let body = json!({"app": "app", "challenge": stage.challenge(), "token": "t"});
    is_refused(&stage.post("/v1/attest/google", &body), 504, "did not answer in time");
    is_refused(
        &stage.post("/v1/attest/google", &json!({"app": "other", "challenge": "x", "token": "t"})),
        403,
        "challenge",
    );
}

#[test]
fn an_account_that_cannot_be_used_is_told_to_the_operator_only() {
    let secret = "do not tell";
    for (account, status, answer, why) in [
        (secret.to_owned(), 200, ACCESS, "it is not the JSON"),
        (account().replace("PRIVATE KEY", "RSA PRIVATE KEY"), 200, ACCESS, "no PEM"),
        (account().replace("MIIE", "AAAA"), 200, ACCESS, "no RSA key"),
        (account(), 400, r#"{"error":"invalid_grant"}"#, "status 400"),
        (account(), 200, r#"{"access_token":5}"#, "expected"),
    ] {
        let stage = Stage::with(&json!({}), &account);
        stage.gives_tokens(status, answer);
        let replied = stage.integrity();
        is_refused(&replied, 500, "the gateway's log says why");
        let told = replied.line.to_string();
        assert!(told.contains(why) && !told.contains(secret) && !told.contains("MII"), "{told}");
    }
}
