//! Batches whose rows go out as messages of WeChat and WeCom, to a server that speaks their JSON.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::Project;
use crate::support::web::{Web, ok, status};
use crate::support::wechat_server::{Say, WechatServer};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

struct Mailing {
    project: Project,
    file: Connection,
}

impl Mailing {
    /// `rows` users who are sent `action`; `settings` go into the batch.
    fn new(account: &Value, rows: u32, action: &Value, settings: &Value) -> Self {
        let config = json!({
            "state": "sqlite://state.db", "databases": { "main": { "url": "sqlite://demo.db" } },
            "wechat": { "main": account },
        });
        let project = Project::new(&config);
        project.write("secret", SECRET);
        let file = Connection::open(project.path("demo.db")).unwrap();
        file.execute_batch(&format!(
            "PRAGMA journal_mode = WAL;
             CREATE TABLE users (id INTEGER PRIMARY KEY, openid TEXT, name TEXT,
                                 status BOOLEAN NOT NULL DEFAULT false, error TEXT);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
             INSERT INTO users (id, openid, name) SELECT i, 'o' || i, '鼓\"楼' || i FROM n;"
        ))
        .unwrap();
        let mut batch = json!({
            "id": "messages", "pages": "all", "concurrency": 8,
            "source": { "database": "main", "table": "users", "key": "id", "where": "status = false" },
            "action": action,
            "mark": { "sent": { "status": true }, "failed": { "status": true, "error": ":error" } },
            "pause_on_errors": false,
        });
        batch.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        project.function(
            "messages",
            &json!({
                "triggers": [{ "name": "t", "type": "timer", "config": "0 0 9 * * * *" }],
                "target": { "batch": batch },
            }),
        );
        Self { project, file }
    }

    fn subscribe(server: &WechatServer, rows: u32, settings: &Value) -> Self {
        Self::new(&server.account(), rows, &json!({ "wechat_subscribe": message() }), settings)
    }

    /// All that a run says. No secret is ever in it.
    #[track_caller]
    fn fire(&self) -> String {
        let ran = self.project.gulou(&["fire", "messages/t"]);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(!said.contains(SECRET) && !said.contains("token-number"), "{said}");
        said
    }

