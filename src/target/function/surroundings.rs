//! What user code finds around it: the variables of its process, as the cloud sets them for a timer.
//!
//! The cloud's SDK (`wx-server-sdk`) reads them: `getWXContext()` answers `APPID`, `ENV` and `SOURCE` from here. What only
//! the inside of the cloud has is left out, `TENCENTCLOUD_RUNENV` above all: it would send the SDK to servers that
//! nobody else reaches.

use crate::settings::{CodeSettings, Secret};

/// The environment that the function belongs to; the user's to name, as `TCB_ENV`.
pub fn namespace(settings: &CodeSettings) -> &str {
    ["TCB_ENV", "SCF_NAMESPACE"]
        .iter()
        .find_map(|name| settings.env.get(*name))
        .map_or("default", Secret::reveal)
}

/// The variables of a worker beside the daemon's own. The user's come last, and win.
pub fn variables(settings: &CodeSettings, app_id: Option<&str>) -> Vec<(String, String)> {
    let ours = [
        // So that a function formats dates here as it did there.
        ("TZ", "UTC"),
        ("SCF_NAMESPACE", namespace(settings)),
        ("TRIGGER_SRC", "timer"),
        ("TCB_SOURCE", "wx_trigger"),
        // Without it the SDK answers nothing at all.
        ("WX_CONTEXT_KEYS", "WX_APPID"),
    ];
    let ours = ours.into_iter().chain(app_id.map(|id| ("WX_APPID", id)));
    let user = settings.env.iter().map(|(name, value)| (name.as_str(), value.reveal()));
    ours.chain(user).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
