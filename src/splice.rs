//! One answer out of several: what a target said before it broke off, and how another goes on. Pure; `serve/splice.rs`
//! asks for it.
//!
//! Only text can be gone on from. A tool call may be half told, a proof is good for its own reasoning only, and a JSON
//! text would be begun anew: whoever broke off after one of those stays cut.

use crate::chat::{Block, Content, Event, Grammar, Kind, Message, Part, Request, Role, Usage};
use crate::dialect::{Dialect, Encode};
use crate::relay::estimate;

/// Longer text is not kept, and so not gone on from.
const SAID_BYTES_MAX: usize = 1024 * 1024;
/// How far back a repetition of what was said is looked for.
const REPEATED_BYTES_MAX: usize = 4096;
/// What is shorter may well be said twice: two words or so.
const REPEATED_BYTES_MIN: usize = 8;

/// What the caller was told of an answer. Goes from who broke off to who goes on.
pub struct Splice {
    encoder: Box<dyn Encode>,
    /// Where the caller's stream stands.
    at: Grammar,
    said: String,
    /// Whether something was told that nobody else can go on from.
    is_bound: bool,
    /// Whether this is not the first who tells.
    goes_on: bool,
    seam: Option<Seam>,
    /// Of all who broke off.
    before: Usage,
}

impl Splice {
    pub fn new(encoder: Box<dyn Encode>) -> Self {
        let at = Grammar::default();
        Self { encoder, at, said: String::new(), is_bound: false, goes_on: false, seam: None, before: Usage::default() }
    }

    /// The text that another can go on from; empty before the first.
    pub fn text(&self) -> Option<&str> {
        let is_open = matches!(self.at, Grammar::Between | Grammar::Inside(_));
        (is_open && !self.is_bound).then_some(self.said.as_str())
    }

    /// Another tells from now on; who told until now has used so much.
    pub fn follow(&mut self, used: Usage, out: &mut Vec<u8>) {
        self.before = self.before.plus(used);
        self.goes_on = true;
        self.seam = Some(Seam::after(&self.said));
        // Should the next one not count, the caller still gets what is known.
        self.encoder.event(&Event::Usage(self.before), out);
    }

    /// Tells the caller of what an upstream of `dialect` said.
    pub fn event(&mut self, event: Event, dialect: Dialect, out: &mut Vec<u8>) {
        if !self.goes_on {
            return self.tell(event, dialect, out);
        }
        match event {
            Event::Start { .. } => {}
            Event::Text(text) => match &mut self.seam {
                Some(seam) => {
                    if let Some(new) = seam.feed(&text) {
                        self.seam = None;
                        self.text_told(new, dialect, out);
                    }
                }
                None => self.text_told(text, dialect, out),
            },
            Event::Usage(usage) => self.tell(Event::Usage(self.before.plus(usage)), dialect, out),
            Event::Open(Block::Text) if self.at == Grammar::Inside(Kind::Text) => {}
            Event::Open(_) | Event::Stop(_) => {
                self.pass_seam(dialect, out);
                if matches!(self.at, Grammar::Inside(_)) {
                    self.tell(Event::Close, dialect, out);
                }
                self.tell(event, dialect, out);
            }
            Event::Close => {
                self.pass_seam(dialect, out);
                self.tell(event, dialect, out);
            }
            event => self.tell(event, dialect, out),
        }
    }

    /// What tells the caller, for what is not part of the answer.
    pub fn encoder(&mut self) -> &mut dyn Encode {
        &mut *self.encoder
    }

    /// There is no more text to compare with what was said.
    fn pass_seam(&mut self, dialect: Dialect, out: &mut Vec<u8>) {
        // Reasoning may come before the text.
        if let Some(seam) = self.seam.take_if(|seam| !seam.held.is_empty()) {
            self.text_told(seam.rest(), dialect, out);
        }
    }

    fn text_told(&mut self, text: String, dialect: Dialect, out: &mut Vec<u8>) {
        if !text.is_empty() {
            self.tell(Event::Text(text), dialect, out);
        }
    }

