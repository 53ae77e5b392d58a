//! A stream that another target goes on with where its own breaks off, where the policy has that. It is carried here and
//! not by the host, since the next target may have to be asked in the middle of it.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::FutureExt as _;

use super::answer::{Asking, Sought, seek, served};
use super::attempt::Sent;
use super::head::header_text;
use super::prepare::Job;
use super::{beating, close};
use crate::config::Target;
use crate::dialect::{Ask, Inbound};
use crate::host::{Headers, Host, Millis, Reply, ReplyBody};
use crate::media::Files;
use crate::record::{End, Part, Record, Tally};
use crate::relay::{Gone, Relay, Sink, Stopped, flow};
use crate::route::Outcome;
use crate::route::class::Class;
use crate::route::health::Verdict;
use crate::route::plan::{Failure, Plan, Then};
use crate::route::wish;
use crate::wire::frame::Framing;
use crate::wire::json::Fields;

/// Whether another may go on with the answer to a request: one text is asked for, and the canonical form holds all that
/// is asked. A JSON text would be begun anew.
pub(super) fn may_splice(dialect: Inbound, ask: Ask, body: &Fields<'_>) -> bool {
    if !matches!(ask, Ask::Stream(_)) || dialect.output_asked(body).1.is_some_and(|answers| answers > 1) {
        return false;
    }
    dialect
        .read_request(body)
        .is_ok_and(|request| request.format.is_none() && request.unread.iter().all(|name| wish::is_field(name)))
}

/// An answer whose beginning is there.
pub(super) struct Begun<B> {
    pub(super) target: Arc<Target>,
    pub(super) headers: Headers,
    pub(super) upstream: B,
    pub(super) relay: Box<Relay>,
    pub(super) record: Box<Record>,
}

/// Carries an answer to its end, whoever gives it, and settles the request.
pub(super) async fn carry<H: Host>(
    host: &H,
    job: &Job<'_>,
    plan: &mut Plan,
    files: &Mutex<Files>,
    begun: Begun<H::Body>,
) -> Reply<H::Body> {
    let Begun { mut target, headers, mut upstream, mut relay, mut record } = begun;
    let mut caller = Caller { host, head: &headers };
    let mut held = relay.take_held();
    let (stopped, tally, upstream) = loop {
        let stopped = flow(host, &mut upstream, &mut relay, held, &mut caller).await;
        let (rest, said) = relay.left_off(stopped);
        let stopped = match rest.is_empty() || caller.write(rest.into()).await.is_ok() {
            true => stopped,
            false => Stopped::HungUp,
        };
        let Some(said) = said.filter(|_| stopped != Stopped::HungUp && host.now() < job.until) else {
            break (stopped, relay.tally(), Some(upstream));
        };
        drop(upstream);
        let tally = relay.tally();
        let now = host.now();
        let failure = failure(&relay, stopped);
        if let Some(watch) = record.watch.take() {
            watch.end(
                match failure.class.verdict(None) {
                    Verdict::Failed => Verdict::Cut,
                    other => other,
                },
                now,
            );
        }
        let again = match plan.after(&target, failure, now) {
            Then::Stop => break (stopped, tally, None),
            Then::Next => None,
            Then::Again(pause_ms) => Some((target.clone(), pause_ms)),
        };
        let tried = record.attempts.len();
        let asking = Asking { files, said: Some(&said), again };
        let sought = seek(host, job, plan, &mut record, asking);
        let waits = (relay.beat_due().saturating_sub(now), job.policy.patience.heartbeat_ms);
        let beat = || relay.beat(host.now()).into();
        match beating(host, &headers, waits, beat, sought).await {
            Sought::Stream { by, upstream: next, relay: mut follower, lost, sent, .. } => {
                // It was written down as an answer when it began.
                let known = record.attempts.iter_mut().take(tried).rfind(|one| one.outcome == Outcome::Status(200));
                if let (Some(attempt), Some(served)) = (known, &record.served) {
                    attempt.outcome = Outcome::Cut;
                    attempt.ms = attempt.ms.saturating_add(now.saturating_sub(served.began));
                }
                let now = host.now();
                go_on(&mut record, &by, &lost, sent, tally, now);
                held = remark(job, &target, &by);
                held.extend(follower.follow(&mut relay, now));
                (target, upstream, relay) = (by, next, follower);
            }
            Sought::Gone { by, sent, tally: Some(more) } => {
                go_on(&mut record, &by, &[], sent, tally, host.now());
                break (Stopped::HungUp, more, None);
            }
            Sought::Gone { tally: None, .. } => break (Stopped::HungUp, tally, None),
            Sought::Whole { .. } | Sought::Stopped(_) | Sought::Nobody(_) => break (stopped, tally, None),
        }
    };
    let (tail, end) = relay.end(stopped);
    // Who left while another was looked for has not been told of a failure.
    let end = if stopped == Stopped::HungUp && end == End::Failed { End::HungUp } else { end };
    let upstream = upstream.filter(|_| end == End::Complete);
    close(host, *record, end, Some(tally)).await;
    if let Some(mut upstream) = upstream {
        // A body that has been read to its end leaves a connection that can be used again. The caller's end does not wait
        // for it.
        let _ = host.read(&mut upstream).now_or_never();
    }
    Reply { status: 200, headers, body: ReplyBody::Whole(tail.into()) }
}

fn failure(relay: &Relay, stopped: Stopped) -> Failure {
    let class = match (relay.failure(), stopped) {
        (Some(error), _) => Class::told(&error.message),
        (None, Stopped::Idle) => Class::Timeout,
        (None, _) => Class::BadAnswer,
    };
    Failure { class, status: None, wait_ms: None }
}

/// Writes down that `target` tells from now on, and what was told before.
fn go_on(record: &mut Record, target: &Target, lost: &[String], sent: Option<Sent>, tally: Tally, now: Millis) {
    let (first_byte_ms, lost_before) = (record.first_byte_ms, std::mem::take(&mut record.lost));
    record.parts.extend(record.served.take().map(|served| Part { served, tally }));
    served(record, target, lost, sent, now);
    record.first_byte_ms = first_byte_ms;
    record.lost = match (lost_before, std::mem::take(&mut record.lost)) {
        (before, more) if more.is_empty() || before == more => before,
        (before, more) if before.is_empty() => more,
        (before, more) => format!("{before}, {more}"),
    };
}

/// What people who look at the stream are told.
fn remark(job: &Job<'_>, first: &Target, next: &Target) -> Vec<u8> {
    match job.ask {
        Ask::Stream(Framing::Sse) => {
            let text = format!("tollgate: {first} broke off; {next} goes on");
            job.dialect.remark(&header_text(&text)).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

struct Caller<'a, H> {
    host: &'a H,
    head: &'a Headers,
}

impl<H: Host> Sink for Caller<'_, H> {
    async fn write(&mut self, bytes: Bytes) -> Result<(), Gone> {
        self.host.send(self.head, bytes).await
    }
}
