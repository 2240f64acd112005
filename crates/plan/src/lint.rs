//! The build checks that need evaluation: what a variable is, what a base turned out to be.

use yadokari_dockerfile::lint::{Lint, Warning, predicate};
use yadokari_dockerfile::{Expanded, Located, Stage, suggest};
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

/// Notes what is wrong with the arguments of a FROM.
pub(crate) fn from_arguments(
    warnings: &mut Vec<Warning>,
    stage: &Stage,
    globals: &GlobalScopes,
    escape: char,
    undefined: &[String],
) {
    for name in undefined.iter().filter(|name| !globals.given.knows(name)) {
        let suggestion = suggest::nearest(name, globals.given.names());
        warnings.extend(stage.warn(Lint::undefined_arg_in_from(name, suggestion)));
    }
    let default = globals.defaults.expand(escape, &stage.base);
    let is_usable = default.is_ok_and(|word| {
        let word = word.value;
        word == "scratch"
            || !undefined.is_empty()
            || (!word.is_empty() && Reference::parse(&word).is_ok())
    });
    if !is_usable && stage.base.contains('$') {
        warnings.extend(stage.warn(Lint::invalid_default_arg_in_from(&stage.base)));
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
    let same = found.os == expected.os
        && found.architecture == expected.architecture
        && found.variant == expected.variant;
    if !same {
        let lint =
            Lint::invalid_base_image_platform(word, &found.to_string(), &expected.to_string());
        warnings.extend(stage.warn(lint));
    }
}
