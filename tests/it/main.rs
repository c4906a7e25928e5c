//! The one integration-test binary: a file a subject, and `support` for what they share.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod api_fire;
mod api_socket;
mod batch_cli;
mod batch_postgres;
mod config_databases;
mod config_errors;
mod config_period;
mod config_samples;
mod cron_allocations;
mod cron_clock_changes;
mod cron_conformance;
mod cron_count;
mod cron_differential;
mod cron_errors;
mod cron_explain;
mod cron_generator;
mod cron_next;
mod cron_oracle;
mod cron_properties;
mod cron_traps;
mod dry_run;
mod engine_runs;
mod layers;
mod mail_batch;
mod mail_maildir;
mod mail_message;
mod mail_smtp;
mod own_servers;
mod readme;
mod scenario_crash;
mod scenario_drain;
mod scenario_halt;
mod scenario_lane;
mod scenario_nonsense;
mod scenario_ordeal;
mod scenario_reload;
mod scenario_samples;
#[path = "../servers/mod.rs"]
mod servers;
mod store;
mod support;
mod target_command;
mod target_function;
mod target_harness;
mod target_supervision;
