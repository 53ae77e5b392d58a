//! A JSON value to a line, as Ollama streams.

use std::borrow::Cow;

use super::frame::Frame;

/// Just after the first line end at or after `from`.
pub(super) fn end(bytes: &[u8], from: usize) -> Option<usize> {
    Some(from + memchr::memchr(b'\n', bytes.get(from..)?)? + 1)
}

/// `None` where the line is not UTF-8.
pub(super) fn read(raw: &[u8]) -> Option<Frame<'_>> {
    let text = std::str::from_utf8(raw).ok()?.trim_ascii();
    Some(Frame { event: None, data: (!text.is_empty()).then_some(Cow::Borrowed(text)) })
}

#[cfg(test)]
mod tests {
    use super::super::frame::{Framing, Splitter};
    use super::*;

    #[test]
    fn lines_do_not_depend_on_where_chunks_end() {
        let body = "{\"a\":1}\n{\"b\":\"\u{1f980}\"}\r\n\n{\"c\":";
        for size in 1..=body.len() {
            let (mut splitter, mut told) = (Splitter::new(Framing::Lines), Vec::new());
            for chunk in body.as_bytes().chunks(size) {
                splitter.feed(chunk, |raw| told.push(read(raw).unwrap().data.map(|data| data.into_owned()))).unwrap();
            }
            let line = |text: &str| Some(text.to_owned());
            assert_eq!(told, [line("{\"a\":1}"), line("{\"b\":\"\u{1f980}\"}"), None], "chunks of {size}");
            assert_eq!(splitter.take_rest(), b"{\"c\":");
        }
    }
}
