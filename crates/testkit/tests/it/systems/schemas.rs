//! Manifests and pipelines, compared with the schemas and types of the systems that read them.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_yaml::Value;
use yadokari_testkit::{cache, needs, process, skip_unless};

use super::example;
use crate::support::python;

const KUBERNETES_VALIDATE: &str = "kubernetes-validate==1.31.0";

/// Has the schemas of CI systems in it.
const CHECK_JSONSCHEMA: &str = "check-jsonschema==0.39.0";

/// Has the types of Argo Workflows.
const HERA: &str = "hera==7.1.0";

fn examples() -> PathBuf {
    cache::workspace().join("examples")
}

#[test]
fn manifests_are_what_kubernetes_accepts() {
    skip_unless!(needs::program("python3"), needs::python_environments());
    for name in [
        "job",
        "secret",
        "user-namespace-pod",
        "cache-volume",
        "jenkins-pod",
    ] {
        validated(&examples().join(format!("kubernetes/{name}.yaml")));
    }
}

fn validated(manifest: &Path) {
    let mut command = python::script(KUBERNETES_VALIDATE, "kubernetes-validate");
    let done = process::finish(command.args(["--strict", "-k", "1.31"]).arg(manifest)).unwrap();
    assert_eq!(done.status, 0, "{}: {}", manifest.display(), done.output);
}

/// A schema, the files that it is for, and a key of the first whose misspelling it must find.
type Schema<'s> = (&'s [&'s str], &'s [&'s str], &'s str);

const WORKFLOWS: Schema<'_> = (
    &["--builtin-schema=vendor.github-workflows"],
    &[
        "kubernetes/github-workflow.yml",
        "kubernetes/forgejo-workflow.yml",
    ],
    "permissions:",
);

const PIPELINES: Schema<'_> = (
    &[
        "--builtin-schema=vendor.gitlab-ci",
        "--data-transform=gitlab-ci",
    ],
    &[
        "gitlab/.gitlab-ci.yml",
        "gitlab/cleanup.gitlab-ci.yml",
        "gitlab/component.gitlab-ci.yml",
        "gitlab/merge-requests.gitlab-ci.yml",
        "gitlab/multi-arch.gitlab-ci.yml",
        "gitlab/private-ca.gitlab-ci.yml",
        "gitlab/several-images.gitlab-ci.yml",
        "gitlab/tags.gitlab-ci.yml",
    ],
    "script:",
);

const COMPOSE: Schema<'_> = (
    &["--builtin-schema=vendor.compose-spec"],
    &["gitlab/compose.yaml"],
    "build:",
);

#[test]
fn pipelines_are_what_their_systems_accept() {
    skip_unless!(needs::program("python3"), needs::python_environments());
    for (schema, files, key) in [WORKFLOWS, PIPELINES, COMPOSE] {
        let check = |file: &Path| {
            let mut check = python::script(CHECK_JSONSCHEMA, "check-jsonschema");
            process::finish(check.args(schema).arg(file)).unwrap()
        };
        for file in files {
            check(&examples().join(file)).success();
        }
        let misspelt = tempfile::Builder::new().suffix(".yml").tempfile().unwrap();
        let text = std::fs::read_to_string(examples().join(files[0])).unwrap();
        assert!(text.contains(key), "{key} in {}", files[0]);
        std::fs::write(misspelt.path(), text.replace(key, &format!("x{key}"))).unwrap();
        assert_ne!(check(misspelt.path()).status, 0, "{schema:?}: x{key}");
    }
}

/// The types drop what they do not know, so a document is what they keep of it.
const KEPT: &str = "
import json, sys
from hera.workflows.models import WorkflowTemplate
document = json.load(open(sys.argv[1]))
kept = WorkflowTemplate.model_validate(document)
kept = kept.model_dump(by_alias=True, exclude_unset=True, mode='json')
sys.exit(0 if kept == document else f'known of it: {json.dumps(kept, indent=1)}')
";

#[test]
fn the_workflow_template_is_what_argo_knows() {
    skip_unless!(needs::program("python3"), needs::python_environments());
    let file = tempfile::NamedTempFile::new().unwrap();
    let check = |document: &Value| {
        std::fs::write(file.path(), serde_json::to_vec(document).unwrap()).unwrap();
        let mut python = Command::new(python::programs_of(HERA).join("python3"));
        process::finish(python.args(["-c", KEPT]).arg(file.path())).unwrap()
    };
    let mut document = example("argo-workflow.yaml");
    check(&document).success();
    document["spec"]["templates"][0]["container"]["volumeMount"] = "x".into();
    assert_eq!(check(&document).status, 1);
}
