//! Mounts by rename: the source takes the place of the target, and both go back.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::directory;
use crate::error::{At as _, Fault, RunError, fault};
use crate::etc;
use crate::mounts::{self, Placed, forbids_execution, is_executable};
use crate::rootswap::journal::Record;
use crate::rootswap::lent::{Lent, OF_RUNTIMES};
use crate::rootswap::swap::Swap;
use crate::spec::{Mount, MountSource, RunSpec};
use crate::stubs::{Stubs, Times};

/// The grafts of a run, and the mount points made for them.
#[derive(Debug, Default)]
pub(crate) struct Grafts {
    stubs: Stubs,
    /// Directories that something was grafted into, by inode.
    parents: BTreeMap<(u64, u64), Parent>,
}

/// A directory whose times a graft changes, and a mount would not.
#[derive(Debug)]
struct Parent {
    handle: OwnedFd,
    before: Times,
    after: Times,
}

impl Grafts {
    /// Puts every mount of `spec` in its place, and the generated files of `/etc` where no mount of the runtime holds them.
    pub(crate) fn put(
        &mut self,
        swap: &mut Swap,
        spec: &RunSpec,
        resolv_conf: &[u8],
    ) -> Result<(), RunError> {
        lend(swap, spec)?;
        let generated = generate(swap, spec, resolv_conf)?;
        let live = swap.live.clone();
        for placed in mounts::place(&live, generated.iter().chain(&spec.mounts))? {
            self.put_one(swap, &live, &placed)?;
        }
        Ok(())
    }

    fn put_one(
        &mut self,
        swap: &mut Swap,
        live: &Path,
        placed: &Placed<'_>,
    ) -> Result<(), RunError> {
        if swap.kept.covers(&placed.path) {
            return self.put_into_kept(swap, live, placed);
        }
        let number = swap.graft_count();
        let source = self.source(swap, placed, number)?;
        let stat = fs::symlink_metadata(&source).at("find", &source)?;
        let parent = open_parent(live, &placed.path)?;
        self.make_mount_point(swap, live, placed)?;
        let inode = (stat.dev(), stat.ino());
        swap.note(Record::Graft {
            path: placed.path.clone(),
            source: source.clone(),
            inode,
        })?;
        let target = live.join(&placed.path);
        let covered = covered_path(swap, number)?;
        fs::rename(&target, &covered).map_err(|error| refused(placed, &error, &target))?;
        fs::rename(&source, &target).map_err(|error| refused(placed, &error, &source))?;
        Ok(self.remember(parent).at("look at the times of", &target)?)
    }

    /// Notes the times of the directory that was just grafted into. One that was made for that has none to keep.
    fn remember(&mut self, parent: Option<(OwnedFd, Times)>) -> Result<(), rustix::io::Errno> {
        let Some((handle, before)) = parent else {
            return Ok(());
        };
        let stat = rustix::fs::fstat(&handle)?;
        let after = Times::of(&stat);
        self.parents
            .entry((stat.st_dev, stat.st_ino))
            .and_modify(|parent| parent.after = after)
            .or_insert(Parent {
                handle,
                before,
                after,
            });
        Ok(())
    }

    /// The times that the directories shall have once the grafts are out: the command's own changes keep theirs.
    pub(crate) fn settle(&mut self) -> Vec<(OwnedFd, Times)> {
        let parents = std::mem::take(&mut self.parents).into_values();
        let settled = parents.filter_map(|parent| {
            let now = Times::of(&rustix::fs::fstat(&parent.handle).ok()?);
            let unchanged = now.same_content(parent.after);
            Some((parent.handle, if unchanged { parent.before } else { now }))
        });
        settled.collect()
    }

    /// A mount cannot be covered by a rename, but a file can be copied there, as scripts below `/dev` need it.
    ///
    /// Some runtimes let nothing below `/dev` be executed; there the copy is a link to a file of the root.
    fn put_into_kept(
        &mut self,
        swap: &mut Swap,
        live: &Path,
        placed: &Placed<'_>,
    ) -> Result<(), RunError> {
        let source = placed.mount.source.path();
        let script = source.is_some_and(is_executable);
        if !(script && lies_where_nothing_executes(live, &placed.path)) {
            return copy_into_kept(swap, placed, None);
        }
        let place = PathBuf::from(format!(".pipes/{}", swap.graft_count()));
        let beside = Placed {
            mount: placed.mount,
            path: place.clone(),
        };
        self.put_one(swap, live, &beside)?;
        copy_into_kept(swap, placed, Some(&Path::new("/").join(place)))
    }

    fn source(&self, swap: &Swap, placed: &Placed<'_>, number: usize) -> Result<PathBuf, Fault> {
        if let Some(path) = placed.mount.source.path() {
            return Ok(path.to_owned());
        }
        let MountSource::Tmpfs { mode, .. } = placed.mount.source else {
            return Err(fault("graft", &placed.path, libc::EINVAL));
        };
        let path = swap.area.join("tmpfs").join(number.to_string());
        fs::create_dir_all(&path).at("make", &path)?;
        fs::set_permissions(&path, Permissions::from_mode(mode)).at("set the mode of", &path)?;
        Ok(path)
    }

