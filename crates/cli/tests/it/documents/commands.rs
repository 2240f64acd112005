//! Commands on the pages and in the examples.

use std::path::Path;

use serde::Deserialize as _;
use serde_yaml::Value;

use super::blocks::{blocks, inline, lines};
use super::shell::{assert_named, assert_understood, commands, ours};
use super::{files, name, workspace};

/// All lines of the code on a page; of YAML those of its texts, as folding has them.
fn code(page: &str, place: &str) -> Vec<String> {
    let mut all = Vec::new();
    for block in blocks(page) {
        if block.language == "yaml" {
            let mut found = Vec::new();
            documents(&block.text, place)
                .iter()
                .for_each(|document| texts(document, &mut found));
            all.extend(found.iter().flat_map(|text| lines(text)));
        } else {
            all.extend(lines(&block.text));
        }
    }
    all
}

#[test]
fn every_command_of_the_pages_is_understood() {
    let mut seen = Vec::new();
    for file in files(&["md", "Jenkinsfile"]) {
        let text = std::fs::read_to_string(&file).unwrap();
        for line in code(&text, &name(&file)) {
            // Dots stand for something that the reader fills in.
            for words in commands(&line.replace(['…'], "x")) {
                if let Some((program, arguments)) = ours(&words) {
                    assert_understood(program, &arguments, &name(&file));
                    seen.push(format!("{}: {program}", name(&file)));
                }
            }
        }
    }
    assert!(seen.len() > 60, "{} commands", seen.len());
    for page in ["README.md", "docs/gitlab.md"] {
        let snippet = format!("{page}: executor");
        assert!(
            seen.contains(&snippet),
            "the snippet of {page} was not read"
        );
    }
}

#[test]
fn every_command_in_prose_exists() {
    let mut seen = 0;
    // The reference is made from the definitions, and the changelog tells of other times.
    let told = |file: &Path| !file.ends_with("reference.md") && !file.ends_with("CHANGELOG.md");
    for file in files(&["md"]).into_iter().filter(|file| told(file)) {
        for code in inline(&std::fs::read_to_string(&file).unwrap()) {
            let line = code.replace(['…'], "x").replace("\\|", "|");
            for words in commands(&line) {
                if let Some((program, arguments)) =
                    ours(&words).filter(|(_, words)| !words.is_empty())
                {
                    seen += 1;
                    assert_named(program, &arguments, &name(&file));
                }
            }
        }
    }
    assert!(seen > 30, "{seen} commands");
}

#[test]
fn every_recipe_of_the_pages_is_in_the_justfile() {
    let recipes = std::fs::read_to_string(workspace().join("justfile")).unwrap();
    let known = |name: &str| {
        recipes.lines().any(|line| {
            let head = line.split(':').next().unwrap_or_default();
            line.contains(':') && head.split(' ').next() == Some(name)
        })
    };
    let mut seen = 0;
    for file in files(&["md"]) {
        let text = std::fs::read_to_string(&file).unwrap();
        for code in code(&text, &name(&file)).into_iter().chain(inline(&text)) {
            if let Some(rest) = code.strip_prefix("just ") {
                seen += 1;
                let recipe = rest.split(' ').next().unwrap_or_default();
                assert!(known(recipe), "{}: just {recipe}", name(&file));
            }
        }
    }
    assert!(seen > 8 && !known("default-of-nothing"), "{seen} recipes");
}

/// `docker load --input FILE` stands below a command that makes the file.
#[test]
fn every_archive_that_is_loaded_was_made_on_the_same_page() {
    let mut seen = 0;
    for file in files(&["md"]) {
        let lines = code(&std::fs::read_to_string(&file).unwrap(), &name(&file));
        for (number, line) in lines.iter().enumerate() {
            if let Some(archive) = line.strip_prefix("docker load --input ") {
                seen += 1;
                let made = format!("type=docker,dest={archive}");
                assert!(
                    lines[..number].iter().any(|line| line.ends_with(&made)),
                    "{}: {line}",
                    name(&file)
                );
            }
        }
    }
    assert!(seen >= 2, "{seen} archives");
}

