//! A provider whose bytes say something else than its dialect: the caller is told it anew, in the same dialect too.

use tollgate::config::Patience;
use tollgate::dialect::ai_sdk::Version;
use tollgate::dialect::{Dialect, Inbound, Label};
use tollgate::platform::Platform;
use tollgate::quirks::{Quirks, Reader};
use tollgate::record::End;
use tollgate::relay::{Ends, Relay, Stopped, Write};
use tollgate::seal::Seal;
use tollgate::usage::Rule;
use tollgate::wire::frame::Framing;

const STREAM: &str = concat!(
    "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"<thi\"}}]}\n\n",
    "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"nk>hm</think>\\n\\nyes\"}}]}\n\n",
    "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,",
    "\"completion_tokens_details\":{\"reasoning_tokens\":5}}}\n\n",
    "data: [DONE]\n\n",
);

fn told(quirks: &Quirks, caller: Inbound) -> String {
    let ends = Ends {
        upstream: Dialect::OpenaiChat,
        platform: Platform::Native,
        reader: Reader::new(quirks),
        usage: Rule::default(),
        framing: Framing::Sse,
        caller,
        label: Label { id: "req_1".into(), usage_wanted: true, ..Label::default() },
        seal: Seal::default(),
        input_estimate: 1,
        patience: Patience { first_byte_ms: 1, idle_ms: 1, total_ms: u64::MAX, heartbeat_ms: 1 },
        until: u64::MAX,
    };
    let mut relay = Relay::new(ends, 0);
    let mut out = Vec::new();
    match relay.feed(STREAM.as_bytes(), 0) {
        Write::Unchanged => out.extend_from_slice(STREAM.as_bytes()),
        Write::Bytes(bytes) => out = bytes,
        Write::Nothing => {}
    }
    let (tail, end) = relay.end(Stopped::Closed);
    out.extend(tail);
    assert_eq!(end, End::Complete);
    String::from_utf8(out).unwrap()
}

#[test]
fn think_tags_are_reasoning_for_every_caller() {
    let quirks = Quirks { think_tags: true, ..Quirks::default() };
    let newest = Inbound::AiSdk(Version::V4);
    for caller in [Inbound::OpenaiChat, Inbound::Anthropic, Inbound::OpenaiResponses, Inbound::Gemini, newest] {
        let told = told(&quirks, caller);
        assert!(!told.contains("think>") && told.contains("\"hm\"") && told.contains("\"yes\""), "{told}");
    }
    assert_eq!(told(&Quirks::default(), Inbound::OpenaiChat), STREAM, "untouched without the quirk");
}
