//! Files that the scripted upstream serves: what a caller may name by its address. All are below `/files/` and a
//! scenario's marker, and are served to whoever brings nothing that is not for everybody.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Request;
use super::script::Step;
use crate::suite::published;

/// A file of one pixel.
pub(crate) const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";

/// A list of prices, none of which is as the catalogue has it.
const PRICES: &str = r#"{"data":[{"id":"openai/gpt-5","pricing":{"prompt":"0.000011","completion":"0.000012"}}]}"#;

/// Longer than the suite's configuration allows.
const LONG_BYTES: usize = 300_000;

/// What only the gateway's callers, its providers or their browsers may see.
const SECRETS: [&str; 6] = ["authorization", "x-api-key", "x-goog-api-key", "cookie", "referer", "traceparent"];

/// Where it is told of budgets.
pub(crate) const HOOK: &str = "/hook";

/// `None` where the path is that of no file.
pub(super) fn steps(request: &Request) -> Option<Vec<Step>> {
    if request.path == HOOK {
        return Some(status(if request.method == "POST" { 204 } else { 405 }, Vec::new()));
    }
    let path = request.path.split('?').next().unwrap_or_default();
    let (folder, name) = path.strip_prefix("/files/")?.split_once('/')?;
    let is_plain = request.method == "GET" && request.body.is_empty();
    if !is_plain || SECRETS.iter().any(|name| !request.header(name).is_empty()) {
        return Some(status(400, Vec::new()));
    }
    Some(match name {
        "pixel.png" => sends("image/png", STANDARD.decode(PIXEL).expect("it is base64")),
        // As stores do that know nothing of their files.
        "pixel" => sends("application/octet-stream", STANDARD.decode(PIXEL).expect("it is base64")),
        "moved.png" => status(302, vec![("location", format!("/files/{folder}/pixel.png"))]),
        "inside.png" => status(302, vec![("location", "http://169.254.169.254/latest/meta-data/".to_owned())]),
        "prices.json" => sends("application/json", PRICES.into()),
        "jwks.json" => sends("application/json", published().0.to_string().into()),
        "page.png" => sends("image/png", b"<html>Sign in</html>".to_vec()),
        "long.png" => sends("image/png", [b"\x89PNG\r\n\x1a\n".as_slice(), &vec![0; LONG_BYTES]].concat()),
        "slow.png" => vec![Step::Hang],
        _ => status(404, Vec::new()),
    })
}

fn sends(kind: &'static str, bytes: Vec<u8>) -> Vec<Step> {
    vec![Step::StreamHead { kind }, Step::Send(bytes), Step::End]
}

fn status(status: u16, headers: Vec<(&'static str, String)>) -> Vec<Step> {
    vec![Step::Whole { status, headers, body: String::new(), length: 0 }]
}
