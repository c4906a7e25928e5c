//! What is said about a manual fire: the order, and the run line by line.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::run::{Outcome, Stream};

/// Body of `POST fire`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fire {
    /// The function.
    pub function: String,
    /// One of its triggers; the first if none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// In the place of a timer's event. `null` is an event too.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub event: Option<Value>,
}

/// What stands there, `null` included.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// A line of the answer of `POST fire`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FireLine {
    /// The first.
    Claimed {
        /// The run's number.
        run: i64,
        /// It waits for room.
        waits: bool,
    },
    /// A line of output.
    Output {
        /// `stdout`, `stderr` or `system`.
        stream: String,
        /// Without its end.
        line: String,
    },
    /// The last.
    Ended {
        /// What the run came to.
        ended: Ended,
    },
    /// The last, when there is no run to speak of.
    Error {
        /// Why.
        error: String,
    },
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// `succeeded`, `failed`, `timed-out` or `interrupted`.
    pub status: String,
    /// One line for people.
    pub message: Option<String>,
    /// What a function returned, or the account of a batch.
    pub result: Option<Value>,
}

impl FireLine {
    /// A line of output.
    pub fn output(stream: Stream, line: String) -> Self {
        Self::Output { stream: stream.as_str().to_owned(), line }
    }

    /// The end of a run.
    pub fn ended(outcome: Outcome) -> Self {
        Self::Ended { ended: outcome.into() }
    }
}

impl From<Outcome> for Ended {
    fn from(outcome: Outcome) -> Self {
        let Outcome { status, message, result, .. } = outcome;
        Self { status: status.as_str().to_owned(), message, result }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_lines_of_a_fire_are_told_apart() {
        let outcome = Outcome::succeeded(Some(json!({ "error": "is a key of its own", "run": 3 })));
        let lines = [
            (FireLine::Claimed { run: 7, waits: false }, json!({ "run": 7, "waits": false })),
            (
                FireLine::output(Stream::System, "END".to_owned()),
                json!({ "stream": "system", "line": "END" }),
            ),
            (
                FireLine::ended(outcome),
                json!({ "ended": { "status": "succeeded", "message": null,
                                   "result": { "error": "is a key of its own", "run": 3 } } }),
            ),
            (FireLine::Error { error: "no".to_owned() }, json!({ "error": "no" })),
        ];
        for (line, shape) in lines {
            assert_eq!(serde_json::to_value(&line).unwrap(), shape);
            assert_eq!(serde_json::from_value::<FireLine>(shape).unwrap(), line);
        }
    }

    #[test]
    fn keys_of_a_later_version_are_passed_over() {
        let text = r#"{ "run": 7, "waits": true, "node": "a" }"#;
        assert_eq!(
            serde_json::from_str::<FireLine>(text).unwrap(),
            FireLine::Claimed { run: 7, waits: true }
        );
    }
}
