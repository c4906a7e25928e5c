//! The promise of batches, tested with real SQLite files and an action whose outcomes are scripted.

mod crash;
mod fuse;
mod rows;
mod world;

pub(super) use fuse::Fuse;
