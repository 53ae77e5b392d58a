//! A caller's body: read up to a bound, or read and thrown away.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::select;
use http_body_util::BodyDataStream;
use spin_sdk::wasip3::http_compat::IncomingRequestBody;
use spin_sdk::wasip3::spawn;

use crate::host::Body;

/// All of the body, unless it is longer than `most`.
pub(super) async fn bounded(mut chunks: BodyDataStream<IncomingRequestBody>, most: usize) -> Body {
    let mut whole = Vec::new();
    while let Some(chunk) = chunks.next().await {
        match chunk {
            Ok(chunk) if chunk.len() <= most.saturating_sub(whole.len()) => whole.extend_from_slice(&chunk),
            Ok(_) => {
                spawn(drain(chunks));
                return Body::TooLarge;
            }
            // The caller broke off: what is missing makes the request unreadable, and nobody waits for the answer.
            Err(_) => return Body::Whole(Bytes::new()),
        }
    }
    Body::Whole(whole.into())
}

/// Reads what nobody wants: a connection that is closed on unread bytes is reset, and the caller would not see why it
/// was refused.
pub(super) async fn drain(mut chunks: BodyDataStream<IncomingRequestBody>) {
    let read = pin!(async {
        let mut left = DRAIN_BYTES_MAX;
        while let Some(Ok(chunk)) = chunks.next().await {
            left = left.saturating_sub(chunk.len());
            if left == 0 {
                return;
            }
        }
    });
    select(read, pin!(spin_sdk::time::sleep(DRAIN))).await;
}

const DRAIN_BYTES_MAX: usize = 64 * 1024 * 1024;
const DRAIN: Duration = Duration::from_secs(5);
