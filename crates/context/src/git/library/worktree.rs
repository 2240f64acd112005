//! Writes the files of a commit.

use std::fs;
use std::path::{Path, PathBuf};

use gix::index;
use gix::progress::Discard;
use gix::worktree::stack::state::{Attributes, attributes};
use gix_worktree_state::checkout;

use crate::git::GitError;
use crate::git::library::connection::Connection;
use crate::git::library::fetch::Fetched;

/// Writes the files of the commit into the empty `directory`, and the index of `.git` with them.
///
/// Names that lead elsewhere, and `.git` in all its spellings, are refused before anything is
/// written; a link in the repository is never followed.
pub(crate) fn check_out(
    connection: &Connection,
    fetched: &Fetched,
    directory: &Path,
) -> Result<index::File, GitError> {
    let failed = |error: gix::Error| connection.failed("checkout", &error);
    let mut index = read_tree(fetched).map_err(failed)?;
    let outcome = write(connection, fetched, &mut index, directory).map_err(failed)?;
    if connection.is_stopped() {
        return Err(connection.failure("checkout", "it was interrupted"));
    }
    if let Some(twice) = outcome.collisions.first() {
        let text = format!("{} is in the commit twice", twice.path);
        return Err(connection.failure("checkout", &text));
    }
    let head = fetched.repository.git_dir().join("HEAD");
    let written = fs::write(&head, format!("{}\n", fetched.commit));
    written.map_err(|error| GitError::at(&head, error))?;
    let written = index.write(Default::default());
    written.map_err(|error| failed(gix::Error::from_error(error)))?;
    Ok(index)
}

fn read_tree(fetched: &Fetched) -> gix::Result<index::File> {
    let commit = fetched.repository.find_object(fetched.commit)?;
    let tree = commit.peel_to_tree()?.id;
    fetched.repository.index_from_tree(&tree)
}

fn write(
    connection: &Connection,
    fetched: &Fetched,
    index: &mut index::File,
    directory: &Path,
) -> gix::Result<checkout::Outcome> {
    let objects = fetched.repository.objects.clone().into_arc();
    gix_worktree_state::checkout(
        index,
        directory,
        objects.map_err(gix::Error::from_error)?,
        &Discard,
        &Discard,
        &connection.way.stop,
        options(fetched)?,
    )
}

/// As git checks out without any configuration: what `.gitattributes` says about line ends counts.
fn options(fetched: &Fetched) -> gix::Result<checkout::Options> {
    let repository = &fetched.repository;
    let filters = gix::filter::plumbing::Pipeline::new(
        repository.command_context()?,
        repository.object_hash(),
        gix::filter::Pipeline::options(repository)?,
    );
    let mut names = gix::attrs::search::MetadataCollection::default();
    let no_files = std::iter::empty::<PathBuf>();
    let built_in = gix::attrs::Search::new_globals(no_files, &mut Vec::new(), &mut names);
    let built_in = built_in.map_err(gix::Error::from_error)?;
    let source = attributes::Source::IdMapping;
    Ok(checkout::Options {
        fs: gix::fs::Capabilities {
            precompose_unicode: false,
            ignore_case: false,
            executable_bit: true,
            symlink: true,
        },
        // Names that are only bad on Windows are fine here, as they are for git.
        validate: gix::validate::path::component::Options {
            protect_windows: false,
            protect_hfs: true,
            protect_ntfs: true,
        },
        destination_is_initially_empty: true,
        attributes: Attributes::new(built_in, None, source, names),
        ..checkout::Options::new(filters)
    })
}
