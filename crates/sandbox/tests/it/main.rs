//! Runs real commands through the driver example, in namespaces, chroots and containers.

mod chroot;
mod namespaces;
mod rootswap;
mod support;
mod user;
