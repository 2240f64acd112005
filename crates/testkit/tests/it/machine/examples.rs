//! The examples do what their pages say.

use yadokari_testkit::{Docker, cache, needs, process, skip_unless, validate};

use super::Place;
use crate::support::job::{Ground, REPOSITORY, skip_without_ground};
use crate::support::project::Project;

#[test]
fn hello_prints_its_page_as_an_ordinary_user() {
    skip_unless!(needs::docker(), needs::registry());
    let (place, state) = (Place::new(), tempfile::tempdir().unwrap());
    let tag = format!("{}/hello", place.registry.address());
    let mut build = place.build(state.path());
    build
        .args(["--tag", &tag, "--push"])
        .arg(cache::workspace().join("examples/hello"));
    process::finish(&mut build).unwrap().success();

    let image = validate::pushed(&place.registry.endpoint(), "hello", "latest").unwrap();
    assert_eq!(
        image.layers().len(),
        3,
        "busybox's layer, the page's, and WORKDIR's"
    );
    assert_eq!(image.config["config"]["User"], "1000");
    let docker = Docker::start().unwrap();
    let (_, said) = docker.container(&tag).run().unwrap();
    let lines: Vec<String> = said.success().output.lines().map(str::to_string).collect();
    assert_eq!((lines.len(), lines[1].as_str()), (6, "  <li>good day</li>"));
}

#[test]
fn hello_prints_its_page_when_a_job_without_privileges_has_built_it() {
    skip_without_ground!();
    let ground = Ground::busybox();
    let project = Project::copy_of("examples/hello");
    ground.run_snippet(&project).success();
    let endpoint = ground.registry.endpoint();
    let image = validate::pushed(&endpoint, REPOSITORY, "latest").unwrap();
    assert_eq!(image.config["config"]["User"], "1000");
    ground.docker.login(&endpoint).unwrap();
    let name = format!("{}/{REPOSITORY}", ground.registry.address());
    ground.docker.pull(&name).unwrap();
    let (_, printed) = ground.docker.container(&name).run().unwrap();
    assert!(printed.success().output.contains("<li>good day</li>"));
}
