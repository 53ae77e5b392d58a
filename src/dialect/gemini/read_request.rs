//! A caller's `generateContent` body, into the canonical form.
//!
//! Every field may be spelled as in the documentation or with underscores, as the JSON of protocol buffers allows; one
//! client mixes both. What has no place is named, never refused.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::chat::{
    Content, Effort, Format, Json, Media, Message, Number, Part, Request, Role, Tool, ToolCall, ToolChoice, UNREAD_MAX,
};
use crate::error::Error;
use crate::schema;
use crate::wire::json::{self, Fields, Raw, Read};

/// Stands for a signature where none is known. Not one that a provider made.
pub(super) const SENTINELS: &[&str] = &["skip_thought_signature_validator", "context_engineering_is_the_way_to_go"];

pub fn read_request(body: &Fields<'_>) -> Result<Request, Error> {
    let object = Object { fields: body, path: String::new() };
    let mut reader = Reader::default();
    let model: Option<String> = object.get("model", "a string")?;
    let mut request = Request {
        // The path says it; a body says it only in passing.
        model: model.map(|name| name.strip_prefix("models/").unwrap_or(&name).to_owned()).unwrap_or_default(),
        ..Request::default()
    };
    reader.pass_over_other(&object, "", READ);
    if let Some(raw) = object.raw("systemInstruction") {
        let content = object.at("systemInstruction");
        let parts = reader.content(&content, raw)?.1;
        if !parts.is_empty() {
            request.messages.push(Message { role: Role::System, parts });
        }
    }
    let contents = object.raw("contents").ok_or_else(|| Error::field("contents", "is missing"))?;
    for (i, raw) in list(contents).into_iter().enumerate() {
        let (role, parts) = reader.content(&format!("contents[{i}]"), raw)?;
        if !parts.is_empty() {
            request.messages.push(Message { role, parts });
        }
    }
    if let Some(raw) = object.raw("tools") {
        for (i, raw) in list(raw).into_iter().enumerate() {
            reader.tools(&format!("tools[{i}]"), raw, &mut request.tools)?;
        }
    }
    if let Some(raw) = object.raw("toolConfig") {
        reader.tool_config(raw, &mut request)?;
    }
    if let Some(raw) = object.raw("generationConfig") {
        reader.generation_config(raw, &mut request)?;
    }
    request.unread = reader.unread;
    Ok(request)
}

/// What a `countTokens` body counts: a whole request, or its fields beside one another.
pub fn count_body(body: &Fields<'_>) -> Vec<u8> {
    let object = Object { fields: body, path: String::new() };
    object.raw("generateContentRequest").map_or_else(|| body.with(&[]), |raw| raw.get().as_bytes().to_vec())
}

/// The most tokens that one answer may have, and how many answers were asked for.
pub fn output_asked(body: &Fields<'_>) -> (Option<u64>, Option<u64>) {
    let config = |body: &Fields<'_>| -> Option<(Option<u64>, Option<u64>)> {
        let object = Object { fields: body, path: String::new() };
        let fields = Fields::read(object.raw("generationConfig")?.get().as_bytes()).ok()?;
        let config = Object { fields: &fields, path: String::new() };
        Some((whole(&config, "maxOutputTokens").ok()?, whole(&config, "candidateCount").ok()?))
    };
    config(body).unwrap_or_default()
}

/// Adds a thought to those before it. A stream tells one in pieces, the last of them signed, and clients give the
/// pieces back as they came; the signature is for all of them together.
fn thought(more: String, proof: Option<String>, parts: &mut Vec<Part>) {
    match parts.last_mut().map(|part| &mut part.content) {
        Some(Content::Reasoning { text, signature: signature @ None }) => {
            text.push_str(&more);
            *signature = proof;
        }
        _ => parts.push(Part::new(Content::Reasoning { text: more, signature: proof })),
    }
}

/// The fields that `read_request` looks at.
const READ: &[&str] = &["model", "contents", "systemInstruction", "tools", "toolConfig", "generationConfig"];

#[derive(Default)]
struct Reader {
    unread: Vec<String>,
    /// Calls so far.
    calls: usize,
    ids: HashSet<String>,
    /// Ids of calls without a result, by the name of the tool: most calls and results have no ids, and match by name
    /// and order.
    unanswered: HashMap<String, VecDeque<String>>,
}

