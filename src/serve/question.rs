//! What a model can be asked for: how each is put to a target, and what its whole answer becomes for the caller.
//! Nothing here waits for anything.

use std::sync::Arc;

use bytes::Bytes;

use super::attempt::Reading;
use super::head::{EVENT_STREAM, JSON};
use super::prepare::Job;
use crate::bill::Bill;
use crate::chat;
use crate::config::Target;
use crate::dialect::{Ask, Dialect, Inbound, Label, Malformed, openai_chat};
use crate::embed::Encoding;
use crate::error::Error;
use crate::media::{self, Fetch, Files, Link, Taken};
use crate::platform::Platform;
use crate::record::Tally;
use crate::relay::measure;
use crate::rerank;
use crate::route::wish;
use crate::splice;
use crate::told::Told;
use crate::wire::frame::Framing;
use crate::wire::json::Fields;

/// What a target is sent, and what its answer is read and told by.
#[derive(Default)]
pub(super) struct Question {
    pub(super) url: String,
    pub(super) body: Vec<u8>,
    pub(super) label: Label,
    pub(super) encoding: Encoding,
    pub(super) lost: Vec<String>,
}

/// Why a target cannot be put a question, or not yet.
pub(super) enum Obstacle {
    /// The request itself cannot be put into the target's dialect.
    Unfit(Error),
    /// It names files by address that the target does not fetch, and they are not here.
    Lacks(Vec<Link>),
}

impl From<Error> for Obstacle {
    fn from(error: Error) -> Self {
        Self::Unfit(error)
    }
}

/// What a request is told in.
enum Form {
    /// The caller's own bytes, but for what must change.
    Own(Vec<u8>),
    Canonical(Arc<chat::Request>),
}

/// A whole answer for the caller.
pub(super) struct Spoken {
    /// Its `content-type`; `None` where it goes through untouched.
    pub(super) kind: Option<&'static str>,
    pub(super) body: Bytes,
    pub(super) tally: Tally,
}

impl Spoken {
    fn untouched(bytes: &Bytes, tally: Tally) -> Self {
        Self { kind: None, body: bytes.clone(), tally }
    }
}

