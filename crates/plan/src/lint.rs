//! The build checks that need evaluation: what a variable is, what a base turned out to be.

use yadokari_dockerfile::instruction::Pair;
use yadokari_dockerfile::lint::{Lint, Warning, predicate};
use yadokari_dockerfile::{Expanded, Instruction, Located, Stage, suggest};
use yadokari_image::{Platform, Reference};

use crate::outline::GlobalScopes;
use crate::scope::Scope;

/// Notes references to variables that nothing defines.
pub(crate) fn undefined<T>(
    warnings: &mut Vec<Warning>,
    at: &Located<T>,
    scope: &Scope,
    names: &[String],
) {
    for name in names.iter().filter(|name| !scope.knows(name)) {
        let suggestion = suggest::nearest(name, scope.names());
        warnings.extend(at.warn(Lint::undefined_var(name, suggestion)));
    }
}

/// Notes names of variables that look like secrets.
pub(crate) fn secret_name<T>(
    warnings: &mut Vec<Warning>,
    at: &Located<T>,
    instruction: &str,
    name: &str,
) {
    if predicate::looks_secret(name) {
        warnings.extend(at.warn(Lint::secrets_used_in_arg_or_env(instruction, name)));
    }
}

/// Notes `ENV name value` and `LABEL name value`.
pub(crate) fn legacy_pairs(warnings: &mut Vec<Warning>, at: &Located<Instruction>, pairs: &[Pair]) {
    for _ in pairs.iter().filter(|pair| pair.legacy) {
        warnings.extend(at.warn(Lint::legacy_key_value_format(&at.keyword)));
    }
}

/// Notes arguments in a FROM that nothing declares.
pub(crate) fn from_arguments(
    warnings: &mut Vec<Warning>,
    stage: &Stage,
    globals: &GlobalScopes,
    undefined: &[String],
) {
    for name in undefined.iter().filter(|name| !globals.given.knows(name)) {
        let suggestion = suggest::nearest(name, globals.given.names());
        warnings.extend(stage.warn(Lint::undefined_arg_in_from(name, suggestion)));
    }
}

/// Notes bases that name no image unless build arguments are given. The first that cannot be expanded ends the check.
pub(crate) fn default_bases(
    warnings: &mut Vec<Warning>,
    stages: &[Stage],
    globals: &GlobalScopes,
    escape: char,
) {
    let Some(defaults) = &globals.defaults else {
        return;
    };
    for stage in stages {
        let Ok(word) = defaults.expand(escape, &stage.base) else {
            return;
        };
        if Reference::parse(&word.value).is_err() {
            warnings.extend(stage.warn(Lint::invalid_default_arg_in_from(&stage.base)));
        }
    }
}

/// Notes a `FROM --platform` that says nothing, or pins what should vary.
pub(crate) fn from_platform(
    warnings: &mut Vec<Warning>,
    stage: &Stage,
    raw: &str,
    expanded: &Expanded,
    found: &Platform,
    target: &Platform,
) {
    if predicate::repeats_target_platform(expanded, &target.to_string()) {
        warnings.extend(stage.warn(Lint::redundant_target_platform(raw)));
    }
    if predicate::has_unexplained_platform(
        expanded,
        stage.name.as_deref(),
        &found.os,
        &found.architecture,
    ) {
        warnings.extend(stage.warn(Lint::from_platform_flag_const_disallowed(raw)));
    }
}

/// Notes a base of another platform than the one expected.
pub(crate) fn base_platform(
    warnings: &mut Vec<Warning>,
    stage: &Stage,
    word: &str,
    found: &Platform,
    expected: &Platform,
) {
    if found.os != expected.os || found.architecture != expected.architecture {
        let lint =
            Lint::invalid_base_image_platform(word, &found.to_string(), &expected.to_string());
        warnings.extend(stage.warn(lint));
    }
}
