//! One attempt: a target is asked, and its answer read up to the point where the caller would see it. Until then
//! another target may still answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::head::{JSON, SPLICE, header_text, lost_text, reply_headers};
use super::media::{Gathered, gather, held};
use super::prepare::Job;
use super::question::{Obstacle, Question, Spoken, content_type, told, unknown_to};
use crate::bill::Bill;
use crate::chat;
use crate::config::{Credential, Patience, Reach, Target, Upstream};
use crate::dialect::{Ask, Dialect, Label};
use crate::echo;
use crate::embed::Encoding;
use crate::error::{Error, Kind};
use crate::host::{Answer, Broken, Headers, Host, Method, Millis, Network, Outgoing, Unreachable};
use crate::limit::Admission;
use crate::limit::rule::Due;
use crate::limit::ticket::{Expected, Refused, Ticket};
use crate::media::Files;
use crate::pause::{LimitHeaders, retry_after_ms, seconds_ms};
use crate::platform::Platform;
use crate::quirks::{Quirks, Reader};
use crate::record::Tally;
use crate::relay::{Ends, Raced, Relay, Share, Stopped, estimate, measure, race};
use crate::route::Outcome;
use crate::route::class::Class;
use crate::route::demand::Asked;
use crate::route::plan::Failure;
use crate::route::watch::Watch;
use crate::usage;
use crate::wire::frame::Framing;
use crate::wire::json::Fields;
use crate::wire::{percent, query};

/// A longer whole answer is not one that a model gave.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
pub(super) const CAUSE_CHARS_MAX: usize = 300;
const ERROR_BYTES_MAX: usize = 1024 * 1024;
/// What an error has to say stands at its beginning; behind it some repeat the request.
const CLASS_BYTES_MAX: usize = 2_048;
const ERROR_NAME: &str = "x-amzn-errortype";
/// How long a target may show life without content. The SDKs of both dialects' own providers wait as long for an
/// answer.
const CONTENT_MS_MAX: Millis = 600_000;
/// As many as browsers follow.
const REDIRECTS_MAX: usize = 20;
/// No caller is asked to wait longer than this by an upstream's word.
const RETRY_AFTER_MS_MAX: Millis = 600_000;

/// How one attempt went.
pub(super) enum Tried<B> {
    Whole {
        headers: Headers,
        body: Bytes,
        tally: Tally,
        lost: Vec<String>,
    },
    Stream {
        headers: Headers,
        upstream: B,
        relay: Box<Relay>,
        lost: Vec<String>,
    },
    /// No answer from this target.
    Failed {
        outcome: Outcome,
        failure: Failure,
        upset: Upset,
        /// How much had come of an answer that broke off.
        arrived: Option<usize>,
    },
    /// The request itself cannot be put into this target's dialect.
    Unfit(Error),
    /// A file that the target would have to be sent cannot be had.
    Unhad(Upset),
    /// A limit of its provider has no room for it, or cannot be asked.
    Full {
        upset: Upset,
        limit: String,
    },
    /// The target could be given only part of the request, and the caller wants all of it or nothing.
    Lossy(Error),
    /// The caller has hung up; what had arrived.
    Gone(Option<Tally>),
}

/// An attempt's failure, as the caller will be told if it is the last.
pub(super) struct Upset {
    pub(super) error: Error,
    /// The upstream's own words, where they are in the caller's dialect.
    pub(super) verbatim: Option<(Headers, Bytes)>,
    /// For the operator only.
    pub(super) cause: String,
}

impl<B> Tried<B> {
    fn failed(outcome: Outcome, class: Class, upset: Upset) -> Self {
        let failure = Failure { class, status: None, wait_ms: None };
        Self::Failed { outcome, failure, upset, arrived: None }
    }
}

impl Upset {
    pub(super) fn new(kind: Kind, message: String) -> Self {
        Self::of(Error::new(kind, message))
    }

    pub(super) fn of(error: Error) -> Self {
        Self { error, verbatim: None, cause: String::new() }
    }

