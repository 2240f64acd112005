//! `examples/kubernetes` for other systems than Kubernetes: what their steps say is done, one after the other, with the values that the
//! system would put in.

mod schemas;
mod workflows;

use std::collections::BTreeSet;

use serde_yaml::Value;
use tempfile::TempDir;
use yadokari_testkit::{cache, validate};

use crate::support::job::{DEBUG, Ground, REPOSITORY, skip_without_ground};
use crate::support::project::Project;

/// The document of an example.
fn example(name: &str) -> Value {
    let path = cache::workspace().join("examples/kubernetes").join(name);
    serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value[key].as_sequence().into_iter().flatten()
}

/// The texts of a list, with values put in. A name that nobody knows stays, and is found by whoever reads it.
fn filled(value: &Value, key: &str, values: &[(&str, &str)]) -> Vec<String> {
    let fill = |text: &str| {
        let put = |text: String, (name, value): &(&str, &str)| text.replace(name, value);
        values.iter().fold(text.to_owned(), put)
    };
    list(value, key)
        .map(|text| fill(text.as_str().unwrap()))
        .collect()
}

/// Fails unless every key of a mapping is one of these.
fn assert_keys(value: &Value, known: &[&str]) {
    let keys = value.as_mapping().unwrap().keys();
    let keys: BTreeSet<_> = keys.map(|key| key.as_str().unwrap()).collect();
    let known: BTreeSet<_> = known.iter().copied().collect();
    assert!(keys.is_subset(&known), "{keys:?} are not all of {known:?}");
}

/// A login for the registry of the ground, as a directory to mount.
fn login(ground: &Ground) -> TempDir {
    let login = ground.registry.login().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let auths = serde_json::json!({"auths": {ground.registry.address(): {
        "username": login.user, "password": login.password,
    }}});
    std::fs::write(directory.path().join("config.json"), auths.to_string()).unwrap();
    directory
}

const DOCKERFILE: &str = "FROM busybox\nRUN echo made > /made\n";

#[test]
fn the_steps_of_the_tekton_task_push_and_give_its_results() {
    skip_without_ground!();
    let task = example("tekton-task.yaml");
    assert_eq!(
        (&task["apiVersion"], &task["kind"]),
        (&"tekton.dev/v1".into(), &"Task".into())
    );
    let spec = &task["spec"];
    assert_keys(
        spec,
        &["description", "params", "workspaces", "results", "steps"],
    );
    let ground = Ground::busybox();
    let (project, results, login) = (
        Project::new(DOCKERFILE),
        tempfile::tempdir().unwrap(),
        login(&ground),
    );
    let image = format!("{}/{REPOSITORY}:1", ground.registry.address());
    let values = [
        ("$(workspaces.source.path)", "/workspace/source"),
        ("$(params.CONTEXT)", "."),
        ("$(params.DOCKERFILE)", "Dockerfile"),
        ("$(params.IMAGE)", &image),
        ("$(params.BUILDER_IMAGE)", DEBUG),
        (
            "$(results.IMAGE_DIGEST.path)",
            "/tekton/results/IMAGE_DIGEST",
        ),
        ("$(results.IMAGE_URL.path)", "/tekton/results/IMAGE_URL"),
    ];
    for step in list(spec, "steps") {
        assert_keys(step, &["name", "image", "workingDir", "command", "args"]);
        let mut command = filled(step, "command", &values);
        let mut job = ground.docker.container(DEBUG);
        if !command.is_empty() {
            job = job.entrypoint(&command.remove(0));
        }
        let arguments = filled(step, "args", &values);
        let arguments = arguments
            .iter()
            .filter(|word| *word != "$(params.EXTRA_ARGS[*])");
        job.env("KANIKO_REGISTRY_MIRROR", &ground.mirror.address())
            .volume(project.path(), "/workspace/source")
            .volume(results.path(), "/tekton/results")
            .volume(login.path(), "/kaniko/.docker")
            .args(command.iter().chain(arguments))
            .run()
            .unwrap()
            .1
            .success();
    }
    let endpoint = ground.registry.endpoint();
    validate::pushed(&endpoint, REPOSITORY, "1").unwrap();
    let declared: Vec<_> = list(spec, "results")
        .map(|result| result["name"].as_str().unwrap())
        .collect();
    let result = |name: &str| std::fs::read_to_string(results.path().join(name)).unwrap();
    assert_eq!(declared, ["IMAGE_DIGEST", "IMAGE_URL"]);
    assert_eq!(
        result("IMAGE_DIGEST"),
        endpoint.digest(REPOSITORY, "1").unwrap().unwrap()
    );
    assert_eq!(result("IMAGE_URL"), image);
}

#[test]
fn the_template_of_the_argo_workflow_pushes_and_gives_the_digest_on() {
    skip_without_ground!();
    let workflow = example("argo-workflow.yaml");
    let kind = (&workflow["apiVersion"], &workflow["kind"]);
    assert_eq!(
        kind,
        (&"argoproj.io/v1alpha1".into(), &"WorkflowTemplate".into())
    );
    let spec = &workflow["spec"];
    assert_keys(spec, &["entrypoint", "arguments", "volumes", "templates"]);
    let template = list(spec, "templates")
        .find(|template| template["name"] == spec["entrypoint"])
        .unwrap();
    assert_keys(template, &["name", "inputs", "container", "outputs"]);
    let container = &template["container"];
    assert_keys(container, &["image", "args", "volumeMounts"]);
    let ground = Ground::busybox();
    let (project, out, login) = (
        Project::new(DOCKERFILE),
        tempfile::tempdir().unwrap(),
        login(&ground),
    );
    let values = [
        ("{{inputs.parameters.repository}}", "dir:///context"),
        (
            "{{inputs.parameters.image}}",
            &format!("{}/{REPOSITORY}:1", ground.registry.address()),
        ),
    ];
    let digest = template["outputs"]["parameters"][0]["valueFrom"]["path"]
        .as_str()
        .unwrap();
    let (directory, name) = digest.rsplit_once('/').unwrap();
    let mount = list(container, "volumeMounts").next().unwrap()["mountPath"]
        .as_str()
        .unwrap();
    ground
        .docker
        .container(crate::support::job::EXECUTOR)
        .env("KANIKO_REGISTRY_MIRROR", &ground.mirror.address())
        .volume(project.path(), "/context")
        .volume(out.path(), directory)
        .volume(login.path(), mount)
        .args(filled(container, "args", &values))
        .run()
        .unwrap()
        .1
        .success();
    let given = std::fs::read_to_string(out.path().join(name)).unwrap();
    assert_eq!(
        given,
        ground
            .registry
            .endpoint()
            .digest(REPOSITORY, "1")
            .unwrap()
            .unwrap()
    );
}
