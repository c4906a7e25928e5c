//! A mail: its templates, its files, its headers.

use std::path::PathBuf;
use std::sync::Arc;

use super::TemplateSource;

/// A mail's templates, as text. Files have been read.
#[derive(Clone, Debug, PartialEq)]
pub struct MailSettings {
    /// A name in [`super::Settings::mail`].
    pub via: String,
    /// `From`, if not the transport's.
    pub from: Option<String>,
    /// Template of the recipient: one address, or `name <address>`.
    pub to: String,
    /// Template of `Reply-To`.
    pub reply_to: Option<String>,
    /// Template of the subject.
    pub subject: String,
    /// Template of the plain text part, and the file it came from.
    pub text: Option<TemplateSource>,
    /// Template of the HTML part, and the file it came from.
    pub html: Option<TemplateSource>,
    /// Template of the HTTPS address of `List-Unsubscribe` (RFC 8058 one-click).
    pub list_unsubscribe: Option<String>,
    /// What it has besides.
    pub extras: MailExtras,
}

/// Bytes of all files of a mail: what most servers take, with room for their encoding.
pub const MOST_ENCLOSED: u64 = 10 << 20;

/// What a mail has besides its texts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MailExtras {
    /// The folder that the paths of files start at, and never leave.
    pub dir: PathBuf,
    /// Files that are enclosed.
    pub attachments: Vec<AttachmentSettings>,
    /// Images that the HTML shows, by the names behind its `cid:`.
    pub inline: Vec<(String, AttachmentSettings)>,
    /// Headers, and templates of their values.
    pub headers: Vec<(String, TemplateSource)>,
}

/// A file that goes with a mail.
#[derive(Clone, Debug, PartialEq)]
pub struct AttachmentSettings {
    /// Which.
    pub file: AttachedFile,
    /// Template of what it is called in the mail; none: as the file.
    pub name: Option<TemplateSource>,
    /// Its media type; none: what the end of its name says.
    pub kind: Option<String>,
}

/// A file, or how it is found.
#[derive(Clone, Debug, PartialEq)]
pub enum AttachedFile {
    /// The same for every mail; it has been read.
    Fixed {
        /// What it is called.
        name: String,
        /// Its content.
        bytes: Arc<[u8]>,
    },
    /// The template of a path, of a file that is read for each mail.
    Template(TemplateSource),
}
