//! Git repositories as contexts and as sources of ADD.

mod checkout;
mod command;
mod credentials;
mod normalise;
mod reference;
mod remote;

pub use checkout::{Checkout, CheckoutOptions};
pub use command::{GitError, GitTool};
pub use credentials::GitCredentials;
pub use reference::{GitReference, GitReferenceError};
pub use remote::RemoteCommit;
