//! A head that goes out before there is an answer, and the body behind it.

use std::cell::RefCell;
use std::rc::Rc;

use futures::channel::oneshot;

use super::{Opened, open, say};
use crate::host::Headers;
use crate::relay::Gone;

/// Takes the head, and the body.
pub(super) type Begin = oneshot::Sender<(Headers, Rc<Opened>)>;

pub(super) struct Early {
    begin: RefCell<Option<Begin>>,
    opened: RefCell<Option<Rc<Opened>>>,
}

impl Early {
    pub(super) fn new(begin: Begin) -> Self {
        Self { begin: RefCell::new(Some(begin)), opened: RefCell::default() }
    }

    /// Sends the head, unless that was done before, and `bytes`.
    pub(super) async fn send(&self, head: &Headers, bytes: &[u8]) -> Result<(), Gone> {
        if let Some(begin) = self.begin.take() {
            let opened = Rc::new(open());
            self.opened.replace(Some(opened.clone()));
            // It is waited for until there is an answer.
            let _ = begin.send((head.clone(), opened));
        }
        let opened = self.opened.borrow().clone().ok_or(Gone)?;
        say(&opened, bytes).await.map(drop).map_err(|_| Gone)
    }
}
