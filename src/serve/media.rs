//! Files that a caller gives by address, fetched for a target that fetches none: all at the same time, and nothing of
//! the caller's goes along. What may be fetched and what may come of it is for [`crate::media`] to say.

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::attempt::Upset;
use super::head::AGENT;
use super::prepare::Job;
use crate::chat::Media;
use crate::error::Error;
use crate::host::{Headers, Host, Method, Outgoing};
use crate::media::origin::moved;
use crate::media::{Files, Link, Policy, place};
use crate::relay::{Raced, race};

/// Stores send a caller from one name to another, seldom more than twice.
const REDIRECTS_MAX: usize = 3;

/// How it went.
pub(super) enum Gathered {
    All,
    /// One of them could not be had.
    Not(Upset),
    /// The caller has hung up.
    Gone,
}

/// Why a file could not be had.
struct Why {
    /// For the caller: what is wrong with it, without its address.
    text: String,
    /// For the operator only.
    cause: String,
}

/// The files of a request, which attempts beside one another share. Never held while something is waited for.
pub(super) fn held(files: &Mutex<Files>) -> MutexGuard<'_, Files> {
    files.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Fetches what `files` lack. The first that cannot be had ends it, and cancels the others.
pub(super) async fn gather<H: Host>(host: &H, job: &Job<'_>, links: Vec<Link>, files: &Mutex<Files>) -> Gathered {
    let policy = job.media;
    let (count, bytes) = {
        let files = held(files);
        (files.count(), files.bytes())
    };
    let fails = |link: &Link, why: Why| Gathered::Not(job.cannot_have(link, why));
    // There is one at least, and none beyond those that are allowed.
    if let Some(beyond) = links.get(policy.files_max.saturating_sub(count)) {
        return fails(beyond, format!("more than {} files are not fetched", policy.files_max).into());
    }
    // Nobody is asked for some of them when others may not be fetched.
    if let Some((link, why)) = links.iter().find_map(|link| Some((link, policy.permit(&link.url).err()?))) {
        return fails(link, why.into());
    }
    let Some(first) = links.first().cloned() else { return Gathered::All };
    let left = AtomicUsize::new(policy.bytes_max.saturating_sub(bytes));
    let work = links.into_iter().map(|link| fetch(host, policy, link, &left)).collect();
    match race(host, policy.ms_max, all(work)).await {
        Raced::Done(Ok(fetched)) => {
            let mut files = held(files);
            fetched.into_iter().for_each(|(link, file)| files.keep(link, file));
            Gathered::All
        }
        Raced::Done(Err((link, why))) => fails(&link, why),
        Raced::TimedOut => fails(&first, format!("it was not there in {} ms", policy.ms_max).into()),
        Raced::Gone => Gathered::Gone,
    }
}

impl Job<'_> {
    /// What the caller is told of a file that could not be had: where its address stands, and no more of the address
    /// than that, since a signature may be part of it.
    fn cannot_have(&self, link: &Link, Why { text, cause }: Why) -> Upset {
        let text = format!("cannot be fetched for a model that does not do so itself: {text}");
        let error = match place(&self.body, &link.url) {
            Some(path) => Error::field(path, text),
            None => Error::invalid(format!("a file of the request {text}")),
        };
        Upset { cause, ..Upset::of(error) }
    }
}

async fn fetch<H: Host>(
    host: &H,
    policy: &Policy,
    link: Link,
    left: &AtomicUsize,
) -> Result<(Link, Media), (Link, Why)> {
    match follow(host, policy, &link, left).await {
        Ok(file) => Ok((link, file)),
        Err(why) => Err((link, why)),
    }
}

/// Goes where the address leads. Each step is allowed or not as the first one is.
async fn follow<H: Host>(host: &H, policy: &Policy, link: &Link, left: &AtomicUsize) -> Result<Media, Why> {
    let mut url = link.url.clone();
    for _ in 0..=REDIRECTS_MAX {
        let network = policy.permit(&url)?;
        let headers = [("accept", "*/*"), ("accept-encoding", "identity"), ("user-agent", AGENT)];
        let asked = Outgoing {
            method: Method::Get(network),
            url: url.split('#').next().unwrap_or_default().to_owned(),
            headers: Headers::from_iter(headers),
            body: Bytes::new(),
            // Read piece by piece, it can be given up when it is too long.
            streams: true,
        };
        let mut answer = host.fetch(asked).await.map_err(|unreachable| Why {
            text: "its host could not be reached".to_owned(),
            cause: unreachable.0.chars().take(super::attempt::CAUSE_CHARS_MAX).collect(),
        })?;
        match (answer.status, answer.headers.get("location")) {
            (200, _) => {
                let bytes = read(host, &mut answer.body, policy, left).await?;
                let media_type = link.kind.media_type(answer.headers.get("content-type"), &bytes);
                let media_type = media_type.ok_or_else(|| format!("it is not {}", link.kind.due()))?;
                return Ok(Media::Inline { media_type, data: STANDARD.encode(&bytes) });
            }
            (301 | 302 | 303 | 307 | 308, Some(location)) => {
                url = moved(&url, location).ok_or("it is redirected to what is no URL")?;
            }
            (status, _) => return Err(format!("its host answered with status {status}").into()),
        }
    }
    Err("it is redirected too often".into())
}

async fn read<H: Host>(host: &H, body: &mut H::Body, policy: &Policy, left: &AtomicUsize) -> Result<Vec<u8>, Why> {
    let mut bytes = Vec::new();
    while let Some(piece) = host.read(body).await.map_err(|_| "it broke off")? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > policy.file_bytes_max {
            return Err(format!("it is longer than {} bytes", policy.file_bytes_max).into());
        }
        let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(piece.len()));
        taken.map_err(|_| format!("the files of the request are together longer than {} bytes", policy.bytes_max))?;
    }
    Ok(bytes)
}

/// Does all at the same time; the first failure is the failure of all. They are few, so each is polled when one can go on.
async fn all<T, E>(work: Vec<impl Future<Output = Result<T, E>>>) -> Result<Vec<T>, E> {
    let mut work: Vec<_> = work.into_iter().map(|work| (Box::pin(work), None)).collect();
    poll_fn(|context| {
        for (work, done) in work.iter_mut().filter(|(_, done)| done.is_none()) {
            match work.as_mut().poll(context) {
                Poll::Ready(Ok(value)) => *done = Some(value),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {}
            }
        }
        let is_pending = work.iter().any(|(_, done)| done.is_none());
        if is_pending { Poll::Pending } else { Poll::Ready(Ok(())) }
    })
    .await?;
    Ok(work.into_iter().filter_map(|(_, done)| done).collect())
}

impl From<String> for Why {
    fn from(text: String) -> Self {
        Self { text, cause: String::new() }
    }
}

impl From<&str> for Why {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}
