//! What an exported file is called.

use std::path::{Component, Path, PathBuf};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::action::template::{Context, Place, RenderError, TemplateError, Templates};
use crate::settings::{ExportSettings, TemplateSource};

const FILE: &str = "file";

/// The template of a path.
#[derive(Debug)]
pub struct FileName {
    template: Templates,
    source: TemplateSource,
    dir: PathBuf,
}

impl FileName {
    /// Compiles the template. The error names the place, the line and what is wrong.
    pub fn new(settings: &ExportSettings) -> Result<Self, TemplateError> {
        let source = settings.file.clone();
        let template = Templates::compile(vec![(FILE, Place::Text, source.clone())])?;
        Ok(Self { template, source, dir: settings.dir.clone() })
    }

    /// The file for `values`, which the template sees beside `fire_time` and `now`.
    pub fn render(
        &self,
        values: &Map<String, Value>,
        fire_time: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<PathBuf, RenderError> {
        let text = self.template.render(FILE, &Context::values(values, fire_time, now))?;
        let path = Path::new(text.trim());
        let wrong =
            |reason: &str| RenderError::Header { header: FILE.into(), reason: format!("{text:?} {reason}") };
        if text.contains(char::is_control) {
            return Err(wrong("has a line end or another control character in it"));
        }
        // What stands in the template is the owner's word; what is filled in may be anybody's.
        let ups = |path: &Path| path.components().filter(|part| *part == Component::ParentDir).count();
        if ups(path) > ups(Path::new(&self.source.text)) {
            return Err(wrong("has `..` in it where a value was filled in"));
        }
        if path.is_absolute() && !Path::new(self.source.text.trim()).is_absolute() {
            return Err(wrong("begins with `/` where a value was filled in"));
        }
        match path.file_name() {
            Some(name) if !name.to_string_lossy().starts_with('.') => {
                let path = self.dir.join(path);
                Ok(std::path::absolute(&path).unwrap_or(path))
            }
            _ => Err(wrong("is no name of a file")),
        }
    }
}
