//! Tests of the rules, without a daemon.

mod plan;