impl Reader {
    fn pass_over(&mut self, name: impl Into<String>) {
        let name = name.into();
        if self.unread.len() < UNREAD_MAX && !self.unread.contains(&name) {
            self.unread.push(name);
        }
    }

    /// Names the fields that are not among `read`.
    fn pass_over_other(&mut self, object: &Object<'_, '_>, path: &str, read: &[&str]) {
        for name in object.fields.names().filter(|name| !read.iter().any(|known| is_spelled(name, known))) {
            if object.fields.raw(name).is_some_and(|raw| raw.get() != "null") {
                self.pass_over(if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") });
            }
        }
    }

    fn content(&mut self, path: &str, raw: Raw<'_>) -> Result<(Role, Vec<Part>), Error> {
        // A bare text is what some clients send for the system's instruction.
        if let Ok(text) = json::parse::<String>(raw.get()) {
            return Ok((Role::User, vec![Part::text(text)]));
        }
        let fields = fields(raw, path)?;
        let content = Object { fields: &fields, path: path.to_owned() };
        let role = match content.get::<String>("role", "a string")?.as_deref() {
            Some("model" | "assistant") => Role::Assistant,
            Some("system") => Role::System,
            None | Some("" | "user" | "function" | "tool") => Role::User,
            Some(_) => return Err(Error::field(content.at("role"), "must be \"user\" or \"model\"")),
        };
        let mut parts = Vec::new();
        for (j, raw) in content.raw("parts").map(list).unwrap_or_default().into_iter().enumerate() {
            if raw.get() != "null" {
                self.part(&content.at(&format!("parts[{j}]")), raw, &mut parts)?;
            }
        }
        Ok((role, parts))
    }

    fn part(&mut self, path: &str, raw: Raw<'_>, parts: &mut Vec<Part>) -> Result<(), Error> {
        let fields = fields(raw, path)?;
        let part = Object { fields: &fields, path: path.to_owned() };
        let signature: Option<String> = part.get("thoughtSignature", "a string")?;
        let signature = signature.filter(|text| !text.is_empty() && !SENTINELS.contains(&text.as_str()));
        let signature = signature.map(|text| standard(&text));
        if let Some(raw) = part.raw("functionCall") {
            let call = self.call(&part.at("functionCall"), raw, signature)?;
            parts.push(Part::new(Content::ToolCall(call)));
            return Ok(());
        }
        if let Some(raw) = part.raw("functionResponse") {
            let result = self.result(&part.at("functionResponse"), raw)?;
            parts.push(Part::new(result));
            return Ok(());
        }
        let text: Option<String> = part.get("text", "a string")?;
        if part.get("thought", "true or false")? == Some(true) && text.is_some() {
            let text = text.unwrap_or_default();
            if !text.is_empty() || signature.is_some() {
                thought(text, signature, parts);
            }
            return Ok(());
        }
        let has_text = text.is_some();
        // An empty text beside a signature is only there to carry it.
        parts.extend(text.filter(|text| !text.is_empty() || signature.is_none()).map(Part::text));
        let media = self.media(&part)?;
        let is_read = has_text || media.is_some();
        parts.extend(media.map(Part::new));
        if is_read {
            parts.extend(signature.map(|signature| Part::new(Content::SealedReasoning(signature))));
            self.pass_over_other(&part, "contents.parts", PART_READ);
        } else {
            // A signature of what is not here proves nothing.
            for name in part.fields.names().filter(|name| !PART_BESIDE.iter().any(|known| is_spelled(name, known))) {
                self.pass_over(format!("contents.parts ({name})"));
            }
        }
        Ok(())
    }

    /// `inlineData` or `fileData`.
    fn media(&mut self, part: &Object<'_, '_>) -> Result<Option<Content>, Error> {
        let (media, media_type, name) = if let Some(raw) = part.raw("inlineData") {
            let path = part.at("inlineData");
            let fields = fields(raw, &path)?;
            let blob = Object { fields: &fields, path };
            let media_type: String = blob.need("mimeType", "a string")?;
            let data = standard(&blob.need::<String>("data", "a string")?);
            let media = Media::Inline { media_type: media_type.clone(), data };
            (media, media_type, blob.get("displayName", "a string")?)
        } else if let Some(raw) = part.raw("fileData") {
            let path = part.at("fileData");
            let fields = fields(raw, &path)?;
            let file = Object { fields: &fields, path };
            let url: String = file.need("fileUri", "a string")?;
            let media_type: Option<String> = file.get("mimeType", "a string")?;
            // A link to a video needs no type.
            let guess =
                if is_video(&url) { "video/*" } else { super::write_request::media_type(&url).unwrap_or_default() };
            let media_type = media_type.unwrap_or_else(|| guess.to_owned());
            (Media::Url(url), media_type, file.get("displayName", "a string")?)
        } else {
            return Ok(None);
        };
        Ok(Some(match media_type.split('/').next() {
            Some("image") => Content::Image(media),
            Some("audio") => Content::Audio(media),
            Some("video") => Content::Video(media),
            _ => Content::Document { media, name },
        }))
    }

    fn call(&mut self, path: &str, raw: Raw<'_>, signature: Option<String>) -> Result<ToolCall, Error> {
        let fields = fields(raw, path)?;
        let call = Object { fields: &fields, path: path.to_owned() };
        let name: String = call.need("name", "a string")?;
        let id: Option<String> = call.get("id", "a string")?;
        let id = id.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("call_{}", self.calls));
        self.calls += 1;
        self.ids.insert(id.clone());
        self.unanswered.entry(name.clone()).or_default().push_back(id.clone());
        let arguments = call.raw("args").map_or("{}", Raw::get).to_owned();
        Ok(ToolCall { id, name, arguments, signature })
    }