    /// An upstream that repeats its key, as some do with all headers of a request they refuse, is not repeated.
    pub(super) fn without_key(mut self, target: &Target, outcome: Outcome) -> Self {
        let Reach::Upstream(upstream) = &target.provider.reach else { return self };
        let holds = |text: &[u8]| {
            let secrets = upstream.secrets().chain(target.credential().secrets());
            secrets.into_iter().any(|secret| text.windows(secret.len()).any(|part| part == secret.as_bytes()))
        };
        self.verbatim = self
            .verbatim
            .filter(|(headers, body)| !holds(body) && headers.iter().all(|(_, value)| !holds(value.as_bytes())));
        if holds(self.error.message.as_bytes()) {
            self.error.message = format!("{} failed: {outcome}", target.provider.name);
        }
        self
    }
}

/// The sending of one attempt's request: nothing until then. Whoever waits for the attempt sees it too, for one that is
/// given up says nothing more.
#[derive(Clone, Default)]
pub(super) struct Sending(Arc<Mutex<Option<Sent>>>);

pub(super) struct Sent {
    pub(super) began: Millis,
    pub(super) watch: Watch,
    /// Its places under the limits of its provider.
    pub(super) ticket: Option<Box<Ticket>>,
    /// Whether the target has said that it gives no answer, so that it bills nothing.
    pub(super) is_refused: bool,
}

impl Sending {
    /// When that was.
    pub(super) fn began(&self) -> Option<Millis> {
        self.lock().as_ref().map(|sent| sent.began)
    }

    pub(super) fn take(&self) -> Option<Sent> {
        self.lock().take()
    }

    fn begins(&self, job: &Job<'_>, target: &Target, ticket: Option<Box<Ticket>>, began: Millis) {
        let watch = job.health.watch(target.key, job.policy.caution, began);
        *self.lock() = Some(Sent { began, watch, ticket, is_refused: false });
    }

