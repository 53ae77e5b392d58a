//! Files by address, for providers that fetch none: they arrive inline, or the caller is told which one could not be had.

use serde_json::{Value, json};

use crate::caller::Dialect;
use crate::suite::Suite;
use crate::test::Test;
use crate::upstream::Provider;
use crate::upstream::files::PIXEL;

/// Who fetches nothing, the clouds of a dialect whose maker does among them.
const INLINE: [Provider; 4] =
    [Provider::BedrockConverse, Provider::AnthropicOnBedrock, Provider::AnthropicOnVertex, Provider::Ollama];

pub(crate) fn add(suite: &mut Suite) {
    for upstream in INLINE {
        let name = format!("media::{}::an_image_by_address_arrives_inline_from_every_caller", upstream.name());
        suite.add(&name, move |test| inline(test, upstream));
    }
    suite.add("media::an_image_is_fetched_once_for_two_targets_and_where_it_was_moved_to", fallback);
    suite.add("media::what_cannot_be_had_is_named_by_its_place_and_nobody_is_asked", not_there);
    suite.add("media::the_inside_is_not_reached", inside);
    suite.alias("without-eyes", &[Provider::Ollama.target("status-500"), Provider::BedrockConverse.target("text")]);
}

/// A question about the file at `url`, and where its address stands.
fn question(caller: Dialect, model: &str, url: &str) -> (Value, &'static str) {
    let mut request = caller.request(model, "");
    let place = match caller {
        Dialect::OpenaiChat => {
            let image = json!({"type": "image_url", "image_url": {"url": url}});
            request["messages"] =
                json!([{"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]}]);
            "messages[0].content[1].image_url.url"
        }
        Dialect::Anthropic => {
            let image = json!({"type": "image", "source": {"type": "url", "url": url}});
            request["messages"] =
                json!([{"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]}]);
            "messages[0].content[1].source.url"
        }
        Dialect::OpenaiResponses => {
            let image = json!({"type": "input_image", "image_url": url});
            request["input"] =
                json!([{"role": "user", "content": [{"type": "input_text", "text": "What is it?"}, image]}]);
            "input[0].content[1].image_url"
        }
        Dialect::Gemini => {
            let image = json!({"fileData": {"mimeType": "image/png", "fileUri": url}});
            request["contents"] = json!([{"role": "user", "parts": [{"text": "What is it?"}, image]}]);
            "contents[0].parts[1].fileData.fileUri"
        }
    };
    (request, place)
}

/// The address of one of the files of this scenario.
fn address(test: &Test, name: &str) -> String {
    format!("http://{}/files/{}/{name}?signature=secret", test.upstream.address, test.marker)
}

async fn inline(test: Test, upstream: Provider) {
    for (caller, name) in Dialect::ALL.into_iter().zip(["pixel.png", "pixel", "moved.png", "pixel.png"]) {
        let (mut request, _) = question(caller, &upstream.target("text"), &address(&test, name));
        mark(&mut request, &test);
        let before = test.upstream.exchanges(&test.marker).len();
        let reply = test.answer(caller, &request).await;
        assert_eq!(reply.header("x-tollgate-lost"), None);
        let exchanges = test.upstream.exchanges(&test.marker);
        let (asked, fetches) = exchanges[before..].split_last().expect("somebody was asked");
        assert_eq!(fetches.len(), if name == "moved.png" { 2 } else { 1 }, "{}", caller.name());
        let asked = asked.json().to_string();
        assert!(asked.contains(PIXEL) && !asked.contains("/files/"), "{asked}");
    }
}

async fn fallback(test: Test) {
    let (mut request, _) = question(Dialect::OpenaiChat, "without-eyes", &address(&test, "moved.png"));
    mark(&mut request, &test);
    test.answer(Dialect::OpenaiChat, &request).await;
    let exchanges = test.upstream.exchanges(&test.marker);
    let paths: Vec<_> = exchanges.iter().map(|exchange| exchange.path.as_str()).collect();
    assert_eq!(paths.iter().filter(|path| path.starts_with("/files/")).count(), 2, "{paths:?}");
    assert!(paths[..2].iter().all(|path| path.starts_with("/files/")) && paths.len() == 4, "{paths:?}");
}

async fn not_there(test: Test) {
    for name in ["missing.png", "page.png", "long.png", "inside.png", "slow.png"] {
        for caller in Dialect::ALL {
            refused(&test, caller, &address(&test, name)).await;
        }
    }
    let asked = test.upstream.exchanges(&test.marker);
    assert!(asked.iter().all(|exchange| exchange.path.starts_with("/files/")), "somebody was asked");
    test.settles([]).await;
}

async fn inside(test: Test) {
    let port = test.upstream.address.port();
    let urls = [
        format!("http://localhost:{port}/files/{}/pixel.png", test.marker),
        format!("https://127.0.0.1:{port}/files/{}/pixel.png", test.marker),
        format!("http://127.1:{port}/files/{}/pixel.png", test.marker),
        format!("http://[::ffff:127.0.0.1]:{port}/files/{}/pixel.png", test.marker),
        format!("http://example.com@127.0.0.1:{port}/files/{}/pixel.png", test.marker),
        "http://127.0.0.1/a.png".to_owned(),
        "https://169.254.169.254/latest/meta-data/".to_owned(),
        "https://metadata.google.internal/a.png".to_owned(),
        "https://localhost./a.png".to_owned(),
        "https://2130706433/a.png".to_owned(),
    ];
    for url in urls {
        refused(&test, Dialect::OpenaiChat, &url).await;
    }
    assert!(test.upstream.exchanges(&test.marker).is_empty(), "it was fetched");
}

async fn refused(test: &Test, caller: Dialect, url: &str) {
    let (mut request, place) = question(caller, &Provider::Ollama.target("text"), url);
    mark(&mut request, test);
    let reply = test.ask(caller, &request).await;
    assert_eq!(reply.status, 400, "{url}: {}", reply.text());
    let message = caller.read_error(&reply.body).message;
    assert!(message.starts_with(place), "{url}: {message}");
    assert!(!message.contains("secret") && !message.contains("/files/"), "{url}: {message}");
}

/// Has the upstream know whose request it is.
fn mark(request: &mut Value, test: &Test) {
    let text = request.to_string().replace("What is it?", &test.prompt());
    *request = serde_json::from_str(&text).expect("it was JSON");
}