    fn result(&mut self, path: &str, raw: Raw<'_>) -> Result<Content, Error> {
        let fields = fields(raw, path)?;
        let result = Object { fields: &fields, path: path.to_owned() };
        let name: Option<String> = result.get("name", "a string")?;
        let id: Option<String> = result.get("id", "a string")?;
        let call = self.answered(id.filter(|id| !id.is_empty()), &name.unwrap_or_default());
        let mut parts = Vec::new();
        let mut is_error = false;
        if let Some(raw) = result.raw("response") {
            // Documented: what went wrong stands under "error", all else under "output" or other names.
            let keys = Fields::read(raw.get().as_bytes()).ok();
            is_error = keys.is_some_and(|keys| keys.names().eq(["error"]));
            parts.push(Part::text(raw.get()));
        }
        for (k, raw) in result.raw("parts").map(list).unwrap_or_default().into_iter().enumerate() {
            let path = result.at(&format!("parts[{k}]"));
            let fields = self::fields(raw, &path)?;
            match self.media(&Object { fields: &fields, path })? {
                Some(media) => parts.push(Part::new(media)),
                None => self.pass_over("contents.parts.functionResponse.parts"),
            }
        }
        Ok(Content::ToolResult { call, parts, is_error })
    }

    /// The id of the call that a result is for.
    fn answered(&mut self, id: Option<String>, name: &str) -> String {
        let waiting = self.unanswered.get_mut(name);
        match id {
            Some(id) if self.ids.contains(&id) => {
                // Mostly the first; a search for others is not worth its time.
                waiting.and_then(|waiting| waiting.pop_front_if(|first| *first == id));
                id
            }
            id => {
                let first = waiting.and_then(VecDeque::pop_front);
                // Without its call; who refuses that will say so.
                first.or(id).unwrap_or_else(|| format!("call_{name}"))
            }
        }
    }

    fn tools(&mut self, path: &str, raw: Raw<'_>, tools: &mut Vec<Tool>) -> Result<(), Error> {
        let fields = fields(raw, path)?;
        let tool = Object { fields: &fields, path: path.to_owned() };
        for name in fields.names().filter(|name| !is_spelled(name, "functionDeclarations")) {
            self.pass_over(format!("tools ({name})"));
        }
        let Some(declarations) = tool.raw("functionDeclarations") else { return Ok(()) };
        for (j, raw) in list(declarations).into_iter().enumerate() {
            let path = tool.at(&format!("functionDeclarations[{j}]"));
            let fields = self::fields(raw, &path)?;
            let function = Object { fields: &fields, path };
            let schema = function.raw("parametersJsonSchema").map(Json::from);
            tools.push(Tool {
                name: function.need("name", "a string")?,
                description: function.get("description", "a string")?,
                schema: schema.or_else(|| function.raw("parameters").map(schema::from_openapi)),
                ..Tool::default()
            });
            self.pass_over_other(&function, "tools.functionDeclarations", FUNCTION_READ);
        }
        Ok(())
    }

