//! Play Integrity: Google's servers read what a device has from them, and say what they think of the app, the device and
//! the account. Who may ask them is a service account, by a claim that it signs.
//!
//! Sources: "Integrity verdicts" and "Make a standard API request", Android developer documentation;
//! "projects.decodeIntegrityToken", Play Integrity API reference; "Using OAuth 2.0 for Server to Server Applications",
//! Google Identity; read 2026-11.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Refusal;
use super::seal::CHALLENGE_MS;
use crate::host::Millis;
use crate::wire::json::{self, objects, parse, to_vec, words, written};
use crate::wire::pem;
use crate::wire::percent;

words! {
    /// What Google says of a device.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Integrity = "a verdict on a device" {
        Basic as "MEETS_BASIC_INTEGRITY",
        Device as "MEETS_DEVICE_INTEGRITY",
        Strong as "MEETS_STRONG_INTEGRITY",
        Virtual as "MEETS_VIRTUAL_INTEGRITY",
    }
}

/// An app whose verdicts are believed, and which verdicts.
#[derive(Debug)]
pub struct App {
    pub package: String,
    /// SHA-256 of those that it may be signed with.
    pub certificates: Vec<[u8; 32]>,
    /// A device has all of these.
    pub device: Vec<Integrity>,
    /// Whether Google Play need not recognize the app, as of one that is not from there.
    pub unrecognized: bool,
    /// Whether the account must have it from Google Play.
    pub licensed: bool,
    /// The oldest version that is taken.
    pub version_min: u64,
    /// Whether verdicts count that were set up for tests.
    pub tests: bool,
    /// Whom Google's servers know; or why there is none.
    pub account: Result<Account, String>,
    /// Of Google's servers.
    pub base_url: String,
}

/// A service account, by its key.
pub struct Account {
    pub email: String,
    key_id: String,
    /// PKCS #8, in DER.
    pub key: Vec<u8>,
    /// Where it has its tokens.
    pub token_url: String,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Account({})", self.email)
    }
}

/// What an account's claim is good for.
const SCOPE: &str = "https://www.googleapis.com/auth/playintegrity";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The longest that Google takes.
const CLAIM_SECONDS: u64 = 3600;
/// Clocks differ by as much.
const SKEW_MS: Millis = 60_000;

objects! {
    /// What Google gives of a service account, of which more stands there.
    struct AccountFile<'a> {
        client_email: Cow<'a, str>,
        private_key_id: Option<Cow<'a, str>>,
        private_key: Cow<'a, str>,
        token_uri: Cow<'a, str>,
    }

    /// What it answers a claim with.
    #[derive(Debug)]
    pub struct Access {
        access_token: String,
        expires_in: u64,
    }

    struct Decoded<'a> {
        payload as "tokenPayloadExternal": Option<Verdict<'a>>,
    }

    /// What Google thinks.
    #[derive(Debug)]
    pub struct Verdict<'a> {
        request as "requestDetails": Option<Request<'a>>,
        app as "appIntegrity": Option<AppIntegrity<'a>>,
        device as "deviceIntegrity": Option<DeviceIntegrity<'a>>,
        account as "accountDetails": Option<AccountDetails<'a>>,
        testing as "testingDetails": Option<Testing>,
    }

    #[derive(Debug)]
    struct Request<'a> {
        package as "requestPackageName": Option<Cow<'a, str>>,
        hash as "requestHash": Option<Cow<'a, str>>,
        nonce: Option<Cow<'a, str>>,
        time as "timestampMillis": Option<Cow<'a, str>>,
    }

    #[derive(Debug)]
    struct AppIntegrity<'a> {
        verdict as "appRecognitionVerdict": Option<Cow<'a, str>>,
        package as "packageName": Option<Cow<'a, str>>,
        certificates as "certificateSha256Digest": Vec<Cow<'a, str>> = Vec::new(),
        version as "versionCode": Option<Cow<'a, str>>,
    }

    #[derive(Debug)]
    struct DeviceIntegrity<'a> {
        verdict as "deviceRecognitionVerdict": Vec<Cow<'a, str>> = Vec::new(),
    }

    #[derive(Debug)]
    struct AccountDetails<'a> {
        licensing as "appLicensingVerdict": Option<Cow<'a, str>>,
    }

    #[derive(Debug)]
    struct Testing {
        is_test as "isTestingResponse": bool = false,
    }
}

