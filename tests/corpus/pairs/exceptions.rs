//! All that does not hold of every recorded answer told to callers of every dialect, and why it need not.

use serde_json::{Value, json};
use tollgate::chat::{StopReason, Usage};
use tollgate::dialect::{Dialect, Inbound};

use super::Said;

/// `value` with every known departure from the provider's own schema put right, so that all the rest is held against it;
/// `None` where the schema does not have it at all.
pub(super) fn amended(caller: Inbound, mut value: Value) -> Option<Value> {
    match caller {
        // The schema is of the SDK's types, which have no pings. The documentation has, and every recorded stream.
        Inbound::Anthropic if value["type"] == "ping" => return None,
        Inbound::Anthropic => {
            // `caller` says which tool called. A third of the recorded calls has none, and it is refused when a client
            // gives it back to Bedrock or to an older version (anthropics/anthropic-sdk-python#1112, #1107).
            let direct = |block: &mut Value| {
                if block["type"] == "tool_use" {
                    block["caller"] = json!({"type": "direct"});
                }
            };
            value.get_mut("content").and_then(Value::as_array_mut).into_iter().flatten().for_each(direct);
            value.get_mut("content_block").into_iter().for_each(direct);
        }
        Inbound::OpenaiChat => {
            // A model that failed in the middle: OpenAI has no word for it; OpenRouter's is the one that clients know.
            if let Some(reason) = value.pointer_mut("/choices/0/finish_reason").filter(|reason| *reason == "error") {
                *reason = json!("stop");
            }
        }
        Inbound::Gemini => {
            // Vertex AI's own word, told to its own callers; the schema is of AI Studio.
            if let Some(word) = value.pointer_mut("/candidates/0/finishReason").filter(|word| *word == "MODEL_ARMOR") {
                *word = json!("OTHER");
            }
            // Some recordings have words in the place of signatures, which are base64 where we make them.
            let parts = value.pointer_mut("/candidates/0/content/parts").and_then(Value::as_array_mut);
            for part in parts.into_iter().flatten() {
                if part["thoughtSignature"].as_str().is_some_and(|signature| signature.contains("REDACTED")) {
                    part["thoughtSignature"] = json!("");
                }
            }
        }
        Inbound::OpenaiResponses | Inbound::OpenaiCompletions | Inbound::AiSdk(_) => {}
    }
    Some(value)
}

/// Whether a caller's dialect tells a stop as a failure of the request, and not as the end of an answer.
pub(super) fn is_failure_in(caller: Inbound, reason: StopReason) -> bool {
    caller == Inbound::OpenaiResponses && reason == StopReason::Error
}

/// The reason that a caller's dialect has for a stop, where it has not that very one.
pub(super) fn stop_in(caller: Inbound, reason: StopReason) -> StopReason {
    match (caller, reason) {
        (Inbound::Anthropic, reason) if reason != StopReason::Error => reason,
        // It has no word for a model that failed; this one says that the answer is not whole.
        (Inbound::Anthropic, _) => StopReason::Length,
        // Only Anthropic tells which stop sequence was met, and pauses. To the others both are an end.
        (_, StopReason::StopSequence | StopReason::Pause) => StopReason::EndTurn,
        (_, reason) => reason,
    }
}

/// What a caller's dialect can say of usage.
pub(super) fn usage_in(caller: Inbound, usage: Usage) -> Usage {
    match caller {
        // It counts what is read from a cache, not what is written to one.
        Inbound::Gemini => Usage { cache_write: 0, ..usage },
        _ => usage,
    }
}

/// Whether a provider must get `string` of its answer back, by way of `caller`'s clients.
pub(super) fn is_given_back(provider: Dialect, caller: Inbound, what: &str, string: &str) -> bool {
    match (provider, caller) {
        // They pair calls and results by name and order. What the recorder wrote over a signature is no base64.
        (Dialect::Gemini | Dialect::Ollama, _) => what != "the id" && !string.contains("REDACTED"),
        // Clients of Gemini may leave ids out, as ours does; calls and results are then paired by name and order.
        (_, Inbound::Gemini) if what == "the id" => false,
        // The client that plays Anthropic's here spells ids as Anthropic's servers want them; others leave them alone.
        (_, Inbound::Anthropic) if what == "the id" => !string.contains([':', '.']),
        // Within one dialect nothing is sealed: whoever keeps `reasoning_details` brings them in his own bytes, and the client
        // here does not.
        (Dialect::OpenaiChat, Inbound::OpenaiChat) => what != "the signature" && what != "the sealed reasoning",
        _ => true,
    }
}

/// How a caller's dialect has to arrange an answer.
pub(super) fn parts_in(caller: Inbound, is_stream: bool, mut parts: Vec<Said>) -> Vec<Said> {
    for said in &mut parts {
        if let Said::Call(_, _, arguments, _) = said {
            // An object is due, and a call that the model was cut off in has none. The stream has its text.
            let broken = (caller == Inbound::Anthropic && !is_stream) || caller == Inbound::Gemini;
            if broken && arguments.is_string() {
                *arguments = json!({});
            }
        }
    }
    if caller == Inbound::OpenaiChat {
        // Reasoning, text and calls are three fields of one message, so their order among one another is not told.
        parts.sort_by_key(|said| match said {
            Said::Reasoning(..) | Said::Sealed(_) => 0,
            Said::Text(_) => 1,
            Said::Call(..) => 2,
        });
        parts = super::merged(parts);
    }
    parts
}