    fn tool_config(&mut self, raw: Raw<'_>, request: &mut Request) -> Result<(), Error> {
        let fields = fields(raw, "toolConfig")?;
        let config = Object { fields: &fields, path: "toolConfig".to_owned() };
        self.pass_over_other(&config, "toolConfig", &["functionCallingConfig"]);
        let Some(raw) = config.raw("functionCallingConfig") else { return Ok(()) };
        let path = config.at("functionCallingConfig");
        let fields = self::fields(raw, &path)?;
        let calling = Object { fields: &fields, path: path.clone() };
        self.pass_over_other(&calling, &path, &["mode", "allowedFunctionNames"]);
        let allowed: Vec<String> = calling.get("allowedFunctionNames", "a list of strings")?.unwrap_or_default();
        let mode: Option<String> = calling.get("mode", "a string")?;
        let choice = match mode.as_deref().map(str::to_ascii_uppercase).as_deref() {
            Some("ANY") => match allowed.as_slice() {
                [name] => Some(ToolChoice::Named(name.clone())),
                _ => Some(ToolChoice::Required),
            },
            Some("NONE") => Some(ToolChoice::None),
            Some("AUTO") => Some(ToolChoice::Auto),
            None | Some("MODE_UNSPECIFIED") => None,
            // Calls or text, and calls as their schemas have them: only Gemini promises that.
            Some(mode) => {
                self.pass_over(format!("{path}.mode ({})", if mode == "VALIDATED" { mode } else { "?" }));
                Some(ToolChoice::Auto)
            }
        };
        if allowed.len() > 1 || !allowed.is_empty() && !matches!(choice, Some(ToolChoice::Named(_))) {
            // Who may call some of the tools only knows no others.
            request.tools.retain(|tool| allowed.contains(&tool.name));
        }
        // A choice among no tools is refused by other dialects.
        request.tool_choice = choice.filter(|_| !request.tools.is_empty());
        Ok(())
    }

    fn generation_config(&mut self, raw: Raw<'_>, request: &mut Request) -> Result<(), Error> {
        let fields = fields(raw, "generationConfig")?;
        let config = Object { fields: &fields, path: "generationConfig".to_owned() };
        request.max_tokens = whole(&config, "maxOutputTokens")?;
        request.temperature = config.get("temperature", "a number")?;
        request.top_p = config.get("topP", "a number")?;
        request.top_k = whole(&config, "topK")?;
        request.seed = config.get("seed", "a number")?;
        request.presence_penalty = config.get("presencePenalty", "a number")?;
        request.frequency_penalty = config.get("frequencyPenalty", "a number")?;
        request.stop = config.get("stopSequences", "a list of strings")?.unwrap_or_default();
        if whole(&config, "candidateCount")?.is_some_and(|count| count > 1) {
            self.pass_over("generationConfig.candidateCount");
        }
        let modalities: Vec<String> = config.get("responseModalities", "a list of strings")?.unwrap_or_default();
        if modalities.iter().any(|name| !name.eq_ignore_ascii_case("text")) {
            self.pass_over("generationConfig.responseModalities");
        }
        self.pass_over_other(&config, "generationConfig", CONFIG_READ);
        let json_schema = config.raw("responseJsonSchema").map(Json::from);
        let schema = json_schema.or_else(|| config.raw("responseSchema").map(schema::from_openapi));
        let media_type: Option<String> = config.get("responseMimeType", "a string")?;
        request.format = match (schema, media_type.as_deref()) {
            (Some(schema), _) => Some(Format::Schema { name: "response".to_owned(), schema, strict: None }),
            (None, Some("application/json")) => Some(Format::Json),
            (None, None | Some("text/plain" | "")) => None,
            (None, Some(_)) => {
                self.pass_over("generationConfig.responseMimeType");
                None
            }
        };
        match config.raw("thinkingConfig") {
            Some(raw) => self.thinking(raw, request),
            None => Ok(()),
        }
    }

    fn thinking(&mut self, raw: Raw<'_>, request: &mut Request) -> Result<(), Error> {
        let path = "generationConfig.thinkingConfig";
        let fields = fields(raw, path)?;
        let thinking = Object { fields: &fields, path: path.to_owned() };
        self.pass_over_other(&thinking, path, &["includeThoughts", "thinkingBudget", "thinkingLevel"]);
        request.reasoning_told = thinking.get("includeThoughts", "true or false")?;
        let level: Option<String> = thinking.get("thinkingLevel", "a string")?;
        let budget: Option<i64> = thinking.get("thinkingBudget", "a whole number")?;
        request.reasoning = match (level, budget) {
            (Some(level), _) if !level.eq_ignore_ascii_case("THINKING_LEVEL_UNSPECIFIED") => {
                Some(Effort::Level(level.to_ascii_lowercase()))
            }
            (_, Some(0)) => Some(Effort::Off),
            (_, Some(budget)) => Some(u64::try_from(budget).map_or(Effort::Adaptive, Effort::Budget)),
            (_, None) => None,
        };
        Ok(())
    }
}