    fn make_mount_point(
        &mut self,
        swap: &mut Swap,
        live: &Path,
        placed: &Placed<'_>,
    ) -> Result<(), RunError> {
        let missing = placed
            .path
            .ancestors()
            .filter(|path| !path.as_os_str().is_empty());
        let missing: Vec<PathBuf> = missing
            .take_while(|path| fs::symlink_metadata(live.join(path)).is_err())
            .map(Path::to_owned)
            .collect();
        for path in missing.into_iter().rev() {
            swap.note(Record::Stub { path })?;
        }
        let root: OwnedFd = directory::open(live)?;
        Ok(self
            .stubs
            .ensure(&root, &placed.path, placed.mount.source.stub_kind())?)
    }

    /// Removes the mount points that were made. The grafts are out.
    pub(crate) fn remove_stubs(self) -> Result<(), Fault> {
        self.stubs.remove()
    }
}

/// The directory that a mount point lies in, if it is there already.
fn open_parent(live: &Path, path: &Path) -> Result<Option<(OwnedFd, Times)>, Fault> {
    let root = directory::open(live)?;
    let parent = path.parent().unwrap_or(Path::new(""));
    let Ok(handle) = directory::open_beneath(&root, parent) else {
        return Ok(None);
    };
    let stat = rustix::fs::fstat(&handle).at("look at", parent)?;
    Ok(Some((handle, Times::of(&stat))))
}

/// Whether the filesystem that a path would lie on executes nothing.
fn lies_where_nothing_executes(live: &Path, path: &Path) -> bool {
    let mut there = path.ancestors().map(|path| live.join(path));
    let nearest = there.find(|path| path.exists());
    nearest.is_some_and(|path| forbids_execution(&path))
}

/// Copies a file to a path that is not moved, or makes a link there.
fn copy_into_kept(
    swap: &mut Swap,
    placed: &Placed<'_>,
    link: Option<&Path>,
) -> Result<(), RunError> {
    let target = swap.live.join(&placed.path);
    let MountSource::File(source) = &placed.mount.source else {
        return Err(unsupported(placed));
    };
    if target.exists() {
        return Err(unsupported(placed));
    }
    let parents = placed
        .path
        .ancestors()
        .skip(1)
        .take_while(|path| !swap.live.join(path).exists());
    let parents: Vec<PathBuf> = parents.map(Path::to_owned).collect();
    for path in parents.into_iter().rev() {
        swap.note(Record::Copy { path: path.clone() })?;
        fs::create_dir(swap.live.join(&path)).at("make", &path)?;
    }
    swap.note(Record::Copy {
        path: placed.path.clone(),
    })?;
    if let Some(link) = link {
        return Ok(std::os::unix::fs::symlink(link, &target).at("link", &target)?);
    }
    let stat = fs::metadata(source).at("find", source)?;
    fs::copy(source, &target).at("copy to", &target)?;
    std::os::unix::fs::chown(&target, Some(stat.uid()), Some(stat.gid()))
        .at("set the owner of", &target)?;
    Ok(
        fs::set_permissions(&target, Permissions::from_mode(stat.mode() & 0o7777))
            .at("set the mode of", &target)?,
    )
}

/// Files of `/etc` that the runtime does not hold by a mount, to be grafted.
fn generate(swap: &mut Swap, spec: &RunSpec, resolv_conf: &[u8]) -> Result<Vec<Mount>, RunError> {
    let directory = swap.area.join("generated");
    fs::create_dir_all(&directory).at("make", &directory)?;
    let mut mounts = Vec::new();
    let files = [
        ("hosts", etc::hosts(spec).into_bytes()),
        ("resolv.conf", resolv_conf.to_vec()),
    ];
    for (name, content) in files {
        let path = Path::new("etc").join(name);
        if swap.kept.covers(&path) {
            continue;
        }
        let source = directory.join(name);
        fs::write(&source, content).at("write", &source)?;
        mounts.push(Mount {
            target: Path::new("/").join(path),
            source: MountSource::File(source),
            read_only: true,
        });
    }
    Ok(mounts)
}

/// Takes down what the runtime's own files of `/etc` hold, and adds the hosts of `spec` for the run.
fn lend(swap: &mut Swap, spec: &RunSpec) -> Result<(), Fault> {
    for path in OF_RUNTIMES.map(Path::new) {
        let live = swap.live.join(path);
        if !swap.kept.covers(path) || !live.is_file() {
            continue;
        }
        let added = match path.ends_with("hosts") {
            true => etc::added_hosts(spec),
            false => String::new(),
        };
        let file = Lent::read(&live)?.with(added);
        swap.note(Record::Lend {
            path: path.to_owned(),
            file: file.clone(),
        })?;
        file.put(&live)?;
    }
    Ok(())
}

