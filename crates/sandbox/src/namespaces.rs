//! The strongest isolation: own namespaces and `pivot_root`.

use std::convert::Infallible;
use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, unshare};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount_bind, mount_bind_recursive,
    mount_change, mount_move, mount_remount, unmount,
};
use rustix::process::{chdir, pivot_root};

use crate::devices::{mount_dev, mount_plain};
use crate::error::{At as _, Fault, RunError};
use crate::launch::launch;
use crate::mounts::{self, Placed, forbids_execution, is_executable};
use crate::probe::ProbeAnswer;
use crate::process::{self, Report};
use crate::runner::{Exit, Note};
use crate::spec::{Mount, MountSource, Network, OverlayMarks, RunSpec, Security};
use crate::stubs::{self, Stubs};
use crate::supervise::{self, Ended};
use crate::{directory, etc, kernel, landlock, overlay, userns};

/// Runs `spec` in namespaces of its own.
///
/// An overlay covers the root for this whole process: mount points that the root lacks are made
/// and removed in it too.
pub(crate) fn run(spec: &RunSpec, leash: impl AsFd) -> Result<Exit, RunError> {
    userns::gain_mount_rights()?;
    let Some(overlay) = &spec.overlay else {
        return run_in_root(spec, leash);
    };
    let mounted = overlay::mount(&spec.root, overlay)?;
    let result = run_in_root(spec, leash);
    let unmounted = mounted.unmount();
    let exit = result?;
    unmounted?;
    Ok(exit)
}

fn run_in_root(spec: &RunSpec, leash: impl AsFd) -> Result<Exit, RunError> {
    let generated = generated_mounts();
    let layout = Layout::prepare(spec, &generated)?;
    let result = run_prepared(spec, &layout, leash);
    let removed = layout.stubs.remove();
    let exit = result?;
    removed?;
    Ok(exit)
}

fn run_prepared(spec: &RunSpec, layout: &Layout<'_>, leash: impl AsFd) -> Result<Exit, RunError> {
    // The next child becomes process 1 of a new namespace; this process stays where it is.
    unshare(CloneFlags::CLONE_NEWPID).at("make a pid namespace for", "command")?;
    let started = process::start(|report| become_command(spec, layout, report))?;
    match supervise::wait(started.pid, leash)? {
        Ended::Exited(mut exit) => {
            exit.notes = started.notes;
            Ok(exit)
        }
        Ended::Stopped => Err(RunError::Cancelled),
    }
}

/// Real places inside the root, found and made before anything is mounted.
struct Layout<'a> {
    proc: PathBuf,
    dev: PathBuf,
    sys: PathBuf,
    mounts: Vec<Placed<'a>>,
    stubs: Stubs,
}

impl<'a> Layout<'a> {
    fn prepare(spec: &'a RunSpec, generated: &'a [Mount]) -> Result<Self, RunError> {
        let root = directory::open(&spec.root)?;
        let [proc, dev, sys] =
            ["/proc", "/dev", "/sys"].map(|path| directory::resolve(&spec.root, Path::new(path)));
        let (proc, dev, sys) = (proc?, dev?, sys?);
        for path in [&proc, &dev, &sys] {
            stubs::keep_directory(&root, path)?;
        }
        let mounts = mounts::place(&spec.root, generated.iter().chain(&spec.mounts))?;
        let mut layout = Self {
            proc,
            dev,
            sys,
            mounts,
            stubs: Stubs::default(),
        };
        let fresh = [layout.proc.clone(), layout.dev.clone(), layout.sys.clone()];
        let made = mounts::prepare(&root, &layout.mounts, &fresh, &mut layout.stubs);
        if let Err(fault) = made {
            // The first error is the one worth reporting.
            let _ = layout.stubs.remove();
            return Err(fault.into());
        }
        Ok(layout)
    }
}

/// `/etc/hosts` and `/etc/resolv.conf`, whose content the child writes below its own `/dev`.
fn generated_mounts() -> [Mount; 2] {
    [("/etc/hosts", HOSTS), ("/etc/resolv.conf", RESOLV_CONF)].map(|(target, name)| Mount {
        target: PathBuf::from(target),
        source: MountSource::File(PathBuf::from(name)),
        read_only: true,
    })
}

