//! What a call carries: the event, and the context of the cloud's contract.

use serde_json::{Map, Value, json};

use super::surroundings::namespace;
use crate::run::Fire;
use crate::settings::CodeSettings;

/// The context of a call, as Tencent's cloud hands it to Node.js functions
/// (<https://cloud.tencent.com/document/product/583/11060>), and ours: `reason`, `attempt`, `missed`. The worker
/// adds `callbackWaitsForEmptyEventLoop`.
pub fn context(fire: &Fire, settings: &CodeSettings) -> Value {
    // Two spellings of the same: `a=1;b=2` on the cloud's old stack, JSON in a string on its new one.
    let environ: Vec<String> =
        settings.env.iter().map(|(name, value)| format!("{name}={}", value.reveal())).collect();
    let environment: Map<String, Value> =
        settings.env.iter().map(|(name, value)| (name.clone(), value.reveal().into())).collect();
    json!({
        "request_id": fire.request_id,
        "requestId": fire.request_id,
        "function_name": fire.function,
        "function_version": "$LATEST",
        "memory_limit_in_mb": settings.memory_mb,
        "time_limit_in_ms": u64::try_from(settings.timeout.as_millis()).unwrap_or(u64::MAX),
        "namespace": namespace(settings),
        "environ": environ.join(";"),
        "environment": Value::from(environment).to_string(),
        "reason": fire.reason.as_str(),
        "attempt": fire.attempt,
        "missed": fire.missed,
    })
}

/// The call, as the worker gets it.
pub fn request(fire: &Fire, settings: &CodeSettings) -> Vec<u8> {
    json!({ "event": fire.event(), "context": context(fire, settings) }).to_string().into_bytes()
}