/// What stands behind `--` of `kubectl run` is a command of ours, or arguments of the image's entry point.
#[test]
fn every_pod_that_is_run_by_hand_has_a_command_that_is_understood() {
    let mut seen = 0;
    for file in files(&["md"]) {
        for line in code(&std::fs::read_to_string(&file).unwrap(), &name(&file)) {
            let Some((flags, command)) = line
                .strip_prefix("kubectl run ")
                .and_then(|rest| rest.split_once(" -- "))
            else {
                continue;
            };
            seen += 1;
            let replaces = flags.split(' ').any(|flag| flag == "--command");
            let line = if replaces {
                command.to_owned()
            } else {
                format!("/kaniko/executor {command}")
            };
            let words = commands(&line).concat();
            let (program, arguments) =
                ours(&words).unwrap_or_else(|| panic!("{}: {line}", name(&file)));
            assert_understood(program, &arguments, &name(&file));
        }
    }
    assert!(seen >= 1, "no command for a pod");
}

/// Every text in a document of YAML.
fn texts(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::String(text) => out.push(text.clone()),
        Value::Sequence(items) => items.iter().for_each(|item| texts(item, out)),
        Value::Mapping(entries) => entries.iter().for_each(|(_, item)| texts(item, out)),
        _ => {}
    }
}

fn documents(text: &str, place: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(text)
        .map(|document| {
            Value::deserialize(document).unwrap_or_else(|error| panic!("{place}: {error}"))
        })
        .collect()
}

fn documents_of(file: &Path) -> Vec<Value> {
    documents(&std::fs::read_to_string(file).unwrap(), &name(file))
}

#[test]
fn every_command_of_the_examples_is_understood() {
    let mut seen = 0;
    for file in files(&["yml", "yaml"]) {
        let mut all = Vec::new();
        documents_of(&file)
            .iter()
            .for_each(|document| texts(document, &mut all));
        for line in all.iter().flat_map(|text| lines(text)) {
            for words in commands(&line.replace("$[[ inputs.arguments ]]", "")) {
                // A loop's first command follows its `do`.
                let words: Vec<_> = words.into_iter().skip_while(|word| word == "do").collect();
                if let Some((program, arguments)) = ours(&words) {
                    seen += 1;
                    assert_understood(program, &arguments, &name(&file));
                }
            }
        }
    }
    assert!(seen >= 10, "{seen} commands");
}

/// Containers of our image, wherever they stand in a manifest.
fn containers(value: &Value, out: &mut Vec<Vec<String>>) {
    let is_ours = value
        .get("image")
        .and_then(Value::as_str)
        .is_some_and(|image| image.contains("yadokari") || image.contains("BUILDER_IMAGE"));
    let arguments = value.get("args").and_then(Value::as_sequence);
    if let (true, Some(arguments), None) = (is_ours, arguments, value.get("command")) {
        let words = arguments.iter().filter_map(Value::as_str);
        out.push(
            words
                .filter(|word| !word.starts_with("$("))
                .map(str::to_owned)
                .collect(),
        );
    }
    match value {
        Value::Sequence(items) => items.iter().for_each(|item| containers(item, out)),
        Value::Mapping(entries) => entries.iter().for_each(|(_, item)| containers(item, out)),
        _ => {}
    }
}

#[test]
fn every_container_of_the_manifests_has_arguments_that_are_understood() {
    let mut seen = 0;
    for file in files(&["yaml"]) {
        let mut all = Vec::new();
        documents_of(&file)
            .iter()
            .for_each(|document| containers(document, &mut all));
        for arguments in all {
            seen += 1;
            assert_understood("executor", &arguments, &name(&file));
        }
    }
    assert!(seen >= 5, "{seen} containers");
}
