//! What browsers are told, so that pages of the origins that a caller lists may call and read the answers. Pure.
//!
//! Source: "Fetch", WHATWG, "HTTP-CORS protocol", read 2026-11. Cookies are not for an API, so credentials are never allowed;
//! a key that a page sends in a header of its own needs none of that.

use super::Gateway;
use super::head::header_text;
use crate::auth::callers;
use crate::host::{Headers, Incoming, Reply, ReplyBody};

const ALLOW_ORIGIN: &str = "access-control-allow-origin";
const EXPOSE: &str = "access-control-expose-headers";
/// For which a browser asks first: what is asked with, besides `GET` and simple forms.
const METHODS: &str = "GET, HEAD, POST, PATCH, DELETE";
/// A browser asks again after ten minutes, so that an origin which is taken off the list is soon off it.
const KEPT_SECONDS: &str = "600";
/// Of an answer's head, what pages may read besides what begins with [`OWN`].
const READABLE: &[&str] = &["retry-after", "x-should-retry", "request-id", "x-request-id", "x-amzn-requestid"];
const OWN: &[&str] = &["x-tollgate-", "x-ratelimit-", "anthropic-ratelimit-"];

/// The answer to a browser that asks whether a page may call; none where it may not, or nobody asks that. It shows no key
/// yet, so whoever any caller lists may.
pub(super) fn preflight<B>(gateway: &Gateway, request: &Incoming) -> Option<Reply<B>> {
    let origin = request.headers.get("origin")?;
    request.headers.get("access-control-request-method")?;
    if request.method != "OPTIONS" || !lists(gateway, origin) {
        return None;
    }
    let mut headers = Headers::from_iter([
        (ALLOW_ORIGIN, origin),
        ("vary", "origin, access-control-request-headers"),
        ("access-control-allow-methods", METHODS),
        ("access-control-max-age", KEPT_SECONDS),
    ]);
    if let Some(names) = request.headers.get("access-control-request-headers") {
        // A star would not stand for `authorization`.
        headers.push("access-control-allow-headers", header_text(names));
    }
    // Workers' `Response` takes no body at all with 204.
    Some(Reply { status: 200, headers, body: ReplyBody::Whole(bytes::Bytes::new()) })
}

/// Whether any caller does.
fn lists(gateway: &Gateway, origin: &str) -> bool {
    let issued = gateway.ring().callers();
    callers(&gateway.config, &issued).any(|caller| caller.is_for(origin))
}

/// Lets the page read the answer with this head, which is complete.
pub(super) fn let_read(headers: &mut Headers, origin: &str) {
    for name in [ALLOW_ORIGIN, EXPOSE] {
        headers.remove(name);
    }
    let is_own = |name: &str| READABLE.contains(&name) || OWN.iter().any(|start| name.starts_with(start));
    let mut names: Vec<&str> = headers.iter().map(|(name, _)| name).filter(|name| is_own(name)).collect();
    names.dedup();
    let names = names.join(", ");
    headers.push(ALLOW_ORIGIN, origin);
    if headers.get("vary").is_none() {
        headers.push("vary", "origin");
    }
    headers.push(EXPOSE, names);
}
