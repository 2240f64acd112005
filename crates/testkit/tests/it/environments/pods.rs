//! The examples for Kubernetes, played by podman: the pods of their Jobs build and push with the login of the secret.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_yaml::{Mapping, Value};
use yadokari_testkit::registry::Options;
use yadokari_testkit::{Login, Registry, base, cache, needs, process, skip_unless, validate};

use super::podman::{Podman, move_image};
use crate::support::job::{DEBUG, skip_without_ground};

/// The image whose container keeps a pod's namespaces.
const PAUSE: &str = "localhost/pause:1";

/// Podman takes its limits and that image from here.
const SETTINGS: &str = "[containers]
default_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]
[engine]
infra_image = \"localhost/pause:1\"
";

/// Podman, a registry with the secret's login and a base image, and a context for the pods.
struct Cluster {
    podman: Podman,
    registry: Registry,
    context: PathBuf,
}

impl Cluster {
    fn new() -> Self {
        let podman = Podman::new();
        move_image(&podman);
        make_pause(&podman);
        let registry = Registry::start(Options {
            login: Some(Login {
                user: "builder".to_owned(),
                password: "change me".to_owned(),
            }),
            ..Options::default()
        });
        let registry = registry.unwrap();
        let layout = base::busybox().unwrap();
        registry
            .endpoint()
            .push(&layout, "library/busybox", "1")
            .unwrap();
        let context = podman.directory.path().join("context");
        std::fs::create_dir_all(context.join("login")).unwrap();
        let from = format!("FROM {}/library/busybox:1\n", registry.address());
        std::fs::write(context.join("Dockerfile"), from + "RUN echo made > /made\n").unwrap();
        Self {
            podman,
            registry,
            context,
        }
    }

    /// Plays an example with its secret, and gives what the build says.
    fn plays(&self, name: &str) -> String {
        self.plays_all(&self.documents(name))
    }

    /// Plays it once more: a cluster leaves a claim alone that is there, and podman would refuse to make it.
    fn plays_again(&self, name: &str) -> String {
        let mut documents = self.documents(name);
        documents.retain(|document| document["kind"] != "PersistentVolumeClaim");
        self.plays_all(&documents)
    }

    fn documents(&self, name: &str) -> Vec<Value> {
        documents(
            name,
            &self.registry.address(),
            self.context.to_str().unwrap(),
        )
    }

    fn plays_all(&self, documents: &[Value]) -> String {
        let text = |document| serde_yaml::to_string(document).unwrap();
        let texts: Vec<_> = documents.iter().map(text).collect();
        let file = self.podman.directory.path().join("played.yaml");
        std::fs::write(&file, texts.join("---\n")).unwrap();
        play(&self.podman, &file)
    }
}

#[test]
fn the_pod_of_the_examples_job_builds_and_pushes() {
    skip_without_ground!();
    skip_unless!(needs::program("podman"));
    let cluster = Cluster::new();
    cluster.plays("job");
    validate::pushed(&cluster.registry.endpoint(), "team/app", "latest").unwrap();
}

#[test]
fn the_cache_of_the_examples_volume_outlives_the_pod() {
    skip_without_ground!();
    skip_unless!(needs::program("podman"));
    let cluster = Cluster::new();
    let first = cluster.plays("cache-volume");
    let second = cluster.plays_again("cache-volume");
    assert!(
        !first.contains("CACHED") && second.contains("CACHED"),
        "{first}{second}"
    );
    validate::pushed(&cluster.registry.endpoint(), "team/app", "latest").unwrap();
}

/// Plays a file, waits for its container, and takes the pod away again. Volumes stay.
fn play(podman: &Podman, file: &Path) -> String {
    let settings = podman.directory.path().join("containers.conf");
    std::fs::write(&settings, SETTINGS).unwrap();
    let command = |arguments: &[&str]| {
        let mut command = podman.command();
        command.args(arguments).env("CONTAINERS_CONF", &settings);
        // Podman takes directories beside it that are called like an image for sources of it.
        command.current_dir("/");
        command
    };
    process::run(command(&["kube", "play", "--build=false"]).arg(file)).unwrap();
    let status = process::run(&mut command(&["wait", "build-app-build"])).unwrap();
    let said = process::finish(&mut command(&["logs", "build-app-build"])).unwrap();
    assert_eq!(status.trim(), "0", "{}", said.output);
    process::run(command(&["kube", "down"]).arg(file)).unwrap();
    said.output
}

fn make_pause(podman: &Podman) {
    let file = podman.directory.path().join("Pause");
    let text = format!("FROM {DEBUG}\nENTRYPOINT [\"/busybox/busybox\", \"sleep\", \"100000\"]\n");
    std::fs::write(&file, text).unwrap();
    let mut build: Command = podman.command();
    build.args(["build", "--tag", PAUSE, "--file"]).arg(&file);
    process::run(build.arg(podman.directory.path())).unwrap();
}

/// The documents of an example and of its secret, for a registry and a context on this machine.
fn documents(name: &str, registry: &str, context: &str) -> Vec<Value> {
    let read = |name: &str| {
        let path = cache::workspace().join(format!("examples/kubernetes/{name}.yaml"));
        let text = std::fs::read_to_string(path).unwrap();
        text.replace("registry.example.com/tools/yadokari:executor", DEBUG)
            .replace("registry.example.com", registry)
            .replace(
                "git://git.example.com/team/app.git#refs/heads/main",
                "dir:///context",
            )
    };
    let secret: Value = serde_yaml::from_str(&read("secret")).unwrap();
    let login = secret["stringData"][".dockerconfigjson"].as_str().unwrap();
    std::fs::write(Path::new(context).join("login/config.json"), login).unwrap();
    let text = read(name);
    let documents = text
        .split("\n---\n")
        .map(|document| serde_yaml::from_str(document).unwrap());
    documents
        .map(|document| as_pod(document, context))
        .collect()
}

/// A Job as the pod that it makes, since podman knows no jobs; with the context, and with this machine's network.
fn as_pod(mut document: Value, context: &str) -> Value {
    if document["kind"] == "Job" {
        document["spec"] = document["spec"]["template"]["spec"].clone();
        document["apiVersion"] = "v1".into();
        document["kind"] = "Pod".into();
    }
    if document["kind"] != "Pod" {
        return document;
    }
    let yaml = |text: String| serde_yaml::from_str::<Value>(&text).unwrap();
    document["spec"]["hostNetwork"] = true.into();
    // Which memory a container may have is no business of this test, and a control group for it not always there.
    document["spec"]["containers"][0]["resources"] = Mapping::new().into();
    let mounts = document["spec"]["containers"][0]["volumeMounts"].as_sequence_mut();
    mounts
        .unwrap()
        .push(yaml("{name: context, mountPath: /context}".to_owned()));
    let volumes = document["spec"]["volumes"].as_sequence_mut().unwrap();
    // Podman 4 gives the files of a secret neither their names nor their text.
    volumes.retain(|volume| volume["name"] != "registry-login");
    volumes.push(yaml(format!(
        "{{name: registry-login, hostPath: {{path: {context}/login}}}}"
    )));
    volumes.push(yaml(format!(
        "{{name: context, hostPath: {{path: {context}}}}}"
    )));
    document
}
