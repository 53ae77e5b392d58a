//! The binary event streams of AWS, as its services write them.
//!
//! Source: "Event stream encoding", Amazon Transcribe developer guide, and Smithy's `application/vnd.amazon.eventstream`,
//! read 2026-11.

/// One message: its length and that of its headers, their checksum, the headers, the payload, the checksum of all.
pub(crate) fn message(headers: &[(&str, &str)], payload: &str) -> Vec<u8> {
    let mut fields = Vec::new();
    for (name, value) in headers {
        fields.push(u8::try_from(name.len()).expect("names are short"));
        fields.extend_from_slice(name.as_bytes());
        // The type of a text.
        fields.push(7);
        fields.extend_from_slice(&u16::try_from(value.len()).expect("values are short").to_be_bytes());
        fields.extend_from_slice(value.as_bytes());
    }
    let length = |length: usize| u32::try_from(length).expect("messages are short").to_be_bytes();
    let mut message = [length(16 + fields.len() + payload.len()), length(fields.len())].concat();
    message.extend_from_slice(&crc32(&message).to_be_bytes());
    message.extend_from_slice(&fields);
    message.extend_from_slice(payload.as_bytes());
    message.extend_from_slice(&crc32(&message).to_be_bytes());
    message
}

pub(crate) fn event(name: &str, payload: &str) -> Vec<u8> {
    let headers = [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")];
    message(&headers, payload)
}

pub(crate) fn exception(name: &str, payload: &str) -> Vec<u8> {
    let headers = [(":exception-type", name), (":content-type", "application/json"), (":message-type", "exception")];
    message(&headers, payload)
}

/// That of Ethernet and zip.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}