written! {
    struct Header<'a> {
        alg: &'static str,
        typ: &'static str,
        kid?: &'a str,
    }

    struct Claims<'a> {
        iss: &'a str,
        scope: &'static str,
        aud: &'a str,
        iat: u64,
        exp: u64,
    }

    struct Decode<'a> {
        token as "integrityToken": &'a str,
    }
}

impl Account {
    /// From the JSON that Google gives of it. The error says which part is wrong, and nothing of what stands there.
    pub fn read(text: &str) -> Result<Self, String> {
        let file: AccountFile<'_> = parse(text).map_err(|_| "it is not the JSON that Google gives of one")?;
        let key = pem::block(&file.private_key, "PRIVATE KEY").ok_or("its private_key is no PEM of a PRIVATE KEY")?;
        if file.client_email.is_empty() || !file.token_uri.contains("://") {
            return Err("its client_email or its token_uri is not one".to_owned());
        }
        let key_id = file.private_key_id.unwrap_or_default().into_owned();
        Ok(Self { email: file.client_email.into_owned(), key_id, key, token_url: file.token_uri.into_owned() })
    }

    /// What it signs to have a token: a JWT without its last part.
    pub fn claim(&self, now: Millis) -> String {
        let iat = now / 1000;
        let header = Header { alg: "RS256", typ: "JWT", kid: &self.key_id };
        let exp = iat + CLAIM_SECONDS;
        let claims = Claims { iss: &self.email, scope: SCOPE, aud: &self.token_url, iat, exp };
        format!("{}.{}", URL_SAFE_NO_PAD.encode(to_vec(&header)), URL_SAFE_NO_PAD.encode(to_vec(&claims)))
    }

    /// The body that asks for a token, a form.
    pub fn form(claim: &str, signature: &[u8]) -> String {
        format!("grant_type={}&assertion={claim}.{}", percent::encode(GRANT), URL_SAFE_NO_PAD.encode(signature))
    }
}

impl Access {
    /// The token, and until when it may be used.
    pub fn read(body: &[u8], now: Millis) -> Result<(String, Millis), String> {
        let Self { access_token, expires_in } = json::read(body).map_err(|error| error.to_string())?;
        let ends = now.saturating_add(expires_in.saturating_mul(1000)).saturating_sub(SKEW_MS);
        // It goes into a header.
        let fits = !access_token.is_empty() && access_token.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok((access_token, ends)) } else { Err("its token is none".to_owned()) }
    }
}

impl App {
    /// Where a verdict is asked for, and with what.
    pub fn question(&self, token: &str) -> (String, Vec<u8>) {
        let base = self.base_url.trim_end_matches('/');
        let url = format!("{base}/v1/{}:decodeIntegrityToken", percent::encode(&self.package));
        (url, to_vec(&Decode { token }))
    }

    /// Whether the verdict in an answer of Google's is on a good app on a good device, and was asked for with `hash`.
    ///
    /// `None` where there is no verdict in it.
    pub fn judge(&self, body: &[u8], hash: &[u8; 32], now: Millis) -> Option<Result<(), Refusal>> {
        let decoded: Decoded<'_> = json::read(body).ok()?;
        decoded.payload.map(|verdict| self.believes(&verdict, hash, now))
    }

