//! `tags` and `cleanup`: which tags go, that nothing goes which another tag needs, and GitLab's way.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use yadokari_testkit::registry::{Options, Registry};
use yadokari_testkit::{needs, skip_unless};

use crate::place::Place;
use crate::web::Web;

/// An image that was made on a day of 2020, pushed under these names.
pub(crate) fn push(place: &Place, name: &str, day: u32, to: &[String]) -> String {
    let created = format!("2020-01-{day:02}T00:00:00Z");
    let config = json!({"architecture": "amd64", "os": "linux", "config": {}, "created": created});
    let layout = place.layout_of(name, config);
    for destination in to {
        place.run(&["push", name, "--destination", destination]);
    }
    layout.image().unwrap().digest()
}

/// Five images, two of them with two names each, and an index over two.
fn fill(place: &Place, app: &str) {
    let names =
        |tags: &[&str]| -> Vec<String> { tags.iter().map(|tag| format!("{app}:{tag}")).collect() };
    push(place, "a", 1, &names(&["v1", "main-a"]));
    push(place, "b", 2, &names(&["v2"]));
    push(place, "c", 3, &names(&["v3", "main-c", "latest"]));
    push(place, "d", 4, &names(&["main-d"]));
    let index = format!("{app}:all");
    let sources = names(&["v2", "v3"]);
    place.run(&["index", "create", "--tag", &index, &sources[0], &sources[1]]);
}

fn tags(place: &Place, app: &str) -> Vec<String> {
    let listed = place.run(&["tags", app]);
    listed.lines().map(str::to_owned).collect()
}

fn images_still_work(place: &Place, app: &str) {
    for tag in tags(place, app) {
        let to = place.name("check/app:x");
        place.run(&["copy", &format!("{app}:{tag}"), &to]);
    }
}

#[test]
fn old_tags_go_and_what_others_need_stays() {
    let place = Place::new();
    let app = place.name("group/app");
    fill(&place, &app);
    let all = [
        "all", "latest", "main-a", "main-c", "main-d", "v1", "v2", "v3",
    ];
    assert_eq!(tags(&place, &app), all);
    let told = place.run(&["cleanup", "--match=main-*", "--match=v*", "--keep=3", &app]);
    assert!(
        told.contains("would remove 3 of 8 tags and 1 image"),
        "{told}"
    );
    assert!(told.contains("3 among the newest"), "{told}");
    assert_eq!(
        tags(&place, &app),
        all,
        "nothing goes unless that is asked for"
    );

    let asked = [
        "cleanup",
        "--match=main-*",
        "--match=v*",
        "--keep=3",
        "--dry-run=false",
        "--json",
        &app,
    ];
    let answer: Value = serde_json::from_str(&place.run(&asked)).unwrap();
    assert_eq!(answer["removed_tags"], json!(["main-a", "v1", "v2"]));
    assert_eq!(
        answer["removed_digests"].as_array().unwrap().len(),
        1,
        "the index needs v2"
    );
    assert_eq!(
        tags(&place, &app),
        ["all", "latest", "main-c", "main-d", "v3"]
    );
    images_still_work(&place, &app);
    let again: Value = serde_json::from_str(&place.run(&asked)).unwrap();
    assert_eq!(again["removed_tags"], json!([]));
}

#[test]
fn a_name_goes_alone_where_the_registry_deletes_documents_only() {
    skip_unless!(needs::registry());
    let place = Place::new();
    let registry = Registry::start(Options::default()).unwrap();
    let app = format!("{}/group/app", registry.address());
    fill(&place, &app);
    place.run(&[
        "cleanup",
        "--match=main-*",
        "--match=v1",
        "--dry-run=false",
        &app,
    ]);
    assert_eq!(tags(&place, &app), ["all", "latest", "v2", "v3"]);
    images_still_work(&place, &app);
    place.run(&[
        "cleanup",
        "--match=*",
        "--exclude=v3",
        "--dry-run=false",
        &app,
    ]);
    assert_eq!(tags(&place, &app), ["latest", "v3"]);
    images_still_work(&place, &app);
}

#[test]
fn rules_that_cannot_be_meant_are_refused() {
    let place = Place::new();
    let app = place.name("app");
    let tagged = format!("{app}:1");
    for (arguments, words) in [
        (&["cleanup", &app][..], "nothing says which tags may go"),
        (
            &["cleanup", "--exclude=v*", &app],
            "nothing says which tags may go",
        ),
        (&["cleanup", "--match=[", &app], "--match"),
        (
            &["cleanup", "--keep=1", &tagged],
            "name the repository alone",
        ),
        (&["cleanup", "--keep=-1", &app], "--keep"),
        (&["tags", &tagged], "name the repository alone"),
    ] {
        let output = place.try_run(arguments);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(told.contains(words), "{arguments:?}: {told}");
    }
    let output = place.try_run(&["tags", &app]);
    assert_eq!(output.status.code(), Some(1), "there is no such repository");
}

/// An API of GitLab that knows one repository and fails once.
fn gitlab(location: String) -> Web {
    let failed = AtomicBool::new(false);
    Web::start(move |_, request| {
        let listing = json!([{"id": 9, "location": "elsewhere"}, {"id": 42, "location": location}]);
        let status = |status: &str| format!("{status}\r\nContent-Type: application/json");
        if request.header("job-token") != Some("secret") {
            (status("401 Unauthorized"), Vec::new())
        } else if request.line.starts_with("GET") {
            (status("200 OK"), listing.to_string().into_bytes())
        } else if !failed.swap(true, Ordering::Relaxed) {
            (status("503 Service Unavailable"), Vec::new())
        } else {
            (status("200 OK"), b"{}".to_vec())
        }
    })
}

#[test]
fn in_a_job_of_gitlab_its_api_removes_the_tags() {
    let place = Place::new();
    let app = place.name("group/app");
    push(&place, "a", 1, &[format!("{app}:v1")]);
    push(&place, "b", 2, &[format!("{app}:v2")]);
    let web = gitlab(app.clone());
    let api = web.url("/api/v4");
    let variables = [
        ("CI_API_V4_URL", api.as_str()),
        ("CI_PROJECT_ID", "7"),
        ("CI_REGISTRY_IMAGE", app.as_str()),
        ("CI_JOB_TOKEN", "secret"),
    ];
    let run = |token: &str| {
        let mut command = place.command(&["cleanup", "--keep=1", "--dry-run=false", &app]);
        let output = command.envs(variables).env("CI_JOB_TOKEN", token).output();
        let output = output.unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!told.contains("secret"), "{told}");
        (output.status.success(), told)
    };
    assert!(run("secret").0);
    let base = "/api/v4/projects/7/registry/repositories";
    let delete = format!("DELETE {base}/42/tags/v1");
    let expected = [
        format!("GET {base}?per_page=100&page=1"),
        delete.clone(),
        delete,
    ];
    let asked: Vec<_> = web.requests().into_iter().map(|one| one.line).collect();
    assert_eq!(asked, expected);
    let (fine, told) = run("other");
    assert!(
        !fine && told.contains("401") && told.contains("GITLAB_TOKEN"),
        "{told}"
    );
}
