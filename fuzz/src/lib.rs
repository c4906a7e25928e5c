//! What the fuzz targets share: the parts of the program that read text, compiled on their own (neither tokio nor SQLite
//! is instrumented for them), the tests' oracle, and expressions made of the fuzzer's bytes.

pub mod expression;
#[path = "../../tests/it/cron_oracle.rs"]
pub mod oracle;

#[path = "../../src"]
mod program {
    pub mod config;
    pub mod cron;
    pub mod folder;
    pub mod schedule;
    pub mod settings;
    pub mod spelling;
    pub mod sql;
}
pub use program::{config, cron, folder, schedule, settings, spelling, sql};
