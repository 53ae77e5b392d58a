//! The configuration as it is written: what editors show of it stands here, as comments, and every field is told by
//! [`super::schema`].

use std::collections::BTreeSet;

use super::app::AppDraft;
use super::caller::CallerDraft;
use super::limit::LimitDraft;
use super::model::PriceDraft;
use super::provider::{ProviderDraft, secret_names};
use super::receipts::ReceiptsDraft;
use super::refresh::CatalogDraft;
use super::token::TokenDraft;
use super::webhook::WebhookDraft;
use super::{AWS_ACCESS_KEY, AWS_REGION, AWS_SECRET_KEY, AWS_SESSION_TOKEN, FIRST_SECRET, TOKEN_SECRET};
use crate::catalog;
use crate::media::Fetch;
use crate::mistake::{Mistake, Mistakes};
use crate::named::Named;
use crate::route::policy::PolicyDraft;
use crate::route::rule::RuleDraft;
use crate::wire::json::{Shape, objects, parse_strictly, written};

objects! {
    /// The configuration of Tollgate, an AI gateway; field by field in README.md.
    #[derive(Debug, Default)]
    pub struct Draft {
        /// Longer requests are refused; 32 MiB by default.
        pub body_bytes_max: Option<usize>,
        /// Whether a target is passed over that could be given only part of a request.
        pub strict: Option<bool>,
        pub timeouts: Timeouts = Timeouts::default(),
        pub policy: PolicyDraft = PolicyDraft::default(),
        /// In order: what a request asks for instead, by who asks, for what, and when.
        pub rules: Vec<RuleDraft> = Vec::new(),
        pub media: MediaDraft = MediaDraft::default(),
        /// Those that are known need only what is yours.
        pub providers: Named<ProviderDraft> = Named::default(),
        /// Names for callers, and where they are tried.
        pub models: Named<AliasDraft> = Named::default(),
        /// Who may ask, by a name that stands in the log.
        pub callers: Named<CallerDraft> = Named::default(),
        /// Short-lived tokens in place of keys, by a name for their issuer.
        pub tokens: Named<TokenDraft> = Named::default(),
        /// Apps on phones, whose devices get such tokens for what Apple or Google says of them.
        pub apps: Named<AppDraft> = Named::default(),
        /// How much may be asked, by a name that stands in refusals; all that count a request must have room for it.
        pub limits: Named<LimitDraft> = Named::default(),
        /// By `provider/model`; before those of the catalogue.
        pub prices: Named<PriceDraft> = Named::default(),
        /// Prices newer than those that came with the gateway.
        pub catalog: CatalogDraft = CatalogDraft::default(),
        /// What is kept of each request that was put to a model.
        pub receipts: ReceiptsDraft = ReceiptsDraft::default(),
        /// Who is told when budgets and quotas, by day to total, are nearly used up.
        pub webhook: WebhookDraft = WebhookDraft::default(),
    }

    /// How long upstreams and callers wait.
    #[derive(Debug, Default, Clone)]
    pub struct Timeouts {
        /// Until the first byte of an answer, in milliseconds.
        pub first_byte_ms: Option<u64> where above_zero,
        /// Between two pieces of an answer, in milliseconds.
        pub idle_ms: Option<u64> where above_zero,
        /// Until the end of an answer, in milliseconds, all attempts together.
        pub total_ms: Option<u64> where above_zero,
        /// Until a streaming caller is told that it waits, in milliseconds; 0 is never.
        pub heartbeat_ms: Option<u64>,
    }

    /// Which files are fetched that callers give by address, for providers that fetch none.
    #[derive(Debug, Default)]
    pub struct MediaDraft {
        pub fetch: Option<Fetch>,
        /// From these too, wherever they are, like `*.example.com`; https if not said.
        pub hosts: Vec<String> = Vec::new(),
        /// In one request.
        pub files_max: Option<usize>,
        /// Of one file.
        pub file_bytes_max: Option<usize>,
        /// Of all files of a request.
        pub bytes_max: Option<usize>,
        /// For all files of a request, which are fetched at the same time.
        pub ms_max: Option<u64>,
    }

    #[derive(Debug, Default, Clone)]
    pub struct AliasDraft {
        /// Each `provider/model`; tried in this order unless the policy says another.
        pub targets: Vec<String>,
        /// As `strict` of the whole configuration.
        pub strict: Option<bool>,
        /// Until the first byte of an answer, in milliseconds.
        pub first_byte_ms: Option<u64> where above_zero,
        /// Between two pieces of an answer, in milliseconds.
        pub idle_ms: Option<u64> where above_zero,
        /// Until the end of an answer, in milliseconds, all attempts together.
        pub total_ms: Option<u64> where above_zero,
        /// Until a streaming caller is told that it waits, in milliseconds; 0 is never.
        pub heartbeat_ms: Option<u64>,
        /// Over what `[policy]` says for all models.
        pub policy: Option<PolicyDraft>,
    }
}

