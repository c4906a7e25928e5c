//! `gulou schema`: the format of both files, for editors.

use std::io::{self, Write as _};

use clap::{Args, ValueEnum};

use super::exit;
use crate::config::{DAEMON_SCHEMA, FUNCTION_SCHEMA};

/// Print the JSON Schema of a function folder's config.json, or of the daemon config
///
/// Editors complete and check a file that names its schema: `"$schema": "../../function.schema.json"`.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  gulou schema function > function.schema.json")]
pub(super) struct Schema {
    /// Of which file
    #[arg(value_enum)]
    of: File,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum File {
    Function,
    Daemon,
}

impl Schema {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        let text = match self.of {
            File::Function => FUNCTION_SCHEMA,
            File::Daemon => DAEMON_SCHEMA,
        };
        io::stdout().write_all(text.as_bytes())?;
        Ok(exit::OK)
    }
}
