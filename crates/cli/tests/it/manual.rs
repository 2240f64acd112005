//! Manual pages, made from the definitions.

use crate::place::Place;

#[test]
fn every_command_has_a_page_that_names_its_flags() {
    let place = Place::new();
    place.run(&["man", "--directory", "pages"]);
    let page = |name: &str| crate::place::read(&place.path(&format!("pages/{name}.1")));
    let shown = place.run(&["man"]);
    assert_eq!(shown.trim_end(), page("yadokari").trim_end());
    for (name, flag) in [
        ("yadokari-build", "build\\-arg"),
        ("yadokari-cleanup", "older\\-than"),
        ("yadokari-index-create", "append"),
        ("yadokari-cache-prune", "keep\\-storage"),
    ] {
        let text = page(name);
        assert!(
            text.starts_with(".ie") || text.contains(".TH "),
            "{text:.200}"
        );
        assert!(text.contains(flag), "{name}: no {flag}");
    }
    let command = yadokari::flags::parse::command();
    let pages = std::fs::read_dir(place.path("pages")).unwrap().count();
    assert!(pages > command.get_subcommands().count(), "{pages}");
}
