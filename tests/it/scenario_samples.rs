//! What a newcomer sees: the samples of a fresh clone, served by the real program.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mail_parser::MessageParser;
use serde_json::Value;

use crate::support::home::read;
use crate::support::{Daemon, Project, eventually, require};

const CONFIG: &str = "config.example.json";
const PEOPLE: u32 = 10_000;

fn json_file(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The samples, with `mass-mail` at full speed once a second, which a test has time for.
fn samples() -> Project {
    let project = Project::samples();
    let mut config = json_file(&project.path("triggers/mass-mail/config.json"));
    config["triggers"][0]["config"] = "* * * * * * *".into();
    config["target"]["batch"].as_object_mut().unwrap().remove("rate");
    project.function("mass-mail", &config);
    project
}

/// The file of the demo database, as the config says.
fn demo_database(project: &Project) -> PathBuf {
    let config = json_file(&project.path(CONFIG));
    project.path(config["databases"]["main"]["url"].as_str().unwrap().strip_prefix("sqlite://").unwrap())
}

fn history(project: &Project, function: &str) -> Vec<Value> {
    let args = ["history", "--config", CONFIG, function, "--json", "--count", "1000"];
    let history = project.gulou(&args).expect_code(0);
    serde_json::from_str(&history.stdout).unwrap()
}

/// Waits until every row of the demo table has its flag.
fn wait_for_all_flags(project: &Project) {
    let database = demo_database(project);
    eventually("the demo database", || database.exists().then_some(()));
    eventually("every row to be marked", || {
        let open = "SELECT count(*) FROM users WHERE status = false OR sent_at IS NULL";
        let open: u32 = read(&database).query_row(open, [], |row| row.get(0)).ok()?;
        (open == 0).then_some(())
    });
}

#[test]
fn a_fresh_clone_mails_its_ten_thousand_in_ten_fires() {
    let project = samples();
    let daemon = project.serve(CONFIG);
    wait_for_all_flags(&project);
    eventually("the tenth page to be on record", || {
        let full = history(&project, "mass-mail").iter().filter(|run| run["result"]["sent"] == 1000).count();
        (full == 10).then_some(())
    });
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");

    // A fire that found nothing left may still have been waiting for its turn.
    let runs = history(&project, "mass-mail");
    let in_state = |state| runs.iter().filter(|run| run["state"] == state).collect::<Vec<_>>();
    assert!(in_state("failed").is_empty() && in_state("timed-out").is_empty(), "{runs:#?}");
    let sent: Vec<u64> = runs.iter().filter_map(|run| run["result"]["sent"].as_u64()).collect();
    assert_eq!(sent.iter().sum::<u64>(), u64::from(PEOPLE), "{sent:?}");

    let mut recipients: BTreeMap<String, u32> = BTreeMap::new();
    let mut ids: BTreeMap<String, u32> = BTreeMap::new();
    for entry in fs::read_dir(project.path("var/outbox/new")).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        let mail = MessageParser::default().parse(&bytes).unwrap();
        let subject = mail.subject().unwrap_or_default();
        // Other samples may have fired too; theirs is another subject.
        if !subject.ends_with("，鼓楼的新声音") {
            continue;
        }
        let to = mail.to().unwrap().first().unwrap();
        assert_eq!(subject, format!("{}，鼓楼的新声音", to.name().unwrap()));
        assert!(mail.body_text(0).unwrap().contains(to.name().unwrap()));
        assert!(mail.body_html(0).unwrap().contains(to.name().unwrap()));
        assert!(mail.date().is_some_and(mail_parser::DateTime::is_valid));
        assert!(mail.from().unwrap().first().unwrap().name() == Some("鼓楼"));
        *recipients.entry(to.address().unwrap().to_owned()).or_default() += 1;
        *ids.entry(mail.message_id().unwrap().to_owned()).or_default() += 1;
    }
    let connection = read(&demo_database(&project));
    let mut statement = connection.prepare("SELECT email FROM users").unwrap();
    let mut expected: BTreeMap<String, u32> = BTreeMap::new();
    for email in statement.query_map([], |row| row.get::<_, String>(0)).unwrap() {
        *expected.entry(email.unwrap()).or_default() += 1;
    }
    assert_eq!(expected.values().sum::<u32>(), PEOPLE);
    assert!(
        recipients == expected,
        "{} recipients got mail, {} should have",
        recipients.len(),
        expected.len()
    );
    assert_eq!(ids.len(), PEOPLE as usize, "Message-IDs are not unique");
}

