//! Who made a model, as far as its id says, and what the maker's models know.

/// Who made a model, as its id says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Maker {
    Anthropic(Version),
    /// Nova, and whether it is the second, which reasons.
    Amazon {
        reasons: bool,
    },
    Mistral,
    Cohere,
    /// The open-weight models.
    Openai,
    Qwen,
    Other,
}

pub(super) type Version = (u32, u32);

// The first Claude of each kind. Bedrock hands on what Anthropic's own API refuses, as users reported it in public issue
// threads, read 2026-11.

/// Whose prompts are cached on Bedrock. Source: "Prompt caching", Amazon Bedrock user guide, read 2026-11.
pub(super) const CACHES: Version = (3, 5);

/// That thinks aloud.
pub(super) const THINKS: Version = (3, 7);

/// That holds arguments to a schema, and takes only one of two sampling fields.
pub(super) const STRICT: Version = (4, 1);

/// That can be asked for one call at a time through Converse (BerriAI/litellm#34347).
pub(super) const SINGLE: Version = (4, 5);

/// That takes adaptive thinking.
pub(super) const ADAPTIVE_TOO: Version = (4, 6);

/// That takes no other, and whose sampling is not the caller's.
pub(super) const ADAPTIVE: Version = (4, 7);

impl Maker {
    pub(super) fn of(model: &str) -> Self {
        // `us.anthropic.claude-sonnet-4-5-20250929-v1:0`, or an ARN that ends like this.
        let is = |name: &str| model.contains(name);
        if is("claude") {
            Self::Anthropic(version(model))
        } else if is("amazon.nova") {
            Self::Amazon { reasons: is("nova-2") }
        } else if is("mistral.") {
            Self::Mistral
        } else if is("cohere.") {
            Self::Cohere
        } else if is("openai.") {
            Self::Openai
        } else if is("qwen.") {
            Self::Qwen
        } else {
            Self::Other
        }
    }

    pub(super) fn is_claude_since(self, least: Version) -> bool {
        matches!(self, Self::Anthropic(version) if version >= least)
    }

    pub(super) fn caches(self) -> bool {
        self.is_claude_since(CACHES) || matches!(self, Self::Amazon { .. })
    }
}

/// Of a Claude: (4, 5) in the name above, (0, 0) where it is not to be seen.
fn version(model: &str) -> Version {
    let name = model.rsplit_once("claude").map_or("", |(_, name)| name);
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
    // Longer numbers are dates.
    let number = |word: &str| word.parse().ok().filter(|_| word.len() <= 2);
    let major = words.find_map(number).unwrap_or_default();
    (major, words.next().and_then(number).unwrap_or_default())
}
