//! What a look at a page would do, without looking.

use serde_json::json;

use crate::action::http::{HttpAction, HttpClients};
use crate::clock::Clock;
use crate::run::{Fire, Preview};
use crate::settings::{FetchSettings, FollowSettings, Pick};

/// What a run would do: the request, and what follows a change.
pub fn preview(settings: &FetchSettings, clients: &HttpClients, clock: &Clock, fire: &Fire) -> Preview {
    let mut preview = Preview { lines: Vec::new(), data: json!({ "target": "fetch" }), problem: None };
    let action = HttpAction::new(&settings.request, clients).map_err(|error| error.to_string());
    let request = action.and_then(|action| {
        action.render(&fire.values(), fire.fire_time, clock.now()).map_err(|error| error.to_string())
    });
    match request {
        Ok(request) => {
            preview.data["request"] = request.lines().into();
            preview.lines.extend(request.lines());
        }
        Err(problem) => {
            preview.problem = Some(problem);
            return preview;
        }
    }
    preview.lines.push(match &settings.pick {
        Pick::Whole => "looks at the whole answer".to_owned(),
        Pick::Json(pointer) => format!("looks at `{pointer}` of the JSON"),
        Pick::Html(selector) => format!("looks at what matches `{selector}`"),
        Pick::Feed => "looks at the entries of the feed".to_owned(),
    });
    if let Some(save) = &settings.save {
        let columns: Vec<&str> = save.columns.iter().map(|(column, _)| column.as_str()).collect();
        preview.lines.push(format!(
            "when it has changed: rows of `{}` ({}) in the database `{}`",
            save.table,
            columns.join(", "),
            save.database
        ));
    }
    let follow = settings.then.as_ref().map(|then| match then {
        FollowSettings::Http(_) => "a request",
        FollowSettings::WecomRobot(_) => "a message to a WeCom group",
        FollowSettings::Mail(_) => "a mail",
    });
    preview.lines.extend(follow.map(|what| format!("when it has changed: {what}")));
    preview
}
