//! Asks a server for refs and objects.

use std::num::NonZeroU32;
use std::path::Path;

use gix::protocol::fetch::refmap;
use gix::protocol::handshake::Ref;
use gix::refspec::{RefSpec, parse::Operation};
use gix::remote::fetch::refmap::Source;
use gix::remote::fetch::{Shallow, Tags};
use gix::{ObjectId, Repository, progress};

use crate::git::library::connection::Connection;
use crate::git::remote::{RemoteCommit, candidates, choose, missing};
use crate::git::{GitError, GitReference};

/// What to fetch.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// What this ref is now, by its full name.
    Ref(String),
    /// A commit by its hash.
    Commit(String),
}

/// A repository on disk that holds a commit.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) repository: Repository,
    pub(crate) commit: ObjectId,
    /// When the commit was made, in seconds since 1970.
    pub(crate) time: i64,
}

impl Wanted {
    pub(crate) fn of(reference: &GitReference, found: &RemoteCommit) -> Self {
        match &found.name {
            Some(name) if !reference.fetch_by_commit.unwrap_or(false) => Self::Ref(name.clone()),
            _ => Self::Commit(found.commit.clone()),
        }
    }
}

/// Which commit a name is on the server; no name is the default branch.
pub(crate) fn ask(connection: &Connection, name: Option<&str>) -> Result<RemoteCommit, GitError> {
    let wanted: Vec<String> = match name {
        Some(name) => candidates(name).into(),
        None => vec!["HEAD".to_owned()],
    };
    // A name that cannot be one is not there.
    let specs: gix::Result<Vec<_>> = wanted.iter().map(|name| spec(name)).collect();
    let specs = specs.map_err(|_| missing(name.unwrap_or("HEAD")))?;
    let refs = connection.ask("ls-remote", || list(connection, &specs))?;
    let found = match name {
        Some(name) => choose(name, &pairs(&refs)),
        None => default_branch(&refs),
    };
    found.ok_or_else(|| missing(name.unwrap_or("HEAD")))
}

fn spec(text: &str) -> gix::Result<RefSpec> {
    let parsed = gix::refspec::parse(text.into(), Operation::Fetch)?;
    Ok(parsed.to_owned())
}

fn list(connection: &Connection, specs: &[RefSpec]) -> gix::Result<Vec<Ref>> {
    let mut transport = connection.transport()?;
    let mut greeting = gix::protocol::handshake(
        &mut transport,
        gix_transport::Service::UploadPack,
        |_| Ok(None),
        Vec::new(),
        &mut progress::Discard,
    )?;
    let context = refmap::init::Context {
        fetch_refspecs: specs.to_vec(),
        extra_refspecs: Vec::new(),
    };
    let agent = ("agent", Some(AGENT.to_owned()));
    let listing = greeting.prepare_lsrefs_or_extract_refmap(agent, true, context)?;
    let map = listing.fetch_blocking(progress::Discard, &mut transport, false)?;
    Ok(map.remote_refs)
}

/// Refs as hashes and names; tags are what they stand for.
fn pairs(refs: &[Ref]) -> Vec<(String, String)> {
    let pair = |found: &Ref| {
        let (name, target, peeled) = found.unpack();
        let hash = peeled.or(target)?.to_string();
        Some((hash, name.to_string()))
    };
    refs.iter().filter_map(pair).collect()
}

fn default_branch(refs: &[Ref]) -> Option<RemoteCommit> {
    let (commit, _) = pairs(refs).into_iter().find(|(_, name)| name == "HEAD")?;
    let branch = refs.iter().find_map(|found| match found {
        Ref::Symbolic {
            full_ref_name,
            target,
            ..
        } if *full_ref_name == "HEAD" => Some(target.to_string()),
        _ => None,
    });
    let name = Some(branch.unwrap_or_else(|| "HEAD".to_owned()));
    Some(RemoteCommit { commit, name })
}

