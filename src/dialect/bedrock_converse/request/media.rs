//! Images, sounds, films and documents: each needs a format by its own name, and lies in the request or in S3.

use super::body::{Block, Document, ResultBlock, Source, Typed};
use crate::chat::{self, Content};

/// What was sent so far.
#[derive(Default)]
pub(super) struct Media {
    /// Two documents of one name are refused.
    names: Vec<String>,
}

/// Formats by the second part of a media type, and where that does not say it, by the whole.
///
/// Source: `ImageFormat`, `AudioFormat`, `VideoFormat` and `DocumentFormat` of the service model, read 2026-11.
const IMAGES: &[(&str, &str)] = &[("png", "png"), ("jpeg", "jpeg"), ("jpg", "jpeg"), ("gif", "gif"), ("webp", "webp")];
const SOUNDS: &[(&str, &str)] = &[
    ("mpeg", "mp3"),
    ("mp3", "mp3"),
    ("wav", "wav"),
    ("x-wav", "wav"),
    ("ogg", "ogg"),
    ("opus", "opus"),
    ("aac", "aac"),
    ("flac", "flac"),
    ("mp4", "mp4"),
    ("m4a", "m4a"),
    ("webm", "webm"),
];
const FILMS: &[(&str, &str)] = &[
    ("mp4", "mp4"),
    ("quicktime", "mov"),
    ("x-matroska", "mkv"),
    ("webm", "webm"),
    ("x-flv", "flv"),
    ("mpeg", "mpeg"),
    ("x-ms-wmv", "wmv"),
    ("3gpp", "three_gp"),
];
const DOCUMENTS: &[(&str, &str)] = &[
    ("pdf", "pdf"),
    ("csv", "csv"),
    ("html", "html"),
    ("markdown", "md"),
    ("msword", "doc"),
    ("vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
    ("vnd.ms-excel", "xls"),
    ("vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    ("plain", "txt"),
    ("json", "txt"),
];

const NAME_CHARS_MAX: usize = 200;

impl Media {
    /// `None` where Converse has no place for it.
    pub(super) fn block<'a>(&mut self, content: &'a Content) -> Option<Block<'a>> {
        Some(match content {
            Content::Image(media) => Block::Image(typed(media, IMAGES)?),
            Content::Audio(media) => Block::Audio(typed(media, SOUNDS)?),
            Content::Video(media) => Block::Video(typed(media, FILMS)?),
            Content::Document { media, name } => Block::Document(self.document(media, name.as_deref())?),
            _ => return None,
        })
    }

    /// The same inside a tool's result.
    pub(super) fn result<'a>(&mut self, content: &'a Content) -> Option<ResultBlock<'a>> {
        Some(match content {
            Content::Image(media) => ResultBlock::Image(typed(media, IMAGES)?),
            Content::Video(media) => ResultBlock::Video(typed(media, FILMS)?),
            Content::Document { media, name } => ResultBlock::Document(self.document(media, name.as_deref())?),
            _ => return None,
        })
    }

    fn document<'a>(&mut self, media: &'a chat::Media, name: Option<&str>) -> Option<Document<'a>> {
        let Typed { format, source } = typed(media, DOCUMENTS).or_else(|| text(media))?;
        Some(Document { format, name: self.name(name), source })
    }

    /// "Alphanumeric characters, whitespace characters (no more than one in a row), hyphens, parentheses, square
    /// brackets."
    fn name(&mut self, name: Option<&str>) -> String {
        let fits = |c: char| if c.is_ascii_alphanumeric() || "-()[]".contains(c) { c } else { ' ' };
        let text: String = name.unwrap_or_default().chars().map(fits).take(NAME_CHARS_MAX - 10).collect();
        let words: Vec<&str> = text.split_whitespace().collect();
        let plain = if words.is_empty() { "document".to_owned() } else { words.join(" ") };
        let mut free = plain.clone();
        let mut count = 1;
        while self.names.contains(&free) {
            count += 1;
            free = format!("{plain} ({count})");
        }
        self.names.push(free.clone());
        free
    }
}

fn typed<'a>(media: &'a chat::Media, formats: &[(&str, &'static str)]) -> Option<Typed<'a>> {
    let (kind, source) = match media {
        chat::Media::Inline { media_type, data } => {
            let (_, kind) = media_type.split(';').next()?.trim().split_once('/')?;
            (kind, Source::Bytes(data))
        }
        // Bedrock fetches from no other place, and it was not fetched for it.
        chat::Media::Url(uri) if uri.starts_with("s3://") => (uri.rsplit_once('.')?.1, Source::S3Location { uri }),
        chat::Media::Url(_) => return None,
    };
    let named = |(name, format): &&(&str, &'static str)| kind.eq_ignore_ascii_case(name) || kind == *format;
    let format = formats.iter().find(named).map(|(_, format)| *format)?;
    Some(Typed { format, source })
}

/// Any other text, such as a program.
fn text(media: &chat::Media) -> Option<Typed<'_>> {
    match media {
        chat::Media::Inline { media_type, data } if media_type.starts_with("text/") => {
            Some(Typed { format: "txt", source: Source::Bytes(data) })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inline(media_type: &str) -> chat::Media {
        chat::Media::Inline { media_type: media_type.to_owned(), data: "eA==".to_owned() }
    }

    #[test]
    fn a_media_type_becomes_a_format() {
        let cases = [
            (IMAGES, inline("image/jpeg"), Some("jpeg")),
            (IMAGES, inline("image/PNG; q=1"), Some("png")),
            (IMAGES, inline("image/tiff"), None),
            (IMAGES, chat::Media::Url("https://example.com/a.png".into()), None),
            (IMAGES, chat::Media::Url("s3://bucket/a.webp".into()), Some("webp")),
            (FILMS, chat::Media::Url("s3://bucket/a.mov".into()), Some("mov")),
            (FILMS, inline("video/3gpp"), Some("three_gp")),
            (SOUNDS, inline("audio/mpeg"), Some("mp3")),
            (DOCUMENTS, inline("application/pdf"), Some("pdf")),
            (DOCUMENTS, inline("text/plain; charset=utf-8"), Some("txt")),
            (DOCUMENTS, inline("text/markdown"), Some("md")),
            (DOCUMENTS, inline("nonsense"), None),
        ];
        for (formats, media, expected) in cases {
            assert_eq!(typed(&media, formats).map(|typed| typed.format), expected, "{media:?}");
        }
    }

    #[test]
    fn documents_have_names_that_fit_and_differ() {
        let mut media = Media::default();
        let names: Vec<String> = [Some("a_b  c.pdf"), Some("a b c pdf"), None, Some("é"), Some("x (1) [2]-3")]
            .map(|name| media.name(name))
            .into();
        assert_eq!(names, ["a b c pdf", "a b c pdf (2)", "document", "document (2)", "x (1) [2]-3"]);
        assert!(media.name(Some(&"x".repeat(500))).len() <= NAME_CHARS_MAX);
        let format = |media_type| Media::default().document(&inline(media_type), None).map(|document| document.format);
        assert_eq!((format("text/x-python"), format("image/png")), (Some("txt"), None));
    }
}
