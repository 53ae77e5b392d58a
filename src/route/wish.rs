//! What a caller wishes of the route of one request, in the words that callers of other gateways already send.
//!
//! OpenRouter's `models` and `provider`, Vercel's `providerOptions.gateway` (or the same as `provider`), and headers for
//! whoever cannot change the body. A wish narrows what the configuration allows; it never widens it.
//!
//! Sources: "Provider routing" and "Model routing", OpenRouter documentation; "Provider options", Vercel AI Gateway
//! documentation; read 2026-11.

use super::order::Order;
use super::{NAME_BYTES_MAX, is_name};
use crate::auth::GATEWAY_KEY;
use crate::auth::own::{KEY_HEADER, ONLY_HEADER};
use crate::chat::Number;
use crate::error::Error;
use crate::host::Headers;
use crate::price::Picodollars;
use crate::wire::json::{self, Cursor, Fields, Raw, Read, objects, parse};

/// Of one request; what is not wished is empty.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Models to ask after the first, in order.
    pub models: Vec<String>,
    /// Providers to ask first, in order.
    pub order: Vec<String>,
    /// Providers besides which none may be asked, where there is one.
    pub only: Vec<String>,
    /// Providers that may not be asked.
    pub ignore: Vec<String>,
    pub sort: Option<Order>,
    /// Whether only the first target may be asked.
    pub first_only: bool,
    /// Whether a target is passed over that could be given only part of the request.
    pub strict: bool,
    /// Whether those are passed over of whom it is not known that they keep nothing.
    pub zero_retention: bool,
    /// And of whom it is not known that they do not train on what they are sent.
    pub no_training: bool,
    pub region: Option<String>,
    /// Per token of input and of output.
    pub max_price: (Option<Picodollars>, Option<Picodollars>),
    /// Those go last of whom it is known that they are slower, by so many in a hundred of their answers.
    pub first_byte_ms: Vec<(u32, u64)>,
    pub tokens_per_second: Vec<(u32, u64)>,
    pub tags: Vec<String>,
    /// The end user, for whom costs are told apart.
    pub user: Option<String>,
    /// What keeps to one target.
    pub session: Option<String>,
    /// The names of what was wished and cannot be given, for the list of what was lost.
    pub unmet: Vec<String>,
    /// Whether some of it stands in the body, where an upstream that is no gateway would refuse it.
    pub in_body: bool,
}

objects! {
    struct Provider {
        order: Option<Vec<String>>,
        only: Option<Vec<String>>,
        ignore: Option<Vec<String>>,
        allow_fallbacks: Option<bool>,
        require_parameters: Option<bool>,
        data_collection: Option<String>,
        zdr: Option<bool>,
        sort: Option<Sort>,
        max_price: Option<MaxPrice>,
        preferred_max_latency: Option<Preference>,
        preferred_min_throughput: Option<Preference>,
        // Vercel's names.
        models: Option<Vec<String>>,
        user: Option<String>,
        tags: Option<Vec<String>>,
        zero_retention as "zeroDataRetention": Option<bool>,
        no_training as "disallowPromptTraining": Option<bool>,
        region as "inferenceRegion": Option<String>,
    }

    /// Dollars per million tokens.
    struct MaxPrice {
        prompt: Option<Amount>,
        completion: Option<Amount>,
        request: Option<Amount>,
        image: Option<Amount>,
        audio: Option<Amount>,
    }

    struct Percentiles {
        p50: Option<Number>,
        p75: Option<Number>,
        p90: Option<Number>,
        p99: Option<Number>,
    }

    struct SortBy {
        by: Option<String>,
        partition: Option<String>,
    }

    struct Options<'a> {
        gateway: Option<Raw<'a>>,
    }
}

/// `"price"`, or `{"by": "price"}`.
#[derive(Default)]
struct Sort {
    by: String,
    /// Whether the targets of all models are to be put in one order.
    over_models: bool,
}

