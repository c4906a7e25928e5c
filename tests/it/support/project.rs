//! A project folder for one test: a daemon config, `triggers/`, and whatever else it needs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::process::{Ran, run};
use super::{Daemon, copy_tree, repository};

/// A folder that goes with the test.
#[derive(Debug)]
pub(crate) struct Project {
    dir: TempDir,
}

impl Project {
    /// With nothing in it.
    pub(crate) fn empty() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// With `config` as `config.json` and no functions.
    pub(crate) fn new(config: &Value) -> Self {
        let project = Self::empty();
        project.write("config.json", &pretty(config));
        fs::create_dir(project.path("triggers")).unwrap();
        project
    }

    /// What a newcomer has: copies of `config.example.json`, `triggers/` and `examples/`.
    pub(crate) fn samples() -> Self {
        let project = Self::empty();
        for name in ["config.example.json", "triggers", "examples"] {
            let from = repository().join(name);
            if from.exists() {
                copy_tree(&from, &project.path(name));
            }
        }
        project
    }

    /// Writes a file and the folders above it; `name` is relative to the project.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }

    /// Writes `triggers/<name>/config.json`.
    pub(crate) fn function(&self, name: &str, config: &Value) {
        self.write(&format!("triggers/{name}/config.json"), &pretty(config));
    }

    /// `name` within the project.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The built program, to be run in the project's folder.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gulou"));
        command.args(args).current_dir(self.dir.path()).env_remove("NOTIFY_SOCKET").env("NO_COLOR", "1");
        command
    }

    /// Runs the program to its end.
    #[track_caller]
    pub(crate) fn gulou(&self, args: &[&str]) -> Ran {
        run(&mut self.command(args))
    }

    /// Starts `gulou serve --config <config>` and waits until it is ready.
    #[track_caller]
    pub(crate) fn serve(&self, config: &str) -> Daemon {
        Daemon::start(self.command(&["serve", "--config", config]))
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}
