//! Images, sounds, films and documents that a caller gives by address, for upstreams that fetch none: which are
//! fetched, from where they may come, and what may come of it.
//!
//! The caller chooses the address, and must not reach the deployment's inside with it: [`origin`] refuses what is not
//! by its name a host of the public internet, and a host that resolves names also refuses where they lead
//! ([`address`]). Nothing here waits for anything; `serve/media.rs` does.

pub mod address;
pub mod origin;

use memchr::memmem;

use self::origin::Origin;
use crate::chat::{Content, Media, Part, Request, Role};
use crate::dialect::Inbound;
use crate::host::{Millis, Network};
use crate::wire::json::{Fields, Raw, parse, words};

/// From where files are fetched, and how much of them.
#[derive(Debug)]
pub struct Policy {
    pub fetch: Fetch,
    /// Fetched from, whatever their addresses are.
    pub hosts: Vec<Origin>,
    /// In one request.
    pub files_max: usize,
    pub file_bytes_max: usize,
    /// Of all files of a request.
    pub bytes_max: usize,
    /// For all files of a request, which are fetched at the same time.
    pub ms_max: Millis,
}

words! {
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub enum Fetch = "what may be fetched" {
        /// From the public internet, over https, and from the hosts that are listed.
        #[default]
        Public as "public",
        /// From the hosts that are listed.
        Listed as "listed",
        Never as "never",
    }
}

/// More than most models take at once: Bedrock's Converse images of 3.75 MB and documents of 4.5 MB. And no more than an
/// isolate of Workers can hold, which has 128 MB for all its requests and a file three times while it is sent.
impl Default for Policy {
    fn default() -> Self {
        Self {
            fetch: Fetch::Public,
            hosts: Vec::new(),
            files_max: 16,
            file_bytes_max: 8 * 1024 * 1024,
            bytes_max: 16 * 1024 * 1024,
            ms_max: 10_000,
        }
    }
}

impl Policy {
    /// Where the host may go to fetch `url`; the error says why it may not.
    pub fn permit(&self, url: &str) -> Result<Network, &'static str> {
        let origin = Origin::of(url)?;
        let is_listed = self.hosts.iter().any(|listed| listed.covers(&origin));
        match self.fetch {
            Fetch::Public | Fetch::Listed if is_listed => Ok(Network::Any),
            Fetch::Public => origin.must_be_public().map(|()| Network::Public),
            Fetch::Listed | Fetch::Never => Err("its host is not one that this gateway fetches from"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Image,
    Audio,
    Video,
    Document,
}

/// How upstreams of a dialect can be given a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    Never,
    Inline,
    /// Inline, or by an address that they fetch themselves.
    Anyhow,
}

/// A file that must be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub kind: Kind,
    pub url: String,
}

/// The files of one request that were fetched.
#[derive(Debug, Default)]
pub struct Files(Vec<(Link, Media)>);

