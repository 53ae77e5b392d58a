//! A caller's request, its body bounded.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body as _, Incoming as Received};

use super::request::headers;
use crate::host::{Body, Headers, Host, Incoming};
use crate::serve::Gateway;

/// For all of a caller's body.
const BODY: Duration = Duration::from_secs(300);
/// For a body that nobody wants.
const DISCARD: Duration = Duration::from_secs(5);
const DISCARD_BYTES_MAX: usize = 64 * 1024 * 1024;

pub(super) async fn incoming<H: Host>(request: hyper::Request<Received>, gateway: &Gateway, host: &H) -> Incoming {
    let (head, body) = request.into_parts();
    let mut headers: Headers = headers(&head.headers);
    if let Some(authority) = head.uri.authority().filter(|_| headers.get("host").is_none()) {
        headers.push("host", authority.as_str());
    }
    let declared = body.size_hint().lower();
    let proven = gateway.prove(host, (&headers, head.uri.query())).await;
    let most = gateway.body_bytes_max(head.uri.path(), (&headers, head.uri.query()), host.now());
    drop(proven);
    let body = match most {
        // No memory for those who will be refused.
        None => {
            discard(body).await;
            Body::Whole(Bytes::new())
        }
        Some(most) if declared > most as u64 => {
            discard(body).await;
            Body::TooLarge
        }
        Some(most) => match tokio::time::timeout(BODY, Limited::new(body, most).collect()).await {
            Ok(Ok(body)) => Body::Whole(body.to_bytes()),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Body::TooLarge,
            // The caller broke off or stalls: what is missing makes the request unreadable.
            Ok(Err(_)) | Err(_) => Body::Whole(Bytes::new()),
        },
    };
    Incoming {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(str::to_owned),
        headers,
        body,
    }
}

/// Reads a body that nobody wants, within bounds: a connection that is closed on unread bytes is reset, and the caller
/// would not see why it was refused.
async fn discard(mut body: Received) {
    let read = async {
        let mut left = DISCARD_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(1, Bytes::len));
            if left == 0 {
                break;
            }
        }
    };
    // In time or not, the refusal goes out.
    let _ = tokio::time::timeout(DISCARD, read).await;
}
