//! The last steps of a child before it becomes the command.

use std::convert::Infallible;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::unistd::{Gid, Uid, execve, setgroups, setresgid, setresuid};
use rustix::process::{
    Resource, Rlimit, Signal, chdir, set_parent_process_death_signal, setrlimit, setsid,
};

use crate::error::{At as _, Fault, RunError, fault};
use crate::spec::{RunSpec, Security, Ulimit, User};
use crate::{capabilities, kernel, lookup, seccomp};

/// Becomes the command of `spec`; `/` is its root already.
///
/// `confine` is called when no privilege is needed any more.
pub(crate) fn launch(
    spec: &RunSpec,
    confine: impl FnOnce() -> Result<(), RunError>,
) -> Result<Infallible, RunError> {
    // The caller's group and session may be signalled as a whole, and its terminal is not the command's.
    setsid().at("start a session for", "command")?;
    nix::unistd::dup2_stdin(kernel::empty_input()?).at("empty", "stdin")?;
    chdir(&spec.cwd)
        .at("cannot enter", &spec.cwd)
        .map_err(RunError::WorkingDirectory)?;
    limit_resources(&spec.ulimits)?;
    // The caller may do without; it is a matter of speed alone, and old kernels know nothing of it.
    let _ = rustix::thread::disable_transparent_huge_pages(false);
    confine()?;
    if spec.security == Security::Sandbox {
        // Where no filter may be had, the runtime's own is in force, or the kernel has none for anybody.
        let _ = seccomp::refuse_privileged_calls();
    }
    take_identity(spec)?;
    // Changing the user clears this, so it comes after.
    set_parent_process_death_signal(Some(Signal::KILL)).at("tie the command to", "/proc/self")?;
    kernel::reset_signals();
    kernel::close_on_exec_from_3();
    execute(spec)
}

fn take_identity(spec: &RunSpec) -> Result<(), RunError> {
    let User { uid, gid, .. } = spec.user;
    let insecure = spec.security == Security::Insecure;
    if insecure {
        rustix::thread::set_keep_capabilities(true).at("keep the capabilities of", "/proc/self")?;
    } else {
        capabilities::limit_bounding_set()?;
    }
    change_user(&spec.user).map_err(|fault| RunError::User { uid, gid, fault })?;
    if insecure {
        capabilities::keep_everything()?;
    } else {
        capabilities::limit(spec.user.is_root())?;
    }
    Ok(())
}

fn change_user(user: &User) -> Result<(), Fault> {
    let mut groups = vec![user.gid];
    groups.extend(user.groups.iter().filter(|group| **group != user.gid));
    match setgroups(
        &groups
            .iter()
            .copied()
            .map(Gid::from_raw)
            .collect::<Vec<_>>(),
    ) {
        // A namespace with a single id forbids setting groups at all.
        Err(nix::errno::Errno::EPERM) if groups.len() == 1 => {}
        result => result.at("set the groups of", "command")?,
    }
    let gid = Gid::from_raw(user.gid);
    setresgid(gid, gid, gid).at("set the group of", "command")?;
    let uid = Uid::from_raw(user.uid);
    setresuid(uid, uid, uid).at("set the user of", "command")
}

fn limit_resources(ulimits: &[Ulimit]) -> Result<(), RunError> {
    for limit in ulimits {
        let resource = resource(&limit.name).ok_or_else(|| RunError::Invalid {
            what: format!("ulimit {:?}", limit.name),
            reason: "is not a resource".to_owned(),
        })?;
        let bound = |value: u64| (value != u64::MAX).then_some(value);
        let value = Rlimit {
            current: bound(limit.soft),
            maximum: bound(limit.hard),
        };
        setrlimit(resource, value).at("set the limit", &limit.name)?;
    }
    Ok(())
}

fn resource(name: &str) -> Option<Resource> {
    Some(match name {
        "as" => Resource::As,
        "core" => Resource::Core,
        "cpu" => Resource::Cpu,
        "data" => Resource::Data,
        "fsize" => Resource::Fsize,
        "locks" => Resource::Locks,
        "memlock" => Resource::Memlock,
        "msgqueue" => Resource::Msgqueue,
        "nice" => Resource::Nice,
        "nofile" => Resource::Nofile,
        "nproc" => Resource::Nproc,
        "rss" => Resource::Rss,
        "rtprio" => Resource::Rtprio,
        "rttime" => Resource::Rttime,
        "sigpending" => Resource::Sigpending,
        "stack" => Resource::Stack,
        _ => return None,
    })
}

fn execute(spec: &RunSpec) -> Result<Infallible, RunError> {
    let program = spec
        .argv
        .first()
        .map_or(OsStr::new(""), |word| word.as_os_str());
    let path = lookup::executable(Path::new("/"), program, &spec.env, &spec.cwd)?;
    let path = text(path.as_os_str().as_bytes().to_vec(), "executable")?;
    let arguments = spec
        .argv
        .iter()
        .map(|word| text(word.as_bytes().to_vec(), "argument"));
    let arguments = arguments.collect::<Result<Vec<_>, _>>()?;
    let environment = spec.env.iter().map(|(name, value)| {
        text(
            [name.as_bytes(), b"=", value.as_bytes()].concat(),
            "environment variable",
        )
    });
    let environment = environment.collect::<Result<Vec<_>, _>>()?;
    let Err(errno) = execve(&path, &arguments, &environment);
    let reason = match errno {
        nix::errno::Errno::ENOEXEC => "exec format error".to_owned(),
        nix::errno::Errno::ENOENT => "no such file or directory".to_owned(),
        nix::errno::Errno::EACCES => "permission denied".to_owned(),
        nix::errno::Errno::E2BIG => "argument list too long".to_owned(),
        other => fault("execute", program, other as i32).to_string(),
    };
    Err(RunError::Exec {
        program: program.to_string_lossy().into_owned(),
        reason,
    })
}

fn text(bytes: Vec<u8>, what: &str) -> Result<CString, RunError> {
    CString::new(bytes).map_err(|_| RunError::Invalid {
        what: what.to_owned(),
        reason: "holds a NUL byte".to_owned(),
    })
}
