//! What the scripted model says, free of any dialect. The upstream renders an `Answer` in its dialect, the
//! caller reads it back in its own, and a scenario compares the two.

use serde_json::Value;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    /// Thought and signature, where an upstream has a place for one. Google's are base64.
    pub(crate) thinking: Option<(&'static [&'static str], &'static str)>,
    /// In the pieces in which it is streamed.
    pub(crate) text: &'static [&'static str],
    pub(crate) calls: &'static [Call],
    pub(crate) stop: Stop,
    pub(crate) usage: Usage,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    /// The JSON text of the arguments, in the pieces in which it is streamed.
    pub(crate) arguments: &'static [&'static str],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    End,
    Length,
    /// A stop sequence of the caller's; Chat Completions does not tell it from `End`.
    Sequence(&'static str),
    Tools,
}

/// As Tollgate counts: `input` includes `cached` and `cache_write`, `output` includes `reasoning`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) input: u64,
    pub(crate) cached: u64,
    pub(crate) cache_write: u64,
    pub(crate) output: u64,
    pub(crate) reasoning: u64,
}

impl Answer {
    /// The answer a model of this name gives when nothing goes wrong.
    pub(crate) fn of(model: &str) -> Self {
        match model {
            "tools" | "interleaved-tools" | "sloppy-tools" => TOOLS,
            "thinking" => THINKING,
            "length" => Self { stop: Stop::Length, ..TEXT },
            "stop-sequence" => Self { stop: Stop::Sequence("END"), ..TEXT },
            "cheap" => CHEAP,
            "bash" => BASH,
            "exec-command" => EXEC_COMMAND,
            _ => TEXT,
        }
    }

    pub(crate) fn whole_text(&self) -> String {
        self.text.concat()
    }

    pub(crate) fn whole_thinking(&self) -> String {
        self.thinking.map(|(pieces, _)| pieces.concat()).unwrap_or_default()
    }
}

impl Call {
    pub(crate) fn value(&self) -> Value {
        serde_json::from_str(&self.arguments.concat()).expect("scripted arguments are JSON")
    }
}

/// What the scripted model says after it was given the results of its calls.
pub(crate) const AFTER_TOOLS: Answer = Answer { text: &["It is 21 °C ", "in Tokyo and ", "9 am in Lima."], ..TEXT };

const TEXT: Answer = Answer {
    thinking: None,
    text: &["Grüße ", "aus 東", "京 🙂", "\n\"quoted\\\" ", "</script>\u{2028}", "done."],
    calls: &[],
    stop: Stop::End,
    usage: Usage { input: 120, cached: 40, cache_write: 20, output: 30, reasoning: 10 },
};

const TOOLS: Answer = Answer {
    text: &["Let me ", "look."],
    calls: &[
        Call {
            id: "call_weather_7Yx",
            name: "get_weather",
            arguments: &["{\"city\":", " \"Tōkyō\", \"days\": 2", ", \"units\": {\"t\": \"°C\"}}"],
        },
        Call { id: "call_time_9Qz", name: "get_time", arguments: &["{\"zone\"", ":\"America/", "Lima\"}"] },
    ],
    stop: Stop::Tools,
    ..TEXT
};

/// What it signs with: base64, as all who sign do.
pub(crate) const SIGNATURE: &str = "EqQBCkYIARgCKkBz+scripted/signatureABQ==";

const THINKING: Answer = Answer { thinking: Some((&["First, ", "the weather ", "in 東京."], SIGNATURE)), ..TOOLS };

/// Calls the tool that Claude Code has for commands, after a thought.
const BASH: Answer = Answer {
    calls: &[Call {
        id: "call_bash_4Kw",
        name: "Bash",
        arguments: &["{\"command\":\"cat ", "note.txt\",", "\"description\":\"Read the note\"}"],
    }],
    ..THINKING
};

/// Calls the tool that Codex has for commands, after a thought.
const EXEC_COMMAND: Answer = Answer {
    calls: &[Call { id: "call_exec_2Bv", name: "exec_command", arguments: &["{\"cmd\":", "\"cat note", ".txt\"}"] }],
    ..THINKING
};

const CHEAP: Answer = Answer {
    text: &["Ten", " four."],
    usage: Usage { input: 8, cached: 0, cache_write: 0, output: 20, reasoning: 0 },
    ..TEXT
};
