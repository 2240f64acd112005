//! README, docs and examples: every link leads somewhere, every command is one that the program understands.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_yaml::Value;
use yadokari::environment::Environment;
use yadokari::flags::parse;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// Files with this extension: the README, docs and examples.
fn files(extensions: &[&str]) -> Vec<PathBuf> {
    let top = workspace();
    let mut found: Vec<_> = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
        .map(|name| top.join(name))
        .into();
    let mut directories = vec![top.join("docs"), top.join("examples")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                found.push(path);
            }
        }
    }
    let fits = |path: &PathBuf| {
        path.extension()
            .is_some_and(|end| extensions.iter().any(|one| end == *one))
    };
    found.retain(fits);
    found
}

fn name(path: &Path) -> String {
    path.strip_prefix(workspace())
        .unwrap()
        .display()
        .to_string()
}

/// The targets of `[text](target)`, outside code.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        if fenced || line.starts_with("    ") {
            continue;
        }
        for part in line.split("](").skip(1) {
            let target = part.split(')').next().unwrap_or_default();
            found.push(target.to_owned());
        }
    }
    found
}

/// What a heading is called in links.
fn anchor(heading: &str) -> String {
    let lower = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = lower
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(anchor)
        .collect()
}

#[test]
fn every_link_leads_to_a_file_or_a_heading() {
    let mut seen = 0;
    for file in files(&["md"]) {
        let text = std::fs::read_to_string(&file).unwrap();
        for link in links(&text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            seen += 1;
            let (path, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target = match path {
                "" => file.clone(),
                path => file.parent().unwrap().join(path),
            };
            assert!(target.exists(), "{}: {link}", name(&file));
            if !heading.is_empty() {
                let known = anchors(&std::fs::read_to_string(&target).unwrap());
                assert!(
                    known.contains(heading),
                    "{}: {link}: there are {known:?}",
                    name(&file)
                );
            }
        }
    }
    assert!(seen > 30, "{seen} links");
}

#[test]
fn every_page_of_the_documentation_is_in_its_index() {
    let index = std::fs::read_to_string(workspace().join("docs/index.md")).unwrap();
    for entry in std::fs::read_dir(workspace().join("docs")).unwrap() {
        let page = entry.unwrap().file_name().into_string().unwrap();
        if page.ends_with(".md") && page != "index.md" {
            assert!(
                index.contains(&format!("({page})")),
                "docs/index.md does not name {page}"
            );
        }
    }
}

/// Lines of code: indented by four, or between fences.
fn code(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            match lines.last_mut() {
                Some(last) if last.ends_with('\\') => {
                    last.pop();
                    last.push_str(line.trim());
                }
                _ => lines.push(line.trim().to_owned()),
            }
        }
    }
    lines
}

/// Commands of one line of a shell, as words. Variables stay as they are.
fn commands(line: &str) -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = line.chars().peekable();
    let end = |word: &mut Option<String>, all: &mut Vec<Vec<String>>| {
        if let (Some(word), Some(last)) = (word.take(), all.last_mut()) {
            last.push(word);
        }
    };
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, '|' | ';' | '&') => {
                end(&mut word, &mut all);
                all.push(Vec::new());
            }
            (None, '<' | '>') => {
                end(&mut word, &mut all);
                // The file of a redirection is no argument.
                while characters.next_if(|c| *c == ' ' || *c == '>').is_some() {}
                while characters.next_if(|c| !c.is_whitespace()).is_some() {}
            }
            (None, '\\') => {}
            (None, c) if c.is_whitespace() => end(&mut word, &mut all),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    end(&mut word, &mut all);
    all
}

/// The program's name and arguments, if the command is one of ours.
fn ours(words: &[String]) -> Option<(&'static str, Vec<String>)> {
    let is_assignment = |word: &&String| {
        word.split_once('=')
            .is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
    };
    let start = words.iter().take_while(is_assignment).count();
    let (program, arguments) = words[start..].split_first()?;
    let program = match program.rsplit('/').next()? {
        "yadokari" => "yadokari",
        "executor" if program.starts_with('/') => "executor",
        _ => return None,
    };
    // Without arguments the word is a name and no command.
    (!arguments.is_empty()).then(|| (program, arguments.to_vec()))
}

/// Fails unless the real parser takes the command.
fn assert_understood(program: &str, arguments: &[String], place: &str) {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let environment = Environment::of_command(program, &words, Path::new("/ci"));
    if let Err(error) = parse(&environment) {
        let shown = matches!(
            error.kind(),
            clap::error::ErrorKind::DisplayHelp | clap::error::ErrorKind::DisplayVersion
        );
        assert!(shown, "{place}: {program} {}: {error}", arguments.join(" "));
    }
}

#[test]
fn every_command_of_the_pages_is_understood() {
    let mut seen = 0;
    for file in files(&["md"]) {
        let text = std::fs::read_to_string(&file).unwrap();
        for line in code(&text) {
            // Dots stand for something that the reader fills in.
            let line = line.trim_start_matches("- ").replace(['…'], "x");
            for words in commands(&line) {
                if let Some((program, arguments)) = ours(&words) {
                    seen += 1;
                    assert_understood(program, &arguments, &name(&file));
                }
            }
        }
    }
    assert!(seen > 30, "{seen} commands");
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

fn documents(file: &Path) -> Vec<Value> {
    use serde::Deserialize as _;
    let text = std::fs::read_to_string(file).unwrap();
    serde_yaml::Deserializer::from_str(&text)
        .map(|document| {
            Value::deserialize(document).unwrap_or_else(|error| panic!("{}: {error}", name(file)))
        })
        .collect()
}

#[test]
fn every_command_of_the_examples_is_understood() {
    let mut seen = 0;
    for file in files(&["yml", "yaml"]) {
        let mut all = Vec::new();
        documents(&file)
            .iter()
            .for_each(|document| texts(document, &mut all));
        for line in all
            .iter()
            .flat_map(|text| code(&format!("```\n{text}\n```")))
        {
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
        documents(&file)
            .iter()
            .for_each(|document| containers(document, &mut all));
        for arguments in all {
            seen += 1;
            assert_understood("executor", &arguments, &name(&file));
        }
    }
    assert!(seen >= 5, "{seen} containers");
}

#[test]
fn the_words_of_a_shell_are_told_apart() {
    let line = "A=1 yadokari build \"a b\" 'c|d' > x.json && /kaniko/executor --x=1 # note";
    let found: Vec<_> = commands(line)
        .iter()
        .filter_map(|words| ours(words))
        .collect();
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        found,
        [
            ("yadokari", words(&["build", "a b", "c|d"])),
            ("executor", words(&["--x=1"]))
        ]
    );
}
