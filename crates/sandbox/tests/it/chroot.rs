//! Plain chroot.

use yadokari_sandbox::Network;

use crate::support::{Ground, stderr, stdout};

#[test]
fn a_chroot_has_devices_for_the_run_only_and_no_proc() {
    let Some(ground) = Ground::for_root() else {
        return;
    };
    let output = ground.run(
        "chroot",
        &ground.spec("ls /proc; ls /dev; echo x > /dev/null; (setsid sleep 4244 &); exit 4"),
    );
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert_eq!(
        stdout(&output),
        "fd\nfull\nnull\nrandom\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n".to_owned(),
        "{}",
        stderr(&output)
    );
    assert!(stderr(&output).contains("there is no /proc in chroot isolation"));
    assert!(stderr(&output).contains("1 processes were left"));
    assert_eq!(ground.left(), ["dev", "tmp"]);
}

#[test]
fn what_a_chroot_cannot_do_is_refused() {
    let Some(ground) = Ground::for_root() else {
        return;
    };
    let mut spec = ground.spec("true");
    spec.network = Network::None;
    assert!(
        stderr(&ground.run("chroot", &spec))
            .contains("--network=none in chroot isolation needs namespaces")
    );
}
