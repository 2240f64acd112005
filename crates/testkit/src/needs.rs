//! What a test needs of the machine, and what happens where it is missing.
//!
//! A test begins with [`skip_unless!`](crate::skip_unless). Where a need is not met it prints why and ends; with
//! `CI=true` that is a failure, so a check cannot fall silent.

use crate::process;

/// A need that is not met: one sentence for a reader who wants to mend it.
pub type Lack = String;

/// Root, as user id 0 on the machine.
///
/// # Errors
///
/// If the test does not run as root.
pub fn root() -> Result<(), Lack> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err("needs root".into())
}

/// A program on the search path; its Debian package is named where it differs.
///
/// # Errors
///
/// If it is not there.
pub fn program(name: &str) -> Result<(), Lack> {
    if process::exists(name) {
        return Ok(());
    }
    Err(format!("needs `{name}` (Debian package {})", package(name)))
}

/// All that [`Docker::start`](crate::Docker::start) needs.
///
/// # Errors
///
/// If the test is not root or a program is missing.
pub fn docker() -> Result<(), Lack> {
    root()?;
    ["dockerd", "containerd", "runc", "docker"]
        .into_iter()
        .try_for_each(program)
}

/// All that [`Registry::start`](crate::Registry::start) needs.
///
/// # Errors
///
/// If a program is missing.
pub fn registry() -> Result<(), Lack> {
    ["docker-registry", "htpasswd", "openssl", "curl"]
        .into_iter()
        .try_for_each(program)
}

/// All that the Debian base image needs, unless it is already in the cache.
///
/// # Errors
///
/// If `mmdebstrap` is missing.
pub fn debian() -> Result<(), Lack> {
    program("mmdebstrap")
}

/// Namespaces for an ordinary user: the kernel's permission, and `newuidmap`.
///
/// # Errors
///
/// If the kernel refuses them or the program is missing.
pub fn user_namespaces() -> Result<(), Lack> {
    let allowed =
        |path: &str| std::fs::read_to_string(path).map_or(true, |text| text.trim() != "0");
    if !allowed("/proc/sys/user/max_user_namespaces")
        || !allowed("/proc/sys/kernel/unprivileged_userns_clone")
    {
        return Err("needs user namespaces, which this kernel is set to refuse".into());
    }
    program("newuidmap")
}

/// Environments of Python, into which packages can be installed.
///
/// # Errors
///
/// If Python or the module that makes them is missing.
pub fn python_environments() -> Result<(), Lack> {
    program("python3")?;
    let mut python = std::process::Command::new("python3");
    let module = process::output(python.args(["-c", "import ensurepip"]));
    if module.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    Err("needs virtual environments of Python (Debian package python3-venv)".into())
}

/// Says that a test is skipped.
///
/// # Panics
///
/// With `CI=true` in the environment.
#[expect(
    clippy::print_stderr,
    reason = "the reason belongs beside the test's result"
)]
pub fn skip(lack: &str) {
    assert!(!in_ci(), "this test may not be skipped in CI: {lack}");
    eprintln!("skipped: {lack}");
}

/// Whether `CI=true` is set.
#[must_use]
pub fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// Ends the test with a printed reason unless every need is met.
///
/// ```
/// use yadokari_testkit::{needs, skip_unless};
///
/// fn reads_an_image() {
///     skip_unless!(needs::docker(), needs::program("skopeo"));
///     // the test itself
/// }
/// ```
#[macro_export]
macro_rules! skip_unless {
    ($($need:expr),+ $(,)?) => {
        $(if let Err(lack) = $need {
            $crate::needs::skip(&lack);
            return;
        })+
    };
}

/// The Debian package that holds a program.
#[must_use]
pub fn package(program: &str) -> &str {
    match program {
        "dockerd" | "docker" => "docker.io",
        "groff" => "groff-base",
        "htpasswd" => "apache2-utils",
        "man" => "man-db",
        "newuidmap" | "newgidmap" => "uidmap",
        "useradd" => "passwd",
        "script" => "bsdutils",
        "setpriv" => "util-linux",
        "setfattr" | "getfattr" => "attr",
        "dpkg-deb" => "dpkg",
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        assert_eq!(program("sh"), Ok(()));
        assert_eq!(package("htpasswd"), "apache2-utils");
        let lack = program("no-such-program-at-all").unwrap_err();
        assert_eq!(
            lack,
            "needs `no-such-program-at-all` (Debian package no-such-program-at-all)"
        );
    }
}
