//! Work that is done where it is waited for, and is finished although nobody waits any more.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A future that becomes a task when it is dropped before its end. `gone` is cancelled then, so that it can come to
/// its end early. One that has panicked is not taken up again.
pub(super) struct Work<T: Send + 'static> {
    future: Option<Boxed<T>>,
    gone: CancellationToken,
    tasks: TaskTracker,
    _counted: TaskTrackerToken,
}

impl<T: Send + 'static> Work<T> {
    pub(super) fn new(
        tasks: &TaskTracker,
        gone: CancellationToken,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Self {
        Self { future: Some(Box::pin(future)), gone, tasks: tasks.clone(), _counted: tasks.token() }
    }
}

impl<T: Send + 'static> Future for Work<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        // Absent only after its end, when nobody may ask again.
        let Some(mut future) = self.future.take() else { return Poll::Pending };
        let polled = future.as_mut().poll(context);
        if polled.is_pending() {
            self.future = Some(future);
        }
        polled
    }
}

impl<T: Send + 'static> Drop for Work<T> {
    fn drop(&mut self) {
        if let Some(future) = self.future.take() {
            self.gone.cancel();
            self.tasks.spawn(future);
        }
    }
}
