//! What goes wrong with a server, and what may be tried again.

use mysql_async::{DriverError, Error};

/// What went wrong, before it is known on which server.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The server refused, or the way to it broke.
    MySql(Error),
    /// What was asked does not fit the tables.
    Mismatch(String),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Driver(DriverError::MixedParams | DriverError::Params(_)) => Self::ambiguous(),
            error => Self::MySql(error),
        }
    }
}

impl Fault {
    /// The library reads statements too, and finds parameters where a few rare spellings have none: `5-':no'`.
    pub(super) fn ambiguous() -> Self {
        let what = "the condition or query has a `:` or `?` in a text that cannot be told from a parameter; put a space \
                    in front of the text";
        Self::Mismatch(what.to_owned())
    }

    /// The connection is gone.
    pub(super) fn is_lost(&self) -> bool {
        match self {
            Self::Mismatch(_) => false,
            Self::MySql(Error::Io(_) | Error::Driver(DriverError::ConnectionClosed)) => true,
            // The server shuts down, an administrator ended the connection, or it was idle for too long.
            Self::MySql(error) => matches!(code(error), Some(1053 | 1927 | 4031)),
        }
    }

    /// The server does not prepare statements of this kind.
    pub(super) fn is_not_preparable(&self) -> bool {
        matches!(self, Self::MySql(error) if code(error) == Some(1295))
    }

    /// What went wrong, without the place.
    pub(super) fn words(self) -> String {
        match self {
            Self::MySql(error) => said(&error),
            Self::Mismatch(what) => what,
        }
    }

    /// Another transaction was in the way; the same may do on another try.
    pub(super) fn is_in_the_way(&self) -> bool {
        // Lock wait timeout; deadlock; the row changed since it was read.
        matches!(self, Self::MySql(error) if matches!(code(error), Some(1205 | 1213 | 1020)))
    }
}

/// There is no such table, or no such database.
pub(super) fn is_missing(error: &Error) -> bool {
    matches!(code(error), Some(1146 | 1049))
}

fn code(error: &Error) -> Option<u16> {
    match error {
        Error::Server(error) => Some(error.code),
        _ => None,
    }
}

/// The server's or the system's own words.
pub(super) fn said(error: &Error) -> String {
    match error {
        Error::Server(error) => error.message.clone(),
        Error::Driver(DriverError::ConnectionClosed) => "the server closed the connection".to_owned(),
        Error::Driver(DriverError::NoClientSslFlagFromServer) => {
            "the server offers no TLS; set it up there, or write `\"tls\": \"off\"`".to_owned()
        }
        Error::Driver(error) => error.to_string(),
        Error::Io(mysql_async::IoError::Io(error)) => error.to_string(),
        Error::Io(mysql_async::IoError::Tls(error)) => format!("TLS: {error}"),
        other => other.to_string(),
    }
}
