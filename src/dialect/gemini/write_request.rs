//! Writes a request for an upstream that speaks `generateContent`.
//!
//! What models take differs by their generation: how thinking is asked for, and whether calls must be signed. What is
//! left out is named in `lost`.

use std::borrow::Cow;
use std::collections::HashMap;

use super::encode::{BlobOut, ContentOut, FileOut, PartOut, ResultOut, args};
use super::read_request::SENTINELS;
use crate::chat::{Content, Effort, Format, Json, Lost, Media, Message, Number, Part, Request, Role, Tool, ToolChoice};
use crate::schema;
use crate::wire::json::{self, Fields, Raw, Verbatim, quoted, to_vec, written};

pub fn write_request(request: &Request, lost: &mut Vec<String>) -> Vec<u8> {
    let generation = Generation::of(&request.model);
    let mut lost = Lost(lost);
    for name in request.settings().filter(|name| SETTINGS_LACKING.contains(name)) {
        lost.note(name);
    }
    lost.note_if(request.user.is_some(), "user");
    // Whether one call or several is for the model to say.
    lost.note_if(request.parallel_tools == Some(false), "parallel_tool_calls");
    // "Function calling with a response mime type: 'application/json' is unsupported", say the models before the third
    // generation.
    let is_barred = !request.tools.is_empty() && !generation.is_third();
    lost.note_if(is_barred && request.format.is_some(), "response_format");
    let (response_mime_type, response_schema) = match request.format.as_ref().filter(|_| !is_barred) {
        None => (None, None),
        Some(Format::Json) => (Some("application/json"), None),
        Some(Format::Schema { schema, .. }) => {
            (Some("application/json"), schema::to_openapi(schema, "response_format.schema", lost.0))
        }
    };
    let declarations: Vec<_> = request.tools.iter().map(|tool| declaration(tool, &mut lost)).collect();
    let thinking_config = thinking(request, generation, &mut lost);
    let (system, contents) = Contents::new(generation, &mut lost).write(&request.messages);
    let config = ConfigOut {
        max_output_tokens: request.max_tokens,
        temperature: request.temperature.as_ref(),
        top_p: request.top_p.as_ref(),
        top_k: request.top_k,
        seed: request.seed.as_ref(),
        presence_penalty: request.presence_penalty.as_ref(),
        frequency_penalty: request.frequency_penalty.as_ref(),
        stop_sequences: &request.stop,
        response_mime_type,
        response_schema,
        thinking_config,
    };
    to_vec(&RequestOut {
        contents,
        system_instruction: (!system.is_empty()).then_some(ContentOut { role: None, parts: system }),
        tool_config: request.tool_choice.as_ref().filter(|_| !declarations.is_empty()).map(choice),
        tools: (!declarations.is_empty()).then_some([ToolOut { function_declarations: declarations }]),
        generation_config: config,
    })
}

/// Settings that no field says.
const SETTINGS_LACKING: &[&str] = &["verbosity", "service_tier", "prompt_cache_key"];

/// What a model takes, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Generation {
    /// Thinks by a level, and refuses calls without the signature that it gave them.
    Level { pro: bool },
    /// Thinks by a budget of tokens, from the least to the most.
    Budget { least: u64, most: u64 },
    /// Does not think, or not as it is told.
    Plain,
}

impl Generation {
    /// Source: "Thinking", Gemini API documentation, read 2026-11.
    fn of(model: &str) -> Self {
        let name = model.rsplit('/').next().unwrap_or_default();
        let Some(version) = name.strip_prefix("gemini-") else { return Self::Plain };
        let pro = name.contains("pro");
        let major = version.split(['.', '-']).next().unwrap_or_default();
        match major.parse::<u32>() {
            Ok(3..) => Self::Level { pro },
            _ if version.starts_with("2.5") => match () {
                () if pro => Self::Budget { least: 128, most: 32_768 },
                () if name.contains("flash-lite") => Self::Budget { least: 512, most: 24_576 },
                () => Self::Budget { least: 0, most: 24_576 },
            },
            Ok(_) => Self::Plain,
            // `gemini-flash-latest` and its kin are of the newest generation.
            Err(_) if name.ends_with("-latest") => Self::Level { pro },
            Err(_) => Self::Plain,
        }
    }

