//! What a mail has besides its texts, made ready: files that are the same for all mails are encoded once, templates of
//! the others are filled in for each mail.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use super::files::Attachment;
use crate::action::template::{Context, Place, RenderError, Templates};
use crate::folder::{FileFault, read_within};
use crate::settings::{AttachedFile, AttachmentSettings, MOST_ENCLOSED, MailExtras, TemplateSource};

/// A template with the name that it is compiled under.
pub(super) type Named = (Cow<'static, str>, Place, TemplateSource);

/// Of all mails of an action.
#[derive(Debug)]
pub(super) struct Extras {
    dir: PathBuf,
    attachments: Vec<Enclosed>,
    /// With the names behind `cid:`.
    inline: Vec<(String, Enclosed)>,
    /// Names, and those of their templates.
    headers: Vec<(String, String)>,
}

/// Of one mail.
#[derive(Debug, Default)]
pub(super) struct Filled {
    pub(super) attachments: Vec<Attachment>,
    /// With the names behind `cid:`.
    pub(super) inline: Vec<(String, Attachment)>,
    pub(super) headers: Vec<(String, String)>,
}

#[derive(Debug)]
struct Enclosed {
    file: Source,
    /// The template of its name in the mail.
    name: Option<String>,
    kind: Option<String>,
}

#[derive(Debug)]
enum Source {
    Fixed(Attachment),
    /// The template of its path.
    Template(String),
}

impl Extras {
    /// None: a mail has nothing besides its texts. Adds the templates to `sources`.
    pub(super) fn new(settings: &MailExtras, sources: &mut Vec<Named>) -> Option<Box<Self>> {
        let MailExtras { dir, attachments, inline, headers } = settings;
        if attachments.is_empty() && inline.is_empty() && headers.is_empty() {
            return None;
        }
        let mut add = |key: String, source: &TemplateSource| {
            sources.push((key.clone().into(), Place::Text, source.clone()));
            key
        };
        let mut enclosed = |key: &str, settings: &AttachmentSettings| Enclosed {
            file: match &settings.file {
                AttachedFile::Fixed { name, bytes } => {
                    Source::Fixed(Attachment::new(name, Arc::clone(bytes)))
                }
                AttachedFile::Template(source) => Source::Template(add(format!("{key}.file"), source)),
            },
            name: settings.name.as_ref().map(|source| add(format!("{key}.name"), source)),
            kind: settings.kind.clone(),
        };
        let attachments = attachments.iter().enumerate();
        let attachments =
            attachments.map(|(at, settings)| enclosed(&format!("attachments[{at}]"), settings)).collect();
        let inline = inline.iter();
        let inline = inline
            .map(|(name, settings)| (name.clone(), enclosed(&format!("inline.{name}"), settings)))
            .collect();
        let headers = headers
            .iter()
            .map(|(name, source)| (name.clone(), add(format!("headers.{name}"), source)))
            .collect();
        Some(Box::new(Self { dir: dir.clone(), attachments, inline, headers }))
    }

    /// Whether files are read for each mail.
    pub(super) fn reads_files(&self) -> bool {
        let inline = self.inline.iter().map(|(_, file)| file);
        self.attachments.iter().chain(inline).any(|file| matches!(file.file, Source::Template(_)))
    }

    /// Those of the mail that `context` fills. Blocks while it reads files.
    pub(super) fn fill(&self, templates: &Templates, context: &Context) -> Result<Filled, RenderError> {
        let file = |enclosed: &Enclosed| self.file(enclosed, templates, context);
        Ok(Filled {
            attachments: self.attachments.iter().map(file).collect::<Result<_, _>>()?,
            inline: self
                .inline
                .iter()
                .map(|(name, enclosed)| Ok((name.clone(), file(enclosed)?)))
                .collect::<Result<_, RenderError>>()?,
            headers: self
                .headers
                .iter()
                .filter_map(|(name, key)| header(name, templates.render(key, context)).transpose())
                .collect::<Result<_, _>>()?,
        })
    }

    fn file(
        &self,
        enclosed: &Enclosed,
        templates: &Templates,
        context: &Context,
    ) -> Result<Attachment, RenderError> {
        let mut attachment = match &enclosed.file {
            Source::Fixed(attachment) => attachment.clone(),
            Source::Template(key) => {
                let path = templates.render(key, context)?;
                let path = path.trim();
                let bytes =
                    read_within(&self.dir, path, MOST_ENCLOSED).map_err(|fault| unread(key, &fault))?;
                let name = path.rsplit('/').next().unwrap_or_default();
                Attachment::new(name, bytes.into())
            }
        };
        if let Some(key) = &enclosed.name {
            let name = templates.render(key, context)?;
            let name = name.trim();
            if name.is_empty() || name.contains(|c: char| c.is_control() || matches!(c, '/' | '\\')) {
                let reason = format!("{name:?} is no name of a file");
                return Err(RenderError::Header { header: key.clone().into(), reason });
            }
            attachment = attachment.called(name);
        }
        Ok(match &enclosed.kind {
            Some(kind) => attachment.of_kind(kind),
            None => attachment,
        })
    }
}

fn unread(key: &str, fault: &FileFault) -> RenderError {
    let (header, reason) = (key.to_owned().into(), fault.to_string());
    if fault.may_pass() {
        RenderError::File { header, reason }
    } else {
        RenderError::Header { header, reason }
    }
}

/// A header with its value; none when the value is empty.
fn header(name: &str, value: Result<String, RenderError>) -> Result<Option<(String, String)>, RenderError> {
    let value = value?;
    let value = value.trim();
    if value.contains(char::is_control) {
        let reason = format!("{value:?} has a line end or another control character in it");
        return Err(RenderError::Header { header: name.to_owned().into(), reason });
    }
    // An encoded word that somebody wrote by hand stays text.
    Ok((!value.is_empty()).then(|| (name.to_owned(), value.replace("=?", "= ?"))))
}
