//! Templates over rows: compiled once, strict, escaped for where they stand.
//!
//! A column that is missing or NULL fails the rendering and is named, unless the template says
//! what stands in for it (`default`, or an `if` that asks). Knows rows and nothing of the actions
//! that use the text.

mod context;
mod escape;
mod moment;
mod values;

use std::borrow::Cow;

use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};

pub(crate) use context::Context;

use context::{Miss, Of};

use super::Outcome;
use crate::settings::TemplateSource;

/// Where a template's text ends up, and so how values are escaped in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Plain text and header values: values as they are. Who builds headers cleans them.
    Text,
    /// HTML: `< > & " '` become entities, `| safe` lets markup through.
    Html,
    /// A URL: everything but unreserved characters is percent-encoded, `| safe` lets a URL through.
    Url,
    /// JSON: texts are escaped for the inside of a JSON string, `| tojson` writes any value whole.
    Json,
}

/// Why a template could not be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{origin}:{line}: {message}")]
pub struct TemplateError {
    /// The file, or the path of the inline text.
    pub origin: String,
    /// Line in it, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

/// Why a row could not be rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The row has no value where the template needs one.
    #[error(
        "column \"{column}\" is {state} ({origin} line {line}); fill it, or write {{{{ {column} | default(\"…\") }}}}"
    )]
    Column {
        /// The column.
        column: String,
        /// `NULL` or `missing`.
        state: &'static str,
        /// The file, or the path of the inline text.
        origin: String,
        /// Line in it, from 1.
        line: usize,
    },
    /// The template asks for something that cannot be done with this row's values.
    #[error("{origin} line {line}: {message}")]
    Template {
        /// The file, or the path of the inline text.
        origin: String,
        /// Line in it, from 1.
        line: usize,
        /// What is wrong.
        message: String,
        /// The fault is the template's own: every row fails alike.
        every_row: bool,
    },
    /// There is no value where the template needs one.
    #[error(
        "there is no value `{name}` ({origin} line {line}); mend the name, or write {{{{ {name} | default(\"…\") }}}}"
    )]
    Value {
        /// The path of the value, as in `event.Message`.
        name: String,
        /// The file, or the path of the inline text.
        origin: String,
        /// Line in it, from 1.
        line: usize,
    },
    /// A file could not be read this time.
    #[error("{header}: {reason}")]
    File {
        /// What it was meant for.
        header: Cow<'static, str>,
        /// The system's reason.
        reason: String,
    },
    /// An address, a URL or a header is not one.
    #[error("{header}: {reason}")]
    Header {
        /// The header it was meant for.
        header: Cow<'static, str>,
        /// What is wrong with it.
        reason: String,
    },
}

impl From<RenderError> for Outcome {
    /// Final for the row; a halt when every row would fare alike, because the template names a
    /// filter or a column that does not exist. What the system refuses for now is tried again.
    fn from(error: RenderError) -> Self {
        let reason = error.to_string();
        match error {
            RenderError::Column { state: context::MISSING, .. }
            | RenderError::Template { every_row: true, .. } => Self::Halt { reason },
            RenderError::File { .. } => Self::Retry { reason },
            _ => Self::Failed { reason },
        }
    }
}

/// The compiled templates of one action.
#[derive(Debug)]
pub(crate) struct Templates {
    env: Environment<'static>,
    origins: Vec<(Cow<'static, str>, String)>,
}

impl Templates {
    /// Compiles `sources`: a name of the action's own choice, where the text stands, and the text.
    pub(crate) fn compile(
        sources: Vec<(impl Into<Cow<'static, str>>, Place, TemplateSource)>,
    ) -> Result<Self, TemplateError> {
        let sources: Vec<(Cow<'static, str>, _, _)> =
            sources.into_iter().map(|(name, place, source)| (name.into(), place, source)).collect();
        let mut env = Environment::new();
        env.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        if sources.iter().any(|(_, place, _)| matches!(place, Place::Url | Place::Json)) {
            env.set_formatter(escape::format);
        }
        env.add_filter("urlencode", escape::urlencode);
        let places: Vec<_> = sources.iter().map(|(name, place, _)| (name.clone(), *place)).collect();
        env.set_auto_escape_callback(move |name| {
            let place = places.iter().find(|(known, _)| *known == name).map(|(_, place)| *place);
            match place {
                Some(Place::Html) => AutoEscape::Html,
                Some(Place::Url) => escape::URL,
                Some(Place::Json) => escape::JSON,
                Some(Place::Text) | None => AutoEscape::None,
            }
        });
        let mut origins = Vec::with_capacity(sources.len());
        for (name, _, source) in sources {
            env.add_template_owned(name.clone(), source.text).map_err(|error| TemplateError {
                origin: source.origin.clone(),
                line: error.line().unwrap_or(1),
                message: message(&error),
            })?;
            origins.push((name, source.origin));
        }
        Ok(Self { env, origins })
    }

    /// Renders the template called `name`.
    pub(crate) fn render(&self, name: &str, context: &Context) -> Result<String, RenderError> {
        self.env
            .get_template(name)
            .and_then(|template| template.render(context.value()))
            .map_err(|error| self.explain(name, &error, context))
    }

    /// The same, or nothing when there is no template of that name.
    pub(crate) fn render_if_any(&self, name: &str, context: &Context) -> Result<Option<String>, RenderError> {
        let known = self.origins.iter().any(|(known, _)| *known == name);
        known.then(|| self.render(name, context)).transpose()
    }

    /// The variables that the templates take from outside, sorted, without those that every
    /// template has ([`Context::BUILT_IN`]).
    pub(crate) fn variables(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .env
            .templates()
            .flat_map(|(_, template)| template.undeclared_variables(false))
            .filter(|name| !Context::BUILT_IN.contains(&name.as_str()) && !self.is_global(name))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn is_global(&self, name: &str) -> bool {
        self.env.globals().any(|(global, _)| global == name)
    }

    fn explain(&self, name: &str, error: &minijinja::Error, context: &Context) -> RenderError {
        let origin = self
            .origins
            .iter()
            .find(|(known, _)| *known == name)
            .map_or_else(|| name.to_owned(), |(_, origin)| origin.clone());
        let line = error.line().unwrap_or(1);
        let missed = context.missed().filter(|missed| !self.is_global(&missed.name));
        match (error.kind(), missed) {
            (ErrorKind::UndefinedError, Some(Miss { name, of: Of::Row, state })) => {
                RenderError::Column { column: name, state, origin, line }
            }
            (ErrorKind::UndefinedError, Some(Miss { name, of: Of::Values, .. })) => {
                RenderError::Value { name, origin, line }
            }
            (kind, _) => RenderError::Template {
                origin,
                line,
                message: message(error),
                every_row: matches!(
                    kind,
                    ErrorKind::UnknownFilter
                        | ErrorKind::UnknownFunction
                        | ErrorKind::UnknownTest
                        | ErrorKind::UnknownMethod
                        | ErrorKind::MissingArgument
                        | ErrorKind::TooManyArguments
                ),
            },
        }
    }
}

/// The engine's message without its "(in name:line)", which is ours to say.
fn message(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

#[cfg(test)]
mod tests;
