//! The private daemon: privileges, listings, signals, and that nothing is left of it.

use std::time::Duration;

use yadokari_testkit::docker::Flavour;
use yadokari_testkit::process::Signal;
use yadokari_testkit::{Docker, Mirror, base, needs, process, skip_unless};

#[test]
fn containers_are_unprivileged_and_their_roots_are_listed() {
    skip_unless!(needs::docker());
    let docker = Docker::start().unwrap();
    let busybox = base::busybox_binary().unwrap();
    let image = docker.executor_image(&busybox, Flavour::Debug).unwrap();
    let container = docker
        .container(image)
        .entrypoint("sleep")
        .args(["1000"])
        .start()
        .unwrap();

    let status = container
        .exec(&["grep", "-E", "^(CapEff|Seccomp):", "/proc/self/status"])
        .unwrap()
        .success();
    assert_eq!(
        status.output, "CapEff:\t00000000a80425fb\nSeccomp:\t2\n",
        "docker's default capabilities and seccomp"
    );
    assert!(!container.mounts().unwrap().is_empty());

    let before = container.listing().unwrap();
    assert_eq!(before.get("/kaniko/warmer").unwrap().content, "executor");
    container
        .exec(&[
            "sh",
            "-c",
            "echo new > /new; chmod 700 /workspace; rm /kaniko/warmer",
        ])
        .unwrap()
        .success();
    let lines = before.difference(&container.listing().unwrap());
    let marks: Vec<&str> = lines
        .iter()
        .map(|line| line.split(':').next().unwrap())
        .collect();
    assert_eq!(marks, ["- /kaniko/warmer", "~ /workspace", "+ /new"]);
    let after = container
        .listing()
        .unwrap()
        .without("/new")
        .without("/kaniko");
    assert_eq!(before.without("/kaniko").difference(&after).len(), 1);
}

#[test]
fn exit_statuses_and_signals_come_through() {
    skip_unless!(needs::docker());
    let docker = Docker::start().unwrap();
    let busybox = base::busybox_binary().unwrap();
    let image = docker.executor_image(&busybox, Flavour::Debug).unwrap();
    let script = "echo \"$NAME\"; cat /data/file; exit 42";
    let volume = tempfile::tempdir().unwrap();
    std::fs::write(volume.path().join("file"), "from outside\n").unwrap();
    let spec = docker
        .container(image)
        .env("NAME", "a value")
        .volume(volume.path(), "/data");
    let (_, finished) = spec.entrypoint("sh").args(["-c", script]).run().unwrap();
    assert_eq!(
        (finished.status, finished.output.as_str()),
        (42, "a value\nfrom outside\n")
    );

    let container = docker
        .container(image)
        .entrypoint("sleep")
        .args(["1000"])
        .start()
        .unwrap();
    let mut running = container
        .spawn(&[
            "sh",
            "-c",
            "trap 'echo ended; exit 3' TERM; echo begun; sleep 777 & wait",
        ])
        .unwrap();
    running.wait_for("begun", Duration::from_secs(10)).unwrap();
    assert_eq!(container.signal(Signal::TERM, "trap").unwrap(), 1);
    let finished = running.wait().unwrap();
    assert_eq!(
        (finished.status, finished.output.as_str()),
        (3, "begun\nended\n")
    );
    container.kill("KILL").unwrap();
}

#[test]
fn packages_can_be_installed_in_a_container_of_the_debian_base() {
    skip_unless!(needs::docker(), needs::registry(), needs::debian());
    let (docker, mirror) = (Docker::start().unwrap(), Mirror::debian().unwrap());
    let image = format!("{}/library/debian:{}", mirror.address(), base::SUITE);
    docker.pull(&image).unwrap();
    let script = "apt-get -q update && apt-get -q install -y --no-install-recommends tcc && tcc -v";
    let (_, finished) = docker
        .container(&image)
        .args(["sh", "-ec", script])
        .run()
        .unwrap();
    assert!(finished.success().output.contains("tcc version"));
}

#[test]
fn a_dropped_daemon_leaves_no_process_mount_or_file() {
    skip_unless!(needs::docker());
    let docker = Docker::start().unwrap();
    let socket = docker
        .command()
        .get_envs()
        .find_map(|(name, value)| match name.to_str() {
            Some("DOCKER_HOST") => {
                value.map(|value| value.to_string_lossy().replace("unix://", ""))
            }
            _ => None,
        });
    let directory = std::path::PathBuf::from(socket.unwrap())
        .parent()
        .unwrap()
        .to_path_buf();
    let image = docker
        .executor_image(&base::busybox_binary().unwrap(), Flavour::Debug)
        .unwrap();
    let container = docker
        .container(image)
        .entrypoint("sleep")
        .args(["1000"])
        .start()
        .unwrap();
    std::mem::forget(container);
    drop(docker);
    assert!(!directory.exists());
    let name = directory.to_str().unwrap();
    assert!(
        !std::fs::read_to_string("/proc/self/mountinfo")
            .unwrap()
            .contains(name)
    );
    let left = process::finish(std::process::Command::new("pgrep").args(["-f", name])).unwrap();
    assert_eq!(left.output, "");
}
