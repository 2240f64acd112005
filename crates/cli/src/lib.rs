//! The command line of yadokari: flags and environment become a build request, events and errors become text.
//!
//! `main` reads the [`environment::Environment`] and calls [`run`]. [`flags`] holds what was typed, [`convert`] gives it its
//! meaning as a [`convert::Job`], [`services`] chooses the implementations, [`command`] does the work, and [`console`] and
//! [`report`] are the only places that write for people. Nothing here is meant for use by other programs: the library exists
//! so that tests can look at each step.

mod advice;
mod amount;
mod app;
pub mod bake;
pub mod command;
pub mod console;
pub mod convert;
mod docker_config;
pub mod environment;
pub mod flags;
pub mod gitlab;
pub mod images;
pub mod interrupt;
mod logging;
pub mod report;
pub mod services;
mod trace;

pub use app::run;