    fn refused(&self) {
        if let Some(sent) = self.lock().as_mut() {
            sent.is_refused = true;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Sent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks one target, up to the point where the caller would see its answer.
///
/// One who is to go on with an answer is given what was `said` of it.
pub(super) async fn attempt<H: Host>(
    host: &H,
    job: &Job<'_>,
    target: &Target,
    files: &Mutex<Files>,
    said: Option<&str>,
    sending: &Sending,
) -> Tried<H::Body> {
    let Reach::Upstream(upstream) = &target.provider.reach else {
        if said.is_some() {
            // It repeats what it is told, which is no way to go on.
            return Tried::Unfit(unknown_to(target, job.ask));
        }
        let tried = echo(job, target);
        if matches!(tried, Tried::Whole { .. }) {
            sending.begins(job, target, None, host.now());
        }
        return tried;
    };
    let (asked, spoken) = match ready(host, job, (target, upstream), files, said).await {
        Ok(ready) => ready,
        Err(tried) => return tried,
    };
    let ticket = match job.place(host, target).await {
        Ok(ticket) => ticket,
        Err(full) => return full,
    };
    let began = host.now();
    sending.begins(job, target, ticket, began);
    send(host, job, (target, upstream), (asked, spoken), (sending, began)).await
}

impl Job<'_> {
    /// Places under the limits of the target's provider; none where it has no limits.
    async fn place<H: Host>(&self, host: &H, target: &Target) -> Result<Option<Box<Ticket>>, Tried<H::Body>> {
        let due: Vec<Due> = {
            let counts = self.of_providers.iter().filter(|due| due.limit.counts(target));
            counts.map(|due| due.at(&target.provider.name)).collect()
        };
        if due.is_empty() || self.ask == Ask::TokenCount {
            return Ok(None);
        }
        let cost = self.size.worst(target);
        let (input_tokens, output_tokens) = (estimate(self.bytes.len() as u64), self.size.output);
        let expected = Expected { input_tokens, output_tokens, cost, cost_with_own: cost };
        let full = |Refused { error, limit }| Tried::Full { upset: Upset::of(error), limit: limit.name.clone() };
        let ticket = Ticket::open("", due, expected, host.now()).map_err(full)?;
        let limit = ticket.limits().next().unwrap_or_default().to_owned();
        let down = || {
            let message = "the store that holds the counters cannot be reached";
            Tried::Full { upset: Upset::new(Kind::Internal, message.to_owned()), limit }
        };
        match host.admit(ticket.bounds()).await {
            Ok(Admission::Admitted(_)) => Ok(Some(Box::new(ticket))),
            Ok(Admission::Refused(sums)) => Err(ticket.refusal(&sums).map_or_else(down, full)),
            Err(_) => ticket.blind().map(|ticket| Some(Box::new(ticket))).ok_or_else(down),
        }
    }
}

/// The language of one attempt.
struct Language {
    dialect: Dialect,
    label: Label,
    encoding: Encoding,
    lost: Vec<String>,
    share: Share,
}

/// The request as the target is sent it, all but the time.
async fn ready<H: Host>(
    host: &H,
    job: &Job<'_>,
    (target, upstream): (&Target, &Upstream),
    files: &Mutex<Files>,
    said: Option<&str>,
) -> Result<(Outgoing, Language), Tried<H::Body>> {
    let platform = upstream.platform;
    let dialect = Dialect::towards(&upstream.dialects, job.dialect, &target.model);
    let base_url = upstream.base_url(dialect, &target.model);
    let question = loop {
        let question = job.question((target, dialect, platform), &base_url, &held(files), said);
        match question {
            Ok(question) => break question,
            Err(Obstacle::Unfit(error)) => return Err(Tried::Unfit(error)),
            Err(Obstacle::Lacks(links)) => match gather(host, job, links, files).await {
                Gathered::All => {}
                Gathered::Not(upset) => return Err(Tried::Unhad(upset)),
                Gathered::Gone => return Err(Tried::Gone(None)),
            },
        }
    };
    let Question { mut url, body, mut label, encoding, mut lost } = question;
    let credential = target.credential();
    let mut headers = job.outgoing_headers(dialect, platform, credential);
    let body = platform.dress(body, &mut headers, &mut lost);
    if let Some(refused) = job.refuse(target, &lost) {
        return Err(refused);
    }
    // Nobody could be given these, so that nothing strict is missed.
    label.lost.extend(job.behind.untold(target));
    lost.extend(job.behind.untold(target));
    let is_own = Some(dialect) == job.dialect.dialect() && platform == Platform::Native;
    for query in upstream.query.iter().chain(job.query.iter().filter(|_| is_own)) {
        query::add(&mut url, query);
    }
    // What is the gateway's own is none of a caller's account.
    for field in upstream.headers.iter().filter(|field| target.own.is_none() || !field.is_secret) {
        headers.remove(&field.name.to_ascii_lowercase());
        headers.push(&field.name, &field.value);
    }
    match credential {
        Credential::None => {}
        Credential::Key(key) => {
            let (name, value) = platform.credential(dialect, key);
            headers.push(name, value);
        }
        Credential::Header { name, value, .. } => headers.push(name, value),
        Credential::Query { name, key } => query::add(&mut url, &format!("{name}={}", percent::encode(key))),
        Credential::Sigv4(signer) => signer.sign(&url, &mut headers, &body, host.now()),
        Credential::Headers(own) => own.iter().for_each(|(name, value)| headers.push(name, value)),
    }
    let asked = Outgoing { method: Method::Post, url, headers, body: body.into(), streams: job.streams() };
    let share = match (said, job.splices) {
        (Some(_), _) => Share::Rest,
        (None, true) => Share::Beginning,
        (None, false) => Share::Whole,
    };
    Ok((asked, Language { dialect, label, encoding, lost, share }))
}

async fn send<H: Host>(
    host: &H,
    job: &Job<'_>,
    (target, upstream): (&Target, &Upstream),
    (asked, Language { dialect, label, encoding, lost, share }): (Outgoing, Language),
    (sending, began): (&Sending, Millis),
) -> Tried<H::Body> {
    let platform = upstream.platform;
    let is_own = Some(dialect) == job.dialect.dialect() && platform == Platform::Native;
    let (patience, until) = job.patience(upstream, began);
    let first_byte_ms = patience.first_byte_ms.min(until.saturating_sub(began));
    let deadline = began.saturating_add(first_byte_ms);
    let provider = &target.provider.name;
    let too_slow = || {
        let ms = host.now().saturating_sub(began);
        let upset = Upset::new(Kind::UpstreamTimeout, format!("{provider} gave no answer in {ms} ms"));
        Tried::failed(Outcome::TimedOut, Class::Timeout, upset)
    };
    let answer = match race(host, first_byte_ms, fetch(host, upstream, asked)).await {
        Raced::Done(Ok(answer)) => answer,
        Raced::Done(Err(Unreachable(cause))) => {
            let upset = Upset::new(Kind::BadUpstream, format!("{provider} could not be reached"));
            // Some hosts name the URL that they could not reach, and a key may be part of it.
            let is_clean = !matches!(target.credential(), Credential::Query { .. });
            let cause = if is_clean { cause.chars().take(CAUSE_CHARS_MAX).collect() } else { String::new() };
            return Tried::failed(Outcome::Unreachable, Class::Unreachable, Upset { cause, ..upset });
        }
        Raced::TimedOut => return too_slow(),
        Raced::Gone => return Tried::Gone(None),
    };
    let reading = Reading {
        job,
        dialect,
        platform,
        quirks: &target.provider.quirks,
        usage: usage::Rule::of(&target.provider.usage, &target.model),
        label,
        model: &target.model,
        window: target.known.context,
        encoding,
        provider,
        limit_headers: upstream.limit_headers,
        deadline,
        patience,
        until,
        lost,
        share,
    };
    if !(200..300).contains(&answer.status) {
        sending.refused();
        return reading.error(host, answer).await;
    }
    // Nothing is left of its limits, so the next request is better put to another.
    if let Some(wait_ms) = upstream.limit_headers.wait_ms(&answer.headers, host.now()) {
        job.health.lock().pause(target.key, wait_ms, job.policy.caution, host.now());
    }
    let framing = answer.headers.get("content-type").and_then(Framing::of);
    // A list has no content type of its own; only who asked for one knows.
    let framing = framing.or((is_own && job.ask == Ask::Stream(Framing::Array)).then_some(Framing::Array));
    let tried = match (framing, job.streams()) {
        (Some(framing), true) => reading.stream(host, answer, framing).await,
        (Some(_), false) => {
            Some(reading.failed(format!("{provider} sent a stream where a whole answer was due"), None))
        }
        (None, _) if share == Share::Rest => {
            Some(reading.failed(format!("{provider} sent a whole answer where a stream was due"), None))
        }
        (None, _) => reading.whole(host, answer).await,
    };
    tried.unwrap_or_else(too_slow)
}

/// Asks, and where the provider says to wait elsewhere for the answer, waits there.
///
/// Source: "Request timeouts", Modal documentation, read 2026-11: after 150 s a redirect by 303 to the same URL with the
/// call's id, again and again.
async fn fetch<H: Host>(host: &H, upstream: &Upstream, asked: Outgoing) -> Result<Answer<H::Body>, Unreachable> {
    let mut redirects = if upstream.follows_303 { REDIRECTS_MAX } else { 0 };
    let mut asked = asked;
    loop {
        let again = (redirects > 0).then(|| {
            let headers = asked.headers.iter().filter(|(name, _)| *name != "content-type").collect();
            // It stays with the operator's own server, wherever that is.
            let method = Method::Get(Network::Any);
            Outgoing { method, url: asked.url.clone(), headers, body: Bytes::new(), streams: asked.streams }
        });
        let answer = host.fetch(asked).await?;
        let Some(again) = again.filter(|_| answer.status == 303) else { return Ok(answer) };
        let place = answer.headers.get("location").and_then(|place| query::within(&again.url, place));
        let Some(url) = place else { return Ok(answer) };
        asked = Outgoing { url, ..again };
        redirects -= 1;
    }
}

/// An answer that is being read, before the caller sees any of it.
pub(super) struct Reading<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) dialect: Dialect,
    platform: Platform,
    pub(super) quirks: &'a Quirks,
    /// How the target tells usage.
    pub(super) usage: usage::Rule,
    pub(super) label: Label,
    /// As the target knows it.
    pub(super) model: &'a str,
    /// The most tokens that it takes, where that is known.
    pub(super) window: Option<u64>,
    pub(super) encoding: Encoding,
    pub(super) provider: &'a str,
    limit_headers: LimitHeaders,
    /// For the first byte of the body.
    deadline: Millis,
    patience: Patience,
    /// When the answer must have ended.
    until: Millis,
    lost: Vec<String>,
    share: Share,
}

