//! ssh agents for `RUN --mount=type=ssh`: what `--ssh` names, served to a command over a socket of its own.
//!
//! A command never gets the socket of the user's agent. It gets one that answers two questions, which keys there are and
//! what a signature of them looks like, either from key files that were read or by asking the user's agent. So a command
//! cannot add, remove or lock keys, and the socket has the owner and mode the mount asks for.
//!
//! - [`Agents`]: what was given on the command line, opened and read before the build begins
//! - `serve`: the socket
//! - `key`, `openssh`, `der`, `pem`: private keys and their files
//! - `wire`: the encoding of the agent protocol and of OpenSSH's files

mod der;
mod key;
mod openssh;
mod pem;
mod serve;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use key::Identity;
pub(crate) use serve::{Access, Served, serve};

/// A key file larger than this is something else.
const MAX_KEY_FILE: u64 = 100 * 1024;

/// All agents of a build by their ids.
#[derive(Debug, Clone, Default)]
pub(crate) struct Agents(BTreeMap<String, Arc<Agent>>);

/// What answers for the keys of one id.
#[derive(Debug)]
pub(crate) enum Agent {
    /// The agent behind a socket.
    Socket(PathBuf),
    /// Keys that were read from files.
    Keys(Vec<Identity>),
}

/// Why an agent cannot be offered to commands.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SshError {
    /// What `--ssh` names cannot be read.
    #[error("--ssh {id}: cannot read {path}")]
    Unreadable {
        /// The agent's id.
        id: String,
        /// The socket or key file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not a private key.
    #[error("--ssh {id}: {path} holds no private key that can be used: {reason}")]
    Unusable {
        /// The agent's id.
        id: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: KeyError,
    },
    /// Several sockets for one id.
    #[error("--ssh {id}: only one socket can answer for an id")]
    SeveralSockets {
        /// The agent's id.
        id: String,
    },
    /// A socket and key files for one id.
    #[error("--ssh {id}: an id is either a socket or key files, not both")]
    Mixed {
        /// The agent's id.
        id: String,
    },
}

/// What is wrong with a private key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file is too large for a key.
    #[error("it is larger than 100 KiB")]
    TooLarge,
    /// There is no PEM block.
    #[error("it has no line `-----BEGIN … PRIVATE KEY-----`")]
    NoKey,
    /// The key needs a passphrase.
    #[error("it is protected by a passphrase")]
    Encrypted,
    /// The data does not decode.
    #[error("it is damaged")]
    Damaged,
    /// Another kind of key than those that can sign here.
    #[error(
        "its kind is {0}, and only ed25519, RSA of 2048 to 4096 bits, and ECDSA on P-256 and P-384 are supported"
    )]
    Unsupported(String),
}

impl SshError {
    /// What to do about it, where something can be said.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unusable {
                id,
                path,
                reason: KeyError::Encrypted,
            } => Some(format!(
                "nobody can be asked for the passphrase here: unlock it with `ssh-add {}` and pass the agent with `--ssh {id}=$SSH_AUTH_SOCK`",
                path.display()
            )),
            Self::SeveralSockets { .. } | Self::Mixed { .. } => {
                Some("give each its own id, as in --ssh first=PATH --ssh second=PATH".to_owned())
            }
            _ => None,
        }
    }
}

impl Agents {
    /// Opens what the command line names. Files are read here, once: a missing or unusable key ends a build before it begins.
    ///
    /// # Errors
    ///
    /// If a path cannot be read, or is neither a socket nor an unprotected private key.
    pub(crate) fn open(given: &BTreeMap<String, Vec<PathBuf>>) -> Result<Self, SshError> {
        let open = |(id, paths): (&String, &Vec<PathBuf>)| {
            Ok((id.clone(), Arc::new(Agent::open(id, paths)?)))
        };
        given.iter().map(open).collect::<Result<_, _>>().map(Self)
    }

    /// The agent of an id.
    pub(crate) fn get(&self, id: &str) -> Option<&Arc<Agent>> {
        self.0.get(id)
    }
}

impl Agent {
    fn open(id: &str, paths: &[PathBuf]) -> Result<Self, SshError> {
        let mut sockets = Vec::new();
        let mut keys = Vec::new();
        for path in paths {
            if is_socket(id, path)? {
                sockets.push(path.clone());
            } else {
                keys.push(read_key(id, path)?);
            }
        }
        let id = id.to_owned();
        match (sockets.len(), keys.is_empty()) {
            (0, _) => Ok(Self::Keys(keys)),
            (1, true) => Ok(Self::Socket(sockets.remove(0))),
            (_, true) => Err(SshError::SeveralSockets { id }),
            (_, false) => Err(SshError::Mixed { id }),
        }
    }
}

fn is_socket(id: &str, path: &Path) -> Result<bool, SshError> {
    let metadata = fs::metadata(path).map_err(|source| unreadable(id, path, source))?;
    Ok(metadata.file_type().is_socket())
}

fn read_key(id: &str, path: &Path) -> Result<Identity, SshError> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|source| unreadable(id, path, source))?;
    file.take(MAX_KEY_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| unreadable(id, path, source))?;
    let parsed = if bytes.len() as u64 > MAX_KEY_FILE {
        Err(KeyError::TooLarge)
    } else {
        Identity::parse(&bytes)
    };
    parsed.map_err(|reason| SshError::Unusable {
        id: id.to_owned(),
        path: path.to_owned(),
        reason,
    })
}

fn unreadable(id: &str, path: &Path, source: io::Error) -> SshError {
    SshError::Unreadable {
        id: id.to_owned(),
        path: path.to_owned(),
        source,
    }
}
