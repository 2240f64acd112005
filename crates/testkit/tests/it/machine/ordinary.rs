//! As an ordinary user.

use std::path::PathBuf;
use std::process::Command;

use yadokari_testkit::user::User;
use yadokari_testkit::{executor, needs, process, skip_unless, validate};

use super::Place;
use crate::support::project::Project;
use crate::support::steps::executed;

/// Every file belongs to root.
const ONE_ID: &str = "FROM busybox\nRUN echo made > /made && echo ran-$((40+2))-only && id -u\nCOPY Dockerfile /copied\n";

/// A second id is needed.
const TWO_IDS: &str = "FROM busybox\nRUN echo made > /made && chown 1234:1234 /made && echo ran-$((40+2))-chown\n\
    USER 1234\nRUN id -u > /tmp/id && echo ran-$((40+2))-user\n";

/// A user whose home holds a copy of the executable and of a project.
struct Visitor {
    user: User,
}

impl Visitor {
    fn new(user: User, dockerfile: &str) -> Self {
        let (home, project) = (user.home().to_path_buf(), Project::new(dockerfile));
        std::fs::create_dir(home.join("project")).unwrap();
        std::fs::copy(project.join("Dockerfile"), home.join("project/Dockerfile")).unwrap();
        std::fs::copy(executor::path().unwrap(), home.join("yadokari")).unwrap();
        user.own(&home).unwrap();
        Self { user }
    }

    fn build(&self, place: &Place) -> Command {
        let mut command = self.user.command(&self.home("yadokari"));
        command
            .args(["build", "--registry-mirror", &place.mirror.address()])
            .arg(self.home("project"));
        command
    }

    fn home(&self, path: &str) -> PathBuf {
        self.user.home().join(path)
    }
}

#[test]
fn with_subordinate_ids_a_build_with_several_owners_works() {
    skip_unless!(
        needs::root(),
        needs::registry(),
        needs::user_namespaces(),
        needs::program("useradd")
    );
    let visitor = Visitor::new(User::with_subordinate_ids().unwrap(), TWO_IDS);
    let place = Place::new();
    let tag = format!("{}/app:v1", place.registry.address());
    let finished = process::finish(visitor.build(&place).args(["--tag", &tag, "--push"]))
        .unwrap()
        .success();
    assert_eq!(executed(&finished), ["chown", "user"]);

    let image = validate::pushed(&place.registry.endpoint(), "app", "v1").unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let layout = place
        .registry
        .endpoint()
        .pull("app", "v1", scratch.path())
        .unwrap();
    let layer = &image.layers()[1];
    let listing =
        yadokari_testkit::Listing::of_tar(&mut layout.open_layer(layer).unwrap()).unwrap();
    let made = listing.get("/made").unwrap();
    assert_eq!((made.uid, made.gid), (1234, 1234));
    assert!(
        visitor.home(".cache/yadokari").is_dir(),
        "the state is kept in the user's cache directory"
    );
}

#[test]
fn without_subordinate_ids_a_build_with_one_owner_works() {
    skip_unless!(
        needs::root(),
        needs::registry(),
        needs::user_namespaces(),
        needs::program("useradd")
    );
    let visitor = Visitor::new(User::without_subordinate_ids().unwrap(), ONE_ID);
    let place = Place::new();
    let output = format!(
        "--output=type=oci,tar=false,dest={}",
        visitor.home("layout").display()
    );
    let finished = process::finish(visitor.build(&place).arg(output))
        .unwrap()
        .success();
    assert_eq!(executed(&finished), ["only"]);
    validate::layout(&visitor.home("layout")).unwrap();
}

#[test]
fn without_subordinate_ids_a_second_owner_is_an_error_that_says_what_to_install() {
    skip_unless!(
        needs::root(),
        needs::registry(),
        needs::user_namespaces(),
        needs::program("useradd")
    );
    let visitor = Visitor::new(User::without_subordinate_ids().unwrap(), TWO_IDS);
    let finished = process::finish(visitor.build(&Place::new()).arg("--no-push")).unwrap();
    assert_ne!(finished.status, 0);
    let said = &finished.output;
    assert!(
        said.contains("uidmap") && said.contains("/etc/subuid"),
        "{said}"
    );
}

#[test]
fn an_ordinary_users_second_build_executes_nothing() {
    skip_unless!(
        needs::root(),
        needs::registry(),
        needs::user_namespaces(),
        needs::program("useradd")
    );
    let visitor = Visitor::new(User::with_subordinate_ids().unwrap(), ONE_ID);
    let place = Place::new();
    let cache = format!("--cache-repo={}/cache", place.registry.address());
    for expected in [&["only"][..], &[]] {
        let mut build = visitor.build(&place);
        let finished = process::finish(build.args(["--no-push", "--cache=true", &cache]))
            .unwrap()
            .success();
        assert_eq!(executed(&finished), expected);
    }
}
