//! Runs real commands through the driver example, in namespaces, chroots and containers.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail and skip as tests do"
)]

mod chroot;
mod guarded;
mod namespaces;
mod overlay;
mod rootswap;
mod support;
mod user;