    /// Whether it is of the third generation or later: it knows calls by ids, and wants them signed.
    fn is_third(self) -> bool {
        matches!(self, Self::Level { .. })
    }
}

/// The budgets of levels are those of Google's own OpenAI view.
///
/// Source: "OpenAI compatibility", Gemini API documentation, read 2026-11.
fn thinking(request: &Request, generation: Generation, lost: &mut Lost<'_>) -> Option<ThinkingOut> {
    let include_thoughts = request.reasoning_told;
    let asked = request.reasoning.as_ref();
    let mut out = ThinkingOut { include_thoughts, ..ThinkingOut::default() };
    match (generation, asked) {
        (_, None) => {}
        (Generation::Plain, Some(asked)) => {
            // To be off is what a model that cannot think does anyhow.
            lost.note_if(*asked != Effort::Off, "thinking");
            out.include_thoughts = None;
        }
        (Generation::Level { pro }, Some(asked)) => {
            let least = if pro { "low" } else { "minimal" };
            out.thinking_level = match asked {
                Effort::Adaptive => None,
                // No model of these can be without it.
                Effort::Off => {
                    lost.note("thinking (off)");
                    Some(least)
                }
                Effort::Level(level) => Some(match level.as_str() {
                    "none" | "minimal" => least,
                    "low" => "low",
                    "medium" => "medium",
                    _ => "high",
                }),
                Effort::Budget(0..4096) => Some("low"),
                Effort::Budget(4096..16384) => Some("medium"),
                Effort::Budget(_) => Some("high"),
            };
        }
        (Generation::Budget { least, most }, Some(asked)) => {
            let tokens = match asked {
                Effort::Adaptive => None,
                Effort::Off => {
                    lost.note_if(least == 128, "thinking (off)");
                    // Only the larger model cannot be without it.
                    Some(if least == 128 { least } else { 0 })
                }
                Effort::Level(level) => Some(match level.as_str() {
                    "none" => 0,
                    "minimal" | "low" => 1024,
                    "medium" => 8192,
                    _ => 24_576,
                }),
                Effort::Budget(tokens) => Some((*tokens).clamp(least, most)),
            };
            out.thinking_budget = Some(tokens.map_or(-1, |tokens| i64::try_from(tokens).unwrap_or(i64::MAX)));
        }
    }
    let is_said = out.include_thoughts.is_some() || out.thinking_budget.is_some() || out.thinking_level.is_some();
    is_said.then_some(out)
}

fn declaration<'a>(tool: &'a Tool, lost: &mut Lost<'_>) -> DeclarationOut<'a> {
    lost.note_if(tool.cache.is_some(), "cache_control");
    lost.note_if(tool.strict == Some(true), "tools.strict");
    DeclarationOut {
        name: &tool.name,
        description: tool.description.as_deref(),
        parameters: tool.schema.as_ref().and_then(|schema| schema::to_openapi(schema, "tools.parameters", lost.0)),
    }
}

fn choice(choice: &ToolChoice) -> ToolConfigOut<'_> {
    let (mode, name) = match choice {
        ToolChoice::Auto => ("AUTO", None),
        ToolChoice::None => ("NONE", None),
        ToolChoice::Required => ("ANY", None),
        ToolChoice::Named(name) => ("ANY", Some([name.as_str()])),
    };
    ToolConfigOut { function_calling_config: CallingOut { mode, allowed_function_names: name } }
}

/// Turns our messages into theirs: the system's apart, turns that alternate, results under the names of their tools.
struct Contents<'a, 'l, 'v> {
    generation: Generation,
    system: Vec<PartOut<'a>>,
    out: Vec<ContentOut<'a>>,
    /// The tool of every call so far, by the call's id.
    calls: HashMap<&'a str, &'a str>,
    lost: &'l mut Lost<'v>,
}

impl<'a, 'l, 'v> Contents<'a, 'l, 'v> {
    fn new(generation: Generation, lost: &'l mut Lost<'v>) -> Self {
        Self { generation, system: Vec::new(), out: Vec::new(), calls: HashMap::new(), lost }
    }

