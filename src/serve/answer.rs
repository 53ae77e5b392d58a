//! An admitted request: target after target is asked, as the plan has it, until one answers.

use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use bytes::Bytes;
use futures::future::{Either, select};

use super::attempt::{Asked, Sent, Tried, Upset, attempt};
use super::head::{JSON, label, lost_text};
use super::prepare::Job;
use super::splice::Begun;
use super::{HUNG_UP, close, whole};
use crate::bill::Bill;
use crate::chat::Usage;
use crate::config::Target;
use crate::count;
use crate::dialect::Ask;
use crate::error::Kind;
use crate::host::{Headers, Host, Millis, Reply, ReplyBody};
use crate::media::Files;
use crate::price::cost;
use crate::record::{Attempt, End, Outrun, Record, Served, Tally};
use crate::relay::{Raced, Relay, estimate, race};
use crate::route::Outcome;
use crate::route::plan::{Plan, Then};

/// A reply, or the beginning of one that is carried by whoever can go on with it.
pub(super) enum Answered<B> {
    Reply(Reply<B>),
    Begun(Begun<B>),
}

/// Asks target after target until one answers.
pub(super) async fn answer<H: Host>(
    host: &H,
    job: &Job<'_>,
    plan: &mut Plan,
    files: &Mutex<Files>,
    mut record: Record,
) -> Answered<H::Body> {
    let asking = Asking { files, said: None, again: None };
    Answered::Reply(match seek(host, job, plan, &mut record, asking).await {
        Sought::Whole { by, mut headers, body, tally, lost, sent } => {
            served(&mut record, &by, &lost, sent, host.now());
            let cost = record.cost(&tally).map_or_else(|| "unknown".to_owned(), |(cost, _)| cost.0.to_string());
            headers.push("x-tollgate-cost", cost);
            label(&mut headers, &record, job);
            close(host, record, End::Complete, Some(tally)).await;
            Reply { status: 200, headers, body: ReplyBody::Whole(body) }
        }
        Sought::Stream { by: target, mut headers, upstream, relay, lost, sent } => {
            served(&mut record, &target, &lost, sent, host.now());
            label(&mut headers, &record, job);
            let record = Box::new(record);
            if relay.is_spliced() {
                return Answered::Begun(Begun { target, headers, upstream, relay, record });
            }
            Reply { status: 200, headers, body: ReplyBody::Relayed { upstream, relay, record } }
        }
        Sought::Gone { by, sent, tally } => {
            if tally.is_some() {
                served(&mut record, &by, &[], sent, host.now());
                record.first_byte_ms = None;
            }
            hung_up(host, record, tally).await
        }
        Sought::Stopped(upset) => unanswered(host, job, record, upset).await,
        Sought::Nobody(_) if job.ask == Ask::TokenCount => counted(host, job, record).await,
        Sought::Nobody(upset) => {
            let none = || Upset::new(Kind::Internal, "no target was tried".to_owned());
            unanswered(host, job, record, upset.unwrap_or_else(none)).await
        }
    })
}

/// How targets are asked.
pub(super) struct Asking<'a> {
    /// Fetched once, whichever targets want them.
    pub(super) files: &'a Mutex<Files>,
    /// What another has said of the answer, for one who is to go on.
    pub(super) said: Option<&'a str>,
    /// Who is asked before the plan's next, and after how long.
    pub(super) again: Option<(Arc<Target>, Millis)>,
}

/// What came of asking them.
pub(super) enum Sought<B> {
    Whole {
        by: Arc<Target>,
        headers: Headers,
        body: Bytes,
        tally: Tally,
        lost: Vec<String>,
        sent: Option<Sent>,
    },
    Stream {
        by: Arc<Target>,
        headers: Headers,
        upstream: B,
        relay: Box<Relay>,
        lost: Vec<String>,
        sent: Option<Sent>,
    },
    /// The caller has hung up; what had arrived, and of whom.
    Gone {
        by: Arc<Target>,
        sent: Option<Sent>,
        tally: Option<Tally>,
    },
    /// A failure after which no other is asked.
    Stopped(Upset),
    /// All of them failed; how the last did, or the first that could not be asked.
    Nobody(Option<Upset>),
}

