//! Writes a request.
//!
//! Converse is one form for many makers' models, and each refuses what it does not know: what only some take goes by the
//! maker's name in the model id. What must give way is adapted or listed as lost.

mod body;
mod maker;
mod media;
mod reasoning;

use std::borrow::Cow;

use self::body::{
    Block, Body, CachePoint, Empty, Extra, Inference, JsonText, Nova, OutputConfig, Reasoning, ReasoningText,
    ResultBlock, Schema, System, TextFormat, Tier, ToolChoiceOut, ToolConfig, ToolOut, ToolSpec, Turn,
};
use self::maker::{ADAPTIVE, CACHES, Maker, SINGLE, STRICT};
use self::media::Media;
use super::{tool_id, tool_name};
use crate::chat::{Content, Format, Json, Message, Number, Part, Request, Role, Tool, ToolCall, ToolChoice};
use crate::wire::json::{self, Fields, Raw, Verbatim, objects};

/// What Claude lets be tried here.
///
/// Sources: "Anthropic Claude Messages API", Amazon Bedrock user guide; BerriAI/litellm, its table of what each cloud
/// takes; read 2026-11.
const BETAS: &[&str] = &[
    "computer-use-2025-01-24",
    "computer-use-2025-11-24",
    "context-1m-2025-08-07",
    "dev-full-thinking-2025-05-14",
    "effort-2025-11-24",
    "fine-grained-tool-streaming-2025-05-14",
    "interleaved-thinking-2025-05-14",
    "output-128k-2025-02-19",
    "structured-outputs-2025-11-13",
    "thinking-binding-controls-2026-08-01",
    "thinking-display-updates-2026-08-18",
    "token-efficient-tools-2025-02-19",
];

pub fn write_request(request: &Request, lost: &mut Vec<String>) -> Vec<u8> {
    let mut writer = Writer { maker: Maker::of(&request.model), media: Media::default(), lost };
    for name in request.settings().filter(|name| !matches!(*name, "top_k" | "service_tier")) {
        writer.lose(name);
    }
    if request.user.is_some() {
        writer.lose("user");
    }
    let leading = request.messages.iter().take_while(|message| message.role == Role::System).count();
    let (leading, rest) = request.messages.split_at_checked(leading).unwrap_or_default();
    let system = writer.system(leading);
    let messages = writer.turns(rest);
    let tool_config = writer.tools(request);
    let plan = writer.plan(request, &messages, tool_config.as_ref());
    let thinks = plan.extra.thinking.is_some();
    let stop = writer.stop(request);
    // Which sequence was met is told only where it is asked for.
    let asks_stop = !stop.is_empty() && matches!(writer.maker, Maker::Anthropic(_));
    let path = if request.stream { "/delta/stop_sequence" } else { "/stop_sequence" };
    let inference = Inference {
        max_tokens: plan.max_tokens,
        temperature: writer.temperature(request, thinks),
        top_p: writer.top_p(request, thinks),
        stop_sequences: stop,
    };
    let mut extra = plan.extra;
    writer.top_k(request, thinks, &mut extra);
    writer.single(request, tool_config.as_ref(), &mut extra);
    writer.betas(request, &mut extra);
    let body = Body {
        system,
        messages,
        inference_config: (!inference.is_empty()).then_some(inference),
        tool_config,
        output_config: writer.format(request),
        service_tier: writer.tier(request),
        additional_model_request_fields: (!extra.is_empty()).then_some(extra),
        additional_model_response_field_paths: asks_stop.then_some([path]),
    };
    json::to_vec(&body)
}

struct Writer<'l> {
    maker: Maker,
    media: Media,
    lost: &'l mut Vec<String>,
}

