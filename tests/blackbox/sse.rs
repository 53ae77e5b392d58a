//! Reads a finished SSE body the way a careful client does, and refuses what a careful client would.

use serde_json::Value;

#[derive(Debug)]
pub(crate) struct Event {
    /// Empty where the frame named none.
    pub(crate) name: String,
    pub(crate) data: String,
}

impl Event {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error} in frame {:?}", self.data))
    }
}

/// The events of a body. Comments and frames without data are skipped, as the standard says.
pub(crate) fn events(body: &[u8]) -> Vec<Event> {
    let text = std::str::from_utf8(body).expect("an SSE body is UTF-8").replace("\r\n", "\n");
    assert!(text.is_empty() || text.ends_with("\n\n"), "the last frame is not ended: {text:?}");
    text.split("\n\n").filter_map(event).collect()
}

fn event(frame: &str) -> Option<Event> {
    let (mut name, mut data) = (String::new(), Vec::new());
    for line in frame.lines().filter(|line| !line.starts_with(':')) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut name),
            "data" => data.push(value),
            "id" | "retry" => {}
            _ => panic!("not a field of SSE: {line:?}"),
        }
    }
    (!data.is_empty()).then(|| Event { name, data: data.join("\n") })
}
