//! `/dev` of a command.

use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::mount::{MountFlags, mount, mount_bind};

use crate::error::{At as _, Fault};
use crate::process::Report;
use crate::runner::Note;
use crate::spec::Security;

/// Mounts a fresh `/dev` on `dev`, with everything that lies in it.
pub(crate) fn mount_dev(
    dev: &Path,
    shm_size: Option<u64>,
    security: Security,
    report: &mut Report,
) -> Result<(), Fault> {
    let flags = MountFlags::NOSUID | MountFlags::STRICTATIME;
    mount_plain("tmpfs", dev, flags, "mode=755,size=65536k")?;
    for (name, major, minor) in NODES {
        if add_node(dev, name, makedev(major, minor)).is_err() {
            report.note(Note::NoDevice {
                path: format!("/dev/{name}"),
            });
        }
    }
    if security == Security::Insecure {
        add_extra_nodes(dev);
    }
    add_links(dev)?;
    mount_pts(dev, report)?;
    mount_shm(&dev.join("shm"), shm_size)?;
    mount_mqueue(&dev.join("mqueue"));
    Ok(())
}

/// Makes a node, or binds the existing one where `mknod` or opening the result is refused.
fn add_node(dev: &Path, name: &str, device: u64) -> Result<(), Fault> {
    let path = dev.join(name);
    let mode = Mode::from_raw_mode(0o666);
    let made = mknodat(CWD, &path, FileType::CharacterDevice, mode, device);
    if made.is_ok() && opens(&path) {
        return rustix::fs::chmod(&path, mode).at("set the mode of", &path);
    }
    if made.is_ok() {
        rustix::fs::unlink(&path).at("remove", &path)?;
    }
    bind_node(Path::new("/dev"), dev, name)
}

/// A mount owned by a user namespace has no usable nodes, though `mknod` may have worked. `/dev/tty` needs a terminal.
fn opens(path: &Path) -> bool {
    use rustix::fs::OFlags;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(_) => true,
        Err(error) => error != rustix::io::Errno::ACCESS && error != rustix::io::Errno::PERM,
    }
}

fn bind_node(from: &Path, dev: &Path, name: &str) -> Result<(), Fault> {
    let (source, path) = (from.join(name), dev.join(name));
    source.symlink_metadata().at("find", &source)?;
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).at("make", parent)?;
    }
    std::fs::File::create(&path).at("make", &path)?;
    let bound = mount_bind(&source, &path).at("bind", &path);
    if bound.is_err() {
        // An empty file in place of a device would be written to.
        let _ = std::fs::remove_file(&path);
    }
    bound
}

/// What an insecure command may use as well, as far as it is there.
fn add_extra_nodes(dev: &Path) {
    let loops = (0..8).map(|number| format!("loop{number}"));
    for name in EXTRA.into_iter().map(str::to_owned).chain(loops) {
        let _ = bind_node(Path::new("/dev"), dev, &name);
    }
}

fn add_links(dev: &Path) -> Result<(), Fault> {
    for (link, target) in LINKS {
        let path = dev.join(link);
        symlink(target, &path).at("link", &path)?;
    }
    Ok(())
}

fn mount_pts(dev: &Path, report: &mut Report) -> Result<(), Fault> {
    let pts = dev.join("pts");
    std::fs::create_dir(&pts).at("make", &pts)?;
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    // Group 5 is tty everywhere, but may not be mapped here.
    let mounted = [
        "newinstance,ptmxmode=0666,mode=0620,gid=5",
        "newinstance,ptmxmode=0666,mode=0620",
    ]
    .into_iter()
    .any(|options| mount_plain("devpts", &pts, flags, options).is_ok());
    if !mounted {
        report.note(Note::NoDevice {
            path: "/dev/pts/ptmx".to_owned(),
        });
    }
    let ptmx = dev.join("ptmx");
    symlink("pts/ptmx", &ptmx).at("link", &ptmx)
}

fn mount_shm(shm: &Path, size: Option<u64>) -> Result<(), Fault> {
    std::fs::create_dir(shm).at("make", shm)?;
    let options = format!("mode=1777,size={}", size.unwrap_or(64 << 20));
    mount_plain(
        "tmpfs",
        shm,
        MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC,
        &options,
    )
}

/// Kernels may be built without message queues; nothing else depends on them.
fn mount_mqueue(path: &Path) {
    if std::fs::create_dir(path).is_ok() {
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        let _ = mount_plain("mqueue", path, flags, "");
    }
}

/// Mounts a filesystem that has no source.
pub(crate) fn mount_plain(
    kind: &str,
    target: &Path,
    flags: MountFlags,
    options: &str,
) -> Result<(), Fault> {
    let options = std::ffi::CString::new(options).unwrap_or_default();
    mount(kind, target, kind, flags, Some(options.as_c_str()))
        .at(&format!("mount {kind} on"), target)
}

/// Character devices with their numbers.
pub(crate) const NODES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

pub(crate) const LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

const EXTRA: [&str; 6] = ["kmsg", "cuse", "fuse", "kvm", "net/tun", "loop-control"];
