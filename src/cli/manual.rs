//! `gulou completions` and `gulou man`: what shells and `man` are told of the command line.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Cli, exit};

/// Print the completions of a shell
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  gulou completions bash > ~/.local/share/bash-completion/completions/gulou
  gulou completions zsh > ~/.zfunc/_gulou")]
pub(super) struct Completions {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "gulou", &mut text);
        io::stdout().write_all(&text)?;
        Ok(exit::OK)
    }
}

/// Print the manual page, or write those of all commands into a folder
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  gulou man | man -l -
  gulou man --to ~/.local/share/man/man1")]
pub(super) struct Manual {
    /// The folder that the pages go to
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

impl Manual {
    pub(super) fn run(self) -> anyhow::Result<u8> {
        match self.to {
            None => Man::new(Cli::command()).render(&mut io::stdout())?,
            Some(to) => {
                fs::create_dir_all(&to).with_context(|| format!("could not make {}", to.display()))?;
                clap_mangen::generate_to(Cli::command(), &to)
                    .with_context(|| format!("could not write into {}", to.display()))?;
            }
        }
        Ok(exit::OK)
    }
}
