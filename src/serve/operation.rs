//! What a model can be asked for: how each is put to a target, and what its whole answer becomes for the caller.
//! Nothing here waits for anything.

use std::sync::Arc;

use bytes::Bytes;

use super::Job;
use super::attempt::Reading;
use super::head::{EVENT_STREAM, JSON};
use crate::chat;
use crate::config::Target;
use crate::dialect::{Dialect, Inbound, Label, Malformed, openai_chat};
use crate::embed::Encoding;
use crate::error::Error;
use crate::platform::Platform;
use crate::record::Tally;
use crate::relay::{estimate, measure};
use crate::rerank;
use crate::told::Told;
use crate::wire::json::Fields;

/// Tokens held for the answer of a request that states no most.
const OUTPUT_TOKENS_HELD: u64 = 4096;

/// What a model is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Chat,
    Embeddings,
    Rerank,
}

/// What a target is sent, and what its answer is read and told by.
#[derive(Default)]
pub(super) struct Question {
    pub(super) url: String,
    pub(super) body: Vec<u8>,
    pub(super) label: Label,
    pub(super) encoding: Encoding,
    pub(super) lost: Vec<String>,
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

impl Operation {
    /// The most tokens that an answer is held to have.
    pub(super) fn output_max(self, body: &Fields<'_>) -> u64 {
        if self != Self::Chat {
            return 0;
        }
        // Which of the two counts is for the upstream to say; none of them may be 0, which some take for no bound.
        let stated = ["max_completion_tokens", "max_tokens", "max_output_tokens"];
        let stated = stated.iter().filter_map(|name| body.get::<u64>(name).ok().flatten()).max();
        let answers = body.get::<u64>("n").ok().flatten().unwrap_or(1).max(1);
        stated.filter(|tokens| *tokens > 0).unwrap_or(OUTPUT_TOKENS_HELD).saturating_mul(answers)
    }

    pub(super) fn unknown_to(self, target: &Target) -> Error {
        let what = match self {
            Self::Chat => "chat",
            Self::Embeddings => "embeddings",
            Self::Rerank => "reranking",
        };
        Error::field("model", format!("{target} does not do {what}"))
    }
}

impl Job<'_> {
    /// What is sent to a target that speaks `dialect` on `platform`.
    pub(super) fn question(
        &self,
        target: &Target,
        dialect: Dialect,
        platform: Platform,
        base_url: &str,
    ) -> Result<Question, Error> {
        match self.operation {
            Operation::Chat => self.chat(target, dialect, platform, base_url),
            Operation::Embeddings => self.embeddings(target, dialect, base_url),
            Operation::Rerank => self.rerank(target, dialect, base_url),
        }
    }

    /// The request for a target that speaks `dialect`. What it cannot have goes to `lost`.
    pub(super) fn canonical(
        &self,
        target: &Target,
        dialect: Dialect,
        lost: &mut Vec<String>,
    ) -> Result<Arc<chat::Request>, Error> {
        let mut request = self.dialect.read_request(&self.body)?;
        request.model.clone_from(&target.model);
        request.stream = self.stream;
        lost.clone_from(&request.unread);
        self.seal.open_request(&mut request, self.dialect, dialect, lost);
        Ok(Arc::new(request))
    }

    /// The caller's own bytes with another `model`, or through the canonical form.
    fn chat(&self, target: &Target, dialect: Dialect, platform: Platform, base_url: &str) -> Result<Question, Error> {
        let url = platform.url(dialect, base_url, &target.model, self.stream);
        let mut label = self.label.clone();
        if dialect == self.dialect.dialect() && !self.sealed && self.dialect.is_own(&self.body) {
            let body = self.dialect.splice(&self.body, &target.model);
            return Ok(Question { url, body, label, ..Question::default() });
        }
        let mut lost = Vec::new();
        let request = self.canonical(target, dialect, &mut lost)?;
        let body = dialect.write_request(&request, &mut lost);
        label.request = Some(request);
        Ok(Question { url, body, label, lost, ..Question::default() })
    }

    fn embeddings(&self, target: &Target, dialect: Dialect, base_url: &str) -> Result<Question, Error> {
        let embeddings = dialect.embeddings().ok_or_else(|| self.operation.unknown_to(target))?;
        let url = embeddings.url(base_url.trim_end_matches('/'), &target.model);
        if dialect == Dialect::OpenaiChat {
            let body = openai_chat::splice_embeddings(&self.body, &target.model);
            return Ok(Question { url, body, ..Question::default() });
        }
        let mut request = openai_chat::read_embeddings(&self.body)?;
        request.model.clone_from(&target.model);
        let mut lost = std::mem::take(&mut request.unread);
        let body = embeddings.write(&request, &mut lost)?;
        Ok(Question { url, body, encoding: request.encoding, lost, ..Question::default() })
    }

    fn rerank(&self, target: &Target, dialect: Dialect, base_url: &str) -> Result<Question, Error> {
        let url = dialect.rerank_url(base_url).ok_or_else(|| self.operation.unknown_to(target))?;
        Ok(Question { url, body: rerank::splice(&self.body, &target.model), ..Question::default() })
    }
}

impl Reading<'_> {
    /// What the body of a 200 becomes. The error says why it is no answer.
    pub(super) fn spoken(&self, bytes: &Bytes) -> Result<Spoken, String> {
        match self.job.operation {
            Operation::Chat => self.chat(bytes),
            Operation::Embeddings => self.embeddings(bytes),
            Operation::Rerank => self.rerank(bytes),
        }
    }

    fn chat(&self, bytes: &Bytes) -> Result<Spoken, String> {
        let job = self.job;
        let same = self.dialect == job.dialect.dialect();
        let Some(mut response) = self.stated(same, bytes, self.dialect.read_response(bytes))? else {
            return Ok(Spoken::untouched(bytes, self.guess(bytes.len())));
        };
        let tally = measure(&response, estimate(job.body_bytes));
        if same && !job.stream {
            return Ok(Spoken::untouched(bytes, tally));
        }
        if !same {
            Told::new(self.dialect, self.label.request.as_deref()).response(&mut response);
            job.seal.close_response(&mut response, self.dialect, job.dialect);
        }
        let kind = if job.stream { EVENT_STREAM } else { JSON };
        let body = told(job.dialect, &self.label, &response, job.stream);
        Ok(Spoken { kind: Some(kind), body, tally })
    }

    fn embeddings(&self, bytes: &Bytes) -> Result<Spoken, String> {
        let same = self.dialect == Dialect::OpenaiChat;
        let unknown = || Malformed("it has no embeddings".to_owned());
        let read = self.dialect.embeddings().ok_or_else(unknown).and_then(|embeddings| embeddings.read(bytes));
        let Some(mut response) = self.stated(same, bytes, read)? else {
            return Ok(Spoken::untouched(bytes, self.guess(bytes.len())));
        };
        let tally = response.usage.map_or(self.guess(bytes.len()), |usage| Tally { usage, estimated: false });
        if same {
            return Ok(Spoken::untouched(bytes, tally));
        }
        if response.model.is_empty() {
            self.model.clone_into(&mut response.model);
        }
        let body = openai_chat::write_embeddings(&response, self.encoding).into();
        Ok(Spoken { kind: Some(JSON), body, tally })
    }

    /// Goes through as it is.
    fn rerank(&self, bytes: &Bytes) -> Result<Spoken, String> {
        let usage = self.stated(true, bytes, rerank::read_usage(bytes))?.flatten();
        let tally = usage.map_or(self.guess(bytes.len()), |usage| Tally { usage, estimated: false });
        Ok(Spoken::untouched(bytes, tally))
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
