//! A stop is a drain: what runs may end, batches stop at a checkpoint, and the next start goes on.

use std::fs;

use serde_json::{Value, json};

use crate::support::mailing::Mailing;
use crate::support::promise::{Account, judge};
use crate::support::{Project, SmtpSink, eventually, require};

/// A project whose one function says `started`, then runs until the file `go` is there.
fn patient(name: &str, target: &Value) -> Project {
    let project = Project::new(&json!({ "state": "sqlite://state.db", "triggers": "triggers" }));
    project.function(
        name,
        &json!({
            "triggers": [{ "name": "always", "type": "timer", "config": "* * * * * * *" }],
            "overlap": "skip",
            "target": target,
        }),
    );
    project
}

fn stop_in_the_middle(project: &Project, name: &str) {
    let mut daemon = project.serve("config.json");
    let started = project.path(format!("triggers/{name}/started"));
    eventually("the run to start", || started.exists().then_some(()));
    daemon.terminate();
    daemon.wait_for("STOPPING=1");
    assert!(daemon.is_running(), "the run cannot have ended yet");
    fs::write(project.path(format!("triggers/{name}/go")), "").unwrap();
    let (code, log) = daemon.wait();
    assert_eq!(code, Some(0), "{log}");

    let history = project.gulou(&["history", "--config", "config.json", "--json"]).expect_code(0);
    let runs: Value = serde_json::from_str(&history.stdout).unwrap();
    let runs = runs.as_array().unwrap();
    // Nothing starts after the signal, so the run that saw it is the newest.
    assert_eq!(runs[0]["state"], "succeeded", "{runs:#?}");
    assert!(runs.iter().all(|run| run["state"] == "succeeded"), "{runs:#?}");
    let logs =
        project.gulou(&["logs", "--config", "config.json", &runs[0]["run"].to_string()]).expect_code(0);
    assert!(logs.stdout.contains("finished"), "{}", logs.stdout);
}

#[test]
fn a_command_may_end() {
    let wait = "touch started; until [ -e go ]; do sleep 0.05; done; echo finished";
    let target = json!({ "command": { "argv": ["sh", "-c", wait], "timeout": "10m" } });
    stop_in_the_middle(&patient("slow", &target), "slow");
}

#[test]
fn a_function_may_end() {
    require("node");
    let project = patient("slow", &json!({ "function": { "runtime": "nodejs", "timeout": "10m" } }));
    project.write(
        "triggers/slow/index.js",
        "const fs = require('fs'), path = require('path')
         exports.main = async () => {
           fs.writeFileSync(path.join(__dirname, 'started'), '')
           while (!fs.existsSync(path.join(__dirname, 'go'))) await new Promise(go => setTimeout(go, 20))
           console.log('finished')
         }",
    );
    stop_in_the_middle(&project, "slow");
}

#[test]
fn a_batch_stops_at_a_checkpoint_and_goes_on() {
    let sink = SmtpSink::start();
    let rows = 1_000;
    let mailing = Mailing::new(&sink, rows, &json!({ "rate": "500/s", "window": 32 }));
    let daemon = mailing.project().serve("config.json");
    eventually("the first mails", || (sink.mails_so_far() > 50).then_some(()));
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
    let open = mailing.open_rows();
    assert!(open > 0 && open < rows, "{open} rows open: the stop was not in the middle");
    // A drain leaves no doubt: what was delivered is marked.
    assert_eq!(rows - open, sink.delivered().total());

    let daemon = mailing.project().serve("config.json");
    mailing.wait_until_through();
    assert_eq!(daemon.stop().0, Some(0));
    let account = judge(&mailing.testimony(sink.delivered().events(0).collect()), false);
    assert_eq!(account, Ok(Account { sent: rows, ..Account::default() }));
}

#[test]
fn a_fire_that_was_cut_off_goes_on_before_the_one_that_waited_for_it() {
    let rows = 1_000;
    let mailing = Mailing::to("maildir:outbox", rows, &json!({ "rate": "200/s", "window": 32 }));
    // Without a mark each row goes out once a fire, so what a fire has not sent is sent by no other.
    let config = mailing.project().path("triggers/mailing/config.json");
    let mut function: Value = serde_json::from_str(&fs::read_to_string(&config).unwrap()).unwrap();
    function["target"]["batch"].as_object_mut().unwrap().remove("mark");
    mailing.project().function("mailing", &function);
    let runs = || -> Vec<Value> {
        let ran = mailing.project().gulou(&["history", "-n", "1000", "--json"]).expect_code(0);
        serde_json::from_str(&ran.stdout).unwrap()
    };
    let in_state = |state: &str| runs().into_iter().find(|run| run["state"] == state);

    let daemon = mailing.project().serve("config.json");
    let waiting = eventually("a second fire that waits", || in_state("waiting"));
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
    let cut_off = in_state("interrupted").expect("the first fire was in the middle");
    assert_ne!(cut_off["fire_time"], waiting["fire_time"]);

    // The rest goes out as fast as it can.
    function["target"]["batch"].as_object_mut().unwrap().remove("rate");
    mailing.project().function("mailing", &function);
    let daemon = mailing.project().serve("config.json");
    let resumed = eventually("the rest of the first fire", || {
        runs().into_iter().find(|run| run["reason"] == "resume" && run["state"] == "succeeded")
    });
    daemon.stop();
    assert_eq!((&resumed["fire_time"], &resumed["attempt"]), (&cut_off["fire_time"], &json!(2)));
    let sent = |run: &Value| run["result"]["sent"].as_u64().unwrap();
    assert_eq!(sent(&cut_off) + sent(&resumed), u64::from(rows), "each row once for the fire");
}