    fn tell(&mut self, event: Event, dialect: Dialect, out: &mut Vec<u8>) {
        // Out of order it cannot be: each upstream keeps to the grammar, and the seam is made to fit.
        self.at = self.at.after(&event).unwrap_or(self.at);
        match &event {
            Event::Text(text) if self.said.len().saturating_add(text.len()) <= SAID_BYTES_MAX => {
                self.said.push_str(text);
            }
            Event::Text(_) | Event::Signature(_) | Event::Open(Block::ToolCall { .. } | Block::SealedReasoning(_)) => {
                self.is_bound = true
            }
            // The proof comes last, and without it the rest is none.
            Event::Open(Block::Reasoning) => self.is_bound |= dialect.proves_reasoning(),
            _ => {}
        }
        self.encoder.event(&event, out);
    }
}

/// Finds at the beginning of a text how much of it repeats the end of another. Asked to go on, models like to begin with
/// the last words again.
#[derive(Debug)]
struct Seam {
    /// The end of what was said.
    end: String,
    /// What may still turn out to be a repetition.
    held: String,
}

impl Seam {
    fn after(said: &str) -> Self {
        let at = (said.len().saturating_sub(REPEATED_BYTES_MAX)..=said.len()).find(|at| said.is_char_boundary(*at));
        let end = at.and_then(|at| said.get(at..)).unwrap_or_default().to_owned();
        Self { end, held: String::new() }
    }

    /// What is new of the text so far, once that is known.
    fn feed(&mut self, text: &str) -> Option<String> {
        self.held.push_str(text);
        let is_open = self.ends().any(|end| end.len() > self.held.len() && end.starts_with(&self.held));
        (!is_open).then(|| self.unrepeated())
    }

    /// What is new of a text that is over.
    fn rest(mut self) -> String {
        self.unrepeated()
    }

    fn unrepeated(&mut self) -> String {
        let repeated = self.ends().find(|end| self.held.starts_with(end)).map_or(0, str::len);
        self.held.split_off(repeated)
    }

    /// Every way that what was said ends, the longest first.
    fn ends(&self) -> impl Iterator<Item = &str> {
        let last = self.end.len().saturating_sub(REPEATED_BYTES_MIN - 1);
        (0..last).filter_map(|at| self.end.get(at..))
    }
}

/// `request` as one is asked who is to go on after `said`.
///
/// The text is put as the assistant's, and the user asks for the rest of it: every dialect has that, and every model
/// takes it. A conversation that ends with the assistant's text would be gone on from more exactly where a server takes
/// it for a beginning, but Anthropic's models refuse it since Claude 4.6 ("Prefill removal", What's new in Claude 4.6),
/// Mistral's and DeepSeek's want it marked, the latter at another URL ("Chat Prefix Completion"), vLLM's with two more
/// fields, and OpenAI's begin another answer. Prompting with the text so far is also what "Handling LLM API streaming
/// errors", Atlassian Forge documentation, has for it; all read 2026-11.
pub fn go_on(request: &mut Request, said: &str, dialect: Dialect) {
    if said.trim().is_empty() {
        // There is nothing yet to go on from, and many refuse a message without text: it is asked anew.
        return;
    }
    // What is over is not to be written again, nor paid.
    request.max_tokens = request.max_tokens.map(|most| most.saturating_sub(estimate(said.len() as u64)).max(1));
    if dialect == Dialect::OpenaiCompletions {
        // Going on is all that they do, and a paragraph's end before the text would be in its place.
        if let Some(Part { content: Content::Text(prompt), .. }) =
            request.messages.last_mut().and_then(|message| message.parts.last_mut())
        {
            prompt.push_str(said);
            return;
        }
    }
    let message = |role, text: &str| Message { role, parts: vec![Part::text(text)] };
    request.messages.push(message(Role::Assistant, said));
    request.messages.push(message(Role::User, GO_ON));
}

