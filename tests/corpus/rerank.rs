//! Reranks, of every provider that was recorded.

use serde_json::Value;
use tollgate::dialect::Dialect;
use tollgate::rerank::{read_usage, splice};
use tollgate::wire::json::Fields;

use crate::cases::cases;

#[test]
fn every_recorded_answer_tells_what_is_to_be_paid() {
    let (mut read, mut errors) = (0, 0);
    for case in cases("rerank") {
        let Some(body) = case.body("response.json") else { continue };
        let value: Value = serde_json::from_slice(&body).unwrap();
        if case.status >= 400 {
            assert!(read_usage(&body).is_err(), "{}", case.name);
            assert!(Dialect::OpenaiChat.read_error(&body).is_some(), "{}", case.name);
            errors += 1;
            continue;
        }
        let usage = read_usage(&body).unwrap_or_else(|fault| panic!("{}: {}", case.name, fault.0));
        assert_eq!(usage.map(|usage| usage.input), value["usage"]["total_tokens"].as_u64(), "{}", case.name);
        read += 1;
    }
    println!("{read} answers, {errors} errors");
}

#[test]
fn every_recorded_request_goes_through_with_another_model() {
    let mut read = 0;
    for case in cases("rerank") {
        let Some(body) = case.body("request.json") else { continue };
        let mut expected: Value = serde_json::from_slice(&body).unwrap();
        expected["model"] = "m".into();
        let spliced: Value = serde_json::from_slice(&splice(&Fields::read(&body).unwrap(), "m")).unwrap();
        assert_eq!(spliced, expected, "{}", case.name);
        read += 1;
    }
    println!("{read} requests");
}
