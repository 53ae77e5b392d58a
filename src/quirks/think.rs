//! Reasoning that a server leaves in the text, between `<think>` and `</think>` at its head: taken out of it.
//!
//! Only the head of the first text counts. A model that writes about the tags later means them as text.

use crate::chat::{Block, Content, Event, Part, Response};

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// Splits a stream.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    at: At,
    /// Text that may be the beginning of a tag.
    held: String,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum At {
    /// No text has come.
    #[default]
    Before,
    /// A text has begun, and nobody knows with what.
    Head,
    /// After the tag, whose line break is not part of the reasoning.
    Opened,
    Thinking,
    /// After the reasoning: the answer's own text has not begun, and its first line breaks belong to the tag.
    Between,
    Text,
}

impl Splitter {
    pub(super) fn event(&mut self, event: Event, out: &mut Vec<Event>) {
        match (self.at, event) {
            (At::Before, Event::Open(Block::Text)) => self.at = At::Head,
            (At::Head | At::Opened | At::Thinking | At::Between, Event::Text(text)) => {
                self.held.push_str(&text);
                self.advance(out);
            }
            (At::Head | At::Opened | At::Thinking | At::Between, Event::Close) => self.close(out),
            // In the midst of a block only its own events and pings come.
            (_, event) => out.push(event),
        }
    }

    /// Tells all of `held` that can be told.
    fn advance(&mut self, out: &mut Vec<Event>) {
        if self.at == At::Head {
            let text = self.held.trim_start();
            if let Some(thought) = text.strip_prefix(OPEN) {
                self.held = thought.to_owned();
                self.at = At::Opened;
                out.push(Event::Open(Block::Reasoning));
            } else if !OPEN.starts_with(text) {
                self.begin_text(out);
                return;
            }
        }
        if self.at == At::Opened {
            self.held = self.held.trim_start_matches('\n').to_owned();
            if !self.held.is_empty() {
                self.at = At::Thinking;
            }
        }
        if self.at == At::Thinking {
            if let Some((thought, text)) = self.held.split_once(CLOSE) {
                let (thought, text) = (thought.trim_end_matches('\n').to_owned(), text.to_owned());
                tell(Event::Reasoning, thought, out);
                out.push(Event::Close);
                self.held = text;
                self.at = At::Between;
            } else {
                // Line breaks and the beginning of a tag may belong to its end.
                let keep = (0..=self.held.len())
                    .filter_map(|at| self.held.split_at_checked(at))
                    .find(|(_, rest)| CLOSE.starts_with(rest.trim_start_matches('\n')))
                    .map_or(self.held.len(), |(told, _)| told.len());
                let rest = self.held.split_off(keep);
                let told = std::mem::replace(&mut self.held, rest);
                tell(Event::Reasoning, told, out);
            }
        }
        if self.at == At::Between && !self.held.trim_start_matches('\n').is_empty() {
            self.held = self.held.trim_start_matches('\n').to_owned();
            self.begin_text(out);
        }
    }

    fn begin_text(&mut self, out: &mut Vec<Event>) {
        self.at = At::Text;
        out.push(Event::Open(Block::Text));
        tell(Event::Text, std::mem::take(&mut self.held), out);
    }

    /// The block ends.
    fn close(&mut self, out: &mut Vec<Event>) {
        match self.at {
            At::Head => self.begin_text(out),
            At::Opened | At::Thinking => tell(Event::Reasoning, std::mem::take(&mut self.held), out),
            // There was nothing but reasoning, and its block is closed.
            At::Between => {
                self.at = At::Text;
                return;
            }
            At::Before | At::Text => {}
        }
        self.at = At::Text;
        out.push(Event::Close);
    }
}

fn tell(event: fn(String) -> Event, text: String, out: &mut Vec<Event>) {
    if !text.is_empty() {
        out.push(event(text));
    }
}

/// Splits a whole answer.
pub(super) fn split(response: &mut Response) {
    let first = response.parts.iter().position(|part| matches!(part.content, Content::Text(_)));
    let Some(Part { content: Content::Text(text), .. }) = first.and_then(|at| response.parts.get(at)) else { return };
    let (mut splitter, mut events) = (Splitter::default(), Vec::new());
    for event in [Event::Open(Block::Text), Event::Text(text.clone()), Event::Close] {
        splitter.event(event, &mut events);
    }
    let parts = events.into_iter().filter_map(|event| match event {
        Event::Reasoning(text) => Some(Part::new(Content::Reasoning { text, signature: None })),
        Event::Text(text) => Some(Part::text(text)),
        _ => None,
    });
    let at = first.unwrap_or_default();
    response.parts.splice(at..=at, parts);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split_in(text: &str, size: usize) -> (String, String, Vec<Event>) {
        let (mut splitter, mut events) = (Splitter::default(), Vec::new());
        splitter.event(Event::Open(Block::Text), &mut events);
        let chars: Vec<char> = text.chars().collect();
        for piece in chars.chunks(size) {
            splitter.event(Event::Text(piece.iter().collect()), &mut events);
        }
        splitter.event(Event::Close, &mut events);
        let all = |pick: fn(&Event) -> Option<&str>| events.iter().filter_map(pick).collect::<String>();
        let thought = all(|event| if let Event::Reasoning(text) = event { Some(text) } else { None });
        let said = all(|event| if let Event::Text(text) = event { Some(text) } else { None });
        (thought, said, events)
    }

    #[test]
    fn what_stands_between_the_tags_is_reasoning_whatever_the_pieces() {
        let cases = [
            ("<think>hm</think>yes", "hm", "yes"),
            ("\n<think>\nhm\n\nso\n</think>\n\nyes <think> no </think>", "hm\n\nso", "yes <think> no </think>"),
            ("<think>never ends", "never ends", ""),
            ("<think>a</thin b</think>c", "a</thin b", "c"),
            ("<think></think>\n\nc", "", "c"),
            ("<thinking>c", "", "<thinking>c"),
            ("<th", "", "<th"),
            ("plain </think> text", "", "plain </think> text"),
            ("<think>Grüße, 東京</think>🙂", "Grüße, 東京", "🙂"),
            ("", "", ""),
        ];
        for (text, thought, said) in cases {
            for size in 1..=text.chars().count().max(1) {
                let (found, told, events) = split_in(text, size);
                assert_eq!((found.as_str(), told.as_str()), (thought, said), "{text:?} in pieces of {size}");
                let opened = events.iter().filter(|event| matches!(event, Event::Open(_))).count();
                let closed = events.iter().filter(|event| matches!(event, Event::Close)).count();
                assert_eq!(opened, closed, "{text:?} in pieces of {size}: {events:?}");
            }
            let mut response = Response { parts: vec![Part::text(text)], ..Response::default() };
            split(&mut response);
            let texts: Vec<&Content> = response.parts.iter().map(|part| &part.content).collect();
            let mut expected = Vec::new();
            expected
                .extend((!thought.is_empty()).then(|| Content::Reasoning { text: thought.into(), signature: None }));
            expected.extend((!said.is_empty()).then(|| Content::Text(said.into())));
            assert_eq!(texts, expected.iter().collect::<Vec<_>>(), "{text:?}");
        }
    }

    #[test]
    fn other_blocks_are_left_alone() {
        let (mut splitter, mut events) = (Splitter::default(), Vec::new());
        let call = Event::Open(Block::ToolCall { id: "1".into(), name: "f".into(), signature: None });
        let told = [call, Event::Arguments("<think>".into()), Event::Close];
        for event in told.clone() {
            splitter.event(event, &mut events);
        }
        assert_eq!(events, told);
    }
}