/// Who remembers the mount points that were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StubsKnown {
    /// A [`Grafts`] value, with the times of their parents.
    ToGrafts,
    /// Only the journal, since the process that made them was killed.
    ToJournal,
}

/// Takes every graft out again, the last first, as far as the journal says that it was put in. Gives the runtime's
/// files that the command had changed.
///
/// Works from whatever point the grafting was cut off at, and may be repeated.
pub(crate) fn take_out(swap: &Swap, stubs: StubsKnown) -> Result<Vec<PathBuf>, Fault> {
    let mut changed = Vec::new();
    let mut number = swap.graft_count();
    for record in swap.journal.records().iter().rev() {
        match record {
            Record::Graft {
                path,
                source,
                inode,
            } => {
                number -= 1;
                take_one_out(swap, path, source, *inode, &covered_path(swap, number)?)?;
            }
            // A mount point may lie in what another graft put there, so it goes before that is taken out.
            Record::Stub { path } if stubs == StubsKnown::ToJournal => remove_stub(swap, path)?,
            Record::Copy { path } => remove_copy(&swap.live.join(path))?,
            Record::Lend { path, file } => {
                let foreign = file.give_back(&swap.live.join(path))?;
                changed.extend(foreign.then(|| path.clone()));
            }
            _ => {}
        }
    }
    Ok(changed)
}

/// Removes a mount point of a killed run, which nobody remembers but the journal.
fn remove_stub(swap: &Swap, path: &Path) -> Result<(), Fault> {
    let root = directory::open(&swap.live)?;
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(());
    };
    let Ok(parent) = directory::open_beneath(&root, parent) else {
        return Ok(());
    };
    let stat = rustix::fs::statat(&parent, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
    let Ok(stat) = stat else { return Ok(()) };
    let directory = crate::stubs::is_directory(&stat);
    let flags = if directory {
        rustix::fs::AtFlags::REMOVEDIR
    } else {
        rustix::fs::AtFlags::empty()
    };
    if directory || stat.st_size == 0 {
        // One that is not empty belongs to the command.
        let _ = rustix::fs::unlinkat(&parent, name, flags);
    }
    Ok(())
}

fn take_one_out(
    swap: &Swap,
    path: &Path,
    source: &Path,
    inode: (u64, u64),
    covered: &Path,
) -> Result<(), Fault> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(());
    };
    // The command may have replaced what leads there; links are not followed.
    let root = directory::open(&swap.live)?;
    let at = directory::open_beneath(&root, parent).ok();
    let found = at
        .as_ref()
        .and_then(|at| rustix::fs::statat(at, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).ok());
    let target = swap.live.join(path);
    let same = found
        .as_ref()
        .is_some_and(|stat| (stat.st_dev, stat.st_ino) == inode);
    let put_in = fs::symlink_metadata(source).is_err();
    if put_in && (same || found.as_ref().is_some_and(crate::stubs::is_directory)) {
        // A directory that the command made anew in its place has its part.
        fs::rename(&target, source).at("take out", &target)?;
    } else if put_in && found.is_some() {
        remove(&target)?;
    }
    let free = at.is_some() && fs::symlink_metadata(&target).is_err();
    match fs::symlink_metadata(covered) {
        Ok(_) if free => fs::rename(covered, &target).at("put back", &target),
        // The command removed the directory around it, and with it what was covered.
        Ok(_) => remove(covered),
        Err(_) => Ok(()),
    }
}

fn remove(path: &Path) -> Result<(), Fault> {
    let metadata = fs::symlink_metadata(path).at("look at", path)?;
    if metadata.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
    .at("remove", path)
}

fn remove_copy(path: &Path) -> Result<(), Fault> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            // The command may have left something there, in a filesystem that no layer sees.
            let _ = fs::remove_dir(path);
            Ok(())
        }
        Ok(_) => fs::remove_file(path).at("remove", path),
        Err(_) => Ok(()),
    }
}

/// Where the thing covered by a graft waits.
fn covered_path(swap: &Swap, number: usize) -> Result<PathBuf, Fault> {
    let directory = swap.area.join("covered");
    fs::create_dir_all(&directory).at("make", &directory)?;
    Ok(directory.join(number.to_string()))
}

fn refused(placed: &Placed<'_>, error: &std::io::Error, path: &Path) -> RunError {
    match error.raw_os_error() {
        Some(libc::EXDEV | libc::EBUSY) => unsupported(placed),
        errno => RunError::Setup(fault("graft", path, errno.unwrap_or(libc::EIO))),
    }
}

fn unsupported(placed: &Placed<'_>) -> RunError {
    RunError::Unsupported {
        what: format!(
            "the mount on {} in rootswap isolation",
            placed.mount.target.display()
        ),
        needs: "namespaces, since it lies on another filesystem".to_owned(),
    }
}
