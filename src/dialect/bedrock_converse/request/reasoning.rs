//! How much a model is to think, in the words of its maker.

use super::Writer;
use super::body::{EffortOut, Extra, NovaReasoning, Thinking, ToolConfig, Turn};
use super::maker::{ADAPTIVE, ADAPTIVE_TOO, Maker, THINKS, Version};
use crate::chat::{Effort, Request};

/// What is left for the answer beside a budget for thinking, where the caller did not say.
const ANSWER_TOKENS: u64 = 4096;

/// The smallest budget for thinking that Claude takes.
const BUDGET_MIN: u64 = 1024;

/// How the answer is bounded and thought about.
#[derive(Default)]
pub(super) struct Plan<'a> {
    pub(super) max_tokens: Option<u64>,
    pub(super) extra: Extra<'a>,
}

impl Writer<'_> {
    pub(super) fn plan<'a>(
        &mut self,
        request: &'a Request,
        turns: &[Turn<'_>],
        tools: Option<&ToolConfig<'_>>,
    ) -> Plan<'a> {
        let mut plan = Plan { max_tokens: request.max_tokens, ..Plan::default() };
        let Some(effort) = request.reasoning.as_ref().filter(|effort| budget(effort) != Some(0)) else { return plan };
        let extra = &mut plan.extra;
        match self.maker {
            Maker::Anthropic(version) => {
                let planned = claude(request, effort, version, turns, tools);
                if planned.is_none() {
                    self.lose("reasoning");
                }
                return planned.unwrap_or(plan);
            }
            Maker::Openai => extra.reasoning_effort = level(effort),
            Maker::Qwen => extra.reasoning_config = level(effort),
            Maker::Amazon { reasons: true } => {
                extra.nova_reasoning =
                    level(effort).map(|max_reasoning_effort| NovaReasoning { kind: "enabled", max_reasoning_effort });
            }
            Maker::Amazon { reasons: false } | Maker::Mistral | Maker::Cohere | Maker::Other => {}
        }
        if extra.is_empty() {
            self.lose("reasoning");
        }
        plan
    }
}

/// Claude's thinking gives way to everything that it cannot go with, as in Anthropic's own API. `None` where it does.
fn claude<'a>(
    request: &Request,
    effort: &Effort,
    version: Version,
    turns: &[Turn<'_>],
    tools: Option<&ToolConfig<'_>>,
) -> Option<Plan<'a>> {
    let budget = budget(effort)?.max(BUDGET_MIN);
    let is_forced = tools.is_some_and(|config| config.tool_choice.is_some());
    let is_begun = turns.last().is_some_and(|turn| turn.role == "assistant");
    if is_forced || is_begun || version < THINKS {
        return None;
    }
    let roomy = request.max_tokens.unwrap_or(budget.saturating_add(ANSWER_TOKENS));
    let max_tokens = Some(roomy);
    if version >= ADAPTIVE || (*effort == Effort::Adaptive && version >= ADAPTIVE_TOO) {
        let display = (request.reasoning_told == Some(true)).then_some("summarized");
        let effort = (*effort != Effort::Adaptive).then(|| level(effort)).flatten();
        let output_config = effort.map(|effort| EffortOut { effort });
        let thinking = Some(Thinking::Adaptive { display });
        return Some(Plan { max_tokens, extra: Extra { thinking, output_config, ..Extra::default() } });
    }
    // "Expected `thinking` or `redacted_thinking`, but found `tool_use`" otherwise (BerriAI/litellm#15601).
    if turns.iter().any(Turn::calls_without_thinking) || roomy <= BUDGET_MIN {
        return None;
    }
    let budget_tokens = budget.min(roomy.saturating_sub(1));
    let thinking = Some(Thinking::Enabled { budget_tokens });
    Some(Plan { max_tokens, extra: Extra { thinking, ..Extra::default() } })
}

/// Tokens for thinking; `None` for a word that is not known. The steps are those of other translators, and none is a
/// promise of a provider's.
fn budget(effort: &Effort) -> Option<u64> {
    match effort {
        Effort::Off => Some(0),
        Effort::Budget(tokens) => Some(*tokens),
        Effort::Adaptive => Some(8192),
        Effort::Level(level) => Some(match level.as_str() {
            "none" => 0,
            "minimal" => BUDGET_MIN,
            "low" => 2048,
            "medium" => 8192,
            "high" => 16384,
            "xhigh" | "max" => 32768,
            _ => return None,
        }),
    }
}

/// The nearest of the three words that all makers know.
fn level(effort: &Effort) -> Option<&'static str> {
    Some(match budget(effort)? {
        0..=2048 => "low",
        2049..=8192 => "medium",
        _ => "high",
    })
}
