//! Git repositories as contexts and as sources of ADD.

mod checkout;
mod credentials;
mod error;
mod library;
mod normalise;
mod program;
mod reference;
mod remote;
mod tool;

pub use checkout::{Checkout, CheckoutOptions};
pub use credentials::GitCredentials;
pub use error::GitError;
pub use library::GitLibrary;
pub use program::GitProgram;
pub use reference::{GitReference, GitReferenceError};
pub use remote::RemoteCommit;
pub use tool::GitTool;
