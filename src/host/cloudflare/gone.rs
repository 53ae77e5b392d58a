//! A future for a caller who hangs up.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;
use web_sys::AbortSignal;

/// Resolves when `caller` aborts. Takes its listener away when dropped: a `JsFuture` of a promise that never settles
/// would keep its closures for ever.
pub(super) struct Gone {
    caller: AbortSignal,
    listener: Closure<dyn FnMut()>,
    waker: Rc<RefCell<Option<Waker>>>,
}

impl Gone {
    pub(super) fn new(caller: AbortSignal) -> Self {
        let waker = Rc::new(RefCell::new(None::<Waker>));
        let waiting = waker.clone();
        let listener = Closure::new(move || {
            if let Some(waker) = waiting.take() {
                waker.wake();
            }
        });
        // Fails only for a signal that is none.
        let _ = caller.add_event_listener_with_callback("abort", listener.as_ref().unchecked_ref());
        Self { caller, listener, waker }
    }
}

impl Future for Gone {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.caller.aborted() {
            return Poll::Ready(());
        }
        self.waker.replace(Some(context.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Gone {
    fn drop(&mut self) {
        let _ = self.caller.remove_event_listener_with_callback("abort", self.listener.as_ref().unchecked_ref());
    }
}
