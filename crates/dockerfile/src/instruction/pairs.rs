//! ENV, LABEL and ARG.

use crate::error::ParseErrorKind;
use crate::node::{Arguments, Failure, Node};

/// ENV.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Env {
    /// The variables, in written order.
    pub pairs: Vec<Pair>,
}

/// LABEL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The labels, in written order.
    pub pairs: Vec<Pair>,
}

/// A name and its value, both unexpanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
    /// Whether it was written `name value`, without `=`.
    pub legacy: bool,
}

/// ARG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arg {
    /// The arguments it declares, in written order.
    pub declarations: Vec<ArgDeclaration>,
}

/// One argument of an ARG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgDeclaration {
    /// The name, never expanded.
    pub name: String,
    /// The value it has when no build argument is given, unexpanded.
    pub default: Option<String>,
    /// What a comment above (`# name …`) says about it.
    pub description: Option<String>,
}

pub(super) fn env(node: &Node) -> Result<Env, Failure> {
    Ok(Env {
        pairs: pairs(node, "ENV")?,
    })
}

pub(super) fn label(node: &Node) -> Result<Label, Failure> {
    Ok(Label {
        pairs: pairs(node, "LABEL")?,
    })
}

fn pairs(node: &Node, keyword: &'static str) -> Result<Vec<Pair>, Failure> {
    node.no_flags()?;
    let Arguments::Pairs(raw) = &node.arguments else {
        return Err(ParseErrorKind::AtLeastOne(keyword).into());
    };
    if raw.is_empty() {
        return Err(ParseErrorKind::AtLeastOne(keyword).into());
    }
    if raw.iter().any(|pair| pair.name.is_empty()) {
        return Err(ParseErrorKind::BlankName(keyword).into());
    }
    Ok(raw
        .iter()
        .map(|pair| Pair {
            name: pair.name.clone(),
            value: pair.value.clone(),
            legacy: pair.legacy,
        })
        .collect())
}

pub(super) fn arg(node: &Node) -> Result<Arg, Failure> {
    if node.words().is_empty() {
        return Err(ParseErrorKind::AtLeastOne("ARG").into());
    }
    let declarations = node
        .words()
        .iter()
        .map(|word| declaration(word, &node.comments));
    Ok(Arg {
        declarations: declarations.collect::<Result<_, _>>()?,
    })
}

fn declaration(word: &str, comments: &[String]) -> Result<ArgDeclaration, Failure> {
    let (name, default) = match word.split_once('=') {
        Some(("", _)) => return Err(Failure::at(ParseErrorKind::BlankName("ARG"), word)),
        Some((name, default)) => (name, Some(default.to_owned())),
        None => (word, None),
    };
    Ok(ArgDeclaration {
        name: name.to_owned(),
        default,
        description: description(comments, name),
    })
}

/// Finds the comment that describes a name.
pub(crate) fn description(comments: &[String], name: &str) -> Option<String> {
    let described = comments
        .iter()
        .find_map(|comment| comment.strip_prefix(name)?.strip_prefix(' '));
    described.filter(|_| !name.is_empty()).map(str::to_owned)
}
