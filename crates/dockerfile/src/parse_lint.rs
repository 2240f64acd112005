//! The checks that parsing alone decides.

use std::collections::HashSet;

use crate::instruction::Instruction;
use crate::lint::{Lint, Warning};
use crate::node::Node;
use crate::stage::Stage;

/// Checks of a FROM, which come before its own errors.
pub(crate) fn from(node: &Node) -> Vec<Lint> {
    let mut lints = Vec::new();
    if let [_, r#as, name] = node.words()
        && *name != name.to_lowercase()
        && r#as.eq_ignore_ascii_case("as")
    {
        lints.push(Lint::stage_name_casing(name));
    }
    if let [_, r#as, _, ..] = node.words()
        && !matches_casing(&node.keyword, r#as)
    {
        lints.push(Lint::from_as_casing(&node.keyword, r#as));
    }
    lints
}

/// A keyword in mixed case is the business of another check.
fn matches_casing(from: &str, r#as: &str) -> bool {
    if from == from.to_lowercase() {
        return r#as == r#as.to_lowercase();
    }
    from != from.to_uppercase() || r#as == r#as.to_uppercase()
}

/// Checks the comment above a named stage.
pub(crate) fn stage_description(node: &Node, stage: &Stage) -> Vec<Lint> {
    let names: Vec<&str> = stage.name.as_deref().into_iter().collect();
    undescribed(node, "FROM", &names).into_iter().collect()
}

/// Checks of other instructions.
pub(crate) fn instruction(node: &Node, instruction: &Instruction) -> Vec<Lint> {
    match instruction {
        Instruction::Maintainer(_) => vec![Lint::maintainer_deprecated()],
        Instruction::Arg(arg) => {
            let names: Vec<&str> = arg
                .declarations
                .iter()
                .map(|declaration| declaration.name.as_str())
                .collect();
            undescribed(node, "ARG", &names).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

fn undescribed(node: &Node, keyword: &str, names: &[&str]) -> Option<Lint> {
    let comment = node.comments.last()?;
    let example = match names {
        [] => return None,
        [name] => name,
        _ => "<arg_key>",
    };
    let first = comment.split(' ').next().unwrap_or_default();
    (!names.contains(&first)).then(|| Lint::invalid_definition_description(keyword, example))
}

/// Checks the names of all stages.
pub(crate) fn stage_names(stages: &[Stage]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut seen = HashSet::new();
    for stage in stages {
        let Some(name) = stage.name.as_deref() else {
            continue;
        };
        if matches!(name, "scratch" | "context") {
            warnings.extend(stage.warn(Lint::reserved_stage_name(name)));
        }
        if !seen.insert(name) {
            warnings.extend(stage.warn(Lint::duplicate_stage_name(name)));
        }
    }
    warnings
}

/// Checks that all keywords of all stages are written alike: as the majority is, or in capitals.
pub(crate) fn casing(stages: &[Stage]) -> Vec<Warning> {
    let is_lower = |keyword: &str| keyword == keyword.to_lowercase();
    let is_upper = |keyword: &str| keyword == keyword.to_uppercase();
    let count = |wanted: &dyn Fn(&str) -> bool| {
        keywords(stages)
            .filter(|(keyword, _)| wanted(keyword))
            .count()
    };
    let lowercase = count(&is_lower) > count(&is_upper);
    let casing = if lowercase { "lowercase" } else { "uppercase" };
    let wrong = |keyword: &str| {
        if lowercase {
            !is_lower(keyword)
        } else {
            !is_upper(keyword)
        }
    };
    let found = keywords(stages).filter(|(keyword, _)| wrong(keyword));
    found
        .filter_map(|(keyword, warn)| warn(Lint::consistent_instruction_casing(keyword, casing)))
        .collect()
}

type Warn<'a> = Box<dyn Fn(Lint) -> Option<Warning> + 'a>;

fn keywords(stages: &[Stage]) -> impl Iterator<Item = (&str, Warn<'_>)> {
    stages.iter().flat_map(|stage| {
        let from: (&str, Warn<'_>) = (&stage.keyword, Box::new(|lint| stage.warn(lint)));
        let rest = stage.instructions.iter().map(|instruction| {
            let warn: Warn<'_> = Box::new(|lint| instruction.warn(lint));
            (instruction.keyword.as_str(), warn)
        });
        std::iter::once(from).chain(rest)
    })
}
