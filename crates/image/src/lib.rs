//! Container images as plain data: names, digests, platforms, manifests and
//! configs, and the rules that hold them together.
//!
//! Nothing here does I/O. Types decode what registries and archives hold
//! (OCI and Docker schema 2), keep the fields they do not know, and encode in the
//! byte form that Go programs produce, so that an image built twice has one
//! digest.
//!
//! The main types are [`Reference`], [`Digest`] and [`DiffId`], [`Platform`],
//! [`Manifest`], [`Index`] and [`ImageConfig`]; [`validate()`] checks a whole image.

mod config;
mod descriptor;
mod digest;
pub mod json;
mod manifest;
pub mod media_type;
mod platform;
mod reference;
mod repository;
pub mod validate;

pub use config::{ContainerConfig, Empty, Healthcheck, History, ImageConfig, RootFs};
pub use descriptor::Descriptor;
pub use digest::{DiffId, Digest, DigestError};
pub use manifest::{DocumentError, Index, Manifest};
pub use platform::{Platform, PlatformError};
pub use reference::{Reference, ReferenceError};
pub use repository::Repository;
pub use validate::{Invalid, validate};

/// Fields that a document holds and this crate has no name for, in key order.
pub type Unknown = std::collections::BTreeMap<String, serde_json::Value>;
