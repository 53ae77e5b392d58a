//! Google's servers for Play Integrity: one gives a service account its token for a claim that it has signed, the other
//! reads what a device has from them. Here a device has the verdict itself, in base64.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde_json::{Value, json};

use super::Request;
use super::script::Step;

pub(crate) const PACKAGE: &str = "com.example.app";
/// SHA-256 of the certificate that the app is signed with.
pub(crate) const CERTIFICATE: &str = "0909090909090909090909090909090909090909090909090909090909090909";
/// The name of the secret with the service account.
pub(crate) const ACCOUNT: &str = "PLAY_ACCOUNT";

const EMAIL: &str = "gateway@example.iam.gserviceaccount.com";
const ACCESS: &str = "ya29.scripted";
const KEY: &str = include_str!("../../forge/rsa2048.pem");

/// The JSON that Google gives of it.
pub(crate) fn account(upstream: SocketAddr) -> String {
    let token_uri = format!("http://{upstream}/play/token");
    json!({"client_email": EMAIL, "private_key_id": "k1", "private_key": KEY, "token_uri": token_uri}).to_string()
}

/// What a device has from Google: the verdict that all is good, but for the device itself, if it is not.
pub(crate) fn token(hash: &str, device: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_millis();
    let verdict = json!({
        "requestDetails": {"requestPackageName": PACKAGE, "requestHash": hash, "timestampMillis": now.to_string()},
        "appIntegrity": {
            "appRecognitionVerdict": "PLAY_RECOGNIZED", "packageName": PACKAGE, "versionCode": "1",
            "certificateSha256Digest": [URL_SAFE_NO_PAD.encode([9; 32])],
        },
        "deviceIntegrity": {"deviceRecognitionVerdict": [device]},
        "accountDetails": {"appLicensingVerdict": "LICENSED"},
    });
    URL_SAFE_NO_PAD.encode(verdict.to_string())
}

/// `None` where the path is none of these servers'.
pub(super) fn steps(request: &Request) -> Option<Vec<Step>> {
    let rest = request.path.strip_prefix("/play/")?;
    let (status, answer) = match rest {
        "token" if is_signed(request) => {
            (200, json!({"access_token": ACCESS, "expires_in": 3599, "token_type": "Bearer"}))
        }
        "token" => (400, json!({"error": "invalid_grant"})),
        _ if request.header("authorization") != format!("Bearer {ACCESS}") => (401, json!({})),
        _ if rest != format!("v1/{PACKAGE}:decodeIntegrityToken") => (404, json!({})),
        _ => match verdict(request) {
            Some(verdict) => (200, json!({"tokenPayloadExternal": verdict})),
            None => (400, json!({"error": {"code": 400, "status": "INVALID_ARGUMENT"}})),
        },
    };
    let body = answer.to_string();
    let length = body.len();
    Some(vec![Step::Whole { status, headers: Vec::new(), body, length }])
}

/// Whether it is a claim that the account has signed.
fn is_signed(request: &Request) -> bool {
    let form = String::from_utf8_lossy(&request.body).into_owned();
    let grant = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
    let Some((signed, signature)) = form.strip_prefix(grant).and_then(|claim| claim.rsplit_once('.')) else {
        return false;
    };
    let key = tollgate::wire::pem::block(KEY, "PRIVATE KEY").expect("it is a key");
    let key = RsaKeyPair::from_pkcs8(&key).expect("it is a key");
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public().as_ref());
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
    let claims = signed.split('.').nth(1).and_then(|claims| URL_SAFE_NO_PAD.decode(claims).ok()).unwrap_or_default();
    let claims: Value = serde_json::from_slice(&claims).unwrap_or_default();
    key.verify(signed.as_bytes(), &signature).is_ok()
        && request.header("content-type") == "application/x-www-form-urlencoded"
        && claims["iss"] == EMAIL
        && claims["scope"] == "https://www.googleapis.com/auth/playintegrity"
}

fn verdict(request: &Request) -> Option<Value> {
    let asked: Value = serde_json::from_slice(&request.body).ok()?;
    let token = URL_SAFE_NO_PAD.decode(asked["integrityToken"].as_str()?).ok()?;
    serde_json::from_slice(&token).ok()
}
