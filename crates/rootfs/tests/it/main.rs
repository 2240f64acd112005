//! What the crate promises, tried on real directories.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set itself up has failed"
)]

mod apply;
mod context;
mod disk;
mod hostile;
mod law;
mod mutator;
mod over;
mod overlay;
mod root;
mod snapshot;
mod unpack;