    fn write(mut self, messages: &'a [Message]) -> (Vec<PartOut<'a>>, Vec<ContentOut<'a>>) {
        let has_turns = messages.iter().any(|message| message.role != Role::System);
        for message in messages {
            self.lost.note_if(message.parts.iter().any(is_cached), "cache_control");
            match message.role {
                // Before the first turn; a later one belongs where it stands, and only a user may speak there. Nor can
                // an instruction be all that is said.
                Role::System if self.out.is_empty() && has_turns => {
                    let parts = self.parts(&message.parts);
                    self.system.extend(parts);
                }
                Role::System | Role::User => {
                    let parts = self.parts(&message.parts);
                    self.push("user", parts);
                }
                Role::Assistant => {
                    let mut parts = self.parts(&message.parts);
                    self.sign(&mut parts);
                    self.push("model", parts);
                }
            }
        }
        (self.system, self.out)
    }

    fn push(&mut self, role: &'static str, parts: Vec<PartOut<'a>>) {
        if parts.is_empty() {
            return;
        }
        match self.out.last_mut() {
            Some(last) if last.role == Some(role) => last.parts.extend(parts),
            _ => self.out.push(ContentOut { role: Some(role), parts }),
        }
    }

    /// A turn whose first call has no signature was not of this provider, or lost it on the way; the documented stand-in
    /// says so. Parallel calls have one signature, on the first.
    ///
    /// Source: "Thought signatures", Gemini API documentation, read 2026-11.
    fn sign(&self, parts: &mut [PartOut<'a>]) {
        let first = parts.iter_mut().find(|part| part.function_call.is_some());
        if let Some(first) = first.filter(|_| self.generation.is_third()) {
            first.thought_signature = first.thought_signature.take().or(SENTINELS.first().copied().map(Cow::Borrowed));
        }
    }

    fn parts(&mut self, parts: &'a [Part]) -> Vec<PartOut<'a>> {
        let mut out = Vec::with_capacity(parts.len());
        for part in parts {
            match &part.content {
                // One without text is refused in a message of its own, and says nothing in others.
                Content::Text(text) if text.is_empty() => {}
                Content::Text(text) => out.push(PartOut::text(text)),
                Content::Image(media) => out.extend(self.media(media, "messages.image")),
                Content::Audio(media) => out.extend(self.media(media, "messages.audio")),
                Content::Video(media) => out.extend(self.media(media, "messages.video")),
                Content::Document { media, .. } => out.extend(self.media(media, "messages.document")),
                Content::Reasoning { text, signature } => out.push(PartOut::thought(text, signature.as_deref())),
                Content::SealedReasoning(sealed) => out.push(PartOut::sealed(sealed)),
                Content::ToolCall(call) => {
                    self.calls.insert(&call.id, &call.name);
                    let mut part = PartOut::call(call);
                    self.lost.note_if(!args(&call.arguments).1, "messages.tool_call.arguments (broken)");
                    part.function_call = part.function_call.map(|call| self.without_id(call));
                    out.push(part);
                }
                Content::ToolResult { call, parts, is_error } => out.push(self.result(call, parts, *is_error)),
            }
        }
        out
    }

    /// Earlier generations know calls by name and order only, and Vertex AI refuses a field that it does not know.
    fn without_id(&self, mut call: super::encode::CallOut<'a>) -> super::encode::CallOut<'a> {
        call.id = call.id.filter(|_| self.generation.is_third());
        call
    }

    fn media(&mut self, media: &'a Media, name: &str) -> Option<PartOut<'a>> {
        match media {
            Media::Inline { media_type, data } => {
                Some(PartOut { inline_data: Some(BlobOut { mime_type: media_type, data }), ..PartOut::default() })
            }
            // Files of Google's, and links that it fetches itself.
            Media::Url(url) if ["https://", "http://", "gs://"].iter().any(|start| url.starts_with(start)) => {
                let file = FileOut { mime_type: media_type(url), file_uri: url };
                Some(PartOut { file_data: Some(file), ..PartOut::default() })
            }
            Media::Url(_) => {
                self.lost.note(name);
                None
            }
        }
    }

    fn result(&mut self, call: &'a str, parts: &'a [Part], is_error: bool) -> PartOut<'a> {
        let name = self.calls.get(call).copied();
        let mut texts = Vec::new();
        let mut others = Vec::new();
        for part in parts {
            match &part.content {
                Content::Text(text) => texts.push(text.as_str()),
                Content::Image(media) => others.extend(self.media(media, "messages.image")),
                Content::Audio(media) => others.extend(self.media(media, "messages.audio")),
                Content::Video(media) => others.extend(self.media(media, "messages.video")),
                Content::Document { media, .. } => others.extend(self.media(media, "messages.document")),
                _ => self.lost.note("messages.tool_result.content"),
            }
        }
        PartOut {
            function_response: Some(ResultOut {
                id: Some(call).filter(|id| !id.is_empty() && self.generation.is_third()),
                name: name.unwrap_or(call),
                response: response(&texts, is_error),
                parts: others,
            }),
            ..PartOut::default()
        }
    }
}

/// The texts of a result as the object that `response` must be.
fn response<'a>(texts: &[&'a str], is_error: bool) -> Verbatim<'a> {
    let key = if is_error { "error" } else { "result" };
    if let [text] = texts {
        // A reference in a result is taken for one of a schema, and refused (google-gemini/gemini-cli#13326).
        let refers = text.contains("\"$ref\"") || text.contains("\"$defs\"");
        let value = json::parse::<Raw<'a>>(text.trim()).ok();
        let object = value.filter(|value| !refers && value.get().starts_with('{'));
        let says = |value: &Raw<'_>| {
            !is_error || Fields::read(value.get().as_bytes()).is_ok_and(|fields| fields.raw("error").is_some())
        };
        if let Some(value) = object.filter(says) {
            return value.into();
        }
    }
    Verbatim::made(format!("{{{}:{}}}", quoted(key), quoted(&texts.join("\n"))))
}

