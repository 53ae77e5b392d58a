//! The list of scenarios, and the one configuration that every host is started with for all of them.
//! Each scenario has a caller of its own, so that its totals are its own whatever runs beside it; those that play last
//! look at no totals and share one.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::answer::Usage;
use crate::host::Kind;
use crate::test::Test;
use crate::upstream::Provider;
use crate::upstream::files::HOOK;

/// A request body may be this long.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;

/// A file that is fetched may be this long.
const FILE_BYTES_MAX: usize = 100_000;

/// The first-byte and idle limits of hasty aliases: short to wait for, long for a busy machine.
const HASTY_MS: u64 = 2000;

/// After so long the callers of beating aliases are told that an answer is on its way.
const BEATING_MS: u64 = 200;

#[derive(Default)]
pub(crate) struct Suite {
    pub(crate) scenarios: Vec<Scenario>,
    aliases: serde_json::Map<String, Value>,
    rules: Vec<Value>,
    app: Value,
    issuers: serde_json::Map<String, Value>,
}

pub(crate) struct Scenario {
    pub(crate) name: String,
    /// Its own among all.
    pub(crate) number: usize,
    pub(crate) caller: String,
    pub(crate) hosts: Vec<Kind>,
    /// Nothing else may run meanwhile.
    pub(crate) alone: bool,
    /// Plays after all that are not, on whatever host: its processes would take others the time they count on.
    pub(crate) last: bool,
    limits: Value,
    /// Of `[limits]`, by name: on this scenario's caller only.
    bounds: Vec<(String, Value)>,
    pub(crate) run: Arc<Run>,
}

type Run = dyn Fn(Test) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

impl Suite {
    /// Adds a scenario; `name` is the sentence that it proves.
    pub(crate) fn add<F>(&mut self, name: &str, run: impl Fn(Test) -> F + Send + Sync + 'static) -> &mut Scenario
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let number = self.scenarios.len();
        self.scenarios.push(Scenario {
            name: name.to_owned(),
            number,
            caller: format!("caller-{number}"),
            hosts: Kind::ALL.to_vec(),
            alone: false,
            last: false,
            limits: json!({}),
            bounds: Vec::new(),
            run: Arc::new(move |test| Box::pin(run(test))),
        });
        self.scenarios.last_mut().expect("one was just added")
    }

    /// A model name that stands for targets in order.
    pub(crate) fn alias(&mut self, name: &str, targets: &[String]) {
        self.aliases.insert(name.to_owned(), json!({"targets": targets}));
    }

    /// The same for targets that are silent, with short time limits.
    pub(crate) fn hasty_alias(&mut self, name: &str, targets: &[String]) {
        let alias = json!({"targets": targets, "first_byte_ms": HASTY_MS, "idle_ms": HASTY_MS});
        self.aliases.insert(name.to_owned(), alias);
    }

    /// The same for callers who are told soon that they are waiting.
    pub(crate) fn beating_alias(&mut self, name: &str, targets: &[String]) {
        self.aliases.insert(name.to_owned(), json!({"targets": targets, "heartbeat_ms": BEATING_MS}));
    }

    /// The same for targets that are asked by a policy.
    pub(crate) fn policed_alias(&mut self, name: &str, targets: &[String], policy: Value) {
        self.aliases.insert(name.to_owned(), json!({"targets": targets, "policy": policy}));
    }

    /// Is asked before any target, in the order in which rules are added.
    pub(crate) fn rule(&mut self, rule: Value) {
        self.rules.push(rule);
    }

    /// The app `phones`, which asks the scripted upstream for Google's words.
    pub(crate) fn app(&mut self, app: Value) {
        self.app = app;
    }

    /// One whose tokens stand for a scenario's caller; a path in place of an address is one of the scripted upstream.
    pub(crate) fn issuer(&mut self, name: &str, issuer: Value) {
        self.issuers.insert(name.to_owned(), issuer);
    }

    /// Lets the next target of an alias go on with a stream that breaks off.
    pub(crate) fn splice(&mut self, name: &str) {
        self.aliases[name]["policy"] = json!({"splice": true});
    }