impl Reading<'_> {
    /// `None` when nothing came for too long.
    async fn stream<H: Host>(self, host: &H, answer: Answer<H::Body>, framing: Framing) -> Option<Tried<H::Body>> {
        let Answer { headers, body: mut upstream, .. } = answer;
        let now = host.now();
        let ends = self.job.ends((self.dialect, self.platform), self.quirks, framing, self.label.clone());
        let seal = ends.seal.at(self.provider, self.dialect);
        let usage = self.usage.clone();
        let input_estimate = ends.input_estimate.min(self.window.unwrap_or(u64::MAX));
        let ends = Ends { seal, usage, input_estimate, patience: self.patience, until: self.until, ..ends };
        let mut relay = Relay::of(self.share, ends, now);
        let mut deadline = self.deadline;
        let latest = now.saturating_add(CONTENT_MS_MAX);
        loop {
            let wait = deadline.min(latest).saturating_sub(host.now());
            let began = match race(host, wait, host.read(&mut upstream)).await {
                Raced::Done(Ok(Some(chunk))) => {
                    relay.hold(&chunk, host.now());
                    deadline = relay.deadline();
                    !relay.is_over() || relay.has_content()
                }
                Raced::Done(Ok(None)) => relay.end_held(Stopped::Closed),
                Raced::Done(Err(Broken)) => relay.end_held(Stopped::Broken),
                Raced::TimedOut => return None,
                Raced::Gone => return Some(Tried::Gone(Some(relay.tally()))),
            };
            if !began {
                let why = relay.failure().map_or("", |error| error.message.as_str());
                return Some(self.failed(format!("{} failed before its answer began: {why}", self.provider), None));
            }
            if relay.has_content() {
                let mut headers = self.reply_headers(&headers);
                headers.push("content-type", content_type(self.job.ask));
                headers.push("cache-control", "no-cache");
                if self.share == Share::Beginning {
                    headers.push(SPLICE, "on");
                }
                return Some(Tried::Stream { headers, upstream, relay: Box::new(relay), lost: self.lost });
            }
        }
    }

    /// `None` when nothing came for too long.
    async fn whole<H: Host>(self, host: &H, answer: Answer<H::Body>) -> Option<Tried<H::Body>> {
        let Answer { headers: upstream, mut body, .. } = answer;
        let waits = Waits { deadline: self.deadline, idle_ms: Some(self.patience.idle_ms), until: self.until };
        let bytes = match read_whole(host, &mut body, waits, ANSWER_BYTES_MAX).await {
            Read::Whole(bytes) => bytes,
            Read::Broken { length } => {
                let message = format!("the answer of {} broke off", self.provider);
                return Some(self.failed(message, Some(length)));
            }
            Read::TimedOut => return None,
            Read::Gone { length } => return Some(Tried::Gone(Some(self.guess(length)))),
        };
        let mut headers = self.reply_headers(&upstream);
        Some(match self.spoken(&bytes) {
            Ok(Spoken { kind, body, tally }) => {
                // What goes through untouched says itself what it is.
                headers.push("content-type", kind.or(upstream.get("content-type")).unwrap_or(JSON));
                Tried::Whole { headers, body, tally, lost: self.lost }
            }
            Err(why) => self.failed(why, None),
        })
    }

    /// What so many bytes came to, where nobody tells. Only chats have an output that is counted.
    pub(super) fn guess(&self, length: usize) -> Tally {
        Tally { usage: self.job.about(self.window, length), bill: Bill::default(), estimated: true }
    }

    /// An answer with a status of failure: its words for the caller, and what they mean for the next attempt.
    async fn error<H: Host>(self, host: &H, answer: Answer<H::Body>) -> Tried<H::Body> {
        let Self { job, dialect, platform, provider, limit_headers, patience, .. } = self;
        let Answer { status, headers: upstream, mut body } = answer;
        // The next target waits for these words: they have as long as a first byte, all together.
        let deadline = host.now().saturating_add(patience.first_byte_ms.min(patience.idle_ms));
        let waits = Waits { deadline, idle_ms: None, until: job.until };
        let bytes = match read_whole(host, &mut body, waits, ERROR_BYTES_MAX).await {
            Read::Whole(bytes) => bytes,
            Read::Broken { .. } | Read::TimedOut => Bytes::new(),
            Read::Gone { .. } => return Tried::Gone(None),
        };
        let told = dialect.read_error(&bytes);
        // Its type and code say as much as its message, and each dialect has them elsewhere.
        let words = String::from_utf8_lossy(bytes.get(..CLASS_BYTES_MAX).unwrap_or(&bytes));
        let class = Class::of(status, &words, told.as_deref().unwrap_or_default());
        let is_json = told.is_some() || Fields::read(&bytes).is_ok();
        // A redirect or a 1xx is no answer to a model call, and following it would carry the key elsewhere.
        let kind = if status < 400 { Kind::BadUpstream } else { Kind::Upstream(status) };
        // AWS names an error in a header, and does not always say more: `ExpiredTokenException:http://…`.
        let name = upstream.get(ERROR_NAME).and_then(|name| name.split(':').next()).map(|name| format!(": {name}"));
        let silent = || format!("{provider} answered with status {status}{}", name.unwrap_or_default());
        let message = told.unwrap_or_else(silent);
        let wait = retry_after_ms(&upstream).or_else(|| seconds_ms(&dialect.read_wait(&bytes)?));
        let wait = wait.or_else(|| limit_headers.wait_ms(&upstream, host.now()).filter(|_| status == 429));
        let retry_after = wait.map(|wait| wait.min(RETRY_AFTER_MS_MAX).div_ceil(1000));
        let is_own = Some(dialect) == job.dialect.dialect() && platform.is_of_dialect(&bytes);
        let verbatim = (is_own && status >= 400 && is_json).then(|| {
            let mut headers = reply_headers(job, dialect, &upstream);
            headers.push("content-type", upstream.get("content-type").unwrap_or(JSON));
            (headers, bytes)
        });
        let error = Error { retry_after, ..Error::new(kind, message) };
        let failure = Failure { class, status: Some(status), wait_ms: wait };
        Tried::Failed {
            outcome: Outcome::Status(status),
            failure,
            upset: Upset { error, verbatim, cause: String::new() },
            arrived: None,
        }
    }

    fn failed<B>(&self, message: String, arrived: Option<usize>) -> Tried<B> {
        let failure = Failure { class: Class::told(&message), status: None, wait_ms: None };
        Tried::Failed { outcome: Outcome::Failed, failure, upset: Upset::new(Kind::BadUpstream, message), arrived }
    }

    fn reply_headers(&self, upstream: &Headers) -> Headers {
        reply_headers(self.job, self.dialect, upstream)
    }
}

