//! `gulou init`: a new function, ready to be changed.

use std::fs;
use std::io::{self, Write as _};

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::exit;
use super::folders::{Place, PlaceArg, create};
use crate::config::name_problem;

/// Make a new function folder from a template
///
/// A daemon that runs takes it over at once: the timers of templates that would reach somebody are switched off.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  gulou init greeter
  gulou init nightly-clean-up --template sql --config config.example.json")]
pub(super) struct Init {
    /// The new function's name: at most 60 of a-z A-Z 0-9 - _, starting with a letter
    #[arg(value_name = "NAME")]
    name: String,
    /// What it is made of
    #[arg(short, long, value_enum, default_value_t)]
    template: Template,
    #[command(flatten)]
    place: PlaceArg,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Template {
    /// A cloud function
    #[default]
    Nodejs,
    /// A cloud function in Python
    Python,
    /// A program
    Command,
    /// A request
    Http,
    /// Statements in a database
    Sql,
    /// A mail for each row of a query
    Mail,
}

/// A file's name and its text.
type File = (&'static str, &'static str);

macro_rules! file {
    ($template:literal, $name:literal) => {
        ($name, include_str!(concat!("../../templates/", $template, "/", $name)))
    };
}

impl Template {
    const fn files(self) -> [File; 2] {
        match self {
            Self::Nodejs => [file!("nodejs", "config.json"), file!("nodejs", "index.js")],
            Self::Python => [file!("python", "config.json"), file!("python", "index.py")],
            Self::Command => [file!("command", "config.json"), file!("command", "run.sh")],
            Self::Http => [file!("http", "config.json"), file!("http", "body.json")],
            Self::Sql => [file!("sql", "config.json"), file!("sql", "statements.sql")],
            Self::Mail => [file!("mail", "config.json"), file!("mail", "mail.txt")],
        }
    }

    /// What is to be done before it does something useful.
    const fn advice(self) -> &'static str {
        match self {
            Self::Nodejs => "change index.js, and the timer in config.json",
            Self::Python => "change index.py, and the timer in config.json",
            Self::Command => "change run.sh, and the timer in config.json",
            Self::Http => {
                "write your URL into config.json and your words into body.json, then say `\"enabled\": true`"
            }
            Self::Sql => "write your statements into statements.sql",
            Self::Mail => {
                "write your query into config.json and your words into mail.txt, then say `\"enabled\": true`"
            }
        }
    }
}

impl Init {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        let name = &self.name;
        if let Some(problem) = name_problem(name) {
            eprintln!("error: `{name}` cannot name a function: {problem}");
            return Ok(exit::USAGE);
        }
        let place = match self.place.place() {
            Ok(place) => place,
            Err(code) => return Ok(code),
        };
        let files = match self.filled(&place) {
            Ok(files) => files,
            Err(message) => {
                eprintln!("error: {message}");
                return Ok(exit::FAILED);
            }
        };
        let folder = place.folder.join(name);
        let written = create(&place.folder, name, |folder| {
            files.iter().try_for_each(|(name, text)| fs::write(folder.join(name), text))
        });
        match written {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                eprintln!("error: {} exists, and is left as it is", folder.display());
                return Ok(exit::FAILED);
            }
            other => other.with_context(|| format!("could not write {}", folder.display()))?,
        }
        let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
        let config = self.place.config().display();
        writeln!(
            io::stdout().lock(),
            "wrote {} ({})\nnext: {}\n  gulou check --config {config}\n  gulou dry-run --config {config} {name}\n  \
             gulou fire --config {config} {name}",
            folder.display(),
            names.join(", "),
            self.template.advice(),
        )?;
        Ok(exit::OK)
    }

    /// The template's files, with the names of what the daemon config has.
    fn filled(&self, place: &Place) -> Result<Vec<(&'static str, String)>, String> {
        let first = |kind: &str, section: &str, names: &[String], text: &str, mark: &str| {
            if !text.contains(mark) {
                return Ok::<String, String>(text.to_owned());
            }
            let name = names.first().ok_or_else(|| {
                format!(
                    "this template needs a {kind}: add one to `{section}` in {}",
                    self.place.config().display()
                )
            })?;
            Ok(text.replace(mark, name))
        };
        let fill = |(name, text): File| {
            let text = text.replace("@NAME@", &self.name);
            let text = first("database", "databases", &place.databases, &text, "@DATABASE@")?;
            let text = first("mail transport", "mail", &place.mail, &text, "@MAIL@")?;
            Ok((name, text))
        };
        self.template.files().into_iter().map(fill).collect()
    }
}