const GO_ON: &str = "Your last message was cut off in the middle. Write the rest of it: begin with exactly the character \
                     that comes next, in the middle of a word if need be. Repeat nothing, and say nothing about this.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Stop;
    use crate::dialect::{Inbound, Label};

    /// What is left of `text` after `said`, in pieces of `size` bytes or so.
    fn joined(said: &str, text: &str, size: usize) -> String {
        let mut seam = Some(Seam::after(said));
        let mut new = String::new();
        let mut rest = text;
        while !rest.is_empty() {
            let at = (size.min(rest.len())..=rest.len()).find(|at| rest.is_char_boundary(*at)).unwrap();
            let (piece, more) = rest.split_at(at);
            rest = more;
            match &mut seam {
                Some(held) => {
                    if let Some(text) = held.feed(piece) {
                        seam = None;
                        new.push_str(&text);
                    }
                }
                None => new.push_str(piece),
            }
        }
        new + &seam.map(Seam::rest).unwrap_or_default()
    }

    #[test]
    fn what_is_repeated_is_dropped_whatever_pieces_it_comes_in() {
        let long = "0123456789abcdef".repeat(400);
        let cases = [
            ("The quick brown fox", " jumps", " jumps"),
            ("The quick brown fox", "brown fox jumps", " jumps"),
            ("The quick brown fox", "The quick brown fox jumps", " jumps"),
            ("The quick brown fox", "The quick brown fox", ""),
            // As much of it as a whole repetition would begin with, and then something else.
            ("The quick brown fox", "The quick red fox", "The quick red fox"),
            // Seven bytes are no repetition, eight are.
            ("a 1234567", "1234567 and", "1234567 and"),
            ("a 12345678", "12345678 and", " and"),
            ("ab ab ab ab", "ab ab ab ab ab", " ab"),
            ("größer als Öl", "als Öl im Wasser", "als Öl im Wasser"),
            ("viel größer als Öl", "größer als Öl im Wasser", " im Wasser"),
            ("", "anything", "anything"),
            (&long, long.get(long.len() - 4096..).unwrap(), ""),
        ];
        for (said, text, new) in cases {
            for size in 1..=text.len().min(40) {
                assert_eq!(joined(said, text, size), new, "{said:?} {text:?} in pieces of {size}");
            }
        }
    }

    fn tell(splice: &mut Splice, dialect: Dialect, events: Vec<Event>) -> Vec<u8> {
        let mut out = Vec::new();
        events.into_iter().for_each(|event| splice.event(event, dialect, &mut out));
        out
    }

    fn start() -> Event {
        Event::Start { id: "a".into(), model: "m".into() }
    }

    fn text(text: &str) -> Event {
        Event::Text(text.into())
    }

    fn callers() -> [Inbound; 5] {
        use Inbound::{AiSdk, Anthropic, Gemini, OpenaiChat, OpenaiResponses};
        [OpenaiChat, Anthropic, Gemini, OpenaiResponses, AiSdk(crate::dialect::ai_sdk::Version::V4)]
    }

    #[test]
    fn two_parts_are_told_as_one_answer_is() {
        let used = |input, output| Usage { input, output, ..Usage::default() };
        for caller in callers() {
            let label = || Label { usage_wanted: true, ..Label::default() };
            let mut splice = Splice::new(caller.encoder(label()));
            let mut out = tell(&mut splice, Dialect::OpenaiChat, vec![start(), Event::Open(Block::Text), text("Hel")]);
            assert_eq!(splice.text(), Some("Hel"));
            splice.follow(used(10, 1), &mut out);
            let rest = vec![
                Event::Start { id: "b".into(), model: "other".into() },
                Event::Open(Block::Text),
                text("lo"),
                Event::Usage(used(20, 2)),
                Event::Close,
                Event::Stop(Stop::default()),
                Event::End,
            ];
            out.extend(tell(&mut splice, Dialect::Anthropic, rest));
            let mut whole = Splice::new(caller.encoder(label()));
            let one = vec![
                start(),
                Event::Open(Block::Text),
                text("Hel"),
                text("lo"),
                Event::Usage(used(30, 3)),
                Event::Close,
                Event::Stop(Stop::default()),
                Event::End,
            ];
            let expected = tell(&mut whole, Dialect::OpenaiChat, one);
            assert_eq!(String::from_utf8(out).unwrap(), String::from_utf8(expected).unwrap(), "{caller:?}");
        }
    }

    #[test]
    fn what_is_not_text_begins_a_block_of_its_own_behind_the_text() {
        let mut splice = Splice::new(Inbound::Anthropic.encoder(Label::default()));
        let out = tell(&mut splice, Dialect::OpenaiChat, vec![start(), Event::Open(Block::Text), text("Let me look")]);
        assert!(!out.is_empty());
        splice.follow(Usage::default(), &mut Vec::new());
        let call = || Block::ToolCall { id: "1".into(), name: "f".into(), signature: None };
        let events = vec![
            start(),
            Event::Open(Block::Reasoning),
            Event::Reasoning("hm".into()),
            Event::Close,
            Event::Open(Block::Text),
            text("Let me look: "),
            Event::Close,
            Event::Open(call()),
            Event::Arguments("{}".into()),
            Event::Close,
            Event::Stop(Stop::default()),
            Event::End,
        ];
        let out = String::from_utf8(tell(&mut splice, Dialect::OpenaiChat, events)).unwrap();
        let kinds: Vec<&str> =
            out.lines().filter_map(|line| line.strip_prefix("event: ")).filter(|kind| kind.contains("block")).collect();
        let block = ["content_block_start", "content_block_delta", "content_block_stop"];
        assert_eq!(kinds, [&["content_block_stop"], &block[..], &block, &block].concat(), "{out}");
        assert!(out.contains(r#""text":": ""#), "{out}");
        assert_eq!(splice.at, Grammar::Ended);
    }

    #[test]
    fn only_text_can_be_gone_on_from() {
        let open = Event::Open;
        let proof = Event::Signature("s".into());
        let thought = || vec![open(Block::Reasoning), Event::Reasoning("hm".into())];
        let said = || vec![open(Block::Text), text("a"), Event::Close];
        let call = open(Block::ToolCall { id: "1".into(), name: "f".into(), signature: None });
        let cases = [
            (Dialect::OpenaiChat, said(), true),
            (Dialect::OpenaiChat, vec![open(Block::Text)], true),
            (Dialect::OpenaiChat, vec![open(Block::Text), text(" \n")], true),
            (Dialect::OpenaiChat, thought(), true),
            (Dialect::Anthropic, thought(), false),
            (Dialect::OpenaiChat, [thought(), vec![Event::Close], said()].concat(), true),
            (Dialect::OpenaiChat, [thought(), vec![proof, Event::Close], said()].concat(), false),
            (Dialect::Anthropic, [thought(), vec![Event::Close], said()].concat(), false),
            (
                Dialect::OpenaiResponses,
                [vec![open(Block::SealedReasoning("x".into())), Event::Close], said()].concat(),
                false,
            ),
            (Dialect::OpenaiChat, [said(), vec![call]].concat(), false),
            (Dialect::OpenaiChat, [said(), vec![Event::Stop(Stop::default())]].concat(), false),
            (Dialect::OpenaiChat, vec![open(Block::Text), text(&"a".repeat(SAID_BYTES_MAX + 1))], false),
        ];
        for (dialect, events, can) in cases {
            let mut splice = Splice::new(Inbound::OpenaiChat.encoder(Label::default()));
            tell(&mut splice, dialect, [vec![start()], events.clone()].concat());
            assert_eq!(splice.text().is_some(), can, "{dialect:?} {}", events.len());
        }
    }

    #[test]
    fn who_goes_on_is_given_the_text_and_asked_for_the_rest() {
        let asked = || Request {
            messages: vec![Message { role: Role::User, parts: vec![Part::text("Tell me")] }],
            max_tokens: Some(100),
            ..Request::default()
        };
        let mut request = asked();
        go_on(&mut request, "Once upon a time ", Dialect::Anthropic);
        let told: Vec<(Role, &Content)> =
            request.messages.iter().map(|message| (message.role, &message.parts[0].content)).collect();
        assert_eq!(told[1], (Role::Assistant, &Content::Text("Once upon a time ".into())));
        assert_eq!(told[2], (Role::User, &Content::Text(GO_ON.into())));
        assert_eq!((told.len(), request.max_tokens), (3, Some(95)));
        // A model that only completes gets what it wrote itself.
        let mut request = asked();
        go_on(&mut request, " a story", Dialect::OpenaiCompletions);
        assert_eq!(request.messages[0].parts, [Part::text("Tell me a story")]);
        go_on(&mut request, &"long ".repeat(200), Dialect::OpenaiChat);
        assert_eq!(request.max_tokens, Some(1));
        let mut request = asked();
        go_on(&mut request, "\n", Dialect::Gemini);
        assert_eq!((request.messages.len(), request.max_tokens), (1, Some(100)));
    }
}
