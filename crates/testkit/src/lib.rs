//! Real parts for tests: registries, base images, a Docker daemon, users, and the built executor.
//!
//! Nothing here is a mock. A [`Registry`] is a `docker-registry` process, [`Docker`] is a private `dockerd`, base
//! images are made from Debian packages, and images are judged by what `docker`, `skopeo` and `umoci` do with them.
//! [`EmbeddedRegistry`] is the one server written here: it needs nothing installed and no privilege.
//!
//! Everything started is stopped by its own process id when its value is dropped, and everything written lies in a
//! private temporary directory, so tests run in parallel. Base images are kept between runs in [`cache::directory`].
//! A test that needs something the machine lacks begins with [`skip_unless!`].
#![expect(
    clippy::disallowed_methods,
    reason = "tests are steered by the environment: CI, the target directory, the executor under test"
)]

pub mod base;
pub mod cache;
pub mod certificate;
pub mod digest;
pub mod docker;
pub mod embedded;
pub mod endpoint;
pub mod executor;
pub mod git_server;
pub mod layout;
pub mod listing;
pub mod mirror;
pub mod needs;
pub mod process;
pub mod registry;
pub mod tap;
pub mod terminal;
pub mod user;
pub mod validate;

pub use certificate::Authority;
pub use docker::{Container, Docker};
pub use embedded::EmbeddedRegistry;
pub use endpoint::{Endpoint, Login};
pub use git_server::{GitServer, Manners};
pub use layout::Layout;
pub use listing::Listing;
pub use mirror::Mirror;
pub use registry::Registry;
pub use tap::Tap;
pub use terminal::Terminal;
