//! Namespaces as real root.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use yadokari_sandbox::{Mount, MountSource, Network, Ulimit, User};

use crate::support::{Ground, install_driver, stderr, stdout};

fn mount(target: &str, source: MountSource, read_only: bool) -> Mount {
    Mount {
        target: PathBuf::from(target),
        source,
        read_only,
    }
}

#[test]
fn the_command_sees_what_a_container_would_show_it() {
    let Some(ground) = Ground::for_root() else {
        return;
    };
    let mut spec = ground.spec(
        "echo pid $$; hostname; id -u; umask; cat /etc/hosts; wc -c < /dev/stdin; env; \
         grep -E '^(Cap|NoNew)' /proc/self/status; ls /dev; ls -A /proc/acpi; \
         echo x > /proc/sys/kernel/hostname; ls /proc/self/fd",
    );
    spec.hosts = vec![("10.1.2.3".into(), "DB".into())];
    let output = ground.run("namespaces", &spec);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        text.starts_with("pid 1\nbuildkitsandbox\n0\n0022\n127.0.0.1\tlocalhost buildkitsandbox\n"),
        "{text}"
    );
    for line in [
        "10.1.2.3\tdb",
        "CapBnd:\t00000000a80425fb",
        "CapEff:\t00000000a80425fb",
        "NoNewPrivs:\t0",
        "ptmx",
        "shm",
        "CapAmb:\t0000000000000000",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
    assert!(
        text.contains("\n0\nSHLVL=1\nPATH=/bin\nPWD=/\n") || text.contains("\n0\nPATH=/bin"),
        "{text}"
    );
    assert!(text.ends_with("\n0\n1\n2\n3\n"), "{text}");
    assert!(
        stderr(&output).contains("Read-only file system"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_run_leaves_only_the_directories_of_the_kernel() {
    let Some(ground) = Ground::for_root() else {
        return;
    };
    let before = fs::metadata(ground.root().join("tmp"))
        .unwrap()
        .mtime_nsec();
    fs::create_dir(ground.path("cache")).unwrap();
    let mut spec = ground.spec("echo kept > /cache/deep/file; touch /a/b/t/x /tmp/s; rm /tmp/s");
    spec.mounts = vec![
        mount(
            "/cache/deep",
            MountSource::Directory(ground.path("cache")),
            false,
        ),
        mount(
            "/a/b/t",
            MountSource::Tmpfs {
                size: Some(1 << 20),
                mode: 0o1777,
            },
            false,
        ),
    ];
    let output = ground.run("namespaces", &spec);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(ground.left(), ["dev", "proc", "sys", "tmp"]);
    assert_eq!(
        fs::read_to_string(ground.path("cache/file")).unwrap(),
        "kept\n"
    );
    assert_ne!(
        fs::metadata(ground.root().join("tmp"))
            .unwrap()
            .mtime_nsec(),
        before
    );
}

#[test]
fn mounts_nest_and_read_only_ones_hold() {
    let Some(ground) = Ground::for_root() else {
        return;
    };
    fs::create_dir(ground.path("context")).unwrap();
    fs::write(ground.path("context/file"), "from context").unwrap();
    fs::write(ground.path("secret"), "hush").unwrap();
    fs::set_permissions(ground.path("secret"), fs::Permissions::from_mode(0o400)).unwrap();
    let mut spec = ground.spec(
        "cat /src/file /src/in/key /dev/pipes/EOF; stat -c %a /src/in/key; touch /src/x; touch /src/in/t/x && echo nested",
    );
    spec.mounts = vec![
        mount(
            "/src/in/t",
            MountSource::Tmpfs {
                size: None,
                mode: 0o1777,
            },
            false,
        ),
        mount(
            "/src/in/key",
            MountSource::File(ground.path("secret")),
            true,
        ),
        mount("/src", MountSource::Directory(ground.path("context")), true),
        mount(
            "/dev/pipes/EOF",
            MountSource::File(ground.path("secret")),
            true,
        ),
    ];
    let output = ground.run("namespaces", &spec);
    assert_eq!(
        stdout(&output),
        "from contexthushhush400\nnested\n",
        "{}",
        stderr(&output)
    );
    assert!(
        stderr(&output).contains("/src/x: Read-only file system"),
        "{}",
        stderr(&output)
    );
    let left: Vec<_> = fs::read_dir(ground.path("context"))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left, ["file"]);
}

#[test]
fn another_user_has_no_capabilities() {
    let Some(ground) = Ground::for_root() else {
        return;
    };
    chown(ground.root().join("tmp"), Some(1000), Some(1000)).unwrap();
    let mut spec = ground.spec("id; grep CapEff /proc/self/status; touch /tmp/mine; touch /not");
    spec.user = User {
        uid: 1000,
        gid: 1000,
        groups: vec![1000, 2000],
    };
    let output = ground.run("namespaces", &spec);
    assert_eq!(
        stdout(&output),
        "uid=1000 gid=1000 groups=1000,2000\nCapEff:\t0000000000000000\n"
    );
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        fs::metadata(ground.root().join("tmp/mine")).unwrap().uid(),
        1000
    );
}

#[test]
fn terminals_can_be_opened_and_the_kernels_settings_are_read_only() {
    let Some(ground) = Ground::for_root() else {
        return;
    };
    let spec = ground.spec(
        "exec 3<>/dev/ptmx; ls /dev/pts; mount | grep -c 'on /sys .*(ro,'; mkdir /sys/fs/new",
    );
    let output = ground.run("namespaces", &spec);
    assert_eq!(stdout(&output), "0\nptmx\n1\n", "{}", stderr(&output));
    assert!(
        stderr(&output).contains("Read-only file system"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn setuid_programs_work_for_other_users() {
    let Some(ground) = Ground::for_root() else {
        return;
    };
    install_driver(&ground.root());
    let setuid = ground.root().join("bin/setuid");
    fs::copy(ground.root().join("bin/driver"), &setuid).unwrap();
    fs::set_permissions(&setuid, fs::Permissions::from_mode(0o4755)).unwrap();
    let mut spec = ground.spec("/bin/driver who; /bin/setuid who");
    spec.user = User {
        uid: 1000,
        gid: 1000,
        groups: Vec::new(),
    };
    let output = ground.run("namespaces", &spec);
    assert_eq!(stdout(&output), "1000\n0\n", "{}", stderr(&output));
}

#[test]
fn exit_statuses_signals_and_missing_executables_are_told_apart() {
    let Some(ground) = Ground::for_root() else {
        return;
    };
    for (script, code) in [
        ("exit 3", 3),
        ("nosuch", 127),
        ("sh -c 'kill -9 $$'; exit $?", 137),
        ("true", 0),
    ] {
        assert_eq!(
            ground.run("namespaces", &ground.spec(script)).status.code(),
            Some(code),
            "{script}"
        );
    }
    let mut spec = ground.spec("");
    for (word, reason) in [
        ("nosuch", "executable file not found in $PATH"),
        ("/nosuch", "no such file or directory"),
        ("/tmp", "is a directory"),
    ] {
        spec.argv = vec![word.into()];
        let output = ground.run("namespaces", &spec);
        assert_eq!(
            stderr(&output),
            format!("error: exec: {word:?}: {reason}\n")
        );
    }
    spec.argv = vec!["true".into()];
    spec.cwd = PathBuf::from("/nowhere");
    assert!(
        stderr(&ground.run("namespaces", &spec))
            .contains("working directory cannot enter `/nowhere`")
    );
}

#[test]
fn without_network_there_is_only_a_loopback_that_is_up() {
    let Some(ground) = Ground::for_root() else {
        return;
    };
    let mut spec =
        ground.spec("ls /sys/class/net; cat /sys/class/net/lo/flags; cat /etc/resolv.conf");
    spec.network = Network::None;
    let output = ground.run("namespaces", &spec);
    assert_eq!(stdout(&output), "lo\n0x9\n", "{}", stderr(&output));
}

#[test]
fn limits_are_set() {
    let Some(ground) = Ground::for_root() else {
        return;
    };
    let mut spec = ground.spec("ulimit -n; ulimit -Hn");
    spec.ulimits = vec![Ulimit {
        name: "nofile".into(),
        soft: 100,
        hard: 200,
    }];
    assert_eq!(stdout(&ground.run("namespaces", &spec)), "100\n200\n");
    spec.ulimits[0].name = "nosuch".into();
    assert!(
        stderr(&ground.run("namespaces", &spec)).contains("ulimit \"nosuch\": is not a resource")
    );
}

#[test]
fn an_interrupt_ends_everything_within_two_seconds() {
    let Some(ground) = Ground::for_root() else {
        return;
    };
    let spec = ground.spec("trap '' TERM INT; (setsid sleep 4242 &); echo ready; sleep 4242");
    let mut child = ground
        .command("namespaces", &spec)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut word = [0; 6];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut word).unwrap();
    let since = Instant::now();
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        since.elapsed() < Duration::from_secs(2),
        "{:?}",
        since.elapsed()
    );
    assert_eq!(stderr(&output), "error: interrupted\n");
    assert_eq!(ground.left(), ["dev", "proc", "sys", "tmp"]);
}

#[test]
fn a_killed_caller_leaves_no_mount_point_and_no_process() {
    let Some(ground) = Ground::for_root() else {
        return;
    };
    let spec = ground.spec("echo ready; exec sleep 4243");
    let mut child = ground
        .command("namespaces", &spec)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut word = [0; 6];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut word).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let since = Instant::now();
    while ground.left() != ["dev", "proc", "sys", "tmp"] {
        assert!(
            since.elapsed() < Duration::from_secs(5),
            "{:?}",
            ground.left()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}
