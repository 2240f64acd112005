//! The testkit's own parts, each tried against the programs that it stands beside.

mod base;
mod docker;
mod embedded;
mod registry;