fn become_command(
    spec: &RunSpec,
    layout: &Layout<'_>,
    report: &mut Report,
) -> Result<Infallible, RunError> {
    let resolv_conf = etc::resolv_conf(spec);
    unshare_the_rest(spec.network)?;
    let root = enter_private_mounts(&spec.root)?;
    let shared_proc = mount_proc(&root.join(&layout.proc), report)?;
    mount_sys(&root.join(&layout.sys), spec.security, report);
    let dev = root.join(&layout.dev);
    mount_dev(&dev, spec.shm_size, spec.security, report)?;
    write_generated(&dev, spec, &resolv_conf)?;
    mount_all(&root, &dev, layout)?;
    pivot_into(&root)?;
    if spec.security == Security::Sandbox {
        protect_proc(layout)?;
    }
    make_read_only(layout)?;
    nix::unistd::sethostname(&spec.hostname).at("set the host name", &spec.hostname)?;
    launch(spec, || {
        if shared_proc {
            guard_others(spec, report);
        } else if spec.security == Security::Sandbox {
            // Kernels without it leave sockets of the machine's network within reach, as runtimes do.
            let _ = landlock::keep_to_itself();
        }
        Ok(())
    })
}

fn unshare_the_rest(network: Network) -> Result<(), Fault> {
    let flags = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
    unshare(flags).at("make namespaces for", "command")?;
    // Kernels may be built without; it only changes what /proc/self/cgroup shows.
    let _ = unshare(CloneFlags::CLONE_NEWCGROUP);
    if network == Network::None {
        unshare(CloneFlags::CLONE_NEWNET).at("make a network namespace for", "command")?;
        kernel::raise_loopback()?;
    }
    Ok(())
}

/// Cuts the mounts off from those outside and makes the root a mount of its own.
fn enter_private_mounts(root: &Path) -> Result<PathBuf, Fault> {
    let recursive = MountPropagationFlags::REC;
    mount_change("/", recursive | MountPropagationFlags::PRIVATE)
        .at("make private the mount at", "/")?;
    mount_bind_recursive(root, root).at("bind onto itself", root)?;
    Ok(root.to_owned())
}

/// True when the command shares its caller's `/proc`.
fn mount_proc(target: &Path, report: &mut Report) -> Result<bool, Fault> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    match mount_plain("proc", target, flags, "") {
        Ok(()) => Ok(false),
        // The kernel allows a new one only where the existing one is fully visible.
        Err(fault) if fault.is_refusal() => {
            mount_bind_recursive("/proc", target).at("bind /proc on", target)?;
            report.note(Note::SharedProc);
            Ok(true)
        }
        Err(fault) => Err(fault),
    }
}

/// Without a network namespace of one's own user namespace there is no new sysfs; the old one is as good, read-only.
fn mount_sys(target: &Path, security: Security, report: &mut Report) {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    if mount_plain("sysfs", target, flags, "").is_ok() {
        mount_cgroups(&target.join("fs/cgroup"), flags);
    } else if mount_bind_recursive("/sys", target).is_err() {
        report.note(Note::NoSys);
        return;
    }
    if security == Security::Sandbox {
        for mounted in mounted_below(target).iter().rev() {
            // Of submounts that refuse, the ones above are read-only at least.
            let _ = remount_read_only(mounted);
        }
    }
}

fn mount_cgroups(target: &Path, flags: MountFlags) {
    let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let fresh = unified && mount_plain("cgroup2", target, flags, "").is_ok();
    if !fresh {
        // Nothing in a build depends on it.
        let _ = mount_bind_recursive("/sys/fs/cgroup", target);
    }
}

fn write_generated(dev: &Path, spec: &RunSpec, resolv_conf: &[u8]) -> Result<(), Fault> {
    for (name, content) in [
        (HOSTS, etc::hosts(spec).as_bytes()),
        (RESOLV_CONF, resolv_conf),
    ] {
        let path = dev.join(name);
        fs::write(&path, content).at("write", &path)?;
    }
    Ok(())
}

fn mount_all(root: &Path, dev: &Path, layout: &Layout<'_>) -> Result<(), Fault> {
    let fresh = &layout.dev;
    for (index, placed) in layout.mounts.iter().enumerate() {
        let target = root.join(&placed.path);
        let inside_tmpfs = layout.mounts[..index].iter().any(|above| {
            matches!(above.mount.source, MountSource::Tmpfs { .. })
                && placed.path.starts_with(&above.path)
        });
        if inside_tmpfs || placed.path.starts_with(fresh) {
            let top = directory::open(root)?;
            let mut made = Stubs::default();
            made.ensure(&top, &placed.path, placed.mount.source.stub_kind())?;
        }
        let script = executable_copy(&placed.mount.source, dev)?;
        let source = script.as_ref().unwrap_or(&placed.mount.source);
        mount_one(source, dev, &target)?;
        if let Some(MountSource::File(copy)) = script {
            fs::remove_file(&copy).at("remove", &copy)?;
        }
    }
    for name in [HOSTS, RESOLV_CONF] {
        fs::remove_file(dev.join(name)).at("remove", dev.join(name))?;
    }
    Ok(())
}

