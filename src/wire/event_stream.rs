//! Amazon's binary event stream: lengths, headers and a payload, each frame under two checksums.
//!
//! What a frame says is told as SSE tells it: the type of the event, exception or error is `event`, the payload `data`.
//! Whatever is not exactly a frame is refused, since after a wrong length nothing that follows can be trusted.
//!
//! Source: "Event stream encoding", Amazon Transcribe documentation, and "Amazon Event Stream", Smithy 2.0
//! specification, read 2026-11.

use std::borrow::Cow;

use super::frame::{FRAME_BYTES_MAX, Frame, Unframed};
use super::json::quoted;

/// Total length, length of the headers, and the checksum of both.
const PRELUDE_BYTES: usize = 12;
const CHECKSUM_BYTES: usize = 4;
/// "The maximum size of headers is 128 KiB."
const HEADERS_BYTES_MAX: usize = 128 * 1024;

/// Just after the first frame, once all of it is there.
pub(super) fn end(bytes: &[u8]) -> Result<Option<usize>, Unframed> {
    let Some(prelude) = Prelude::read(bytes)? else { return Ok(None) };
    if prelude.total > FRAME_BYTES_MAX {
        return Err(Unframed::TooLong);
    }
    Ok((prelude.total <= bytes.len()).then_some(prelude.total))
}

/// `None` where `raw` is not one whole frame with a payload in UTF-8. No bytes at all are a frame that says nothing.
pub(super) fn read(raw: &[u8]) -> Option<Frame<'_>> {
    if raw.is_empty() {
        return Some(Frame { event: None, data: None });
    }
    let prelude = Prelude::read(raw).ok()??;
    let (body, checksum) = raw.split_at_checked(raw.len().checked_sub(CHECKSUM_BYTES)?)?;
    if prelude.total != raw.len() || crc32(body) != number(checksum)? {
        return None;
    }
    let (headers, payload) = body.get(PRELUDE_BYTES..)?.split_at_checked(prelude.headers)?;
    let headers = Headers::read(headers)?;
    let payload = std::str::from_utf8(payload).ok()?;
    Some(match headers.message {
        // What a service did not foresee has a code and a text, and no payload.
        Some("error") => {
            let message = headers.error_message.or(headers.error_code).unwrap_or_default();
            let data = format!("{{\"message\":{}}}", quoted(message));
            Frame { event: headers.error_code, data: Some(Cow::Owned(data)) }
        }
        Some("exception") => Frame { event: headers.exception, data: Some(Cow::Borrowed(payload)) },
        _ => Frame { event: headers.event, data: Some(Cow::Borrowed(payload)) },
    })
}

struct Prelude {
    total: usize,
    headers: usize,
}

impl Prelude {
    /// `None` while it is not all there.
    fn read(bytes: &[u8]) -> Result<Option<Self>, Unframed> {
        let Some((prelude, _)) = bytes.split_at_checked(PRELUDE_BYTES) else { return Ok(None) };
        let read = || {
            let (lengths, checksum) = prelude.split_at_checked(8)?;
            let (total, headers) = lengths.split_at_checked(4)?;
            (crc32(lengths) == number(checksum)?).then_some(())?;
            Some((usize::try_from(number(total)?).ok()?, usize::try_from(number(headers)?).ok()?))
        };
        let (total, headers) = read().ok_or(Unframed::Malformed)?;
        let holds = headers.checked_add(PRELUDE_BYTES + CHECKSUM_BYTES).is_some_and(|least| least <= total);
        if holds && headers <= HEADERS_BYTES_MAX { Ok(Some(Self { total, headers })) } else { Err(Unframed::Malformed) }
    }
}

/// Those that say what a frame is.
#[derive(Default)]
struct Headers<'a> {
    message: Option<&'a str>,
    event: Option<&'a str>,
    exception: Option<&'a str>,
    error_code: Option<&'a str>,
    error_message: Option<&'a str>,
}

impl<'a> Headers<'a> {
    fn read(mut bytes: &'a [u8]) -> Option<Self> {
        let mut headers = Self::default();
        while let Some((&length, rest)) = bytes.split_first() {
            let (name, rest) = rest.split_at_checked(length.into())?;
            let (&kind, rest) = rest.split_first()?;
            let (text, rest) = value(kind, rest)?;
            match name {
                b":message-type" => headers.message = text,
                b":event-type" => headers.event = text,
                b":exception-type" => headers.exception = text,
                b":error-code" => headers.error_code = text,
                b":error-message" => headers.error_message = text,
                // "Header names must not be empty", and are text.
                [] => return None,
                name => _ = std::str::from_utf8(name).ok()?,
            }
            bytes = rest;
        }
        Some(headers)
    }
}

/// A header's value of type `kind`, if it is a text, and what follows it.
fn value(kind: u8, bytes: &[u8]) -> Option<(Option<&str>, &[u8])> {
    let length = match kind {
        // True and false.
        0 | 1 => 0,
        // Integers of one, two, four and eight bytes.
        2 => 1,
        3 => 2,
        4 => 4,
        5 => 8,
        // Bytes and text.
        6 | 7 => {
            let (length, bytes) = bytes.split_at_checked(2)?;
            let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            let (value, rest) = bytes.split_at_checked(length)?;
            let text = (kind == 7).then(|| std::str::from_utf8(value)).transpose().ok()?;
            return Some((text, rest));
        }
        // A time in milliseconds.
        8 => 8,
        // A UUID.
        9 => 16,
        _ => return None,
    };
    Some((None, bytes.split_at_checked(length)?.1))
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_be_bytes)
}

