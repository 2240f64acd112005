//! Rootswap, which is only ever tried inside a container of a Docker daemon.
//!
//! Each test has a daemon of its own; where none can be started, it says so and passes, but fails with
//! `CI=true`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use yadokari_sandbox::{Mount, MountSource, RunSpec, User};
use yadokari_testkit::{Docker, needs};

use crate::support::{Ground, driver, libraries, make_root, script_spec, stderr, stdout};

/// An image that holds busybox, the driver with its libraries, and odd directories of its own.
const IMAGE: &str = "yadokari-sandbox-test";

/// A daemon that has the image, and ends when it is dropped.
fn daemon() -> Option<Docker> {
    if let Err(lack) = needs::docker().and_then(|()| needs::program("busybox")) {
        needs::skip(&lack);
        return None;
    }
    Some(with_image(Docker::start().unwrap()))
}

fn with_image(docker: Docker) -> Docker {
    make_image(&docker).expect("the parts of the image are all on this machine");
    docker
}

fn make_image(docker: &Docker) -> Option<()> {
    let directory = tempfile::tempdir().ok()?;
    let root = directory.path().join("root");
    make_root(&root);
    for name in [
        "kaniko/.docker",
        "builds/job",
        "workspace",
        "etc",
        "proc",
        "sys",
        "dev",
        "usr/lib",
    ] {
        fs::create_dir_all(root.join(name)).ok()?;
    }
    for (name, text) in [
        ("kaniko/.docker/config.json", "PASSWORD"),
        ("etc/passwd", "root:x:0:0::/:/bin/sh\n"),
        ("usr/lib/own", "own"),
    ] {
        fs::write(root.join(name), text).ok()?;
    }
    fs::copy(driver(), root.join("kaniko/driver")).ok()?;
    for library in libraries() {
        let to = root.join(library.strip_prefix("/").ok()?);
        fs::create_dir_all(to.parent()?).ok()?;
        fs::copy(library, to).ok()?;
    }
    let mut tar = Command::new("tar")
        .arg("-C")
        .arg(&root)
        .args(["-c", "."])
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let archive = tar.stdout.take()?;
    let import = docker
        .command()
        .args(["import", "-", IMAGE])
        .stdin(archive)
        .output()
        .ok()?;
    tar.wait().ok()?;
    import.status.success().then_some(())
}

/// Prints every entry of `/` that is the container's own, so that two lists can be compared.
const LIST: &str = "list() { find / -xdev \\( -path /.yadokari -o -path /proc -o -path /sys -o -path /dev -o -path /t \\) \
    -prune -o -print0 | sort -z | xargs -0 stat -c '%n %F %a %u:%g %s %Y %N'; }";

/// Runs `script` with the stage made from a busybox root and `arrange`, in a default container.
pub(crate) fn run_in_container(arrange: &str, spec: &RunSpec, around: &str) -> Option<Output> {
    run_with_volumes(&[], arrange, spec, around)
}

/// Like [`run_in_container`], with volumes that each hold a file `precious`.
pub(crate) fn run_with_volumes(
    volumes: &[&str],
    arrange: &str,
    spec: &RunSpec,
    around: &str,
) -> Option<Output> {
    run_by(&daemon()?, volumes, arrange, spec, around)
}

fn run_by(
    docker: &Docker,
    volumes: &[&str],
    arrange: &str,
    spec: &RunSpec,
    around: &str,
) -> Option<Output> {
    let ground = Ground::new()?;
    fs::write(ground.path("spec.json"), serde_json::to_vec(spec).unwrap()).unwrap();
    let script = format!(
        "{LIST}\nset -u\nmkdir -p /.yadokari/stage\ncp -a /t/root/. /.yadokari/stage/\ncd /.yadokari/stage\n{arrange}\ncd /builds/job\n\
         list > /t/before\n{around}\nlist > /t/after\ndiff /t/before /t/after && echo SAME\npwd\n"
    );
    fs::write(ground.path("script"), script).unwrap();
    let volume = format!("{}:/t", ground.directory.path().display());
    let inner = ground.path("inner");
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("precious"), "precious").unwrap();
    fs::set_permissions(&inner, fs::Permissions::from_mode(0o755)).unwrap();
    let volume_at = |place: &&str| format!("{}:{place}", inner.display());
    let mut command = docker.command();
    command.args([
        "run",
        "--rm",
        "--network",
        "host",
        "-e",
        "JOB_TOKEN=PASSWORD",
        "-v",
        &volume,
    ]);
    for place in volumes.iter().chain(&["/m/vol"]) {
        command.args(["-v", &volume_at(place)]);
    }
    command.arg(IMAGE);
    Some(command.args(["/bin/sh", "/t/script"]).output().unwrap())
}

