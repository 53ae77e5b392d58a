//! The heads of requests to upstreams and of replies to callers: what passes, and what we say about ourselves.

use super::prepare::Job;
use super::question::content_type;
use crate::config::Credential;
use crate::dialect::{Dialect, Inbound};
use crate::host::Headers;
use crate::platform::Platform;
use crate::record::Record;

pub(super) const JSON: &str = "application/json";
pub(super) const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";
/// Says of a stream that another target may go on with it.
pub(super) const SPLICE: &str = "x-tollgate-splice";
/// Who asks, where the caller does not say it or is not named.
pub(super) const AGENT: &str = concat!("tollgate/", env!("CARGO_PKG_VERSION"));
/// Servers and proxies refuse an answer whose head has more than a few kilobytes.
const LOST_BYTES_MAX: usize = 1_000;

/// Headers of a caller that any upstream may see.
const FORWARDED: &[&str] = &["traceparent", "tracestate", "idempotency-key"];
/// Headers of a caller that an upstream of the same dialect may see besides the dialect's own.
const FORWARDED_WITHIN: &[&str] =
    &["user-agent", "x-app", "x-stainless-", "x-claude-code-", "x-client-request-id", "x-session-"];
/// And besides those, where it goes to the provider whose credential came along: Codex says so which of its sessions asks.
const FORWARDED_ALONG: &[&str] = &["originator", "version", "session_id", "session-id", "thread-id", "x-codex-"];
/// Headers of an upstream that the caller sees.
const RETURNED: &[&str] = &["request-id", "x-request-id", "x-amzn-requestid", "x-should-retry"];

impl Job<'_> {
    /// All but the credential.
    pub(super) fn outgoing_headers(&self, dialect: Dialect, platform: Platform, credential: &Credential) -> Headers {
        let same = Some(dialect) == self.dialect.dialect();
        let along = if matches!(credential, Credential::Headers(_)) { FORWARDED_ALONG } else { &[] };
        let forwarded = |name: &str| {
            FORWARDED.contains(&name)
                || (same
                    && (self.dialect.forwards(name)
                        || FORWARDED_WITHIN.iter().chain(along).any(|prefix| name.starts_with(prefix))))
        };
        // What is no text in every host's headers would make the upstream unreachable.
        let is_text = |value: &str| header_text(value) == value;
        let mut headers: Headers =
            self.headers.iter().filter(|(name, value)| forwarded(name) && is_text(value)).collect();
        headers.push("content-type", JSON);
        headers.push("accept", platform.accepts(dialect, self.ask));
        headers.push("accept-encoding", "identity");
        for (name, value) in dialect.required_headers() {
            if headers.get(name).is_none() {
                headers.push(*name, *value);
            }
        }
        if headers.get("user-agent").is_none() {
            headers.push("user-agent", AGENT);
        }
        headers
    }
}

pub(super) fn reply_headers(job: &Job<'_>, dialect: Dialect, upstream: &Headers) -> Headers {
    let same = Some(dialect) == job.dialect.dialect();
    let returned = |name: &str| {
        // Another limit than the caller's own would only confuse whoever reads them.
        let is_limit = name.starts_with("x-ratelimit-") && job.limits.is_empty();
        RETURNED.contains(&name) || (same && (job.dialect.forwards(name) || is_limit))
    };
    upstream.iter().filter(|(name, _)| returned(name)).collect()
}

/// The head of a streamed reply that begins before there is an answer.
pub(super) fn early_head(job: &Job<'_>, record: &Record) -> Headers {
    let mut headers = Headers::from_iter([("content-type", content_type(job.ask)), ("cache-control", "no-cache")]);
    if job.splices {
        headers.push(SPLICE, "on");
    }
    label(&mut headers, record, job);
    headers
}

/// What every answer that reached a target says about itself.
pub(super) fn label(headers: &mut Headers, record: &Record, job: &Job<'_>) {
    headers.push("x-tollgate-id", record.id.clone());
    name_request(headers, job.dialect, &record.id);
    if let Some(served) = &record.served {
        headers.push("x-tollgate-target", header_text(&served.target));
    }
    if !record.attempts.is_empty() {
        headers.push("x-tollgate-attempts", header_text(&record.attempts_header()));
    }
    if !record.lost.is_empty() {
        headers.push("x-tollgate-lost", header_text(&record.lost));
    }
    if !record.limits.is_empty() && job.limits.iter().all(|(name, _)| *name != LIMIT) {
        headers.push(LIMIT, record.limits.join(", "));
    }
    for (name, value) in &job.limits {
        headers.push(*name, value.clone());
    }
}

/// Which limits had no room.
const LIMIT: &str = "x-tollgate-limit";

/// Gives the request our id where the upstream gave it none: clients show it in their errors.
pub(super) fn name_request(headers: &mut Headers, dialect: Inbound, id: &str) {
    for name in ["x-request-id", dialect.id_header()] {
        if headers.get(name).is_none() {
            headers.push(name, id);
        }
    }
}

/// The names that fit into a header, and how many more there are. Callers choose them, and may choose thousands.
pub(super) fn lost_text(lost: &[String]) -> String {
    let mut text = String::new();
    for (told, name) in lost.iter().enumerate() {
        let comma = if told == 0 { "" } else { ", " };
        if text.len() + name.len() > LOST_BYTES_MAX {
            return format!("{text}{comma}and {} more", lost.len() - told);
        }
        text.push_str(comma);
        text.push_str(name);
    }
    text
}

/// Header values are visible ASCII; model names and field names may be anything.
pub(super) fn header_text(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}
