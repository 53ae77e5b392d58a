//! One JSON list that grows, as Gemini streams where nobody asks for Server-Sent Events: each element is a frame, and
//! so is the bracket that ends the list.

use std::borrow::Cow;

use super::frame::Frame;

/// Where in the list a scan stands; unlike that of other framings it must be kept from chunk to chunk.
#[derive(Debug, Default)]
pub(super) struct Scan {
    depth: u32,
    in_string: bool,
    escaped: bool,
    /// Bytes since the last frame that were looked at.
    seen: usize,
}

impl Scan {
    /// Just after the end of the first frame; `bytes` begin where the last frame ended.
    pub(super) fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        for &byte in bytes.get(self.seen..)? {
            self.seen += 1;
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' => self.depth += 1,
                // A list within an element; the one around them all is not counted.
                b'[' if self.depth > 0 => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(std::mem::take(&mut self.seen));
                    }
                }
                _ => {}
            }
        }
        None
    }
}

/// An element without what stands around it. `None` where the frame is not UTF-8.
pub(super) fn read(raw: &[u8]) -> Option<Frame<'_>> {
    let text = std::str::from_utf8(raw).ok()?.trim_ascii();
    let text = text.strip_prefix(['[', ',']).unwrap_or(text).trim_ascii();
    Some(Frame { event: None, data: (!matches!(text, "" | "]")).then_some(Cow::Borrowed(text)) })
}

/// Adds an element; `begun` is whether one went before it.
pub fn write(begun: bool, element: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(if begun { b",\r\n" } else { b"[" });
    out.extend_from_slice(element);
}

/// Ends the list, with a last element if there is one.
pub fn write_last(begun: bool, element: Option<&[u8]>, out: &mut Vec<u8>) {
    match element {
        Some(element) => write(begun, element, out),
        None if begun => {}
        None => out.push(b'['),
    }
    out.extend_from_slice(b"\r\n]");
}

#[cfg(test)]
mod tests {
    use super::super::frame::{Framing, Splitter};
    use super::*;

    #[test]
    fn elements_do_not_depend_on_where_chunks_end() {
        let body = "[{\n \"a\": \"}]\\\"\u{1f980}\", \"b\": [{}, [1]]\n}\n,\r\n{}]\n";
        for size in 1..=body.len() {
            let (mut splitter, mut told, mut bytes) = (Splitter::new(Framing::Array), Vec::new(), Vec::new());
            for chunk in body.as_bytes().chunks(size) {
                let each = |raw: &[u8]| {
                    bytes.extend_from_slice(raw);
                    told.push(read(raw).unwrap().data.map(Cow::into_owned));
                };
                splitter.feed(chunk, each).unwrap();
            }
            bytes.extend(splitter.take_rest());
            let element = |text: &str| Some(text.to_owned());
            let expected = [element("{\n \"a\": \"}]\\\"\u{1f980}\", \"b\": [{}, [1]]\n}"), element("{}"), None];
            assert_eq!(told, expected, "chunks of {size}");
            assert_eq!(bytes, body.as_bytes());
        }
    }

    #[test]
    fn a_list_is_written_element_by_element() {
        let mut out = Vec::new();
        write(false, b"{}", &mut out);
        write(true, b"1", &mut out);
        write_last(true, None, &mut out);
        assert_eq!(out, b"[{},\r\n1\r\n]");
        let mut out = Vec::new();
        write_last(false, Some(b"{}"), &mut out);
        assert_eq!(out, b"[{}\r\n]");
    }
}
