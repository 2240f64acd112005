//! Whole plans: `data/<case>/Dockerfile` and the text its plan has.

use std::fs;
use std::path::Path;

use crate::case::plan_text;

#[test]
fn files_have_the_plans_that_stand_beside_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut cases = 0;
    for entry in fs::read_dir(root).unwrap() {
        let case = entry.unwrap().path();
        let read = |name: &str| fs::read_to_string(case.join(name)).unwrap();
        assert_eq!(
            plan_text(&read("Dockerfile")),
            read("plan"),
            "\nin {}",
            case.display()
        );
        cases += 1;
    }
    assert!(cases > 0, "there are cases");
}
