//! Checks AWS's signatures as its services do: by computing them from what arrived.
//!
//! Source: "Create a signed AWS API request", AWS Identity and Access Management user guide, read 2026-11.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

use super::Request;

pub(crate) const ACCESS_KEY: &str = "AKIASCRIPTED5F2C";
pub(crate) const SECRET_KEY: &str = "scripted/aws+secret/8d1e";
pub(crate) const REGION: &str = "eu-west-1";
const SERVICE: &str = "bedrock";

/// How far the clocks may be apart.
const SKEW_SECONDS_MAX: u64 = 300;

/// Why the request is not signed as it should be.
pub(crate) fn check(request: &Request) -> Result<(), String> {
    let authorization = request.header("authorization");
    let fields = authorization.strip_prefix("AWS4-HMAC-SHA256 ").ok_or("the request is not signed")?;
    let field = |name: &str| {
        let mut fields = fields.split(", ").filter_map(|field| field.split_once('='));
        fields.find(|(field, _)| *field == name).map(|(_, value)| value).ok_or(format!("{name} is missing"))
    };
    let (credential, names, signature) = (field("Credential")?, field("SignedHeaders")?, field("Signature")?);
    let time = request.header("x-amz-date");
    let day = time.get(..8).ok_or("x-amz-date is missing")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?.as_secs();
    if seconds(time).ok_or("x-amz-date is no time")?.abs_diff(now) > SKEW_SECONDS_MAX {
        return Err(format!("signature expired: {time}"));
    }
    let scope = format!("{day}/{REGION}/{SERVICE}/aws4_request");
    if credential != format!("{ACCESS_KEY}/{scope}") {
        return Err(format!("the credential is not scoped as it should be: {credential}"));
    }
    let names: Vec<&str> = names.split(';').collect();
    if let Some(name) = ["host", "x-amz-date"].into_iter().find(|name| !names.contains(name)) {
        return Err(format!("{name} must be signed"));
    }
    let headers: String = names.iter().map(|name| format!("{name}:{}\n", request.header(name).trim())).collect();
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let path: Vec<String> = path.split('/').map(encoded).collect();
    let body = hex(&Sha256::digest(&request.body));
    let canonical = format!("POST\n{}\n{query}\n{headers}\n{}\n{body}", path.join("/"), names.join(";"));
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let key = scope.split('/').fold(format!("AWS4{SECRET_KEY}").into_bytes(), |key, part| mac(&key, part));
    if hex(&mac(&key, &text)) == signature {
        Ok(())
    } else {
        Err("The request signature we calculated does not match the signature you provided.".to_owned())
    }
}

/// Unix seconds of `20150830T123600Z`.
fn seconds(time: &str) -> Option<u64> {
    let number = |at: usize, length: usize| time.get(at..at + length)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(4, 2)?, number(6, 2)?);
    // Years begin in March here, so that the leap day is their last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + number(9, 2)? * 3600 + number(11, 2)? * 60 + number(13, 2)?)
}

/// Once more than it was sent.
fn encoded(segment: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    segment
        .bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("keys of every length are taken");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