/// Makes a repository in `directory` and fetches what is wanted, with `depth` commits of history, 0 for all.
pub(crate) fn fetch(
    connection: &Connection,
    directory: &Path,
    wanted: &Wanted,
    depth: u32,
) -> Result<Fetched, GitError> {
    let failed = |error: gix::Error| connection.failed("fetch", &error);
    let repository = make(directory, &connection.remote);
    let repository = repository.map_err(|error| connection.failed("init", &error))?;
    let commit = match wanted {
        Wanted::Ref(name) => fetch_ref(connection, &repository, name, depth)?,
        Wanted::Commit(hash) => fetch_commit(connection, &repository, hash, depth)?,
    };
    let (commit, time) = peel(&repository, commit).map_err(failed)?;
    Ok(Fetched {
        repository,
        commit,
        time,
    })
}

fn make(directory: &Path, remote: &str) -> gix::Result<Repository> {
    // A log of refs needs somebody to have changed them, and here is nobody.
    let options = gix::open::Options::isolated()
        .config_overrides(["core.logAllRefUpdates=false"])
        .with(gix::sec::Trust::Full);
    let kind = gix::create::Kind::WithWorktree;
    let made = gix::ThreadSafeRepository::init_opts(directory, kind, Default::default(), options)?;
    let repository = made.to_thread_local();
    // Nothing reads this here; who keeps `.git` can go on from it.
    let section = format!(
        "[remote \"origin\"]\n\turl = \"{}\"\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n",
        remote.replace('\\', "\\\\").replace('"', "\\\"")
    );
    let path = repository.git_dir().join("config");
    let mut config = std::fs::read(&path).map_err(gix::Error::from_error)?;
    config.extend_from_slice(section.as_bytes());
    std::fs::write(&path, config).map_err(gix::Error::from_error)?;
    Ok(repository)
}

fn fetch_ref(
    connection: &Connection,
    repository: &Repository,
    name: &str,
    depth: u32,
) -> Result<ObjectId, GitError> {
    let sources = connection.ask("fetch", || receive(connection, repository, &[name], depth))?;
    let found = sources.iter().find_map(Source::as_id);
    found.map(ToOwned::to_owned).ok_or_else(|| missing(name))
}

fn fetch_commit(
    connection: &Connection,
    repository: &Repository,
    hash: &str,
    depth: u32,
) -> Result<ObjectId, GitError> {
    if hash.len() != 40 {
        return Err(GitError::NoGit {
            remote: connection.remote.clone(),
            reason: "without it, only objects named by SHA-1 are read",
        });
    }
    let commit = ObjectId::from_hex(hash.as_bytes()).map_err(|_| missing(hash))?;
    // Many servers give out single commits only if a ref ends in them.
    let alone = connection.ask("fetch", || receive(connection, repository, &[hash], depth));
    if alone.is_err() {
        let everything = [
            "+refs/heads/*:refs/remotes/origin/*",
            "+refs/tags/*:refs/tags/*",
        ];
        connection.ask("fetch", || receive(connection, repository, &everything, 0))?;
    }
    match repository.has_object(commit) {
        true => Ok(commit),
        false => Err(missing(hash)),
    }
}

fn receive(
    connection: &Connection,
    repository: &Repository,
    specs: &[&str],
    depth: u32,
) -> gix::Result<Vec<Source>> {
    let remote = repository
        .remote_at(connection.remote.as_str())?
        .with_fetch_tags(Tags::None)
        .with_refspecs(specs.iter().copied(), gix::remote::Direction::Fetch)?;
    let history = NonZeroU32::new(depth).map_or(Shallow::NoChange, Shallow::DepthAtRemote);
    let received = remote
        .to_connection_with_transport(connection.transport()?)
        .with_credentials(|_| Ok(None))
        .prepare_fetch(progress::Discard, Default::default())?
        .with_shallow(history)
        .receive(progress::Discard, &connection.way.stop)?;
    let mappings = received.ref_map.mappings.into_iter();
    Ok(mappings.map(|mapping| mapping.remote).collect())
}

/// The commit that an object is or stands for, and its time.
fn peel(repository: &Repository, object: ObjectId) -> gix::Result<(ObjectId, i64)> {
    let commit = repository.find_object(object)?.peel_to_commit()?;
    let time = commit.time()?.seconds;
    Ok((commit.id, time))
}

/// What this is called towards servers.
const AGENT: &str = concat!("git/yadokari-", env!("CARGO_PKG_VERSION"));