    /// `id sent`, or `id` and the error, of rows that are marked.
    fn marked(&self) -> Vec<String> {
        let all = "SELECT id || coalesce(' ' || error, ' sent') FROM users WHERE status ORDER BY id";
        let mut rows = self.file.prepare(all).unwrap();
        rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    fn count(&self, condition: &str) -> u32 {
        let count = format!("SELECT count(*) FROM users WHERE {condition}");
        self.file.query_row(&count, [], |row| row.get(0)).unwrap()
    }

    /// States of what the ledger holds, by key.
    fn ledger(&self) -> Value {
        let ran = self.project.gulou(&["batch", "rows", "messages", "--json"]).expect_code(0);
        assert!(!ran.stdout.contains(SECRET) && !ran.stdout.contains("token-number"), "{ran:?}");
        ran.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect()
    }
}

fn message() -> Value {
    json!({
        "via": "main", "touser": "{{ openid }}", "template_id": "TEMPLATE",
        "page": "pages/index?id={{ id }}",
        "data": { "thing1": "{{ name }}", "time2": { "value": "{{ fire_time.strftime('%Y-%m-%d %H:%M') }}" } },
        "miniprogram_state": "formal", "lang": "zh_CN"
    })
}

#[test]
fn a_subscription_message_is_as_documented_and_a_dry_run_shows_it() {
    let server = WechatServer::start();
    let mailing = Mailing::subscribe(&server, 2, &json!({}));
    let dry = mailing.project.gulou(&["dry-run"]).expect_code(0).stdout;
    let title = "/cgi-bin/message/subscribe/send?access_token=…";
    assert!(dry.contains(title) && dry.contains(r#"{"touser":"o1","template_id":"TEMPLATE""#), "{dry}");
    assert!(server.asked().is_empty());
    mailing.fire();
    assert_eq!(mailing.marked(), ["1 sent", "2 sent"]);
    let asked = server.asked();
    let question = json!({
        "grant_type": "client_credential", "appid": "wx0123456789abcdef", "secret": SECRET, "force_refresh": false
    });
    assert_eq!(server.questions(), [question]);
    let first = asked.iter().find(|asked| asked.body.contains("\"o1\"")).unwrap();
    assert_eq!(first.path, "/cgi-bin/message/subscribe/send?access_token=token-number-1");
    assert_eq!((first.method.as_str(), first.header("content-type")), ("POST", Some("application/json")));
    let mut body: Value = serde_json::from_str(&first.body).unwrap();
    let time = body["data"]["time2"]["value"].take();
    assert_eq!(time.as_str().map(str::len), Some("2026-06-01 09:00".len()), "{time}");
    let expected = json!({
        "touser": "o1", "template_id": "TEMPLATE", "page": "pages/index?id=1",
        "data": { "thing1": { "value": "鼓\"楼1" }, "time2": { "value": null } },
        "miniprogram_state": "formal", "lang": "zh_CN",
    });
    assert_eq!(body, expected);
}

fn template() -> Value {
    json!({ "wechat_template": {
        "via": "main", "touser": "{{ openid }}", "template_id": "T", "url": "https://example.com/{{ id }}",
        "miniprogram": { "appid": "wxfedcba9876543210", "pagepath": "index?id={{ id }}" },
        "data": { "keyword1": { "value": "{{ name }}", "color": "#173177" } }
    } })
}

#[test]
fn a_template_message_has_an_id_and_is_repeated_at_once_when_its_answer_is_lost() {
    // The first try of each row arrives, and nobody is told.
    let seen: Mutex<BTreeSet<String>> = Mutex::default();
    let server = WechatServer::answering(move |body, _| {
        let is_new = seen.lock().unwrap().insert(body["touser"].to_string());
        if is_new { Say::TakenInSilence } else { Say::Taken }
    });
    let mailing = Mailing::new(&server.account(), 3, &template(), &json!({ "concurrency": 3 }));
    mailing.fire();
    assert_eq!(mailing.marked(), ["1 sent", "2 sent", "3 sent"]);
    assert!(server.taken().values().all(|count| *count == 1) && server.taken().len() == 3);
    let of_first = |body: &str| body.contains("\"o1\"");
    let bodies: Vec<Value> = server
        .asked()
        .iter()
        .filter(|asked| of_first(&asked.body))
        .map(|asked| serde_json::from_str(&asked.body).unwrap())
        .collect();
    assert!(bodies.len() == 2 && bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    let id = bodies[0]["client_msg_id"].as_str().unwrap();
    assert!((10..=32).contains(&id.len()), "{id}");
    let mut body = bodies[0].clone();
    body["client_msg_id"] = "id".into();
    let expected = json!({
        "touser": "o1", "template_id": "T", "url": "https://example.com/1",
        "miniprogram": { "appid": "wxfedcba9876543210", "pagepath": "index?id=1" },
        "client_msg_id": "id", "data": { "keyword1": { "value": "鼓\"楼1", "color": "#173177" } },
    });
    assert_eq!(body, expected);
}

#[test]
fn what_cannot_be_known_is_held_and_never_sent_again() {
    let server =
        WechatServer::answering(
            |body, _| {
                if body["touser"] == "o2" { Say::TakenInSilence } else { Say::Taken }
            },
        );
    let mailing = Mailing::subscribe(&server, 3, &json!({}));
    mailing.fire();
    mailing.fire();
    assert_eq!(mailing.marked(), ["1 sent", "3 sent"]);
    assert_eq!(server.taken().values().collect::<Vec<_>>(), [&1, &1, &1]);
    assert!(mailing.ledger().to_string().contains("held"), "{}", mailing.ledger());
    // Of template messages, a second and a third try are lost as well.
    let server = WechatServer::answering(|_, _| Say::TakenInSilence);
    let mailing = Mailing::new(&server.account(), 1, &template(), &json!({}));
    mailing.fire();
    mailing.fire();
    assert_eq!((server.looked_at(), server.taken()["o1"]), (3, 1));
    assert!(mailing.ledger().to_string().contains("held"), "{}", mailing.ledger());
}

#[test]
fn each_code_decides_about_its_row() {
    const CODES: [i64; 6] = [0, 43101, 40003, 47003, 40037, 12345];
    let server = WechatServer::answering(|body, _| {
        let id: usize = body["touser"].as_str().unwrap()[1..].parse().unwrap();
        match CODES.get(id - 1) {
            Some(0) => Say::Taken,
            Some(code) => Say::Code(*code),
            None if id == 7 => Say::Code(-1),
            None => Say::Other(status("502 Bad Gateway", "")),
        }
    });
    let mailing = Mailing::subscribe(&server, 8, &json!({}));
    mailing.fire();
    let marked = mailing.marked();
    assert_eq!(marked.len(), 6, "{marked:?}");
    assert_eq!(marked[0], "1 sent");
    for ((row, code), hint) in
        marked.iter().zip(CODES).skip(1).zip(["subscribed", "openid", "`data`", "template_id", ""])
    {
        assert!(
            row.contains(&format!("WeChat answered errcode {code}: because")) && row.contains(hint),
            "{row}"
        );
    }
    let ledger = mailing.ledger().to_string();
    assert_eq!(ledger.matches("\"retrying\"").count(), 2, "{ledger}");
    assert!(ledger.contains("errcode -1") && ledger.contains("502 Bad Gateway"), "{ledger}");
    assert_eq!(server.questions().len(), 1);
}

#[test]
fn a_value_that_is_too_long_fails_its_row_before_anything_is_sent() {
    let server = WechatServer::start();
    let mailing = Mailing::subscribe(&server, 3, &json!({}));
    mailing
        .file
        .execute_batch("UPDATE users SET name = '一二三四五六七八九十一二三四五六七八九十一' WHERE id = 2")
        .unwrap();
    mailing.fire();
    let marked = mailing.marked();
    assert_eq!((marked[0].as_str(), marked[2].as_str()), ("1 sent", "3 sent"));
    assert!(
        marked[1].starts_with("2 `data.thing1`: a `thing` has at most 20 characters, and this has 21"),
        "{marked:?}"
    );
    assert_eq!(server.looked_at(), 2);
}

/// The token goes while 64 messages are under way: one question brings the next one, and no message is lost or doubled.
#[test]
fn when_a_token_expires_one_question_is_asked_for_all_who_need_another() {
    for is_stubborn in [false, true] {
        let own: Arc<OnceLock<WechatServer>> = Arc::default();
        let (server, told) = (Arc::clone(&own), Arc::new(AtomicBool::new(false)));
        let of_server = WechatServer::answering(move |_, number| {
            if number == 300 {
                told.store(true, Ordering::SeqCst);
                // The next message finds the token expired.
                let server = Arc::clone(&server);
                std::thread::spawn(move || server.get().unwrap().refuse_token());
            }
            Say::Taken
        });
        if is_stubborn {
            of_server.be_stubborn();
        }
        let server = own.get_or_init(|| of_server);
        let mailing = Mailing::subscribe(server, 2000, &json!({ "concurrency": 64, "window": 256 }));
        mailing.fire();
        assert_eq!(mailing.count("status AND error IS NULL"), 2000);
        assert!(server.taken().len() == 2000 && server.taken().values().all(|count| *count == 1));
        let forced: Vec<bool> =
            server.questions().iter().map(|question| question["force_refresh"] == true).collect();
        // The same token is named again first, and only then is a new one forced.
        assert_eq!(forced, if is_stubborn { vec![false, false, true] } else { vec![false, false] });
    }
}

#[test]
fn the_next_process_goes_on_with_the_token_that_is_kept() {
    let server = WechatServer::start();
    let mailing = Mailing::subscribe(&server, 3, &json!({ "pages": 1 }));
    for _ in 0..3 {
        mailing.file.execute_batch("UPDATE users SET status = false").unwrap();
        mailing.fire();
    }
    assert_eq!((server.looked_at(), server.questions().len()), (9, 1));
    // It is in the state alone, and one that is refused there is asked for again.
    server.refuse_token();
    mailing.file.execute_batch("UPDATE users SET status = false").unwrap();
    mailing.fire();
    assert_eq!((server.looked_at(), server.questions().len()), (12, 2));
}

#[test]
fn without_a_token_the_run_stops_and_names_the_fix() {
    for (code, fix) in [(40013, "`appid`"), (40125, "`secret`"), (40164, "IP whitelist")] {
        let server = WechatServer::start();
        server.name_no_token(code);
        let mailing = Mailing::subscribe(&server, 30, &json!({}));
        let said = mailing.fire();
        assert!(said.contains(&format!("no access token: WeChat answered errcode {code}: no, ")), "{said}");
        assert!(said.contains(fix), "{said}");
        assert_eq!((server.questions().len(), server.looked_at()), (1, 0), "{said}");
        assert!(mailing.marked().is_empty());
    }
    // A busy WeChat is waited for.
    let server = WechatServer::start();
    server.name_no_token(-1);
    let mailing = Mailing::subscribe(&server, 30, &json!({ "patience": "0s" }));
    let said = mailing.fire();
    assert!(said.contains("gave up after 0 s: no access token: WeChat answered errcode -1"), "{said}");
    assert_eq!(server.questions().len(), 1, "those who wait do not all ask");
}

#[test]
fn a_token_that_is_refused_although_it_is_new_stops_the_run() {
    let server = WechatServer::answering(|_, _| Say::Code(40001));
    server.be_stubborn();
    let mailing = Mailing::subscribe(&server, 5, &json!({ "concurrency": 1 }));
    let said = mailing.fire();
    assert!(said.contains("WeChat refuses a new access token as well"), "{said}");
    assert_eq!(server.looked_at(), 2, "each try was looked at with the token that was named last");
    assert!(mailing.marked().is_empty() && server.taken().is_empty());
}

#[test]
fn when_todays_quota_is_used_up_nobody_asks_again_before_midnight() {
    let server = WechatServer::answering(|_, number| if number < 5 { Say::Taken } else { Say::Code(45009) });
    let mailing = Mailing::subscribe(&server, 40, &json!({ "time_limit": "4s" }));
    let said = mailing.fire();
    assert!(said.contains("errcode 45009") && said.contains("is at rest, deliveries go on at"), "{said}");
    let looked_at = server.looked_at();
    assert!((6..=5 + 8).contains(&looked_at), "{looked_at}: no more than were under way");
    assert_eq!(mailing.count("status"), 5);
    let said = mailing.fire();
    assert!(said.contains("is at rest"), "{said}");
    assert_eq!(server.looked_at(), looked_at, "{said}");
    assert_eq!((mailing.count("status"), server.taken().len()), (5, 5));
}

#[test]
fn a_robot_of_wecom_sends_a_row_each_and_no_more_than_twenty_a_minute() {
    let web = Web::start(|_| ok(r#"{"errcode":0,"errmsg":"ok"}"#));
    let robot = json!({ "wecom_robot": {
        "url": web.url("/cgi-bin/webhook/send?key=693a91f6-7xxx-4bc4-97a0-0ec2sifa5aaa"),
        "kind": "markdown", "content": "**{{ name }}** {{ id }}"
    } });
    let account = json!({ "appid": "wx1", "secret": { "file": "secret" } });
    let mailing = Mailing::new(&account, 25, &robot, &json!({ "time_limit": "2s" }));
    let dry = mailing.project.gulou(&["dry-run"]).expect_code(0).stdout;
    assert!(dry.contains("**鼓\\\"楼1** 1") && !dry.contains("693a91f6"), "{dry}");
    for _ in 0..2 {
        let said = mailing.fire();
        assert!(!said.contains("693a91f6"), "{said}");
    }
    let asked = web.asked();
    assert!((1..=20).contains(&asked.len()), "{}", asked.len());
    assert_eq!(mailing.marked().len(), asked.len());
    let first: Value = serde_json::from_str(&asked[0].body).unwrap();
    assert_eq!(first["msgtype"], "markdown");
}

/// How many messages; `scripts/torture.sh --wechat` sends 100,000.
fn volume() -> u32 {
    std::env::var("GULOU_WECHAT_MESSAGES").map_or(20_000, |text| text.parse().unwrap())
}

#[test]
fn a_great_many_messages_reach_each_user_once() {
    let server = WechatServer::start();
    let rows = volume();
    let mailing = Mailing::subscribe(&server, rows, &json!({ "concurrency": 64, "window": 1024 }));
    let said = mailing.fire();
    let taken = server.taken();
    assert_eq!(taken.len(), rows as usize, "{said}");
    assert!(taken.values().all(|count| *count == 1));
    assert_eq!(mailing.count("status AND error IS NULL"), rows);
    assert_eq!(mailing.ledger(), json!([]));
    assert_eq!(server.questions().len(), 1);
}

#[test]
fn the_sample_sends_its_messages_once_it_has_an_account() {
    let server = WechatServer::start();
    let project = Project::samples();
    let file = std::fs::read_to_string(project.path("config.example.json")).unwrap();
    let mut config: Value = serde_json::from_str(&file).unwrap();
    config["wechat"]["miniprogram"]["base"] = server.account()["base"].clone();
    project.write("config.example.json", &config.to_string());
    project.gulou(&["fire", "--config", "config.example.json", "subscribe-messages/daily"]).expect_code(0);
    let database = Connection::open(project.path("var/demo.db")).unwrap();
    let count = |sql: &str| database.query_row(sql, [], |row| row.get::<_, u32>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM subscriptions WHERE error IS NOT NULL OR NOT sent"), 0);
    assert_eq!((server.looked_at(), count("SELECT count(*) FROM subscriptions")), (280, 280));
}
