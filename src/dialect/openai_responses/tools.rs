//! Tools, and what they and their calls are named.
//!
//! Two kinds exist in this dialect only: tools that take free text, and tools in a namespace, as Codex has its MCP
//! servers. For all others they are functions, and their calls get their own kinds and names back.

use super::read_request::parse;
use crate::chat::{Custom, Json, Namespace, Tool, Unread};
use crate::error::Error;
use crate::wire::json::{self, Raw, objects, quoted, written};

/// The longest name of a function that all providers take.
const NAME_BYTES_MAX: usize = 64;

/// One name for a tool in a namespace: `mcp__files` and `read` are `mcp__files__read`.
///
/// Depends on nothing but the two, since the calls of earlier turns must get the same name.
pub(super) fn joined(namespace: &str, tool: &str) -> String {
    // Where OpenAI's own tool search has found a plain function, it names the function twice.
    if namespace == tool || namespace.is_empty() {
        return tool.to_owned();
    }
    // Codex ends the names of its namespaces so itself.
    let joined = format!("{}__{tool}", namespace.trim_end_matches('_'));
    if joined.len() <= NAME_BYTES_MAX {
        return joined;
    }
    let digest = joined.bytes().fold(FNV_BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
    let mut short = joined;
    let keep = NAME_BYTES_MAX - 17;
    short.truncate((0..=keep).rev().find(|at| short.is_char_boundary(*at)).unwrap_or(0));
    format!("{short}_{digest:016x}")
}

/// FNV-1a: only to keep shortened names apart.
const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// What a call is in this dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Called<'a> {
    pub(super) name: &'a str,
    pub(super) namespace: Option<&'a str>,
    pub(super) is_custom: bool,
}

impl<'a> Called<'a> {
    /// By the tools of the request; a name that none of them has is a plain function.
    pub(super) fn find(tools: &'a [Tool], name: &'a str) -> Self {
        let Some(tool) = tools.iter().find(|tool| tool.name == name) else {
            return Self { name, namespace: None, is_custom: false };
        };
        let is_custom = tool.custom.is_some();
        match &tool.namespace {
            Some(namespace) => Self { name: &namespace.tool, namespace: Some(&namespace.name), is_custom },
            None => Self { name: &tool.name, namespace: None, is_custom },
        }
    }
}

/// The canonical arguments of a call with free text.
pub(super) fn wrapped(input: &str) -> String {
    format!("{{\"input\":{}}}", quoted(input))
}

/// The free text in canonical arguments; a model that did not keep to the schema has its words passed on.
pub(super) fn unwrapped(arguments: &str) -> String {
    objects! {
        struct Wire {
            input: String,
        }
    }
    json::parse::<Wire>(arguments).map_or_else(|_| arguments.to_owned(), |wire| wire.input)
}

objects! {
    struct Wire<'a> {
        kind as "type": Option<String>,
        name: Option<String>,
        description: Option<String>,
        parameters: Option<Json>,
        strict: Option<bool>,
        format: Option<Json>,
        tools: Option<Vec<Raw<'a>>>,
        defer_loading: Option<bool>,
        /// Chat Completions' wrapper, which clients leave around the tool where they mix the two.
        function: Option<Raw<'a>>,
    }
}

/// Adds what stands at `path` to `tools`.
pub(super) fn read(wire: Vec<Raw<'_>>, path: &str, tools: &mut Vec<Tool>, unread: &mut Unread) -> Result<(), Error> {
    for (index, raw) in wire.into_iter().enumerate() {
        let path = format!("{path}[{index}]");
        let wire: Wire<'_> = parse(raw, &path)?;
        if wire.kind.as_deref() == Some("namespace") {
            let name = named(&wire, &path)?;
            for (index, raw) in wire.tools.unwrap_or_default().into_iter().enumerate() {
                let path = format!("{path}.tools[{index}]");
                let Some(mut tool) = tool(parse(raw, &path)?, &path, unread)? else { continue };
                let namespace = Namespace { name: name.clone(), tool: tool.name.clone() };
                tool.name = joined(&namespace.name, &namespace.tool);
                tool.namespace = Some(namespace);
                push(tool, &path, tools, unread);
            }
        } else if let Some(tool) = tool(wire, &path, unread)? {
            push(tool, &path, tools, unread);
        }
    }
    Ok(())
}

