//! Mail batches through the program: what a run leaves in its log, and what a mistake in a template costs.

use serde_json::{Value, json};

use crate::support::mailing::Mailing;

fn mail(subject: &str) -> Value {
    json!({ "action": { "mail": {
        "via": "out", "to": "{{ email }}", "subject": subject, "text": "第 {{ id }} 封"
    } } })
}

#[test]
fn a_mistake_in_the_template_costs_no_row() {
    for (subject, named) in [("{{ nmae }}", "\"nmae\" is missing"), ("{{ name | shout }}", "shout")] {
        let mailing = Mailing::to("maildir:outbox", 30, &mail(subject));
        let ran = mailing.project().gulou(&["fire", "mailing"]).expect_code(1);
        assert!(ran.stdout.contains(named) || ran.stderr.contains(named), "{ran:?}");
        assert_eq!(mailing.open_rows(), 30);

        // With the template mended, every row goes out: none was written off.
        let config = mailing.project().path("triggers/mailing/config.json");
        let text = std::fs::read_to_string(&config).unwrap();
        mailing.project().write("triggers/mailing/config.json", &text.replace(subject, "{{ name }}"));
        for _ in 0..2 {
            mailing.project().gulou(&["fire", "mailing"]).expect_code(0);
        }
        assert_eq!(mailing.open_rows(), 0);
        let mails = std::fs::read_dir(mailing.project().path("outbox/new")).unwrap().count();
        assert_eq!(mails, 30);
    }
}

#[test]
fn the_log_of_a_run_ends_with_what_it_came_to() {
    let mailing = Mailing::to("maildir:outbox", 30, &json!({}));
    let ran = mailing.project().gulou(&["fire", "mailing"]).expect_code(0);
    assert!(ran.stderr.contains("30 sent"), "{ran:?}");
    let logs = mailing.project().gulou(&["logs", "1"]).expect_code(0).stdout;
    assert!(logs.lines().last().is_some_and(|line| line.contains("30 sent")), "{logs}");
}

#[test]
fn a_server_that_is_not_there_is_named_and_costs_no_row() {
    let port = {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        gone.local_addr().unwrap().port()
    };
    let mailing =
        Mailing::to(&format!("smtp://127.0.0.1:{port}"), 30, &json!({ "patience": "1s", "concurrency": 4 }));
    let ran = mailing.project().gulou(&["fire", "mailing"]).expect_code(1);
    let named = format!("could not connect to 127.0.0.1:{port}: ");
    assert!(
        ran.stderr.contains("WARN") && ran.stderr.contains("nobody is there to take deliveries"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("gave up after 1 s") && ran.stderr.contains(&named), "{ran:?}");
    let waiting =
        mailing.project().gulou(&["batch", "rows", "mailing", "--retrying", "--json"]).expect_code(0);
    let waiting = waiting.stdout.lines().count();
    assert!(waiting <= 12, "no more rows were tried than go out at a time: {waiting}");
    assert_eq!(mailing.open_rows(), 30);
}
