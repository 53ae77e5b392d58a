//! A call of an embedding model, and its result.

use super::field;
use super::options::each;
use super::read_request::parse;
use crate::chat::Unread;
use crate::embed::{Encoding, Input, Request, Response};
use crate::error::Error;
use crate::wire::json::{Fields, Raw, Verbatim, to_vec, written};

/// As many as its clients put into one call.
const VALUES_MAX: usize = 2048;

/// The fields that are read here; every other one is named in `unread`. Version 2 has `input`.
const READ: &[&str] = &["values", "input", "dimensions", "providerOptions"];

pub fn read_embeddings(body: &Fields<'_>) -> Result<Request, Error> {
    let mut unread = Unread::default();
    for name in body.names().filter(|name| !READ.contains(name)) {
        if body.raw(name).is_some_and(|raw| !raw.is_null()) {
            unread.note(name);
        }
    }
    let values = match field::<Vec<String>>(body, "values")? {
        Some(values) => values,
        // One alone stands there without a list.
        None => match field::<String>(body, "input") {
            Ok(Some(value)) => vec![value],
            Ok(None) => return Err(Error::field("values", "is missing")),
            Err(_) => field(body, "input")?.unwrap_or_default(),
        },
    };
    if values.is_empty() || values.len() > VALUES_MAX {
        return Err(Error::field("values", format_args!("must be 1 to {VALUES_MAX} texts")));
    }
    let mut request = Request {
        // The head says it.
        model: String::new(),
        input: Input::Texts(values),
        dimensions: field(body, "dimensions")?,
        encoding: Encoding::Float,
        input_type: None,
        user: None,
        unread: Vec::new(),
    };
    if let Some(raw) = field::<Raw<'_>>(body, "providerOptions")? {
        each(raw, |provider, name, value| {
            let path = format!("providerOptions.{provider}.{name}");
            match (provider, name) {
                ("openai", "dimensions") | ("google", "outputDimensionality") => {
                    request.dimensions = Some(parse(value, &path)?);
                }
                ("openai", "user") => request.user = Some(parse(value, &path)?),
                ("cohere", "inputType") => request.input_type = Some(parse(value, &path)?),
                _ => unread.note(&path),
            }
            Ok(())
        })?;
    }
    request.unread = unread.0;
    Ok(request)
}

pub fn write_embeddings(response: &Response) -> Vec<u8> {
    written! {
        struct ResultOut<'a> {
            embeddings: Vec<Verbatim<'a>>,
            usage?: Option<TallyOut>,
        }

        struct TallyOut {
            tokens: u64,
        }
    }
    to_vec(&ResultOut {
        embeddings: response.vectors.iter().map(|vector| Verbatim::made(Encoding::Float.told(vector))).collect(),
        usage: response.usage.map(|usage| TallyOut { tokens: usage.input }),
    })
}
