//! What needs a host of its own: starting with keys alone, without any key, from a file, without the Durable
//! Object; ending in the middle of a stream; and starting again.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::Pair;
use crate::answer::Answer;
use crate::caller::Dialect;
use crate::client::{self, Whole};
use crate::host::{Kind, Setup};
use crate::suite::{Suite, key};
use crate::test::{Test, Totals};
use crate::upstream::{ANTHROPIC_KEY, OPENAI_KEY, Provider};

pub(crate) fn add(suite: &mut Suite) {
    suite.add("starts::keys_alone_are_a_configuration_and_a_kill_loses_no_totals", keys_alone);
    suite.add("starts::a_kill_in_mid_stream_loses_no_receipt_and_counts_none_twice", kill);
    suite.add("starts::without_callers_only_a_loopback_caller_is_served", keyless);
    suite.add("starts::a_file_is_a_configuration", file).only_on(&[Kind::Native]);
    suite.add("starts::an_interrupt_lets_open_streams_end", interrupt).only_on(&[Kind::Native]);
    suite
        .add("starts::a_second_interrupt_cuts_open_streams_and_counts_them", second_interrupt)
        .only_on(&[Kind::Native]);
    suite.add("starts::counters_in_kv_alone_lose_nothing", kv_only).only_on(&[Kind::Workers]);
    suite.add("starts::a_key_in_kv_is_a_configuration", config_in_kv).only_on(&[Kind::Workers]);
}

async fn keys_alone(mut test: Test) {
    let base = format!("http://{}", test.upstream.address);
    let openai = format!("{base}/v1");
    (test.caller, test.key) = ("default".to_owned(), "tg-scripted-default-01".to_owned());
    let key = test.key.clone();
    let secrets = [
        ("OPENAI_API_KEY", OPENAI_KEY),
        ("OPENAI_BASE_URL", openai.as_str()),
        ("ANTHROPIC_API_KEY", ANTHROPIC_KEY),
        ("ANTHROPIC_BASE_URL", base.as_str()),
        ("TOLLGATE_KEY", key.as_str()),
    ];
    let setup = Setup::new(None, &secrets, test.scratch.clone());
    test.start(&setup).await;
    for pair in Pair::four() {
        let model = if pair.upstream == Provider::OpenaiChat { "openai/text" } else { "anthropic/text" };
        let reply = test.answer(pair.caller, &pair.caller.streamed(model, &test.prompt())).await;
        pair.check(&pair.caller.read_stream(&reply.body), &Answer::of("text"));
    }
    // These targets have no price, so the name given for it has none either.
    let totals =
        Dialect::BOTH.map(|dialect| Totals::of(2, "unpriced", dialect.own().reports(Answer::of("text").usage)));
    let totals = [("openai/text", totals[0]), ("anthropic/text", totals[1])];
    test.settles(totals).await;

    test.host.kill();
    test.start(&setup).await;
    test.settles(totals).await;
    let reply = test.answer(Dialect::Anthropic, &Dialect::Anthropic.request("openai/text", &test.prompt())).await;
    assert_eq!(reply.status, 200);
    let more = Totals::of(3, "unpriced", Provider::OpenaiChat.reports(Answer::of("text").usage));
    test.settles([("openai/text", more), totals[1]]).await;
}