    fn believes(&self, verdict: &Verdict<'_>, hash: &[u8; 32], now: Millis) -> Result<(), Refusal> {
        let ensure = |holds: bool, otherwise: Refusal| if holds { Ok(()) } else { Err(otherwise) };
        let request = verdict.request.as_ref().ok_or(Refusal::Unbound)?;
        let own = Some(self.package.as_str());
        ensure(request.package.as_deref() == own, Refusal::Package)?;
        // A standard request has a hash, a classic one a nonce.
        let bound = request.hash.as_deref().or(request.nonce.as_deref()).map(|text| text.trim_end_matches('='));
        ensure(bound == Some(URL_SAFE_NO_PAD.encode(hash).as_str()), Refusal::Unbound)?;
        let time: Option<Millis> = request.time.as_deref().and_then(|time| time.parse().ok());
        let is_new = |time: Millis| time <= now.saturating_add(SKEW_MS) && now.saturating_sub(time) <= CHALLENGE_MS;
        ensure(time.is_some_and(is_new), Refusal::Old)?;
        let is_test = verdict.testing.as_ref().is_some_and(|testing| testing.is_test);
        ensure(self.tests || !is_test, Refusal::Test)?;

        let app = verdict.app.as_ref().ok_or(Refusal::Unrecognized)?;
        let is_known = match app.verdict.as_deref() {
            Some("PLAY_RECOGNIZED") => true,
            Some("UNRECOGNIZED_VERSION") => self.unrecognized,
            // Of UNEVALUATED nothing else is said of the app either.
            _ => false,
        };
        ensure(is_known, Refusal::Unrecognized)?;
        ensure(app.package.as_deref() == own, Refusal::Package)?;
        let is_own = |digest: &Cow<'_, str>| {
            let digest = URL_SAFE_NO_PAD.decode(digest.trim_end_matches('='));
            digest.is_ok_and(|digest| self.certificates.iter().any(|own| own.as_slice() == digest))
        };
        ensure(!app.certificates.is_empty() && app.certificates.iter().all(is_own), Refusal::Unsigned)?;
        let version: Option<u64> = app.version.as_deref().and_then(|version| version.parse().ok());
        ensure(version.unwrap_or_default() >= self.version_min, Refusal::Version)?;

        let has = |due: &Integrity| {
            let device = verdict.device.as_ref();
            device.is_some_and(|device| device.verdict.iter().any(|verdict| verdict == due.word()))
        };
        ensure(self.device.iter().all(has), Refusal::Integrity)?;
        let licensing = verdict.account.as_ref().and_then(|account| account.licensing.as_deref());
        ensure(!self.licensed || licensing == Some("LICENSED"), Refusal::Unlicensed)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: Millis = 1_795_262_400_000;
    const HASH: [u8; 32] = [7; 32];
    const CERTIFICATE: [u8; 32] = [9; 32];

    fn app() -> App {
        App {
            package: "com.package.name".to_owned(),
            certificates: vec![[8; 32], CERTIFICATE],
            device: vec![Integrity::Device],
            unrecognized: false,
            licensed: false,
            version_min: 0,
            tests: false,
            account: Ok(account()),
            base_url: "https://playintegrity.googleapis.com/".to_owned(),
        }
    }

    fn file() -> Value {
        json!({
            "type": "service_account", "project_id": "p", "private_key_id": "k1", "client_id": "1",
            "private_key": "-----BEGIN PRIVATE KEY-----\nAQID\n-----END PRIVATE KEY-----\n",
            "client_email": "a@p.iam.gserviceaccount.com", "token_uri": "https://oauth2.googleapis.com/token",
        })
    }

    fn account() -> Account {
        Account::read(&file().to_string()).unwrap()
    }