/// The first of a name stays: clients tell found tools once more.
fn push(tool: Tool, path: &str, tools: &mut Vec<Tool>, unread: &mut Unread) {
    match tools.iter().find(|known| known.name == tool.name) {
        None => tools.push(tool),
        Some(known) if known.namespace == tool.namespace => {}
        // Another tool that would go by the same name.
        Some(_) => unread.note(path),
    }
}

fn named(wire: &Wire<'_>, path: &str) -> Result<String, Error> {
    wire.name.clone().ok_or_else(|| Error::field(format!("{path}.name"), "is missing"))
}

/// `None` for a tool that only its provider can run.
fn tool(mut wire: Wire<'_>, path: &str, unread: &mut Unread) -> Result<Option<Tool>, Error> {
    if let Some(function) = wire.function.take() {
        wire = parse(function, &format!("{path}.function"))?;
        wire.kind = None;
    }
    let custom = match wire.kind.as_deref() {
        Some("function") | None => None,
        Some("custom") => Some(Custom { format: wire.format.take() }),
        Some(kind) => {
            unread.note(&format!("{path} ({kind})"));
            return Ok(None);
        }
    };
    if wire.defer_loading == Some(true) {
        unread.note("tools.defer_loading");
    }
    let schema = match &custom {
        Some(custom) => Some(free_text(custom)),
        None => wire.parameters.take(),
    };
    Ok(Some(Tool {
        name: named(&wire, path)?,
        description: wire.description,
        schema,
        strict: wire.strict,
        cache: None,
        custom,
        namespace: None,
    }))
}

/// The schema of a custom tool for those who know functions only. The grammar stands where the model reads it.
fn free_text(custom: &Custom) -> Json {
    objects! {
        struct Grammar {
            syntax: String,
            definition: String,
        }
    }
    let grammar = custom.format.as_ref().and_then(|format| json::parse::<Grammar>(format.get()).ok());
    let description = match grammar {
        Some(Grammar { syntax, definition }) => {
            format!("The whole input as plain text, which must follow this {syntax} grammar:\n{definition}")
        }
        None => "The whole input as plain text.".to_owned(),
    };
    let description = quoted(&description);
    Json::made(format!(
        r#"{{"type":"object","properties":{{"input":{{"type":"string","description":{description}}}}},"required":["input"],"additionalProperties":false}}"#
    ))
}

written! {
    pub(super) enum ToolOut<'a> tagged "type" {
        Function as "function" {
            name: &'a str,
            description?: Option<&'a str>,
            parameters: SchemaOut<'a>,
            /// Always there: this dialect takes a function without it for a strict one, which others do not.
            strict: bool,
        },
        Custom as "custom" {
            name: &'a str,
            description?: Option<&'a str>,
            format?: Option<Raw<'a>>,
        },
        Namespace as "namespace" { name: &'a str, description: &'a str, tools: Vec<ToolOut<'a>> },
    }

    pub(super) enum SchemaOut<'a> {
        Given(Raw<'a>),
        /// A function without parameters.
        Empty {
            kind as "type": &'static str,
            properties: Empty,
        },
    }

    pub(super) struct Empty {}
}

/// As this dialect has them: in their namespaces, and with their own kinds.
pub(super) fn write(tools: &[Tool]) -> Vec<ToolOut<'_>> {
    let mut out: Vec<ToolOut<'_>> = Vec::with_capacity(tools.len());
    for tool in tools {
        let Some(namespace) = &tool.namespace else {
            out.push(own(tool, &tool.name));
            continue;
        };
        let inner = own(tool, &namespace.tool);
        let group = out.iter_mut().find_map(|group| match group {
            ToolOut::Namespace { name, tools, .. } if *name == namespace.name => Some(tools),
            _ => None,
        });
        match group {
            Some(tools) => tools.push(inner),
            None => {
                // A description is required, and the group's own is not kept.
                let name = &namespace.name;
                out.push(ToolOut::Namespace { name, description: name, tools: vec![inner] });
            }
        }
    }
    out
}

fn own<'a>(tool: &'a Tool, name: &'a str) -> ToolOut<'a> {
    let description = tool.description.as_deref();
    match &tool.custom {
        Some(custom) => ToolOut::Custom { name, description, format: custom.format.as_ref().map(Json::raw) },
        None => {
            let parameters = match &tool.schema {
                Some(schema) => SchemaOut::Given(schema.raw()),
                None => SchemaOut::Empty { kind: "object", properties: Empty {} },
            };
            ToolOut::Function { name, description, parameters, strict: tool.strict.unwrap_or(false) }
        }
    }
}