enum Read {
    Whole(Bytes),
    /// Cut short, or longer than it may be; how much had come.
    Broken {
        length: usize,
    },
    TimedOut,
    /// The caller has hung up; how much had come.
    Gone {
        length: usize,
    },
}

/// How long a body is waited for.
struct Waits {
    deadline: Millis,
    /// After each piece it is waited for so long again.
    idle_ms: Option<Millis>,
    /// But no longer than until then.
    until: Millis,
}

async fn read_whole<H: Host>(host: &H, body: &mut H::Body, waits: Waits, most: usize) -> Read {
    let Waits { mut deadline, idle_ms, until } = waits;
    let mut pieces: Vec<Bytes> = Vec::new();
    let mut length = 0_usize;
    loop {
        match race(host, deadline.min(until).saturating_sub(host.now()), host.read(body)).await {
            Raced::Done(Ok(Some(piece))) => {
                length = length.saturating_add(piece.len());
                if length > most {
                    return Read::Broken { length };
                }
                pieces.push(piece);
                deadline = idle_ms.map_or(deadline, |idle_ms| host.now().saturating_add(idle_ms));
            }
            Raced::Done(Ok(None)) => break,
            Raced::Done(Err(_)) => return Read::Broken { length },
            Raced::TimedOut => return Read::TimedOut,
            Raced::Gone => return Read::Gone { length },
        }
    }
    Read::Whole(match pieces.len() {
        1 => pieces.remove(0),
        _ => pieces.concat().into(),
    })
}