impl Writer<'_> {
    fn lose(&mut self, name: &str) {
        if !self.lost.iter().any(|lost| lost == name) {
            self.lost.push(name.to_owned());
        }
    }

    fn system<'a>(&mut self, messages: &'a [Message]) -> Vec<System<'a>> {
        let mut blocks = Vec::new();
        for part in messages.iter().flat_map(|message| &message.parts) {
            match &part.content {
                Content::Text(text) if text.trim().is_empty() => {}
                Content::Text(text) => {
                    blocks.push(System::Text(text));
                    blocks.extend(self.cache(part).map(System::CachePoint));
                }
                other => self.lose(name(other)),
            }
        }
        blocks
    }

    /// Turns alternate, begin with the user, and have their results first.
    fn turns<'a>(&mut self, messages: &'a [Message]) -> Vec<Turn<'a>> {
        let mut turns: Vec<Turn<'a>> = Vec::new();
        for message in messages {
            let role = match message.role {
                Role::Assistant => "assistant",
                // Most models refuse system messages between others; hoisted to `system` they would change the prefix
                // that is cached (BerriAI/litellm#32578).
                Role::User | Role::System => "user",
            };
            let (mut results, mut rest) = (Vec::new(), Vec::new());
            for part in &message.parts {
                let Some(block) = self.block(message.role, part) else { continue };
                let place = if matches!(block, Block::ToolResult { .. }) { &mut results } else { &mut rest };
                place.push(block);
                place.extend(self.cache(part).map(Block::CachePoint));
            }
            match turns.last_mut() {
                _ if results.is_empty() && rest.is_empty() => {}
                Some(last) if last.role == role => {
                    last.results.extend(results);
                    last.rest.extend(rest);
                }
                _ => turns.push(Turn { role, results, rest }),
            }
        }
        // "A conversation must start with a user message."
        if turns.first().is_none_or(|turn| turn.role != "user") {
            turns.insert(0, Turn { role: "user", results: Vec::new(), rest: vec![Block::Text(Cow::Borrowed("."))] });
        }
        for turn in &mut turns {
            let has = |wanted: fn(&Block<'_>) -> bool| turn.rest.iter().any(wanted);
            // "If you include a ContentBlock with a document field in the array, you must also include a ContentBlock
            // with a text field."
            if has(|block| matches!(block, Block::Document(_))) && !has(|block| matches!(block, Block::Text(_))) {
                turn.rest.push(Block::Text(Cow::Borrowed(".")));
            }
        }
        if let Some(Turn { role: "assistant", rest, .. }) = turns.last_mut()
            && let Some(Block::Text(text)) = rest.last_mut()
        {
            // Claude's "final assistant content cannot end with trailing whitespace".
            *text = Cow::Owned(text.trim_end().to_owned());
        }
        turns
    }

    fn block<'a>(&mut self, role: Role, part: &'a Part) -> Option<Block<'a>> {
        match (&part.content, role) {
            // "The text field in the ContentBlock object is blank."
            (Content::Text(text), _) => (!text.trim().is_empty()).then_some(Block::Text(Cow::Borrowed(text))),
            (Content::Image(_) | Content::Audio(_) | Content::Video(_) | Content::Document { .. }, Role::User) => {
                let block = self.media.block(&part.content);
                if block.is_none() {
                    self.lose(name(&part.content));
                }
                block
            }
            (Content::ToolResult { call, parts, is_error }, Role::User) => {
                let tool_use_id = tool_id(call, self.maker == Maker::Mistral);
                let mut content: Vec<ResultBlock<'a>> =
                    parts.iter().filter_map(|part| self.result(&part.content)).collect();
                if content.is_empty() {
                    content.push(ResultBlock::Text(if *is_error { "error" } else { "(empty)" }));
                }
                // Only some models take a status; success is what the others know.
                Some(Block::ToolResult { tool_use_id, content, status: is_error.then_some("error") })
            }
            (Content::Reasoning { text, signature: Some(signature) }, Role::Assistant) => {
                Some(Block::Reasoning(Reasoning::ReasoningText(ReasoningText { text, signature })))
            }
            (Content::SealedReasoning(sealed), Role::Assistant) => {
                Some(Block::Reasoning(Reasoning::RedactedContent(sealed)))
            }
            (Content::ToolCall(ToolCall { id, name, arguments, .. }), Role::Assistant) => {
                let (input, is_whole) = input(arguments);
                if !is_whole {
                    self.lose("messages.tool_calls.arguments");
                }
                let tool_use_id = tool_id(id, self.maker == Maker::Mistral);
                Some(Block::ToolUse { tool_use_id, name: tool_name(name), input })
            }
            // Without its proof Claude refuses a thought, and other models want none back.
            (other, _) => {
                self.lose(name(other));
                None
            }
        }
    }

    fn result<'a>(&mut self, content: &'a Content) -> Option<ResultBlock<'a>> {
        if let Content::Text(text) = content {
            return (!text.trim().is_empty()).then_some(ResultBlock::Text(text));
        }
        let block = self.media.result(content);
        if block.is_none() {
            self.lose(name(content));
        }
        block
    }

    /// The point behind `part` up to which its prompt is cached. The markers of a result's own parts are its too: nothing
    /// inside it can be marked.
    fn cache(&mut self, part: &Part) -> Option<CachePoint> {
        let within = match &part.content {
            Content::ToolResult { parts, .. } => parts.iter().rev().find_map(|part| part.cache.as_ref()),
            _ => None,
        };
        let marker = part.cache.as_ref().or(within)?;
        if !self.maker.caches() {
            self.lose("cache_control");
            return None;
        }
        Some(cache_point(marker))
    }

    fn tools<'a>(&mut self, request: &'a Request) -> Option<ToolConfig<'a>> {
        let mut tools = Vec::new();
        for tool in &request.tools {
            tools.push(ToolOut::ToolSpec(self.tool(tool)));
            match &tool.cache {
                Some(marker) if self.maker.is_claude_since(CACHES) => {
                    tools.push(ToolOut::CachePoint(cache_point(marker)));
                }
                Some(_) => self.lose("cache_control"),
                None => {}
            }
        }
        let called = called(&request.messages);
        let mut tool_choice = None;
        match &request.tool_choice {
            // There is no word for it, so that the tools are not told; where some were called they must be.
            Some(ToolChoice::None) if called.is_empty() => tools.clear(),
            Some(ToolChoice::None) if !tools.is_empty() => self.lose("tool_choice"),
            Some(ToolChoice::None | ToolChoice::Auto) | None => {}
            Some(ToolChoice::Required | ToolChoice::Named(_)) if tools.is_empty() => self.lose("tool_choice"),
            Some(ToolChoice::Required) => tool_choice = Some(ToolChoiceOut::Any(Empty {})),
            Some(ToolChoice::Named(name)) => tool_choice = Some(ToolChoiceOut::Tool { name: tool_name(name) }),
        }
        if tools.is_empty() {
            // "The toolConfig field must be defined when using toolUse and toolResult content blocks."
            tools = called.into_iter().map(|name| ToolOut::ToolSpec(stand_in(name))).collect();
        }
        (!tools.is_empty()).then_some(ToolConfig { tools, tool_choice })
    }

    fn tool<'a>(&mut self, tool: &'a Tool) -> ToolSpec<'a> {
        let strict = tool.strict.filter(|strict| *strict);
        let holds = self.maker.is_claude_since(STRICT);
        if strict.is_some() && !holds {
            self.lose("tools.strict");
        }
        ToolSpec {
            name: tool_name(&tool.name),
            description: tool.description.as_deref().filter(|text| !text.is_empty()),
            input_schema: Schema { json: schema(tool.schema.as_ref()) },
            strict: strict.filter(|_| holds),
        }
    }

    /// One call at a time: only Claude has a word for it, which is refused beside a choice of Converse's own
    /// (BerriAI/litellm#34347 and #36536).
    fn single(&mut self, request: &Request, tools: Option<&ToolConfig<'_>>, extra: &mut Extra<'_>) {
        let Some(config) = tools.filter(|_| request.parallel_tools == Some(false)) else { return };
        if config.tool_choice.is_none() && self.maker.is_claude_since(SINGLE) {
            extra.tool_choice = Some(body::Single { kind: "auto", disable_parallel_tool_use: true });
        } else {
            self.lose("parallel_tool_calls");
        }
    }

    /// One that is not known is refused with all of the request: "invalid beta flag". To other models than Claude they
    /// mean nothing.
    fn betas<'a>(&mut self, request: &'a Request, extra: &mut Extra<'a>) {
        let is_claude = matches!(self.maker, Maker::Anthropic(_));
        for beta in request.betas.iter().map(String::as_str).filter(|_| is_claude) {
            if BETAS.contains(&beta) {
                extra.anthropic_beta.push(beta);
            } else {
                self.lose(&format!("anthropic-beta: {beta}"));
            }
        }
    }

    fn top_k(&mut self, request: &Request, thinks: bool, extra: &mut Extra<'_>) {
        if request.top_k.is_none() {
            return;
        }
        match self.maker {
            Maker::Anthropic(version) if !thinks && version < ADAPTIVE => extra.top_k = request.top_k,
            Maker::Amazon { .. } => extra.nova_inference = Some(Nova { top_k: request.top_k }),
            Maker::Mistral => extra.top_k = request.top_k,
            Maker::Cohere => extra.k = request.top_k,
            _ => self.lose("top_k"),
        }
    }

    /// Converse's temperature ends at 1; OpenAI's at 2. Beside Claude's thinking it must be 1.
    fn temperature<'a>(&mut self, request: &'a Request, thinks: bool) -> Option<Cow<'a, Number>> {
        let number = request.temperature.as_ref()?;
        let value = number.value();
        if thinks || self.maker.is_claude_since(ADAPTIVE) {
            if value != 1.0 {
                self.lose("temperature");
            }
            return None;
        }
        if (0.0..=1.0).contains(&value) {
            return Some(Cow::Borrowed(number));
        }
        self.lose("temperature");
        Some(Cow::Owned(Number::from(u64::from(value > 1.0))))
    }

    fn top_p<'a>(&mut self, request: &'a Request, thinks: bool) -> Option<&'a Number> {
        let number = request.top_p.as_ref()?;
        let is_free = !thinks || (0.95..=1.0).contains(&number.value());
        let is_alone = !self.maker.is_claude_since(STRICT) || request.temperature.is_none();
        if is_free && is_alone && !self.maker.is_claude_since(ADAPTIVE) {
            return Some(number);
        }
        self.lose("top_p");
        None
    }

    /// None may be empty, nor blank for Claude.
    fn stop<'a>(&mut self, request: &'a Request) -> Vec<&'a str> {
        let is_claude = matches!(self.maker, Maker::Anthropic(_));
        let says = |stop: &&str| !(if is_claude { stop.trim() } else { stop }).is_empty();
        let kept: Vec<&str> = request.stop.iter().map(String::as_str).filter(says).collect();
        if kept.len() < request.stop.len() {
            self.lose("stop");
        }
        kept
    }

    fn format<'a>(&mut self, request: &'a Request) -> Option<OutputConfig<'a>> {
        match request.format.as_ref()? {
            Format::Schema { name, schema, .. } => {
                Some(OutputConfig { text_format: TextFormat::new(JsonText { name, schema: schema.get() }) })
            }
            Format::Json => {
                self.lose("response_format");
                None
            }
        }
    }

    fn tier<'a>(&mut self, request: &'a Request) -> Option<Tier<'a>> {
        match request.service_tier.as_deref()? {
            // What Bedrock does unasked.
            "auto" | "standard_only" => None,
            kind @ ("default" | "priority" | "flex") => Some(Tier { kind }),
            _ => {
                self.lose("service_tier");
                None
            }
        }
    }
}