impl<'a> Read<'a> for Sort {
    fn read(at: &mut Cursor<'a>) -> Self {
        if at.peek() != b'{' {
            return Self { by: String::read(at), over_models: false };
        }
        let SortBy { by, partition } = SortBy::read(at);
        Self { by: by.unwrap_or_default(), over_models: partition.as_deref() == Some("none") }
    }

    fn blank() -> Self {
        Self::default()
    }
}

/// A number, or as OpenRouter's own client writes it, a text.
struct Amount(String);

impl<'a> Read<'a> for Amount {
    fn read(at: &mut Cursor<'a>) -> Self {
        Self(if at.peek() == b'"' { String::read(at) } else { Number::read(at).text().to_owned() })
    }

    fn blank() -> Self {
        Self(String::new())
    }
}

/// A number, which is of the middle, or `{"p90": 2}`.
struct Preference(Vec<(u32, Number)>);

impl<'a> Read<'a> for Preference {
    fn read(at: &mut Cursor<'a>) -> Self {
        if at.peek() != b'{' {
            return Self(vec![(50, Number::read(at))]);
        }
        let Percentiles { p50, p75, p90, p99 } = Percentiles::read(at);
        let wished = [(50, p50), (75, p75), (90, p90), (99, p99)];
        Self(wished.into_iter().filter_map(|(percent, number)| Some((percent, number?))).collect())
    }

    fn blank() -> Self {
        Self(Vec::new())
    }
}

impl Preference {
    /// In whole units of which the wish has one in `scale`.
    fn scaled(self, scale: f64) -> Vec<(u32, u64)> {
        self.0.into_iter().map(|(percent, number)| (percent, (number.value() * scale) as u64)).collect()
    }
}

/// What the list of wishes may hold: nobody has more providers or models in mind.
const NAMES_MAX: usize = 100;
/// Each of them is looked up, and the request read for it.
const MODELS_MAX: usize = 16;

/// The headers that wish something; what begins like them is a mistake, and told.
const HEADERS: &[&str] = &[
    "x-tollgate-models",
    "x-tollgate-order",
    "x-tollgate-only",
    "x-tollgate-ignore",
    "x-tollgate-sort",
    "x-tollgate-no-fallback",
    "x-tollgate-zero-retention",
    "x-tollgate-no-training",
    "x-tollgate-region",
    "x-tollgate-session",
    "x-tollgate-tags",
    "x-tollgate-user",
    "x-tollgate-strict",
    GATEWAY_KEY,
    KEY_HEADER,
    ONLY_HEADER,
];

/// The caller's own keys, which [`crate::auth::own`] reads.
const KEYS: &str = "byok";

