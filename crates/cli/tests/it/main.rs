//! Tests of the command line: what was typed, what it means, what is shown.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests stand outside test functions"
)]

mod bake;
mod binary;
mod cache_mounts;
mod concealed;
mod console;
mod docker_flags;
mod dockerfile_errors;
mod doctor;
mod documents;
mod downloads;
mod gitlab;
mod given;
mod help;
mod images;
mod interrupts;
mod kaniko_effects;
mod kaniko_flags;
mod manual;
mod memory;
mod messages;
mod outputs;
mod place;
mod places;
mod progress;
mod redirects;
mod reference;
mod referrers;
mod refusals;
mod retention;
mod stages;
mod trace;
mod warnings;
mod web;
