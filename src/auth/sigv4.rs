//! AWS Signature Version 4: a request proves its key instead of carrying it.
//!
//! The signature covers the host, the time, the content type and the body as they are sent, so signing is the last that
//! happens to a request.
//!
//! Source: "Create a signed AWS API request", AWS Identity and Access Management user guide, read 2026-11.

use std::fmt;
use std::fmt::Write as _;

use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::host::{Headers, Millis};
use crate::limit::calendar::day;
use crate::wire::percent;

/// Signs for one service in one region.
#[derive(Clone)]
pub struct Signer {
    pub access_key: String,
    pub secret_key: String,
    /// Of credentials that expire.
    pub session_token: Option<String>,
    pub region: String,
    pub service: String,
}

/// Neither key nor token.
impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({} in {})", self.service, self.region)
    }
}

/// The headers that are covered where they are there. Others may change on the way.
const COVERED: &[&str] = &["content-type", "host", "x-amz-date", "x-amz-security-token"];

impl Signer {
    /// Adds `authorization` and what it covers to `headers` of a POST to `url`.
    pub fn sign(&self, url: &str, headers: &mut Headers, body: &[u8], now: Millis) {
        let time = timestamp(now);
        headers.push("x-amz-date", time.as_str());
        if let Some(token) = &self.session_token {
            headers.push("x-amz-security-token", token.as_str());
        }
        let authorization = self.authorization("POST", url, headers, body, &time);
        headers.push("authorization", authorization);
    }

    fn authorization(&self, method: &str, url: &str, headers: &Headers, body: &[u8], time: &str) -> String {
        let Self { access_key, secret_key, region, service, .. } = self;
        let (canonical, names) = canonical(method, url, headers, body);
        let date = time.get(..8).unwrap_or_default();
        let scope = format!("{date}/{region}/{service}/aws4_request");
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
        let first = format!("AWS4{secret_key}").into_bytes();
        let key = [date, region, service, "aws4_request"].iter().fold(first, |key, part| mac(&key, part));
        let signature = hex(&mac(&key, &text));
        format!("AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}")
    }
}

/// The request in the form that both sides hash, and the names of the headers in it.
fn canonical(method: &str, url: &str, headers: &Headers, body: &[u8]) -> (String, String) {
    let (_, rest) = url.split_once("://").unwrap_or(("", url));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let value = |name: &str| match name {
        "host" => Some(host),
        name => headers.get(name),
    };
    let mut fields = String::new();
    let mut names = String::new();
    for (name, value) in COVERED.iter().filter_map(|name| Some((name, value(name)?))) {
        let words: Vec<&str> = value.split_whitespace().collect();
        // Text can always be written to a String.
        let _ = writeln!(fields, "{name}:{}", words.join(" "));
        names.push_str(if names.is_empty() { "" } else { ";" });
        names.push_str(name);
    }
    // The path is encoded once more than it is sent, by every service but S3.
    let path: Vec<String> = path.split('/').map(percent::encode).collect();
    let path = if path.len() < 2 { "/".to_owned() } else { path.join("/") };
    let mut query: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    query.sort_unstable();
    let canonical = format!("{method}\n{path}\n{}\n{fields}\n{names}\n{}", query.join("&"), hex(&Sha256::digest(body)));
    (canonical, names)
}

/// `20150830T123600Z`
fn timestamp(now: Millis) -> String {
    let seconds = now / 1000 % 86_400;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{}T{hour:02}{minute:02}{second:02}Z", day(now).replace('-', ""))
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes keys of every length.
    Hmac::<Sha256>::new_from_slice(key)
        .map(|mut mac| {
            mac.update(text.as_bytes());
            mac.finalize().into_bytes().to_vec()
        })
        .unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
        // As above.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2015-08-30T12:36:00Z
    const NOW: Millis = 1_440_938_160_000;

    fn signer(service: &str) -> Signer {
        Signer {
            access_key: "AKIDEXAMPLE".into(),
            secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            session_token: None,
            region: "us-east-1".into(),
            service: service.to_owned(),
        }
    }

    fn signature(method: &str, url: &str, fields: &[(&str, &str)], body: &str) -> String {
        let headers: Headers = fields.iter().copied().chain([("x-amz-date", "20150830T123600Z")]).collect();
        let authorization = signer("service").authorization(method, url, &headers, body.as_bytes(), &timestamp(NOW));
        authorization.rsplit_once("Signature=").unwrap().1.to_owned()
    }

    /// Source: "AWS Signature Version 4 test suite", by the names of its cases.
    #[test]
    fn the_published_vectors_are_met() {
        let form = [("content-type", "application/x-www-form-urlencoded")];
        type Case<'a> = (&'a str, &'a str, &'a str, &'a [(&'a str, &'a str)], &'a str, &'a str);
        let cases: &[Case<'_>] = &[
            (
                "get-vanilla",
                "GET",
                "https://example.amazonaws.com/",
                &[],
                "",
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                "get-vanilla-query-order-key-case",
                "GET",
                "https://example.amazonaws.com/?Param2=value2&Param1=value1",
                &[],
                "",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                "post-vanilla",
                "POST",
                "https://example.amazonaws.com/",
                &[],
                "",
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                "post-x-www-form-urlencoded",
                "POST",
                "https://example.amazonaws.com/",
                &form,
                "Param1=value1",
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
        ];
        for (name, method, url, fields, body, expected) in cases {
            assert_eq!(signature(method, url, fields, body), *expected, "{name}");
        }
    }

    /// Computed with botocore 1.43.11.
    #[test]
    fn a_call_of_bedrock_is_signed_as_amazons_sdk_signs_it() {
        let url = "https://bedrock-runtime.us-east-1.amazonaws.com/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse";
        let mut headers = Headers::from_iter([("content-type", "application/json"), ("user-agent", "not covered")]);
        let signer = Signer { session_token: Some("token/+=".into()), ..signer("bedrock") };
        signer.sign(url, &mut headers, br#"{"messages":[]}"#, NOW + 999);
        let expected = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/bedrock/aws4_request, \
            SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, \
            Signature=7efd9cc0f084a13eacfcc0980624c42c7f0ab845e5abf1d9c3d31f5162d31615";
        assert_eq!(headers.get("authorization"), Some(expected));
        assert_eq!(headers.get("x-amz-date"), Some("20150830T123600Z"));
        assert_eq!(headers.get("x-amz-security-token"), Some("token/+="));
    }

    #[test]
    fn a_signer_does_not_show_its_key() {
        assert_eq!(format!("{:?}", signer("bedrock")), "Signer(bedrock in us-east-1)");
    }
}
