//! What a build reads and writes on this machine is looked at before it begins.

use crate::place::Place;

/// What a build of one file with these flags says, where it has to fail.
fn refused(place: &Place, flags: &[&str]) -> String {
    std::fs::write(place.path("Dockerfile"), "FROM scratch\nCOPY file /\n").unwrap();
    std::fs::write(place.path("file"), "text").unwrap();
    let output = place.try_run(&[&["build", "--progress=plain"], flags, &["."]].concat());
    assert_eq!(output.status.code(), Some(1), "{flags:?}: {output:?}");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    told.replace(&place.directory.path().display().to_string(), "DIR")
}

#[test]
fn an_output_that_cannot_be_written_is_told_before_anything_is_built() {
    let place = Place::new();
    std::fs::write(place.path("taken"), "").unwrap();
    let cases = [
        (
            "-o=type=docker,dest=none/x.tar",
            "error: cannot write DIR/none/x.tar\n  cause: there is no directory DIR/none\nhint: make it first: `mkdir -p DIR/none`\n",
        ),
        (
            "-o=type=local,dest=taken",
            "error: cannot write DIR/taken\n  cause: DIR/taken is not a directory\nhint: name another place\n",
        ),
        (
            "--metadata-file=none/facts",
            "error: cannot write DIR/none/facts\n  cause: there is no directory DIR/none\nhint: make it first: `mkdir -p DIR/none`\n",
        ),
    ];
    for (flag, expected) in cases {
        let told = refused(&place, &["--no-push", flag]);
        assert_eq!(told, expected, "{flag}");
    }
}

#[test]
fn a_full_disk_of_an_output_is_not_taken_for_that_of_the_state_directory() {
    let place = Place::new();
    for flag in [
        "-o=type=docker,dest=/dev/full",
        "-o=type=tar,dest=/dev/full",
    ] {
        let told = refused(&place, &[flag]);
        assert!(told.contains("error: cannot write /dev/full\n"), "{told}");
        assert!(
            told.ends_with(
                "hint: free some space where /dev/full is, or write the output elsewhere\n"
            ),
            "{told}"
        );
    }
}

#[test]
fn a_secret_whose_file_is_not_there_is_told_though_nothing_needs_it() {
    let place = Place::new();
    let told = refused(&place, &["--no-push", "--secret=id=token,src=none"]);
    assert_eq!(
        told,
        "error: --secret id=token: cannot read DIR/none\n  cause: No such file or directory (os error 2)\n\
         hint: name a file that is there with src=FILE, or a variable with env=NAME\n"
    );
}

/// Standard error of a command, which has to succeed or not.
fn told(place: &Place, arguments: &[&str], succeeds: bool) -> String {
    let output = place.try_run(arguments);
    assert_eq!(
        output.status.success(),
        succeeds,
        "{arguments:?}: {output:?}"
    );
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_image_that_goes_nowhere_is_told_of_when_it_is_going_to_be_built() {
    let place = Place::new();
    let warning = "warning: the image goes nowhere: add --push, --load or an --output\n";
    let none = told(&place, &["build", "."], false);
    assert!(!none.contains("goes nowhere"), "{none}");
    std::fs::write(
        place.path("Dockerfile"),
        "FROM scratch\nCOPY Dockerfile /\n",
    )
    .unwrap();
    assert_eq!(told(&place, &["plan", "."], true), "");
    let built = told(&place, &["build", "--progress=plain", "."], true);
    assert_eq!(built.matches(warning).count(), 1, "{built}");
    let wanted = told(
        &place,
        &["build", "--no-push", "--progress=plain", "."],
        true,
    );
    assert!(!wanted.contains("goes nowhere"), "{wanted}");
}

#[test]
fn images_of_bake_that_go_nowhere_are_told_of_once() {
    let place = Place::new();
    std::fs::write(
        place.path("Dockerfile"),
        "FROM scratch\nCOPY Dockerfile /\n",
    )
    .unwrap();
    let services = "services:\n  a: {build: .}\n  b: {build: {context: ., additional_contexts: {c: 'service:a'}}}\n";
    std::fs::write(place.path("compose.yaml"), services).unwrap();
    let built = told(&place, &["bake", "--progress=plain"], true);
    let warning = "warning: the images go nowhere: add --push, or an output to the targets\n";
    assert_eq!(built.matches(warning).count(), 1, "{built}");
    let kept = [
        "bake",
        "--progress=plain",
        "--set=b.output=type=oci,dest=b.tar",
    ];
    let kept = told(&place, &kept, true);
    assert!(!kept.contains("go nowhere"), "{kept}");
}

#[test]
fn a_file_in_place_of_the_context_is_what_lint_checks_and_what_build_has_a_hint_for() {
    let place = Place::new();
    std::fs::create_dir(place.path("app")).unwrap();
    std::fs::write(place.path("app/Other"), "FROM scratch\nCOPY Other /\n").unwrap();
    assert_eq!(told(&place, &["lint", "app/Other"], true), "");
    std::fs::write(place.path("app/Other"), "FROM scratch as a\nCOPY Other /\n").unwrap();
    let warned = told(&place, &["lint", "app/Other"], false);
    assert!(warned.contains("FromAsCasing"), "{warned}");
    let refused = told(&place, &["build", "--no-push", "app/Other"], false);
    assert!(
        refused.ends_with(
            "hint: the context is a directory: write `-f app/Other .` for a Dockerfile of that name, \
             `tar://app/Other` for an archive\n"
        ),
        "{refused}"
    );
}

#[test]
fn what_is_wrong_with_a_target_of_bake_is_told_with_its_files() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("shop/web")).unwrap();
    std::fs::write(
        place.path("shop/web/Dockerfile"),
        "FROM scratch\nCOPPY a /\n",
    )
    .unwrap();
    let services =
        "services:\n  web:\n    build: ./web\n  api:\n    build:\n      context: ./api\n";
    std::fs::write(place.path("shop/compose.yaml"), services).unwrap();
    let bake = |target: &str| {
        let arguments = [
            "bake",
            "--progress=plain",
            "-f",
            "shop/compose.yaml",
            target,
        ];
        told(&place, &arguments, false)
    };
    let web = bake("web");
    assert!(web.contains("  --> shop/web/Dockerfile:2"), "{web}");
    assert_eq!(
        bake("api"),
        "error: shop/compose.yaml:6: the context `shop/api` of `api` is no directory\n\
         hint: make the directory, or correct its path, which is shown as seen from the working directory\n"
    );
}

#[test]
fn a_missing_dockerfile_is_told_with_the_directory_it_is_not_in() {
    let place = Place::new();
    let directory = place.directory.path().canonicalize().unwrap();
    let none = told(&place, &["build", "--no-push", "."], false);
    assert_eq!(
        none,
        format!(
            "error: failed to read dockerfile: open Dockerfile: no such file or directory\n\
             hint: it is not in {}; name it with `-f FILE`, and give its context as the argument\n",
            directory.display()
        )
    );
    std::fs::write(place.path("Containerfile"), "FROM scratch\n").unwrap();
    let other = told(&place, &["build", "--no-push", "."], false);
    assert!(
        other.ends_with("hint: there is a Containerfile: name it with `-f Containerfile`\n"),
        "{other}"
    );
}

#[test]
fn a_pipeline_without_names_is_told_of() {
    let place = Place::new();
    let output = place.try_run(&["gitlab", "tags", "--image", "r.example/app"]);
    assert!(
        output.status.success() && output.stdout.is_empty(),
        "{output:?}"
    );
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "warning: no template has a value in this pipeline, so there is no name\n"
    );
}
