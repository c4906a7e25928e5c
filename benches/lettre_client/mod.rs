//! `lettre` to be measured beside: one connection a lane, each with `TCP_NODELAY`, which its own pool does not set.

use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use gulou::clock::Clock;
use lettre::address::{Address, Envelope};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::extension::ClientId;
use tokio::net::TcpStream;

/// Sends `message` that often over `connections`; mails a second.
pub(crate) async fn send(address: SocketAddr, connections: usize, mails: u32, message: Vec<u8>) -> f64 {
    let message = Arc::new(message);
    let next = Arc::new(AtomicU32::new(0));
    let clock = Clock::system();
    let lanes: Vec<_> = (0..connections)
        .map(|_| {
            let (message, next) = (message.clone(), next.clone());
            tokio::spawn(async move {
                let stream = TcpStream::connect(address).await.unwrap();
                stream.set_nodelay(true).unwrap();
                let hello = ClientId::Ipv4([127, 0, 0, 1].into());
                let mut connection =
                    AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello).await.unwrap();
                let mailbox = |text| Address::from_str(text).unwrap();
                let envelope = Envelope::new(Some(mailbox("a@b.test")), vec![mailbox("u@ex.test")]).unwrap();
                while next.fetch_add(1, Ordering::Relaxed) < mails {
                    assert!(connection.send(&envelope, &message).await.unwrap().is_positive());
                }
                connection.quit().await.unwrap();
            })
        })
        .collect();
    for lane in lanes {
        lane.await.unwrap();
    }
    f64::from(mails) / clock.monotonic().as_secs_f64()
}