/// Asks target after target, as the plan has it, until one answers. Every attempt is written down.
pub(super) async fn seek<H: Host>(
    host: &H,
    job: &Job<'_>,
    plan: &mut Plan,
    record: &mut Record,
    Asking { files, said, again }: Asking<'_>,
) -> Sought<H::Body> {
    let (mut last, mut unfit) = (None, None);
    let start = |target: Arc<Target>, pause_ms: Millis| {
        let began = host.now().saturating_add(pause_ms);
        Runner::new(target.clone(), began, run(host, job, target, files, said, pause_ms))
    };
    // One, or two where the first was slow. Dropped, an attempt is cancelled.
    let mut under_way: Vec<_> = again.map(|(target, pause_ms)| start(target, pause_ms)).into_iter().collect();
    loop {
        if under_way.is_empty() {
            let Some(target) = plan.next(host.now()) else { break };
            under_way.push(start(target, 0));
        }
        let hedge_ms = match under_way.as_slice() {
            [first] => plan.hedge_ms(first.target.key, first.began, &job.health.lock(), host.now()),
            _ => None,
        };
        let Some((by, Asked { tried, sent })) = first_of(host, &mut under_way, hedge_ms).await else {
            // Nobody has answered yet, so one more is asked beside the first.
            let first = under_way.first().map(|first| first.target.clone());
            if let Some(target) = first.and_then(|first| plan.beside(&first, host.now())) {
                under_way.push(start(target, 0));
            }
            continue;
        };
        let ended = host.now();
        let mut note = |outcome, cause: &str| {
            let ms = sent.as_ref().map_or(0, |sent| ended.saturating_sub(sent.began));
            record.attempts.push(Attempt { target: by.in_full(), outcome, ms, cause: cause.to_owned(), outrun: None });
        };
        match tried {
            Tried::Whole { headers, body, tally, lost } => {
                note(Outcome::Status(200), "");
                outrun(job, record, &under_way, sent.as_ref(), ended);
                begins(sent.as_ref(), ended);
                return Sought::Whole { by, headers, body, tally, lost, sent };
            }
            Tried::Stream { headers, upstream, relay, lost } => {
                note(Outcome::Status(200), "");
                outrun(job, record, &under_way, sent.as_ref(), ended);
                begins(sent.as_ref(), ended);
                return Sought::Stream { by, headers, upstream, relay, lost, sent };
            }
            Tried::Failed { outcome, failure, upset } => {
                note(outcome, &upset.cause);
                if let Some(Sent { watch, began }) = sent
                    && !(outcome == Outcome::TimedOut && job.cuts_short(began, ended))
                {
                    watch.end(failure.class.verdict(failure.wait_ms), ended);
                }
                let upset = upset.without_key(&by, outcome);
                match plan.after(&by, failure, ended) {
                    Then::Stop => {
                        outrun(job, record, &under_way, None, ended);
                        return Sought::Stopped(upset);
                    }
                    Then::Again(pause_ms) => under_way.push(start(by, pause_ms)),
                    Then::Next => {}
                }
                last = Some(upset);
            }
            Tried::Gone(tally) => {
                if sent.is_some() {
                    note(Outcome::HungUp, "");
                }
                hung_up_on(record, &under_way, ended);
                return Sought::Gone { by, sent, tally };
            }
            tried => {
                plan.unasked();
                match tried {
                    Tried::Lossy(error) => last = Some(Upset::of(error)),
                    Tried::Unhad(upset) if record.attempts.is_empty() && under_way.is_empty() => {
                        record.unfetched = upset.cause.clone();
                        return Sought::Stopped(upset);
                    }
                    // Somebody was asked without the file; the caller should hear of that one's failure, or of the
                    // next one's.
                    Tried::Unhad(upset) => record.unfetched = upset.cause,
                    // The first says it best: the caller wrote its list with that one in mind.
                    Tried::Unfit(error) => unfit = unfit.or(Some(Upset::of(error))),
                    _ => {}
                }
            }
        }
    }
    Sought::Nobody(last.or(unfit))
}

/// One attempt, after a pause where it is not the first of its target.
async fn run<H: Host>(
    host: &H,
    job: &Job<'_>,
    target: Arc<Target>,
    files: &Mutex<Files>,
    said: Option<&str>,
    pause_ms: Millis,
) -> Asked<H::Body> {
    if pause_ms > 0
        && let Raced::Gone = race(host, pause_ms, pending::<()>()).await
    {
        return Asked { tried: Tried::Gone(None), sent: None };
    }
    attempt(host, job, &target, files, said).await
}

/// An attempt under way.
struct Runner<F> {
    target: Arc<Target>,
    began: Millis,
    attempt: Pin<Box<F>>,
}

impl<F: Future> Runner<F> {
    fn new(target: Arc<Target>, began: Millis, attempt: F) -> Self {
        Self { target, began, attempt: Box::pin(attempt) }
    }
}

