//! Instances of the component: how they are made, how long they are kept and how many requests share one.
//! The numbers are Spin 4.1's defaults, which only components that export `wasi:http/handler@0.3.0` get.

use std::collections::BTreeMap;
use std::future::pending;
use std::path::{Path, absolute};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep};
use wasmtime::component::{GuestTaskId, Linker, ResourceTable};
use wasmtime::error::Context as _;
use wasmtime::{Cache, CacheConfig, Config, Engine, OptLevel, RegallocAlgorithm, Result, Store, StoreContextMut};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, Proxy, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus,
};
use wasmtime_wasi_http::p3::bindings::ServicePre;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::keyvalue::{self, KeyValue};
use crate::outbound::{Allowed, Outbound};
use crate::rows::Rows;
use crate::variables::{self, Variables};

/// `--max-instance-reuse-count`.
const REQUESTS_MAX: usize = 128;
/// `--max-instance-concurrent-reuse-count`.
const CONCURRENT_MAX: usize = 16;
/// `--idle-instance-timeout`.
const IDLE: Duration = Duration::from_secs(1);

/// The compiled component and what all its instances share.
pub struct Component {
    service: ServicePre<State>,
    rows: Arc<Rows>,
    variables: Arc<BTreeMap<String, String>>,
    allowed: Arc<Allowed>,
}

/// What one instance owns.
pub struct State {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: Outbound,
    pub key_value: KeyValue,
    pub variables: Variables,
}

impl Component {
    pub fn load(file: &Path, rows: Rows, variables: BTreeMap<String, String>, allowed: Allowed) -> Result<Self> {
        let engine = engine(file)?;
        let component = wasmtime::component::Component::from_file(&engine, file)?;
        let mut linker = Linker::new(&engine);
        // Rust's standard library still speaks WASI 0.2.
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
        keyvalue::add_to_linker(&mut linker)?;
        variables::add_to_linker(&mut linker)?;
        Ok(Self {
            service: ServicePre::new(linker.instantiate_pre(&component)?)
                .context("the component does not export wasi:http/handler@0.3.0")?,
            rows: Arc::new(rows),
            variables: Arc::new(variables),
            allowed: Arc::new(allowed),
        })
    }
}

/// What was compiled is kept in a folder beside the component, under a hash of everything that went into it.
fn engine(component: &Path) -> Result<Engine> {
    let mut cache = CacheConfig::new();
    cache.with_directory(absolute(component.with_extension("compiled"))?);
    let mut config = Config::new();
    config.cache(Some(Cache::new(cache)?));
    config.wasm_component_model_async(true);
    // The compiler itself is built unoptimised, so it is asked to do as little as it can.
    config.cranelift_opt_level(OptLevel::None);
    config.cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass);
    Engine::new(&config)
}

impl HandlerState for Component {
    type StoreData = State;
    type WorkerExpiration = Expiration;
    type WorkerState = Reuse;

    async fn instantiate(&self) -> Result<Instance<State, Expiration, Reuse>> {
        let state = State {
            table: ResourceTable::new(),
            wasi: WasiCtxBuilder::new().inherit_stdout().inherit_stderr().build(),
            http: WasiHttpCtx::new(),
            outbound: Outbound::new(self.allowed.clone()),
            key_value: KeyValue::new(self.rows.clone()),
            variables: Variables::new(self.variables.clone()),
        };
        let mut store = Store::new(self.service.engine(), state);
        let service = self.service.instantiate_async(&mut store).await?;
        Ok(Instance {
            store,
            proxy: Proxy::P3(service),
            view: State::http,
            expiration: Expiration(Box::pin(sleep(IDLE))),
            state: Reuse,
        })
    }
}

/// When an instance may take one more request, and what is said when it is gone.
pub struct Reuse;

impl WorkerState for Reuse {
    type StoreData = State;
    type RequestData = ();

    fn should_accept_request(&self, concurrent_count: usize, total_count: usize) -> ShouldAccept {
        if total_count >= REQUESTS_MAX {
            ShouldAccept::Never
        } else if concurrent_count >= CONCURRENT_MAX {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    /// Requests have no time limit.
    fn on_request_start(
        &self,
        _: StoreContextMut<'_, State>,
        (): (),
        _: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        Box::pin(pending())
    }

    fn drop(&self, _: Store<State>, result: Result<()>) {
        if let Err(error) = result {
            eprintln!("spin-host: instance lost with every request in it: {error:?}");
        }
    }
}

/// Ends an instance that has been idle for [`IDLE`]; never one that still works, after the response included.
pub struct Expiration(Pin<Box<Sleep>>);

impl WorkerExpiration for Expiration {
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>, status: WorkerStatus, since: Instant) -> Poll<()> {
        match status {
            WorkerStatus::Idle => {
                let end = (since + IDLE).into();
                if self.0.deadline() != end {
                    self.0.as_mut().reset(end);
                }
                self.0.as_mut().poll(cx)
            }
            WorkerStatus::Requests | WorkerStatus::PostReturn => Poll::Pending,
        }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.outbound, table: &mut self.table, ctx: &mut self.http }
    }
}