/// A `cache_control` in Bedrock's words.
fn cache_point(marker: &Json) -> CachePoint {
    objects! {
        struct Marker {
            ttl: Option<String>,
        }
    }
    let ttl = json::parse::<Marker>(marker.get()).ok().and_then(|marker| marker.ttl);
    CachePoint { kind: "default", ttl: ttl.filter(|ttl| ttl == "5m" || ttl == "1h") }
}

/// The names of all tools that were called, each once.
fn called(messages: &[Message]) -> Vec<&str> {
    let mut names = Vec::new();
    for part in messages.iter().flat_map(|message| &message.parts) {
        match &part.content {
            Content::ToolCall(call) if !names.contains(&call.name.as_str()) => names.push(call.name.as_str()),
            _ => {}
        }
    }
    names
}

/// A tool that was called before and is not offered any more.
fn stand_in(name: &str) -> ToolSpec<'_> {
    ToolSpec { name: tool_name(name), description: None, input_schema: Schema { json: schema(None) }, strict: None }
}

/// `arguments` as the object that `input` must be, and whether nothing was lost.
fn input(arguments: &str) -> (Verbatim<'_>, bool) {
    match json::parse::<Raw<'_>>(arguments.trim()) {
        Ok(raw) if raw.get().starts_with('{') => (raw.into(), true),
        Ok(raw) if raw.is_null() => (Raw::EMPTY_OBJECT.into(), true),
        Ok(raw) => (Verbatim::made(format!("{{\"value\":{raw}}}")), true),
        Err(_) => (Raw::EMPTY_OBJECT.into(), arguments.trim().is_empty()),
    }
}

/// The schema must be of an object and say so; OpenAI's may be absent or leave the type out.
fn schema(schema: Option<&Json>) -> Verbatim<'_> {
    match schema.map(|schema| (schema.raw(), Fields::read(schema.get().as_bytes()))) {
        Some((raw, Ok(fields))) if fields.raw("type").is_some() => raw.into(),
        Some((_, Ok(fields))) => {
            Verbatim::made(String::from_utf8(fields.with(&[("type", "\"object\"")])).unwrap_or_default())
        }
        None | Some((_, Err(_))) => Raw::of(r#"{"type":"object","properties":{}}"#).into(),
    }
}

/// How `lost` calls a part that has no place where it stands.
fn name(content: &Content) -> &'static str {
    match content {
        Content::Text(_) => "messages.content (text)",
        Content::Image(_) => "messages.content (image)",
        Content::Audio(_) => "messages.content (audio)",
        Content::Video(_) => "messages.content (video)",
        Content::Document { .. } => "messages.content (document)",
        Content::Reasoning { .. } | Content::SealedReasoning(_) => "messages.reasoning",
        Content::ToolCall(_) => "messages.tool_calls",
        Content::ToolResult { .. } => "messages.content (tool_result)",
    }
}

#[cfg(test)]
mod tests;
