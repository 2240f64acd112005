//! A second build of the same, and of nearly the same, in containers that share nothing but the cache repository.

use yadokari_testkit::{needs, skip_unless, validate};

use crate::support::job::{Ground, REPOSITORY, skip_without_ground};
use crate::support::project::Project;
use crate::support::steps::{cached, executed};

/// Steps of the Debian project's last stage that change a file tree: each is told to be cached.
const FILE_STEPS: usize = 4;

#[test]
fn a_second_run_executes_nothing_and_a_change_reruns_what_depends_on_it() {
    skip_without_ground!();
    skip_unless!(needs::debian());
    let (ground, project) = (Ground::debian(), Project::debian());
    let cold = ground.run_snippet(&project).success();
    assert_eq!(executed(&cold), ["account", "compiler", "packages"]);
    let first = layers(&ground);

    let second = ground.run_snippet(&project).success();
    assert_eq!(executed(&second), [""; 0]);
    assert!(
        cached(&second) >= FILE_STEPS,
        "steps are not told to be cached:\n{}",
        second.output
    );
    assert_eq!(layers(&ground), first);

    project.write(
        "src/greet.c",
        "const char *greeting(void) { return \"good day\"; }\n",
    );
    let source_changed = ground.run_snippet(&project).success();
    assert_eq!(executed(&source_changed), ["compiler"]);
    let changed = layers(&ground);
    assert_eq!(changed.len(), first.len());
    let program = "COPY /out/hello /usr/local/bin/hello # buildkit";
    let assets = "COPY --chown=app:app assets/ ./assets/ # buildkit";
    assert_eq!(
        differing(&first, &changed),
        [program, assets],
        "the program's layer, and what stands on it"
    );

    project.write("assets/motd", "another line\n");
    let asset_changed = ground.run_snippet(&project).success();
    assert_eq!(executed(&asset_changed), [""; 0]);
    assert_eq!(differing(&changed, &layers(&ground)), [assets]);

    project.write("notes/private.txt", "ignored files are in no key\n");
    assert_eq!(executed(&ground.run_snippet(&project).success()), [""; 0]);
}

#[test]
fn a_cached_step_brings_back_what_it_made() {
    skip_without_ground!();
    let ground = Ground::busybox();
    let dockerfile = "FROM busybox\nRUN echo ran-$((40+2))-once; mkdir -m 1777 /d && ln -s ../x /d/l && rm /etc/group\n";
    let project = Project::new(dockerfile);
    assert_eq!(executed(&ground.run_snippet(&project).success()), ["once"]);
    let first = layers(&ground);
    project.write(
        "Dockerfile",
        &format!("{dockerfile}RUN echo ran-$((40+2))-then; ls -la /d; test ! -e /etc/group\n"),
    );
    assert_eq!(executed(&ground.run_snippet(&project).success()), ["then"]);
    assert_eq!(layers(&ground)[..first.len()], first);
}

/// Each layer's digest and the instruction that made it.
fn layers(ground: &Ground) -> Vec<(String, String)> {
    let image = validate::pushed(&ground.registry.endpoint(), REPOSITORY, "latest").unwrap();
    let rows = image.config["history"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["empty_layer"] != true);
    let rows = rows.map(|row| row["created_by"].as_str().unwrap_or_default().to_string());
    image.layers().into_iter().zip(rows).collect()
}

/// The instructions whose layers are not the same.
fn differing<'l>(before: &'l [(String, String)], after: &[(String, String)]) -> Vec<&'l str> {
    let changed = before.iter().zip(after).filter(|(old, new)| old.0 != new.0);
    changed
        .map(|((_, instruction), _)| instruction.as_str())
        .collect()
}
