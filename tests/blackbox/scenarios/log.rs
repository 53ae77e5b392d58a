//! The operator's log: one line per request with what happened, and neither a key nor a prompt in it.

use serde_json::{Value, json};

use super::add_callers;
use crate::answer::Answer;
use crate::caller::Dialect;
use crate::client;
use crate::suite::{self, BY_SECRET, Suite};
use crate::test::Test;
use crate::upstream::{ANTHROPIC_KEY, OPENAI_KEY, Provider};

pub(crate) fn add(suite: &mut Suite) {
    for upstream in Provider::BOTH {
        let targets = ["status-503", "text"].map(|model| upstream.target(model));
        suite.alias(&format!("log-{}", upstream.id()), &targets);
    }
    add_callers(suite, "log", "a_request_has_one_line_with_its_attempts_and_cost", one_line);
    add_callers(suite, "log", "a_refused_request_has_a_line", refused);
    suite.add("log::no_key_and_no_prompt_is_in_any_line_or_error", no_secrets);
}

async fn one_line(test: Test, caller: Dialect) {
    for (stream, upstream) in [(false, caller), (true, caller), (false, caller.other()), (true, caller.other())]
        .map(|(stream, dialect)| (stream, dialect.own()))
    {
        let model = format!("log-{}", upstream.id());
        let request =
            if stream { caller.streamed(&model, &test.prompt()) } else { caller.request(&model, &test.prompt()) };
        let reply = test.answer(caller, &request).await;
        let line = test.log_line(reply.header("x-tollgate-id")).await;
        let target = upstream.target("text");
        for (field, expected) in [
            ("caller", json!(test.caller)),
            ("path", json!(caller.path())),
            ("model", json!(model)),
            ("target", json!(target)),
            ("status", json!(200)),
            ("stream", json!(stream)),
            ("end", json!("complete")),
        ] {
            assert_eq!(line[field], expected, "{field} in {line}");
        }
        let attempts: Vec<_> = line["attempts"].as_array().expect("attempts is a list").iter().collect();
        let outcomes: Vec<_> =
            attempts.iter().map(|attempt| (attempt["target"].clone(), text(&attempt["outcome"]))).collect();
        let failed = target.replace("/text", "/status-503");
        assert_eq!(outcomes, [(json!(failed), "503".to_owned()), (json!(target), "200".to_owned())]);
        assert!(attempts.iter().all(|attempt| attempt["ms"].is_u64()), "{line}");
        let usage = upstream.reports(Answer::of("text").usage);
        assert_eq!(
            (line["input_tokens"].as_u64(), line["output_tokens"].as_u64()),
            (Some(usage.input), Some(usage.output))
        );
        assert_eq!(line["cost_picodollars"].as_u64(), suite::cost("text", usage));
        assert!(line["cost_source"].is_string() && line["ms"].is_u64() && line["first_byte_ms"].is_u64(), "{line}");
    }
}

/// An outcome is a status or a word.
fn text(outcome: &Value) -> String {
    outcome.as_str().map_or_else(|| outcome.to_string(), str::to_owned)
}

async fn refused(test: Test, caller: Dialect) {
    let reply = test.ask(caller, &caller.request(&caller.own().other().target("status-404"), &test.prompt())).await;
    let line = test.log_line(reply.header("x-tollgate-id")).await;
    assert_eq!((&line["status"], &line["end"]), (&json!(404), &json!("error")), "{line}");
    assert!(line["cost_picodollars"].as_u64().is_none_or(|cost| cost == 0), "{line}");
}

async fn no_secrets(test: Test) {
    let mut told = Vec::new();
    for caller in Dialect::BOTH {
        for model in ["up-openai/text", "up-anthropic/status-400", "up-openai/status-500", "dead-openai/x", "nowhere"] {
            told.push(test.ask(caller, &caller.request(model, &test.prompt())).await.text());
            told.push(test.ask(caller, &caller.streamed(model, &test.prompt())).await.text());
        }
        told.push(
            test.open_bytes(caller, format!("{{\"model\": \"up-openai/text\", {}", test.prompt()))
                .await
                .whole()
                .await
                .text(),
        );
        let wrong = caller.headers(&format!("{}-almost", test.key));
        let body = caller.request("up-openai/text", &test.prompt()).to_string();
        told.push(client::send(test.host.address, "POST", caller.path(), &wrong, body).await.whole().await.text());
    }
    // The line of the last answer is there, so those before it are.
    let last = test.answer(Dialect::OpenaiChat, &Dialect::OpenaiChat.request("up-openai/text", &test.prompt())).await;
    test.log_line(last.header("x-tollgate-id")).await;
    told.extend(test.host.log());
    for secret in [OPENAI_KEY, ANTHROPIC_KEY, BY_SECRET.1, test.key.as_str(), test.marker.as_str()] {
        let leak = told.iter().find(|text| text.contains(secret));
        assert_eq!(leak, None, "{secret} is told");
    }
}