pub(crate) const RUN: &str = "/kaniko/driver run rootswap /.yadokari /t/spec.json; echo status $?";

pub(crate) fn spec(script: &str) -> RunSpec {
    let mut spec = script_spec(Path::new("/.yadokari/stage"), script);
    spec.hidden = vec!["/t".into()];
    spec
}

#[test]
fn the_container_is_the_same_after_a_command_that_wrecks_its_root() {
    let script = "mkdir /app && echo text > /app/file && cat /app/file; ( set -C; echo excl > /excl ) && cat /excl; \
        echo x > /etc/new; mkdir -p /usr/lib && echo stage > /usr/lib/own; cat /usr/lib/own; rm -rf /opt; \
        mkdir /mvd && echo m > /mvd/f && mv /mvd /moved && cat /moved/f; \
        mv /tmp/dir /fromtmp && cat /fromtmp/f; stat -c %a /app; ln -s app /link && cat /link/file; \
        ls /builds/job; (setsid sh -c 'setsid sleep 4245 & sleep 4245' &); sleep 0.1; rm -rf /bin; exit 7";
    let Some(output) = run_in_container(
        "mkdir -p opt/x tmp/dir; echo t > tmp/dir/f",
        &spec(script),
        &format!(
            "{RUN}; cd /.yadokari/stage; find . | grep -v '^./tmp' | sort; ls -A /.yadokari/swap; ps | grep -c 'slee[p]'"
        ),
    ) else {
        return;
    };
    let text = stdout(&output);
    assert!(
        text.starts_with("text\nexcl\nstage\nm\nt\n755\ntext\nstatus 7\n"),
        "{text} {}",
        stderr(&output)
    );
    assert!(text.contains("SAME\n"), "{text}");
    for path in [
        "./app/file",
        "./etc/new",
        "./usr/lib/own",
        "./moved/f",
        "./fromtmp/f",
        "./link",
        "./excl",
        "./proc",
        "./sys",
        "./dev",
    ] {
        assert!(text.lines().any(|line| line == path), "{path} in {text}");
    }
    for path in [
        "./bin",
        "./opt",
        "./kaniko",
        "./builds",
        "./etc/hosts",
        "./etc/resolv.conf",
        "./mvd",
    ] {
        assert!(!text.lines().any(|line| line == path), "{path} in {text}");
    }
    assert!(text.contains("\n0\n"), "no process may be left: {text}");
    assert!(
        stderr(&output).contains("processes were left by the command"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn directories_of_the_image_are_out_of_sight_unless_somebody_works_in_them() {
    let script = "ls /; mkdir -p /usr/lib/new /kaniko; rm -rf /usr; mkdir /usr; echo u > /usr/lib";
    let around = format!("{RUN}; pwd; ls -A /builds/job; {RUN}; cat /.yadokari/stage/usr/lib");
    let arrange = "mkdir -p usr/lib/deep usr/bin";
    let Some(output) = run_in_container(arrange, &spec(script), &around) else {
        return;
    };
    let (text, notes) = (stdout(&output), stderr(&output));
    let seen = "bin\nbuilds\ndev\netc\nm\nproc\nsys\ntmp\nusr\n";
    let second = seen.replace("etc\n", "etc\nkaniko\n");
    assert_eq!(
        text,
        format!("{seen}status 0\n/builds/job\n{second}status 0\nu\nSAME\n/builds/job\n"),
        "{notes}"
    );
    let note = "empty directories of the container, which are in use there: /builds\n";
    assert_eq!(notes.matches(note).count(), 2, "{notes}");
}

#[test]
fn a_mount_that_the_command_moved_is_back_and_the_run_fails() {
    for script in [
        "mv /m /moved",
        "mv /m /moved; mkdir -p /m/vol; touch /m/new",
    ] {
        let around = format!("{RUN}; find /m/ /.yadokari/stage -name precious");
        // What the image has as well is the command's to move.
        let Some(output) = run_in_container("mkdir m", &spec(script), &around) else {
            return;
        };
        let (text, errors) = (stdout(&output), stderr(&output));
        assert!(
            text.ends_with("/m/vol/precious\nSAME\n/builds/job\n") && !text.contains("status 0"),
            "{script}: {text} {errors}"
        );
        assert!(
            errors.contains("keep the container's mounts in `/m`"),
            "{script}: {errors}"
        );
    }
}

#[test]
fn secrets_of_the_job_are_out_of_reach() {
    let script = "cat /proc/*/environ | tr '\\0' '\\n' | grep JOB_TOKEN; cat /proc/1/mem; kill -0 1 && echo may kill; \
        find / -name config.json -exec cat {} + ; cat /.yadokari/swap/aside/kaniko/.docker/config.json; \
        cat /t/script; cat /.yadokari/swap/journal; cat /proc/*/root/t/script; ls /kaniko; echo x > /.yadokari/swap/journal; echo end";
    let Some(output) = run_in_container("", &spec(script), RUN) else {
        return;
    };
    let text = stdout(&output);
    assert_eq!(
        text.lines().next(),
        Some("end"),
        "{text} {}",
        stderr(&output)
    );
    assert!(text.contains("status 0\nSAME\n/builds/job\n"), "{text}");
    assert!(
        !text.contains("PASSWORD") && !stderr(&output).contains("PASSWORD"),
        "{text}"
    );
}

/// Where systems put what a job must not give away.
const VOLUMES: [&str; 3] = [
    "/ci",
    "/kaniko/.docker",
    "/run/secrets/kubernetes.io/serviceaccount",
];

/// Puts the driver into the stage, and gives it a directory that the container has too.
pub(crate) const INSTALL: &str = "cp -r /lib* .; cp /kaniko/driver bin/; mkdir run";

#[test]
fn volumes_and_processes_of_the_container_are_out_of_reach() {
    let script = "cat /ci/precious /kaniko/.docker/precious /run/secrets/*/*/precious /m/vol/precious; \
        for p in 1 $PPID; do /bin/driver reach $p; done; kill -9 -1; echo end";
    let around = format!("/kaniko/driver listen & /bin/sleep 0.2; {RUN}");
    let Some(output) = run_with_volumes(&VOLUMES, INSTALL, &spec(script), &around) else {
        return;
    };
    assert_eq!(
        stdout(&output),
        "end\nstatus 0\nSAME\n/builds/job\n",
        "{}",
        stderr(&output)
    );
}

#[test]
fn another_user_keeps_setuid_programs_and_is_kept_out_by_modes() {
    let mut spec = spec(
        "cat /kaniko/.docker/precious /run/secrets/*/*/precious /m/vol/precious; ls /.yadokari/swap; \
        for p in 1 $PPID; do /bin/driver reach $p; done; kill -9 -1; \
        grep NoNewPrivs /proc/self/status; /bin/setuid who",
    );
    spec.user = User {
        uid: 1234,
        gid: 1234,
        groups: Vec::new(),
    };
    let around = format!("{RUN}; stat -c %a /kaniko /run /m /.yadokari/swap");
    let arrange = format!("{INSTALL}; cp bin/driver bin/setuid; chmod 4755 bin/setuid");
    let Some(output) = run_with_volumes(&VOLUMES, &arrange, &spec, &around) else {
        return;
    };
    // Whether this is there is the runtime's affair, since only a domain's command gets a filter of ours.
    let text = stdout(&output).replace("io_uring\n", "");
    let notes = stderr(&output);
    assert_eq!(
        text, "NoNewPrivs:\t0\n0\nstatus 0\n755\n755\n755\n700\nSAME\n/builds/job\n",
        "{notes}"
    );
    assert!(
        notes.contains("setuid programs of users other than 0; it can read ")
            && notes.contains(" /ci, "),
        "{notes}"
    );
}

#[test]
fn an_image_with_links_and_names_of_the_container_is_swapped() {
    let arrange = "mkdir -p usr/etc kaniko/.docker real/tmp var; rmdir tmp; ln -s real/tmp tmp; ln -s /run var/run; \
        echo stage > kaniko/.docker/config.json; echo issue > usr/etc/issue; ln -s usr/etc etc; mkdir run builds";
    let script = "cat /kaniko/.docker/config.json /etc/issue /usr/etc/issue; echo n > /etc/new; cat /usr/etc/new; touch /tmp/t /var/run/r /builds/b";
    let around = format!(
        "{RUN}; cd /.yadokari/stage; ls -A usr/etc real/tmp run builds; for l in etc tmp var/run; do readlink $l; done; cat kaniko/.docker/config.json"
    );
    let Some(output) = run_in_container(arrange, &spec(script), &around) else {
        return;
    };
    let text = stdout(&output);
    assert!(
        text.starts_with("stage\nissue\nissue\nn\nstatus 0\n"),
        "{text} {}",
        stderr(&output)
    );
    assert!(text.contains("SAME\n"), "{text}");
    assert!(
        text.contains("builds:\nb\n")
            && text.contains("real/tmp:\nt\n")
            && text.contains("run:\nr\n"),
        "{text}"
    );
    assert!(text.contains("usr/etc:\nissue\nnew\n"), "{text}");
    assert!(text.contains("usr/etc\nreal/tmp\n/run\nstage\n"), "{text}");
}

#[test]
fn the_runtimes_files_are_what_they_were_and_the_log_says_that_they_had_changed() {
    let mut spec = spec(
        "echo 6.6.6.6 evil >> /etc/hosts; echo > /etc/resolv.conf; chmod 600 /etc/hostname; \
         chown 77 /etc/hosts; grep -c -e evil -e 10.9.8.7 /etc/hosts",
    );
    spec.hosts = vec![("10.9.8.7".into(), "db".into())];
    let files = "/etc/hosts /etc/resolv.conf /etc/hostname";
    let look = format!("stat -c '%n %a %u:%g %s %Y' {files}; cat {files}");
    let around =
        format!("({look}) > /t/one; {RUN}; ({look}) > /t/two; cmp /t/one /t/two && echo FILES");
    let Some(output) = run_in_container("true", &spec, &around) else {
        return;
    };
    let (text, notes) = (stdout(&output), stderr(&output));
    assert_eq!(text, "2\nstatus 0\nFILES\nSAME\n/builds/job\n", "{notes}");
    for path in ["/etc/hosts", "/etc/resolv.conf", "/etc/hostname"] {
        let told = format!("what the command did to {path} is undone");
        assert!(notes.contains(&told), "{notes}");
    }
}

#[test]
fn grafts_appear_and_go_back() {
    let mut spec = spec(
        "cat /run/secrets/key /dev/pipes/EOF; cat /opt/old; echo new > /opt/new; stat -c %a /scratch; touch /scratch/x; grep -c 10.9.8.7 /etc/hosts",
    );
    spec.hosts = vec![("10.9.8.7".into(), "db".into())];
    let mount = |target: &str, source| Mount {
        target: target.into(),
        source,
        read_only: false,
    };
    spec.mounts = vec![
        mount(
            "/run/secrets/key",
            MountSource::File("/.yadokari/key".into()),
        ),
        mount("/dev/pipes/EOF", MountSource::File("/.yadokari/key".into())),
        mount("/opt", MountSource::Directory("/.yadokari/cache".into())),
        mount(
            "/scratch",
            MountSource::Tmpfs {
                size: None,
                mode: 0o1777,
            },
        ),
    ];
    // The file is grafted by rename at one place and copied to the other, so the copy comes first in path order.
    let arrange =
        "mkdir -p /.yadokari/cache; echo old > /.yadokari/cache/old; echo hush > /.yadokari/key";
    let around = format!(
        "{RUN}; cat /.yadokari/cache/new /.yadokari/key; ls -A /.yadokari/stage /dev/pipes; grep -c 10.9.8.7 /etc/hosts"
    );
    let Some(output) = run_in_container(arrange, &spec, &around) else {
        return;
    };
    let text = stdout(&output);
    assert!(
        text.starts_with("hush\nhush\nold\n1777\n1\nstatus 0\nnew\nhush\n"),
        "{text} {}",
        stderr(&output)
    );
    assert!(
        text.contains("/.yadokari/stage:\nbin\ndev\nproc\nsys\ntmp\n0\nSAME\n"),
        "{text}"
    );
}

#[test]
fn a_killed_helper_is_recovered_and_a_killed_caller_restores_by_itself() {
    let script = "echo up > /tmp/up; sleep 4246; echo never > /tmp/never";
    let wait = "i=0; while [ $i -lt 100 ] && ! [ -e /tmp/up ]; do i=$((i+1)); /.yadokari/busybox sleep 0.05; done";
    let b = "/.yadokari/busybox";
    let around = format!(
        "cp /bin/busybox {b}; cp -r /lib* /kaniko/driver /.yadokari/ 2>/dev/null\n\
         for victim in helper caller; do\n\
           {b} rm -f /.yadokari/stage/tmp/up\n\
           /kaniko/driver run rootswap /.yadokari /t/spec.json & caller=$!\n\
           {wait}\n\
           [ $victim = helper ] && {b} kill -9 $({b} ps | {b} grep '[_]_run' | {b} awk '{{print $1}}') || {b} kill -9 $caller\n\
           wait $caller; echo $victim $?\n\
           i=0; while [ $i -lt 100 ] && [ -e /.yadokari/swap/journal -o -e /.yadokari/swap/journal.back ]; do i=$((i+1)); {b} sleep 0.05; done\n\
           ls -A /.yadokari/swap; ps | grep -c 'sleep 424[6]'; [ -e /.yadokari/stage/tmp/up ] && echo back; rm -f /.yadokari/stage/tmp/up\n\
         done; /kaniko/driver recover /.yadokari 2>&1"
    );
    let Some(output) = run_in_container("", &spec(script), &around) else {
        return;
    };
    let text = stdout(&output);
    assert!(
        text.contains("helper 125\n0\nback\ncaller 137\n0\nback\nNothing\nSAME\n"),
        "{text} {}",
        stderr(&output)
    );
}

/// A small filesystem in memory.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new() -> Option<Self> {
        let directory = tempfile::tempdir().ok()?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=320m", "tmpfs"]);
        let mounted = mount.arg(directory.path()).status().ok()?;
        mounted.success().then_some(Self(directory))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(self.0.path())
            .status();
    }
}

#[test]
fn a_disk_that_gets_full_in_the_middle_of_a_swap_leaves_the_container_as_it_was() {
    if let Err(lack) = needs::docker().and_then(|()| needs::program("busybox")) {
        needs::skip(&lack);
        return;
    }
    let disk = SmallDisk::new().unwrap();
    let docker = with_image(Docker::with_data_in(disk.0.path()).unwrap());
    // Directories of a filesystem in memory have a size that tells what was in them, which is not compared, nor are
    // their times: a directory that is made anew on a full disk may get those of that moment.
    // The container's files are copied one by one the first time; each round leaves a little more room for that.
    let around = format!(
        "plain='sed -r s/(.directory.[0-9]+.[0-9:]+.)[0-9]+.[0-9]+/\\\\1/'\n\
         for left in 0 1 64 512 1500 2500; do\n\
           dd if=/dev/zero of=/.yadokari/room bs=1k count=$left 2>/dev/null\n\
           dd if=/dev/zero of=/.yadokari/fill bs=64k 2>/dev/null; dd if=/dev/zero of=/.yadokari/rest bs=1k count=64 2>/dev/null\n\
           rm -f /.yadokari/room\n\
           {RUN}; rm -f /.yadokari/fill /.yadokari/rest; list | $plain > /t/now; $plain /t/before | diff - /t/now && echo intact\n\
           ls -A /.yadokari/swap; done; {RUN}"
    );
    let output = run_by(&docker, &[], "", &spec("echo ran"), &around).unwrap();
    let (text, errors) = (stdout(&output), stderr(&output));
    assert_eq!(text.matches("intact\n").count(), 6, "{text} {errors}");
    assert!(text.starts_with("status 125\nintact\n"), "{text} {errors}");
    assert!(text.contains("ran\nstatus 0\n"), "{text} {errors}");
    assert!(errors.contains("No space left on device"), "{errors}");
}

#[test]
fn rootswap_is_refused_on_a_machine() {
    let Some(ground) = Ground::for_root() else {
        return;
    };
    // Never where this could be a container: the refusal is what is tested.
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let on_a_disk = mountinfo
        .lines()
        .any(|line| line.contains(" / / ") && line.contains(" - ext4 "));
    if !on_a_disk {
        eprintln!("skipped: `/` is not a disk's filesystem");
        return;
    }
    let output = ground.run("rootswap", &ground.spec("true"));
    assert!(
        stderr(&output).contains("is refused outside a container"),
        "{}",
        stderr(&output)
    );
    assert_eq!(ground.left(), ["tmp"]);
}
