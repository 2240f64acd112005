//! Build contexts: where a build's files come from, and what they are.
//!
//! [`Source::parse`] reads what people write for a context, [`fetch`] turns it into a
//! [`BuildContext`], a directory handle, by using a directory in place, unpacking an
//! archive or checking out a git repository. [`BuildContext::files`] is the tree a COPY
//! sees: without what an ignore file hides, owned by root, hashed on demand.
//! [`find_dockerfile`] finds the Dockerfile and its ignore file.
//!
//! ADD has sources of its own: [`AddSource`] tells them apart, [`download`] and
//! [`GitTool::checkout`] fetch them.

mod add;
mod archive;
mod build_context;
mod content_digest;
mod dockerfile;
mod fetch;
mod files;
mod filter;
mod git;
mod http;
mod ignore;
mod object;
mod source;
#[cfg(test)]
mod testing;
mod text;
mod web;

pub use add::AddSource;
pub use archive::ArchiveError;
pub use build_context::{BuildContext, ContextError, ContextKind, keep_all};
pub use content_digest::{ContentHasher, Selected, UnhashedFile, selection_digest};
pub use dockerfile::{DockerfileError, DockerfileName, DockerfileSource, find_dockerfile};
pub use fetch::{FetchOptions, PullMethod, Stdin, fetch};
pub use files::{ContextFiles, hash_below};
pub use git::{
    Checkout, CheckoutOptions, GitCredentials, GitError, GitLibrary, GitProgram, GitReference,
    GitReferenceError, GitTool, RemoteCommit,
};
pub use http::{
    Asked, Download, HttpError, RemoteFile, Validators, authorization, download,
    download_if_changed, file_name, parse_checksum, shown_url,
};
pub use ignore::{IgnoreFile, ignore_file};
pub use object::{ObjectError, ObjectStores, ProfileError};
pub use source::{Source, SourceError};
pub use web::{Patience, Setback, Web};
