//! A host on which nothing happens but what a script says, in virtual time.
//!
//! Every future waits for an instant, so polling all tasks and then jumping to the next instant is the whole
//! executor. What is left pending without an instant is stuck, and says so.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tollgate::auth::proof::Signed;
use tollgate::host::native::signatures;
use tollgate::host::{Answer, Broken, Headers, Host, Method, Millis, Outgoing, StoreDown, Unreachable};
use tollgate::limit::{Admission, Bound, decide};
use tollgate::receipt::{Ids, Kept};
use tollgate::record::Settlement;
use tollgate::relay::{Gone, Sink};

use crate::script::{Act, Script};

/// 2026-11-21, noon: the start of a minute, of an hour, and of nothing else.
pub const START: Millis = 1_795_262_400_000;
/// Hosts that hold files, and are no upstreams.
pub const FILES: [&str; 2] = ["files", "more"];

#[derive(Default)]
pub struct World {
    passed: Cell<Millis>,
    alarms: RefCell<BTreeSet<Millis>>,
    random: Cell<u64>,
    /// What each target does, request by request; the last is repeated.
    pub targets: RefCell<HashMap<String, VecDeque<Script>>>,
    /// What the upstreams were sent, each with its address.
    pub sent: RefCell<Vec<(String, Bytes)>>,
    /// And how: the method and the headers of each.
    pub heads: RefCell<Vec<(&'static str, Headers)>>,
    /// The files that were asked for, each with the time.
    pub fetched: RefCell<Vec<(Millis, String)>>,
    pub counters: RefCell<BTreeMap<String, i64>>,
    /// By key, what is remembered and until when.
    pub remembered: RefCell<BTreeMap<String, (Bytes, Millis)>>,
    /// By caller and id.
    pub receipts: RefCell<BTreeMap<(String, String), String>>,
    pub store_down: Cell<bool>,
    pub settle_ms: Cell<Millis>,
    pub admitted: Cell<u32>,
    /// Signatures that were looked at.
    pub verified: Cell<u32>,
    /// Upstreams that were given up, with the time.
    pub cancelled: RefCell<Vec<(Millis, String)>>,
}

pub type Task<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

impl World {
    /// Milliseconds since the start.
    pub fn passed(&self) -> Millis {
        self.passed.get()
    }

    pub async fn until(&self, instant: Millis) {
        poll_fn(|_| {
            if self.passed.get() >= instant {
                return Poll::Ready(());
            }
            self.alarms.borrow_mut().insert(instant);
            Poll::Pending
        })
        .await;
    }

    /// Runs `tasks` to their end.
    pub fn run(&self, mut tasks: Vec<Task<'_>>) {
        let mut context = Context::from_waker(Waker::noop());
        loop {
            tasks.retain_mut(|task| task.as_mut().poll(&mut context).is_pending());
            if tasks.is_empty() {
                return;
            }
            let mut alarms = self.alarms.borrow_mut();
            *alarms = alarms.split_off(&(self.passed.get() + 1));
            let next = alarms.pop_first().expect("a task waits for nothing that will ever happen");
            self.passed.set(next);
        }
    }

    /// Has a target answer the next request at once with this body.
    pub fn answer_whole(&self, target: &str, body: &str) {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        let steps = [Act::Head { status: 200, headers }, Act::Piece(body.to_owned().into()), Act::Close];
        let script = steps.into_iter().map(|act| (0, act)).collect();
        self.targets.borrow_mut().insert(target.to_owned(), [script].into());
    }

    fn script(&self, target: &str) -> Script {
        let mut targets = self.targets.borrow_mut();
        let scripts = targets.get_mut(target).unwrap_or_else(|| panic!("{target} was asked and has no script"));
        if scripts.len() > 1 { scripts.pop_front() } else { scripts.front().cloned() }.expect("a script")
    }