impl Files {
    pub fn keep(&mut self, link: Link, file: Media) {
        self.0.push((link, file));
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// What they have together, before they became base64.
    pub fn bytes(&self) -> usize {
        let bytes = |file: &Media| match file {
            Media::Inline { data, .. } => data.len() / 4 * 3,
            Media::Url(_) => 0,
        };
        self.0.iter().map(|(_, file)| bytes(file)).sum()
    }

    /// The file that was fetched from `url`.
    pub fn of(&self, url: &str) -> Option<&Media> {
        self.0.iter().find(|(link, _)| link.url == url).map(|(_, file)| file)
    }

    /// Puts files where `request` has the addresses of such as `is_wanted`; says how many. The error is what is lacking,
    /// each once.
    pub fn put(&self, request: &mut Request, is_wanted: &dyn Fn(Kind) -> bool) -> Result<usize, Vec<Link>> {
        let (mut lacking, mut count) = (Vec::new(), 0);
        let mut see = |content: &mut Content| {
            let Some((kind, media)) = file(content).filter(|(kind, _)| is_wanted(*kind)) else { return };
            let Media::Url(url) = &*media else { return };
            if !origin::is_web(url) {
                return;
            }
            let link = Link { kind, url: url.clone() };
            match self.0.iter().find(|(known, _)| *known == link) {
                Some((_, fetched)) => {
                    *media = fetched.clone();
                    if let Content::Document { name: name @ None, .. } = content {
                        *name = origin::file_name(&link.url);
                    }
                    count += 1;
                }
                None if lacking.contains(&link) => {}
                None => lacking.push(link),
            }
        };
        // What models say holds no addresses of files, and no dialect would give one back by address.
        for message in request.messages.iter_mut().filter(|message| message.role == Role::User) {
            each(&mut message.parts, &mut see);
        }
        if lacking.is_empty() { Ok(count) } else { Err(lacking) }
    }
}

fn each(parts: &mut [Part], see: &mut dyn FnMut(&mut Content)) {
    for part in parts {
        match &mut part.content {
            Content::ToolResult { parts, .. } => each(parts, see),
            content => see(content),
        }
    }
}

fn file(content: &mut Content) -> Option<(Kind, &mut Media)> {
    match content {
        Content::Image(media) => Some((Kind::Image, media)),
        Content::Audio(media) => Some((Kind::Audio, media)),
        Content::Video(media) => Some((Kind::Video, media)),
        Content::Document { media, .. } => Some((Kind::Document, media)),
        _ => None,
    }
}

/// Whether a body may hold the address of a file.
pub fn may_link(body: &[u8]) -> bool {
    memmem::find(body, b"http").is_some()
}

/// The first bytes of files that are known by them. A WebP has its length before its name.
const BEGINNINGS: &[(&[u8], &str)] = &[
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
];
/// What documents may be besides PDF, by how their types begin.
const DOCUMENTS: &[&str] =
    &["text/", "application/json", "application/msword", "application/vnd.ms-", "application/vnd.openxmlformats-"];

impl Kind {
    /// The media type of a fetched file; `None` where it is not of this kind.
    ///
    /// Images and PDF are what their first bytes say: providers hold those against the type that they are told, and
    /// many servers tell a wrong one or none. So nothing that is no image leaves a network as one. Of other files
    /// nothing is known but their server's word.
    pub fn media_type(self, declared: Option<&str>, bytes: &[u8]) -> Option<String> {
        let known = BEGINNINGS.iter().find(|(start, _)| bytes.starts_with(start)).map(|(_, name)| *name);
        let is_webp = bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP");
        let known = known.or(is_webp.then_some("image/webp"));
        let starts: &[&str] = match (self, known) {
            (Self::Image, Some(name)) if name.starts_with("image/") => return Some(name.to_owned()),
            (Self::Document, Some(name @ "application/pdf")) => return Some(name.to_owned()),
            (Self::Document, None) => DOCUMENTS,
            (Self::Audio, None) => &["audio/"],
            (Self::Video, None) => &["video/"],
            _ => return None,
        };
        let declared = declared?.split(';').next()?.trim().to_ascii_lowercase();
        starts.iter().any(|start| declared.starts_with(start)).then_some(declared)
    }

    /// What a file must be.
    pub fn due(self) -> &'static str {
        match self {
            Self::Image => "a PNG, JPEG, GIF or WebP image",
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Document => "a PDF, a text or an office document",
        }
    }
}

/// The caller's own body with `count` files where their addresses stand; every other byte stays. `None` where they stand in
/// other places than `dialect` knows.
pub fn inlined(dialect: Inbound, body: &Fields<'_>, bytes: &[u8], files: &Files, count: usize) -> Option<Vec<u8>> {
    let mut edits = Edits { dialect, files, body: bytes.as_ptr() as usize, edits: Vec::new() };
    edits.object(body, "", DEPTH_MAX);
    if edits.edits.len() != count {
        return None;
    }
    let mut out = Vec::with_capacity(bytes.len() + files.bytes() / 2 * 3);
    let mut at = 0;
    for (start, end, value) in edits.edits {
        out.extend_from_slice(bytes.get(at..start)?);
        out.extend_from_slice(value.as_bytes());
        at = end;
    }
    out.extend_from_slice(bytes.get(at..)?);
    Some(out)
}

/// Values that are to stand in a body instead of others, by where those begin and end, in order.
struct Edits<'a> {
    dialect: Inbound,
    files: &'a Files,
    /// Its address: each value in it is a slice of it.
    body: usize,
    edits: Vec<(usize, usize, String)>,
}

impl Edits<'_> {
    fn object(&mut self, fields: &Fields<'_>, parent: &str, depth: usize) {
        for name in fields.names() {
            let Some(value) = fields.raw(name) else { continue };
            match self.dialect.inline_file(parent, name, value, self.files) {
                Some(file) => {
                    let start = (value.get().as_ptr() as usize).saturating_sub(self.body);
                    self.edits.push((start, start + value.get().len(), file));
                }
                None => self.value(value, name, depth),
            }
        }
    }

    fn value(&mut self, value: Raw<'_>, name: &str, depth: usize) {
        let Some(depth) = depth.checked_sub(1) else { return };
        let json = value.get();
        if json.starts_with('{') {
            if let Ok(fields) = Fields::read(json.as_bytes()) {
                self.object(&fields, name, depth);
            }
        } else if json.starts_with('[') {
            for value in parse::<Vec<Raw<'_>>>(json).unwrap_or_default() {
                self.value(value, name, depth);
            }
        }
    }
}

