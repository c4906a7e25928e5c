//! Limits towards a mail server: connections at a time, mails to one domain at a time.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use gulou::action::mail::{MailAction, Timeouts};
use gulou::settings::DomainLimits;
use tokio::task::JoinSet;

use crate::support::letters::{action_by, action_on, kind, mail, patient, plain_smtp, servers};
use crate::support::smtp_server::{Heard, Manners, Say, SmtpServer};

/// Three senders, each with eight connections if it gets them, send twenty mails each at once.
async fn crowd(server: &SmtpServer, connections: Option<usize>, timeouts: Timeouts) {
    let mut route = plain_smtp("127.0.0.1", server.port());
    servers(&mut route).server.connections = connections.map(|most| most.try_into().unwrap());
    let (_, transport) = action_by(route, timeouts);
    let senders: Vec<Arc<MailAction>> = (0..3).map(|_| Arc::new(action_on(&transport).over(8))).collect();
    assert_eq!(senders[0].at_once(), 3 * connections.map_or(8, |most| most.min(8)));
    for round in 0..3 {
        let mut mails = JoinSet::new();
        for (number, sender) in senders.iter().enumerate() {
            for index in 0..20 {
                let (sender, to) = (Arc::clone(sender), format!("u{round}-{number}-{index}@ex.test"));
                mails.spawn(async move { sender.deliver(&mail(&sender, &to, "hi")).await });
            }
        }
        let outcomes = mails.join_all().await;
        assert!(outcomes.iter().all(|outcome| kind(outcome) == "sent"), "{outcomes:?}");
    }
    transport.close().await;
    assert_eq!(server.seen().recipients().len(), 180);
}

#[tokio::test]
async fn a_server_gets_no_more_connections_than_it_should() {
    for most in [1, 3] {
        let server = SmtpServer::start(Manners::kind());
        crowd(&server, Some(most), patient()).await;
        assert_eq!(server.seen().most_connections, most);
    }
    let server = SmtpServer::start(Manners::kind());
    crowd(&server, None, patient()).await;
    assert!(server.seen().most_connections >= 8, "nobody wanted more: nothing was tested");
}

/// One that says goodbye counts until it is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_come_and_go_are_counted_too() {
    for _ in 0..20 {
        let server = SmtpServer::start(Manners::kind());
        crowd(&server, Some(2), Timeouts { idle: Duration::ZERO, ..patient() }).await;
        let seen = server.seen();
        assert!(seen.most_connections <= 2, "{} at a time", seen.most_connections);
    }
}

/// A sender with so many connections, and limits of domains.
fn limited(
    server: &SmtpServer,
    connections: usize,
    default: Option<usize>,
    of: &[(&str, usize)],
) -> Arc<MailAction> {
    let number = |most: usize| most.try_into().unwrap();
    let domains =
        of.iter().map(|(domain, most)| ((*domain).to_owned(), number(*most))).collect::<BTreeMap<_, _>>();
    let mut route = plain_smtp("127.0.0.1", server.port());
    servers(&mut route).per_domain = Some(DomainLimits { default: default.map(number), domains });
    Arc::new(action_by(route, patient()).0.over(connections))
}

fn start(sender: &Arc<MailAction>, mails: &mut JoinSet<&'static str>, to: String) {
    let sender = Arc::clone(sender);
    mails.spawn(async move { kind(&sender.deliver(&mail(&sender, &to, "hi")).await) });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_domain_gets_no_more_mails_at_a_time_than_it_should() {
    const DOMAINS: [&str; 4] = ["x.test", "QQ.com", "qq.COM", "y.test"];
    let most_of = async |default, of: &[(&str, usize)]| {
        let server = SmtpServer::start(Manners::kind());
        let (sender, mut mails) = (limited(&server, 8, default, of), JoinSet::new());
        for index in 0..200 {
            start(&sender, &mut mails, format!("u{index}@{}", DOMAINS[index % DOMAINS.len()]));
        }
        assert!(mails.join_all().await.iter().all(|outcome| *outcome == "sent"));
        let seen = server.seen();
        assert_eq!(seen.recipients().len(), 200);
        seen.domains.into_iter().map(|(domain, (_, most))| (domain, most)).collect::<BTreeMap<_, _>>()
    };
    let most = most_of(Some(2), &[("qq.com", 1)]).await;
    assert_eq!(most["qq.com"], 1);
    assert!(most["x.test"] <= 2 && most["y.test"] <= 2, "{most:?}");
    let most = most_of(None, &[("x.test", 1)]).await;
    assert_eq!(most["x.test"], 1);
    assert!(most["qq.com"] > 1, "nothing limits it, and it never had two: nothing was tested");
}

/// Holds up whoever comes until it is opened. A test that fails opens it too.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn pass(&self) {
        let (open, opened) = &*self.0;
        drop(opened.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

/// All lanes would be full of the slow domain if its mails waited in them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_domains_go_on_while_one_is_slow() {
    let gate = Gate::default();
    let held = gate.clone();
    // Without PIPELINING a connection has one mail, so that none is behind a slow one by chance.
    let manners = Manners::new(move |_, heard| {
        if matches!(heard, Heard::Body(body) if String::from_utf8_lossy(body).contains("@slow.test")) {
            held.pass();
        }
        Say::Usual
    });
    let server = SmtpServer::start(manners.offering(&[]));
    let gate = gate;
    let sender = limited(&server, 4, None, &[("slow.test", 2)]);
    let (mut slow, mut others) = (JoinSet::new(), JoinSet::new());
    for index in 0..12 {
        start(&sender, &mut slow, format!("u{index}@slow.test"));
    }
    server.wait_until("two mails to the slow domain", |seen| {
        seen.domains.get("slow.test").is_some_and(|(now, _)| *now == 2)
    });
    for index in 0..50 {
        start(&sender, &mut others, format!("u{index}@fast.test"));
    }
    assert!(others.join_all().await.iter().all(|outcome| *outcome == "sent"));
    assert!(slow.try_join_next().is_none());
    drop(gate);
    assert!(slow.join_all().await.iter().all(|outcome| *outcome == "sent"));
    let seen = server.seen();
    assert_eq!((seen.recipients().len(), seen.domains["slow.test"].1), (62, 2));
}

#[tokio::test]
async fn those_that_wait_for_their_domain_are_beside_what_fills_the_connections() {
    let server = SmtpServer::start(Manners::kind());
    assert_eq!(limited(&server, 4, Some(1), &[]).at_once(), 4 * 12);
}