    fn add(&self, counter: &str, add: i64) {
        *self.counters.borrow_mut().entry(counter.to_owned()).or_default() += add;
    }
}

/// One request's view of the world.
pub struct Scripted {
    pub world: Rc<World>,
    /// When the caller hangs up.
    pub gone_at: Option<Millis>,
    pub lines: RefCell<Vec<String>>,
    pub settled: RefCell<Vec<Millis>>,
    /// When the head went out without an answer, if it did.
    pub begun: RefCell<Option<(Millis, Headers)>>,
    /// How long the caller takes for each piece.
    pub slow_ms: Millis,
    /// What was sent before the host had a reply.
    pub received: RefCell<Received>,
}

impl Scripted {
    pub fn new(world: Rc<World>) -> Self {
        let (lines, settled, begun, received) = Default::default();
        Self { world, gone_at: None, lines, settled, begun, slow_ms: 0, received }
    }

    /// The caller's end, where what it gets is written down in `received`.
    pub fn caller<'a>(&'a self, received: &'a RefCell<Received>) -> Caller<'a> {
        Caller { world: &self.world, gone_at: self.gone_at, slow_ms: self.slow_ms, received }
    }
}

/// An upstream at work. Dropped before its end it was cancelled.
pub struct Upstream {
    world: Rc<World>,
    target: String,
    script: Script,
    /// When the last step was over. The next begins then: an upstream does not run ahead of its reader.
    since: Millis,
}

impl Upstream {
    /// The next step, once its time has come.
    async fn next(&mut self) -> Act {
        let Some((delay, act)) = self.script.front().cloned() else { return Act::Close };
        self.world.until(self.since + delay).await;
        if matches!(act, Act::Silence) {
            std::future::pending::<()>().await;
        }
        self.script.pop_front();
        self.since = self.world.passed();
        act
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if !self.script.is_empty() {
            self.world.cancelled.borrow_mut().push((self.world.passed(), self.target.clone()));
        }
    }
}

impl Host for Scripted {
    type Body = Upstream;

    fn now(&self) -> Millis {
        START + self.world.passed()
    }

    fn random(&self) -> u64 {
        let next = self.world.random.get() + 1;
        self.world.random.set(next);
        next
    }

    async fn sleep(&self, ms: u64) {
        self.world.until(self.world.passed().saturating_add(ms)).await;
    }

    async fn gone(&self) {
        match self.gone_at {
            Some(instant) => self.world.until(instant).await,
            None => std::future::pending().await,
        }
    }

    async fn fetch(&self, request: Outgoing) -> Result<Answer<Upstream>, Unreachable> {
        let target = request.url.strip_prefix("http://").and_then(|rest| rest.split('/').next()).expect("a target");
        for (name, value) in request.headers.iter().filter(|(_, value)| value.contains("key of ")) {
            assert!(value.ends_with(&format!("key of {target}")), "{name}: {value} was sent to {target}");
        }
        for text in [&request.url, &*String::from_utf8_lossy(&request.body)] {
            assert!(!text.contains("own-key-of-"), "a caller's own key was sent in {text}");
        }
        for (name, value) in request.headers.iter().filter(|(_, value)| value.contains("own-key-of-")) {
            let is_its =
                value.trim_end_matches(|c: char| c.is_ascii_digit()).ends_with(&format!("own-key-of-{target}"));
            assert!(is_its, "{name}: {value} was sent to {target}");
        }
        assert!(request.method == Method::Post || request.body.is_empty(), "a GET has a body");
        let is_file = FILES.contains(&target);
        if is_file {
            let names: Vec<&str> = request.headers.iter().map(|(name, _)| name).collect();
            assert_eq!(
                names,
                ["accept", "accept-encoding", "user-agent"],
                "something goes along with what asks for a file"
            );
        }
        let script = self.world.script(target);
        if is_file {
            self.world.fetched.borrow_mut().push((self.world.passed(), request.url.clone()));
        } else {
            self.world.sent.borrow_mut().push((request.url.clone(), request.body.clone()));
            self.world.heads.borrow_mut().push((request.method.name(), request.headers.clone()));
        }
        let world = self.world.clone();
        let mut upstream = Upstream { since: world.passed(), world, target: target.to_owned(), script };
        match upstream.next().await {
            Act::Head { status, headers } => {
                let headers: Headers = headers.into_iter().collect();
                Ok(Answer { status, headers, body: upstream })
            }
            _ => Err(Unreachable(format!("{target} is not there"))),
        }
    }

    async fn send(&self, head: &Headers, bytes: Bytes) -> Result<(), Gone> {
        self.begun.borrow_mut().get_or_insert_with(|| (self.world.passed(), head.clone()));
        self.caller(&self.received).write(bytes).await
    }