/// A copy of a script that lies on a filesystem which executes nothing; a mount of the script itself would not either.
fn executable_copy(source: &MountSource, dev: &Path) -> Result<Option<MountSource>, Fault> {
    let script = match source {
        MountSource::File(path) if is_executable(path) && forbids_execution(path) => path,
        _ => return Ok(None),
    };
    let copy = dev.join(SCRIPT);
    fs::copy(script, &copy).at("copy", script)?;
    Ok(Some(MountSource::File(copy)))
}

fn mount_one(source: &MountSource, dev: &Path, target: &Path) -> Result<(), Fault> {
    match source {
        MountSource::Tmpfs { size, mode } => {
            let size = size
                .map(|bytes| format!(",size={bytes}"))
                .unwrap_or_default();
            let flags = MountFlags::NOSUID | MountFlags::NODEV;
            mount_plain("tmpfs", target, flags, &format!("mode={mode:o}{size}"))
        }
        MountSource::Directory(path) => mount_bind_recursive(path, target).at("bind on", target),
        // A generated file has a relative name.
        MountSource::File(path) | MountSource::Socket(path) => {
            mount_bind(dev_file(dev, path), target).at("bind on", target)
        }
    }
}

fn dev_file(dev: &Path, path: &Path) -> PathBuf {
    dev.join(path)
}

/// Makes `root` the root of this mount namespace and forgets the old one.
fn pivot_into(root: &Path) -> Result<(), Fault> {
    chdir(root).at("enter", root)?;
    match pivot_root(".", ".") {
        Ok(()) => unmount(".", UnmountFlags::DETACH).at("unmount the old root of", root)?,
        // Some runtimes' filters forbid this call even to those who may mount.
        Err(Errno::PERM | Errno::NOSYS) => move_over_old_root(root)?,
        Err(error) => return Err(error).at("pivot into", root),
    }
    chdir("/").at("enter", "/")
}

/// Covers the old root with the new one. What is covered can only be had again by unmounting, which a command
/// is not allowed.
fn move_over_old_root(root: &Path) -> Result<(), Fault> {
    mount_move(".", "/").at("move over the old root", root)?;
    rustix::process::chroot(".").at("change the root to", root)
}

fn protect_proc(layout: &Layout<'_>) -> Result<(), Fault> {
    for path in MASKED {
        mask(&real(layout, path))?;
    }
    for path in READ_ONLY {
        let path = real(layout, path);
        if path.exists() {
            mount_bind_recursive(&path, &path).at("bind onto itself", &path)?;
            remount_read_only(&path)?;
        }
    }
    Ok(())
}

/// `/proc` and `/sys` may be links in the image.
fn real(layout: &Layout<'_>, path: &str) -> PathBuf {
    let root = Path::new("/");
    match (path.strip_prefix("/proc/"), path.strip_prefix("/sys/")) {
        (Some(rest), _) => root.join(&layout.proc).join(rest),
        (_, Some(rest)) => root.join(&layout.sys).join(rest),
        _ => PathBuf::from(path),
    }
}

fn mask(path: &Path) -> Result<(), Fault> {
    let Ok(metadata) = fs::metadata(path) else {
        return Ok(());
    };
    if metadata.is_dir() {
        mount_plain("tmpfs", path, MountFlags::RDONLY, "size=0k,mode=755")
    } else {
        mount_bind("/dev/null", path).at("mask", path)
    }
}

fn make_read_only(layout: &Layout<'_>) -> Result<(), Fault> {
    for placed in layout.mounts.iter().filter(|placed| placed.mount.read_only) {
        for mounted in mounted_below(&Path::new("/").join(&placed.path))
            .iter()
            .rev()
        {
            let nested = layout.mounts.iter().any(|other| {
                !other.mount.read_only
                    && mounted.starts_with(Path::new("/").join(&other.path))
                    && other.path != placed.path
            });
            if !nested {
                remount_read_only(mounted)?;
            }
        }
    }
    Ok(())
}

