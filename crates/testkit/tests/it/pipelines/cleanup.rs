//! The scheduled pipeline that removes what is old.

use std::path::Path;

use serde_json::json;
use yadokari_testkit::{Layout, needs, skip_unless};

use super::Pipeline;
use crate::support::job::{COMMIT, REPOSITORY};

#[test]
fn the_scheduled_job_removes_what_is_old_and_keeps_releases() {
    skip_without_runner!();
    let pipeline = Pipeline::new(false);
    pipeline.jobs(".gitlab-ci.yml", &["build"], &[]);
    let endpoint = pipeline.ground.registry.endpoint();
    let images = tempfile::tempdir().unwrap();
    for (number, tag) in OLD.iter().enumerate() {
        let created = format!("2020-01-{:02}T00:00:00Z", number + 1);
        let layout = dated(&images.path().join(tag), &created);
        endpoint.push(&layout, REPOSITORY, tag).unwrap();
    }
    let cache = format!("{REPOSITORY}/cache");
    let before = pipeline.tags(&cache);
    let record = before.iter().find(|tag| tag.len() == 64).unwrap();
    pipeline.make_old(&cache, record);
    // There is a registry and no GitLab.
    let schedule = [("CI_PIPELINE_SOURCE", "schedule"), ("CI_API_V4_URL", "")];
    let done = pipeline.jobs("cleanup.gitlab-ci.yml", &["cleanup"], &schedule);
    assert_eq!(done.status, 0, "{}", done.output);
    let kept = pipeline.tags(REPOSITORY);
    let gone: Vec<_> = OLD.iter().filter(|tag| !kept.contains(**tag)).collect();
    // Of what may go, the commit of a moment ago and nine more are the last ten.
    assert_eq!(gone, [&"branch-01", &"branch-02"], "{}", done.output);
    assert!(kept.contains(COMMIT) && kept.contains("latest") && kept.contains("v1.0.0"));
    let left = pipeline.tags(&cache);
    let gone: Vec<_> = before.difference(&left).collect();
    assert_eq!(gone, [record], "{}", done.output);
}

/// Images of years ago: two releases, and eleven that were for a moment.
const OLD: [&str; 13] = [
    "v1.0.0",
    "1.0.0",
    "branch-01",
    "branch-02",
    "branch-03",
    "branch-04",
    "branch-05",
    "branch-06",
    "branch-07",
    "branch-08",
    "branch-09",
    "branch-10",
    "branch-11",
];

/// An image without layers of its own, made at a time.
fn dated(directory: &Path, created: &str) -> Layout {
    std::fs::create_dir(directory).unwrap();
    let layout = Layout::create(directory).unwrap();
    let config = json!({"architecture": "amd64", "os": "linux", "created": created, "config": {}});
    layout.set_image("v1", config, &[]).unwrap();
    layout
}

impl Pipeline {
    /// Gives an image another time, that of its annotation.
    fn make_old(&self, repository: &str, tag: &str) {
        const CREATED: &str = "org.opencontainers.image.created";
        let endpoint = self.ground.registry.endpoint();
        let (_, manifest) = endpoint.manifest(repository, tag).unwrap();
        let mut manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        assert!(manifest["annotations"][CREATED].is_string(), "{manifest}");
        manifest["annotations"][CREATED] = json!("2020-01-01T00:00:00Z");
        let kind = format!("Content-Type: {}", manifest["mediaType"].as_str().unwrap());
        let url = endpoint.url(&format!("{repository}/manifests/{tag}"));
        let words = [
            "-X",
            "PUT",
            "-H",
            &kind,
            "--data-binary",
            &manifest.to_string(),
        ];
        assert_eq!(endpoint.call(&url, &words).unwrap().status, 201);
    }
}
