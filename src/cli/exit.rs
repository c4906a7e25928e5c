//! Exit codes, as documented in the README.

/// All went well.
pub const OK: u8 = 0;
/// The work was tried and failed.
pub const FAILED: u8 = 1;
/// The command line was wrong (clap's own code).
pub const USAGE: u8 = 2;
/// The configuration is invalid; nothing was started.
pub const CONFIG: u8 = 3;
