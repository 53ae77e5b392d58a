//! Portkey's configs, in the shapes of its documentation.

use super::Case;

pub(super) const CASES: &[Case] = &[
    Case {
        holds: "one target is a model that is called after the file",
        name: "support bot",
        model: None,
        file: r##"
{"provider": "openai", "api_key": "sk-very-secret", "override_params": {"model": "gpt-4o", "temperature": 0.1}}
"##,
        expected: r##"
[models.support-bot]
targets = ["openai/gpt-4o"]

# Not carried, or not quite:
# - override_params.temperature: what a request says is passed on, and nothing is changed in it
# - api_key: keys are not written; put it into the secret OPENAI_API_KEY
"##,
    },
    Case {
        holds: "a fallback is after the statuses that it names",
        name: "chat",
        model: None,
        file: r##"
{"strategy": {"mode": "fallback", "on_status_codes": [429, 503, 408]},
 "targets": [
   {"virtual_key": "openai-prod-1a2b", "override_params": {"model": "gpt-4o"}},
   {"provider": "@anthropic-main", "override_params": {"model": "claude-sonnet-5"}}]}
"##,
        expected: r##"
[models.chat]
targets = ["openai/gpt-4o", "anthropic/claude-sonnet-5"]

[models.chat.policy]
fall_on = ["429", "503", "408", "timeout"]

[providers.anthropic]
secret = "ANTHROPIC_MAIN"

[providers.openai]
secret = "OPENAI_PROD_1A2B"

# Not carried, or not quite:
# - targets[0].provider: put the key that Portkey keeps as "openai-prod-1a2b" into the secret OPENAI_PROD_1A2B
# - targets[1].provider: put the key that Portkey keeps as "anthropic-main" into the secret ANTHROPIC_MAIN
"##,
    },
    Case {
        holds: "a fallback that names no status is after any error",
        name: "chat",
        model: None,
        file: r##"
{"strategy": {"mode": "fallback"}, "retry": {"attempts": 5, "on_status_codes": [429]},
 "targets": [
   {"provider": "anthropic", "override_params": {"model": "claude-sonnet-5"}, "retry": {"attempts": 5}},
   {"provider": "@openai-x/", "override_params": {"model": "@openai-x/gpt-4o"}, "retry": {"attempts": 5}}]}
"##,
        expected: r##"
[models.chat]
targets = ["anthropic/claude-sonnet-5", "openai/gpt-4o"]

[models.chat.policy]
attempts = 12
fall_on = ["rate-limit", "overloaded", "server-error", "timeout", "unreachable", "bad-answer", "context", "filtered", "unpaid", "key", "no-model", "invalid"]
retries = 5

[providers.openai]
secret = "OPENAI_X"

# Not carried, or not quite:
# - retry.on_status_codes: a target is asked again after what may pass by itself
# - targets[1].provider: put the key that Portkey keeps as "openai-x" into the secret OPENAI_X
"##,
    },
    Case {
        holds: "shares without a second choice are one attempt",
        name: "chat",
        model: None,
        file: r##"
{"strategy": {"mode": "loadbalance"},
 "targets": [
   {"provider": "openai", "weight": 0.7, "override_params": {"model": "gpt-4o"}},
   {"provider": "azure-openai", "resource_name": "my-eu", "deployment_id": "gpt-4o", "api_version": "2024-06-01", "weight": 0.3}]}
"##,
        expected: r##"
[models.chat]
targets = ["openai/gpt-4o", "azure/gpt-4o"]

[models.chat.policy]
attempts = 1
order = "weighted"

[models.chat.policy.weights]
"azure/gpt-4o" = 3
"openai/gpt-4o" = 7

[providers.azure.variables]
resource = "my-eu"

# Not carried, or not quite:
# - targets[1].api_version: Azure's API of version 1 is asked, which takes none
"##,
    },
    Case {
        holds: "shares of keys are keys of one provider",
        name: "chat",
        model: None,
        file: r##"
{"strategy": {"mode": "loadbalance"},
 "targets": [
   {"provider": "openai", "virtual_key": "openai-a", "weight": 2, "override_params": {"model": "gpt-4o"}},
   {"provider": "openai", "virtual_key": "openai-b", "weight": 1, "override_params": {"model": "gpt-4o"}}]}
"##,
        expected: r##"
[models.chat]
targets = ["openai/gpt-4o"]

[models.chat.policy]
attempts = 1

[[providers.openai.keys]]
secret = "OPENAI_A"
weight = 2

[[providers.openai.keys]]
secret = "OPENAI_B"
weight = 1

# Not carried, or not quite:
# - targets[0].provider: put the key that Portkey keeps as "openai-a" into the secret OPENAI_A
# - targets[1].provider: put the key that Portkey keeps as "openai-b" into the secret OPENAI_B
"##,
    },
    Case {
        holds: "shares before a fallback are weights, and what is behind has none",
        name: "chat",
        model: None,
        file: r##"
{"strategy": {"mode": "fallback"},
 "targets": [
   {"strategy": {"mode": "loadbalance"}, "targets": [
     {"provider": "openai", "weight": 3, "override_params": {"model": "gpt-4o"}},
     {"provider": "groq", "weight": 1, "override_params": {"model": "llama-3.3-70b-versatile"}}]},
   {"provider": "mistral-ai", "override_params": {"model": "mistral-large-latest"}}]}
"##,
        expected: r##"
[models.chat]
targets = ["openai/gpt-4o", "groq/llama-3.3-70b-versatile", "mistral/mistral-large-latest"]

[models.chat.policy]
fall_on = ["rate-limit", "overloaded", "server-error", "timeout", "unreachable", "bad-answer", "context", "filtered", "unpaid", "key", "no-model", "invalid"]
order = "weighted"

[models.chat.policy.weights]
"groq/llama-3.3-70b-versatile" = 1
"mistral/mistral-large-latest" = 0
"openai/gpt-4o" = 3

# Not carried, or not quite:
# - targets[0].strategy: when its first choice fails, the others are asked before what stands behind
"##,
    },
    Case {
        holds: "shares of strategies are a split among models",
        name: "chat",
        model: None,
        file: r##"
{"strategy": {"mode": "loadbalance"}, "request_timeout": 10000,
 "targets": [
   {"weight": 9, "strategy": {"mode": "fallback", "on_status_codes": [500]}, "targets": [
     {"provider": "openai", "override_params": {"model": "gpt-4o"}},
     {"provider": "anthropic", "override_params": {"model": "claude-sonnet-5"}}]},
   {"weight": 1, "provider": "google", "override_params": {"model": "gemini-2.5-pro"}}]}
"##,
        expected: r##"
[models.chat-1]
first_byte_ms = 10000
targets = ["openai/gpt-4o", "anthropic/claude-sonnet-5"]

[models.chat-1.policy]
fall_on = ["500"]

[models.chat-2]
first_byte_ms = 10000
targets = ["google/gemini-2.5-pro"]

[[rules]]

[rules.split]
chat-1 = 9
chat-2 = 1

[rules.when]
model = "chat"

# Not carried, or not quite:
# - request_timeout: until the first byte of an answer here; what has begun may take longer
"##,
    },
    Case {
        holds: "conditions are rules, and the default is the model itself",
        name: "plans",
        model: None,
        file: r##"
{"strategy": {"mode": "conditional",
   "conditions": [
     {"query": {"metadata.plan": {"$in": ["paid", "trial"]}}, "then": "large"},
     {"query": {"$and": [{"params.model": {"$regex": "^fast"}}, {"params.stream": {"$eq": true}}]}, "then": "quick"},
     {"query": {"params.temperature": {"$gt": 0.7}}, "then": "large"}],
   "default": "small"},
 "targets": [
   {"name": "large", "provider": "openai", "override_params": {"model": "gpt-5"}},
   {"name": "quick", "provider": "groq", "override_params": {"model": "llama-3.3-70b-versatile"}},
   {"name": "small", "provider": "openai", "override_params": {"model": "gpt-5-mini"}}]}
"##,
        expected: r##"
[models.plans]
targets = ["openai/gpt-5-mini"]

[models.plans-large]
targets = ["openai/gpt-5"]

[models.plans-quick]
targets = ["groq/llama-3.3-70b-versatile"]

[[rules]]
use = "plans-large"

[rules.when]
model = "plans"
tag = "plan:paid"

[[rules]]
use = "plans-large"

[rules.when]
model = "plans"
tag = "plan:trial"

[[rules]]
use = "plans-quick"

[rules.when]
model = "fast*"
needs = ["stream"]

# Not carried, or not quite:
# - strategy.conditions[0].query.metadata.plan: requests say it by the header x-tollgate-tags: plan:paid
# - strategy.conditions[0].query.metadata.plan: requests say it by the header x-tollgate-tags: plan:trial
# - strategy.conditions[2].query: no rule says $gt, so nothing leads to "large" by it
# - strategy.conditions: they are for requests that ask for "plans", or for what a condition on the model names
"##,
    },
    Case {
        holds: "where no condition holds and there is no default, nothing is asked",
        name: "plans",
        model: None,
        file: r##"
{"strategy": {"mode": "conditional",
   "conditions": [{"query": {"$or": [{"metadata.team": "a"}, {"metadata.team": {"$eq": "b"}}]}, "then": "x"}]},
 "targets": [{"name": "x", "provider": "openai", "override_params": {"model": "gpt-5"}}]}
"##,
        expected: r##"
[models.plans-x]
targets = ["openai/gpt-5"]

[[rules]]
use = "plans-x"

[rules.when]
model = "plans"
tag = "team:a"

[[rules]]
use = "plans-x"

[rules.when]
model = "plans"
tag = "team:b"

[[rules]]
deny = "no condition of the config holds"

[rules.when]
model = "plans"

# Not carried, or not quite:
# - strategy.conditions[0].query.metadata.team: requests say it by the header x-tollgate-tags: team:a
# - strategy.conditions[0].query.metadata.team: requests say it by the header x-tollgate-tags: team:b
# - strategy.conditions: they are for requests that ask for "plans", or for what a condition on the model names
"##,
    },
    Case {
        holds: "a config without a model is of the model that is asked",
        name: "any",
        model: Some("gpt-4o"),
        file: r##"
{"strategy": {"mode": "fallback"}, "cache": {"mode": "simple", "max_age": 60},
 "targets": [{"provider": "openai", "request_timeout": 5000}, {"provider": "azure-openai", "request_timeout": 9000}]}
"##,
        expected: r##"
[models.gpt-4o]
targets = ["openai/gpt-4o", "azure/gpt-4o"]

[models.gpt-4o.policy]
fall_on = ["rate-limit", "overloaded", "server-error", "timeout", "unreachable", "bad-answer", "context", "filtered", "unpaid", "key", "no-model", "invalid"]

# Not carried, or not quite:
# - cache: answers are not kept here
# - targets[0].request_timeout: until the first byte of an answer here; what has begun may take longer
# - targets[1].request_timeout: until the first byte of an answer here; what has begun may take longer
# - targets[0].request_timeout: one for all targets of a model is what there is
# - targets[1].request_timeout: one for all targets of a model is what there is
"##,
    },
    Case {
        holds: "hosts and accounts of one's own",
        name: "own",
        model: None,
        file: r##"
{"strategy": {"mode": "fallback"},
 "targets": [
   {"provider": "openai", "custom_host": "http://127.0.0.1:8000/v1", "override_params": {"model": "llama"}},
   {"provider": "bedrock", "aws_region": "us-east-1", "aws_access_key_id": "AKIA-very-secret", "override_params": {"model": "amazon.nova-pro-v1:0"}},
   {"provider": "vertex-ai", "vertex_project_id": "p", "vertex_region": "us-east5", "override_params": {"model": "gemini-2.5-pro"}},
   {"provider": "lepton", "override_params": {"model": "x"}}]}
"##,
        expected: r##"
[models.own]
targets = ["local/llama", "amazon-bedrock/amazon.nova-pro-v1:0", "google-vertex/gemini-2.5-pro"]

[models.own.policy]
fall_on = ["rate-limit", "overloaded", "server-error", "timeout", "unreachable", "bad-answer", "context", "filtered", "unpaid", "key", "no-model", "invalid"]

[providers.amazon-bedrock]
region = "us-east-1"

[providers.google-vertex.variables]
location = "us-east5"
project = "p"

[providers.local]
auth = "none"
base_url = "http://127.0.0.1:8000/v1"
dialect = "openai-chat"

# Not carried, or not quite:
# - targets[1].aws_access_key_id: keys are not written; put them into the secrets that AWS's own tools read
# - targets[3].provider: no provider "lepton" is known here; name its server in [providers]
"##,
    },
];
