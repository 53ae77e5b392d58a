//! Placeholder until the dialect lands.
use super::{Decode, Encode, Label, Malformed, Model};
use crate::chat;
use crate::error::Error;
use crate::wire::json::Fields;
use crate::wire::sse::Frame;
pub fn read_request(_: &Fields<'_>) -> Result<chat::Request, Error> {
    Err(Error::invalid("todo"))
}
pub fn write_request(_: &chat::Request, _: &mut Vec<String>) -> Vec<u8> {
    vec![]
}
pub fn splice(body: &Fields<'_>, model: &str) -> Vec<u8> {
    body.with(&[("model", &crate::wire::json::quoted(model))])
}
pub fn usage_wanted(_: &Fields<'_>) -> bool {
    false
}
pub fn read_response(_: &[u8]) -> Result<chat::Response, Malformed> {
    Err(Malformed("todo".into()))
}
pub fn write_response(_: &chat::Response, _: &Label) -> Vec<u8> {
    vec![]
}
pub fn error_body(error: &Error, _: &str) -> Vec<u8> {
    error.message.clone().into()
}
pub fn error_frame(error: &Error) -> Vec<u8> {
    error.message.clone().into()
}
pub fn read_error(_: &[u8]) -> Option<String> {
    None
}
pub fn write_models(_: &[Model]) -> Vec<u8> {
    vec![]
}
#[derive(Default)]
pub struct Decoder;
impl Decode for Decoder {
    fn frame(&mut self, _: &Frame<'_>, _: &mut Vec<chat::Event>) -> Result<(), Malformed> {
        Ok(())
    }
    fn finish(&mut self, _: &mut Vec<chat::Event>) {}
}
pub struct Encoder;
impl Encoder {
    pub fn new(_: Label) -> Self {
        Self
    }
}
impl Encode for Encoder {
    fn event(&mut self, _: &chat::Event, _: &mut Vec<u8>) {}
}
