//! Connections to databases: one dialect a file.

pub mod sqlite;
