//! `providerOptions`: what is said to a provider by its name, for a request and for a part of it.
//!
//! A request may speak to several providers at once, and says the same to each in other words. Those that the canonical
//! form has a place for are carried, whoever answers; of two for one place the first counts.

use super::field;
use super::read_request::parse;
use crate::chat::{Effort, Json, Unread};
use crate::error::Error;
use crate::wire::json::{self, Fields, Raw, objects};

/// Options of a request that have a place.
///
/// Source: "OpenAI provider", "Anthropic provider" and "Google provider", AI SDK documentation; "Provider options", AI
/// Gateway documentation; read 2026-11.
#[derive(Default)]
pub(super) struct Settings {
    pub(super) reasoning: Option<Effort>,
    pub(super) reasoning_told: Option<bool>,
    pub(super) parallel_tools: Option<bool>,
    pub(super) verbosity: Option<String>,
    pub(super) service_tier: Option<String>,
    pub(super) cache_key: Option<String>,
    pub(super) user: Option<String>,
    /// Whether the answer must be of its schema to the letter.
    pub(super) strict: Option<bool>,
}

impl Settings {
    pub(super) fn read(body: &Fields<'_>, unread: &mut Unread) -> Result<Self, Error> {
        let mut settings = Self::default();
        let Some(raw) = field::<Raw<'_>>(body, "providerOptions")? else { return Ok(settings) };
        each(raw, |provider, name, value| {
            let path = format!("providerOptions.{provider}.{name}");
            if !settings.take(provider, name, value, &path)? {
                unread.note(&path);
            }
            Ok(())
        })?;
        Ok(settings)
    }

    /// Whether the option is carried.
    fn take(&mut self, provider: &str, name: &str, value: Raw<'_>, path: &str) -> Result<bool, Error> {
        Ok(match (provider, name) {
            ("openai", "reasoningEffort") => {
                let level: String = parse(value, path)?;
                put(&mut self.reasoning, if level == "none" { Effort::Off } else { Effort::Level(level) })
            }
            ("openai", "reasoningSummary") => put(&mut self.reasoning_told, true),
            ("openai", "parallelToolCalls") => put(&mut self.parallel_tools, parse(value, path)?),
            ("openai", "textVerbosity") => put(&mut self.verbosity, parse(value, path)?),
            ("openai" | "gateway", "serviceTier") => put(&mut self.service_tier, parse(value, path)?),
            ("openai", "promptCacheKey") => put(&mut self.cache_key, parse(value, path)?),
            ("openai", "user" | "safetyIdentifier") => put(&mut self.user, parse(value, path)?),
            ("openai", "strictJsonSchema") => put(&mut self.strict, parse(value, path)?),
            // Nothing is stored here, and every proof of reasoning is told.
            ("openai", "store") => value.get() == "false",
            ("openai", "include") => value.get() == r#"["reasoning.encrypted_content"]"#,
            ("anthropic", "thinking") => self.thinking(value, path)?,
            ("anthropic", "effort") => {
                let level = Effort::Level(parse(value, path)?);
                if self.reasoning == Some(Effort::Adaptive) {
                    self.reasoning = None;
                }
                put(&mut self.reasoning, level)
            }
            ("anthropic", "disableParallelToolUse") => {
                let is_disabled: bool = parse(value, path)?;
                put(&mut self.parallel_tools, !is_disabled)
            }
            ("anthropic", "sendReasoning") => value.get() == "true",
            ("google", "thinkingConfig") => self.thinking_config(value, path)?,
            _ => false,
        })
    }

    /// Anthropic's.
    fn thinking(&mut self, value: Raw<'_>, path: &str) -> Result<bool, Error> {
        objects! {
            struct Thinking {
                kind as "type": String,
                budget_tokens as "budgetTokens": Option<u64>,
            }
        }
        let Thinking { kind, budget_tokens } = parse(value, path)?;
        Ok(match (kind.as_str(), budget_tokens) {
            ("disabled", _) => put(&mut self.reasoning, Effort::Off),
            ("enabled", Some(tokens)) => put(&mut self.reasoning, Effort::Budget(tokens)),
            // A level that came first says more.
            ("adaptive", _) => {
                put(&mut self.reasoning, Effort::Adaptive) || matches!(self.reasoning, Some(Effort::Level(_)))
            }
            _ => false,
        })
    }

    /// Google's.
    fn thinking_config(&mut self, value: Raw<'_>, path: &str) -> Result<bool, Error> {
        objects! {
            struct Config {
                thinking_budget as "thinkingBudget": Option<i64>,
                thinking_level as "thinkingLevel": Option<String>,
                include_thoughts as "includeThoughts": Option<bool>,
            }
        }
        let config: Config = parse(value, path)?;
        let effort = match (config.thinking_level, config.thinking_budget) {
            (Some(level), _) => Some(Effort::Level(level)),
            (None, Some(0)) => Some(Effort::Off),
            // Below nought the model decides.
            (None, Some(budget)) => Some(u64::try_from(budget).map_or(Effort::Adaptive, Effort::Budget)),
            (None, None) => None,
        };
        let is_told = config.include_thoughts.is_none_or(|told| put(&mut self.reasoning_told, told));
        Ok(effort.is_none_or(|effort| put(&mut self.reasoning, effort)) && is_told)
    }
}

/// Whether `value` has the place; it was free, or had the same.
fn put<T: PartialEq>(place: &mut Option<T>, value: T) -> bool {
    match place {
        Some(first) => *first == value,
        None => {
            *place = Some(value);
            true
        }
    }
}

/// What stands beside a part of the prompt, or a tool.
#[derive(Default)]
pub(super) struct Marks {
    pub(super) cache: Option<Json>,
    /// What was told with the part, and comes back.
    pub(super) signature: Option<String>,
    pub(super) sealed: Option<String>,
}

impl Marks {
    /// `path` is what the names of others are told below.
    pub(super) fn read(raw: Option<Raw<'_>>, path: &str, unread: &mut Unread) -> Self {
        let mut marks = Self::default();
        let Some(raw) = raw else { return marks };
        let read = each(raw, |provider, name, value| {
            let text = || json::parse::<String>(value.get()).ok();
            match (provider, name) {
                ("tollgate", "signature") => marks.signature = text(),
                ("tollgate", "redactedData") => marks.sealed = text(),
                ("anthropic", "cacheControl" | "cache_control") => marks.cache = Some(value.into()),
                _ => unread.note(&format!("{path}.{provider}.{name}")),
            }
            Ok(())
        });
        if read.is_err() {
            unread.note(path);
        }
        marks
    }
}

/// Calls `each` with every provider, option and value that is not `null`.
pub(super) fn each<'a>(
    raw: Raw<'a>,
    mut each: impl FnMut(&str, &str, Raw<'a>) -> Result<(), Error>,
) -> Result<(), Error> {
    let wrong = |_| Error::field("providerOptions", "must be an object of objects, by the names of providers");
    let fields = |raw: Raw<'a>| Fields::read(raw.get().as_bytes()).map_err(wrong);
    let providers = fields(raw)?;
    for provider in providers.names() {
        let Some(raw) = providers.raw(provider).filter(|raw| !raw.is_null()) else { continue };
        let options = fields(raw)?;
        for name in options.names() {
            if let Some(value) = options.raw(name).filter(|value| !value.is_null()) {
                each(provider, name, value)?;
            }
        }
    }
    Ok(())
}
