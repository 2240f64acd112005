//! What other programs make of the archives and layouts written here.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as tests do"
)]

use std::io::{Cursor, Read, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;
use yadokari_image::{Descriptor, Digest, Reference, media_type};
use yadokari_store::{
    Content, Export, Flavour, ImageBlobs, LayerBlob, Layout, Others, write_archive_file,
};
use yadokari_testkit::{Docker, needs, skip_unless};

/// An image of one file, with a layer that is really a compressed archive.
fn image() -> Export {
    let tar = layer_tar();
    let layer = gzip(&tar);
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {"Labels": {"a": "b"}},
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(&tar)]},
    });
    let config = config.to_string().into_bytes();
    let described = Descriptor::of(media_type::OCI_LAYER_GZIP, &layer);
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
        "config": Descriptor::of(media_type::OCI_CONFIG, &config), "layers": [described],
    });
    let open = move || Ok(Box::new(Cursor::new(layer.clone())) as Box<dyn Read + Send>);
    let layers = vec![LayerBlob::new(described, open)];
    let image = ImageBlobs::new(manifest.to_string().into_bytes(), config, layers).unwrap();
    let mut export = Export::new(Content::Image(image));
    export.names = vec![Reference::parse("yadokari-store-test/image:1").unwrap()];
    export
}

fn layer_tar() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(5);
    header.set_mode(0o644);
    tar.append_data(&mut header, "hello", b"hello".as_slice())
        .unwrap();
    tar.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new("gzip")
        .arg("-nc")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    child.wait_with_output().unwrap().stdout
}

/// What a command prints; it must succeed.
fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

fn written(directory: &Path, flavour: Flavour) -> String {
    let path = directory.join("image.tar");
    write_archive_file(&[image()], flavour, &path).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn skopeo_reads_every_form() {
    skip_unless!(needs::program("skopeo"));
    let directory = tempfile::tempdir().unwrap();
    let layout = directory.path().join("layout");
    Layout::write(&layout, &[image()], Others::Forget).unwrap();
    let docker = tempfile::tempdir().unwrap();
    let sources = [
        format!("oci:{}:1", layout.display()),
        format!("oci-archive:{}", written(directory.path(), Flavour::Oci)),
        format!("docker-archive:{}", written(docker.path(), Flavour::Docker)),
    ];
    for (number, source) in sources.iter().enumerate() {
        let target = format!(
            "dir:{}",
            directory.path().join(number.to_string()).display()
        );
        let arguments = ["copy", "-q", "--insecure-policy", source, &target];
        output(Command::new("skopeo").args(arguments));
    }
}

#[test]
fn docker_loads_the_archive_under_its_name() {
    skip_unless!(needs::docker());
    let docker = Docker::start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let archive = written(directory.path(), Flavour::Docker);
    output(docker.command().args(["load", "-q", "-i", &archive]));
    let name = "yadokari-store-test/image:1";
    let mut inspect = docker.command();
    inspect.args(["image", "inspect", "-f", "{{.Config.Labels.a}}", name]);
    assert_eq!(output(&mut inspect).trim(), "b");
}

#[test]
fn podman_loads_both_kinds_of_archives_under_their_name() {
    skip_unless!(needs::root());
    skip_unless!(needs::program("podman"));
    for flavour in [Flavour::Docker, Flavour::Oci] {
        let directory = tempfile::tempdir().unwrap();
        let archive = written(directory.path(), flavour);
        let podman = |arguments: &[&str]| {
            let mut podman = Command::new("podman");
            podman.arg("--root").arg(directory.path().join("storage"));
            podman.arg("--runroot").arg(directory.path().join("run"));
            output(podman.arg("--storage-driver=vfs").args(arguments))
        };
        podman(&["load", "-q", "-i", &archive]);
        let name = "docker.io/yadokari-store-test/image:1";
        let label = "{{index .Labels \"a\"}}";
        let shown = podman(&["image", "inspect", "--format", label, name]);
        assert_eq!(shown.trim(), "b", "{flavour:?}");
    }
}

#[test]
fn umoci_unpacks_the_layout() {
    skip_unless!(needs::program("umoci"));
    let directory = tempfile::tempdir().unwrap();
    let (layout, bundle) = (
        directory.path().join("layout"),
        directory.path().join("bundle"),
    );
    Layout::write(&layout, &[image()], Others::Forget).unwrap();
    let source = format!("{}:1", layout.display());
    let mut unpack = Command::new("umoci");
    unpack.args(["unpack", "--rootless", "--image", &source]);
    output(unpack.arg(&bundle));
    let hello = std::fs::read(bundle.join("rootfs/hello")).unwrap();
    assert_eq!(hello, b"hello");
}