fn above_zero(number: Shape) -> Shape {
    number.above_zero()
}

written! {
    impl Draft { body_bytes_max?, strict?, timeouts, policy, rules?, media, providers?, models?, callers?, tokens?, apps?, limits?, prices?, catalog, receipts, webhook }
    impl Timeouts { first_byte_ms?, idle_ms?, total_ms?, heartbeat_ms? }
    impl MediaDraft { fetch?, hosts?, files_max?, file_bytes_max?, bytes_max?, ms_max? }
    impl AliasDraft { targets, strict?, first_byte_ms?, idle_ms?, total_ms?, heartbeat_ms?, policy? }
}

impl Draft {
    /// From JSON without mistakes; nothing is an empty draft.
    pub fn from_json(text: Option<&str>) -> Result<Self, Vec<Mistake>> {
        let Reading { draft, mistakes } = Reading::of(text);
        mistakes.or(draft)
    }

    /// The names of every secret that [`Config::compile`] will ask for.
    pub fn secrets(&self) -> BTreeSet<String> {
        let fixed = [FIRST_SECRET, TOKEN_SECRET, AWS_ACCESS_KEY, AWS_SECRET_KEY, AWS_SESSION_TOKEN, AWS_REGION];
        let mut names = BTreeSet::new();
        names.extend(fixed.map(str::to_owned));
        let rows = catalog::providers();
        for row in &rows {
            names.extend(secret_names(&row.name, self.providers.get(&row.name), Some(row)));
        }
        for (name, provider) in self.providers.iter().filter(|(name, _)| rows.iter().all(|row| row.name != *name)) {
            names.extend(secret_names(name, Some(provider), None));
        }
        names.extend(self.webhook.secret.clone());
        names.extend(self.callers.iter().flat_map(|(name, caller)| caller.secrets(name)).map(str::to_owned));
        names.extend(self.tokens.iter().flat_map(|(_, token)| token.secrets()).map(str::to_owned));
        names.extend(self.apps.iter().flat_map(|(_, app)| app.secrets()).map(str::to_owned));
        names
    }
}

/// A configuration as far as it can be read, and what cannot be: the draft is to be judged with its mistakes, by
/// [`super::Config::of`].
#[derive(Debug, Default)]
pub struct Reading {
    pub draft: Draft,
    pub mistakes: Mistakes,
}

impl Reading {
    /// Of the JSON that all hosts read.
    pub fn of(text: Option<&str>) -> Self {
        let mut mistakes = Mistakes::default();
        let draft = match text.map(str::trim).filter(|text| !text.is_empty()) {
            None => Draft::default(),
            Some(text) => parse_strictly(text, &mut mistakes),
        };
        Self { draft, mistakes }
    }

    /// Of what cannot be read at all.
    pub fn refused(why: &[String]) -> Self {
        let mut reading = Self::default();
        for why in why {
            reading.mistakes.say_anyway("", why);
        }
        reading
    }
}
