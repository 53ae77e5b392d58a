//! What an upstream says of an answer's price beside its tokens: kinds of tokens with a price of their own, searches, and
//! sometimes the cost itself.
//!
//! No caller is told of these in another dialect, so they are no part of the canonical form. They are read by name, of
//! every dialect at once: no two call different things the same.

use std::borrow::Cow;

use memchr::memmem;

use crate::price::{Picodollars, Service};
use crate::wire::json::{Raw, Read, objects, parse};

/// Each is 0 where the upstream does not tell it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Bill {
    /// The whole cost, by the upstream's own word.
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
    "cost",
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
    pub fn read(&mut self, text: &str) {
        // Most frames have no usage, or say that they have none.
        let usage = memmem::rfind(text.as_bytes(), USAGE.as_bytes()).and_then(|at| text.get(at..)?.strip_prefix(USAGE));
        if usage.is_none_or(|usage| usage.starts_with("\":null")) {
            return;
        }
        if !SIGNS.iter().any(|sign| memmem::find(text.as_bytes(), sign.as_bytes()).is_some()) {
            return;
        }
        let Ok(envelope) = parse::<Envelope<'_>>(text) else { return };
        // Anthropic's streams begin with a message, those of Responses end with a response.
        let inner = [envelope.message, envelope.response].into_iter().flatten();
        let inner = inner.filter_map(|inner| parse::<Inner<'_>>(inner.get()).ok());
        let Envelope { usage, output, service_tier, .. } = envelope;
        for Inner { usage, output, service_tier } in inner.chain([Inner { usage, output, service_tier }]) {
            self.served(service_tier);
            if let Some(usage) = usage {
                self.usage(usage);
            }
            told(&mut self.searches, output.map_or(0, calls));
        }
        if let Some(Ok(usage)) = envelope.usage_metadata.map(|usage| parse::<Metadata<'_>>(usage.get())) {
            self.metadata(usage);
        }
        told(&mut self.searches, envelope.candidates.map_or(0, queries));
    }

    fn usage(&mut self, usage: Raw<'_>) {
        let Ok(usage) = parse::<Usage<'_>>(usage.get()) else { return };
        self.cost = usage.cost().or(self.cost);
        self.served(usage.service_tier);
        told(
            &mut self.cache_write_1h,
            inside(usage.cache_creation, |found: Creation<'_>| found.ephemeral_1h_input_tokens),
        );
        told(&mut self.searches, inside(usage.server_tool_use, |found: Searched<'_>| found.web_search_requests));
        told(&mut self.searches, count(usage.num_search_queries));
        for details in [usage.prompt_tokens_details, usage.input_tokens_details] {
            told(&mut self.audio_input, inside(details, |found: Details<'_>| found.audio_tokens));
            told(&mut self.image_input, inside(details, |found: Details<'_>| found.image_tokens));
        }
        for details in [usage.completion_tokens_details, usage.output_tokens_details] {
            told(&mut self.audio_output, inside(details, |found: Details<'_>| found.audio_tokens));
            told(&mut self.image_output, inside(details, |found: Details<'_>| found.image_tokens));
        }
    }

    /// Most words for it mean the usual service.
    fn served(&mut self, tier: Option<Raw<'_>>) {
        match tier.and_then(|tier| parse::<Cow<'_, str>>(tier.get()).ok()).as_deref() {
            Some("flex") => self.service = Service::Flex,
            Some("priority") => self.service = Service::Priority,
            Some(_) => self.service = Service::Standard,
            None => {}
        }
    }

    /// Gemini's, by kind.
    fn metadata(&mut self, usage: Metadata<'_>) {
        self.served(usage.service_tier);
        for (details, audio, image) in [
            (usage.prompt, &mut self.audio_input, &mut self.image_input),
            (usage.candidates, &mut self.audio_output, &mut self.image_output),
        ] {
            let kinds = details.and_then(|details| parse::<Vec<Kind>>(details.get()).ok()).unwrap_or_default();
            for Kind { modality, tokens } in kinds {
                match modality.as_str() {
                    "AUDIO" => told(audio, tokens),
                    "IMAGE" => told(image, tokens),
                    _ => {}
                }
            }
        }
    }
}

/// The searches among what a model of Responses did. It may also have opened what it found, for nothing.
fn calls(output: Raw<'_>) -> u64 {
    let items: Vec<Item<'_>> = parse(output.get()).unwrap_or_default();
    let searches = items.iter().filter(|item| {
        let action = item.action.and_then(|action| parse::<Item<'_>>(action.get()).ok());
        item.kind == "web_search_call" && action.is_none_or(|action| action.kind == "search")
    });
    searches.count() as u64
}

/// The searches that Gemini made for an answer.
fn queries(candidates: Raw<'_>) -> u64 {
    let candidates: Vec<Candidate<'_>> = parse(candidates.get()).unwrap_or_default();
    let queries = candidates.iter().filter_map(|candidate| {
        let grounding: Grounding<'_> = parse(candidate.grounding?.get()).ok()?;
        parse::<Vec<Raw<'_>>>(grounding.queries?.get()).ok()
    });
    queries.map(|queries| queries.len() as u64).sum()
}

/// A frame of a stream often tells nothing of what an earlier one told.
fn told(known: &mut u64, count: u64) {
    if count > 0 {
        *known = count;
    }
}

fn count(value: Option<Raw<'_>>) -> u64 {
    value.and_then(|value| parse(value.get()).ok()).unwrap_or_default()
}

/// A count inside an object that may be anything.
fn inside<'a, T: Read<'a>>(object: Option<Raw<'a>>, field: impl Fn(T) -> Option<Raw<'a>>) -> u64 {
    count(object.and_then(|object| parse::<T>(object.get()).ok()).and_then(field))
}

objects! {
    struct Envelope<'a> {
        usage: Option<Raw<'a>>,
        message: Option<Raw<'a>>,
        response: Option<Raw<'a>>,
        output: Option<Raw<'a>>,
        service_tier: Option<Raw<'a>>,
        usage_metadata as "usageMetadata": Option<Raw<'a>>,
        candidates: Option<Raw<'a>>,
    }

    struct Inner<'a> {
        usage: Option<Raw<'a>>,
        output: Option<Raw<'a>>,
        service_tier: Option<Raw<'a>>,
    }

    struct Item<'a> {
        kind as "type": Cow<'a, str> = Cow::default(),
        action: Option<Raw<'a>>,
    }

    struct Usage<'a> {
        cost: Option<Raw<'a>>,
        cost_in_usd_ticks: Option<Raw<'a>>,
        estimated_cost: Option<Raw<'a>>,
        is_byok: Option<Raw<'a>>,
        service_tier: Option<Raw<'a>>,
        cost_details: Option<Raw<'a>>,
        cache_creation: Option<Raw<'a>>,
        server_tool_use: Option<Raw<'a>>,
        num_search_queries: Option<Raw<'a>>,
        prompt_tokens_details: Option<Raw<'a>>,
        input_tokens_details: Option<Raw<'a>>,
        completion_tokens_details: Option<Raw<'a>>,
        output_tokens_details: Option<Raw<'a>>,
    }

    struct Creation<'a> {
        ephemeral_1h_input_tokens: Option<Raw<'a>>,
    }

    struct Searched<'a> {
        web_search_requests: Option<Raw<'a>>,
    }

    struct Details<'a> {
        audio_tokens: Option<Raw<'a>>,
        image_tokens: Option<Raw<'a>>,
    }

    struct Costs<'a> {
        total_cost: Option<Raw<'a>>,
        upstream_inference_cost: Option<Raw<'a>>,
    }

    struct Metadata<'a> {
        prompt as "promptTokensDetails": Option<Raw<'a>>,
        candidates as "candidatesTokensDetails": Option<Raw<'a>>,
        service_tier as "serviceTier": Option<Raw<'a>>,
    }

    struct Kind {
        modality: String,
        tokens as "tokenCount": u64 = 0,
    }

    struct Candidate<'a> {
        grounding as "groundingMetadata": Option<Raw<'a>>,
    }

    struct Grounding<'a> {
        queries as "webSearchQueries": Option<Raw<'a>>,
    }
}

impl Usage<'_> {
    /// Sources: "Usage accounting", OpenRouter documentation; "Chat completions", Perplexity API reference; "Cost
    /// tracking", xAI documentation; recorded answers of Vercel's gateway and of Hugging Face's router; read 2026-11.
    fn cost(&self) -> Option<Picodollars> {
        let dollars = |value: Option<Raw<'_>>| Picodollars::nearest(value?.get());
        let within = |object: Option<Raw<'_>>, field: fn(Costs<'_>) -> Option<Picodollars>| {
            parse::<Costs<'_>>(object?.get()).ok().and_then(field)
        };
        if let Some(cost) = dollars(self.cost) {
            // With a key of one's own the provider behind sends a bill as well.
            let is_own = self.is_byok.is_some_and(|value| value.get() == "true");
            let behind = within(self.cost_details, |costs| Picodollars::nearest(costs.upstream_inference_cost?.get()));
            let behind = behind.filter(|_| is_own).unwrap_or_default();
            return Some(Picodollars(cost.0.saturating_add(behind.0)));
        }
        // A tick is 10⁻¹⁰ dollars. Where others serve xAI's models it is always 0.
        let ticks = count(self.cost_in_usd_ticks);
        let ticks = (ticks > 0).then(|| Picodollars(ticks.saturating_mul(100)));
        let total = within(self.cost, |costs| Picodollars::nearest(costs.total_cost?.get()));
        total.or(ticks).or_else(|| dollars(self.estimated_cost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bill(texts: &[&str]) -> Bill {
        let mut bill = Bill::default();
        texts.iter().for_each(|text| bill.read(text));
        bill
    }

    #[test]
    fn a_cost_is_read_in_whatever_unit_it_is_told() {
        let cases = [
            (r#"{"usage":{"cost":0.00003015}}"#, Some(30_150_000)),
            (r#"{"usage":{"cost":0}}"#, Some(0)),
            (
                r#"{"usage":{"cost":0.001,"is_byok":true,"cost_details":{"upstream_inference_cost":0.02}}}"#,
                Some(21_000_000_000),
            ),
            (
                r#"{"usage":{"cost":0.02,"is_byok":false,"cost_details":{"upstream_inference_cost":0.02}}}"#,
                Some(20_000_000_000),
            ),
            (r#"{"usage":{"cost":{"input_tokens_cost":1,"total_cost":0.00512}}}"#, Some(5_120_000_000)),
            (r#"{"usage":{"cost_in_usd_ticks":1641500}}"#, Some(164_150_000)),
            (r#"{"usage":{"cost_in_usd_ticks":0}}"#, None),
            (r#"{"usage":{"estimated_cost":3.7999999999999996e-07}}"#, Some(380_000)),
            (r#"{"response":{"usage":{"cost":1e-6}}}"#, Some(1_000_000)),
            (r#"{"usage":{"cost":-1}}"#, None),
            (r#"{"usage":{"cost":"free"}}"#, None),
            (r#"{"usage":{"prompt_tokens":3}}"#, None),
            (r#"{"message":"no cost","usage":null}"#, None),
            (r#"{"choices":[{"message":{"content":"{\"usage\":{\"cost\":1}}"}}]}"#, None),
            ("cost", None),
        ];
        for (text, expected) in cases {
            assert_eq!(bill(&[text]).cost, expected.map(Picodollars), "{text}");
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
            r#"{"type":"content_block_delta","delta":{"text":"cost"}}"#,
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