/// Takes out the first that ends, with what came of it; `None` where none does within `ms`.
async fn first_of<H: Host, F: Future>(
    host: &H,
    runners: &mut Vec<Runner<F>>,
    ms: Option<Millis>,
) -> Option<(Arc<Target>, F::Output)> {
    let first = poll_fn(|context| {
        let ended =
            runners.iter_mut().enumerate().find_map(|(at, runner)| match runner.attempt.as_mut().poll(context) {
                Poll::Ready(came) => Some((at, came)),
                Poll::Pending => None,
            });
        match ended {
            Some((at, came)) => Poll::Ready((runners.swap_remove(at).target, came)),
            None => Poll::Pending,
        }
    });
    match ms {
        None => Some(first.await),
        Some(ms) => match select(first, pin!(host.sleep(ms))).await {
            Either::Left((first, _)) => Some(first),
            Either::Right(((), _)) => None,
        },
    }
}

/// Writes down those who were slower than another that was asked beside them, and are cancelled.
fn outrun<F>(job: &Job<'_>, record: &mut Record, runners: &[Runner<F>], winner: Option<&Sent>, now: Millis) {
    for Runner { target, began, .. } in runners.iter().filter(|runner| runner.began <= now) {
        let ms = now.saturating_sub(*began);
        // One that was asked after the winner has had less time, which says nothing of it.
        if winner.is_some_and(|winner| *began < winner.began) {
            job.health.lock().outrun(target.key, ms, job.policy.caution, now);
        }
        let input = Usage { input: estimate(job.bytes.len() as u64), ..Usage::default() };
        let price = target.known.price.as_ref();
        let outrun = Outrun { cost: price.and_then(|priced| cost(&input, &Bill::default(), &priced.price)) };
        record.attempts.push(Attempt {
            target: target.in_full(),
            outcome: Outcome::Outrun,
            ms,
            cause: String::new(),
            outrun: Some(outrun),
        });
    }
}

/// Writes down those who are still being asked; whoever waits to be asked again is not.
fn hung_up_on<F>(record: &mut Record, runners: &[Runner<F>], now: Millis) {
    for Runner { target, began, .. } in runners.iter().filter(|runner| runner.began <= now) {
        record.attempts.push(Attempt {
            target: target.in_full(),
            outcome: Outcome::HungUp,
            ms: now.saturating_sub(*began),
            cause: String::new(),
            outrun: None,
        });
    }
}

/// Our own estimate of a request's tokens, where no target tells.
async fn counted<H: Host>(host: &H, job: &Job<'_>, mut record: Record) -> Reply<H::Body> {
    let request = match job.dialect.read_count(&job.body) {
        Ok(request) => request,
        Err(error) => return unanswered(host, job, record, Upset::of(error)).await,
    };
    record.status = 200;
    let mut headers = Headers::from_iter([("content-type", JSON), ("x-tollgate-estimated", "true")]);
    label(&mut headers, &record, job);
    close(host, record, End::Complete, None).await;
    whole(200, headers, job.dialect.write_count(count::tokens(&request)))
}

/// An answer has begun. A caller who leaves before says nothing of that.
fn begins(sent: Option<&Sent>, now: Millis) {
    if let Some(sent) = sent {
        sent.watch.begins(now);
    }
}

pub(super) fn served(record: &mut Record, target: &Target, lost: &[String], sent: Option<Sent>, now: Millis) {
    record.lost = lost_text(lost);
    record.status = 200;
    record.first_byte_ms = Some(now.saturating_sub(record.started));
    record.served = Some(Served { target: target.to_string(), price: target.known.price.clone(), began: now });
    record.watch = sent.map(|sent| sent.watch);
}

async fn hung_up<H: Host>(host: &H, mut record: Record, tally: Option<Tally>) -> Reply<H::Body> {
    record.status = HUNG_UP;
    close(host, record, End::HungUp, tally).await;
    whole(HUNG_UP, Headers::default(), Vec::new())
}

/// The last target's failure, in the caller's dialect.
async fn unanswered<H: Host>(host: &H, job: &Job<'_>, mut record: Record, last: Upset) -> Reply<H::Body> {
    let error = last.error;
    record.status = error.status();
    let (mut headers, body) = match last.verbatim {
        Some((headers, body)) => (headers, body),
        None => {
            let body = job.dialect.error_body(&error, &record.id);
            (Headers::from_iter([("content-type", JSON)]), body.into())
        }
    };
    if let Some(seconds) = error.retry_after {
        headers.push("retry-after", seconds.to_string());
    }
    label(&mut headers, &record, job);
    let (status, body) = match job.begun.load(Ordering::Relaxed) {
        // The head promised a stream.
        true => (200, job.last_words(&error)),
        false => (record.status, body),
    };
    close(host, record, End::Unanswered, None).await;
    Reply { status, headers, body: ReplyBody::Whole(body) }
}
