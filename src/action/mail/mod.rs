//! Mail: templates to MIME, MIME to SMTP or to a Maildir.
