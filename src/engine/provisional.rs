//! Stands in for the engine's own handle until the loop obeys orders.

use super::handle::{Handle, Order};

/// A handle whose every change is taken over, and has no effect.
pub(crate) fn provisional_handle() -> Handle {
    let (handle, mut orders) = Handle::new();
    tokio::spawn(async move {
        while let Some(order) = orders.recv().await {
            if let Order::Apply(_, reply) = order {
                let _ = reply.send(Ok(()));
            }
        }
    });
    handle
}
