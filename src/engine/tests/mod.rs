//! Tests of the rules, without a daemon.

mod clock;
mod facts;
mod lane;
mod memory;
mod memory_conformance;
mod plan;
mod regressions;
mod settings;
mod simulation;
mod world;