impl Job<'_> {
    /// What is sent to a target that speaks `dialect` on `platform`; to go on after `said`, where that is there.
    pub(super) fn question(
        &self,
        (target, dialect, platform): (&Target, Dialect, Platform),
        base_url: &str,
        files: &Files,
        said: Option<&str>,
    ) -> Result<Question, Obstacle> {
        let mut question = match self.ask {
            Ask::Answer | Ask::Stream(_) | Ask::TokenCount => {
                self.chat((target, dialect, platform), base_url, files, said)?
            }
            Ask::Embeddings => self.embeddings(target, dialect, base_url)?,
            Ask::Rerank => self.rerank(target, dialect, base_url)?,
        };
        if let Some(lists) = target.provider.lists {
            question.body = self.behind.told(question.body, lists);
        }
        Ok(question)
    }

    /// The request for a target that speaks `dialect`. What it cannot have goes to `lost`.
    pub(super) fn canonical(
        &self,
        target: &Target,
        dialect: Dialect,
        lost: &mut Vec<String>,
    ) -> Result<chat::Request, Error> {
        let mut request = self.dialect.read_request(&self.body)?;
        request.model.clone_from(&target.model);
        request.max_tokens = most_tokens(request.max_tokens, target.known.most, dialect);
        request.stream = self.streams();
        let betas = self.headers.get("anthropic-beta").filter(|_| self.dialect == Inbound::Anthropic);
        request.betas = betas.map_or_else(Vec::new, |betas| {
            betas.split(',').map(str::trim).filter(|beta| !beta.is_empty()).map(str::to_owned).collect()
        });
        lost.extend(request.unread.iter().filter(|name| !wish::is_field(name)).cloned());
        self.seal.at(&target.provider.name, dialect).open_request(&mut request, self.dialect, dialect, lost);
        Ok(request)
    }

    /// The caller's own bytes with another `model`, or through the canonical form.
    fn chat(
        &self,
        (target, dialect, platform): (&Target, Dialect, Platform),
        base_url: &str,
        files: &Files,
        said: Option<&str>,
    ) -> Result<Question, Obstacle> {
        let is_own = Some(dialect) == self.dialect.dialect();
        // Another dialect's stream is written anew anyway, and most of them are events.
        let ask = if is_own || !self.streams() { self.ask } else { Ask::Stream(Framing::Sse) };
        let url = platform.url(dialect, base_url, &target.model, ask);
        let mut label = self.label.clone();
        let quirks = &target.provider.quirks;
        let mut lost = self.wishes.unmet.clone();
        let (body, request) = match self.form((target, dialect, platform), files, said, &mut lost)? {
            Form::Own(body) => (body, None),
            Form::Canonical(request) => (dialect.write_request(&request, &mut lost), Some(request)),
        };
        let body = quirks.request(&target.model, body, &mut lost);
        // Where the caller's own bytes go out and the answer is told anew all the same, what they say of tools is needed.
        let own = || {
            let model = target.model.clone();
            self.dialect.read_request(&self.body).ok().map(|read| Arc::new(chat::Request { model, ..read }))
        };
        label.request = request.or_else(|| if self.splices { own() } else { None });
        label.lost.clone_from(&lost);
        Ok(Question { url, body, label, lost, ..Question::default() })
    }

    /// What the request is for `target`, and in it the files that the target does not fetch.
    fn form(
        &self,
        (target, dialect, platform): (&Target, Dialect, Platform),
        files: &Files,
        said: Option<&str>,
        lost: &mut Vec<String>,
    ) -> Result<Form, Obstacle> {
        let is_own = Some(dialect) == self.dialect.dialect() && !self.sealed && self.dialect.is_own(&self.body);
        let is_own = is_own && said.is_none();
        let fetches = platform.fetches() && !target.provider.quirks.inline_files;
        let own =
            |body: &Fields<'_>| Ok(Form::Own(self.without_wishes(self.dialect.splice(body, &target.model), target)));
        if is_own && fetches {
            return own(&self.body);
        }
        let may_lack = self.ask != Ask::TokenCount && self.media.fetch != Fetch::Never && media::may_link(self.bytes);
        if is_own && !may_lack {
            return own(&self.body);
        }
        let mut request = self.canonical(target, dialect, lost)?;
        let is_wanted = |kind| match dialect.takes(kind) {
            Taken::Never => false,
            Taken::Inline => true,
            Taken::Anyhow => !fetches,
        };
        let count = match may_lack {
            true => files.put(&mut request, &is_wanted).map_err(Obstacle::Lacks)?,
            false => 0,
        };
        if let Some(said) = said {
            splice::go_on(&mut request, said, dialect);
        }
        if !is_own {
            return Ok(Form::Canonical(Arc::new(request)));
        }
        match media::inlined(self.dialect, &self.body, self.bytes, files, count) {
            Some(bytes) => {
                lost.clone_from(&self.wishes.unmet);
                own(&Fields::read(&bytes).map_err(Error::invalid)?)
            }
            None => Ok(Form::Canonical(Arc::new(request))),
        }
    }

    /// What is wished of the route is for the gateway that the request is meant for, which may be behind this one.
    fn without_wishes(&self, body: Vec<u8>, target: &Target) -> Vec<u8> {
        if !self.wishes.in_body {
            return body;
        }
        let told = Fields::read(&body).map(|fields| match target.provider.is_gateway {
            true => wish::for_gateway(&fields),
            false => fields.without(wish::FIELDS),
        });
        told.unwrap_or(body)
    }

    /// What of `unread` fields, and of the wishes, nobody gets.
    fn lost(&self, mut unread: Vec<String>) -> Vec<String> {
        unread.retain(|name| !wish::is_field(name));
        unread.extend(self.wishes.unmet.iter().cloned());
        unread
    }

    fn embeddings(&self, target: &Target, dialect: Dialect, base_url: &str) -> Result<Question, Error> {
        let embeddings = dialect.embeddings().ok_or_else(|| unknown_to(target, self.ask))?;
        let url = embeddings.url(base_url.trim_end_matches('/'), &target.model);
        if self.embeds_as(dialect) {
            let body = self.without_wishes(openai_chat::splice_embeddings(&self.body, &target.model), target);
            return Ok(Question { url, body, lost: self.wishes.unmet.clone(), ..Question::default() });
        }
        let mut request = self.dialect.read_embeddings(&self.body)?;
        request.model.clone_from(&target.model);
        let mut lost = self.lost(std::mem::take(&mut request.unread));
        let body = embeddings.write(&request, &mut lost)?;
        Ok(Question { url, body, encoding: request.encoding, lost, ..Question::default() })
    }

    /// Whether an upstream of `dialect` takes and gives embeddings as the caller does.
    fn embeds_as(&self, dialect: Dialect) -> bool {
        self.dialect == Inbound::OpenaiChat && matches!(dialect, Dialect::OpenaiChat | Dialect::OpenaiCompletions)
    }

    fn rerank(&self, target: &Target, dialect: Dialect, base_url: &str) -> Result<Question, Error> {
        let url = dialect.rerank_url(base_url).ok_or_else(|| unknown_to(target, self.ask))?;
        let mut lost = Vec::new();
        let body = self.without_wishes(self.dialect.rerank(&self.body, &target.model, &mut lost)?, target);
        let lost = self.lost(lost);
        Ok(Question { url, body, lost, ..Question::default() })
    }
}