/// A body for a gateway behind this one: without what was heeded here. Models are this gateway's to choose, by rules that
/// the one behind does not know, and of providers it is told what [`super::behind`] has for it; how data is to be treated
/// there is for that one to heed too. Keys are for their providers alone, so what cannot be read is not sent on either.
pub fn for_gateway(body: &Fields<'_>) -> Vec<u8> {
    const CHOICES: &[&str] = &["models", "order", "only", "ignore", KEYS];
    let unread = |value: Raw<'_>| if value.get().starts_with(['{', '[']) { "null" } else { value.get() }.to_owned();
    let chosen = |object: Raw<'_>| match Fields::read(object.get().as_bytes()) {
        Ok(fields) => String::from_utf8(fields.without(CHOICES)).unwrap_or_default(),
        Err(_) => unread(object),
    };
    let provider = body.raw("provider").map(chosen);
    let options = body.raw("providerOptions").map(|value| {
        let Ok(options) = Fields::read(value.get().as_bytes()) else { return unread(value) };
        let Some(gateway) = options.raw("gateway").map(chosen) else { return value.get().to_owned() };
        String::from_utf8(options.with(&[("gateway", &gateway)])).unwrap_or_default()
    });
    let values = [("provider", &provider), ("providerOptions", &options)];
    let values: Vec<(&str, &str)> =
        values.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect();
    let body = body.with(&values);
    Fields::read(&body).map(|fields| fields.without(&["models"])).unwrap_or_default()
}

/// The fields of a body that only a gateway reads.
pub const FIELDS: &[&str] = &["models", "provider", "providerOptions", "session_id"];

/// Whether a field by this name, or by this path, is one of those, so that nothing is lost where a dialect cannot say it.
pub fn is_field(name: &str) -> bool {
    FIELDS.contains(&name) || name.starts_with("providerOptions.gateway")
}

/// Whose request it is, in the words of OpenAI's and Anthropic's APIs. One that is no name is none.
fn end_user(body: &Fields<'_>) -> Option<String> {
    let text = |name: &str| body.get::<String>(name).unwrap_or_default();
    let of_metadata = || {
        let metadata = Fields::read(body.raw("metadata")?.get().as_bytes()).ok()?;
        let id: String = metadata.get("user_id").ok()??;
        // Claude Code writes the session behind the user, or all of it as JSON; a user has many.
        let (user, _) = id.split_once("_session_").unwrap_or((&id, ""));
        let parts = parse::<ClaudeUser>(&id).unwrap_or_default();
        let parts = [parts.account_uuid, parts.device_id].into_iter().flatten().find(|part| !part.is_empty());
        Some(parts.unwrap_or_else(|| user.to_owned()))
    };
    let user = text("safety_identifier").or_else(|| text("user")).or_else(of_metadata);
    user.filter(|user| !user.is_empty() && is_name(user))
}

objects! {
    #[derive(Default)]
    struct ClaudeUser {
        account_uuid: Option<String>,
        device_id: Option<String>,
    }
}

impl Wishes {
    /// Of a request's body and headers. What a header says counts more: it is set by whoever runs the job.
    pub fn read(body: &Fields<'_>, headers: &Headers) -> Result<Self, Error> {
        let wrong = |name: &'static str| move |why: String| Error::field(name, why);
        let mut wishes = Self::default();
        let models: Option<Vec<String>> = body.get("models").map_err(wrong("models"))?;
        wishes.models = models.unwrap_or_default();
        if let Some(provider) = body.get::<Provider>("provider").map_err(wrong("provider"))? {
            wishes.take("provider", provider)?;
            wishes.miss("provider", body.raw("provider"));
        }
        let options: Option<Options<'_>> = body.get("providerOptions").map_err(wrong("providerOptions"))?;
        if let Some(raw) = options.and_then(|options| options.gateway) {
            let path = "providerOptions.gateway";
            let gateway = parse(raw.get()).map_err(|error: json::Error| Error::field(path, error))?;
            wishes.take(path, gateway)?;
            wishes.miss(path, Some(raw));
        }
        wishes.in_body = FIELDS.iter().any(|name| body.raw(name).is_some());
        // OpenAI's name for what shares a cache means the same here, and is for upstreams too.
        let cache_key = || body.get("prompt_cache_key").unwrap_or_default().filter(|key: &String| is_name(key));
        wishes.session = body.get("session_id").map_err(wrong("session_id"))?.or_else(cache_key);
        wishes.user = wishes.user.or_else(|| end_user(body));
        wishes.take_headers(headers)?;
        wishes.check()?;
        Ok(wishes)
    }

    /// Holds it within what may be looked up for one request, and may stand in the log.
    fn check(&self) -> Result<(), Error> {
        let lists = [&self.models, &self.order, &self.only, &self.ignore, &self.tags];
        if lists.iter().any(|list| list.len() > NAMES_MAX) {
            return Err(Error::invalid(format!("a list of providers or tags has at most {NAMES_MAX} names")));
        }
        if self.models.len() > MODELS_MAX {
            return Err(Error::field("models", format!("has more than {MODELS_MAX} names")));
        }
        let texts = [&self.user, &self.session, &self.region];
        if !lists.into_iter().flatten().chain(texts.into_iter().flatten()).all(|name| is_name(name)) {
            let why = format!("a name, a tag, a user or a session has at most {NAME_BYTES_MAX} bytes, none of control");
            return Err(Error::invalid(why));
        }
        Ok(())
    }

    /// Notes what stands in the object at `path` and is none of our words.
    fn miss(&mut self, path: &str, object: Option<Raw<'_>>) {
        let object = object.map(|object| Fields::read(object.get().as_bytes()));
        let Some(Ok(object)) = object else { return };
        // The tier is for dialects to read.
        let is_known = |name: &&str| Provider::FIELDS.contains(name) || ["serviceTier", KEYS].contains(name);
        let missed = object.names().filter(|name| !is_known(name)).take(NAMES_MAX);
        self.unmet.extend(missed.map(|name| format!("{path}.{name}")));
    }

    /// What stands in the object at `path`.
    fn take(&mut self, path: &str, given: Provider) -> Result<(), Error> {
        let extend = |list: &mut Vec<String>, more: Option<Vec<String>>| list.extend(more.unwrap_or_default());
        extend(&mut self.models, given.models);
        extend(&mut self.order, given.order);
        extend(&mut self.only, given.only);
        extend(&mut self.ignore, given.ignore);
        extend(&mut self.tags, given.tags);
        self.user = self.user.take().or(given.user);
        self.region = self.region.take().or(given.region);
        self.first_only |= given.allow_fallbacks == Some(false);
        self.strict |= given.require_parameters == Some(true);
        let denies = given.data_collection.as_deref() == Some("deny");
        self.zero_retention |= given.zdr == Some(true) || given.zero_retention == Some(true);
        self.no_training |= denies || given.no_training == Some(true);
        // In seconds.
        self.first_byte_ms.extend(given.preferred_max_latency.map(|wish| wish.scaled(1000.0)).unwrap_or_default());
        self.tokens_per_second.extend(given.preferred_min_throughput.map(|wish| wish.scaled(1.0)).unwrap_or_default());
        if let Some(Sort { by, over_models }) = given.sort {
            self.sort_by(&by, &format!("{path}.sort"));
            if over_models {
                self.unmet.push(format!("{path}.sort.partition"));
            }
        }
        if let Some(MaxPrice { prompt, completion, request, image, audio }) = given.max_price {
            let price = |name: &str, dollars: Option<Amount>| {
                let Some(Amount(text)) = dollars else { return Ok(None) };
                let price = per_million(&text).map(Some);
                // A ceiling that is not understood must not be taken for none.
                price.ok_or_else(|| {
                    Error::field(format!("{path}.max_price.{name}"), "must be dollars per million tokens, like 0.5")
                })
            };
            let least = |one: Option<Picodollars>, other: Option<Picodollars>| match (one, other) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
            let (input, output) = self.max_price;
            self.max_price = (least(input, price("prompt", prompt)?), least(output, price("completion", completion)?));
            let others = [("request", request), ("image", image), ("audio", audio)];
            let others = others.into_iter().filter(|(_, price)| price.is_some());
            self.unmet.extend(others.map(|(name, _)| format!("{path}.max_price.{name}")));
        }
        Ok(())
    }

    /// By the name that OpenRouter, Vercel or our own configuration has for it.
    fn sort_by(&mut self, by: &str, name: &str) {
        self.sort = match by {
            "price" | "cost" | "cheapest" => Some(Order::Cheapest),
            "latency" | "ttft" | "first-byte" => Some(Order::FirstByte),
            "throughput" | "tps" => Some(Order::Throughput),
            "balanced" => Some(Order::Balanced),
            "least-busy" => Some(Order::LeastBusy),
            _ => {
                self.unmet.push(name.to_owned());
                self.sort
            }
        };
    }

    fn take_headers(&mut self, headers: &Headers) -> Result<(), Error> {
        let list = |name: &str| {
            let names = headers.get(name)?.split(',').map(str::trim).filter(|name| !name.is_empty());
            let names: Vec<String> = names.map(str::to_owned).collect();
            // An empty header wishes nothing.
            (!names.is_empty()).then_some(names)
        };
        let replace = |wished: &mut Vec<String>, name| {
            if let Some(names) = list(name) {
                *wished = names;
            }
        };
        replace(&mut self.models, "x-tollgate-models");
        replace(&mut self.order, "x-tollgate-order");
        replace(&mut self.only, "x-tollgate-only");
        replace(&mut self.ignore, "x-tollgate-ignore");
        self.tags.extend(list("x-tollgate-tags").or_else(|| list("ai-reporting-tags")).unwrap_or_default());
        let first = |names: &[&str]| names.iter().find_map(|name| headers.get(name)).map(str::to_owned);
        self.user = first(&["x-tollgate-user", "ai-reporting-user"]).or(self.user.take());
        let session = first(&["x-tollgate-session", "x-session-id", "x-session-affinity"]);
        self.session = session.or(self.session.take());
        self.region = first(&["x-tollgate-region"]).or(self.region.take());
        if let Some(by) = headers.get("x-tollgate-sort") {
            self.sort_by(by, "x-tollgate-sort");
        }
        let is_set = |name: &'static str| match headers.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Error::invalid(format!("the header {name} must be true or false"))),
        };
        let unknown = headers.iter().map(|(name, _)| name).filter(|name| name.starts_with("x-tollgate-"));
        let unknown = unknown.filter(|name| !HEADERS.contains(name)).take(NAMES_MAX);
        self.unmet.extend(unknown.map(str::to_owned));
        self.first_only |= is_set("x-tollgate-no-fallback")?;
        self.zero_retention |= is_set("x-tollgate-zero-retention")?;
        self.no_training |= is_set("x-tollgate-no-training")?;
        Ok(())
    }
}

