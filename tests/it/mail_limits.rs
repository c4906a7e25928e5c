//! Limits towards a mail server: connections at a time.

use std::sync::Arc;
use std::time::Duration;

use gulou::action::mail::{MailAction, Timeouts};
use tokio::task::JoinSet;

use crate::support::letters::{action_by, action_on, kind, mail, patient, plain_smtp, servers};
use crate::support::smtp_server::{Manners, SmtpServer};

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
