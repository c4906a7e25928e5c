//! Tests of the rules, without a daemon.

mod callers;
mod facts;
mod memory;
mod memory_conformance;
mod plan;
mod regressions;
mod settings;
mod simulation;
mod world;