    async fn verify(&self, signed: &Signed) -> bool {
        self.world.verified.set(self.world.verified.get() + 1);
        signatures::verify(signed)
    }

    async fn sign(&self, key: &[u8], message: &[u8]) -> Option<Vec<u8>> {
        signatures::sign(key, message)
    }

    async fn read(&self, body: &mut Upstream) -> Result<Option<Bytes>, Broken> {
        match body.next().await {
            Act::Piece(bytes) => Ok(Some(bytes)),
            Act::Close => Ok(None),
            act => {
                assert!(matches!(act, Act::Reset), "the head comes first");
                Err(Broken)
            }
        }
    }

    async fn admit(&self, bounds: &[Bound]) -> Result<Admission, StoreDown> {
        if self.world.store_down.get() {
            return Err(StoreDown("down".to_owned()));
        }
        let admission = {
            let counters = self.world.counters.borrow();
            decide(bounds, |counter| counters.get(counter).copied().unwrap_or(0))
        };
        if let Admission::Admitted(_) = admission {
            bounds.iter().for_each(|bound| self.world.add(&bound.counter, bound.add));
            self.world.admitted.set(self.world.admitted.get() + 1);
        }
        Ok(admission)
    }

    async fn settle(&self, Settlement { adds, receipt, .. }: Settlement) {
        self.sleep(self.world.settle_ms.get()).await;
        adds.iter().for_each(|add| self.world.add(&add.counter, add.add));
        if let Some(Kept { caller, id, text, .. }) = receipt {
            let before = self.world.receipts.borrow_mut().insert((caller, id), text);
            assert_eq!(before, None, "a request has two receipts");
        }
        self.settled.borrow_mut().push(self.world.passed());
    }

    async fn totals(&self, prefix: &str) -> Result<Vec<(String, i64)>, StoreDown> {
        let counters = self.world.counters.borrow();
        let found = counters.iter().filter(|(counter, _)| counter.starts_with(prefix));
        Ok(found.map(|(counter, total)| (counter.clone(), *total)).collect())
    }

    async fn receipts(&self, caller: &str, ids: &Ids, most: usize) -> Result<Option<Vec<String>>, StoreDown> {
        let kept = self.world.receipts.borrow();
        let its = kept.iter().filter(|((whose, id), _)| whose == caller && ids.from <= *id && *id <= ids.to);
        Ok(Some(its.take(most).map(|(_, text)| text.clone()).collect()))
    }

    async fn recall(&self, key: &str) -> Result<Option<Bytes>, StoreDown> {
        if self.world.store_down.get() {
            return Err(StoreDown("down".to_owned()));
        }
        let remembered = self.world.remembered.borrow();
        Ok(remembered.get(key).filter(|(_, until)| *until > self.now()).map(|(value, _)| value.clone()))
    }

    async fn remember(&self, key: &str, value: Bytes, seconds: u32) -> Result<(), StoreDown> {
        if self.world.store_down.get() {
            return Err(StoreDown("down".to_owned()));
        }
        let until = self.now() + u64::from(seconds) * 1000;
        self.world.remembered.borrow_mut().insert(key.to_owned(), (value, until));
        Ok(())
    }

    fn log(&self, line: &str) {
        self.lines.borrow_mut().push(line.to_owned());
    }
}

/// What reached the caller, and when.
#[derive(Default)]
pub struct Received {
    pub pieces: Vec<(Millis, Bytes)>,
    pub ended: Option<Millis>,
}

/// The caller's end of a stream.
pub struct Caller<'a> {
    pub world: &'a World,
    pub gone_at: Option<Millis>,
    /// How long it takes for each piece.
    pub slow_ms: Millis,
    pub received: &'a RefCell<Received>,
}

impl Sink for Caller<'_> {
    async fn write(&mut self, bytes: Bytes) -> Result<(), Gone> {
        let taken = self.world.passed() + self.slow_ms;
        if let Some(gone) = self.gone_at.filter(|gone| *gone <= taken) {
            self.world.until(gone).await;
            return Err(Gone);
        }
        self.world.until(taken).await;
        self.received.borrow_mut().pieces.push((self.world.passed(), bytes));
        Ok(())
    }
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        self.received.borrow_mut().ended = Some(self.world.passed());
    }
}
