//! Lines of a shell, and the commands of ours in them.

use std::path::Path;

use clap::error::ErrorKind;
use yadokari::environment::Environment;
use yadokari::flags::parse;

/// Commands of one line of a shell, as words. Variables stay as they are.
pub(super) fn commands(line: &str) -> Vec<Vec<String>> {
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

/// The program's name and arguments, if the command is one of ours. Alone, `yadokari` is a name and no command; a path is one.
pub(super) fn ours(words: &[String]) -> Option<(&'static str, Vec<String>)> {
    let is_assignment = |word: &&String| {
        word.split_once('=')
            .is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
    };
    let start = words.iter().take_while(is_assignment).count();
    let (program, arguments) = words[start..].split_first()?;
    let name = match program.rsplit('/').next()? {
        "yadokari" if !arguments.is_empty() => "yadokari",
        "executor" if program.starts_with('/') => "executor",
        _ => return None,
    };
    Some((name, arguments.to_vec()))
}

/// Fails unless the real parser takes the command.
pub(super) fn assert_understood(program: &str, arguments: &[String], place: &str) {
    if let Err(error) = parsed(program, arguments) {
        panic!("{place}: {program} {}: {error}", arguments.join(" "));
    }
}

/// Like [`assert_understood`], for text that only names a command: it may lack what the command demands.
pub(super) fn assert_named(program: &str, arguments: &[String], place: &str) {
    let lacking = [
        ErrorKind::MissingRequiredArgument,
        ErrorKind::MissingSubcommand,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
    ];
    if let Err(error) = parsed(program, arguments) {
        assert!(
            lacking.contains(&error.kind()),
            "{place}: {program} {}: {error}",
            arguments.join(" ")
        );
    }
}

fn parsed(program: &str, arguments: &[String]) -> Result<(), clap::Error> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let environment = Environment::of_command(program, &words, Path::new("/ci"));
    match parse(&environment) {
        Err(error) if error.use_stderr() => Err(error),
        _ => Ok(()),
    }
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
