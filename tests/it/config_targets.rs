//! `target.function` and `target.command`, as they are read.

use chrono::{TimeZone, Utc};
use gulou::config::load;
use gulou::settings::{CodeSettings, CommandSettings, ResourceLimits, Runtime, TargetSettings, Variables};
use serde_json::{Value, json};

use crate::support::Project;

/// The target of a folder with `files`, or what is wrong with it.
fn read(files: &[&str], config: &Value) -> Result<TargetSettings, String> {
    let project = Project::new(&json!({}));
    for file in files {
        project.write(&format!("triggers/f/{file}"), "");
    }
    project.function("f", config);
    let now = Utc.with_ymd_and_hms(2026, 6, 1, 0, 0, 0).unwrap();
    match load(&project.path("config.json"), now) {
        Ok(mut loaded) => Ok(loaded.settings.functions.remove(0).target),
        Err(invalid) => Err(invalid.to_string()),
    }
}

#[track_caller]
fn code(files: &[&str], config: &Value) -> CodeSettings {
    match read(files, config) {
        Ok(TargetSettings::Function(code)) => code,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn command(config: &Value) -> CommandSettings {
    match read(&[], &json!({ "target": { "command": config } })) {
        Ok(TargetSettings::Command(command)) => command,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(files: &[&str], config: &Value, part: &str) {
    let problem = read(files, config).unwrap_err();
    assert!(problem.contains(part), "{problem}");
}

#[test]
fn the_language_is_the_files_unless_it_is_named() {
    let plain = json!({});
    let cases = [
        (vec!["index.js"], plain.clone(), Runtime::NodeJs, "index.main"),
        (vec!["index.mjs"], plain.clone(), Runtime::NodeJs, "index.main"),
        (vec!["index.py"], plain.clone(), Runtime::Python, "index.main_handler"),
        (vec!["index.py", "index.js"], plain, Runtime::NodeJs, "index.main"),
        (
            vec!["index.py", "index.js"],
            json!({ "target": { "function": { "runtime": "python" } } }),
            Runtime::Python,
            "index.main_handler",
        ),
        // As the cloud's tools write it.
        (
            vec!["index.py"],
            json!({ "runtime": "Python3.9", "handler": "index.main_handler" }),
            Runtime::Python,
            "index.main_handler",
        ),
        (
            vec!["jobs/nightly.py"],
            json!({ "handler": "jobs/nightly.clean" }),
            Runtime::Python,
            "jobs/nightly.clean",
        ),
        (
            vec!["jobs/nightly.cjs"],
            json!({ "target": { "function": { "handler": "jobs/nightly.clean" } } }),
            Runtime::NodeJs,
            "jobs/nightly.clean",
        ),
    ];
    for (files, config, runtime, handler) in cases {
        let code = code(&files, &config);
        assert_eq!((code.runtime, code.handler.as_str()), (runtime, handler), "{files:?} {config}");
    }
    refused(&["index.py"], &json!({ "runtime": "Python2.7" }), "`Python2.7` is not a runtime");
    refused(
        &["index.js"],
        &json!({ "runtime": "Python3.9" }),
        "no `index.py` for the handler `index.main_handler`",
    );
    refused(&["index.js"], &json!({ "runtime": "Go1" }), "write `nodejs` or `python`");
    refused(&["index.js"], &json!({ "handler": "a.main" }), "no `a.js` for the handler `a.main`");
    refused(&["main.js"], &json!({}), "no `index.js` and no `index.py`");
}

#[test]
fn a_function_has_bounds() {
    let ours = |function: Value| json!({ "target": { "function": function } });
    let bare = code(&["index.js"], &ours(json!({})));
    assert_eq!((bare.memory_mb, bare.concurrency, bare.max_output), (256, 64, None));
    let set = code(&["index.js"], &ours(json!({ "memory": 64, "concurrency": 1, "max_output": 0 })));
    assert_eq!((set.memory_mb, set.concurrency, set.max_output), (64, 1, Some(0)));
    assert_eq!(code(&["index.js"], &json!({ "memorySize": 512 })).memory_mb, 512);
    refused(&["index.js"], &ours(json!({ "memory": 8 })), "from 16 to");
    refused(&["index.js"], &ours(json!({ "concurrency": 0 })), "from 1 to 1000");
    refused(&["index.js"], &ours(json!({ "max_output": "1MB" })), "a whole number is expected");
}

/// A value in the file is not worth a warning: most are no secrets.
#[test]
fn variables_may_be_kept_elsewhere() {
    let project = Project::new(&json!({}));
    let env =
        json!({ "PLAIN": "text", "EMPTY": "", "TOKEN": { "file": "token" }, "HOME_OF": { "env": "PATH" } });
    project.write("triggers/f/token", "s3cret\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(project.path("triggers/f/token"), mode).unwrap();
    project
        .function("f", &json!({ "triggers": [], "target": { "command": { "argv": ["true"], "env": env } } }));
    let now = Utc.with_ymd_and_hms(2026, 6, 1, 0, 0, 0).unwrap();
    let loaded = load(&project.path("config.json"), now).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let TargetSettings::Command(command) = &loaded.settings.functions[0].target else { panic!() };
    let value = |name: &str| command.env[name].reveal().to_owned();
    assert_eq!(
        (value("PLAIN"), value("EMPTY"), value("TOKEN")),
        ("text".into(), String::new(), "s3cret".into())
    );
    assert_eq!(value("HOME_OF"), std::env::var("PATH").unwrap());
    assert!(!format!("{:?}", loaded.settings).contains("s3cret"));
    for (env, part) in [
        (json!({ "A": 1 }), "a number was found where a string, or `{ \"env\""),
        (json!({ "A": { "env": "NO_SUCH_VARIABLE_HERE" } }), "`NO_SUCH_VARIABLE_HERE` is not set"),
        (json!({ "A=B": "x" }), "`A=B` cannot name a variable"),
        (json!({ "A": "x\u{0}" }), "a NUL character"),
    ] {
        refused(&["index.js"], &json!({ "target": { "function": { "env": env } } }), part);
    }
}

#[test]
fn a_command_has_defaults() {
    let bare = command(&json!({ "argv": ["true"] }));
    assert_eq!((bare.env, bare.max_output), (Variables::new(), None));
    assert_eq!((bare.success_codes, bare.user, bare.nice), (vec![0], None, 0));
    assert_eq!(bare.limits, ResourceLimits::default());
    assert_eq!(command(&json!({ "argv": ["true"], "max_output": 7 })).max_output, Some(7));
}

#[test]
fn a_command_may_be_a_script_and_run_within_bounds() {
    let argv = |config: Value| command(&config).argv;
    assert_eq!(
        argv(json!({ "argv": ["df | tail -1; echo $1", "a b"], "shell": true })),
        ["sh", "-c", "df | tail -1; echo $1", "sh", "a b"]
    );
    assert_eq!(argv(json!({ "argv": ["true"], "shell": "bash" })), ["bash", "-c", "true", "bash"]);
    assert_eq!(argv(json!({ "argv": ["true"], "shell": false })), ["true"]);
    let bounded = command(&json!({ "argv": ["true"], "success_codes": [0, 2], "user": "root", "nice": 19,
        "limits": { "memory": 512, "cpu": 60, "files": 256, "processes": 100 } }));
    assert_eq!((bounded.success_codes, bounded.nice), (vec![0, 2], 19));
    let user = bounded.user.unwrap();
    assert_eq!((user.name.as_str(), user.uid, user.gid), ("root", 0, 0));
    let limits = bounded.limits;
    assert_eq!((limits.memory_mb, limits.cpu_seconds), (Some(512), Some(60)));
    assert_eq!((limits.files, limits.processes), (Some(256), Some(100)));
    for (key, value, part) in [
        ("shell", json!("zsh"), "`sh` or `bash`"),
        ("success_codes", json!([]), "nothing could ever succeed"),
        ("success_codes", json!([256]), "from 0 to 255"),
        ("user", json!("no-such-user"), "no user `no-such-user` in /etc/passwd"),
        ("nice", json!(20), "from -20 to 19"),
        ("nice", json!("5"), "from -20 to 19"),
        ("limits", json!({ "memory": 1 }), "from 16 to"),
        ("limits", json!({ "cpus": 1 }), "did you mean `cpu`?"),
    ] {
        let mut config = json!({ "argv": ["true"] });
        config[key] = value;
        refused(&[], &json!({ "target": { "command": config } }), part);
    }
}