    /// As the documentation has it of a standard request, "Integrity verdicts", with everything good.
    fn verdict() -> Value {
        json!({
            "requestDetails": {
                "requestPackageName": "com.package.name",
                "requestHash": URL_SAFE_NO_PAD.encode(HASH),
                "timestampMillis": NOW.to_string(),
            },
            "appIntegrity": {
                "appRecognitionVerdict": "PLAY_RECOGNIZED",
                "packageName": "com.package.name",
                "certificateSha256Digest": [format!("{}=", URL_SAFE_NO_PAD.encode(CERTIFICATE))],
                "versionCode": "42",
            },
            "deviceIntegrity": {"deviceRecognitionVerdict": ["MEETS_BASIC_INTEGRITY", "MEETS_DEVICE_INTEGRITY"]},
            "accountDetails": {"appLicensingVerdict": "LICENSED"},
            "environmentDetails": {"appAccessRiskVerdict": {"appsDetected": ["KNOWN_INSTALLED"]}},
        })
    }

    fn judge(app: &App, verdict: &Value) -> Option<Result<(), Refusal>> {
        app.judge(json!({"tokenPayloadExternal": verdict}).to_string().as_bytes(), &HASH, NOW)
    }

    fn with(path: &str, value: Value) -> Value {
        let mut verdict = verdict();
        let (parent, name) = path.rsplit_once('/').unwrap();
        verdict.pointer_mut(parent).unwrap()[name] = value;
        verdict
    }

    #[test]
    fn a_verdict_is_believed_where_all_of_it_is_good() {
        assert_eq!(judge(&app(), &verdict()), Some(Ok(())));
        let ago = |ms: Millis| json!((NOW - ms).to_string());
        let classic = {
            let mut verdict = with("/requestDetails/nonce", json!(format!("{}=", URL_SAFE_NO_PAD.encode(HASH))));
            verdict["requestDetails"].as_object_mut().unwrap().remove("requestHash");
            verdict
        };
        for verdict in [
            classic,
            with("/requestDetails/timestampMillis", ago(CHALLENGE_MS)),
            with("/requestDetails/timestampMillis", json!((NOW + SKEW_MS).to_string())),
            with("/testingDetails", json!({"isTestingResponse": false})),
        ] {
            assert_eq!(judge(&app(), &verdict), Some(Ok(())), "{verdict}");
        }
        let cases = [
            ("/requestDetails/requestPackageName", json!("com.other"), Refusal::Package),
            ("/requestDetails/requestHash", json!("aGVsbG8gd29scmQgdGhlcmU"), Refusal::Unbound),
            ("/requestDetails/requestHash", Value::Null, Refusal::Unbound),
            ("/requestDetails/timestampMillis", ago(CHALLENGE_MS + 1), Refusal::Old),
            ("/requestDetails/timestampMillis", json!((NOW + SKEW_MS + 1).to_string()), Refusal::Old),
            ("/requestDetails/timestampMillis", json!("soon"), Refusal::Old),
            ("/requestDetails", Value::Null, Refusal::Unbound),
            ("/testingDetails", json!({"isTestingResponse": true}), Refusal::Test),
            ("/appIntegrity", Value::Null, Refusal::Unrecognized),
            ("/appIntegrity/appRecognitionVerdict", json!("UNRECOGNIZED_VERSION"), Refusal::Unrecognized),
            ("/appIntegrity/appRecognitionVerdict", json!("UNEVALUATED"), Refusal::Unrecognized),
            ("/appIntegrity/packageName", json!("com.other"), Refusal::Package),
            ("/appIntegrity/certificateSha256Digest", json!([]), Refusal::Unsigned),
            ("/appIntegrity/certificateSha256Digest", json!(["6a6a1474b5cbbb2b1aa57e0bc3"]), Refusal::Unsigned),
            ("/deviceIntegrity", json!({}), Refusal::Integrity),
            ("/deviceIntegrity/deviceRecognitionVerdict", json!(["MEETS_BASIC_INTEGRITY"]), Refusal::Integrity),
            ("/deviceIntegrity/deviceRecognitionVerdict", json!(["MEETS_VIRTUAL_INTEGRITY"]), Refusal::Integrity),
        ];
        for (path, value, expected) in cases {
            assert_eq!(judge(&app(), &with(path, value)), Some(Err(expected)), "{path}");
        }
        for body in ["", "{}", "[]", r#"{"tokenPayloadExternal":null}"#, r#"{"tokenPayloadExternal":5}"#] {
            assert!(app().judge(body.as_bytes(), &HASH, NOW).is_none(), "{body}");
        }
    }