fn is_cached(part: &Part) -> bool {
    part.cache.is_some()
        || matches!(&part.content, Content::ToolResult { parts, .. } if parts.iter().any(|part| part.cache.is_some()))
}

/// By the end of a link, where it says; Google looks at the file itself otherwise.
pub(super) fn media_type(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next()?;
    let ending = path.rsplit('/').next()?.rsplit_once('.')?.1.to_ascii_lowercase();
    Some(match ending.as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "heic" => "image/heic",
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        "csv" => "text/csv",
        "html" => "text/html",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        "mp4" => "video/mp4",
        "mov" => "video/quicktime",
        "webm" => "video/webm",
        _ => return None,
    })
}

written! {
    struct RequestOut<'a> {
        contents: Vec<ContentOut<'a>>,
        system_instruction as "systemInstruction"?: Option<ContentOut<'a>>,
        tools?: Option<[ToolOut<'a>; 1]>,
        tool_config as "toolConfig"?: Option<ToolConfigOut<'a>>,
        generation_config as "generationConfig": ConfigOut<'a>,
    }

    struct ToolOut<'a> {
        function_declarations as "functionDeclarations": Vec<DeclarationOut<'a>>,
    }

    struct DeclarationOut<'a> {
        name: &'a str,
        description?: Option<&'a str>,
        parameters?: Option<Json>,
    }

    struct ToolConfigOut<'a> {
        function_calling_config as "functionCallingConfig": CallingOut<'a>,
    }

    struct CallingOut<'a> {
        mode: &'static str,
        allowed_function_names as "allowedFunctionNames"?: Option<[&'a str; 1]>,
    }

    struct ConfigOut<'a> {
        max_output_tokens as "maxOutputTokens"?: Option<u64>,
        temperature?: Option<&'a Number>,
        top_p as "topP"?: Option<&'a Number>,
        top_k as "topK"?: Option<u64>,
        seed?: Option<&'a Number>,
        presence_penalty as "presencePenalty"?: Option<&'a Number>,
        frequency_penalty as "frequencyPenalty"?: Option<&'a Number>,
        stop_sequences as "stopSequences"?: &'a [String],
        response_mime_type as "responseMimeType"?: Option<&'static str>,
        response_schema as "responseSchema"?: Option<Json>,
        thinking_config as "thinkingConfig"?: Option<ThinkingOut>,
    }

    #[derive(Default)]
    struct ThinkingOut {
        include_thoughts as "includeThoughts"?: Option<bool>,
        thinking_budget as "thinkingBudget"?: Option<i64>,
        thinking_level as "thinkingLevel"?: Option<&'static str>,
    }
}
