//! A page that is looked at again and again, and what happens when it has changed.

use super::{HttpSettings, MailSettings, WecomRobotSettings};

/// A page, what of it counts, and what follows a change.
#[derive(Clone, Debug, PartialEq)]
pub struct FetchSettings {
    /// How it is asked for.
    pub request: HttpSettings,
    /// What of it counts.
    pub pick: Pick,
    /// Paths within an item that tell items apart. Empty: the items of a feed by their ids, others as a whole.
    pub key: Vec<String>,
    /// What is new is said of the first look as well; else the first look only remembers.
    pub report_first: bool,
    /// The table that has the items.
    pub save: Option<SaveSettings>,
    /// What is done about a change.
    pub then: Option<FollowSettings>,
}

/// What of a page counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pick {
    /// All of it, as a text.
    Whole,
    /// What this JSON pointer (RFC 6901) points to. The elements of an array are the items; anything else is one item.
    Json(String),
    /// The elements that this CSS selector matches.
    Html(String),
    /// The entries of an RSS, Atom or JSON feed.
    Feed,
}

/// A table that has a row for each item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaveSettings {
    /// A name in [`super::Settings::databases`].
    pub database: String,
    /// The table.
    pub table: String,
    /// The columns of a unique index.
    pub key: Vec<String>,
    /// Columns, and the paths of their values within an item.
    pub columns: Vec<(String, String)>,
}

/// What is done about a change.
#[derive(Clone, Debug, PartialEq)]
pub enum FollowSettings {
    /// A request.
    Http(Box<HttpSettings>),
    /// A message to a WeCom group.
    WecomRobot(WecomRobotSettings),
    /// A mail.
    Mail(Box<MailSettings>),
}
