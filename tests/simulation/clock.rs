//! Virtual time: whoever waits names an instant, and when nobody can go on, it is the next such instant at once.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tollgate::host::Millis;

pub type Task<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Milliseconds since the start.
#[derive(Default)]
pub struct Clock {
    now: Cell<Millis>,
    /// The task that is being polled.
    task: Cell<usize>,
    alarms: RefCell<BTreeSet<(Millis, usize)>>,
}

impl Clock {
    pub fn now(&self) -> Millis {
        self.now.get()
    }

    pub async fn until(&self, instant: Millis) {
        poll_fn(|_| {
            if self.now.get() >= instant {
                return Poll::Ready(());
            }
            self.alarms.borrow_mut().insert((instant, self.task.get()));
            Poll::Pending
        })
        .await;
    }

    /// Runs `arrivals` to their end, each from its instant on; they come in order.
    pub fn run<'a>(&self, arrivals: impl Iterator<Item = (Millis, Task<'a>)>) {
        let mut context = Context::from_waker(Waker::noop());
        let mut tasks: HashMap<usize, Task<'a>> = HashMap::new();
        let mut arrivals = arrivals.enumerate().peekable();
        loop {
            let alarm = self.alarms.borrow().first().copied();
            let arrival = arrivals.peek().map(|(_, (instant, _))| *instant);
            let id = match (alarm, arrival) {
                (None, None) => break,
                (Some((instant, id)), arrival) if arrival.is_none_or(|arrival| instant <= arrival) => {
                    self.now.set(instant);
                    self.alarms.borrow_mut().pop_first();
                    id
                }
                _ => {
                    let (id, (instant, task)) = arrivals.next().expect("it was peeked at");
                    self.now.set(instant);
                    tasks.insert(id, task);
                    id
                }
            };
            self.task.set(id);
            // One that has ended may have left an alarm behind.
            if tasks.get_mut(&id).is_some_and(|task| task.as_mut().poll(&mut context).is_ready()) {
                tasks.remove(&id);
            }
        }
        assert!(tasks.is_empty(), "{} tasks wait for nothing that will ever happen", tasks.len());
    }
}
