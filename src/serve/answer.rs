//! An admitted request: target after target is asked, as the plan has it, until one answers.

use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use futures::future::{Either, select};

use super::attempt::{Asked, Sent, Tried, Upset, attempt};
use super::head::{JSON, label, lost_text};
use super::prepare::Job;
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
use crate::relay::{Raced, estimate, race};
use crate::route::Outcome;
use crate::route::plan::{Plan, Then};

/// Asks target after target until one answers.
pub(super) async fn answer<H: Host>(host: &H, job: &Job<'_>, mut plan: Plan, mut record: Record) -> Reply<H::Body> {
    let (mut last, mut unfit) = (None, None);
    // Fetched once, whichever targets want them.
    let files = Mutex::default();
    // One, or two where the first was slow. Dropped, an attempt is cancelled.
    let mut under_way = Vec::new();
    loop {
        if under_way.is_empty() {
            let Some(target) = plan.next(host.now()) else { break };
            under_way.push(Runner::new(target.clone(), host.now(), run(host, job, target, &files, 0)));
        }
        let hedge_ms = match under_way.as_slice() {
            [first] => plan.hedge_ms(first.target.key, first.began, &job.health.lock(), host.now()),
            _ => None,
        };
        let Some((target, Asked { tried, sent })) = first_of(host, &mut under_way, hedge_ms).await else {
            // Nobody has answered yet, so one more is asked beside the first.
            if let Some(target) = plan.next(host.now()) {
                under_way.push(Runner::new(target.clone(), host.now(), run(host, job, target, &files, 0)));
            }
            continue;
        };
        let ended = host.now();
        let mut note = |outcome, cause: &str| {
            let ms = sent.as_ref().map_or(0, |sent| ended.saturating_sub(sent.began));
            record.attempts.push(Attempt {
                target: target.in_full(),
                outcome,
                ms,
                cause: cause.to_owned(),
                outrun: None,
            });
        };
        match tried {
            Tried::Whole { mut headers, body, tally, lost } => {
                note(Outcome::Status(200), "");
                outrun(job, &mut record, &under_way, ended);
                served(&mut record, &target, &lost, sent, ended);
                let cost = record.cost(&tally).map_or_else(|| "unknown".to_owned(), |(cost, _)| cost.0.to_string());
                headers.push("x-tollgate-cost", cost);
                label(&mut headers, &record, job);
                close(host, record, End::Complete, Some(tally)).await;
                return Reply { status: 200, headers, body: ReplyBody::Whole(body) };
            }
            Tried::Stream { mut headers, upstream, relay, lost } => {
                note(Outcome::Status(200), "");
                outrun(job, &mut record, &under_way, ended);
                served(&mut record, &target, &lost, sent, ended);
                label(&mut headers, &record, job);
                let record = Box::new(record);
                return Reply { status: 200, headers, body: ReplyBody::Relayed { upstream, relay, record } };
            }
            Tried::Failed { outcome, failure, upset } => {
                note(outcome, &upset.cause);
                if let Some(Sent { watch, .. }) = sent {
                    watch.end(failure.class.verdict(failure.wait_ms), ended);
                }
                let upset = upset.without_key(&target, outcome);
                match plan.after(&target, failure, ended) {
                    Then::Stop => return unanswered(host, job, record, upset).await,
                    Then::Again(pause_ms) => {
                        let began = ended.saturating_add(pause_ms);
                        under_way.push(Runner::new(target.clone(), began, run(host, job, target, &files, pause_ms)));
                    }
                    Then::Next => {}
                }
                last = Some(upset);
            }
            Tried::Gone(tally) => {
                if sent.is_some() {
                    note(Outcome::HungUp, "");
                }
                if tally.is_some() {
                    served(&mut record, &target, &[], sent, ended);
                    record.first_byte_ms = None;
                }
                return hung_up(host, record, tally).await;
            }
            tried => {
                plan.unasked();
                match tried {
                    Tried::Lossy(error) => last = Some(Upset::of(error)),
                    Tried::Unhad(upset) if record.attempts.is_empty() => {
                        record.unfetched = upset.cause.clone();
                        return unanswered(host, job, record, upset).await;
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
    match job.ask {
        Ask::TokenCount => counted(host, job, record).await,
        _ => {
            let none = || Upset::new(Kind::Internal, "no target was tried".to_owned());
            unanswered(host, job, record, last.or(unfit).unwrap_or_else(none)).await
        }
    }
}

/// One attempt, after a pause where it is not the first of its target.
async fn run<H: Host>(
    host: &H,
    job: &Job<'_>,
    target: Arc<Target>,
    files: &Mutex<Files>,
    pause_ms: Millis,
) -> Asked<H::Body> {
    if pause_ms > 0
        && let Raced::Gone = race(host, pause_ms, pending::<()>()).await
    {
        return Asked { tried: Tried::Gone(None), sent: None };
    }
    attempt(host, job, &target, files).await
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
fn outrun<F>(job: &Job<'_>, record: &mut Record, runners: &[Runner<F>], now: Millis) {
    for Runner { target, began, .. } in runners {
        let ms = now.saturating_sub(*began);
        // It would have taken longer still. Left out, the slow would seem to be as quick as their quick answers.
        job.health.lock().began_after(target.key, ms, now);
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

fn served(record: &mut Record, target: &Target, lost: &[String], sent: Option<Sent>, now: Millis) {
    record.lost = lost_text(lost);
    record.status = 200;
    record.first_byte_ms = Some(now.saturating_sub(record.started));
    record.served = Some(Served { target: target.to_string(), price: target.known.price.clone() });
    record.watch = sent.map(|sent| {
        sent.watch.begins(now);
        sent.watch
    });
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
