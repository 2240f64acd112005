//! Submodules, and theirs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gix::bstr::{BStr, ByteSlice as _};
use gix::index;
use gix::submodule::{self, config::Update};
use url::Url;

use crate::git::GitError;
use crate::git::library::connection::Connection;
use crate::git::library::fetch::{Fetched, Wanted, fetch};
use crate::git::library::worktree::check_out;
use crate::git::reference::take_credentials;

/// How many repositories may be inside each other; a server could make up ever more.
const DEEPEST: usize = 32;

/// A submodule of a commit.
#[derive(Debug)]
struct Submodule {
    /// Its directory in the repository.
    path: String,
    commit: String,
    address: String,
}

/// Fetches the submodules of a checkout, and theirs.
pub(crate) fn fetch_all(
    connection: &Connection,
    fetched: &Fetched,
    index: &index::File,
    directory: &Path,
    depth: u32,
) -> Result<(), GitError> {
    fetch_below(connection, fetched, index, directory, depth, DEEPEST)
}

fn fetch_below(
    connection: &Connection,
    fetched: &Fetched,
    index: &index::File,
    directory: &Path,
    depth: u32,
    levels: usize,
) -> Result<(), GitError> {
    let found = list(fetched, index);
    let found = found.map_err(|error| connection.failed("submodule", &error))?;
    if !found.is_empty() && levels == 0 {
        let text = format!("there are more than {DEEPEST} submodules inside each other");
        return Err(connection.failure("submodule", &text));
    }
    for submodule in &found {
        let done = fetch_one(connection, submodule, directory, depth, levels);
        done.map_err(|error| GitError::Submodule {
            path: submodule.path.clone(),
            source: Box::new(error),
        })?;
    }
    Ok(())
}

fn fetch_one(
    parent: &Connection,
    submodule: &Submodule,
    directory: &Path,
    depth: u32,
    levels: usize,
) -> Result<(), GitError> {
    let connection = connect(parent, &submodule.address)?;
    let directory = place(directory, &submodule.path)?;
    let wanted = Wanted::Commit(submodule.commit.clone());
    let fetched = fetch(&connection, &directory, &wanted, depth)?;
    let index = check_out(&connection, &fetched, &directory)?;
    fetch_below(&connection, &fetched, &index, &directory, depth, levels - 1)
}

/// Reads `.gitmodules` as the commit has it; without that file, no directory is a submodule.
fn list(fetched: &Fetched, index: &index::File) -> gix::Result<Vec<Submodule>> {
    let Some(file) = index.entry_by_path(BStr::new(".gitmodules")) else {
        return Ok(Vec::new());
    };
    let text = fetched.repository.find_blob(file.id)?.take_data();
    let config = fetched.repository.config_snapshot();
    let modules = submodule::File::from_bytes(&text, None, config.plumbing())?;
    let entries = index.entries().iter();
    let commits = entries.filter(|entry| entry.mode == index::entry::Mode::COMMIT);
    let found = commits.map(|entry| read(&modules, entry, entry.path(index)));
    found.filter_map(Result::transpose).collect()
}

fn read(
    modules: &submodule::File,
    entry: &index::Entry,
    path: &BStr,
) -> gix::Result<Option<Submodule>> {
    let named = modules.name_by_path(path).ok_or_else(|| {
        let text = format!("no url found for submodule path '{path}' in .gitmodules");
        gix::Error::from_error(io::Error::other(text))
    })?;
    if modules.update(named)? == Some(Update::None) {
        return Ok(None);
    }
    let address = modules.config().string_by("submodule", Some(named), "url");
    Ok(Some(Submodule {
        path: path.to_string(),
        commit: entry.id.to_string(),
        address: address
            .map(|address| address.to_str_lossy().into_owned())
            .unwrap_or_default(),
    }))
}

/// An address that begins with a dot starts at the repository's own.
fn connect(parent: &Connection, address: &str) -> Result<Connection, GitError> {
    let relative = ["./", "../"].iter().any(|dots| address.starts_with(dots));
    let parsed = match relative {
        true => Url::parse(&format!("{}/", parent.remote.trim_end_matches('/')))
            .and_then(|own| own.join(address)),
        false => Url::parse(address),
    };
    match parsed {
        Ok(mut url) => {
            let credentials = take_credentials(&mut url);
            parent.to(url.as_str(), credentials.as_ref())
        }
        Err(_) => parent.to(address, None),
    }
}

/// The submodule's directory, reached without following links.
fn place(top: &Path, path: &str) -> Result<PathBuf, GitError> {
    let mut place = top.to_path_buf();
    for name in path.split('/') {
        place.push(name);
        match fs::symlink_metadata(&place) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(GitError::at(&place, io::ErrorKind::NotADirectory.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made = fs::create_dir(&place);
                made.map_err(|error| GitError::at(&place, error))?;
            }
            Err(error) => return Err(GitError::at(&place, error)),
        }
    }
    Ok(place)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::git::library::connection::Way;
    use crate::testing::client;
    use crate::web::Once;

    fn connection(remote: &str) -> Connection {
        let way = Way {
            client: client(),
            patience: Arc::new(Once),
            runtime: tokio::runtime::Handle::current(),
            stop: Arc::default(),
        };
        Connection::new(remote, None, way).unwrap()
    }

    #[tokio::test]
    async fn addresses_that_begin_with_dots_start_at_the_repository() {
        let parent = connection("http://example.com/group/outer.git");
        for (address, expected) in [
            ("../inner.git", "http://example.com/group/inner.git"),
            ("../../other/inner", "http://example.com/other/inner"),
            ("./inner", "http://example.com/group/outer.git/inner"),
            ("../../../../x", "http://example.com/x"),
            ("https://me:secret@example.com/x", "https://example.com/x"),
        ] {
            assert_eq!(connect(&parent, address).unwrap().remote, expected);
        }
        for address in [
            "git@example.com:x",
            "-x",
            "",
            "/etc",
            "file:///etc",
            "ext::sh -c id",
        ] {
            let error = connect(&parent, address).unwrap_err();
            assert!(error.needs_program(), "{address}: {error}");
        }
    }

    #[test]
    fn a_submodule_is_not_put_behind_a_link() {
        let (top, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::os::unix::fs::symlink(outside.path(), top.path().join("link")).unwrap();
        assert!(place(top.path(), "link").is_err());
        assert!(place(top.path(), "link/below").is_err());
        assert!(!outside.path().join("below").exists());
        assert!(place(top.path(), "a/b").unwrap().is_dir());
    }
}
