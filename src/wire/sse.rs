//! Server-Sent Events: a frame is everything up to and including the blank line that ends it.
//!
//! Source: "Server-sent events", WHATWG HTML standard, section 9.2.6.

use std::borrow::Cow;

use super::frame::Frame;

/// Just after the first blank line at or after `from`.
pub(super) fn end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let line_end = at + memchr::memchr2(b'\n', b'\r', bytes.get(at..)?)?;
        let next_line = line_end + newline(bytes.get(line_end..)?)?;
        match newline(bytes.get(next_line..)?) {
            Some(0) => at = next_line,
            Some(length) => return Some(next_line + length),
            None => return None,
        }
    }
}

/// How many bytes of line end stand at the head of `bytes`; `None` while a lone CR may still become CRLF.
fn newline(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b'\r'] => None,
        [b'\r', b'\n', ..] => Some(2),
        [b'\r' | b'\n', ..] => Some(1),
        _ => Some(0),
    }
}

/// The fields that providers use; `data` lines are joined by line feeds. `None` where the frame is not UTF-8.
pub(super) fn read(raw: &[u8]) -> Option<Frame<'_>> {
    let text = std::str::from_utf8(raw).ok()?;
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut frame = Frame { event: None, data: None };
    while !rest.is_empty() {
        let line;
        (line, rest) = cut(rest, memchr::memchr2(b'\n', b'\r', rest.as_bytes()));
        // A name is short, and `data` may be long.
        let (name, value) = cut(line, line.bytes().position(|byte| byte == b':'));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => frame.event = Some(value),
            "data" => {
                if let Some(data) = &mut frame.data {
                    let data = data.to_mut();
                    data.push('\n');
                    data.push_str(value);
                } else {
                    frame.data = Some(Cow::Borrowed(value));
                }
            }
            _ => {}
        }
    }
    Some(frame)
}

/// What stands before and after the byte at `at`; all of it before, where there is none.
fn cut(text: &str, at: Option<usize>) -> (&str, &str) {
    let cut = at.and_then(|at| Some((text.get(..at)?, text.get(at + 1..)?)));
    cut.unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::super::frame::{FRAME_BYTES_MAX, Splitter, Unframed};
    use super::*;

    fn frames(chunks: &[&[u8]]) -> (Vec<Vec<u8>>, Vec<u8>) {
        let mut splitter = Splitter::default();
        let mut out = Vec::new();
        for chunk in chunks {
            splitter.feed(chunk, |frame| out.push(frame.to_vec())).unwrap();
        }
        (out, splitter.take_rest())
    }

    #[test]
    fn frames_do_not_depend_on_where_chunks_end() {
        let streams: &[&[u8]] = &[
            b"data: a\n\ndata: b\n\n",
            b"event: x\r\ndata: a\r\n\r\n: ping\r\n\r\ndata: b\r\n\r\nrest",
            b"data: a\r\rdata: b\r\rd",
            "data: \u{1f980}\n\n\n\ndata: \u{e9}\n\n".as_bytes(),
            b"\n\n\n\n",
        ];
        for stream in streams {
            let whole = frames(&[stream]);
            let joined: Vec<u8> = whole.0.concat().into_iter().chain(whole.1.clone()).collect();
            assert_eq!(joined, *stream, "no byte is lost");
            for size in 1..=stream.len() {
                assert_eq!(frames(&stream.chunks(size).collect::<Vec<_>>()), whole, "chunks of {size}");
            }
        }
    }

    #[test]
    fn fields_are_read_as_the_standard_says() {
        let cases: &[(&str, Option<&str>, Option<&str>)] = &[
            ("data: a\n\n", None, Some("a")),
            ("event: e\r\ndata:a\r\ndata: b\r\n\r\n", Some("e"), Some("a\nb")),
            (": comment\n\n", None, None),
            ("data\n\n", None, Some("")),
            ("data:  two spaces\nid: 4\n\n", None, Some(" two spaces")),
            ("\u{feff}data: bom\n\n", None, Some("bom")),
        ];
        for (raw, event, data) in cases {
            let frame = read(raw.as_bytes()).unwrap();
            assert_eq!((frame.event, frame.data.as_deref()), (*event, *data), "{raw:?}");
        }
        assert_eq!(read(b"data: \xff\n\n"), None);
    }

    #[test]
    fn lines_of_data_beyond_number_take_no_longer_than_their_bytes() {
        let frame = read(&b"data:\n".repeat(1_000_000)).map(|frame| frame.data.unwrap_or_default().len());
        assert_eq!(frame, Some(999_999));
    }

    #[test]
    fn an_endless_frame_is_refused() {
        let mut splitter = Splitter::default();
        let chunk = vec![b'x'; FRAME_BYTES_MAX];
        assert_eq!(splitter.feed(&chunk, |_| ()), Ok(()));
        assert_eq!(splitter.feed(b"x", |_| ()), Err(Unframed::TooLong));
    }
}
