//! What we write, held against the schemas that the providers publish, where those lie beside the project.

use std::fs;
use std::path::Path;

use jsonschema::Validator;
use serde_json::{Value, json};
use tollgate::dialect::Inbound;

use super::exceptions::amended;

/// For the answers to the callers of one dialect.
pub(super) struct Schema {
    caller: Inbound,
    whole: Validator,
    event: Validator,
}

impl Schema {
    /// `None` where there is no schema beside the project.
    pub(super) fn of(caller: Inbound) -> Option<Self> {
        let (file, prefix, whole, event) = match caller {
            Inbound::OpenaiChat => (
                "openai.openapi.json",
                "/components/schemas",
                "CreateChatCompletionResponse",
                "CreateChatCompletionStreamResponse",
            ),
            Inbound::OpenaiResponses => {
                ("openai.openapi.json", "/components/schemas", "Response", "ResponseStreamEvent")
            }
            Inbound::Anthropic => ("anthropic.schema.json", "/definitions", "MessageResponse", "MessageStreamEvent"),
            Inbound::Gemini => {
                ("gemini-v1beta.schema.json", "/definitions", "GenerateContentResponse", "GenerateContentResponse")
            }
            Inbound::OpenaiCompletions => {
                ("openai.openapi.json", "/components/schemas", "CreateCompletionResponse", "CreateCompletionResponse")
            }
            // None is published; a simple reading stands for it.
            Inbound::AiSdk(_) => return None,
        };
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/schemas");
        let document: Value = serde_json::from_slice(&fs::read(folder.join(file)).ok()?).unwrap();
        let validator = |name: &str| {
            let mut schema = document.clone();
            schema["$ref"] = json!(format!("#{prefix}/{name}"));
            jsonschema::options().should_validate_formats(false).build(&schema).unwrap()
        };
        Some(Self { caller, whole: validator(whole), event: validator(event) })
    }

    pub(super) fn whole(&self, body: &Value) -> Vec<String> {
        self.held(&self.whole, body)
    }

    pub(super) fn event(&self, event: &Value) -> Vec<String> {
        self.held(&self.event, event)
    }

    /// What the schema has against `value`, known departures left out.
    fn held(&self, validator: &Validator, value: &Value) -> Vec<String> {
        let Some(value) = amended(self.caller, value.clone()) else { return Vec::new() };
        if validator.is_valid(&value) {
            return Vec::new();
        }
        let errors = validator.iter_errors(&value).map(|error| {
            let what: String = error.to_string().chars().take(300).collect();
            format!("{}: {what}", error.instance_path())
        });
        errors.collect()
    }
}
