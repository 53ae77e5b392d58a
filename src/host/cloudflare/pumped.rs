//! A relay as the pump in JavaScript drives it.

use std::rc::Rc;

use wasm_bindgen::prelude::wasm_bindgen;

use super::{Visit, now};
use crate::host::{Host as _, Millis};
use crate::record::{End, Record};
use crate::relay::{Relay, Stopped, Tick, Write};

/// JavaScript owns it; `settle` takes it back.
#[wasm_bindgen]
pub struct Pumped {
    relay: Relay,
    record: Option<Record>,
    end: Option<End>,
    host: Rc<Visit>,
}

impl Pumped {
    pub(super) fn new(relay: Relay, record: Record, host: Rc<Visit>) -> Self {
        Self { relay, record: Some(record), end: None, host }
    }
}

#[wasm_bindgen]
impl Pumped {
    /// What was read before the reply began.
    pub fn held(&mut self) -> Vec<u8> {
        self.relay.take_held()
    }

    /// `undefined` passes the chunk on as it is.
    pub fn feed(&mut self, chunk: &[u8]) -> Option<Vec<u8>> {
        match self.relay.feed(chunk, now()) {
            Write::Unchanged => None,
            Write::Bytes(bytes) => Some(bytes),
            Write::Nothing => Some(Vec::new()),
        }
    }

    /// When `tick` is to be called next.
    pub fn wake(&self) -> f64 {
        self.relay.wake() as f64
    }

    /// What is due because nothing came; `undefined` when the upstream has been silent for too long.
    pub fn tick(&mut self, now: f64) -> Option<Vec<u8>> {
        match self.relay.tick(now as Millis) {
            Tick::Wait => Some(Vec::new()),
            Tick::Beat(frame) => Some(frame),
            Tick::Idle => None,
        }
    }

    #[wasm_bindgen(getter)]
    pub fn over(&self) -> bool {
        self.relay.is_over()
    }

    /// The last bytes. `how` is the pump's word for why it stopped.
    pub fn finish(&mut self, how: &str) -> Vec<u8> {
        let (tail, end) = self.relay.end(match how {
            "hangup" => Stopped::HungUp,
            "idle" => Stopped::Idle,
            "broken" => Stopped::Broken,
            _ => Stopped::Closed,
        });
        self.end = Some(end);
        tail
    }

    pub async fn settle(mut self) {
        if let (Some(record), Some(end)) = (self.record.take(), self.end) {
            let settlement = record.close(end, Some(self.relay.tally()), now());
            self.host.log(&settlement.line);
            self.host.store.settle(settlement).await;
        }
    }
}