    /// The configuration of all hosts. `dead` is an address where nobody listens.
    pub(crate) fn config(&self, upstream: SocketAddr, dead: SocketAddr) -> Value {
        let mut callers = serde_json::Map::new();
        callers.insert("by-secret".to_owned(), json!({"secret": BY_SECRET.0}));
        for scenario in &self.scenarios {
            let mut caller = scenario.limits.clone();
            caller["sha256"] = sha256(&key(&scenario.caller)).into();
            callers.insert(scenario.caller.clone(), caller);
        }
        let bounds = self.scenarios.iter().flat_map(|scenario| scenario.bounds.iter().cloned());
        let mut prices = serde_json::Map::new();
        for (model, price) in PRICES {
            for provider in Provider::ALL {
                let [input, cached_input, cache_write, output] = price.map(usd_per_million);
                let row =
                    json!({"input": input, "cached_input": cached_input, "cache_write": cache_write, "output": output});
                prices.insert(provider.target(model), row);
            }
        }
        let mut providers = json!({
            "up-anthropic-v1": {"dialect": "anthropic", "base_url": format!("http://{upstream}/v1"), "secret": "UP_ANTHROPIC_API_KEY"},
            "up-legacy": {"dialect": "openai-completions", "base_url": format!("http://{upstream}/v1"), "secret": "UP_OPENAI_API_KEY"},
            "dead-openai": {"dialect": "openai-chat", "base_url": format!("http://{dead}/v1"), "auth": "none"},
            "dead-anthropic": {"dialect": "anthropic", "base_url": format!("http://{dead}"), "auth": "none"},
        });
        for provider in Provider::ALL {
            providers[provider.id()] = provider.config(&format!("http://{upstream}"));
        }
        let mut app = self.app.clone();
        app["google"]["base_url"] = format!("http://{upstream}/play").into();
        let mut issuers = self.issuers.clone();
        for issuer in issuers.values_mut() {
            if let Some(path) = issuer["jwks_url"].as_str() {
                issuer["jwks_url"] = format!("http://{upstream}{path}").into();
            }
        }
        json!({
            "body_bytes_max": BODY_BYTES_MAX,
            "media": {"hosts": [format!("http://{upstream}")], "file_bytes_max": FILE_BYTES_MAX, "ms_max": HASTY_MS},
            "timeouts": {"first_byte_ms": 15_000, "idle_ms": 15_000},
            // Scenarios share targets that fail by name, and each counts on asking them.
            "policy": {"rest_after": u32::MAX},
            "rules": self.rules,
            "providers": providers,
            "models": self.aliases,
            "callers": callers,
            "apps": {"phones": app},
            "tokens": issuers,
            "limits": bounds.collect::<serde_json::Map<_, _>>(),
            "prices": prices,
            "webhook": {"url": format!("http://{upstream}{HOOK}"), "secret": TOKEN_SECRET.0},
        })
    }
}

impl Scenario {
    pub(crate) fn requests_per_minute(&mut self, limit: u64) -> &mut Self {
        self.limits["requests_per_minute"] = limit.into();
        self
    }

    pub(crate) fn spend_cap_usd(&mut self, cap: &str) -> &mut Self {
        self.limits["spend_cap_usd"] = cap.into();
        self
    }

    /// A field of the caller.
    pub(crate) fn field(&mut self, name: &str, value: Value) -> &mut Self {
        self.limits[name] = value;
        self
    }

    /// A limit by this name and the scenario's number.
    pub(crate) fn limit(&mut self, name: &str, mut limit: Value) -> &mut Self {
        limit["when"]["caller"] = self.caller.clone().into();
        self.bounds.push((format!("{name}-{}", self.number), limit));
        self
    }

    pub(crate) fn only_on(&mut self, hosts: &[Kind]) -> &mut Self {
        self.hosts = hosts.to_vec();
        self
    }

    pub(crate) fn alone(&mut self) -> &mut Self {
        self.alone = true;
        self
    }

    /// A caller for each of these would make the configuration longer than the 128 KiB that Linux has for a word of a
    /// command line, which is how Spin's host gets it.
    pub(crate) fn last(&mut self) -> &mut Self {
        self.last = true;
        "caller-last".clone_into(&mut self.caller);
        self
    }
}

/// The caller whose key is a secret of the host: the name of the secret, and the key.
pub(crate) const BY_SECRET: (&str, &str) = ("BY_SECRET_KEY", "tg-scripted-by-secret-77ab");

/// What the gateway's own tokens are signed with: the name of the secret, and the secret.
pub(crate) const TOKEN_SECRET: (&str, &str) = ("TOLLGATE_TOKEN_SECRET", "scripted-token-secret-of-more-than-32-bytes");

/// What an own backend signs its tokens with.
pub(crate) fn backend() -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[42; 32])
}

/// What an issuer publishes, and the key that it signs with.
pub(crate) fn published() -> (Value, p256::ecdsa::SigningKey) {
    let key = p256::ecdsa::SigningKey::from_slice(&[42; 32]).expect("it is a number below the order");
    let point = key.verifying_key().to_sec1_point(false);
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let (x, y) = (point.x().expect("it is whole"), point.y().expect("it is whole"));
    let row = json!({"kty": "EC", "crv": "P-256", "kid": "one", "use": "sig", "x": text(x), "y": text(y)});
    (json!({"keys": [row]}), key)
}

/// The key of a caller that the configuration knows by its hash.
pub(crate) fn key(caller: &str) -> String {
    format!("tg-scripted-{caller}-c0ffee")
}

/// What a reply of this model costs in picodollars, `None` where the configuration has no price.
pub(crate) fn cost(model: &str, usage: Usage) -> Option<u64> {
    let (_, [input, cached, cache_write, output]) = PRICES.iter().find(|(name, _)| *name == model)?;
    let plain = usage.input - usage.cached - usage.cache_write;
    Some(plain * input + usage.cached * cached + usage.cache_write * cache_write + usage.output * output)
}

/// Picodollars per token: input, cached input, cache write, output.
const PRICES: [(&str, [u64; 4]); 5] = [
    ("text", [2_500_000, 312_500, 3_125_001, 10_000_001]),
    ("tools", [150_000, 75_000, 187_500, 600_000]),
    ("cheap", [1_000, 1_000, 1_000, 10_000_000]),
    ("slow-priced", [1_000, 1_000, 1_000, 10_000_000]),
    ("status-500", [1_000, 1_000, 1_000, 10_000_000]),
];

fn usd_per_million(picodollars: u64) -> String {
    format!("{}.{:06}", picodollars / 1_000_000, picodollars % 1_000_000)
}

fn sha256(key: &str) -> String {
    Sha256::digest(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