/// The built-in model's answer, by the way that an upstream's takes: its bytes are read and written as any other's.
fn echo<B>(job: &Job<'_>, target: &Target) -> Tried<B> {
    if matches!(job.ask, Ask::Embeddings | Ask::Rerank) {
        return Tried::Unfit(unknown_to(target, job.ask));
    }
    let mut lost = Vec::new();
    let request = match job.canonical(target, echo::DIALECT, &mut lost) {
        Ok(request) => Arc::new(request),
        Err(error) => return Tried::Unfit(error),
    };
    if let Some(refused) = job.refuse(target, &lost) {
        return refused;
    }
    let response = echo::answer(&request, &job.label.id, &request.model);
    let label = Label { request: Some(request), lost: lost.clone(), ..job.label.clone() };
    let own = Label { usage_wanted: true, framing: Framing::Sse, ..label.clone() };
    let bytes = told(echo::OWN, &own, &response, job.streams());
    let (body, tally) = if job.streams() {
        let mut relay = Relay::new(
            job.ends((echo::DIALECT, Platform::Native), &Quirks::default(), Framing::Sse, label),
            job.started,
        );
        relay.hold(&bytes, job.started);
        relay.end_held(Stopped::Closed);
        (relay.take_held().into(), relay.tally())
    } else {
        // What we wrote can be read.
        let read = echo::DIALECT.read_response(&bytes).unwrap_or(response);
        let same = echo::OWN == job.dialect;
        let body = if same { bytes } else { told(job.dialect, &label, &read, false) };
        (body, measure(&read, Bill::default(), estimate(job.bytes.len() as u64)))
    };
    let headers = Headers::from_iter([("content-type", content_type(job.ask))]);
    Tried::Whole { headers, body, tally, lost }
}