impl Reading<'_> {
    /// What the body of a 200 becomes. The error says why it is no answer.
    pub(super) fn spoken(&self, bytes: &Bytes) -> Result<Spoken, String> {
        match self.job.ask {
            Ask::Answer | Ask::Stream(_) => self.chat(bytes),
            // Providers count for nothing.
            Ask::TokenCount => Ok(Spoken::untouched(bytes, Tally::default())),
            Ask::Embeddings => self.embeddings(bytes),
            Ask::Rerank => self.rerank(bytes),
        }
    }

    fn chat(&self, bytes: &Bytes) -> Result<Spoken, String> {
        let job = self.job;
        let same = Some(self.dialect) == job.dialect.dialect();
        let Some(mut response) = self.stated(same, bytes, self.dialect.read_response_by(&self.usage, bytes))? else {
            return Ok(Spoken::untouched(bytes, self.guess(bytes.len())));
        };
        self.quirks.response(&mut response);
        let is_told = response.usage.as_ref().is_some_and(chat::Usage::is_believable);
        let input = if is_told { 0 } else { job.about(self.window, 0).input };
        let tally = measure(&response, self.billed(bytes), input);
        if same && !job.streams() && !self.quirks.think_tags {
            return Ok(Spoken::untouched(bytes, tally));
        }
        if !same {
            Told::new(self.dialect, self.label.request.as_deref()).response(&mut response);
            job.seal.at(self.provider, self.dialect).close_response(&mut response, self.dialect, job.dialect);
        }
        let kind = content_type(job.ask);
        let mut label = self.label.clone();
        if same {
            // It was not read for the upstream, and what it says of its tools is needed now.
            label.request = job.dialect.read_request(&job.body).ok().map(Arc::new);
        }
        let body = told(job.dialect, &label, &response, job.streams());
        Ok(Spoken { kind: Some(kind), body, tally })
    }

    fn embeddings(&self, bytes: &Bytes) -> Result<Spoken, String> {
        let same = self.job.embeds_as(self.dialect);
        let unknown = || Malformed("it has no embeddings".to_owned());
        let read = self.dialect.embeddings().ok_or_else(unknown).and_then(|embeddings| embeddings.read(bytes));
        let Some(mut response) = self.stated(same, bytes, read)? else {
            return Ok(Spoken::untouched(bytes, self.guess(bytes.len())));
        };
        let bill = self.billed(bytes);
        let tally = response
            .usage
            .filter(chat::Usage::is_believable)
            .map_or_else(|| self.guess(bytes.len()), |usage| Tally { usage, bill, estimated: false });
        if same {
            return Ok(Spoken::untouched(bytes, tally));
        }
        if response.model.is_empty() {
            self.model.clone_into(&mut response.model);
        }
        let body = self.job.dialect.write_embeddings(&response, self.encoding).into();
        Ok(Spoken { kind: Some(JSON), body, tally })
    }

    /// Goes through as it is, but to callers who have another shape.
    fn rerank(&self, bytes: &Bytes) -> Result<Spoken, String> {
        let told = self.job.dialect.tell_ranking(bytes);
        let usage = self.stated(told.is_none(), bytes, rerank::read_usage(bytes))?.flatten();
        let bill = self.billed(bytes);
        let tally = usage
            .filter(chat::Usage::is_believable)
            .map_or_else(|| self.guess(bytes.len()), |usage| Tally { usage, bill, estimated: false });
        let Some(told) = told else { return Ok(Spoken::untouched(bytes, tally)) };
        let body = self.stated(false, bytes, told)?.unwrap_or_default().into();
        Ok(Spoken { kind: Some(JSON), body, tally })
    }

    /// What a whole answer says of its price.
    fn billed(&self, bytes: &[u8]) -> Bill {
        let mut bill = Bill::default();
        bill.read(std::str::from_utf8(bytes).unwrap_or_default(), self.usage.cost.as_ref());
        bill
    }

    /// What the body of a 200 says. It may be an error; anything else within one dialect is for the caller to judge,
    /// and then nothing is known of it.
    fn stated<T>(&self, same: bool, bytes: &[u8], read: Result<T, Malformed>) -> Result<Option<T>, String> {
        let malformed = match read {
            Ok(stated) => return Ok(Some(stated)),
            Err(malformed) => malformed.0,
        };
        match self.dialect.read_error(bytes) {
            Some(message) => Err(format!("{}: {message}", self.provider)),
            None if same && Fields::read(bytes).is_ok() => Ok(None),
            None => Err(format!("{} sent an answer that is not of its dialect: {malformed}", self.provider)),
        }
    }
}