/// Flags that a user namespace may not take away have to be named again.
fn remount_read_only(path: &Path) -> Result<(), Fault> {
    let flags = rustix::fs::statvfs(path)
        .at("look at the mount on", path)?
        .f_flag;
    let kept = [
        (rustix::fs::StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (rustix::fs::StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (rustix::fs::StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (rustix::fs::StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
        (
            rustix::fs::StatVfsMountFlags::NODIRATIME,
            MountFlags::NODIRATIME,
        ),
        (
            rustix::fs::StatVfsMountFlags::RELATIME,
            MountFlags::RELATIME,
        ),
    ];
    let kept = kept
        .into_iter()
        .filter(|(flag, _)| flags.contains(*flag))
        .map(|(_, flag)| flag);
    let all = kept.fold(MountFlags::BIND | MountFlags::RDONLY, |all, flag| {
        all | flag
    });
    mount_remount(path, all, "").at("make read-only the mount on", path)
}

/// The mount points at and below `path`, parents first.
fn mounted_below(path: &Path) -> Vec<PathBuf> {
    let text = fs::read("/proc/self/mountinfo").unwrap_or_default();
    let mut found: Vec<PathBuf> = mount_points(&text)
        .into_iter()
        .filter(|point| point.starts_with(path))
        .collect();
    found.sort();
    found.dedup();
    if found.is_empty() {
        vec![path.to_owned()]
    } else {
        found
    }
}

/// The mount points in the text of `/proc/self/mountinfo`.
pub(crate) fn mount_points(mountinfo: &[u8]) -> Vec<PathBuf> {
    let lines = mountinfo.split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .map(unescape)
        .collect()
}

/// Undoes the kernel's `\040` for blanks, tabs, newlines and backslashes.
fn unescape(field: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStringExt as _;
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, tail)) = rest.split_first() {
        let code = tail
            .get(..3)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        match code
            .and_then(|digits| u8::from_str_radix(digits, 8).ok())
            .filter(|_| byte == b'\\')
        {
            Some(code) => {
                bytes.push(code);
                rest = &tail[3..];
            }
            None => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

/// With a shared `/proc`, the environment and memory of the caller's processes would be readable.
fn guard_others(spec: &RunSpec, report: &mut Report) {
    match landlock::guard_processes() {
        Err(reason) if spec.user.is_root() => report.note(Note::Unconfined { reason }),
        // The caller's processes belong to user 0, whom others cannot look at anyway.
        _ => {}
    }
}

/// Tries everything a run needs, on an empty root in the state directory.
pub(crate) fn examine(state_dir: &Path, leash: impl AsFd) -> Result<ProbeAnswer, RunError> {
    userns::gain_mount_rights()?;
    let scratch = state_dir.join(format!(
        "probe-{}",
        rustix::process::getpid().as_raw_nonzero()
    ));
    let root = scratch.join("root");
    fs::create_dir_all(&root).at("make", &root)?;
    let result = examine_in(&scratch, &root, leash);
    fs::remove_dir_all(&scratch).at("remove", &scratch)?;
    result
}

/// Tries an overlay as a run would mount it.
pub(crate) fn examine_overlay(state_dir: &Path) -> Result<OverlayMarks, RunError> {
    userns::gain_mount_rights()?;
    overlay::examine(state_dir)
}

fn examine_in(scratch: &Path, root: &Path, leash: impl AsFd) -> Result<ProbeAnswer, RunError> {
    // A missing executable is the last thing that can go wrong, after everything else has worked.
    let spec = RunSpec::new(root, ["/probe"]);
    let overlay = overlay::works(scratch);
    match run(&spec, leash) {
        Err(RunError::Exec { .. }) | Ok(_) => {}
        Err(error) => return Err(error),
    }
    Ok(ProbeAnswer {
        obstacle: None,
        notes: Vec::new(),
        landlock: landlock::version(),
        overlay,
    })
}

/// Names that the generated files have below the command's `/dev` until they are bound.
const HOSTS: &str = ".hosts";
const RESOLV_CONF: &str = ".resolv.conf";
const SCRIPT: &str = ".script";

const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/asound",
    "/proc/interrupts",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_with_odd_names_are_read() {
        let text = b"1 2 0:1 / / rw - x x x\n2 1 0:2 / /a\\040b\\134c rw - x x x\n3 1 0:2 / /\\0 rw - x x x\n";
        assert_eq!(
            mount_points(text),
            ["/", "/a b\\c", "/\\0"].map(PathBuf::from)
        );
    }
}
