//! A root that a command sees through an overlay, so that its changes are apart from it.

use std::fs;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, unshare};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount_change, unmount};

use crate::devices::mount_plain;
use crate::error::{At as _, Fault, RunError, fault};
use crate::spec::{Overlay, OverlayMarks};
use crate::{directory, kernel};

/// An overlay over a root, in this process's mounts alone.
pub(crate) struct Mounted {
    root: PathBuf,
}

/// Leaves the caller's mounts and puts an overlay over `root`, at `root` itself.
pub(crate) fn mount(root: &Path, overlay: &Overlay) -> Result<Mounted, Fault> {
    unshare(CloneFlags::CLONE_NEWNS).at("make a mount namespace for", root)?;
    let recursive = MountPropagationFlags::REC;
    mount_change("/", recursive | MountPropagationFlags::PRIVATE)
        .at("make private the mount at", "/")?;
    let layers = Layers::open(root, overlay)?;
    let options = layers.options(overlay.marks);
    // What a command wrote need not survive a crash of the machine: the build would not either.
    let volatile = format!("{options},volatile");
    match mount_plain("overlay", root, MountFlags::empty(), &volatile) {
        Err(fault) if fault.errno == libc::EINVAL => {
            mount_plain("overlay", root, MountFlags::empty(), &options)?;
        }
        mounted => mounted?,
    }
    Ok(Mounted {
        root: root.to_owned(),
    })
}

impl Mounted {
    /// Takes the overlay away; what was written through it is in the upper directory.
    pub(crate) fn unmount(self) -> Result<(), Fault> {
        let root = &self.root;
        match unmount(root, UnmountFlags::NOFOLLOW) {
            // A lazy one is as good: everything is in the upper directory at once.
            Err(rustix::io::Errno::BUSY) => {
                unmount(root, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH)
            }
            done => done,
        }
        .at("unmount the overlay on", root)
    }
}

/// The directories of an overlay, held open so that their names need not fit into mount options.
struct Layers {
    /// The topmost first.
    lower: Vec<OwnedFd>,
    upper: OwnedFd,
    work: OwnedFd,
}

impl Layers {
    fn open(root: &Path, overlay: &Overlay) -> Result<Self, Fault> {
        let lower = std::iter::once(root).chain(overlay.lower.iter().map(PathBuf::as_path));
        Ok(Self {
            lower: lower.map(directory::open).collect::<Result<_, _>>()?,
            upper: directory::open(&overlay.upper)?,
            work: directory::open(&overlay.work)?,
        })
    }

    /// Every entry of the upper directory is to be whole: nothing may refer to the lower one.
    fn options(&self, marks: OverlayMarks) -> String {
        let name = |directory: &OwnedFd| format!("/proc/self/fd/{}", directory.as_raw_fd());
        let marks = match marks {
            OverlayMarks::Trusted => "",
            OverlayMarks::User => ",userxattr",
        };
        let lower: Vec<_> = self.lower.iter().map(name).collect();
        format!(
            "lowerdir={},upperdir={},workdir={},redirect_dir=nofollow,metacopy=off,index=off{marks}",
            lower.join(":"),
            name(&self.upper),
            name(&self.work),
        )
    }
}

/// Tries everything a run on an overlay needs, in the state directory, and leaves nothing.
///
/// Gives the marks that can be written here: those of the machine's own root, or those of a user namespace.
pub(crate) fn examine(state_dir: &Path) -> Result<OverlayMarks, RunError> {
    let pid = rustix::process::getpid().as_raw_nonzero();
    let scratch = state_dir.join(format!("probe-overlay-{pid}"));
    let result = [OverlayMarks::Trusted, OverlayMarks::User]
        .map(|marks| (marks, scratch.join(format!("{marks:?}"))))
        .iter()
        .map(|(marks, place)| examine_in(place, *marks).map(|()| *marks))
        .reduce(Result::or);
    let removed = fs::remove_dir_all(&scratch).at("remove", &scratch);
    let marks = result.unwrap_or(Err(fault("mount overlay on", &scratch, libc::EINVAL)))?;
    removed?;
    Ok(marks)
}

fn examine_in(scratch: &Path, marks: OverlayMarks) -> Result<(), Fault> {
    let [root, upper, work] = ["root", "upper", "work"].map(|name| scratch.join(name));
    for directory in [&root.join("old"), &upper, &work] {
        fs::create_dir_all(directory).at("make", directory)?;
    }
    let file = root.join("old/file");
    fs::write(&file, "x").at("write", &file)?;
    let overlay = Overlay {
        upper,
        lower: Vec::new(),
        work,
        marks,
    };
    let mounted = mount(&root, &overlay)?;
    let result = exercise(&root.join("old"));
    mounted.unmount()?;
    result
}

/// A directory that is made anew has to hide the old one, which takes all an overlay can do.
fn exercise(old: &Path) -> Result<(), Fault> {
    fs::remove_dir_all(old).at("remove from an overlay", old)?;
    fs::create_dir(old).at("make in an overlay", old)?;
    let handle = directory::open(old)?;
    let names = directory::names(&handle).at("list in an overlay", old)?;
    if !names.is_empty() {
        return Err(fault("hide in an overlay", old, libc::EOPNOTSUPP));
    }
    let file = old.join("file");
    fs::write(&file, "y").at("write in an overlay", &file)
}

/// Whether [`examine`] succeeds, found out in a child that takes its mounts with it.
pub(crate) fn works(state_dir: &Path) -> bool {
    let attempt = crate::process::start(|_| {
        examine(state_dir)?;
        kernel::exit_now(0)
    });
    attempt.is_ok_and(|started| {
        let options = rustix::process::WaitOptions::empty();
        let status = rustix::process::waitpid(Some(started.pid), options);
        matches!(status, Ok(Some((_, status))) if status.exit_status() == Some(0))
    })
}