/// Dollars per million tokens, in picodollars per token; what is smaller than one is none.
fn per_million(dollars: &str) -> Option<Picodollars> {
    let rounded = || Picodollars::nearest(dollars).map(|Picodollars(price)| Picodollars(price / 1_000_000));
    Picodollars::parse(dollars, 1_000_000).or_else(rounded)
}

/// How a model's name may end to say how its targets are put in order, as at OpenRouter.
const VARIANTS: &[(&str, Order)] = &[(":nitro", Order::Throughput), (":floor", Order::Cheapest)];

/// The name without such an ending, and what that wants.
pub fn variant(model: &str) -> Option<(&str, Order)> {
    VARIANTS.iter().find_map(|(ending, order)| Some((model.strip_suffix(ending)?, *order)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str, headers: &[(&str, &str)]) -> Result<Wishes, Error> {
        let headers: Headers = headers.iter().copied().collect();
        Wishes::read(&Fields::read(body.as_bytes()).unwrap(), &headers)
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn nothing_is_wished_where_nothing_is_said() {
        assert_eq!(read(r#"{"model":"m","messages":[]}"#, &[]).unwrap(), Wishes::default());
    }

    #[test]
    fn openrouters_words_are_understood() {
        let body = r#"{"models":["a","b"],"session_id":"s","provider":{"order":["p"],"only":["p","q"],"ignore":["r"],
            "allow_fallbacks":false,"require_parameters":true,"data_collection":"deny","zdr":true,
            "sort":{"by":"price","partition":"model"},"max_price":{"prompt":0.5,"completion":2},
            "preferred_max_latency":{"p90":1.5},"preferred_min_throughput":40}}"#;
        let expected = Wishes {
            models: names(&["a", "b"]),
            order: names(&["p"]),
            only: names(&["p", "q"]),
            ignore: names(&["r"]),
            sort: Some(Order::Cheapest),
            first_only: true,
            strict: true,
            zero_retention: true,
            no_training: true,
            max_price: (Some(Picodollars(500_000)), Some(Picodollars(2_000_000))),
            first_byte_ms: vec![(90, 1_500)],
            tokens_per_second: vec![(50, 40)],
            session: Some("s".to_owned()),
            in_body: true,
            ..Wishes::default()
        };
        assert_eq!(read(body, &[]).unwrap(), expected);
    }

    #[test]
    fn vercels_words_are_understood() {
        let body = r#"{"providerOptions":{"gateway":{"only":["anthropic","bedrock"],"order":["bedrock"],"sort":"ttft",
            "models":["openai/gpt-5"],"zeroDataRetention":true,"disallowPromptTraining":true,"user":"u","tags":["env:prod"],
            "inferenceRegion":"eu"},"anthropic":{"thinking":{}}}}"#;
        let expected = Wishes {
            models: names(&["openai/gpt-5"]),
            order: names(&["bedrock"]),
            only: names(&["anthropic", "bedrock"]),
            sort: Some(Order::FirstByte),
            zero_retention: true,
            no_training: true,
            user: Some("u".to_owned()),
            tags: names(&["env:prod"]),
            region: Some("eu".to_owned()),
            in_body: true,
            ..Wishes::default()
        };
        assert_eq!(read(body, &[]).unwrap(), expected);
    }

    #[test]
    fn headers_say_it_for_those_who_cannot_change_the_body_and_count_more() {
        let headers = [
            ("x-tollgate-models", "c, d"),
            ("x-tollgate-only", "q"),
            ("x-tollgate-sort", "throughput"),
            ("x-tollgate-no-fallback", "true"),
            ("ai-reporting-tags", "team:a,team:b"),
            ("ai-reporting-user", "v"),
            ("x-session-affinity", "t"),
        ];
        let body =
            r#"{"models":["a"],"provider":{"only":["p"],"sort":"price","user":"u","tags":["x"]},"session_id":"s"}"#;
        let expected = Wishes {
            models: names(&["c", "d"]),
            only: names(&["q"]),
            sort: Some(Order::Throughput),
            first_only: true,
            tags: names(&["x", "team:a", "team:b"]),
            user: Some("v".to_owned()),
            session: Some("t".to_owned()),
            in_body: true,
            ..Wishes::default()
        };
        assert_eq!(read(body, &headers).unwrap(), expected);
    }

    #[test]
    fn what_cannot_be_met_is_named_and_what_is_wrong_is_refused() {
        let body = r#"{"provider":{"sort":{"by":"exacto","partition":"none"},"max_price":{"request":1,"prompt":2}}}"#;
        let unmet = read(body, &[]).unwrap().unmet;
        assert_eq!(unmet, ["provider.sort", "provider.sort.partition", "provider.max_price.request"]);
        let long = format!(r#"{{"models":[{}]}}"#, vec![r#""m""#; MODELS_MAX + 1].join(","));
        let user = format!(r#"{{"provider":{{"user":"{}"}}}}"#, "u".repeat(NAME_BYTES_MAX + 1));
        for body in [
            r#"{"models":"a"}"#,
            r#"{"models":["\n"]}"#,
            &user,
            r#"{"provider":{"order":"p"}}"#,
            r#"{"session_id":1}"#,
            &long,
        ] {
            assert!(read(body, &[]).is_err(), "{body}");
        }
        let body = r#"{"providerOptions":{"gateway":{"max_price":{"completion":"-1"}}}}"#;
        let param = read(body, &[]).unwrap_err().param;
        assert_eq!(param.as_deref(), Some("providerOptions.gateway.max_price.completion"));
        assert!(read("{}", &[("x-tollgate-no-fallback", "perhaps")]).is_err());
    }

    #[test]
    fn the_end_user_is_who_the_body_names_in_its_own_words() {
        let cases = [
            (r#"{"user":"u1"}"#, Some("u1")),
            (r#"{"user":"u1","safety_identifier":"s1"}"#, Some("s1")),
            (r#"{"metadata":{"user_id":"m1"}}"#, Some("m1")),
            (r#"{"metadata":{"user_id":"user_ab_account_cd_session_ef"}}"#, Some("user_ab_account_cd")),
            (
                r#"{"metadata":{"user_id":"{\"device_id\":\"d\",\"account_uuid\":\"\",\"session_id\":\"s\"}"}}"#,
                Some("d"),
            ),
            (r#"{"user":"u1","provider":{"user":"p1"}}"#, Some("p1")),
            (r#"{"user":7,"metadata":"x"}"#, None),
            (r#"{"user":""}"#, None),
        ];
        for (body, expected) in cases {
            let wishes = Wishes::read(&Fields::read(body.as_bytes()).unwrap(), &Headers::default()).unwrap();
            assert_eq!(wishes.user.as_deref(), expected, "{body}");
        }
        let long = format!(r#"{{"user":"{}"}}"#, "u".repeat(NAME_BYTES_MAX + 1));
        let wishes = Wishes::read(&Fields::read(long.as_bytes()).unwrap(), &Headers::default()).unwrap();
        assert_eq!(wishes.user, None, "an upstream may take it");
    }

    #[test]
    fn what_shares_a_cache_is_a_session_where_none_is_named() {
        let session = |body: &str| read(body, &[]).unwrap();
        assert_eq!(session(r#"{"prompt_cache_key":"k"}"#).session.as_deref(), Some("k"));
        assert!(!session(r#"{"prompt_cache_key":"k"}"#).in_body, "it goes along");
        assert_eq!(session(r#"{"prompt_cache_key":"k","session_id":"s"}"#).session.as_deref(), Some("s"));
        assert_eq!(session(r#"{"prompt_cache_key":7}"#).session, None);
    }

    #[test]
    fn a_ceiling_is_a_number_or_a_text() {
        let cases =
            [("0.5", 500_000), ("\"0.5\"", 500_000), ("1e-9", 0), ("0.30000000000000004", 300_000), ("2", 2_000_000)];
        for (written, expected) in cases {
            let wishes = read(&format!(r#"{{"provider":{{"max_price":{{"prompt":{written}}}}}}}"#), &[]).unwrap();
            assert_eq!(wishes.max_price, (Some(Picodollars(expected)), None), "{written}");
        }
    }

    #[test]
    fn a_gateway_behind_chooses_no_other_model_or_provider() {
        let cases = [
            (
                r#"{"model":"x","models":["y"],"provider":{"zdr":true,"only":["p"]},"seed":1.50}"#,
                r#"{"model":"x","provider":{"zdr":true},"seed":1.50}"#,
            ),
            (
                r#"{"providerOptions":{"gateway":{"models":["y"],"tags":["t"]},"openai":{"a":1}}}"#,
                r#"{"providerOptions":{"gateway":{"tags":["t"]},"openai":{"a":1}}}"#,
            ),
            (r#"{"provider":"p"}"#, r#"{"provider":"p"}"#),
            (
                r#"{"provider":{"by\u006fk":{"p":[{"apiKey":"k"}]},"zdr":true,"byok":{}},"x":1}"#,
                r#"{"provider":{"zdr":true},"x":1}"#,
            ),
            (
                r#"{"providerOptions":{"gateway":{"byok":1}},"providerOptions":{"gateway":{"byok":2},"gateway":{"byok":3}}}"#,
                r#"{"providerOptions":{"gateway":{},"gateway":{}},"providerOptions":{"gateway":{},"gateway":{}}}"#,
            ),
        ];
        let many = (0..300).map(|number| format!("\"{number}\":0,")).collect::<String>();
        for unreadable in [
            format!(r#"{{"provider":{{{many}"byok":1}}}}"#),
            format!(r#"{{"providerOptions":{{{many}"gateway":{{"byok":1}}}}}}"#),
        ] {
            let told = for_gateway(&Fields::read(unreadable.as_bytes()).unwrap());
            assert!(!String::from_utf8(told).unwrap().contains("byok"), "{unreadable}");
        }
        for (body, expected) in cases {
            let body = Fields::read(body.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(for_gateway(&body)).unwrap(), expected);
        }
    }

    #[test]
    fn an_ending_says_how_to_order() {
        assert_eq!(variant("openai/gpt-5:nitro"), Some(("openai/gpt-5", Order::Throughput)));
        assert_eq!(variant("a:floor"), Some(("a", Order::Cheapest)));
        assert_eq!(variant("llama3:8b"), None);
    }
}