/// The subjects of the mails in the outbox.
fn subjects(project: &Project) -> Vec<String> {
    let subject = |entry: std::io::Result<fs::DirEntry>| {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        MessageParser::default().parse(&bytes).unwrap().subject().unwrap_or_default().to_owned()
    };
    fs::read_dir(project.path("var/outbox/new")).map_or(Vec::new(), |mails| mails.map(subject).collect())
}

/// Many seconds without a reminder that is due are one line of the history; the one that falls due is mailed once.
#[test]
fn a_reminder_is_mailed_once_when_its_minute_has_come() {
    let project = Project::samples();
    for folder in fs::read_dir(project.path("triggers")).unwrap().map(Result::unwrap) {
        if folder.file_name() != "reminders" {
            fs::remove_dir_all(folder.path()).unwrap();
        }
    }
    let daemon = project.serve(CONFIG);
    let database = demo_database(&project);
    eventually("the demo database", || database.exists().then_some(()));
    let idle = || {
        let runs = history(&project, "reminders");
        let last = runs.first().filter(|run| run["result"]["selected"] == 0)?;
        (last["repeats"].as_u64() >= Some(3)).then_some(runs.len())
    };
    assert_eq!(eventually("four polls", idle), 1);

    // The user changes the time: it is now.
    let writer = rusqlite::Connection::open(&database).unwrap();
    writer.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
    let due =
        "UPDATE reminders SET note = '关火', remind_at = strftime('%Y-%m-%d %H:%M:00', 'now') WHERE id = 7";
    assert_eq!(writer.execute(due, []).unwrap(), 1);
    eventually("the reminder to be marked", || {
        let sent = "SELECT sent AND sent_at >= remind_at FROM reminders WHERE id = 7";
        read(&database).query_row(sent, [], |row| row.get::<_, bool>(0)).ok()?.then_some(())
    });
    // Polls go on, and find nothing more.
    assert_eq!(eventually("four more polls", idle), 3);
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(subjects(&project), ["提醒：关火"]);
    let open = "SELECT count(*) FROM reminders WHERE sent = false";
    assert_eq!(read(&database).query_row(open, [], |row| row.get::<_, u32>(0)).unwrap(), 47);
    assert_eq!(log.matches("reminders/every-second").count(), 1, "polls are loud:\n{log}");
}

#[test]
fn a_cloud_function_runs_on_time_and_is_on_record() {
    require("node");
    let project = Project::samples();
    let daemon = project.serve(CONFIG);
    let run = eventually("tomylove to succeed", || {
        history(&project, "tomylove").into_iter().find(|run| run["state"] == "succeeded")
    });
    assert_eq!(daemon.stop().0, Some(0));
    let fire_time = run["fire_time"].as_str().unwrap();
    let second: u32 = fire_time[17..19].parse().unwrap();
    assert_eq!(second % 5, 0, "{fire_time}");
    assert!(fire_time.ends_with("+08:00"), "{fire_time}");
    assert_eq!(run["result"]["sum"], 7);
    let logs = project.gulou(&["logs", "--config", CONFIG, &run["run"].to_string()]).expect_code(0);
    for part in ["START RequestId", "tomylove at ", "sum 7", "END RequestId", "Report"] {
        assert!(logs.stdout.contains(part), "no {part} in\n{}", logs.stdout);
    }
}

#[test]
fn without_nodejs_functions_say_so_and_all_else_runs() {
    let project = samples();
    let mut command = project.command(&["serve", "--config", CONFIG]);
    command.env("PATH", project.path("no-such-folder"));
    let daemon = Daemon::start(command);
    wait_for_all_flags(&project);
    let run = eventually("tomylove to fail", || {
        history(&project, "tomylove").into_iter().find(|run| run["state"] == "failed")
    });
    let message = run["message"].as_str().unwrap();
    assert!(message.contains("Node.js") && message.contains("install"), "{message}");
    let (code, log) = daemon.stop();
    assert_eq!(code, Some(0), "{log}");
    assert!(history(&project, "mass-mail").iter().all(|run| run["state"] != "failed"));
}
