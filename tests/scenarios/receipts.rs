//! What is told of requests that are over, to whom.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use serde_json::{Value, json};
use tollgate::auth::Keyless;
use tollgate::config::{Config, Draft};
use tollgate::host::{Body, Headers, Incoming, ReplyBody};
use tollgate::serve::{Gateway, serve};

use crate::world::{Scripted, Task, World};

/// Two callers, of whom the first has a budget for the month and one for the day.
fn gateway() -> Gateway {
    let draft = json!({
        "callers": {"ann": {"secret": "ANN", "spend_cap_usd": "5"}, "ben": {"secret": "BEN"},
            "boss": {"secret": "BOSS", "admin": true}},
        "limits": {"daily": {"per": "caller", "when": {"caller": "ann"}, "usd": "1", "every": "day"}},
        "providers": {"up": {"dialect": "openai-chat", "base_url": "http://up/v1", "auth": "none"},
            "own": {"dialect": "openai-chat", "base_url": "http://own/v1"}},
        "prices": {"own/m": {"input": "2", "output": "10"}, "up/m": {"input": "2", "output": "10"}, "up/n": {"input": "1", "output": "1"}},
        "receipts": {"days": 2},
    });
    let draft = Draft::from_json(Some(&draft.to_string())).unwrap();
    let config =
        Config::compile(&draft, |name| ["ANN", "BEN", "BOSS"].contains(&name).then(|| name.to_lowercase())).unwrap();
    Gateway::new(Config { version: "v1".to_owned(), ..config }, Keyless::Refused)
}

/// What a request comes to: its status, its headers, and its body.
struct Told {
    status: u16,
    headers: Headers,
    body: Bytes,
}

impl Told {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {:?}", self.body))
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

struct Place {
    world: Rc<World>,
    gateway: Gateway,
}

impl Place {
    fn new() -> Self {
        Self { world: Rc::default(), gateway: gateway() }
    }

    fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Told {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query.to_owned())));
        let request = Incoming {
            method: method.to_owned(),
            path: path.to_owned(),
            query,
            headers: headers.iter().copied().collect(),
            body: Body::Whole(body.to_owned().into()),
        };
        let told = RefCell::new(None);
        let task = async {
            let host = Scripted::new(self.world.clone());
            let reply = serve(&self.gateway, &host, request).await;
            let ReplyBody::Whole(body) = reply.body else { panic!("nothing is streamed here") };
            *told.borrow_mut() = Some(Told { status: reply.status, headers: reply.headers, body });
        };
        self.world.run(vec![Box::pin(task) as Task<'_>]);
        told.into_inner().unwrap()
    }

    fn get(&self, key: &str, path: &str) -> Told {
        self.request("GET", path, &[("authorization", &format!("Bearer {key}"))], "")
    }

    /// Asks for an answer of so many tokens, and returns its id.
    fn ask(&self, key: &str, fields: Value, (input, output): (u64, u64)) -> String {
        let usage = json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output});
        let answer = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "usage": usage,
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "yes"}}]});
        self.world.answer_whole("up", &answer.to_string());
        let mut body = json!({"model": "up/m", "messages": [{"role": "user", "content": "?"}]});
        for (name, value) in fields.as_object().unwrap() {
            body[name] = value.clone();
        }
        let key = format!("Bearer {key}");
        let told = self.request("POST", "/v1/chat/completions", &[("authorization", &key)], &body.to_string());
        assert_eq!(told.status, 200, "{}", told.text());
        told.headers.get("x-tollgate-id").unwrap().to_owned()
    }

    fn sleep(&self, ms: u64) {
        let until = self.world.passed() + ms;
        self.world.run(vec![Box::pin(self.world.until(until)) as Task<'_>]);
    }
}

#[test]
fn a_receipt_is_told_to_its_caller_alone_and_as_long_as_it_is_kept() {
    let place = Place::new();
    let id = place.ask("ann", json!({"user": "u1", "stream": false}), (10, 3));
    let told = place.get("ann", &format!("/v1/generation?id={id}")).json();
    let data = &told["data"];
    assert_eq!((data["id"].as_str(), data["model"].as_str()), (Some(id.as_str()), Some("up/m")));
    assert_eq!((&data["total_cost"], &data["usage"]), (&json!(0.00005), &json!(0.00005)));
    assert_eq!((&data["tokens_prompt"], &data["native_tokens_completion"]), (&json!(10), &json!(3)));
    assert_eq!((&data["provider_name"], &data["external_user"]), (&json!("up"), &json!("u1")));
    assert_eq!((&data["created_at"], &data["price_version"]), (&json!("2026-11-21T12:00:00Z"), &json!("v1")));
    assert_eq!(data["provider_responses"], json!([{"provider_name": "up", "status": 200, "latency": 0}]));
    assert_eq!((&data["receipt"]["caller"], &data["receipt"]["cost_picodollars"]), (&json!("ann"), &json!(50_000_000)));
    // Another's is as unknown as one that never was.
    let other = place.get("ben", &format!("/v1/generation?id={id}"));
    let never = format!("req_{}", "0".repeat(32));
    let none = place.get("ben", &format!("/v1/generation?id={never}"));
    assert_eq!((other.status, none.status), (404, 404));
    assert_eq!(other.text().replace(&id, ""), none.text().replace(&never, ""));
    assert_eq!(place.get("ann", "/v1/generation?id=../x").status, 404);
    assert_eq!(place.get("ann", "/v1/generation").status, 400);
    assert_eq!(place.get("nobody", &format!("/v1/generation?id={id}")).status, 401);
    // In the words of the caller's dialect.
    let headers = [("x-api-key", "ben"), ("anthropic-version", "2023-06-01")];
    let told = place.request("GET", &format!("/v1/generation?id={id}"), &headers, "").json();
    assert_eq!(told["error"]["type"], "not_found_error");
    place.sleep(2 * 86_400_000 + 1);
    assert_eq!(place.get("ann", &format!("/v1/generation?id={id}")).status, 404);
}

#[test]
fn what_a_caller_paid_himself_is_told_apart_from_the_gateways_money() {
    let place = Place::new();
    place.ask("ann", json!({}), (10, 3));
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 0, "total_tokens": 100});
    let answer = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "usage": usage,
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "yes"}}]});
    place.world.answer_whole("own", &answer.to_string());
    let body = json!({"model": "own/m", "messages": [{"role": "user", "content": "?"}]}).to_string();
    let headers = [("authorization", "Bearer ann"), ("x-tollgate-provider-key", "own=own-key-of-own")];
    let told = place.request("POST", "/v1/chat/completions", &headers, &body);
    let id = told.headers.get("x-tollgate-id").unwrap();
    let data = place.get("ann", &format!("/v1/generation?id={id}")).json()["data"].clone();
    assert_eq!((&data["is_byok"], &data["total_cost"]), (&json!(true), &json!(0)));
    assert_eq!((&data["upstream_inference_cost"], &data["receipt"]["own_key"]), (&json!(0.0002), &json!(true)));
    assert!(!data.to_string().contains("own-key-of"), "{data}");
    let data = place.get("ann", "/v1/key").json()["data"].clone();
    assert_eq!((&data["usage"], &data["byok_usage"]), (&json!(0.00005), &json!(0.0002)));
    assert_eq!((&data["usage_daily"], &data["byok_usage_monthly"]), (&json!(0.00005), &json!(0.0002)));
    assert_eq!(data["limit_remaining"], json!(0.99995), "the day's dollar is the gateway's");
    let row = place.get("ann", "/v1/report?group_by=provider").json()["results"][0].clone();
    assert_eq!((&row["provider"], &row["total_cost"]), (&json!("own"), &json!(0)));
    assert_eq!((&row["market_cost"], &row["own_cost_picodollars"]), (&json!(0.0002), &json!(200_000_000)));
    let report = |query: &str| place.get("ann", &format!("/v1/report?{query}")).json()["results"].clone();
    let told = report("group_by=credential_type");
    let rows: Vec<_> =
        told.as_array().unwrap().iter().map(|row| (&row["credential_type"], &row["market_cost"])).collect();
    assert_eq!(rows, [(&json!("byok"), &json!(0.0002)), (&json!("system"), &json!(0.00005))]);
    assert_eq!(report("group_by=provider&credential_type=byok"), json!([row]));
    // Whoever has no key of it is shown none of its models.
    let listed =
        |headers: &[(&str, &str)]| place.request("GET", "/v1/models", headers, "").text().contains("\"own/m\"");
    assert!(listed(&headers) && !listed(&headers[..1]));
    let shown = |headers: &[(&str, &str)]| place.request("GET", "/v1/models/own/m", headers, "").status;
    assert_eq!((shown(&headers), shown(&headers[..1])), (200, 404));
}

