//! The `fetch` target: what it asks, what it takes for news, what it does about it, and what it remembers.

use std::sync::{Arc, Mutex};

use gulou::action::http::HttpClients;
use gulou::action::mail::Transport;
use gulou::clock::Clock;
use gulou::db::{Access, Database};
use gulou::run::{Outcome, Status};
use gulou::settings::{
    DatabaseSettings, FetchSettings, FollowSettings, HttpBody, HttpSettings, HttpSuccess, HttpUrl,
    MailExtras, MailRoute, MailSettings, MailTransportSettings, Pick, SaveSettings, Secret, SqliteSettings,
    TemplateSource, TlsMode, WecomKind, WecomRobotSettings,
};
use gulou::store::Store;
use gulou::target::{Links, Target};
use serde_json::{Value, json};

use crate::servers;
use crate::support::server_settings;
use crate::support::web::{Answer, Asked, Web, answer, ok, status};
use crate::target_harness::{LONG, Recorder, fire, host, run};

/// A page that a test rewrites. With an `ETag`, it is not sent to who has it already.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<(Option<String>, String)>>);

impl Page {
    fn set(&self, etag: Option<&str>, body: &str) {
        *self.0.lock().unwrap() = (etag.map(str::to_owned), body.to_owned());
    }

    fn serve(&self) -> Web {
        let page = self.clone();
        Web::start(move |asked| {
            let (etag, body) = page.0.lock().unwrap().clone();
            let Some(etag) = etag else { return ok(&body) };
            if asked.header("if-none-match") == Some(&etag) {
                return Answer::Bytes(b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec());
            }
            let headers = [("ETag", etag.as_str()), ("Last-Modified", "Mon, 01 Jun 2026 01:00:00 GMT")];
            Answer::Bytes(answer("200 OK", &headers, &body))
        })
    }
}

/// An RSS feed with these entries.
fn feed(ids: &[&str]) -> String {
    let item = |id: &&str| {
        format!(
            "<item><guid>{id}</guid><title>T{id}</title><link>https://a.b/{id}</link>\
             <pubDate>Mon, 01 Jun 2026 09:00:00 +0800</pubDate></item>"
        )
    };
    let items: Vec<String> = ids.iter().map(item).collect();
    format!(
        "<rss version=\"2.0\"><channel><title>t</title><link>https://a.b</link><description>d</description>{}</channel></rss>",
        items.join("")
    )
}

fn request(method: &str, url: &str, body: HttpBody) -> HttpSettings {
    HttpSettings {
        method: method.to_owned(),
        url: HttpUrl::Template(TemplateSource { origin: "url".to_owned(), text: url.to_owned() }),
        headers: Vec::new(),
        body,
        timeout: LONG,
        tls: TlsMode::Verify { ca: None },
        redirects: 5,
        max_response: 1 << 20,
        success: HttpSuccess::default(),
    }
}

/// Looks at `page` and posts a change to `hook`.
fn settings(page: &Web, pick: Pick, hook: Option<&Web>) -> FetchSettings {
    let post = |hook: &Web| {
        let body = HttpBody::Variables(&["url", "items", "new"]);
        FollowSettings::Http(Box::new(request("POST", &hook.url("/hook"), body)))
    };
    FetchSettings {
        request: request("GET", &page.url("/page"), HttpBody::Empty),
        pick,
        key: Vec::new(),
        report_first: false,
        save: None,
        then: hook.map(post),
    }
}

/// A state, and what a fetch needs of it.
struct Home {
    folder: tempfile::TempDir,
    store: Store,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        Self { folder, store }
    }

    fn links(&self) -> Links {
        let memo = self.store.memo("notice", "fetch");
        Links { clients: HttpClients::default(), memo, database: None, transport: None }
    }

    fn target(&self, settings: &FetchSettings) -> Target {
        Target::fetch(settings, &host(), self.links()).unwrap()
    }
}