/// How long an answer may be: no model is asked for more than it can, which many refuse. Anthropic's upstreams must be told.
fn most_tokens(asked: Option<u64>, most: Option<u64>, dialect: Dialect) -> Option<u64> {
    match (asked, most) {
        (Some(asked), Some(most)) => Some(asked.min(most)),
        (None, Some(most)) if dialect == Dialect::Anthropic => Some(most.min(OUTPUT_TOKENS_UNASKED)),
        (asked, _) => asked,
    }
}

/// As many as Claude Code asks for. Some limits of a minute count what is asked.
const OUTPUT_TOKENS_UNASKED: u64 = 32_000;

/// Of what the caller gets.
pub(super) fn content_type(ask: Ask) -> &'static str {
    match ask {
        Ask::Stream(Framing::Sse | Framing::Lines | Framing::EventStream) => EVENT_STREAM,
        Ask::Stream(Framing::Array) | Ask::Answer | Ask::TokenCount | Ask::Embeddings | Ask::Rerank => JSON,
    }
}

/// A request that a target cannot be put.
pub(super) fn unknown_to(target: &Target, ask: Ask) -> Error {
    let what = match ask {
        Ask::Answer | Ask::Stream(_) => "chat",
        Ask::TokenCount => "counting tokens",
        Ask::Embeddings => "embeddings",
        Ask::Rerank => "reranking",
    };
    Error::field("model", format!("{target} does not do {what}"))
}

/// A whole answer in `dialect`, as a stream tells it where one is wanted.
pub(super) fn told(dialect: Inbound, label: &Label, response: &chat::Response, stream: bool) -> Bytes {
    if !stream {
        return dialect.write_response(response, label).into();
    }
    let mut encoder = dialect.encoder(label.clone());
    let mut out = Vec::new();
    for event in response.events() {
        encoder.event(&event, &mut out);
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_model_is_asked_for_more_than_it_can() {
        let cases = [
            (Some(9), Some(8), Dialect::OpenaiChat, Some(8)),
            (Some(7), Some(8), Dialect::OpenaiChat, Some(7)),
            (Some(9), None, Dialect::OpenaiChat, Some(9)),
            (None, Some(8), Dialect::OpenaiChat, None),
            (None, Some(8), Dialect::Anthropic, Some(8)),
            (None, Some(128_000), Dialect::Anthropic, Some(OUTPUT_TOKENS_UNASKED)),
            (None, None, Dialect::Anthropic, None),
        ];
        for (asked, most, dialect, expected) in cases {
            assert_eq!(most_tokens(asked, most, dialect), expected, "{asked:?} {most:?} {dialect:?}");
        }
    }
}
