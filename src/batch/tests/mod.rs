//! The promise of batches, tested with real SQLite files and an action whose outcomes are scripted.

mod balance;
mod crash;
mod digest;
mod fuse;
mod lane;
mod outage;
mod outcomes;
mod preview;
mod quota;
mod source_conformance;
mod sources;
mod stops;
mod sweep;
mod world;

pub(super) use fuse::Fuse;