/// What a run came to: `idle`, its message, or its failure.
async fn look(target: &Target) -> String {
    let (outcome, recorder) = run(target, "").await;
    let Outcome { status, message, idle, .. } = outcome;
    let message = message.unwrap_or_default();
    let all = recorder.all();
    assert!(all[0].starts_with("START") && all.last().unwrap().starts_with("Report"), "{all:?}");
    match status {
        Status::Succeeded if idle => "idle".to_owned(),
        Status::Succeeded => message,
        other => format!("{}: {message}", other.as_str()),
    }
}

fn new(asked: &Asked, field: &str) -> Vec<String> {
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    body["new"].as_array().unwrap().iter().map(|item| item[field].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_new_entries_of_a_feed_are_reported_and_a_page_is_not_read_twice() {
    let (page, hook) = (Page::default(), Web::start(|_| ok("thanks")));
    page.set(Some("\"1\""), &feed(&["b", "a"]));
    let web = page.serve();
    let home = Home::new();
    let settings = settings(&web, Pick::Feed, Some(&hook));
    let target = home.target(&settings);
    assert_eq!(look(&target).await, "2 items, 2 new");
    assert!(hook.asked().is_empty(), "the first look only remembers");
    assert_eq!(look(&target).await, "idle");
    let asked = web.asked();
    assert_eq!(asked[0].header("if-none-match"), None);
    assert_eq!(asked[1].header("if-none-match"), Some("\"1\""));
    assert_eq!(asked[1].header("if-modified-since"), Some("Mon, 01 Jun 2026 01:00:00 GMT"));

    page.set(Some("\"2\""), &feed(&["d", "c", "b"]));
    assert_eq!(look(&target).await, "3 items, 2 new; http: 200 OK");
    assert_eq!(new(&hook.asked()[0], "title"), ["Td", "Tc"]);
    let body: Value = serde_json::from_str(&hook.asked()[0].body).unwrap();
    assert_eq!((&body["items"][2]["id"], &body["url"]), (&json!("b"), &json!(web.url("/page"))));
    // An entry that comes back is no news, and neither is one that goes.
    page.set(Some("\"3\""), &feed(&["a", "d"]));
    assert_eq!(look(&target).await, "2 items, 0 new");
    drop(target);

    // Nor after a restart.
    let Home { folder, store } = home;
    drop(store);
    let store = crate::support::eventually("the lock", || Store::open(&folder.path().join("state.db")).ok());
    let home = Home { folder, store };
    let target = home.target(&settings);
    assert_eq!(look(&target).await, "idle");
    page.set(Some("\"4\""), &feed(&["e", "b", "a"]));
    assert_eq!(look(&target).await, "3 items, 1 new; http: 200 OK");
    assert_eq!(new(&hook.asked()[1], "link"), ["https://a.b/e"]);
    assert_eq!(hook.asked().len(), 2);
    // Under other settings nothing is known.
    let other = FetchSettings { key: vec!["/title".to_owned()], report_first: true, ..settings.clone() };
    assert_eq!(look(&home.target(&other)).await, "3 items, 3 new; http: 200 OK");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_content_is_no_change_whatever_the_server_says_of_it() {
    let page = Page::default();
    page.set(None, r#"{"at": 1, "data": [{"id": 1}]}"#);
    let web = page.serve();
    let home = Home::new();
    let target = home.target(&settings(&web, Pick::Json("/data".to_owned()), None));
    assert_eq!(look(&target).await, "1 items, 1 new");
    page.set(None, r#"{"at": 2, "data": [{"id": 1}]}"#);
    assert_eq!(look(&target).await, "idle");
    page.set(Some("\"x\""), r#"{"at": 3, "data": [{"id": 1}]}"#);
    assert_eq!(look(&target).await, "idle");
    assert_eq!(look(&target).await, "idle");
    assert_eq!(web.asked()[3].header("if-none-match"), Some("\"x\""), "the newest validator is asked with");
    page.set(None, "[]");
    assert_eq!(look(&target).await, "failed: the answer has no `/data`");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_without_a_key_is_news_whenever_it_changes() {
    let (page, hook) = (Page::default(), Web::start(|_| ok("")));
    let web = page.serve();
    let home = Home::new();
    let target = home.target(&settings(&web, Pick::Html(".price".to_owned()), Some(&hook)));
    for (price, expected) in [
        ("10", "1 items, 1 new"),
        ("12", "1 items, 1 new; http: 200 OK"),
        ("10", "1 items, 1 new; http: 200 OK"),
    ] {
        page.set(None, &format!("<p>today <b class=price>{price} <i>元</i></b>"));
        assert_eq!(look(&target).await, expected);
        assert_eq!(look(&target).await, "idle");
    }
    assert_eq!(new(&hook.asked()[1], "text"), ["10 元"]);
    page.set(None, "<p>rebuilt");
    assert_eq!(look(&target).await, "failed: nothing on the page matches `.price`");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_done_is_not_remembered() {
    let page = Page::default();
    let answers = Arc::new(Mutex::new(vec!["200 OK", "503 Service Unavailable", "400 Bad Request"]));
    let hook = Web::start(move |_| status(answers.lock().unwrap().pop().unwrap(), ""));
    page.set(Some("\"1\""), &feed(&["a"]));
    let web = page.serve();
    let home = Home::new();
    let target = home.target(&settings(&web, Pick::Feed, Some(&hook)));
    look(&target).await;
    page.set(Some("\"2\""), &feed(&["b", "a"]));
    assert_eq!(look(&target).await, "failed: http: answered 400 Bad Request");
    assert_eq!(look(&target).await, "failed: http: answered 503 Service Unavailable");
    assert_eq!(look(&target).await, "2 items, 1 new; http: 200 OK");
    assert_eq!(look(&target).await, "idle");
    let hooked: Vec<_> = hook.asked().iter().map(|asked| new(asked, "id")).collect();
    assert_eq!(hooked, [["b"], ["b"], ["b"]]);
    let asked: Vec<_> =
        web.asked().iter().map(|asked| asked.header("if-none-match").map(str::to_owned)).collect();
    let known = |etag: &str| Some(etag.to_owned());
    assert_eq!(asked, [None, known("\"1\""), known("\"1\""), known("\"1\""), known("\"2\"")]);
}

fn save(columns: &[(&str, &str)]) -> SaveSettings {
    SaveSettings {
        database: "main".to_owned(),
        table: "news".to_owned(),
        key: vec!["guid".to_owned()],
        columns: columns.iter().map(|(name, path)| ((*name).to_owned(), (*path).to_owned())).collect(),
    }
}

const ENTRY: [(&str, &str); 3] = [("guid", "/id"), ("title", "/title"), ("published", "/published")];

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_saved_before_anything_is_remembered() {
    let home = Home::new();
    let path = home.folder.path().join("news.db");
    let file = rusqlite::Connection::open(&path).unwrap();
    let page = Page::default();
    page.set(Some("\"1\""), r#"[{"id": 1, "title": "a"}, {"id": 2, "title": "b"}]"#);
    let web = page.serve();
    let settings =
        FetchSettings { save: Some(save(&ENTRY)), ..settings(&web, Pick::Json(String::new()), None) };
    let database = DatabaseSettings::Sqlite(SqliteSettings { path, create_with: None });
    let database = Some(Database::new(&database, Access::Full).unwrap());
    let target = Target::fetch(&settings, &host(), Links { database, ..home.links() }).unwrap();
    let failed = look(&target).await;
    assert!(
        failed.starts_with("failed: could not save to `news`: ") && failed.contains("no such table"),
        "{failed}"
    );
    file.execute_batch("CREATE TABLE news (guid INTEGER PRIMARY KEY, title TEXT, published TEXT)").unwrap();
    let (outcome, _) = run(&target, "").await;
    assert_eq!(outcome.message.as_deref(), Some("2 items, 2 new; 2 rows inserted, 0 updated"));
    let saved = json!({ "inserted": 2, "updated": 0, "unchanged": 0 });
    assert_eq!(outcome.result.unwrap(), json!({ "status": 200, "items": 2, "new": 2, "saved": saved }));
    assert_eq!(look(&target).await, "idle");
    page.set(
        Some("\"2\""),
        r#"[{"id": 2, "title": "B"}, {"id": 3, "title": null}, {"id": 1, "title": "a"}]"#,
    );
    assert_eq!(look(&target).await, "3 items, 1 new; 1 rows inserted, 1 updated");
    let all = "SELECT group_concat(guid || coalesce(title, '-')) FROM (SELECT * FROM news ORDER BY guid)";
    let rows: String = file.query_row(all, [], |row| row.get(0)).unwrap();
    assert_eq!(rows, "1a,2B,3-");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_is_saved_on_postgres() {
    let postgres = servers::postgres();
    let url = postgres.database();
    postgres.execute(&url, "CREATE TABLE news (guid text PRIMARY KEY, title text, published timestamptz)");
    let read = || {
        postgres.execute(&url, "SELECT string_agg(concat(guid, title, published AT TIME ZONE 'UTC'), ',' ORDER BY guid) FROM news")
    };
    a_feed_is_saved(&DatabaseSettings::Postgres(server_settings(&url)), read).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_is_saved_on_mariadb() {
    let mariadb = servers::mariadb();
    let url = mariadb.database();
    mariadb
        .execute(&url, "CREATE TABLE news (guid varchar(190) PRIMARY KEY, title text, published datetime)");
    let read = || {
        mariadb.execute(&url, "SELECT group_concat(concat(guid, title, published) ORDER BY guid) FROM news")
    };
    a_feed_is_saved(&DatabaseSettings::MySql(server_settings(&url)), read).await;
}

async fn a_feed_is_saved(database: &DatabaseSettings, read: impl Fn() -> String) {
    let page = Page::default();
    let web = page.serve();
    let home = Home::new();
    let settings = FetchSettings { save: Some(save(&ENTRY)), ..settings(&web, Pick::Feed, None) };
    let database = Some(Database::new(database, Access::Full).unwrap());
    let target = Target::fetch(&settings, &host(), Links { database, ..home.links() }).unwrap();
    page.set(None, &feed(&["a"]));
    assert_eq!(look(&target).await, "1 items, 1 new; 1 rows inserted, 0 updated");
    page.set(None, &feed(&["b", "a"]));
    assert_eq!(look(&target).await, "2 items, 1 new; 1 rows inserted, 0 updated");
    assert_eq!(look(&target).await, "idle");
    assert_eq!(read().trim_end(), "aTa2026-06-01 01:00:00,bTb2026-06-01 01:00:00");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_goes_to_a_wecom_group_or_out_as_a_mail() {
    let page = Page::default();
    page.set(None, &feed(&["a", "b"]));
    let web = page.serve();
    let robot = Web::start(|_| ok(r#"{"errcode":0,"errmsg":"ok"}"#));
    let content =
        "{% for entry in new %}[{{ entry.title }}]({{ entry.link }})\n{% endfor %}{{ items | length }}";
    let content = TemplateSource { origin: "content".to_owned(), text: content.to_owned() };
    let then = FollowSettings::WecomRobot(WecomRobotSettings {
        url: Secret::new(robot.url("/send?key=4711-0815")),
        kind: WecomKind::Markdown,
        content: content.clone(),
    });
    let base = FetchSettings { report_first: true, ..settings(&web, Pick::Feed, None) };
    let home = Home::new();
    let to_robot = home.target(&FetchSettings { then: Some(then), ..base.clone() });
    assert_eq!(look(&to_robot).await, "2 items, 2 new; wecom_robot: errcode 0");
    let body: Value = serde_json::from_str(&robot.asked()[0].body).unwrap();
    assert_eq!(body["markdown"]["content"], "[Ta](https://a.b/a)\n[Tb](https://a.b/b)\n2");

    let home = Home::new();
    let mail = MailSettings {
        via: "outbox".to_owned(),
        from: None,
        to: "ops@example.com".to_owned(),
        reply_to: None,
        subject: "{{ new | length }} new".to_owned(),
        text: Some(content),
        html: None,
        list_unsubscribe: None,
        extras: MailExtras::default(),
    };
    let folder = home.folder.path().join("outbox");
    let route = MailRoute::Maildir(folder.clone());
    let transport = MailTransportSettings { route, from: "gulou@example.com".to_owned(), dkim: None };
    let transport = Some(Transport::open(&transport, Clock::system()));
    let settings = FetchSettings { then: Some(FollowSettings::Mail(Box::new(mail))), ..base };
    let target = Target::fetch(&settings, &host(), Links { transport, ..home.links() }).unwrap();
    assert!(look(&target).await.starts_with("2 items, 2 new; mail: "));
    let mails: Vec<_> = std::fs::read_dir(folder.join("new")).unwrap().collect();
    assert_eq!(mails.len(), 1);
    let text = std::fs::read_to_string(mails[0].as_ref().unwrap().path()).unwrap();
    assert!(text.contains("Subject: 2 new") && text.contains("[Tb](https://a.b/b)"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_remembered_is_bounded_and_never_less_than_the_page() {
    let page = Page::default();
    let list =
        |from: u32, to: u32| json!((from..to).map(|id| json!({ "id": id })).collect::<Vec<_>>()).to_string();
    let web = page.serve();
    let home = Home::new();
    let keyed =
        FetchSettings { key: vec!["/id".to_owned()], ..settings(&web, Pick::Json(String::new()), None) };
    let target = home.target(&keyed);
    for (from, to, new) in [
        (0, 6000, 6000),
        (1, 6000, 0),
        (6000, 10_000, 4000),
        // A thousand of the first page are still known: 1 to 1000.
        (500, 1500, 499),
    ] {
        page.set(None, &list(from, to));
        assert_eq!(look(&target).await, format!("{} items, {new} new", to - from));
    }
}

#[test]
fn a_page_that_takes_long_to_read_is_left_when_the_run_is_told_to_end() {
    // The only thread for what takes long is busy: what is read there is not read yet.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(1).build().unwrap();
    let (release, busy) = std::sync::mpsc::channel::<()>();
    let web = Web::start(|_| ok("<html>"));
    let home = Home::new();
    let target = home.target(&settings(&web, Pick::Json(String::new()), None));
    runtime.block_on(async {
        let holding = tokio::task::spawn_blocking(move || busy.recv());
        let recorder = Recorder::new();
        let context = recorder.context.clone();
        let running = tokio::spawn(async move { target.run(&fire(""), &context).await });
        recorder.wait_for_note("200 OK").await;
        recorder.context.abort.cancel();
        assert_eq!(running.await.unwrap().status, Status::Interrupted);
        drop(release);
        holding.await.unwrap().unwrap_err();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_cannot_be_had_says_why_and_ends_when_it_is_told_to() {
    let web = Web::start(|asked| match asked.path.as_str() {
        "/odd" => Answer::Bytes(b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec()),
        "/gone" => status("404 Not Found", "no such page"),
        "/html" => ok("<html>"),
        _ => Answer::Silence,
    });
    let home = Home::new();
    let at = |path: &str| FetchSettings {
        request: request("GET", &web.url(path), HttpBody::Empty),
        ..settings(&web, Pick::Feed, None)
    };
    assert_eq!(look(&home.target(&at("/odd"))).await, "failed: answered 304 Not Modified");
    assert_eq!(look(&home.target(&at("/gone"))).await, "failed: answered 404 Not Found: no such page");
    let failed = look(&home.target(&at("/html"))).await;
    assert!(failed.starts_with("failed: the answer is not a feed: "), "{failed}");
    let recorder = Recorder::new();
    let (context, target) = (recorder.context.clone(), home.target(&at("/silence")));
    let running = tokio::spawn(async move { target.run(&fire(""), &context).await });
    web.wait_for(4);
    recorder.context.abort.cancel();
    assert_eq!(running.await.unwrap().status, Status::Interrupted);
    web.wait_for_hang_up();
}
