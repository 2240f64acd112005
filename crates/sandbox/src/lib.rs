//! Runs one command inside a root filesystem: [`RunSpec`] in, exit status out.
//!
//! Three ways of isolating the command, from the strongest to the simplest: own
//! namespaces with `pivot_root`, swapping the root filesystem's entries into the
//! container's own `/` by rename, and plain `chroot`. [`probe`] tries which of
//! them work here; [`Sandbox`] is the [`Runner`] for the one that was chosen.
//!
//! Nothing is forked from the calling process. [`Sandbox`] starts the calling
//! executable again with the argument [`HELPER_ARGUMENT`]; `main` must hand that
//! invocation to [`helper_main`] before it starts any thread. The helper restores
//! the container's root and kills every process of the command even when its
//! parent is killed; [`recover`] does so when the helper itself was.
//!
//! # What the caller must know about rootswap
//!
//! While a command runs in [`Isolation::Rootswap`], every path of the *calling*
//! process resolves in the command's root as well. Files that are needed
//! meanwhile must be open already, or lie in the state directory.

mod cancel;
mod capabilities;
mod chroot;
mod container;
mod control;
mod devices;
mod directory;
mod environment;
mod error;
mod etc;
mod helper;
mod kernel;
mod landlock;
mod launch;
mod lookup;
mod mounts;
mod namespaces;
mod nowhere;
mod overlay;
mod probe;
mod process;
mod reap;
mod rootswap;
mod runner;
mod sandbox;
mod seccomp;
mod spec;
mod stubs;
mod supervise;
mod userns;

pub use cancel::Cancel;
pub use container::{ContainerEvidence, ContainerHints};
pub use environment::conceal_environment;
pub use error::{Fault, RunError};
pub use helper::{HELPER_ARGUMENT, helper_main};
pub use nowhere::Nowhere;
pub use probe::{Attempt, Obstacle, Probe, probe};
pub use rootswap::{RecoverError, Recovered, occupant, recover};
pub use runner::{Abilities, Confinement, Exit, Note, Runner, Stream};
pub use sandbox::{Sandbox, Settings};
pub use spec::{
    Isolation, Mount, MountSource, Network, Overlay, OverlayMarks, ResolvConf, RunSpec, Security,
    Ulimit, User,
};
pub use userns::{IdMap, UserNamespace, UserNamespaceError, enter_user_namespace};
