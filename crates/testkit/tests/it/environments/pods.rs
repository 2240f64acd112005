//! The examples for Kubernetes, played by podman: the pods of their Jobs build and push with the login of the secret.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_yaml::{Mapping, Value};
use yadokari_testkit::registry::Options;
use yadokari_testkit::user::User;
use yadokari_testkit::{Login, Registry, base, cache, needs, process, skip_unless, validate};

use super::everybody;
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

/// This machine, as a pod with a network of its own calls it.
const MACHINE: &str = "10.0.2.2";

/// Podman, a registry with the secret's login and a base image, and a context for the pods.
struct Cluster {
    podman: Podman,
    registry: Registry,
    context: PathBuf,
    /// Whose subordinate ids pods get as theirs. Podman 4 does not read `hostUsers`.
    users: Option<User>,
}

impl Cluster {
    fn new() -> Self {
        Self::with(None)
    }

    /// One whose pods have user namespaces.
    fn with_user_namespaces() -> Self {
        Self::with(Some(User::with_subordinate_ids().unwrap()))
    }

    fn with(users: Option<User>) -> Self {
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
        everybody(podman.directory.path(), 0o755);
        let cluster = Self {
            podman,
            registry,
            context,
            users,
        };
        let from = format!("FROM {}/library/busybox:1\n", cluster.address());
        let run = "RUN echo made > /made && echo ids: $(cat /proc/self/uid_map)\n";
        std::fs::write(cluster.context.join("Dockerfile"), from + run).unwrap();
        cluster
    }

    /// The registry's address for pods: only those without a user namespace can have this machine's network.
    fn address(&self) -> String {
        match self.users {
            None => self.registry.address(),
            Some(_) => format!("{MACHINE}:{}", self.registry.port()),
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
        let mut documents = documents(name, &self.address(), self.context.to_str().unwrap());
        for document in &mut documents {
            if document["kind"] == "Pod" {
                self.adapt(document);
            }
        }
        documents
    }

    /// Gives a pod this machine's network, or with a user namespace what takes its place.
    fn adapt(&self, pod: &mut Value) {
        if self.users.is_none() {
            pod["spec"]["hostNetwork"] = true.into();
            return;
        }
        let arguments = pod["spec"]["containers"][0]["args"].as_sequence_mut();
        let more = ["--insecure-registry", &self.address(), "--verbosity=debug"];
        arguments.unwrap().extend(more.map(Value::from));
    }

    fn plays_all(&self, documents: &[Value]) -> String {
        let text = |document| serde_yaml::to_string(document).unwrap();
        let texts: Vec<_> = documents.iter().map(text).collect();
        let file = self.podman.directory.path().join("played.yaml");
        std::fs::write(&file, texts.join("---\n")).unwrap();
        self.play(&file)
    }

    /// Plays a file, waits for its container, and takes the pod away again. Volumes stay.
    fn play(&self, file: &Path) -> String {
        let mut flags = vec!["kube", "play", "--build=false"];
        if self.users.is_some() {
            flags.push("--userns=auto");
            flags.push("--network=slirp4netns:allow_host_loopback=true");
        }
        process::run(self.podman(&flags).arg(file)).unwrap();
        let status = process::run(&mut self.podman(&["wait", "build-app-build"])).unwrap();
        let said = process::finish(&mut self.podman(&["logs", "build-app-build"])).unwrap();
        assert_eq!(status.trim(), "0", "{}", said.output);
        process::run(self.podman(&["kube", "down"]).arg(file)).unwrap();
        said.output
    }

    fn podman(&self, arguments: &[&str]) -> Command {
        let write = |name: &str, text: &str| {
            let path = self.podman.directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let mut command = self.podman.command();
        command.args(arguments);
        command.env("CONTAINERS_CONF", write("containers.conf", SETTINGS));
        if let Some(user) = &self.users {
            let settings = storage(self.podman.directory.path(), user);
            command.env("CONTAINERS_STORAGE_CONF", write("storage.conf", &settings));
        }
        // Podman takes directories beside it that are called like an image for sources of it.
        command.current_dir("/");
        command
    }
}

#[test]
fn the_pod_of_the_examples_job_builds_and_pushes() {
    skip_without_ground!();
    skip_unless!(needs::program("podman"));
    let cluster = Cluster::new();
    let said = cluster.plays("job");
    assert_eq!(first_id_outside(&said), 0, "{said}");
    validate::pushed(&cluster.registry.endpoint(), "team/app", "latest").unwrap();
}

#[test]
fn the_examples_pod_with_a_user_namespace_builds_and_its_root_is_nobody_outside() {
    skip_without_ground!();
    skip_unless!(
        needs::program("podman"),
        needs::program("slirp4netns"),
        needs::program("useradd"),
        needs::program("newuidmap")
    );
    let cluster = Cluster::with_user_namespaces();
    let documents = cluster.documents("user-namespace-pod");
    assert_eq!(documents[0]["spec"]["hostUsers"], false);
    let said = cluster.plays_all(&documents);
    let first = first_id_outside(&said);
    assert!(first >= 65_536, "{said}");
    let works = |isolation: &str| said.contains(&format!("isolation works (isolation {isolation}"));
    assert!(works("rootswap") && !works("namespaces"), "{said}");
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

/// Podman's storage, with the account whose subordinate ids `--userns=auto` takes.
fn storage(directory: &Path, user: &User) -> String {
    let (directory, name) = (directory.display(), user.name());
    format!(
        "[storage]\ndriver = \"overlay\"\ngraphroot = \"{directory}/root\"\nrunroot = \"{directory}/run\"\n\
         [storage.options]\nroot-auto-userns-user = \"{name}\"\n"
    )
}

/// Where ids of the build's user namespace begin outside of it, as its RUN reads it.
fn first_id_outside(said: &str) -> u32 {
    let (_, map) = said
        .rsplit_once("ids: 0 ")
        .unwrap_or_else(|| panic!("{said}"));
    let first = map.split_whitespace().next().unwrap();
    first.parse().unwrap()
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

/// A Job as the pod that it makes, since podman knows no jobs; with the context.
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
