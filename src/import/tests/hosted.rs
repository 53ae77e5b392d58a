//! Requests to OpenRouter and to Vercel's AI Gateway, in the shapes of their documentation.

use super::Case;

pub(super) const CASES: &[Case] = &[
    Case {
        holds: "OpenRouter's models are fallbacks after any error",
        name: "request",
        model: None,
        file: r##"
{"model": "openai/gpt-4o", "models": ["anthropic/claude-sonnet-4.5"], "route": "fallback",
 "messages": [{"role": "user", "content": "hi"}], "temperature": 0.2, "plugins": [{"id": "web"}]}
"##,
        expected: r##"
[models."openai/gpt-4o"]
targets = ["openai/gpt-4o", "anthropic/claude-sonnet-4-5"]

[models."openai/gpt-4o".policy]
fall_on = ["rate-limit", "overloaded", "server-error", "timeout", "unreachable", "bad-answer", "context", "filtered", "unpaid", "key", "no-model", "invalid"]

# Not carried, or not quite:
# - route: a list of models is always a list of fallbacks
# - plugins: of each request; it is no configuration
"##,
    },
    Case {
        holds: "OpenRouter's providers are targets, by the names that they have for the model",
        name: "request",
        model: None,
        file: r##"
{"model": "openai/gpt-4o", "provider": {"order": ["azure", "openai"], "allow_fallbacks": false,
  "data_collection": "deny", "zdr": true, "require_parameters": true, "max_price": {"prompt": 1}}}
"##,
        expected: r##"
[models."openai/gpt-4o"]
strict = true
targets = ["azure/gpt-4o", "openai/gpt-4o"]

[models."openai/gpt-4o".policy]
fall_on = ["rate-limit", "overloaded", "server-error", "timeout", "unreachable", "bad-answer", "context", "filtered", "unpaid", "key", "no-model", "invalid"]
no_training = true
zero_retention = true

# Not carried, or not quite:
# - provider.max_price: a request may say it; a policy may not
"##,
    },
    Case {
        holds: "OpenRouter's endings are orders",
        name: "request",
        model: None,
        file: r##"
{"model": "openai/gpt-4o:floor", "models": ["google/gemini-2.5-pro"]}
"##,
        expected: r##"
[models."openai/gpt-4o:floor"]
targets = ["openai/gpt-4o", "google/gemini-2.5-pro"]

[models."openai/gpt-4o:floor".policy]
fall_on = ["rate-limit", "overloaded", "server-error", "timeout", "unreachable", "bad-answer", "context", "filtered", "unpaid", "key", "no-model", "invalid"]
order = "cheapest"
"##,
    },
    Case {
        holds: "a sort is an order, and those who are ignored are no targets",
        name: "request",
        model: None,
        file: r##"
{"models": ["openai/gpt-4o", "x-ai/grok-4", "deepseek/deepseek-chat"],
 "provider": {"sort": {"by": "latency", "partition": "none"}, "ignore": ["deepseek"], "quantizations": ["fp8"]}}
"##,
        expected: r##"
[models.request]
targets = ["openai/gpt-4o", "openrouter/x-ai/grok-4", "openrouter/deepseek/deepseek-chat"]

[models.request.policy]
fall_on = ["rate-limit", "overloaded", "server-error", "timeout", "unreachable", "bad-answer", "context", "filtered", "unpaid", "key", "no-model", "invalid"]
order = "first-byte"

# Not carried, or not quite:
# - provider.sort.partition: models are fallbacks of each other here
# - provider.quantizations: nothing is known of how models are quantized
# - x-ai/grok-4: by the catalogue nobody else has it who may be asked, so openrouter itself is, with a key for it; it knows nothing of wishes about providers
# - deepseek/deepseek-chat: by the catalogue nobody else has it who may be asked, so openrouter itself is, with a key for it; it knows nothing of wishes about providers
"##,
    },
    Case {
        holds: "a model that nobody else has is asked at OpenRouter",
        name: "request",
        model: None,
        file: r##"
{"model": "openrouter/auto", "provider": {"sort": "price"}}
"##,
        expected: r##"
[models."openrouter/auto"]
targets = ["openrouter/openrouter/auto"]

# Not carried, or not quite:
# - openrouter/auto: by the catalogue nobody else has it who may be asked, so openrouter itself is, with a key for it; it knows nothing of wishes about providers
"##,
    },
    Case {
        holds: "Vercel's options are a model",
        name: "request",
        model: None,
        file: r##"
{"model": "anthropic/claude-sonnet-4.5", "messages": [],
 "providerOptions": {"gateway": {"order": ["bedrock", "anthropic"], "models": ["openai/gpt-4o"],
   "byok": {"anthropic": [{"apiKey": "sk-very-secret"}]}, "providerTimeouts": {"byok": {"anthropic": 15000}},
   "zeroDataRetention": true, "tags": ["env:prod"], "caching": "auto"}}}
"##,
        expected: r##"
[models."anthropic/claude-sonnet-4.5"]
first_byte_ms = 15000
targets = ["amazon-bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic/claude-sonnet-4-5", "openai/gpt-4o"]

[models."anthropic/claude-sonnet-4.5".policy]
fall_on = ["rate-limit", "overloaded", "server-error", "timeout", "unreachable", "bad-answer", "context", "filtered", "unpaid", "key", "no-model", "invalid"]
zero_retention = true

# Not carried, or not quite:
# - providerOptions.gateway.byok: keys are not written; put each into its provider's secret
# - providerOptions.gateway.tags: of each request, which may go on saying it
# - providerOptions.gateway.caching: of each request, in its own dialect
"##,
    },
    Case {
        holds: "Vercel's options alone are a policy for all models",
        name: "request",
        model: None,
        file: r##"
{"gateway": {"only": ["anthropic", "vertex"], "sort": "ttft", "disallowPromptTraining": true, "inferenceRegion": "eu"}}
"##,
        expected: r##"
[policy]
no_training = true
only = ["anthropic", "google-vertex"]
order = "first-byte"
regions = ["eu"]
"##,
    },
    Case {
        holds: "Vercel's object alone is one too",
        name: "request",
        model: None,
        file: r##"
{"models": ["openai/gpt-4o", "google/gemini-2.5-pro"], "sort": "cost", "byok": {"openai": []}}
"##,
        expected: r##"
[models.request]
targets = ["openai/gpt-4o", "google/gemini-2.5-pro"]

[models.request.policy]
fall_on = ["rate-limit", "overloaded", "server-error", "timeout", "unreachable", "bad-answer", "context", "filtered", "unpaid", "key", "no-model", "invalid"]
order = "cheapest"

# Not carried, or not quite:
# - byok: keys are not written; put each into its provider's secret
"##,
    },
];