#[test]
fn a_report_says_by_whatever_it_is_grouped_what_the_receipts_sum_to() {
    let place = Place::new();
    place.ask("ann", json!({"user": "u1"}), (10, 3));
    let tagged = json!({"user": "u2", "model": "up/n", "provider_options": {}, "providerOptions": {"gateway": {"tags": ["b", "=a", "b"]}}});
    place.ask("ann", tagged, (100, 0));
    place.ask("ben", json!({"user": "u1"}), (1, 1));
    place.sleep(86_400_000);
    place.ask("ann", json!({}), (1000, 0));
    let report = |query: &str| {
        let told = place.get("ann", &format!("/v1/report?{query}"));
        assert_eq!(told.status, 200, "{}", told.text());
        told.json()["results"].clone()
    };
    let dates = "start_date=2026-11-21&end_date=2026-11-22";
    let row = |of: (&str, Value), cost: Value, requests: u64, (input, output): (u64, u64)| {
        let mut row = json!({"total_cost": cost, "market_cost": cost, "input_tokens": input, "output_tokens": output,
            "cached_input_tokens": 0, "cache_creation_input_tokens": 0, "reasoning_tokens": 0, "request_count": requests,
            "unpriced_requests": 0, "cut_requests": 0, "own_cost_picodollars": 0,
            "cost_picodollars": (cost.as_f64().unwrap() * 1e12).round() as u64});
        row[of.0] = of.1;
        row
    };
    assert_eq!(
        report(&format!("{dates}&group_by=user")),
        json!([
            row(("user", Value::Null), json!(0.002), 1, (1000, 0)),
            row(("user", json!("u1")), json!(0.00005), 1, (10, 3)),
            row(("user", json!("u2")), json!(0.0001), 1, (100, 0)),
        ])
    );
    // What has two tags is in both rows.
    assert_eq!(
        report(&format!("{dates}&group_by=tag")),
        json!([
            row(("tag", Value::Null), json!(0.00205), 2, (1010, 3)),
            row(("tag", json!("=a")), json!(0.0001), 1, (100, 0)),
            row(("tag", json!("b")), json!(0.0001), 1, (100, 0)),
        ])
    );
    assert_eq!(
        report(&format!("{dates}&group_by=model")),
        json!([
            row(("model", json!("up/m")), json!(0.00205), 2, (1010, 3)),
            row(("model", json!("up/n")), json!(0.0001), 1, (100, 0)),
        ])
    );
    assert_eq!(
        report(&format!("{dates}&group_by=provider")),
        json!([row(("provider", json!("up")), json!(0.00215), 3, (1110, 3))])
    );
    assert_eq!(
        report(&format!("{dates}&group_by=caller")),
        json!([row(("caller", json!("ann")), json!(0.00215), 3, (1110, 3))])
    );
    let all = place.get("boss", &format!("/v1/report?{dates}&group_by=caller")).json()["results"].clone();
    let named = |at: usize| (all[at]["caller"].clone(), all[at]["request_count"].clone());
    assert_eq!(
        (named(0), named(1)),
        ((json!("ann"), json!(3)), (json!("ben"), json!(1))),
        "who is an administrator sees all"
    );
    assert_eq!(
        report(dates),
        json!([
            row(("day", json!("2026-11-21")), json!(0.00015), 2, (110, 3)),
            row(("day", json!("2026-11-22")), json!(0.002), 1, (1000, 0)),
        ])
    );
    // The same of part of them, from counters and from receipts.
    assert_eq!(report("start_date=2026-11-21&end_date=2026-11-21&group_by=provider")[0]["request_count"], 2);
    assert_eq!(report("start_date=2026-11-21&end_date=2026-11-21&group_by=user")[1]["request_count"], 1);
    assert_eq!(report(&format!("{dates}&group_by=model&user_id=u2"))[0]["model"], "up/n");
    assert_eq!(report(&format!("{dates}&group_by=user&model=up%2Fn"))[0]["user"], "u2");
    assert_eq!(report(&format!("{dates}&group_by=model&tags=b,c"))[0]["model"], "up/n");
    assert_eq!(report(&format!("{dates}&group_by=model&tags=b,c&tags_match=all")), json!([]));
    let daily = report(&format!("{dates}&group_by=model&date_part=day"));
    assert_eq!((&daily[2]["day"], &daily[2]["model"]), (&json!("2026-11-22"), &json!("up/m")));
    assert_eq!(place.get("ann", "/v1/report?credential_type=own").status, 400);
    // Users and tags reach back as far as receipts do, and the answer says so.
    let told = place.get("ann", "/v1/report?start_date=2026-11-01&group_by=user").json();
    assert_eq!(told["since"], "2026-11-20T12:00:00Z");
}

