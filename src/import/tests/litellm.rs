//! LiteLLM's YAML, in the shapes of its documentation.

use super::Case;

pub(super) const CASES: &[Case] = &[
    Case {
        holds: "a model with its known key is a target and no more",
        name: "config",
        model: None,
        file: r##"
model_list:
  - model_name: fast
    litellm_params: {model: groq/llama-3.3-70b-versatile, api_key: os.environ/GROQ_API_KEY}
"##,
        expected: r##"
[models.fast]
targets = ["groq/llama-3.3-70b-versatile"]
"##,
    },
    Case {
        holds: "deployments of a name share the work by their limits, each at its own account",
        name: "config",
        model: None,
        file: r##"
model_list:
  - model_name: gpt-4o
    litellm_params: &eu
      model: azure/gpt-4o-eu
      api_base: https://my-eu.openai.azure.com/
      api_key: os.environ/AZURE_API_KEY_EU
      api_version: "2024-08-01-preview"
      rpm: 900
  - model_name: gpt-4o
    litellm_params:
      <<: *eu
      model: azure/gpt-4o-us
      api_base: https://my-us.openai.azure.com
      api_key: os.environ/AZURE_API_KEY_US
      rpm: 100
"##,
        expected: r##"
[models.gpt-4o]
targets = ["azure/gpt-4o-eu", "azure-2/gpt-4o-us"]

[models.gpt-4o.policy]
order = "weighted"

[models.gpt-4o.policy.weights]
"azure-2/gpt-4o-us" = 1
"azure/gpt-4o-eu" = 9

[providers.azure]
secret = "AZURE_API_KEY_EU"

[providers.azure.variables]
resource = "my-eu"

[providers.azure-2]
base_url = "https://{resource}.openai.azure.com/openai/v1"
dialect = "openai-chat"
dialects = ["openai-responses"]
query = "api-version=v1"
secret = "AZURE_API_KEY_US"

[providers.azure-2.auth]
header = "api-key"

[providers.azure-2.variables]
resource = "my-us"

# Not carried, or not quite:
# - model_list[0].litellm_params.api_version: Azure's API of version 1 is asked, which takes none
# - model_list[1].litellm_params.api_version: Azure's API of version 1 is asked, which takes none
# - model_list[0].litellm_params.rpm: a share of the work here, and no limit
# - model_list[1].litellm_params.rpm: a share of the work here, and no limit
"##,
    },
    Case {
        holds: "keys that share all of the work are keys of one provider",
        name: "config",
        model: None,
        file: r##"
model_list:
  - model_name: gpt-5
    litellm_params: {model: openai/gpt-5, api_key: os.environ/OPENAI_KEY_A, weight: 3}
  - model_name: gpt-5
    litellm_params: {model: openai/gpt-5, api_key: os.environ/OPENAI_KEY_B, weight: 1}
  - model_name: mini
    litellm_params: {model: openai/gpt-5-mini, api_key: os.environ/OPENAI_KEY_A, weight: 3}
  - model_name: mini
    litellm_params: {model: openai/gpt-5-mini, api_key: os.environ/OPENAI_KEY_B, weight: 1}
"##,
        expected: r##"
[models.gpt-5]
targets = ["openai/gpt-5"]

[models.mini]
targets = ["openai/gpt-5-mini"]

[[providers.openai.keys]]
secret = "OPENAI_KEY_A"
weight = 3

[[providers.openai.keys]]
secret = "OPENAI_KEY_B"
weight = 1
"##,
    },
    Case {
        holds: "a number in quotes is one, one that cannot be read is left out, and a limit of the only one is no share",
        name: "config",
        model: None,
        file: r##"
model_list:
  - model_name: a
    litellm_params: {model: openai/gpt-5, rpm: "60", num_retries: "2"}
  - model_name: b
    litellm_params: {model: openai/gpt-5, rpm: os.environ/RPM, timeout: soon}
  - model_name: c
    litellm_params: {model: openai/gpt-5, weight: "3"}
  - model_name: c
    litellm_params: {model: groq/llama-4, weight: 1}
  - model_name: d
    litellm_params: {model: openai/gpt-5, rpm: 5}
  - model_name: d
    litellm_params: {model: groq/llama-4, rpm: 5}
  - model_name: e
    litellm_params: {model: openai/gpt-5, order: 1}
  - model_name: e
    litellm_params: {model: groq/llama-4, order: 2, weight: 1, input_cost_per_token: os.environ/COST}
  - model_name: e
    litellm_params: {model: groq/llama-5, order: 2, weight: 2}
"##,
        expected: r##"
[models.a]
targets = ["openai/gpt-5"]

[models.a.policy]
attempts = 3
retries = 2

[models.b]
targets = ["openai/gpt-5"]

[models.c]
targets = ["openai/gpt-5", "groq/llama-4"]

[models.c.policy]
order = "weighted"

[models.c.policy.weights]
"groq/llama-4" = 1
"openai/gpt-5" = 3

[models.d]
targets = ["openai/gpt-5", "groq/llama-4"]

[models.d.policy]
order = "weighted"

[models.e]
targets = ["openai/gpt-5", "groq/llama-4", "groq/llama-5"]

# Not carried, or not quite:
# - model_list[1].litellm_params.rpm: stands in the environment; write a number, 0 or more
# - model_list[1].litellm_params.timeout: cannot be read; write a number, 0 or more
# - model_list[7].litellm_params.input_cost_per_token: cannot be read; write dollars per token, like 0.0000025
# - model_list[0].litellm_params.rpm: targets have no limits here
# - model_list[4].litellm_params.rpm: targets have no limits here
# - model_list[5].litellm_params.rpm: targets have no limits here
# - model_list[7].litellm_params.weight: behind others, targets are asked in the order of the file
# - model_list[8].litellm_params.weight: behind others, targets are asked in the order of the file
"##,
    },
    Case {
        holds: "a strategy that asks for no weights is kept where only some deployments have limits",
        name: "config",
        model: None,
        file: r##"
model_list:
  - model_name: a
    litellm_params: {model: openai/gpt-5, rpm: 900}
  - model_name: a
    litellm_params: {model: groq/llama-4}
router_settings: {routing_strategy: least-busy}
"##,
        expected: r##"
[models.a]
targets = ["openai/gpt-5", "groq/llama-4"]

[models.a.policy]
order = "least-busy"

# Not carried, or not quite:
# - model_list[0].litellm_params.rpm: targets have no limits here
"##,
    },
    Case {
        holds: "whoever names no share gets none where the first names one",
        name: "config",
        model: None,
        file: r##"
model_list:
  - model_name: a
    litellm_params: {model: openai/gpt-5, rpm: 900, tpm: 7}
  - model_name: a
    litellm_params: {model: groq/llama-4, weight: 5}
  - model_name: a
    litellm_params: {model: anthropic/claude-opus-4-5, rpm: 100}
  - model_name: b
    litellm_params: {model: openai/gpt-5, weight: 0, rpm: 3}
  - model_name: b
    litellm_params: {model: groq/llama-4, weight: 2}
  - model_name: c
    litellm_params: {model: openai/gpt-5, weight: 0, rpm: 3}
  - model_name: c
    litellm_params: {model: groq/llama-4, rpm: 1}
"##,
        expected: r##"
[models.a]
targets = ["openai/gpt-5", "anthropic/claude-opus-4-5", "groq/llama-4"]

[models.a.policy]
order = "weighted"

[models.a.policy.weights]
"anthropic/claude-opus-4-5" = 1
"groq/llama-4" = 0
"openai/gpt-5" = 9

[models.b]
targets = ["groq/llama-4", "openai/gpt-5"]

[models.c]
targets = ["openai/gpt-5", "groq/llama-4"]

[models.c.policy]
order = "weighted"

[models.c.policy.weights]
"groq/llama-4" = 1
"openai/gpt-5" = 3

# Not carried, or not quite:
# - model_list[0].litellm_params.rpm: a share of the work here, and no limit
# - model_list[0].litellm_params.tpm: targets have no limits here
# - model_list[2].litellm_params.rpm: a share of the work here, and no limit
# - model_list[3].litellm_params.rpm: targets have no limits here
# - model_list[5].litellm_params.rpm: a share of the work here, and no limit
# - model_list[6].litellm_params.rpm: a share of the work here, and no limit
"##,
    },
    Case {
        holds: "all get the same share where the first names none",
        name: "config",
        model: None,
        file: r##"
model_list:
  - model_name: a
    litellm_params: {model: openai/gpt-5}
  - model_name: a
    litellm_params: {model: groq/llama-4, rpm: 900}
  - model_name: a
    litellm_params: {model: anthropic/claude-opus-4-5, weight: 3}
"##,
        expected: r##"
[models.a]
targets = ["openai/gpt-5", "groq/llama-4", "anthropic/claude-opus-4-5"]

[models.a.policy]
order = "weighted"

# Not carried, or not quite:
# - model_list[1].litellm_params.rpm: the first of these deployments says nothing of its own share, so all get the same; here they do also while that one rests
# - model_list[2].litellm_params.weight: the first of these deployments says nothing of its own share, so all get the same; here they do also while that one rests
"##,
    },
    Case {
        holds: "a key that has work of its own is a provider of its own, with the same prices",
        name: "config",
        model: None,
        file: r##"
model_list:
  - model_name: gpt-4o
    litellm_params: {model: gpt-4o}
  - model_name: research
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/RESEARCH_KEY}
"##,
        expected: r##"
[models.gpt-4o]
targets = ["openai/gpt-4o"]

[models.research]
targets = ["openai-2/gpt-4o"]

[prices."openai-2/gpt-4o"]
cached_input = "1.25"
context_tokens = 128000
input = "2.5"
output = "10"
output_tokens = 16384

[providers.openai-2]
base_url = "https://api.openai.com/v1"
dialect = "openai-chat"
dialects = ["openai-responses"]
secret = "RESEARCH_KEY"
"##,
    },
    Case {
        holds: "a higher order is a fallback",
        name: "config",
        model: None,
        file: r##"
model_list:
  - model_name: smart
    litellm_params: {model: openai/gpt-5, order: 2}
  - model_name: smart
    litellm_params: {model: anthropic/claude-sonnet-5, order: 1}
  - model_name: smart
    litellm_params: {model: azure/gpt-5, order: 1}
"##,
        expected: r##"
[models.smart]
targets = ["anthropic/claude-sonnet-5", "azure/gpt-5", "openai/gpt-5"]

[models.smart.policy]
order = "weighted"

[models.smart.policy.weights]
"anthropic/claude-sonnet-5" = 1
"azure/gpt-5" = 1
"openai/gpt-5" = 0
"##,
    },
    Case {
        holds: "fallbacks stand behind with those of their own, after any error",
        name: "config",
        model: None,
        file: r##"
model_list:
  - {model_name: a, litellm_params: {model: openai/gpt-5}}
  - {model_name: b, litellm_params: {model: anthropic/claude-sonnet-5}}
  - {model_name: c, litellm_params: {model: mistral/mistral-large-latest}}
router_settings:
  num_retries: 2
  fallbacks:
    - a: [b]
    - b: [c, a]
"##,
        expected: r##"
[models.a]
targets = ["openai/gpt-5", "anthropic/claude-sonnet-5", "mistral/mistral-large-latest"]

[models.a.policy]
attempts = 9
fall_on = ["rate-limit", "overloaded", "server-error", "timeout", "unreachable", "bad-answer", "context", "filtered", "unpaid", "key", "no-model", "invalid"]

[models.b]
targets = ["anthropic/claude-sonnet-5", "mistral/mistral-large-latest", "openai/gpt-5"]

[models.b.policy]
attempts = 9
fall_on = ["rate-limit", "overloaded", "server-error", "timeout", "unreachable", "bad-answer", "context", "filtered", "unpaid", "key", "no-model", "invalid"]

[models.c]
targets = ["mistral/mistral-large-latest"]

[policy]
retries = 2
"##,
    },
    Case {
        holds: "a fallback that is a group is asked as it is written",
        name: "config",
        model: None,
        file: r##"
model_list:
  - {model_name: a, litellm_params: {model: openai/gpt-5}}
  - {model_name: b, litellm_params: {model: anthropic/claude-sonnet-5}}
  - {model_name: b, litellm_params: {model: bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0}}
litellm_settings:
  fallbacks: [{a: [b]}]
"##,
        expected: r##"
[models.a]
targets = ["openai/gpt-5", "anthropic/claude-sonnet-5", "amazon-bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0"]

[models.a.policy]
fall_on = ["rate-limit", "overloaded", "server-error", "timeout", "unreachable", "bad-answer", "context", "filtered", "unpaid", "key", "no-model", "invalid"]

[models.b]
targets = ["anthropic/claude-sonnet-5", "amazon-bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0"]

[models.b.policy]
order = "weighted"

# Not carried, or not quite:
# - model_list[1]: as fallbacks of "a", the deployments of "b" are asked in the order of the file
"##,
    },
    Case {
        holds: "a fallback for long prompts alone is after those alone",
        name: "config",
        model: None,
        file: r##"
model_list:
  - {model_name: small, litellm_params: {model: openai/gpt-4o}}
  - {model_name: large, litellm_params: {model: gemini/gemini-2.5-pro, api_key: os.environ/GEMINI_API_KEY}}
  - {model_name: mild, litellm_params: {model: xai/grok-4}}
litellm_settings:
  context_window_fallbacks: [{small: [large]}]
  content_policy_fallbacks: [{large: [mild]}]
"##,
        expected: r##"
[models.large]
targets = ["google/gemini-2.5-pro", "xai/grok-4"]

[models.large.policy]
fall_on = ["filtered"]

[models.mild]
targets = ["xai/grok-4"]

[models.small]
targets = ["openai/gpt-4o", "google/gemini-2.5-pro"]

[models.small.policy]
fall_on = ["context"]
"##,
    },
    Case {
        holds: "a fallback for long prompts behind a group is told not to be for them alone",
        name: "config",
        model: None,
        file: r##"
model_list:
  - {model_name: small, litellm_params: {model: openai/gpt-4o}}
  - {model_name: small, litellm_params: {model: azure/gpt-4o, api_base: os.environ/AZURE_API_BASE}}
  - {model_name: large, litellm_params: {model: gemini/gemini-2.5-pro}}
router_settings:
  context_window_fallbacks: [{small: [large]}]
"##,
        expected: r##"
[models.large]
targets = ["google/gemini-2.5-pro"]

[models.small]
targets = ["openai/gpt-4o", "azure/gpt-4o", "google/gemini-2.5-pro"]

[models.small.policy]
order = "weighted"

[models.small.policy.weights]
"azure/gpt-4o" = 1
"google/gemini-2.5-pro" = 0
"openai/gpt-4o" = 1

# Not carried, or not quite:
# - router_settings.context_window_fallbacks[0].small: stands behind the others, and is asked after their other failures too
# - model_list[1].litellm_params.api_base: set AZURE_BASE_URL to what AZURE_API_BASE holds, with /openai/v1 behind its host
"##,
    },
    Case {
        holds: "models without fallbacks have the default ones",
        name: "config",
        model: None,
        file: r##"
model_list:
  - {model_name: a, litellm_params: {model: openai/gpt-5}}
  - {model_name: b, litellm_params: {model: deepseek/deepseek-chat}}
  - {model_name: safe, litellm_params: {model: together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo}}
litellm_settings:
  default_fallbacks: [safe]
  fallbacks: [{b: [a]}]
"##,
        expected: r##"
[models.a]
targets = ["openai/gpt-5", "togetherai/meta-llama/Llama-3.3-70B-Instruct-Turbo"]

[models.a.policy]
fall_on = ["rate-limit", "overloaded", "server-error", "timeout", "unreachable", "bad-answer", "context", "filtered", "unpaid", "key", "no-model", "invalid"]

[models.b]
targets = ["deepseek/deepseek-chat", "openai/gpt-5", "togetherai/meta-llama/Llama-3.3-70B-Instruct-Turbo"]

[models.b.policy]
fall_on = ["rate-limit", "overloaded", "server-error", "timeout", "unreachable", "bad-answer", "context", "filtered", "unpaid", "key", "no-model", "invalid"]

[models.safe]
targets = ["togetherai/meta-llama/Llama-3.3-70B-Instruct-Turbo"]
"##,
    },
    Case {
        holds: "strategies are orders",
        name: "config",
        model: None,
        file: r##"
model_list:
  - {model_name: a, litellm_params: {model: openai/gpt-5}}
  - {model_name: a, litellm_params: {model: azure/gpt-5}}
router_settings:
  routing_strategy: latency-based-routing
"##,
        expected: r##"
[models.a]
targets = ["openai/gpt-5", "azure/gpt-5"]

[models.a.policy]
order = "first-byte"
"##,
    },
    Case {
        holds: "a strategy over fallbacks gives way to them",
        name: "config",
        model: None,
        file: r##"
model_list:
  - {model_name: a, litellm_params: {model: openai/gpt-5}}
  - {model_name: a, litellm_params: {model: azure/gpt-5}}
  - {model_name: b, litellm_params: {model: groq/llama-3.3-70b-versatile}}
router_settings:
  routing_strategy: least-busy
  fallbacks: [{a: [b]}]
"##,
        expected: r##"
[models.a]
targets = ["openai/gpt-5", "azure/gpt-5", "groq/llama-3.3-70b-versatile"]

[models.a.policy]
fall_on = ["rate-limit", "overloaded", "server-error", "timeout", "unreachable", "bad-answer", "context", "filtered", "unpaid", "key", "no-model", "invalid"]
order = "weighted"

[models.a.policy.weights]
"azure/gpt-5" = 1
"groq/llama-3.3-70b-versatile" = 0
"openai/gpt-5" = 1

[models.b]
targets = ["groq/llama-3.3-70b-versatile"]

# Not carried, or not quite:
# - models.a.policy.order: "least-busy" would put the fallbacks in order too, so those before them are taken by chance
"##,
    },
    Case {
        holds: "a strategy that is not known is told",
        name: "config",
        model: None,
        file: r##"
model_list:
  - {model_name: a, litellm_params: {model: openai/gpt-5, tpm: 1000}}
  - {model_name: a, litellm_params: {model: azure/gpt-5, tpm: 3000}}
router_settings:
  routing_strategy: usage-based-routing-v2
"##,
        expected: r##"
[models.a]
targets = ["openai/gpt-5", "azure/gpt-5"]

[models.a.policy]
order = "weighted"

[models.a.policy.weights]
"azure/gpt-5" = 3
"openai/gpt-5" = 1

# Not carried, or not quite:
# - router_settings.routing_strategy: "usage-based-routing-v2" is not known here; targets are taken by chance, by their weights
# - model_list[0].litellm_params.tpm: a share of the work here, and no limit
# - model_list[1].litellm_params.tpm: a share of the work here, and no limit
"##,
    },
    Case {
        holds: "other names are models, or rules where no list shows them",
        name: "config",
        model: None,
        file: r##"
model_list:
  - {model_name: gpt-4o, litellm_params: {model: openai/gpt-4o}}
router_settings:
  model_group_alias:
    gpt-4: gpt-4o
    gpt-3.5-turbo: {model: gpt-4o, hidden: true}
    lost: nowhere
"##,
        expected: r##"
[models.gpt-4]
targets = ["openai/gpt-4o"]

[models.gpt-4o]
targets = ["openai/gpt-4o"]

[[rules]]
use = "gpt-4o"

[rules.when]
model = "gpt-3.5-turbo"

# Not carried, or not quite:
# - router_settings.model_group_alias.lost: no model is called "nowhere"
"##,
    },
    Case {
        holds: "names with a star need no model",
        name: "config",
        model: None,
        file: r##"
model_list:
  - {model_name: "openai/*", litellm_params: {model: "openai/*", api_key: os.environ/MY_OPENAI_KEY}}
  - {model_name: "gemini/*", litellm_params: {model: "gemini/*"}}
  - {model_name: "claude-*", litellm_params: {model: "anthropic/claude-*"}}
  - {model_name: "my-*", litellm_params: {model: "openai/gpt-*"}}
  - {model_name: "*", litellm_params: {model: "*"}}
"##,
        expected: r##"
[providers.openai]
secret = "MY_OPENAI_KEY"

# Not carried, or not quite:
# - model_list[3].model_name: a name with a star stands for all of a provider's models; what "my-*" makes of them does not
# - model_list[1].model_name: here "gemini/*" is asked for as "google/*"
"##,
    },
    Case {
        holds: "servers are providers that are called after their hosts",
        name: "config",
        model: None,
        file: r##"
model_list:
  - model_name: llama
    litellm_params: {model: openai/llama-3, api_base: "http://vllm.internal:8000/v1", api_key: none}
  - model_name: qwen
    litellm_params: {model: openai/qwen3, api_base: "https://gpu.example.com/v1/", api_key: sk-very-secret}
  - model_name: phi
    litellm_params: {model: custom_openai/phi, api_base: os.environ/PHI_API_BASE, api_key: os.environ/PHI_KEY}
  - model_name: gemma
    litellm_params: {model: ollama_chat/gemma3, api_base: "http://localhost:11434"}
  - model_name: mixtral
    litellm_params: {model: hosted_vllm/mixtral, api_base: "http://10.0.0.7:8000/v1"}
"##,
        expected: r##"
[models.gemma]
targets = ["ollama/gemma3"]

[models.llama]
targets = ["vllm-internal/llama-3"]

[models.mixtral]
targets = ["vllm/mixtral"]

[models.phi]
targets = ["phi/phi"]

[models.qwen]
targets = ["gpu-example-com/qwen3"]

[providers.gpu-example-com]
base_url = "https://gpu.example.com/v1"
dialect = "openai-chat"

[providers.ollama]
base_url = "http://localhost:11434/v1"

[providers.phi]
base_url = "https://{host}/v1"
dialect = "openai-chat"
secret = "PHI_KEY"

[providers.vllm]
base_url = "http://10.0.0.7:8000/v1"

[providers.vllm-internal]
auth = "none"
base_url = "http://vllm.internal:8000/v1"
dialect = "openai-chat"

# Not carried, or not quite:
# - model_list[1].litellm_params.api_key: keys are not written; put it into the secret GPU_EXAMPLE_COM_API_KEY
# - model_list[2].litellm_params.api_base: set PHI_HOST to the host of what PHI_API_BASE holds
"##,
    },
    Case {
        holds: "clouds have regions, projects and their own names",
        name: "config",
        model: None,
        file: r##"
model_list:
  - model_name: nova
    litellm_params:
      model: bedrock/converse/amazon.nova-pro-v1:0
      aws_region_name: eu-west-1
      aws_access_key_id: os.environ/AWS_ACCESS_KEY_ID
      aws_secret_access_key: os.environ/CUSTOM_AWS_SECRET
  - model_name: nova-us
    litellm_params: {model: bedrock/amazon.nova-pro-v1:0, aws_region_name: us-east-1}
  - model_name: claude
    litellm_params:
      model: vertex_ai/claude-sonnet-4-5@20250929
      vertex_project: my-project
      vertex_location: us-east5
  - model_name: gemini
    litellm_params: {model: vertex_ai/gemini-2.5-pro, vertex_project: os.environ/VERTEX_PROJECT}
"##,
        expected: r##"
[models.claude]
targets = ["vertex-anthropic/claude-sonnet-4-5@20250929"]

[models.gemini]
targets = ["google-vertex/gemini-2.5-pro"]

[models.nova]
targets = ["amazon-bedrock/amazon.nova-pro-v1:0"]

[models.nova-us]
targets = ["amazon-bedrock-2/amazon.nova-pro-v1:0"]

[prices."amazon-bedrock-2/amazon.nova-pro-v1:0"]
cached_input = "0.2"
context_tokens = 300000
input = "0.8"
output = "3.2"
output_tokens = 10000

[providers.amazon-bedrock]
region = "eu-west-1"

[providers.amazon-bedrock-2]
base_url = "https://bedrock-runtime.{region}.amazonaws.com"
dialect = "bedrock-converse"
region = "us-east-1"

[providers.vertex-anthropic.variables]
location = "us-east5"
project = "my-project"

# Not carried, or not quite:
# - model_list[0].litellm_params.aws_secret_access_key: put it into the secret AWS_SECRET_ACCESS_KEY, which is the same for all of AWS
# - model_list[3].litellm_params.vertex_project: set GOOGLE_VERTEX_PROJECT to what VERTEX_PROJECT holds
"##,
    },
    Case {
        holds: "prices are per million tokens",
        name: "config",
        model: None,
        file: r##"
model_list:
  - model_name: mine
    litellm_params:
      model: azure/my-deployment
      input_cost_per_token: 0.0000025
      output_cost_per_token: 1e-5
    model_info:
      mode: chat
      base_model: azure/gpt-4o
      max_input_tokens: 128000
      cache_read_input_token_cost: 0.00000125
  - model_name: half
    litellm_params: {model: openai/gpt-5, input_cost_per_token: 0.000001}
"##,
        expected: r##"
[models.half]
targets = ["openai/gpt-5"]

[models.mine]
targets = ["azure/my-deployment"]

[prices."azure/my-deployment"]
cached_input = "1.25"
context_tokens = 128000
input = "2.5"
output = "10"

# Not carried, or not quite:
# - model_list[0].model_info.base_model: name its price in [prices], where the catalogue has none
# - model_list[1].litellm_params: a price needs both input and output here
"##,
    },
    Case {
        holds: "retries, rests and timeouts of all models",
        name: "config",
        model: None,
        file: r##"
model_list:
  - {model_name: a, litellm_params: {model: openai/gpt-5, timeout: 2.5}}
  - {model_name: b, litellm_params: {model: openai/gpt-5-mini, max_retries: 0}}
litellm_settings:
  num_retries: 1
  request_timeout: 600
  allowed_fails: 3
  drop_params: false
router_settings:
  num_retries: 4
  retry_after: 5
  cooldown_time: 30
  stream_timeout: 20
  enable_pre_call_checks: true
"##,
        expected: r##"
strict = true

[models.a]
first_byte_ms = 2500
targets = ["openai/gpt-5"]

[models.b]
first_byte_ms = 600000
targets = ["openai/gpt-5-mini"]

[models.b.policy]
attempts = 1
retries = 0

[policy]
rest_after = 4
rest_ms = 30000
retries = 4
retry_ms = 5000

# Not carried, or not quite:
# - model_list[0].litellm_params.timeout: until the first byte of an answer here; what has begun may take longer
# - litellm_settings.allowed_fails: counted in a row here, not in a minute
# - litellm_settings.request_timeout: until the first byte of an answer here; what has begun may take longer
# - router_settings.stream_timeout: first_byte_ms would hold for answers that are not streamed, too
"##,
    },
    Case {
        holds: "retries by kind of failure are carried where they are all alike",
        name: "config",
        model: None,
        file: r##"
model_list:
  - {model_name: a, litellm_params: {model: openai/gpt-5}}
router_settings:
  retry_policy: {TimeoutErrorRetries: 3, RateLimitErrorRetries: 3}
  allowed_fails_policy: {TimeoutErrorAllowedFails: 12}
"##,
        expected: r##"
[models.a]
targets = ["openai/gpt-5"]

[policy]
retries = 3

# Not carried, or not quite:
# - router_settings.allowed_fails_policy: a target rests after any failures in a row, whatever their kind
"##,
    },
    Case {
        holds: "what there is nothing like here is listed, and no key is written",
        name: "config",
        model: None,
        file: r##"
model_list:
  - model_name: a
    litellm_params:
      model: openai/gpt-5
      api_key: sk-very-secret
      organization: org-1
      temperature: 0.2
      tags: [free]
      extra_headers: {x-team: search, x-api-token: sk-other-secret, x-env: os.environ/TEAM_TOKEN}
litellm_settings:
  callbacks: [langfuse]
  cache: true
  cache_params: {type: redis}
general_settings:
  master_key: sk-1234
  database_url: os.environ/DATABASE_URL
  alerting: [slack]
environment_variables:
  LANGFUSE_PUBLIC_KEY: pk-secret
guardrails: []
"##,
        expected: r##"
[callers.default]

[models.a]
targets = ["openai/gpt-5"]

[[providers.openai.headers]]
name = "openai-organization"
value = "org-1"

[[providers.openai.headers]]
name = "x-api-token"
secret = "OPENAI_X_API_TOKEN"

[[providers.openai.headers]]
name = "x-env"
secret = "TEAM_TOKEN"

[[providers.openai.headers]]
name = "x-team"
value = "search"

# Not carried, or not quite:
# - model_list[0].litellm_params.extra_headers.x-api-token: keys are not written; put it into the secret OPENAI_X_API_TOKEN
# - model_list[0].litellm_params.tags: tags choose a model by [[rules]] here
# - model_list[0].litellm_params.temperature: what a request says is passed on, and nothing is added to it
# - litellm_settings.cache: answers are not kept here
# - litellm_settings.cache_params: answers are not kept here
# - litellm_settings.callbacks: nothing is called back; there is one line of JSON in the log for each request
# - general_settings.master_key: put the key itself into the secret TOLLGATE_KEY
# - general_settings.master_key: a caller like others here; it administers nothing
# - general_settings.database_url: no callers are kept in a database; name each in [callers]
# - general_settings.alerting: not known here
# - environment_variables: set these in the environment of the gateway
# - guardrails: there is nothing like it here
# - model_list[0].litellm_params.api_key: keys are not written; put it into the secret OPENAI_API_KEY
"##,
    },
    Case {
        holds: "the master key is a caller's",
        name: "config",
        model: None,
        file: r##"
model_list:
  - {model_name: a, litellm_params: {model: openai/gpt-5}}
general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY
"##,
        expected: r##"
[callers.default]
secret = "LITELLM_MASTER_KEY"

[models.a]
targets = ["openai/gpt-5"]

# Not carried, or not quite:
# - general_settings.master_key: a caller like others here; it administers nothing
"##,
    },
    Case {
        holds: "keys and addresses that are not written are told apart",
        name: "config",
        model: None,
        file: r##"
model_list:
  - model_name: gpt-4o
    litellm_params: {model: azure/gpt-4o, api_base: os.environ/AZURE_EU_BASE, api_key: os.environ/AZURE_EU_KEY}
  - model_name: gpt-4o
    litellm_params: {model: azure/gpt-4o, api_base: os.environ/AZURE_US_BASE, api_key: os.environ/AZURE_US_KEY}
  - model_name: gpt-5
    litellm_params: {model: openai/gpt-5, api_key: sk-very-secret-1}
  - model_name: gpt-5
    litellm_params: {model: openai/gpt-5, api_key: sk-very-secret-2}
  - model_name: gemini
    litellm_params: {model: vertex_ai/gemini-2.5-pro, vertex_project: os.environ/PROJECT_A, vertex_location: us-east5}
  - model_name: gemini
    litellm_params: {model: vertex_ai/gemini-2.5-pro, vertex_project: os.environ/PROJECT_B, vertex_location: us-east5}
  - model_name: nova
    litellm_params: {model: bedrock/amazon.nova-pro-v1:0, aws_region_name: os.environ/REGION_A}
"##,
        expected: r##"
[models.gemini]
targets = ["google-vertex/gemini-2.5-pro", "google-vertex-2/gemini-2.5-pro"]

[models.gemini.policy]
order = "weighted"

[models.gpt-4o]
targets = ["azure/gpt-4o", "azure-2/gpt-4o"]

[models.gpt-4o.policy]
order = "weighted"

[models.gpt-5]
targets = ["openai/gpt-5", "openai-2/gpt-5"]

[models.gpt-5.policy]
order = "weighted"

[models.nova]
targets = ["amazon-bedrock/amazon.nova-pro-v1:0"]

[prices."azure-2/gpt-4o"]
cached_input = "1.25"
context_tokens = 128000
input = "2.5"
output = "10"
output_tokens = 16384

[prices."openai-2/gpt-5"]
cached_input = "0.125"
context_tokens = 272000
input = "1.25"
output = "10"
output_tokens = 128000

[providers.azure]
secret = "AZURE_EU_KEY"

[providers.azure-2]
base_url = "https://{host}/openai/v1"
dialect = "openai-chat"
dialects = ["openai-responses"]
query = "api-version=v1"
secret = "AZURE_US_KEY"

[providers.azure-2.auth]
header = "api-key"

[providers.google-vertex.variables]
location = "us-east5"

[providers.google-vertex-2]
base_url = "https://{location}-aiplatform.googleapis.com/v1/projects/{project}/locations/{location}/publishers/google"
dialect = "gemini"
secret = "GOOGLE_VERTEX_ACCESS_TOKEN"

[providers.google-vertex-2.variables]
location = "us-east5"

[providers.openai-2]
base_url = "https://api.openai.com/v1"
dialect = "openai-chat"
dialects = ["openai-responses"]

# Not carried, or not quite:
# - model_list[0].litellm_params.api_base: set AZURE_BASE_URL to what AZURE_EU_BASE holds, with /openai/v1 behind its host
# - model_list[1].litellm_params.api_base: set AZURE_2_HOST to the host of what AZURE_US_BASE holds
# - model_list[2].litellm_params.api_key: keys are not written; put it into the secret OPENAI_API_KEY
# - model_list[3].litellm_params.api_key: keys are not written; put it into the secret OPENAI_2_API_KEY
# - model_list[4].litellm_params.vertex_project: set GOOGLE_VERTEX_PROJECT to what PROJECT_A holds
# - model_list[5].litellm_params.vertex_project: set GOOGLE_VERTEX_2_PROJECT to what PROJECT_B holds
# - model_list[6].litellm_params.aws_region_name: set AWS_REGION to what REGION_A holds
"##,
    },
    Case {
        holds: "a provider that is not known is told, and its fallbacks with it",
        name: "config",
        model: None,
        file: r##"
model_list:
  - {model_name: a, litellm_params: {model: sagemaker/my-endpoint}}
  - {model_name: b, litellm_params: {model: openai/gpt-5}}
  - {model_name: c, litellm_params: {model: mystery}}
router_settings:
  fallbacks: [{b: [a]}]
"##,
        expected: r##"
[models.b]
targets = ["openai/gpt-5"]

# Not carried, or not quite:
# - model_list[0].litellm_params.model: no provider "sagemaker" is known here; name its server in [providers]
# - model_list[2].litellm_params.model: "mystery" does not say whose model it is
# - router_settings.fallbacks[0].b: no model is called "a"
"##,
    },
];
