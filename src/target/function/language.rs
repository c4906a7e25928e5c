//! What differs between the languages of functions, as far as we have to know it.

use std::ffi::OsString;
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use command_fds::FdMapping;
use rustix::fs::{MemfdFlags, memfd_create};

use crate::settings::{CodeSettings, Runtime, Secret};
use crate::target::process::find_program;

/// A language of functions.
#[derive(Debug)]
pub struct Language {
    /// For people.
    pub name: &'static str,
    /// For programs.
    pub word: &'static str,
    /// What runs it.
    program: &'static str,
    /// How to get it.
    install: &'static str,
    /// Of a handler's file, in the order in which they are tried.
    extensions: &'static [&'static str],
    /// What user code calls to end the process.
    pub exit: &'static str,
}

const NODE_JS: Language = Language {
    name: "Node.js",
    word: "nodejs",
    program: "node",
    install: "Debian, Ubuntu: `apt install nodejs`; others: https://nodejs.org",
    extensions: &["js", "mjs", "cjs"],
    exit: "process.exit",
};

const PYTHON: Language = Language {
    name: "Python",
    word: "python",
    program: "python3",
    install: "Debian, Ubuntu: `apt install python3`; others: https://www.python.org",
    extensions: &["py"],
    exit: "sys.exit",
};

/// Where Python finds its bootstrap: one above the two of the conversation.
const SCRIPT: i32 = 5;

/// The language of a function.
pub const fn of(settings: &CodeSettings) -> &'static Language {
    match settings.runtime {
        Runtime::NodeJs => &NODE_JS,
        Runtime::Python => &PYTHON,
    }
}

impl Language {
    /// The runtime's program, if it is installed.
    pub fn program(&self, settings: &CodeSettings) -> Option<PathBuf> {
        find_program(self.program, &settings.dir, settings.env.get("PATH").map(Secret::reveal))
    }

    /// The file with the handler, if it is there.
    pub fn handler_file(&self, settings: &CodeSettings) -> Option<PathBuf> {
        let (stem, _) = settings.handler.rsplit_once('.')?;
        self.extensions
            .iter()
            .map(|extension| settings.dir.join(format!("{stem}.{extension}")))
            .find(|file| file.is_file())
    }

    /// What keeps the function from running, as far as one can tell without running it.
    pub fn problem(&self, settings: &CodeSettings) -> Option<String> {
        let Self { name, program, install, .. } = self;
        if self.program(settings).is_none() {
            return Some(format!(
                "{name} is not installed: there is no `{program}` on the PATH; install it ({install}), or set PATH \
                 in the function's `env`"
            ));
        }
        if self.handler_file(settings).is_none() {
            let CodeSettings { dir, handler, .. } = settings;
            return Some(format!(
                "the handler `{handler}` has no file: {} needs {}",
                dir.display(),
                self.wanted(stem(handler))
            ));
        }
        None
    }

    /// `index.js, index.mjs or index.cjs`.
    fn wanted(&self, stem: &str) -> String {
        let names: Vec<String> =
            self.extensions.iter().map(|extension| format!("{stem}.{extension}")).collect();
        match names.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
            None => String::new(),
        }
    }
}

/// What makes a language's program a worker.
pub struct Bootstrap {
    /// Stand before a worker's own.
    pub arguments: Vec<OsString>,
    /// What it finds at another descriptor.
    pub script: Option<FdMapping>,
}

/// What makes the program of `settings` a worker.
pub fn bootstrap(settings: &CodeSettings) -> io::Result<Bootstrap> {
    // By argument or descriptor, not by file: nothing to clean up, nothing to tamper with.
    match settings.runtime {
        // Gives the process a shorter title itself.
        Runtime::NodeJs => {
            let code = ["-e", include_str!("bootstrap.cjs"), "--"].map(OsString::from);
            let arguments = heap_limit(settings).into_iter().chain(code).collect();
            Ok(Bootstrap { arguments, script: None })
        }
        // Python cannot, and its arguments show in every list of processes.
        Runtime::Python => {
            let loader =
                format!("exec(compile(open({SCRIPT}, encoding='utf-8').read(), 'gulou', 'exec'), {{}})");
            let parent_fd = in_memory(include_str!("bootstrap.py"))?;
            let script = Some(FdMapping { parent_fd, child_fd: SCRIPT });
            Ok(Bootstrap { arguments: ["-c".into(), loader.into()].into(), script })
        }
    }
}

/// Node.js goes by the machine's memory when it decides how much garbage to keep. With less than the function's memory it
/// collects in time, and says that its heap is full before it has to be ended from outside.
fn heap_limit(settings: &CodeSettings) -> Option<OsString> {
    let own = settings
        .env
        .get("NODE_OPTIONS")
        .map(|value| value.reveal().to_owned())
        .or_else(|| std::env::var("NODE_OPTIONS").ok());
    let says = |options: String| options.replace('_', "-").contains("--max-old-space-size");
    let heap = (u64::from(settings.memory_mb) * 3 / 4).max(1);
    (!own.is_some_and(says)).then(|| format!("--max-old-space-size={heap}").into())
}

fn in_memory(text: &str) -> io::Result<OwnedFd> {
    let mut file = std::fs::File::from(memfd_create("bootstrap", MemfdFlags::CLOEXEC)?);
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file.into())
}

fn stem(handler: &str) -> &str {
    handler.rsplit_once('.').map_or(handler, |(stem, _)| stem)
}