const PART_READ: &[&str] = &["text", "thought", "thoughtSignature", "inlineData", "fileData"];
/// What stands beside the one thing that a part is.
const PART_BESIDE: &[&str] = &["thought", "thoughtSignature", "videoMetadata", "mediaResolution", "partMetadata"];
const FUNCTION_READ: &[&str] = &["name", "description", "parameters", "parametersJsonSchema"];
const CONFIG_READ: &[&str] = &[
    "maxOutputTokens",
    "temperature",
    "topP",
    "topK",
    "seed",
    "presencePenalty",
    "frequencyPenalty",
    "stopSequences",
    "candidateCount",
    "responseModalities",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "thinkingConfig",
];

/// An object of the request and where it stands.
struct Object<'o, 'a> {
    fields: &'o Fields<'a>,
    path: String,
}

impl<'a> Object<'_, 'a> {
    fn at(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The value of a field in either spelling; `null` is absent.
    fn raw(&self, name: &str) -> Option<Raw<'a>> {
        let given = self.fields.raw(name).filter(|raw| raw.get() != "null");
        given.or_else(|| {
            let spelled = self.fields.names().find(|given| is_spelled(given, name))?;
            self.fields.raw(spelled).filter(|raw| raw.get() != "null")
        })
    }

    fn get<T: Read<'a>>(&self, name: &str, what: &str) -> Result<Option<T>, Error> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        // Not the parser's own words: they quote what the caller sent.
        json::parse(raw.get()).map(Some).map_err(|_| Error::field(self.at(name), format_args!("must be {what}")))
    }

    fn need<T: Read<'a>>(&self, name: &str, what: &str) -> Result<T, Error> {
        self.get(name, what)?.ok_or_else(|| Error::field(self.at(name), "is missing"))
    }
}

/// Whether `given` is `name` as it is, or with underscores for capitals.
fn is_spelled(given: &str, name: &str) -> bool {
    if given == name {
        return true;
    }
    let mut given = given.bytes();
    let same = name.bytes().all(|byte| match byte {
        b'A'..=b'Z' => given.next() == Some(b'_') && given.next() == Some(byte.to_ascii_lowercase()),
        byte => given.next() == Some(byte),
    });
    same && given.next().is_none()
}

/// A whole number, which some clients write with a fraction of nought.
fn whole(object: &Object<'_, '_>, name: &str) -> Result<Option<u64>, Error> {
    let Some(number) = object.get::<Number>(name, "a whole number")? else { return Ok(None) };
    let text = object.raw(name).map_or("", Raw::get);
    let text =
        text.split_once('.').map_or(text, |(head, tail)| if tail.bytes().all(|b| b == b'0') { head } else { "" });
    let wrong = || Error::field(object.at(name), "must be a whole number");
    match text.parse() {
        Ok(whole) => Ok(Some(whole)),
        // Google takes no count below nought for a count either, and -1 for none.
        Err(_) if number.value() < 0.0 => Ok(None),
        Err(_) => Err(wrong()),
    }
}

fn fields<'a>(raw: Raw<'a>, path: &str) -> Result<Fields<'a>, Error> {
    Fields::read(raw.get().as_bytes()).map_err(|_| Error::field(path, "must be an object"))
}

/// The elements of a list, or the one that stands in its place.
fn list(raw: Raw<'_>) -> Vec<Raw<'_>> {
    json::parse(raw.get()).unwrap_or_else(|_| vec![raw])
}

/// Base64 in the standard alphabet: clients of Google send either, and give signatures back in the other one.
fn standard(text: &str) -> String {
    let mut text = text.replace('-', "+").replace('_', "/");
    if !text.ends_with('=') {
        let missing = text.len().next_multiple_of(4) - text.len();
        text.extend(std::iter::repeat_n('=', missing));
    }
    text
}

fn is_video(url: &str) -> bool {
    ["https://www.youtube.com/", "https://youtube.com/", "https://youtu.be/", "https://m.youtube.com/"]
        .iter()
        .any(|start| url.starts_with(start))
}