/// CRC-32 as in gzip. By half bytes: sixteen words of table, not a kilobyte and not a crate.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 16] = table();
    let step = |crc: u32, half: u8| {
        let index = usize::from((crc.to_le_bytes()[0] ^ half) & 15);
        TABLE.get(index).copied().unwrap_or_default() ^ (crc >> 4)
    };
    !bytes.iter().fold(!0, |crc, byte| step(step(crc, *byte), byte >> 4))
}

#[expect(clippy::indexing_slicing, reason = "runs when the program is compiled")]
const fn table() -> [u32; 16] {
    let mut table = [0; 16];
    let mut index = 0;
    while index < 16 {
        let (mut crc, mut bit) = (index as u32, 0);
        while bit < 4 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

/// Frames for the tests of those who read them.
#[cfg(test)]
pub(crate) fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let length = |length: usize| u32::try_from(length).unwrap().to_be_bytes();
    let mut head = Vec::new();
    for (name, value) in headers {
        head.push(u8::try_from(name.len()).unwrap());
        head.extend_from_slice(name.as_bytes());
        head.push(7);
        head.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        head.extend_from_slice(value.as_bytes());
    }
    let mut frame = length(PRELUDE_BYTES + head.len() + payload.len() + CHECKSUM_BYTES).to_vec();
    frame.extend_from_slice(&length(head.len()));
    frame.extend_from_slice(&crc32(&frame).to_be_bytes());
    frame.extend_from_slice(&head);
    frame.extend_from_slice(payload);
    frame.extend_from_slice(&crc32(&frame).to_be_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::super::frame::{Framing, Splitter};
    use super::*;

    fn event(name: &str, payload: &str) -> Vec<u8> {
        frame(&[(":event-type", name), (":message-type", "event")], payload.as_bytes())
    }

    #[test]
    fn the_checksum_is_that_of_gzip() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn frames_do_not_depend_on_where_chunks_end() {
        let body = [event("a", "{\"x\":1}"), event("b", ""), event("c", "\u{1f980}")].concat();
        for size in 1..=body.len() {
            let (mut splitter, mut told) = (Splitter::new(Framing::EventStream), Vec::new());
            for chunk in body.chunks(size) {
                let each = |raw: &[u8]| {
                    let frame = read(raw).unwrap();
                    told.push((frame.event.unwrap().to_owned(), frame.data.unwrap().into_owned()));
                };
                splitter.feed(chunk, each).unwrap();
            }
            let own = |name: &str, data: &str| (name.to_owned(), data.to_owned());
            assert_eq!(told, [own("a", "{\"x\":1}"), own("b", ""), own("c", "\u{1f980}")], "chunks of {size}");
            assert!(splitter.is_empty());
        }
    }

    #[test]
    fn a_frame_names_its_event_exception_or_error() {
        /// The headers, the payload, and what is told as event and data.
        type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str, &'a str);
        let cases: &[Case<'_>] = &[
            (&[(":message-type", "event"), (":event-type", "messageStop")], "{}", "messageStop", "{}"),
            (
                &[(":exception-type", "throttlingException"), (":message-type", "exception")],
                r#"{"message":"m"}"#,
                "throttlingException",
                r#"{"message":"m"}"#,
            ),
            (
                &[(":message-type", "error"), (":error-code", "InternalError"), (":error-message", "a \"b\"")],
                "",
                "InternalError",
                r#"{"message":"a \"b\""}"#,
            ),
        ];
        for (headers, payload, event, data) in cases {
            let raw = frame(headers, payload.as_bytes());
            let frame = read(&raw).unwrap();
            assert_eq!((frame.event, frame.data.as_deref()), (Some(*event), Some(*data)));
        }
    }

    #[test]
    fn no_changed_byte_goes_unnoticed() {
        let good = event("a", "{\"x\":1}");
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let is_refused = match end(&bad) {
                Err(_) => true,
                Ok(end) => end.is_none_or(|_| read(&bad).is_none()),
            };
            assert!(is_refused, "byte {at}");
            assert!(read(&good[..at]).is_none() || at == 0, "cut at {at}");
        }
    }

    #[test]
    fn a_frame_without_end_is_refused_before_it_is_awaited() {
        let lengths = |total: u32, headers: u32| {
            let mut prelude = [total.to_be_bytes(), headers.to_be_bytes()].concat();
            prelude.extend_from_slice(&crc32(&prelude).to_be_bytes());
            let mut splitter = Splitter::new(Framing::EventStream);
            splitter.feed(&prelude, |_| ())
        };
        assert_eq!(lengths(u32::MAX, 0), Err(Unframed::TooLong));
        for (total, headers) in [(0, 0), (15, 0), (16, 1), (1_000_000, 200_000), (100, u32::MAX)] {
            assert_eq!(lengths(total, headers), Err(Unframed::Malformed), "{total} {headers}");
        }
        assert_eq!(lengths(16, 0), Ok(()));
    }
}
