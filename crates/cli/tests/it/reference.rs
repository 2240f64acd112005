//! `docs/reference.md`, made from the definitions of the command line.

use yadokari::command::reference::page;

use crate::place::Place;

#[test]
fn the_page_is_what_the_definitions_say() {
    let page = page();
    let written = include_str!("../../../../docs/reference.md");
    for (number, (made, written)) in page.lines().zip(written.lines()).enumerate() {
        assert_eq!(
            made,
            written,
            "line {}: `just reference` writes the page again",
            number + 1
        );
    }
    assert_eq!(
        page.len(),
        written.len(),
        "`just reference` writes the page again"
    );
    assert_eq!(Place::new().run(&["man", "--markdown"]), page.trim_end());
}

#[test]
fn every_command_and_every_flag_is_on_it() {
    let page = page();
    let mut command = yadokari::flags::parse::definition();
    command.build();
    let mut waiting = vec![command];
    while let Some(command) = waiting.pop() {
        let below = command
            .get_subcommands()
            .filter(|below| below.get_name() != "help");
        waiting.extend(below.cloned());
        let name = command.get_bin_name().unwrap_or_default().to_owned();
        let is_group = command.is_subcommand_required_set();
        assert!(
            is_group || page.contains(&format!("\n### `{name}`\n")),
            "{name}"
        );
        let flags = command.get_arguments().filter_map(clap::Arg::get_long);
        for flag in flags.filter(|flag| !["help", "version"].contains(flag)) {
            assert!(page.contains(&format!("`--{flag}`")), "{name} --{flag}");
        }
    }
}

#[test]
fn tables_have_three_columns() {
    for line in page().lines().filter(|line| line.starts_with('|')) {
        let bars = line.replace("\\|", "").matches('|').count();
        assert_eq!(bars, 4, "{line}");
    }
}
