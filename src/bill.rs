//! What an upstream says of an answer's price beside its tokens: kinds of tokens with a price of their own, searches, and
//! sometimes the cost itself.
//!
//! No caller is told of these in another dialect, so they are no part of the canonical form. They are read by name, of
//! every dialect at once: no two call different things the same. The cost is not, because some count it in dollars and some in
//! something else: which field it is, and in which unit, is for a rule to say.

use memchr::memmem;

use crate::price::{Picodollars, Service};
use crate::usage::Cost;
use crate::wire::json::{Fields, Raw};

/// Each is 0 where the upstream does not tell it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Bill {
    /// The whole cost, by the upstream's own word, where its rule says which that is.
    pub cost: Option<Picodollars>,
    /// Tokens written to a cache that lasts an hour; part of all that were written.
    pub cache_write_1h: u64,
    /// Parts of the input and of the output.
    pub audio_input: u64,
    pub audio_output: u64,
    pub image_input: u64,
    pub image_output: u64,
    /// Searches of the web.
    pub searches: u64,
    pub service: Service,
}

/// What stands in every text that holds a bill, and what stands there besides, one or the other.
const USAGE: &str = "\"usage";
const SIGNS: &[&str] = &[
    "ephemeral_1h",
    "web_search_requests",
    "web_search_call",
    "num_search",
    "audio_tokens",
    "image_tokens",
    "TokensDetails",
    "webSearch",
    "\"flex\"",
    "\"priority\"",
];

impl Bill {
    /// Takes in what a whole answer or one frame of a stream says; what it says again replaces what it said.
    pub fn read(&mut self, text: &str, cost: Option<&Cost>) {
        // Most frames have no usage, or say that they have none.
        let usage = memmem::find_iter(text.as_bytes(), USAGE).last().and_then(|at| text.get(at..)?.strip_prefix(USAGE));
        if usage.is_none_or(|usage| usage.starts_with("\":null")) {
            return;
        }
        if cost.is_none() && !SIGNS.iter().any(|sign| memmem::find(text.as_bytes(), sign.as_bytes()).is_some()) {
            return;
        }
        let Ok(envelope) = Fields::read(text.as_bytes()) else { return };
        // Anthropic's streams begin with a message, those of Responses end with a response.
        let [message, response] = ["message", "response"].map(|name| inside(&envelope, name));
        for answer in [message, response, Some(envelope)].into_iter().flatten() {
            self.served(answer.raw("service_tier"));
            if let Some(usage) = inside(&answer, "usage") {
                self.cost = cost.and_then(|cost| cost.read(&usage)).or(self.cost);
                self.usage(&usage);
            }
            if let Some(usage) = inside(&answer, "usageMetadata") {
                self.metadata(&usage);
            }
            told(&mut self.searches, calls(&answer));
            told(&mut self.searches, queries(&answer));
        }
    }

    fn usage(&mut self, usage: &Fields<'_>) {
        self.served(usage.raw("service_tier"));
        for (object, name, known) in [
            ("cache_creation", "ephemeral_1h_input_tokens", &mut self.cache_write_1h),
            ("server_tool_use", "web_search_requests", &mut self.searches),
            ("prompt_tokens_details", "audio_tokens", &mut self.audio_input),
            ("prompt_tokens_details", "image_tokens", &mut self.image_input),
            ("completion_tokens_details", "audio_tokens", &mut self.audio_output),
            ("completion_tokens_details", "image_tokens", &mut self.image_output),
        ] {
            // Responses has two of them under names of its own.
            let other = object.replace("prompt", "input").replace("completion", "output");
            for object in [object, &other] {
                told(known, inside(usage, object).map_or(0, |details| count(&details, name)));
            }
        }
        told(&mut self.searches, count(usage, "num_search_queries"));
    }

    /// Most words for it mean the usual service.
    fn served(&mut self, tier: Option<Raw<'_>>) {
        match tier.map(Raw::get) {
            Some("\"flex\"") => self.service = Service::Flex,
            Some("\"priority\"") => self.service = Service::Priority,
            Some(tier) if tier.starts_with('"') => self.service = Service::Standard,
            _ => {}
        }
    }

    /// Gemini's, by kind.
    fn metadata(&mut self, usage: &Fields<'_>) {
        self.served(usage.raw("serviceTier"));
        for (details, audio, image) in [
            ("promptTokensDetails", &mut self.audio_input, &mut self.image_input),
            ("candidatesTokensDetails", &mut self.audio_output, &mut self.image_output),
        ] {
            for kind in objects(usage, details) {
                match word(&kind, "modality") {
                    "\"AUDIO\"" => told(audio, count(&kind, "tokenCount")),
                    "\"IMAGE\"" => told(image, count(&kind, "tokenCount")),
                    _ => {}
                }
            }
        }
    }
}

/// The searches among what a model of Responses did. It may also have opened what it found, for nothing.
fn calls(answer: &Fields<'_>) -> u64 {
    let items = objects(answer, "output");
    let searches = items.iter().filter(|item| {
        let action = inside(item, "action");
        word(item, "type") == "\"web_search_call\"" && action.is_none_or(|action| word(&action, "type") == "\"search\"")
    });
    searches.count() as u64
}

/// The searches that Gemini made for an answer.
fn queries(answer: &Fields<'_>) -> u64 {
    let mut queries = 0;
    for candidate in objects(answer, "candidates") {
        if let Some(grounding) = inside(&candidate, "groundingMetadata") {
            queries += list(&grounding, "webSearchQueries").len() as u64;
        }
    }
    queries
}

