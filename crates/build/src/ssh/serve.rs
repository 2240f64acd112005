//! The socket that a command talks to, and the few requests it answers.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

use super::Agent;
use super::key::Identity;
use super::wire::{Reader, Writer};

/// Who may connect to a socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Access {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// A socket that is answered as long as this lives.
#[derive(Debug)]
pub(crate) struct Served(JoinHandle<()>);

impl Drop for Served {
    fn drop(&mut self) {
        self.0.abort();
    }
}

// Message numbers of the agent protocol (RFC 9987, section 5.1).
const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// Messages are never larger; OpenSSH has the same bound.
const MAX_MESSAGE: usize = 256 * 1024;

/// Makes a socket at `path` and answers for an agent there.
pub(crate) fn serve(agent: Arc<Agent>, path: &Path, access: Access) -> io::Result<Served> {
    let listener = bind(path)?;
    chown(path, Some(access.uid), Some(access.gid))?;
    std::fs::set_permissions(path, Permissions::from_mode(access.mode))?;
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    Ok(Served(tokio::spawn(accept(listener, agent))))
}

/// A socket's path may have some 100 bytes only, so it is given relative to its directory.
fn bind(path: &Path) -> io::Result<StdListener> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let directory = File::open(directory)?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
    StdListener::bind(short.join(name))
}

/// Every connection is answered on a task of its own; they all end with this one.
async fn accept(listener: UnixListener, agent: Arc<Agent>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(converse(stream, Arc::clone(&agent)));
        while connections.try_join_next().is_some() {}
    }
}

/// Answers until the other side goes away. A connection that fails is the command's to notice.
async fn converse(mut stream: UnixStream, agent: Arc<Agent>) -> io::Result<()> {
    let mut behind = Behind::default();
    while let Some(request) = read_message(&mut stream).await? {
        let answer = match &*agent {
            _ if !is_harmless(&request) => failure(),
            Agent::Keys(keys) => answer(keys, &request),
            Agent::Socket(path) => behind.ask(path, &request).await.unwrap_or_else(|error| {
                tracing::debug!(%error, "asking the ssh agent");
                failure()
            }),
        };
        write_message(&mut stream, &answer).await?;
    }
    Ok(())
}

/// Everything else would change the agent, or is an extension nobody here can judge.
fn is_harmless(request: &[u8]) -> bool {
    matches!(request.first(), Some(&(REQUEST_IDENTITIES | SIGN_REQUEST)))
}

/// The user's agent, connected to when it is first asked.
#[derive(Default)]
struct Behind(Option<UnixStream>);

impl Behind {
    async fn ask(&mut self, path: &Path, request: &[u8]) -> io::Result<Vec<u8>> {
        let mut stream = match self.0.take() {
            Some(stream) => stream,
            None => UnixStream::connect(path).await?,
        };
        write_message(&mut stream, request).await?;
        let answer = read_message(&mut stream).await?;
        self.0 = Some(stream);
        answer.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

fn answer(keys: &[Identity], request: &[u8]) -> Vec<u8> {
    match request.split_first() {
        Some((&REQUEST_IDENTITIES, _)) => identities(keys),
        Some((&SIGN_REQUEST, fields)) => signature(keys, fields).unwrap_or_else(failure),
        _ => failure(),
    }
}

fn identities(keys: &[Identity]) -> Vec<u8> {
    let count = u32::try_from(keys.len()).expect("keys come from a command line");
    let answer = Writer::default().byte(IDENTITIES_ANSWER).u32(count);
    keys.iter()
        .fold(answer, |answer, key| {
            answer.string(key.public()).string(key.comment())
        })
        .finish()
}

fn signature(keys: &[Identity], fields: &[u8]) -> Option<Vec<u8>> {
    let mut fields = Reader::new(fields);
    let (name, data, flags) = (
        fields.string().ok()?,
        fields.string().ok()?,
        fields.u32().ok()?,
    );
    let key = keys.iter().find(|key| key.public() == name)?;
    let signature = key.sign(data, flags)?;
    Some(
        Writer::default()
            .byte(SIGN_RESPONSE)
            .string(signature)
            .finish(),
    )
}

fn failure() -> Vec<u8> {
    vec![FAILURE]
}

/// Reads a message without its length; `None` at the end of the stream.
async fn read_message(stream: &mut UnixStream) -> io::Result<Option<Vec<u8>>> {
    let length = match stream.read_u32().await {
        Ok(length) => usize::try_from(length).unwrap_or(usize::MAX),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    if length == 0 || length > MAX_MESSAGE {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await?;
    Ok(Some(message))
}

async fn write_message(stream: &mut UnixStream, message: &[u8]) -> io::Result<()> {
    let framed = Writer::default().string(message).finish();
    stream.write_all(&framed).await
}
