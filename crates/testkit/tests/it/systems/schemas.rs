//! Manifests, compared with the schemas of Kubernetes.

use std::path::Path;
use std::process::Command;

use yadokari_testkit::{cache, needs, process, skip_unless};

const KUBERNETES_VALIDATE: &str = "kubernetes-validate==1.31.0";

#[test]
fn manifests_are_what_kubernetes_accepts() {
    skip_unless!(needs::program("python3"), needs::python_environments());
    let place = cache::once("kubernetes-validate", |directory| {
        process::run(Command::new("python3").args(["-m", "venv"]).arg(directory))?;
        let mut pip = Command::new(directory.join("bin/pip"));
        process::run(pip.args(["install", "--quiet", KUBERNETES_VALIDATE])).map(drop)
    });
    let directory = cache::workspace().join("examples/kubernetes");
    let bin = place.unwrap().join("bin");
    for name in [
        "job",
        "secret",
        "user-namespace-pod",
        "cache-volume",
        "jenkins-pod",
    ] {
        validated(&bin, &directory.join(format!("{name}.yaml")));
    }
}

fn validated(bin: &Path, manifest: &Path) {
    // The environment was moved after it was made, and the first lines of its programs name the old place.
    let mut command = Command::new(bin.join("python3"));
    command.arg(bin.join("kubernetes-validate"));
    let done = process::finish(command.args(["--strict", "-k", "1.31"]).arg(manifest)).unwrap();
    assert_eq!(done.status, 0, "{}: {}", manifest.display(), done.output);
}
