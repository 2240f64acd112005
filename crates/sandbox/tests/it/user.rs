//! Namespaces as an ordinary user.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::process::{Command, Output};

use yadokari_sandbox::RunSpec;

use crate::support::{Ground, driver, stderr, stdout};

/// A user who has no subordinate ids.
pub(crate) const UID: u32 = 54_321;

fn run(ground: &Ground, script: &str) -> Output {
    run_spec(ground, &ground.spec(script))
}

/// Runs a command through the driver as an ordinary user, who enters a user namespace first.
pub(crate) fn run_spec(ground: &Ground, spec: &RunSpec) -> Output {
    fs::set_permissions(ground.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = ground.path("driver");
    fs::copy(driver(), &copy).unwrap();
    chown(ground.path("state"), Some(UID), Some(UID)).unwrap();
    for path in ["root", "root/tmp"] {
        chown(ground.path(path), Some(UID), Some(UID)).unwrap();
    }
    let command = ground.command("namespaces", spec);
    let mut words = Command::new("setpriv");
    words.args([
        format!("--reuid={UID}"),
        format!("--regid={UID}"),
        "--clear-groups".into(),
    ]);
    words
        .arg(copy)
        .args(["as-user", "--"])
        .args(command.get_args());
    words.current_dir("/").output().unwrap()
}

#[test]
fn an_ordinary_user_with_a_single_id_runs_a_command_as_root() {
    let Some(ground) = Ground::for_root() else {
        return;
    };
    let output = run(
        &ground,
        "id -u; echo pid $$; touch /tmp/made /made; hostname; ls /dev/null; echo x > /dev/null",
    );
    assert_eq!(
        stdout(&output),
        "0\npid 1\nbuildkitsandbox\n/dev/null\n",
        "{}",
        stderr(&output)
    );
    assert!(
        stderr(&output).contains("map: Single"),
        "{}",
        stderr(&output)
    );
    assert_eq!(
        ground.left(),
        ["dev", "made", "proc", "sys", "tmp", "tmp/made"]
    );
}
