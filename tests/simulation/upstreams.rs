//! Twenty targets, each with its own price and pace, and what befalls them.

use std::collections::VecDeque;
use std::fmt::Write as _;

use bytes::Bytes;
use tollgate::host::Millis;
use tollgate::route::dice::Dice;

pub const TARGETS: usize = 20;
pub const SECOND: Millis = 1_000;
pub const MINUTE: Millis = 60 * SECOND;

/// What every request asks for, and every answer has.
const INPUT_TOKENS: u64 = 400;
const OUTPUT_TOKENS: u64 = 300;
/// In so many pieces.
const PIECES: u64 = 6;

/// How a target fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No connection.
    Refused,
    Status(u16),
    /// 429, and for how long it wants to be left alone.
    Busy {
        seconds: u32,
    },
    /// It takes the request, and nothing comes.
    Silent,
    /// So many times as long until the first byte.
    Slow(u64),
    /// Streams break off in the middle, whole answers in their body.
    Cut,
    /// The account is empty.
    Unpaid,
}

/// A fault of one target, for a time, in so many of a hundred requests.
#[derive(Debug, Clone, Copy)]
pub struct Spell {
    pub target: usize,
    pub from: Millis,
    pub until: Millis,
    pub fault: Fault,
    pub percent: u64,
}

/// A target without faults.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub first_byte_ms: u64,
    pub tokens_per_second: u64,
    /// Dollars per million tokens, of input and of output.
    pub price: (u64, u64),
}

impl Target {
    /// The first three are alike, so that only an outage tells them apart; of the others the quick ones are dear.
    pub fn of(index: usize) -> Self {
        let step = if index < 3 { 2 } else { (index * 7 % TARGETS) as u64 };
        Self {
            first_byte_ms: 200 + 40 * step,
            tokens_per_second: 150 - 3 * step,
            price: (TARGETS as u64 / 2 - step / 2 + 1, 2 * (TARGETS as u64 - step) + 1),
        }
    }

    /// What an answer costs that nobody waited for: what was read.
    pub fn wasted(self) -> u64 {
        INPUT_TOKENS * self.price.0 * PICODOLLARS_PER_TOKEN
    }
}

/// Of a dollar per million tokens.
const PICODOLLARS_PER_TOKEN: u64 = 1_000_000;

/// One thing that an upstream does.
#[derive(Debug, Clone)]
pub enum Step {
    Refuse,
    Head { status: u16, headers: Vec<(&'static str, String)> },
    Piece(Bytes),
    Close,
    Reset,
    Silence,
}

/// Each step, after so many milliseconds.
pub type Script = VecDeque<(Millis, Step)>;

/// What a request meets.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    pub target: usize,
    /// Its own chance: the same whoever else asks, and whatever is configured.
    pub chance: u64,
    pub streams: bool,
    /// Whether it is the caller's fault that it fails.
    pub is_wrong: bool,
    pub now: Millis,
}

/// What `spells` make of it.
pub fn script(spells: &[Spell], question: Question) -> Script {
    let Question { target, chance, now, .. } = question;
    // Of the request alone, so that targets that are alike take equally long for it.
    let mut dice = Dice::new(chance);
    let own = Target::of(target);
    let first_byte_ms = own.first_byte_ms * (700 + dice.below(600)) / 1000;
    // And of both: the slow one in fifty.
    let mut dice = Dice::new(chance ^ (target as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let first_byte_ms = if dice.below(50) == 0 { first_byte_ms * 4 } else { first_byte_ms };
    let spell = spells.iter().find(|spell| {
        spell.target == target && (spell.from..spell.until).contains(&now) && dice.below(100) < spell.percent
    });
    let error = |ms, status, headers, message: &str| {
        let body = format!(r#"{{"error":{{"message":"{message}","type":"error","param":null,"code":null}}}}"#);
        [(ms, Step::Head { status, headers }), (0, Step::Piece(body.into())), (0, Step::Close)].into()
    };
    if question.is_wrong && spell.is_none() {
        return error(30, 400, Vec::new(), "max_tokens: must be positive");
    }
    match spell.map(|spell| spell.fault) {
        None => answer(question, own, first_byte_ms, false),
        Some(Fault::Slow(times)) => answer(question, own, first_byte_ms * times, false),
        Some(Fault::Cut) => answer(question, own, first_byte_ms, true),
        Some(Fault::Refused) => [(1, Step::Refuse)].into(),
        Some(Fault::Silent) => [(0, Step::Silence)].into(),
        Some(Fault::Status(status)) => error(30, status, Vec::new(), "something broke"),
        Some(Fault::Busy { seconds }) => {
            error(30, 429, vec![("retry-after", seconds.to_string())], "Rate limit reached")
        }
        Some(Fault::Unpaid) => error(30, 402, Vec::new(), "Insufficient Balance"),
    }
}

fn answer(question: Question, target: Target, first_byte_ms: Millis, is_cut: bool) -> Script {
    let rest_ms = OUTPUT_TOKENS * 1000 / target.tokens_per_second;
    let usage = format!(
        r#""usage":{{"prompt_tokens":{INPUT_TOKENS},"completion_tokens":{OUTPUT_TOKENS},"total_tokens":{}}}"#,
        INPUT_TOKENS + OUTPUT_TOKENS
    );
    let kind = if question.streams { "text/event-stream" } else { "application/json" };
    let head = |ms| (ms, Step::Head { status: 200, headers: vec![("content-type", kind.to_owned())] });
    if !question.streams {
        let body = format!(
            r#"{{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"Hello"}},"finish_reason":"stop"}}],{usage}}}"#
        );
        let end = if is_cut { Step::Reset } else { Step::Close };
        return [head(first_byte_ms + rest_ms), (0, Step::Piece(body.into())), (0, end)].into();
    }
    let chunk = |choices: &str, more: &str| {
        format!(
            r#"data: {{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{choices}]{more}}}"#
        ) + "\n\n"
    };
    let delta = |delta: &str, finish: &str| format!(r#"{{"index":0,"delta":{delta},"finish_reason":{finish}}}"#);
    let start = chunk(&delta(r#"{"role":"assistant","content":""}"#, "null"), "");
    let mut script: Script = [head(first_byte_ms), (0, Step::Piece(start.into()))].into();
    for piece in 0..PIECES {
        if is_cut && piece == PIECES / 2 {
            script.push_back((0, Step::Reset));
            return script;
        }
        let text = chunk(&delta(r#"{"content":" words and more words"}"#, "null"), "");
        script.push_back((if piece == 0 { 0 } else { rest_ms / PIECES }, Step::Piece(text.into())));
    }
    let mut last = chunk(&delta("{}", "\"stop\""), "") + &chunk("", &format!(",{usage}"));
    write!(last, "data: [DONE]\n\n").expect("a string");
    script.extend([(rest_ms / PIECES, Step::Piece(last.into())), (0, Step::Close)]);
    script
}