/// Three times over one store: streams under way and answers that end, and in the midst of them `kill -9`.
async fn kill(mut test: Test) {
    let setup = Setup { store: test.scratch.clone(), ..test.setup.clone() };
    let dialect = Dialect::OpenaiChat;
    let mut ended: Vec<String> = Vec::new();
    for round in 0..3 {
        test.start(&setup).await;
        let id = |reply: Option<&str>| reply.expect("every answer has an id").to_owned();
        let mut under_way = Vec::new();
        for _ in 0..4 {
            let mut reply = test.open(dialect, &dialect.streamed("up-openai/drip-100", &test.prompt())).await;
            reply.read_until("Grüße").await;
            under_way.push(reply);
        }
        let request = dialect.streamed("up-openai/text", &test.prompt());
        for reply in join_all((0..8).map(|_| test.answer(dialect, &request))).await {
            ended.push(id(reply.header("x-tollgate-id")));
        }
        if test.kind != Kind::Native {
            // They write after the reply.
            for id in &ended {
                test.told(&format!("/v1/generation?id={id}"), |told| told["data"].is_object()).await;
            }
        }
        // Some more, whose ends are anywhere.
        let mut more = Vec::new();
        for _ in 0..8 {
            let mut stream = TcpStream::connect(test.host.address).await.expect("the host accepts connections");
            let body = request.to_string();
            let head = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\n", test.host.address);
            let fields = format!("authorization: Bearer {}\r\ncontent-type: application/json\r\n", test.key);
            let text = format!("{head}{fields}content-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(text.as_bytes()).await.expect("the host reads");
            more.push(stream);
        }
        tokio::time::sleep(Duration::from_millis(15 * round)).await;
        test.host.kill();
        drop(more);
        drop(under_way);

        test.start(&setup).await;
        for id in &ended {
            let reply = test.get(&format!("/v1/generation?id={id}")).await;
            assert_eq!(reply.status, 200, "the receipt {id} is lost: {}", reply.text());
        }
        // Models are counters, users are receipts.
        let sums = async |group: &str| {
            let told = test.told(&format!("/v1/report?group_by={group}"), |_| true).await;
            let rows = told["results"].as_array().expect("rows").clone();
            let sum = |column: &str| rows.iter().filter_map(|row| row[column].as_u64()).sum::<u64>();
            (sum("request_count"), sum("cost_picodollars"))
        };
        let (counted, kept) = (sums("model").await, sums("user").await);
        if test.kind == Kind::Spin {
            // Its store has no transactions: the counters go first.
            assert!(counted.0 >= kept.0 && counted.1 >= kept.1, "{counted:?} counted, {kept:?} kept");
        } else {
            assert_eq!(counted, kept);
        }
        let ended = ended.len() as u64;
        assert!((ended..=ended + 8 * (round + 1)).contains(&kept.0), "{kept:?} of {ended} that ended, and some more");
        test.host.kill();
    }
}

async fn keyless(mut test: Test) {
    let mut config = test.setup.config.clone().expect("the suite has a configuration");
    // Nor what stands for callers.
    for section in ["callers", "tokens", "apps"] {
        config.as_object_mut().expect("a configuration is an object").remove(section);
    }
    let base = test.setup.clone();
    let setup = Setup { config: Some(config), store: test.scratch.clone(), config_in_variable: true, ..base };
    test.start(&setup).await;
    for dialect in Dialect::BOTH {
        let reply = without_key(&test, dialect, &[]).await;
        if test.kind != Kind::Native {
            assert_eq!(reply.status, 401, "{}", reply.text());
            dialect.read_error(&reply.body);
            continue;
        }
        assert_eq!(reply.status, 200, "{}", reply.text());
        let port = test.host.address.port();
        for good in [format!("localhost:{port}"), format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
            let reply = without_key(&test, dialect, &[("host", good.clone())]).await;
            assert_eq!(reply.status, 200, "{good}: {}", reply.text());
        }
        // A page of another site, and a name of another site that was made to point here.
        for foreign in
            [("origin", "https://evil.example"), ("host", "evil.example"), ("host", "localhost.evil.example:80")]
        {
            let reply = without_key(&test, dialect, &[(foreign.0, foreign.1.to_owned())]).await;
            assert_eq!(reply.status, 403, "{foreign:?}: {}", reply.text());
            let kind = dialect.read_error(&reply.body).kind;
            assert_eq!(kind, if dialect == Dialect::Anthropic { "permission_error" } else { "invalid_request_error" });
        }
        assert_eq!(without_key(&test, dialect, &[("origin", "http://localhost:3000".to_owned())]).await.status, 200);
    }
    let reply = client::send(test.host.address, "GET", "/health", &[], "").await.whole().await;
    assert_eq!(reply.status, 200);
    if test.kind == Kind::Native {
        let usage = client::send(test.host.address, "GET", "/v1/usage", &[], "").await.whole().await.json();
        assert_eq!(usage["caller"], "local");
    }
}

async fn without_key(test: &Test, dialect: Dialect, more: &[(&'static str, String)]) -> Whole {
    let mut headers = dialect.headers("");
    headers.retain(|(name, _)| !["authorization", "x-api-key"].contains(name));
    headers.extend_from_slice(more);
    let body = dialect.request("up-openai/text", &test.prompt()).to_string();
    client::send(test.host.address, "POST", dialect.path(), &headers, body).await.whole().await
}

async fn file(mut test: Test) {
    let text = format!(
        "[providers.up-openai]\ndialect = \"openai-chat\"\nbase_url = \"http://{}/v1\"\n\n\
         [models.smart]\ntargets = [\"up-openai/text\"]\n\n\
         [callers.ci]\nsecret = \"CI_KEY\"\nspend_cap_usd = \"5.00\"\n\n\
         [prices.\"up-openai/text\"]\ninput = \"2.5\"\ncached_input = \"0.3125\"\ncache_write = \"3.125001\"\noutput = \"10.000001\"\n",
        test.upstream.address
    );
    std::fs::create_dir_all(&test.scratch).expect("the build's own directory can be written");
    let path = test.scratch.join("tollgate.toml");
    std::fs::write(&path, text).expect("the build's own directory can be written");
    let path = path.to_str().expect("the build's own directory is UTF-8").to_owned();

    let printed =
        std::process::Command::new(env!("CARGO_BIN_EXE_tollgate")).args(["config", &path]).output().expect("it runs");
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let printed: Value = serde_json::from_slice(&printed.stdout).expect("the configuration as JSON");
    assert_eq!(printed["models"]["smart"]["targets"], json!(["up-openai/text"]));
    assert_eq!(printed["prices"]["up-openai/text"]["output"], "10.000001");

    (test.caller, test.key) = ("ci".to_owned(), key("ci"));
    let ci_key = test.key.clone();
    let secrets = [("UP_OPENAI_API_KEY", OPENAI_KEY), ("CI_KEY", ci_key.as_str())];
    let mut setup = Setup::new(None, &secrets, test.scratch.clone());
    setup.arguments = vec!["--config".to_owned(), path];
    test.start(&setup).await;
    let dialect = Dialect::OpenaiChat;
    let reply = test.answer(dialect, &dialect.request("smart", &test.prompt())).await;
    assert_eq!(reply.header("x-tollgate-target"), Some("up-openai/text"));
    test.settles([("up-openai/text", Totals::of(1, "text", dialect.own().reports(Answer::of("text").usage)))]).await;
}

async fn interrupt(mut test: Test) {
    let setup = Setup { store: test.scratch.clone(), ..test.setup.clone() };
    test.start(&setup).await;
    let pair = Pair { caller: Dialect::Anthropic, upstream: Provider::OpenaiChat };
    let mut reply = test.open(pair.caller, &pair.caller.streamed(&pair.target("drip-10"), &test.prompt())).await;
    let begun = reply.read_until("Grüße").await;
    test.host.interrupt();
    let whole = reply.whole_after(begun).await;
    assert_eq!(pair.caller.read_stream(&whole.body).text, "Grüße ".repeat(10));
    assert!(test.host.ended(Duration::from_secs(5)).await, "the process goes on");

    test.start(&setup).await;
    let usage = pair.upstream.reports(Answer::of("text").usage);
    test.settles([(&pair.target("drip-10"), Totals::of(1, "drip-10", usage))]).await;
}

async fn second_interrupt(mut test: Test) {
    let setup = Setup { store: test.scratch.clone(), ..test.setup.clone() };
    test.start(&setup).await;
    let pair = Pair { caller: Dialect::Anthropic, upstream: Provider::OpenaiChat };
    let mut reply = test.open(pair.caller, &pair.caller.streamed(&pair.target("drip-100"), &test.prompt())).await;
    reply.read_until("Grüße").await;
    let mut ended = false;
    for _ in 0..10 {
        // The second is not heard before the first has been.
        test.host.interrupt();
        ended = test.host.ended(Duration::from_millis(500)).await;
        if ended {
            break;
        }
    }
    assert!(ended, "the process goes on");

    test.start(&setup).await;
    test.settles_cut(&pair.target("drip-100")).await;
}

async fn kv_only(mut test: Test) {
    let setup = Setup { store: test.scratch.clone(), kv_only: true, ..test.setup.clone() };
    test.start(&setup).await;
    let pair = Pair { caller: Dialect::OpenaiChat, upstream: Provider::Anthropic };
    let request = pair.caller.streamed(&pair.target("text"), &test.prompt());
    for reply in join_all((0..20).map(|_| test.answer(pair.caller, &request))).await {
        pair.check(&pair.caller.read_stream(&reply.body), &Answer::of("text"));
    }
    let usage = pair.upstream.reports(Answer::of("text").usage);
    test.settles([(&pair.target("text"), Totals::of(20, "text", usage))]).await;

    // The new isolate writes a key of its own and reads the other's. That one is written at most every five seconds.
    tokio::time::sleep(Duration::from_millis(6_500)).await;
    test.host.kill();
    test.start(&setup).await;
    test.settles([(&pair.target("text"), Totals::of(20, "text", usage))]).await;
    test.answer(pair.caller, &request).await;
    test.settles([(&pair.target("text"), Totals::of(21, "text", usage))]).await;
}

async fn config_in_kv(mut test: Test) {
    let setup = Setup { store: test.scratch.clone(), config_in_kv: true, ..test.setup.clone() };
    test.start(&setup).await;
    let dialect = Dialect::Anthropic;
    let reply = test.answer(dialect, &dialect.request("up-openai/text", &test.prompt())).await;
    assert_eq!(reply.header("x-tollgate-target"), Some("up-openai/text"));
}
