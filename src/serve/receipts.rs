//! `GET /v1/generation?id=`: the receipt of one request, in the shape that OpenRouter and Vercel have for it, with all that
//! was kept of it beside theirs.

use super::{caller, shown};
use crate::error::{Error, Kind};
use crate::host::{Host, Incoming, Millis};
use crate::limit::calendar::written_instant;
use crate::price::{Dollars, Picodollars};
use crate::receipt::{self, Ids, Receipt};
use crate::serve::Gateway;
use crate::wire::json::{Verbatim, parse, to_vec, written};
use crate::wire::query::parameter;

written! {
    struct Generation<'a> {
        data: Data<'a>,
    }

    /// Sources: "Get a generation", OpenRouter API reference; "Look up a generation", Vercel AI Gateway documentation; read
    /// 2026-11. What is not known is `null`, a cost too.
    struct Data<'a> {
        id: &'a str,
        upstream_id: (),
        total_cost: Option<Dollars>,
        usage: Option<Dollars>,
        /// What the caller pays himself.
        upstream_inference_cost: Option<Dollars>,
        cache_discount: (),
        created_at: String,
        /// `provider/model`, or as it was asked for where nobody answered.
        model: &'a str,
        provider_name: Option<&'a str>,
        /// Whether it was answered by a key of the caller's own.
        is_byok: bool,
        streamed: bool,
        cancelled: bool,
        finish_reason: (),
        native_finish_reason: (),
        /// Until the first byte.
        latency: Option<Millis>,
        /// From then on.
        generation_time: Option<Millis>,
        moderation_latency: (),
        tokens_prompt: u64,
        tokens_completion: u64,
        native_tokens_prompt: u64,
        native_tokens_completion: u64,
        native_tokens_reasoning: u64,
        native_tokens_cached: u64,
        native_tokens_cache_creation: u64,
        billable_web_search_calls: u64,
        app_id: (),
        origin: &'static str,
        external_user: Option<&'a str>,
        api_type: &'static str,
        router: (),
        provider_responses: Vec<Response<'a>>,
        /// Ours.
        price_version: Option<&'a str>,
        receipt: Verbatim<'a>,
    }

    struct Response<'a> {
        provider_name: &'a str,
        /// Nothing where no answer came.
        status: Option<u64>,
        latency: Millis,
    }
}

pub(super) async fn generation<H: Host>(gateway: &Gateway, host: &H, request: &Incoming) -> Result<Vec<u8>, Error> {
    let caller = caller(gateway, request, host.now())?;
    let Some(id) = parameter(request.query.as_deref(), "id") else {
        return Err(Error::field("id", "missing; it is what an answer has as x-tollgate-id"));
    };
    let kept_ms = gateway.config.receipts_ms;
    let texts = match receipt::is_id(&id) && kept_ms > 0 {
        true => host.receipts(&caller.name, &Ids::one(&id), 1).await,
        false => Ok(Some(Vec::new())),
    };
    let texts = texts.map_err(|_| Error::new(Kind::Internal, "the store that holds the receipts cannot be reached"))?;
    let unknown = |why: &str| Error::new(Kind::UnknownPath, format!("there is no receipt of {}{why}", shown(&id)));
    let texts = texts.ok_or_else(|| unknown("; this gateway keeps none"))?;
    let text = texts.into_iter().next().ok_or_else(|| unknown(""))?;
    let receipt: Receipt = parse(&text).map_err(|_| Error::new(Kind::Internal, "the receipt cannot be read"))?;
    // A token is told what its own end user asked.
    let user = caller.token.as_ref().map(|token| token.scope.user.as_deref());
    let is_anothers = user.is_some_and(|user| user.is_none() || user != receipt.user.as_deref());
    if is_anothers || receipt.at.saturating_add(kept_ms) < host.now() {
        return Err(unknown(""));
    }
    Ok(to_vec(&Generation { data: data(&receipt, text) }))
}

fn data(receipt: &Receipt, text: String) -> Data<'_> {
    let own = receipt.own_cost_picodollars;
    let charged = receipt.cost_picodollars.map(|cost| cost.saturating_sub(own.unwrap_or(0)));
    let cost = charged.map(|cost| Dollars(Picodollars(cost)));
    let target = receipt.target.as_deref();
    Data {
        id: &receipt.id,
        upstream_id: (),
        total_cost: cost,
        usage: cost,
        upstream_inference_cost: own.map(|cost| Dollars(Picodollars(cost))),
        cache_discount: (),
        created_at: written_instant(receipt.at),
        model: target.unwrap_or(&receipt.model),
        provider_name: target.map(provider),
        is_byok: receipt.own_key,
        streamed: receipt.stream,
        cancelled: receipt.end == "hangup",
        finish_reason: (),
        native_finish_reason: (),
        latency: receipt.first_byte_ms,
        generation_time: receipt.first_byte_ms.map(|first| receipt.ms.saturating_sub(first)),
        moderation_latency: (),
        tokens_prompt: receipt.input_tokens,
        tokens_completion: receipt.output_tokens,
        native_tokens_prompt: receipt.input_tokens,
        native_tokens_completion: receipt.output_tokens,
        native_tokens_reasoning: receipt.reasoning_tokens,
        native_tokens_cached: receipt.cached_input_tokens,
        native_tokens_cache_creation: receipt.cache_write_tokens,
        billable_web_search_calls: receipt.searches.unwrap_or(0),
        app_id: (),
        origin: "",
        external_user: receipt.user.as_deref(),
        api_type: match receipt.path.as_str() {
            "/v1/embeddings" | "/v4/ai/embedding-model" => "embeddings",
            "/v1/rerank" | "/v2/rerank" | "/v4/ai/reranking-model" => "rerank",
            _ => "completions",
        },
        router: (),
        provider_responses: receipt
            .attempts
            .iter()
            .map(|attempt| Response {
                provider_name: provider(&attempt.target),
                status: attempt.outcome.parse().ok(),
                latency: attempt.ms,
            })
            .collect(),
        price_version: receipt.price_version.as_deref(),
        receipt: Verbatim::made(text),
    }
}

fn provider(target: &str) -> &str {
    target.split('/').next().unwrap_or_default()
}
