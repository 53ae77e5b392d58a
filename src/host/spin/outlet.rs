//! The body of a reply on its way out.
//!
//! After a write has reported that the caller left, another one traps and takes the whole instance down, also where the
//! report came by way of a cancelled write. So every report is kept.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::lock::Mutex;
use spin_sdk::wit_bindgen::{StreamResult, StreamWrite, StreamWriter};

use crate::relay::Gone;

/// How soon it is noticed that a caller has left while the upstream is silent.
const PROBE: Duration = Duration::from_millis(200);

#[derive(Default)]
pub(super) struct Outlet {
    /// From the head to the end. Locked while it is written to, so that nothing comes between.
    writer: Mutex<Option<StreamWriter<u8>>>,
    left: Cell<bool>,
}

impl Outlet {
    pub(super) fn open(&self, writer: StreamWriter<u8>) {
        // Nobody writes before there is a body.
        if let Some(mut body) = self.writer.try_lock() {
            *body = Some(writer);
        }
    }

    pub(super) async fn is_open(&self) -> bool {
        self.writer.lock().await.is_some()
    }

    /// Resolves when there is a body. Needs no waker: what writes to it is polled anew once it is there.
    pub(super) async fn opened(&self) {
        poll_fn(|_| match self.writer.try_lock() {
            Some(writer) if writer.is_none() => Poll::Pending,
            // Only what writes or looks for the caller locks it, and that finds it open.
            _ => Poll::Ready(()),
        })
        .await;
    }

    /// All of `bytes`. Not to be dropped on the way: part of them may be out.
    pub(super) async fn write(&self, bytes: Bytes) -> Result<(), Gone> {
        let mut writer = self.writer.lock().await;
        let writer = writer.as_mut().filter(|_| !self.left.get()).ok_or(Gone)?;
        // Not `write_all`, which panics if a write reports the cancellation of the probe before it.
        let (mut result, mut rest) = writer.write(bytes.into()).await;
        while result != StreamResult::Dropped {
            if rest.remaining() == 0 {
                return Ok(());
            }
            (result, rest) = writer.write_buf(rest).await;
        }
        self.left.set(true);
        Err(Gone)
    }

    /// Resolves when the caller has left. Spin does not tell, but an empty write is refused then. There is nothing to
    /// write to before the reply's head.
    pub(super) async fn left(&self) {
        loop {
            spin_sdk::time::sleep(PROBE).await;
            let mut writer = self.writer.lock().await;
            if let Some(writer) = writer.as_mut().filter(|_| !self.left.get()) {
                Probe { write: Some(Box::pin(writer.write(Vec::new()))), left: &self.left }.await;
            }
            if self.left.get() {
                return;
            }
        }
    }

    pub(super) fn close(&self) {
        if let Some(mut body) = self.writer.try_lock() {
            body.take();
        }
    }
}

/// An empty write, whose report is kept however it ends.
struct Probe<'a> {
    write: Option<Pin<Box<StreamWrite<'a, u8>>>>,
    left: &'a Cell<bool>,
}

impl Future for Probe<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(write) = &mut self.write else { return Poll::Ready(()) };
        let Poll::Ready((result, _)) = write.as_mut().poll(context) else { return Poll::Pending };
        self.write = None;
        self.left.set(result == StreamResult::Dropped);
        Poll::Ready(())
    }
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        if let Some(write) = &mut self.write {
            let (result, _) = write.as_mut().cancel();
            self.left.set(result == StreamResult::Dropped);
        }
    }
}
