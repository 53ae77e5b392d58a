//! What the caller said in other words than the upstream was told goes back in the caller's own: the names of tools that
//! did not fit, and the model, which not every upstream names.

use crate::chat::{Block, Content, Event, Request, Response};
use crate::dialect::Dialect;

#[derive(Debug, Default)]
pub struct Told {
    model: String,
    /// What the upstream was told, and the caller's own.
    names: Vec<(String, String)>,
}

impl Told {
    /// What an upstream of `dialect` was told of `request`; nothing where it got the caller's own bytes.
    pub fn new(dialect: Dialect, request: Option<&Request>) -> Self {
        let Some(request) = request else { return Self::default() };
        let names = request.tools.iter().map(|tool| (dialect.tool_name(&tool.name).into_owned(), tool.name.clone()));
        Self { model: request.model.clone(), names: names.filter(|(told, own)| told != own).collect() }
    }

    pub fn event(&self, event: &mut Event) {
        match event {
            Event::Start { model, .. } => self.model(model),
            Event::Open(Block::ToolCall { name, .. }) => self.name(name),
            _ => {}
        }
    }

    pub fn response(&self, response: &mut Response) {
        self.model(&mut response.model);
        for part in &mut response.parts {
            if let Content::ToolCall(call) = &mut part.content {
                self.name(&mut call.name);
            }
        }
    }

    fn model(&self, model: &mut String) {
        if model.is_empty() {
            model.clone_from(&self.model);
        }
    }

    fn name(&self, name: &mut String) {
        if let Some((_, own)) = self.names.iter().find(|(told, _)| told == name) {
            name.clone_from(own);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Part, Tool, ToolCall};

    #[test]
    fn a_tool_and_the_model_come_back_under_their_own_names() {
        let tools = ["files.read", "f"].map(|name| Tool { name: name.into(), ..Tool::default() });
        let request = Request { model: "m".into(), tools: tools.into(), ..Request::default() };
        let told = Told::new(Dialect::BedrockConverse, Some(&request));
        let name = Dialect::BedrockConverse.tool_name("files.read").into_owned();
        for (name, own) in [(name.as_str(), "files.read"), ("f", "f"), ("g", "g")] {
            let call = ToolCall { id: "1".into(), name: name.into(), arguments: "{}".into(), signature: None };
            let parts = vec![Part::new(Content::ToolCall(call))];
            let mut response = Response { parts, ..Response::default() };
            let mut events = response.events();
            told.response(&mut response);
            events.iter_mut().for_each(|event| told.event(event));
            assert_eq!(response.events(), events);
            assert!(matches!(&events[0], Event::Start { model, .. } if model == "m"), "{events:?}");
            assert!(matches!(&events[1], Event::Open(Block::ToolCall { name, .. }) if name == own), "{events:?}");
        }
        let mut named = Response { model: "own".into(), ..Response::default() };
        told.response(&mut named);
        assert_eq!(named.model, "own");
        Told::new(Dialect::Anthropic, None).response(&mut named);
    }
}
