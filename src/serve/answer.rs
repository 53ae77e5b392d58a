//! An admitted request: target after target is asked, as the plan has it, until one answers.

use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use bytes::Bytes;
use futures::future::{Either, select};

use super::attempt::{Sending, Sent, Tried, Upset, attempt};
use super::head::{JSON, label, lost_text};
use super::prepare::Job;
use super::splice::Begun;
use super::{HUNG_UP, close, whole};
use crate::bill::Bill;
use crate::config::Target;
use crate::count;
use crate::dialect::Ask;
use crate::error::Kind;
use crate::host::{Headers, Host, Millis, Reply, ReplyBody};
use crate::media::Files;
use crate::price::cost;
use crate::record::{Abandoned, Attempt, End, Record, Served, Tally};
use crate::relay::{Raced, Relay, race};
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
        let sending = Sending::default();
        Runner::new(target.clone(), sending.clone(), run(host, job, target, files, said, (sending, pause_ms)))
    };
    // One, or two where the first was slow. Dropped, an attempt is cancelled.
    let mut under_way: Vec<_> = again.map(|(target, pause_ms)| start(target, pause_ms)).into_iter().collect();
    loop {
        if under_way.is_empty() {
            let Some(target) = plan.next(host.now()) else { break };
            under_way.push(start(target, 0));
        }
        let hedge_ms = match under_way.as_slice() {
            [first] => first
                .sending
                .began()
                .and_then(|began| plan.hedge_ms(first.target.key, began, &job.health.lock(), host.now())),
            _ => None,
        };
        let (by, sent, tried) = match first_of(host, &mut under_way, hedge_ms).await {
            First::Ended { by, sent, tried } => (by, sent, tried),
            // From now on it can be too slow.
            First::Sent => continue,
            First::Late => {
                // Nobody has answered yet, so one more is asked beside the first.
                let first = under_way.first().map(|first| first.target.clone());
                if let Some(target) = first.and_then(|first| plan.beside(&first, host.now())) {
                    under_way.push(start(target, 0));
                }
                continue;
            }
        };
        let ended = host.now();
        let began = sent.as_ref().map_or(ended, |sent| sent.began);
        let tried_as = |outcome| Attempt::new(&by, outcome, (began, ended));
        match tried {
            Tried::Whole { headers, body, tally, lost } => {
                record.attempts.push(tried_as(Outcome::Status(200)));
                cancel(job, record, &under_way, (Outcome::Outrun, sent.as_ref()), ended);
                begins(sent.as_ref(), ended);
                return Sought::Whole { by, headers, body, tally, lost, sent };
            }
            Tried::Stream { headers, upstream, relay, lost } => {
                record.attempts.push(tried_as(Outcome::Status(200)));
                cancel(job, record, &under_way, (Outcome::Outrun, sent.as_ref()), ended);
                begins(sent.as_ref(), ended);
                return Sought::Stream { by, headers, upstream, relay, lost, sent };
            }
            Tried::Failed { outcome, failure, upset, arrived } => {
                let is_late = outcome == Outcome::TimedOut;
                let tried = match sent.as_ref().filter(|_| is_late || arrived.is_some()) {
                    Some(sent) => job.abandoned(&by, sent, (outcome, arrived.unwrap_or_default()), ended),
                    None => tried_as(outcome),
                };
                let mut tried = Attempt { cause: upset.cause.clone(), ..tried };
                if let Some(Sent { watch, began, ticket, .. }) = sent {
                    tried.ticket = ticket;
                    if !(is_late && job.cuts_short(began, ended)) {
                        watch.end(failure.class.verdict(failure.wait_ms), ended);
                    }
                }
                record.attempts.push(tried);
                let upset = upset.without_key(&by, outcome);
                match plan.after(&by, failure, ended) {
                    Then::Stop => {
                        cancel(job, record, &under_way, (Outcome::Outrun, None), ended);
                        return Sought::Stopped(upset);
                    }
                    Then::Again(pause_ms) => under_way.push(start(by, pause_ms)),
                    Then::Next => {}
                }
                last = Some(upset);
            }
            Tried::Gone(tally) => {
                let mut sent = sent;
                record.attempts.extend(sent.as_mut().map(|sent| match tally {
                    // What had come of its answer says what it bills.
                    Some(_) => tried_as(Outcome::HungUp),
                    None => {
                        let ticket = sent.ticket.take();
                        Attempt { ticket, ..job.abandoned(&by, sent, (Outcome::HungUp, 0), ended) }
                    }
                }));
                cancel(job, record, &under_way, (Outcome::HungUp, None), ended);
                return Sought::Gone { by, sent, tally };
            }
            tried => {
                plan.unasked();
                match tried {
                    Tried::Lossy(error) => last = Some(Upset::of(error)),
                    Tried::Full { upset, limit } => {
                        if !record.limits.contains(&limit) {
                            record.limits.push(limit);
                        }
                        last = Some(upset);
                    }
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
    (sending, pause_ms): (Sending, Millis),
) -> Tried<H::Body> {
    if pause_ms > 0
        && let Raced::Gone = race(host, pause_ms, pending::<()>()).await
    {
        return Tried::Gone(None);
    }
    attempt(host, job, &target, files, said, &sending).await
}

/// An attempt under way.
struct Runner<F> {
    target: Arc<Target>,
    sending: Sending,
    attempt: Pin<Box<F>>,
}

impl<F: Future> Runner<F> {
    fn new(target: Arc<Target>, sending: Sending, attempt: F) -> Self {
        Self { target, sending, attempt: Box::pin(attempt) }
    }

    fn waits(&self) -> bool {
        self.sending.began().is_none()
    }
}

/// What happens first to those under way.
enum First<T> {
    /// One has come to its end, and was taken out.
    Ended {
        by: Arc<Target>,
        /// `None` where nothing was sent.
        sent: Option<Sent>,
        tried: T,
    },
    /// One has been sent its request.
    Sent,
    /// None of this in the time given.
    Late,
}

async fn first_of<H: Host, F: Future>(host: &H, runners: &mut Vec<Runner<F>>, ms: Option<Millis>) -> First<F::Output> {
    let waiting = runners.iter().filter(|runner| runner.waits()).count();
    let first = poll_fn(|context| {
        let ended =
            runners.iter_mut().enumerate().find_map(|(at, runner)| match runner.attempt.as_mut().poll(context) {
                Poll::Ready(came) => Some((at, came)),
                Poll::Pending => None,
            });
        match ended {
            Some((at, tried)) => {
                let Runner { target: by, sending, .. } = runners.swap_remove(at);
                Poll::Ready(First::Ended { by, sent: sending.take(), tried })
            }
            None if runners.iter().filter(|runner| runner.waits()).count() < waiting => Poll::Ready(First::Sent),
            None => Poll::Pending,
        }
    });
    match ms {
        None => first.await,
        Some(ms) => match select(first, pin!(host.sleep(ms))).await {
            Either::Left((first, _)) => first,
            Either::Right(((), _)) => First::Late,
        },
    }
}

/// Writes down those who were sent something and are about to be dropped, because another was quicker or the caller left.
fn cancel<F: Future>(
    job: &Job<'_>,
    record: &mut Record,
    runners: &[Runner<F>],
    (outcome, winner): (Outcome, Option<&Sent>),
    now: Millis,
) {
    for (target, mut sent) in runners.iter().filter_map(|runner| Some((&runner.target, runner.sending.take()?))) {
        // One that was asked after the winner has had less time, which says nothing of it.
        if winner.is_some_and(|winner| sent.began < winner.began) {
            job.health.lock().outrun(target.key, now.saturating_sub(sent.began), job.policy.caution, now);
        }
        let ticket = sent.ticket.take();
        record.attempts.push(Attempt { ticket, ..job.abandoned(target, &sent, (outcome, 0), now) });
    }
}

impl Job<'_> {
    /// An attempt that ends without an answer though its request was sent: another was sooner, the caller left, it took too
    /// long, or it broke off when so many bytes had `arrived`. Providers bill what they have read and written, and nobody
    /// tells how much that is.
    fn abandoned(&self, target: &Target, sent: &Sent, (outcome, arrived): (Outcome, usize), now: Millis) -> Attempt {
        let usage = self.about(target.known.context, arrived);
        let price = target.known.price.as_ref();
        let cost = || price.and_then(|priced| cost(&usage, &Bill::default(), &priced.price));
        let abandoned = (!sent.is_refused).then(|| Abandoned { cost: cost() });
        Attempt { abandoned, ..Attempt::new(target, outcome, (sent.began, now)) }
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
    let (price, own_key) = (target.known.price.clone(), target.own.is_some());
    let (watch, ticket) = sent.map(|sent| (sent.watch, sent.ticket)).unzip();
    record.served = Some(Served { target: target.to_string(), price, own_key, began: now, ticket: ticket.flatten() });
    record.watch = watch;
}

async fn hung_up<H: Host>(host: &H, mut record: Record, tally: Option<Tally>) -> Reply<H::Body> {
    record.status = HUNG_UP;
    close(host, record, End::HungUp, tally).await;
    whole(HUNG_UP, Headers::default(), Vec::new())
}

/// The last target's failure, in the caller's dialect.
async fn unanswered<H: Host>(host: &H, job: &Job<'_>, mut record: Record, last: Upset) -> Reply<H::Body> {
    let error = last.error;
    record.status = job.dialect.error_status(&error);
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
