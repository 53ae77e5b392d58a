//! What is told of requests that are over: receipts, reports, and what a key has left.

use serde_json::{Value, json};

use super::add_callers;
use crate::answer::Answer;
use crate::caller::Dialect;
use crate::client;
use crate::suite::{self, Suite};
use crate::test::Test;

pub(crate) fn add(suite: &mut Suite) {
    suite.add("receipts::a_report_has_a_row_for_each_tag_and_a_total_for_each_day", report);
    suite.add("receipts::a_key_knows_what_it_has_spent_and_has_left", account).spend_cap_usd("5");
    add_callers(suite, "receipts", "an_answer_has_a_receipt_for_its_caller_alone", receipt);
}

async fn receipt(test: Test, caller: Dialect) {
    for stream in [false, true] {
        let request = if stream { Dialect::streamed } else { Dialect::request };
        let reply = test.answer(caller, &request(caller, "up-openai/text", &test.prompt())).await;
        let id = reply.header("x-tollgate-id").expect("every answer has an id").to_owned();
        let path = format!("/v1/generation?id={id}");
        let data = test.told(&path, |told| told["data"].is_object()).await["data"].clone();
        let line = test.log_line(Some(&id)).await;
        let mut receipt = data["receipt"].clone();
        receipt["event"] = json!("request");
        assert_eq!(receipt, line);
        let usage = Dialect::OpenaiChat.own().reports(Answer::of("text").usage);
        assert_eq!((&data["tokens_prompt"], &data["tokens_completion"]), (&json!(usage.input), &json!(usage.output)));
        assert_eq!((&data["model"], &data["streamed"]), (&json!("up-openai/text"), &json!(stream)));
        let dollars = data["total_cost"].as_f64().expect("the cost is known") * 1e12;
        assert!((dollars - suite::cost("text", usage).expect("a price") as f64).abs() < 1.0, "{data}");
        let headers = [("authorization", format!("Bearer {}", suite::BY_SECRET.1))];
        let other = client::send(test.host.address, "GET", &path, &headers, "").await.whole().await;
        assert_eq!(other.status, 404, "{}", other.text());
    }
}

async fn report(test: Test) {
    let dialect = Dialect::OpenaiChat;
    for tags in ["one", "one,two"] {
        let request = dialect.request("up-openai/text", &test.prompt());
        let reply = test.ask_with(dialect, &request, &[("x-tollgate-tags", tags)]).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let counts = |told: &Value, name: &str| -> Vec<(Value, Value)> {
        let rows = told["results"].as_array().expect("rows");
        rows.iter().map(|row| (row[name].clone(), row["request_count"].clone())).collect()
    };
    let expected = [(json!("one"), json!(2)), (json!("two"), json!(1))];
    test.told("/v1/report?group_by=tag", |told| counts(told, "tag") == expected).await;
    let expected = [(json!("up-openai/text"), json!(2))];
    let by_model = test.told("/v1/report?group_by=model", |told| counts(told, "model") == expected).await;
    let by_user = test.told("/v1/report?group_by=user", |_| true).await;
    for column in ["total_cost", "input_tokens", "output_tokens", "request_count"] {
        assert_eq!(by_user["results"][0][column], by_model["results"][0][column], "{column}");
    }
    let table = test.get("/v1/report?group_by=tag&format=csv").await;
    assert!(table.header("content-type").is_some_and(|kind| kind.starts_with("text/csv")));
    assert_eq!(table.text().lines().count(), 3, "{}", table.text());
}

async fn account(test: Test) {
    let dialect = Dialect::OpenaiChat;
    test.answer(dialect, &dialect.request("up-openai/text", &test.prompt())).await;
    let spent = suite::cost("text", dialect.own().reports(Answer::of("text").usage)).expect("a price");
    let spent = spent as f64 / 1e12;
    let is = |value: &Value, expected: f64| value.as_f64().is_some_and(|found| (found - expected).abs() < 1e-9);
    let key = test.told("/v1/key", |told| is(&told["data"]["usage"], spent)).await;
    assert_eq!((&key["data"]["label"], &key["data"]["limit_reset"]), (&json!(test.caller), &json!("monthly")));
    assert!(is(&key["data"]["limit_remaining"], 5.0 - spent) && is(&key["data"]["usage_daily"], spent), "{key}");
    let credits = test.told("/v1/credits", |_| true).await;
    assert!(is(&credits["data"]["total_usage"], spent) && is(&credits["data"]["total_credits"], 5.0), "{credits}");
}
