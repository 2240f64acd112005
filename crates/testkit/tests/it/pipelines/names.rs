//! `gitlab tags` by itself, with what GitLab sets in each kind of pipeline and nothing else.

use std::process::Command;

use yadokari_testkit::{executor, process};

/// What GitLab sets, and the tags that follow from it.
struct Kind {
    variables: &'static [(&'static str, &'static str)],
    tags: &'static [&'static str],
    /// What the templates of [`TEMPLATES`] name.
    by_templates: &'static [&'static str],
}

const TEMPLATES: [&str; 3] = [
    "r.example/app:{version}",
    "r.example/app:{major}.{minor}-slim",
    "r.example/app:on-{branch}",
];

const KINDS: [Kind; 5] = [
    Kind {
        variables: &[
            ("CI_COMMIT_TAG", "v1.2.3"),
            ("CI_COMMIT_REF_SLUG", "v1-2-3"),
        ],
        tags: &["1.2.3", "1.2", "1", "latest"],
        by_templates: &["r.example/app:1.2.3", "r.example/app:1.2-slim"],
    },
    Kind {
        variables: &[
            ("CI_COMMIT_TAG", "v1.2.3-rc.1"),
            ("CI_COMMIT_REF_SLUG", "v1-2-3-rc-1"),
        ],
        tags: &["1.2.3-rc.1"],
        by_templates: &["r.example/app:1.2.3-rc.1"],
    },
    Kind {
        variables: &[
            ("CI_COMMIT_BRANCH", "feature/new"),
            ("CI_COMMIT_REF_SLUG", "feature-new"),
        ],
        tags: &["feature-new"],
        by_templates: &["r.example/app:on-feature-new"],
    },
    Kind {
        variables: &[("CI_COMMIT_BRANCH", "main"), ("CI_COMMIT_REF_SLUG", "main")],
        tags: &["main", "latest"],
        by_templates: &["r.example/app:on-main"],
    },
    // No branch: GitLab sets it for none of these.
    Kind {
        variables: &[
            ("CI_MERGE_REQUEST_IID", "7"),
            ("CI_COMMIT_REF_SLUG", "feature-new"),
        ],
        tags: &["mr-7"],
        by_templates: &[],
    },
];

impl Kind {
    /// What is printed to standard output, and only there; that there is nothing to print is told.
    fn printed(&self, flags: &[&str]) -> String {
        let mut tags = Command::new(executor::path().unwrap());
        tags.args(["gitlab", "tags"]).args(flags).env_clear();
        tags.env("CI_DEFAULT_BRANCH", "main")
            .env("CI_REGISTRY_IMAGE", "r.example/group/project")
            .envs(self.variables.iter().copied());
        let output = process::output(&mut tags).unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let remark = match output.stdout.is_empty() {
            true => "warning: no template has a value in this pipeline, so there is no name\n",
            false => "",
        };
        assert_eq!((output.status.code(), &*said), (Some(0), remark));
        String::from_utf8(output.stdout).unwrap()
    }

    fn names(&self, image: &str) -> Vec<String> {
        let tags = self.tags.iter();
        tags.map(|tag| format!("{image}:{tag}")).collect()
    }
}

fn lines(names: &[impl AsRef<str>]) -> String {
    names
        .iter()
        .map(|name| format!("{}\n", name.as_ref()))
        .collect()
}

#[test]
fn every_kind_of_pipeline_has_its_names() {
    for kind in &KINDS {
        assert_eq!(
            kind.printed(&[]),
            lines(&kind.names("r.example/group/project"))
        );
        let json = kind.printed(&["--image", "r.other/app", "--json"]);
        let json: Vec<String> = serde_json::from_str(&json).unwrap();
        assert_eq!(json, kind.names("r.other/app"));
        let templates = TEMPLATES.map(|template| format!("--template={template}"));
        let printed = kind.printed(&templates.each_ref().map(String::as_str));
        assert_eq!(printed, lines(kind.by_templates), "{:?}", kind.variables);
    }
}

#[test]
fn without_a_name_or_with_an_unknown_field_the_error_says_what_to_write() {
    let printed = |flags: &[&str]| {
        let mut tags = Command::new(executor::path().unwrap());
        process::finish(tags.args(["gitlab", "tags"]).args(flags).env_clear()).unwrap()
    };
    for (flags, expected) in [
        (&[][..], "hint: name it with --image REGISTRY/REPOSITORY\n"),
        (&["--template=r.example/app:{tag}"], "{version}"),
    ] {
        let done = printed(flags);
        assert_eq!(done.status, 2, "{}", done.output);
        assert!(done.output.contains(expected), "{}", done.output);
    }
}