impl Job<'_> {
    /// What an attempt comes to of whose answer so many bytes have come, by our estimate. `window` is the most that the
    /// target takes. Providers count tokens for nothing.
    pub(super) fn about(&self, window: Option<u64>, arrived: usize) -> chat::Usage {
        let input = match self.ask {
            Ask::TokenCount => 0,
            _ => Asked::new(self.dialect, self.ask, &self.body, self.bytes).input_tokens(),
        };
        // Bytes without end are no answer, and none has more tokens than were asked for.
        let output = estimate(arrived as u64).min(self.size.output);
        chat::Usage { input: input.min(window.unwrap_or(u64::MAX)), output, ..chat::Usage::default() }
    }

    /// What comes of a target that would lose something, for a caller who does not want that.
    fn refuse<B>(&self, target: &Target, lost: &[String]) -> Option<Tried<B>> {
        let first = lost.first().filter(|_| self.strict)?;
        let message = format!("{target} cannot be given {}; it is strictly wanted", header_text(&lost_text(lost)));
        Some(Tried::Lossy(Error {
            param: Some(header_text(&lost_text(std::slice::from_ref(first)))),
            ..Error::invalid(message)
        }))
    }

    /// How long `upstream` is waited for that is asked at `began`, and when its answer must have ended.
    fn patience(&self, upstream: &Upstream, began: Millis) -> (Patience, Millis) {
        let (all, own) = (self.policy.patience, &upstream.timeouts);
        let patience = Patience {
            first_byte_ms: own.first_byte_ms.unwrap_or(all.first_byte_ms.max(upstream.first_byte_ms)),
            idle_ms: own.idle_ms.unwrap_or(all.idle_ms),
            ..all
        };
        (patience, own.total_ms.map_or(self.until, |ms| began.saturating_add(ms).min(self.until)))
    }

    fn ends(&self, (upstream, platform): (Dialect, Platform), quirks: &Quirks, framing: Framing, label: Label) -> Ends {
        Ends {
            upstream,
            platform,
            reader: Reader::new(quirks),
            usage: usage::Rule::default(),
            framing,
            caller: self.dialect,
            label,
            seal: self.seal,
            input_estimate: estimate(self.bytes.len() as u64),
            patience: self.policy.patience,
            until: self.until,
        }
    }
}
