//! kaniko's command line in a container that nobody privileged.

mod cache;
mod cache_mounts;
mod exit;
mod pairs;
mod publish;
mod reach;
mod root;
mod tls;