    #[test]
    fn an_app_says_what_else_it_takes_and_asks_for() {
        let unrecognized = with("/appIntegrity/appRecognitionVerdict", json!("UNRECOGNIZED_VERSION"));
        let tests = with("/testingDetails", json!({"isTestingResponse": true}));
        let unlicensed = with("/accountDetails/appLicensingVerdict", json!("UNLICENSED"));
        let cases = [
            (App { unrecognized: true, ..app() }, unrecognized, Ok(())),
            (App { tests: true, ..app() }, tests, Ok(())),
            (App { device: Vec::new(), ..app() }, with("/deviceIntegrity", json!({})), Ok(())),
            (app(), unlicensed.clone(), Ok(())),
            (App { licensed: true, ..app() }, verdict(), Ok(())),
            (App { licensed: true, ..app() }, unlicensed, Err(Refusal::Unlicensed)),
            (App { licensed: true, ..app() }, with("/accountDetails", Value::Null), Err(Refusal::Unlicensed)),
            (App { version_min: 42, ..app() }, verdict(), Ok(())),
            (App { version_min: 43, ..app() }, verdict(), Err(Refusal::Version)),
            (App { version_min: 1, ..app() }, with("/appIntegrity/versionCode", Value::Null), Err(Refusal::Version)),
            (App { device: vec![Integrity::Device, Integrity::Strong], ..app() }, verdict(), Err(Refusal::Integrity)),
        ];
        for (app, verdict, expected) in cases {
            assert_eq!(judge(&app, &verdict), Some(expected), "{verdict}");
        }
    }

    #[test]
    fn google_is_asked_as_its_documentation_has_it() {
        let (url, body) = app().question("a\"b");
        assert_eq!(url, "https://playintegrity.googleapis.com/v1/com.package.name:decodeIntegrityToken");
        assert_eq!(body, br#"{"integrityToken":"a\"b"}"#);
        let claim = account().claim(NOW);
        let parts: Vec<Value> = claim
            .split('.')
            .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
            .collect();
        assert_eq!(parts[0], json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}));
        let expected = json!({
            "iss": "a@p.iam.gserviceaccount.com", "scope": SCOPE, "aud": "https://oauth2.googleapis.com/token",
            "iat": NOW / 1000, "exp": NOW / 1000 + 3600,
        });
        assert_eq!(parts[1], expected);
        let form = Account::form("a.b", &[1, 2, 3]);
        assert_eq!(form, "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=a.b.AQID");
    }

    #[test]
    fn a_token_is_used_until_a_minute_before_it_ends() {
        let read = |body: &str| Access::read(body.as_bytes(), NOW);
        let good = r#"{"access_token":"ya29.x","expires_in":3599,"token_type":"Bearer"}"#;
        assert_eq!(read(good), Ok(("ya29.x".to_owned(), NOW + 3_539_000)));
        for wrong in ["", "{}", r#"{"access_token":"a b","expires_in":1}"#, r#"{"access_token":"","expires_in":1}"#] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_account_is_read_or_its_fault_is_told_without_its_key() {
        let read = |field: &str, value: Value| {
            let mut file = file();
            file[field] = value;
            Account::read(&file.to_string()).map(|account| format!("{account:?}"))
        };
        assert_eq!(read("universe_domain", json!("googleapis.com")).unwrap(), "Account(a@p.iam.gserviceaccount.com)");
        for (field, value) in [
            ("private_key", json!("-----BEGIN RSA PRIVATE KEY-----\nsecret\n-----END RSA PRIVATE KEY-----")),
            ("private_key", Value::Null),
            ("client_email", json!("")),
            ("token_uri", json!("token")),
        ] {
            let why = read(field, value).unwrap_err();
            assert!(!why.contains("secret"), "{why}");
        }
    }
}
