//! Dockerfiles that cannot be parsed, each in a folder with the message it gives.

use std::fs;
use std::path::Path;

#[test]
fn every_rejected_file_gives_its_message() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/rejected");
    let mut seen = 0;
    for case in fs::read_dir(folder).unwrap() {
        let case = case.unwrap().path();
        let bytes = fs::read(case.join("Dockerfile")).unwrap();
        let message = fs::read_to_string(case.join("message")).unwrap();
        let error = yadokari_dockerfile::parse(&bytes).expect_err(&case.display().to_string());
        assert_eq!(
            error.to_string(),
            message.trim_end_matches('\n'),
            "{}",
            case.display()
        );
        seen += 1;
    }
    assert!(seen > 50, "only {seen} cases");
}