/// Deeper than any dialect has the address of a file, so that nobody can have a body read over and over.
const DEPTH_MAX: usize = 10;
const NAME_BYTES_MAX: usize = 64;

/// The path to the first value in the caller's body that is `text`: `messages[2].content[1].image_url.url`.
pub fn place(body: &Fields<'_>, text: &str) -> Option<String> {
    let mut path = String::new();
    in_object(body, text, DEPTH_MAX, &mut path).then_some(path)
}

fn in_object(fields: &Fields<'_>, text: &str, depth: usize, path: &mut String) -> bool {
    fields.names().filter(|name| name.len() <= NAME_BYTES_MAX).any(|name| {
        let dot = if path.is_empty() { "" } else { "." };
        fields.raw(name).is_some_and(|value| in_value(value, text, depth, path, &format!("{dot}{name}")))
    })
}

fn in_value(value: Raw<'_>, text: &str, depth: usize, path: &mut String, step: &str) -> bool {
    let json = value.get();
    // It is longer by its quotes at least.
    let Some(depth) = depth.checked_sub(1).filter(|_| json.len() > text.len()) else { return false };
    let length = path.len();
    path.push_str(step);
    let is_there = match json.as_bytes().first() {
        Some(b'"') => parse::<String>(json).is_ok_and(|string| string == text),
        Some(b'{') => Fields::read(json.as_bytes()).is_ok_and(|fields| in_object(&fields, text, depth, path)),
        Some(b'[') => parse::<Vec<Raw<'_>>>(json).is_ok_and(|values| {
            let mut numbered = values.iter().enumerate();
            numbered.any(|(index, value)| in_value(*value, text, depth, path, &format!("[{index}]")))
        }),
        _ => false,
    };
    if !is_there {
        path.truncate(length);
    }
    is_there
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Message;

    fn image(url: &str) -> Part {
        Part::new(Content::Image(Media::Url(url.to_owned())))
    }

    #[test]
    fn what_is_lacking_is_named_once_and_then_put_in_everywhere() {
        let result = Content::ToolResult { call: "1".into(), parts: vec![image("https://a/1")], is_error: false };
        let document = Content::Document { media: Media::Url("https://a/1".into()), name: None };
        let parts = |role, parts| Message { role, parts };
        let said = vec![image("https://a/1"), image("s3://b/1"), Part::new(result), Part::new(document)];
        let mut request = Request {
            messages: vec![parts(Role::User, said), parts(Role::Assistant, vec![image("https://a/2")])],
            ..Request::default()
        };
        let mut files = Files::default();
        let images = |kind| kind == Kind::Image;
        let link = Link { kind: Kind::Image, url: "https://a/1".into() };
        assert_eq!(files.put(&mut request, &|_| false), Ok(0));
        assert_eq!(files.put(&mut request, &images), Err(vec![link.clone()]));
        let file = Media::Inline { media_type: "image/png".into(), data: "AAAA".into() };
        files.keep(link, file.clone());
        assert_eq!((files.count(), files.bytes()), (1, 3));
        assert_eq!(files.put(&mut request, &images), Ok(2));
        let [Message { parts, .. }, _] = request.messages.as_slice() else { panic!("two messages") };
        assert_eq!(parts[0].content, Content::Image(file.clone()));
        assert_eq!(parts[1], image("s3://b/1"));
        assert!(
            matches!(&parts[2].content, Content::ToolResult { parts, .. } if parts[0].content == Content::Image(file))
        );
        assert!(matches!(&parts[3].content, Content::Document { media: Media::Url(_), .. }));
    }

    #[test]
    fn a_file_is_what_its_bytes_say_where_they_say_something() {
        let (png, html) = (b"\x89PNG\r\n\x1a\n...".as_slice(), b"<html>".as_slice());
        let cases = [
            (Kind::Image, Some("image/jpeg"), png, Some("image/png")),
            (Kind::Image, None, b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            (Kind::Image, Some("application/octet-stream"), b"RIFF\x01\x02\x03\x04WEBPVP8 ", Some("image/webp")),
            (Kind::Image, Some("image/png"), html, None),
            (Kind::Image, Some("image/svg+xml"), b"<svg/>", None),
            (Kind::Image, Some("image/png"), b"", None),
            (Kind::Document, None, b"%PDF-1.7", Some("application/pdf")),
            (Kind::Document, Some("application/pdf"), html, None),
            (Kind::Document, Some("Text/CSV; charset=utf-8"), b"a,b", Some("text/csv")),
            (Kind::Document, Some("application/octet-stream"), b"a,b", None),
            (Kind::Document, Some("text/plain"), png, None),
            (Kind::Audio, Some("audio/wav"), b"RIFF\x01\x02\x03\x04WAVE", Some("audio/wav")),
            (Kind::Audio, Some("video/mp4"), b"", None),
            (Kind::Video, Some("video/mp4"), b"", Some("video/mp4")),
        ];
        for (kind, declared, bytes, expected) in cases {
            assert_eq!(kind.media_type(declared, bytes).as_deref(), expected, "{kind:?} {declared:?} {bytes:?}");
        }
    }

    #[test]
    fn a_path_leads_to_the_address_in_the_callers_own_words() {
        let cases = [
            (
                r#"{"messages":[{"content":"x"},{"content":[{},{"image_url":{"url":"u:1"}}]}]}"#,
                "messages[1].content[1].image_url.url",
            ),
            (
                r#"{"contents":[{"parts":[{"fileData":{"fileUri":"u:\u0031"}}]}]}"#,
                "contents[0].parts[0].fileData.fileUri",
            ),
            (r#"{"a":{"u:1":1},"b":["u:1"]}"#, "b[0]"),
        ];
        for (body, expected) in cases {
            assert_eq!(place(&Fields::read(body.as_bytes()).unwrap(), "u:1").as_deref(), Some(expected));
        }
        let deep = format!(r#"{{"a":{}"u:1"{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(place(&Fields::read(deep.as_bytes()).unwrap(), "u:1"), None);
    }

    #[test]
    fn files_stand_in_the_callers_own_bytes_and_every_other_byte_stays() {
        let mut files = Files::default();
        let file = |media_type: &str| Media::Inline { media_type: media_type.into(), data: "AA==".into() };
        files.keep(Link { kind: Kind::Image, url: "http://a/1".into() }, file("image/png"));
        files.keep(Link { kind: Kind::Document, url: "http://a/2".into() }, file("text/plain"));
        let chat = r#"{"a" : 1.0,"messages":[{"content":[{"text":"http://a/1"}, {"image_url" : { "url":"http:\/\/a/1" , "detail":"low"}},{"image_url":"http://a/1"}]}]}"#;
        let chat_told = r#"{"a" : 1.0,"messages":[{"content":[{"text":"http://a/1"}, {"image_url" : { "url":"data:image/png;base64,AA==" , "detail":"low"}},{"image_url":"data:image/png;base64,AA=="}]}]}"#;
        let anthropic = r#"{"messages":[{"content":[{"source": {"url":"http://a/1","type":"url"} ,"x":{}}]}]}"#;
        let anthropic_told = r#"{"messages":[{"content":[{"source": {"type":"base64","media_type":"image/png","data":"AA=="} ,"x":{}}]}]}"#;
        let text = r#"{"messages":[{"content":[{"source":{"url":"http://a/2","type":"url"}}]}]}"#;
        let cases = [
            (Inbound::OpenaiChat, chat, 2, Some(chat_told)),
            (Inbound::OpenaiChat, chat, 3, None),
            (Inbound::Anthropic, anthropic, 1, Some(anthropic_told)),
            (Inbound::Anthropic, text, 1, None),
            (Inbound::Gemini, anthropic, 1, None),
        ];
        for (dialect, body, count, expected) in cases {
            let fields = Fields::read(body.as_bytes()).unwrap();
            let told = inlined(dialect, &fields, body.as_bytes(), &files, count);
            assert_eq!(told.map(|told| String::from_utf8(told).unwrap()).as_deref(), expected, "{body}");
        }
    }

    #[test]
    fn what_is_listed_is_fetched_from_wherever_it_is_and_the_rest_from_the_public_only() {
        let policy =
            |fetch| Policy { fetch, hosts: vec![Origin::written("http://127.0.0.1:81").unwrap()], ..Policy::default() };
        let cases = [
            (Fetch::Public, "https://a.example/x", Ok(Network::Public)),
            (Fetch::Public, "http://127.0.0.1:81/x", Ok(Network::Any)),
            (Fetch::Public, "http://127.0.0.1/x", Err(())),
            (Fetch::Listed, "http://127.0.0.1:81/x", Ok(Network::Any)),
            (Fetch::Listed, "https://a.example/x", Err(())),
            (Fetch::Never, "https://a.example/x", Err(())),
            (Fetch::Never, "http://127.0.0.1:81/x", Err(())),
        ];
        for (fetch, url, expected) in cases {
            assert_eq!(policy(fetch).permit(url).map_err(|_| ()), expected, "{fetch:?} {url}");
        }
    }
}