/// A frame of a stream often tells nothing of what an earlier one told.
fn told(known: &mut u64, count: u64) {
    if count > 0 {
        *known = count;
    }
}

// Not `objects!`: much is asked for by name here, and little of it is ever there. Whatever has another shape is not there
// either.

fn object(value: Raw<'_>) -> Option<Fields<'_>> {
    Fields::read(value.get().as_bytes()).ok()
}

fn inside<'a>(fields: &Fields<'a>, name: &str) -> Option<Fields<'a>> {
    fields.raw(name).and_then(object)
}

fn list<'a>(fields: &Fields<'a>, name: &str) -> Vec<Raw<'a>> {
    fields.get(name).ok().flatten().unwrap_or_default()
}

fn objects<'a>(fields: &Fields<'a>, name: &str) -> Vec<Fields<'a>> {
    list(fields, name).into_iter().filter_map(object).collect()
}

fn count(fields: &Fields<'_>, name: &str) -> u64 {
    fields.get(name).ok().flatten().unwrap_or_default()
}

/// As it is written, quotes included.
fn word<'a>(fields: &Fields<'a>, name: &str) -> &'a str {
    fields.raw(name).map_or("", Raw::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bill(texts: &[&str]) -> Bill {
        let mut bill = Bill::default();
        texts.iter().for_each(|text| bill.read(text, None));
        bill
    }

    #[test]
    fn a_cost_is_read_wherever_usage_stands_and_only_where_a_rule_says_which_field_it_is() {
        let cases = [
            (r#"{"usage":{"cost":0.00003015}}"#, Some(30_150_000)),
            (r#"{"response":{"usage":{"cost":1e-6}}}"#, Some(1_000_000)),
            (r#"{"message":{"usage":{"cost":0}}}"#, Some(0)),
            (r#"{"usage":{"prompt_tokens":3}}"#, None),
            (r#"{"message":"no cost","usage":null}"#, None),
            (r#"{"choices":[{"message":{"content":"{\"usage\":{\"cost\":1}}"}}]}"#, None),
            ("cost", None),
        ];
        let cost = Cost { at: "cost".to_owned(), decimals: 0, behind_at: None };
        for (text, expected) in cases {
            let mut bill = Bill::default();
            bill.read(text, Some(&cost));
            assert_eq!(bill.cost, expected.map(Picodollars), "{text}");
            bill = Bill::default();
            bill.read(text, None);
            assert_eq!(bill.cost, None, "{text}");
        }
    }

    #[test]
    fn how_an_answer_was_served_is_read_wherever_it_is_told() {
        let cases = [
            (r#"{"service_tier":"flex","usage":{}}"#, Service::Flex),
            (r#"{"response":{"service_tier":"priority","usage":{}}}"#, Service::Priority),
            (r#"{"usage":{"service_tier":"priority"}}"#, Service::Priority),
            (r#"{"usageMetadata":{"serviceTier":"flex"}}"#, Service::Flex),
            (r#"{"service_tier":"default","usage":{"note":"flex"}}"#, Service::Standard),
            (r#"{"service_tier":null,"usage":{"note":"flex"}}"#, Service::Standard),
        ];
        for (text, service) in cases {
            assert_eq!(bill(&[text]).service, service, "{text}");
        }
    }

    #[test]
    fn a_stream_tells_it_piece_by_piece() {
        let anthropic = [
            r#"{"type":"message_start","message":{"usage":{"input_tokens":1,"cache_creation":{"ephemeral_1h_input_tokens":7}}}}"#,
            r#"{"type":"content_block_delta","delta":{"text":"flex"}}"#,
            r#"{"type":"message_delta","usage":{"output_tokens":2,"server_tool_use":{"web_search_requests":2}}}"#,
        ];
        assert_eq!(bill(&anthropic), Bill { cache_write_1h: 7, searches: 2, ..Bill::default() });
        let gemini = [
            r#"{"usageMetadata":{"promptTokensDetails":[{"modality":"TEXT","tokenCount":1},{"modality":"AUDIO","tokenCount":5}]}}"#,
            r#"{"candidates":[{"groundingMetadata":{"webSearchQueries":["a","b"]}}],"usageMetadata":{"candidatesTokensDetails":[{"modality":"IMAGE","tokenCount":9}]}}"#,
        ];
        assert_eq!(bill(&gemini), Bill { audio_input: 5, image_output: 9, searches: 2, ..Bill::default() });
        let searched = r#"[{"type":"reasoning"},{"type":"web_search_call","action":{"type":"search"}},{"type":"web_search_call","action":{"type":"open_page"}},{"type":"web_search_call"}]"#;
        for whole in [
            format!(r#"{{"output":{searched},"usage":{{}}}}"#),
            format!(r#"{{"response":{{"output":{searched},"usage":{{}}}}}}"#),
        ] {
            assert_eq!(bill(&[&whole]), Bill { searches: 2, ..Bill::default() });
        }
        let chat = r#"{"usage":{"prompt_tokens_details":{"audio_tokens":4,"image_tokens":null},"completion_tokens_details":{"audio_tokens":3}}}"#;
        assert_eq!(bill(&[chat]), Bill { audio_input: 4, audio_output: 3, ..Bill::default() });
    }
}
