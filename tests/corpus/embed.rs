//! Embeddings, of every provider that was recorded: what dialects speak is read as it is, and told to callers.

use serde_json::Value;
use tollgate::dialect::{Dialect, Embed, gemini, openai_chat};
use tollgate::embed::{Encoding, Input, Response};
use tollgate::wire::json::Fields;

use crate::cases::{Case, cases};

/// Protocols that are not spoken, by vendor and address.
const UNSPOKEN: &[(&str, &str, &str)] = &[
    ("cohere", "/v1/embed", "version 1 of Cohere's API"),
    ("cohere", "/v1/embeddings", "a path that Cohere does not have; its recording is of version 1"),
    ("bedrock", "", "model-native bodies behind Bedrock's invoke"),
    ("vertex", "", "Vertex's own prediction protocol, and Gemini's"),
    ("huggingface", "", "a bare array, from a pipeline that is no embeddings endpoint"),
];

/// Who can read the recording.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Openai,
    Cohere,
    Gemini,
}

impl Shape {
    fn embeddings(self) -> &'static dyn Embed {
        match self {
            Self::Openai => Dialect::OpenaiChat.embeddings().unwrap(),
            Self::Cohere => Dialect::Cohere.embeddings().unwrap(),
            Self::Gemini => &gemini::Embeddings,
        }
    }
}

fn shape(case: &Case, endpoint: &str) -> Option<Shape> {
    let vendor = case.name.split(['.', '/']).nth(1).unwrap();
    let is_unspoken =
        |(who, path, _): &&(&str, &str, &str)| *who == vendor && endpoint.split('?').next().unwrap().ends_with(path);
    if UNSPOKEN.iter().any(|row| is_unspoken(&row)) {
        return None;
    }
    Some(match vendor {
        "cohere" => Shape::Cohere,
        "google" => Shape::Gemini,
        _ => Shape::Openai,
    })
}

#[test]
fn every_recorded_answer_says_what_its_bytes_say() {
    let (mut read, mut errors, mut unspoken) = (0, 0, 0);
    for case in cases("embeddings") {
        let meta: Value = serde_json::from_slice(&case.body("meta.json").unwrap()).unwrap();
        let Some(shape) = shape(&case, meta["endpoint"].as_str().unwrap()) else {
            unspoken += 1;
            continue;
        };
        let Some(body) = case.body("response.json") else { continue };
        let embeddings = shape.embeddings();
        if case.status >= 400 {
            assert!(embeddings.read(&body).is_err(), "{}", case.name);
            let dialect = if shape == Shape::Cohere { Dialect::Cohere } else { Dialect::OpenaiChat };
            assert!(dialect.read_error(&body).is_some(), "{}", case.name);
            errors += 1;
            continue;
        }
        let value: Value = serde_json::from_slice(&body).unwrap();
        let response = embeddings.read(&body).unwrap_or_else(|fault| panic!("{}: {}", case.name, fault.0));
        let (vectors, tokens) = naive(shape, &value);
        assert_eq!(parsed(&response), vectors, "{}", case.name);
        assert_eq!(response.usage.map(|usage| usage.input), tokens, "{}", case.name);
        is_told_to_callers(&case, &response);
        read += 1;
    }
    println!("{read} answers, {errors} errors, {unspoken} not spoken");
}

fn parsed(response: &Response) -> Vec<Value> {
    response.vectors.iter().map(|vector| serde_json::from_str(vector.get()).unwrap()).collect()
}

fn naive(shape: Shape, value: &Value) -> (Vec<Value>, Option<u64>) {
    match shape {
        Shape::Gemini => (
            value["embeddings"].as_array().unwrap().iter().map(|vector| vector["values"].clone()).collect(),
            value["usageMetadata"]["promptTokenCount"].as_u64(),
        ),
        Shape::Cohere => (
            value["embeddings"]["float"].as_array().unwrap().clone(),
            value["meta"]["billed_units"].as_object().map(|units| {
                ["input_tokens", "image_tokens"]
                    .iter()
                    .filter_map(|name| units.get(*name))
                    .filter_map(Value::as_f64)
                    .sum::<f64>() as u64
            }),
        ),
        Shape::Openai => {
            let usage = &value["usage"];
            let rows = value["data"].as_array().unwrap();
            let tokens = usage["prompt_tokens"].as_u64().or(usage["total_tokens"].as_u64());
            (rows.iter().map(|row| row["embedding"].clone()).collect(), tokens)
        }
    }
}