#[test]
fn a_table_comes_for_spreadsheets_too_and_runs_nothing_there() {
    let place = Place::new();
    place.ask("ann", json!({"user": "=cmd|'/c calc'!A1"}), (10, 3));
    let told = place.get("ann", "/v1/report?group_by=user&format=csv");
    assert!(told.headers.get("content-type").unwrap().starts_with("text/csv"));
    let head = "user,total_cost,market_cost,input_tokens,output_tokens,cached_input_tokens,cache_creation_input_tokens,\
reasoning_tokens,request_count,cost_picodollars,unpriced_requests,cut_requests,own_cost_picodollars";
    let row = "\"'=cmd|'/c calc'!A1\",0.00005,0.00005,10,3,0,0,0,1,50000000,0,0,0";
    assert_eq!(told.text(), format!("{head}\r\n{row}\r\n"));
    let headers = [("authorization", "Bearer ann"), ("accept", "text/csv, */*;q=0.1")];
    let told = place.request("GET", "/v1/usage", &headers, "");
    assert_eq!(told.text().lines().nth(1), Some("2026-11-21,up/m,1,10,0,0,3,0,50000000,0,0,0"));
}

#[test]
fn a_key_is_told_what_it_has_spent_and_what_its_budgets_leave() {
    let place = Place::new();
    place.ask("ann", json!({}), (100_000, 0));
    place.sleep(86_400_000);
    place.ask("ann", json!({}), (200_000, 0));
    let data = place.get("ann", "/v1/key").json()["data"].clone();
    assert_eq!((&data["label"], &data["expires_at"]), (&json!("ann"), &Value::Null));
    // Of the day's dollar less is left than of the month's five.
    assert_eq!(
        (&data["limit"], &data["limit_remaining"], &data["limit_reset"]),
        (&json!(1), &json!(0.6), &json!("daily"))
    );
    assert_eq!((&data["usage"], &data["usage_monthly"]), (&json!(0.6), &json!(0.6)));
    assert_eq!((&data["usage_daily"], &data["usage_weekly"]), (&json!(0.4), &json!(0.6)));
    let told = place.get("ann", "/v1/credits").json();
    assert_eq!(
        told,
        json!({"balance": "0.6", "total_used": "0.6", "data": {"total_credits": 1.2, "total_usage": 0.6}})
    );
    // Monday: a week begins, and the dollar of the day is back.
    place.sleep(86_400_000);
    let data = place.get("ann", "/v1/key").json()["data"].clone();
    assert_eq!(
        (&data["limit_remaining"], &data["usage_daily"], &data["usage_weekly"]),
        (&json!(1), &json!(0), &json!(0))
    );
    let data = place.get("ben", "/v1/key").json()["data"].clone();
    assert_eq!((&data["limit"], &data["limit_remaining"], &data["usage"]), (&Value::Null, &Value::Null, &json!(0)));
    assert_eq!(place.get("ben", "/v1/credits").json()["balance"], "Infinity");
    assert_eq!(place.get("nobody", "/v1/key").status, 401);
}
