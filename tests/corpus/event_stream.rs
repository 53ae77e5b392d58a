//! Amazon's binary frames: what is valid reads, what is not is refused; and a second, naive reading of them for others.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tollgate::wire::frame::{Frame, Framing, Splitter};

/// The headers of each frame that hold text, and its payload; nothing is checked.
pub(crate) fn naive_frames(mut body: &[u8]) -> Vec<(Value, Vec<u8>)> {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte));
    let mut frames = Vec::new();
    while !body.is_empty() {
        let (total, length) = (number(&body[..4]), number(&body[4..8]));
        let mut headers = &body[12..12 + length];
        let mut named = serde_json::Map::new();
        while !headers.is_empty() {
            let (name, rest) = headers[1..].split_at(headers[0].into());
            assert_eq!(rest[0], 7, "a recording has only texts");
            let (value, rest) = rest[3..].split_at(number(&rest[1..3]));
            named.insert(String::from_utf8(name.into()).unwrap(), String::from_utf8(value.into()).unwrap().into());
            headers = rest;
        }
        frames.push((named.into(), body[12 + length..total - 4].to_vec()));
        body = &body[total..];
    }
    frames
}

#[test]
fn valid_frames_are_read_and_malformed_ones_are_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/eventstream");
    let Ok(files) = fs::read_dir(folder) else { return };
    let (mut valid, mut refused) = (0, 0);
    for path in files.map(|file| file.unwrap().path()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = fs::read(&path).unwrap();
        for size in [bytes.len(), 1, 7] {
            let (mut splitter, mut read) = (Splitter::new(Framing::EventStream), Vec::new());
            let fed = bytes.chunks(size).try_for_each(|chunk| {
                splitter.feed(chunk, |raw| {
                    read.push(Frame::read(Framing::EventStream, raw).map(|frame| frame.data.unwrap().into_owned()));
                })
            });
            let is_whole = fed.is_ok() && splitter.is_empty() && read.len() == 1 && read[0].is_some();
            assert_eq!(is_whole, name.starts_with("valid"), "{name} {size} {fed:?} {read:?}");
            if name == "valid_with_all_headers_and_payload.bin" {
                assert_eq!(read[0].as_deref(), Some("some payload"), "{name}");
            }
        }
        *if name.starts_with("valid") { &mut valid } else { &mut refused } += 1;
    }
    println!("{valid} valid, {refused} refused");
}