/// As numbers they are the same; packed they are the nearest that 32 bits hold.
fn is_told_to_callers(case: &Case, response: &Response) {
    let told = |encoding| {
        let body = openai_chat::write_embeddings(response, encoding);
        let again = Dialect::OpenaiChat.embeddings().unwrap().read(&body).unwrap();
        assert_eq!(again.usage.unwrap_or_default(), response.usage.unwrap_or_default(), "{}", case.name);
        parsed(&again)
    };
    let vectors = parsed(response);
    assert_eq!(told(Encoding::Float), vectors, "{}", case.name);
    for (packed, vector) in told(Encoding::Base64).iter().zip(&vectors) {
        let Some(numbers) = vector.as_array() else {
            assert_eq!(packed, vector, "{}: packed already", case.name);
            continue;
        };
        let bytes = unpacked(packed.as_str().unwrap());
        let found: Vec<f32> = bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
        let expected: Vec<f32> = numbers.iter().map(|number| number.as_f64().unwrap() as f32).collect();
        assert_eq!(found, expected, "{}", case.name);
    }
}

/// Base64, read digit by digit.
fn unpacked(text: &str) -> Vec<u8> {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0, 0_u32);
    for digit in text.chars().filter(|digit| *digit != '=') {
        held = (held << 6) | alphabet.find(digit).unwrap() as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
        }
    }
    bytes
}

#[test]
fn every_recorded_request_is_read_and_can_be_put_to_others() {
    let mut read = 0;
    for case in cases("embeddings") {
        let meta: Value = serde_json::from_slice(&case.body("meta.json").unwrap()).unwrap();
        if shape(&case, meta["endpoint"].as_str().unwrap()) != Some(Shape::Openai) {
            continue;
        }
        let Some(body) = case.body("request.json") else { continue };
        let fields = Fields::read(&body).unwrap();
        let value: Value = serde_json::from_slice(&body).unwrap();
        let mut spliced = value.clone();
        spliced["model"] = "x/y".into();
        let found: Value = serde_json::from_slice(&openai_chat::splice_embeddings(&fields, "x/y")).unwrap();
        assert_eq!(found, spliced, "{}", case.name);
        let request = match openai_chat::read_embeddings(&fields) {
            Ok(request) => request,
            // OpenAI itself refused this one: its `dimensions` is below zero.
            Err(error) => {
                assert!(case.status >= 400, "{}: {error}", case.name);
                continue;
            }
        };
        let put = |dialect: Dialect| {
            let body = dialect.embeddings().unwrap().write(&request, &mut Vec::new())?;
            Ok::<Value, tollgate::error::Error>(serde_json::from_slice(&body).unwrap())
        };
        // Written back, it is the same but for what only pass-through keeps.
        let mut expected = value.clone();
        for name in &request.unread {
            expected.as_object_mut().unwrap().remove(name);
        }
        expected.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        if expected["input"].is_string() {
            expected["input"] = Value::Array(vec![expected["input"].clone()]);
        }
        if expected["encoding_format"].is_null() {
            expected["encoding_format"] = "float".into();
        }
        assert_eq!(put(Dialect::OpenaiChat).unwrap(), expected, "{}", case.name);
        for (dialect, texts) in [(Dialect::Cohere, "texts"), (Dialect::Ollama, "input")] {
            match (&request.input, put(dialect)) {
                (Input::Texts(_), Ok(body)) => assert_eq!(body[texts], expected["input"], "{}", case.name),
                (Input::Tokens(_), Err(_)) => {}
                (input, put) => panic!("{}: {input:?} became {put:?}", case.name),
            }
        }
        read += 1;
    }
    println!("{read} requests");
}
