//! Files that a mail encloses.

use std::borrow::Cow;
use std::iter;
use std::path::Path;
use std::sync::Arc;

use mail_builder::headers::content_type::ContentType;
use mail_builder::mime::{BodyPart, MimePart};

/// A file, ready to go into mails: it is encoded once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    name: String,
    kind: Cow<'static, str>,
    bytes: Arc<[u8]>,
    /// In base64, in lines.
    encoded: Arc<str>,
}

impl Attachment {
    /// Of the name `name`, whose end says of what kind it is.
    pub fn new(name: &str, bytes: Arc<[u8]>) -> Self {
        let encoded = base64(&bytes).into();
        Self { name: name.to_owned(), kind: media_type(name).unwrap_or(BYTES).into(), bytes, encoded }
    }

    /// Reads a file of at most `most` bytes. The reason, when it cannot be attached.
    pub async fn read(path: &Path, most: u64) -> Result<Self, String> {
        let shown = path.display();
        let refuse = |error: std::io::Error| format!("could not read {shown}: {error}");
        let size = tokio::fs::metadata(path).await.map_err(refuse)?.len();
        if size > most {
            return Err(format!("{shown} has {size} bytes, and {most} are the limit"));
        }
        let bytes = tokio::fs::read(path).await.map_err(refuse)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Ok(Self::new(&name, bytes.into()))
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its media type.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Its content.
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// The same file under another name, whose end says of what kind it is, if it says anything.
    #[must_use]
    pub(super) fn called(self, name: &str) -> Self {
        let kind = media_type(name).map_or(self.kind, Cow::Borrowed);
        Self { name: name.to_owned(), kind, ..self }
    }

    /// The same file as of another kind.
    #[must_use]
    pub(super) fn of_kind(self, kind: &str) -> Self {
        Self { kind: kind.to_owned().into(), ..self }
    }

    /// For people: `report.pdf (12345 bytes)`.
    pub(super) fn shown(&self) -> String {
        format!("{} ({} bytes)", self.name, self.bytes.len())
    }

    fn part<'m>(&'m self, disposition: &'static str) -> MimePart<'m> {
        let content = BodyPart::Binary(Cow::Borrowed(self.encoded.as_bytes()));
        let part = MimePart::new(ContentType::new(&*self.kind), content).transfer_encoding("base64");
        let disposition = ContentType::new(disposition).attribute("filename", self.name.as_str());
        part.header("Content-Disposition", disposition)
    }
}

/// The texts of a mail with its files: `mixed(related(alternative(text, html), images), attachments)`, without the layers
/// that would have one part (RFC 2046, RFC 2387).
pub(super) fn body<'m>(
    text: Option<MimePart<'m>>,
    html: Option<MimePart<'m>>,
    inline: &'m [(String, Attachment)],
    attachments: &'m [Attachment],
) -> MimePart<'m> {
    let root = if text.is_some() && html.is_some() { "multipart/alternative" } else { "text/html" };
    let mut body = layer(ContentType::new("multipart/alternative"), text.into_iter().chain(html));
    if !inline.is_empty() {
        let images = inline.iter().map(|(name, image)| image.part("inline").cid(name.as_str()));
        let related = ContentType::new("multipart/related").attribute("type", root);
        body = layer(related, iter::once(body).chain(images));
    }
    let attachments = attachments.iter().map(|file| file.part("attachment"));
    layer(ContentType::new("multipart/mixed"), iter::once(body).chain(attachments))
}

fn layer<'m>(kind: ContentType<'m>, parts: impl Iterator<Item = MimePart<'m>>) -> MimePart<'m> {
    let mut parts: Vec<MimePart<'m>> = parts.collect();
    match parts.len() {
        1 => parts.remove(0),
        _ => MimePart::new(kind, BodyPart::Multipart(parts)),
    }
}

/// The lines that the builder makes of bytes, without its headers.
fn base64(bytes: &[u8]) -> String {
    let mut part = Vec::new();
    MimePart::new(ContentType::new(BYTES), bytes).write_part(&mut part);
    let lines = memchr::memmem::find(&part, b"\r\n\r\n").map_or(part.len(), |at| at + 4);
    String::from_utf8(part.split_off(lines)).unwrap_or_default()
}

/// What is of no known kind.
const BYTES: &str = "application/octet-stream";

/// By the end of the name.
fn media_type(name: &str) -> Option<&'static str> {
    const KINDS: [(&str, &str); 26] = [
        ("pdf", "application/pdf"),
        ("png", "image/png"),
        ("jpg", "image/jpeg"),
        ("jpeg", "image/jpeg"),
        ("gif", "image/gif"),
        ("webp", "image/webp"),
        ("svg", "image/svg+xml"),
        ("bmp", "image/bmp"),
        ("ico", "image/x-icon"),
        ("csv", "text/csv"),
        ("txt", "text/plain"),
        ("html", "text/html"),
        ("md", "text/markdown"),
        ("ics", "text/calendar"),
        ("vcf", "text/vcard"),
        ("xml", "application/xml"),
        ("json", "application/json"),
        ("zip", "application/zip"),
        ("gz", "application/gzip"),
        ("xls", "application/vnd.ms-excel"),
        ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("doc", "application/msword"),
        ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("ppt", "application/vnd.ms-powerpoint"),
        ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
        ("mp3", "audio/mpeg"),
    ];
    let end = name.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase()).unwrap_or_default();
    KINDS.iter().find(|(known, _)| *known == end).map(|(_, kind)| *kind)
}
