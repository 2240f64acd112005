//! The variables that instructions see.

use std::collections::{BTreeMap, HashSet};

use yadokari_dockerfile::expand::{ExpandError, Expanded, Expander};

/// Variables of a stage, or of the lines before the first FROM.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    /// Build environment in the order of definition; a name that is set again moves to the end.
    variables: Vec<(String, String)>,
    /// Names that ARG declared, in the order of their first declaration.
    declared: Vec<String>,
    /// Names that are known but may be unset.
    exempt: HashSet<String>,
}

impl Scope {
    /// Starts with an environment in which the last of two equal names counts.
    pub(crate) fn with_environment<'a>(
        entries: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let mut scope = Self::default();
        for (name, value) in entries {
            scope.set(name, value);
        }
        scope
    }

    /// Sets a variable, after all others.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// The value of a variable.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.variables
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Notes an ARG, with or without a value.
    pub(crate) fn declare(&mut self, name: &str, value: Option<&str>) {
        if !self.declared.iter().any(|known| known == name) {
            self.declared.push(name.to_owned());
        }
        match value {
            Some(value) => self.set(name, value),
            None => {
                self.exempt.insert(name.to_owned());
            }
        }
    }

    /// All variables in order.
    pub(crate) fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    /// Names of all variables, for suggestions.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.variables
            .iter()
            .map(|(name, _)| name.as_str())
            .collect()
    }

    /// Whether a reference to this name deserves no warning.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.exempt.contains(name) || self.get(name).is_some()
    }

    /// `|2 a=1 b=`: the arguments declared so far as the history of a RUN lists them.
    pub(crate) fn argument_prefix(&self) -> String {
        if self.declared.is_empty() {
            return String::new();
        }
        let values: String = self
            .declared
            .iter()
            .map(|name| format!("{name}={} ", self.get(name).unwrap_or_default()))
            .collect();
        format!("|{} {values}", self.declared.len())
    }

    /// Expands one word with these variables.
    pub(crate) fn expand(&self, escape: char, word: &str) -> Result<Expanded, ExpandError> {
        let lookup = |name: &str| self.get(name).map(str::to_owned);
        Expander::new(escape, &lookup).expand_word(word)
    }

    /// Expands a word and splits the result at blanks.
    pub(crate) fn expand_words(
        &self,
        escape: char,
        word: &str,
    ) -> Result<Vec<String>, ExpandError> {
        let lookup = |name: &str| self.get(name).map(str::to_owned);
        Expander::new(escape, &lookup).expand_words(word)
    }

    /// Expands the body of a heredoc.
    pub(crate) fn expand_body(&self, escape: char, body: &str) -> Result<Expanded, ExpandError> {
        let lookup = |name: &str| self.get(name).map(str::to_owned);
        Expander::new(escape, &lookup).expand_body(body)
    }
}

/// Arguments given with the build, by name; the last of equal names counts.
pub(crate) fn build_args(given: &[(String, String)]) -> BTreeMap<&str, &str> {
    given
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

/// The arguments every build has in its global scope.
pub(crate) fn predefined(
    host: &yadokari_image::Platform,
    target: &yadokari_image::Platform,
    target_stage: &str,
) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (prefix, platform) in [("BUILD", host), ("TARGET", target)] {
        let variant = platform.variant.clone().unwrap_or_default();
        let version = platform.os_version.clone().unwrap_or_default();
        all.push((format!("{prefix}PLATFORM"), platform.to_string()));
        all.push((format!("{prefix}OS"), platform.os.clone()));
        all.push((format!("{prefix}OSVERSION"), version));
        all.push((format!("{prefix}ARCH"), platform.architecture.clone()));
        all.push((format!("{prefix}VARIANT"), variant));
    }
    all.push(("TARGETSTAGE".to_owned(), target_stage.to_owned()));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_is_set_again_moves_to_the_end() {
        let mut scope = Scope::with_environment([("PATH", "/bin"), ("A", "1"), ("B", "2")]);
        scope.set("A", "3");
        let names: Vec<_> = scope
            .variables()
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, ["PATH", "B", "A"]);
    }

    #[test]
    fn the_prefix_lists_arguments_in_the_order_of_their_first_declaration() {
        let mut scope = Scope::default();
        scope.declare("a", None);
        scope.declare("b", Some("1"));
        scope.declare("c", Some("x y"));
        scope.set("c", "env");
        scope.declare("a", Some("later"));
        assert_eq!(scope.argument_prefix(), "|3 a=later b=1 c=env ");
    }

    #[test]
    fn a_bare_argument_is_known_and_unset() {
        let mut scope = Scope::default();
        scope.declare("a", None);
        assert!(scope.knows("a"));
        assert_eq!(scope.get("a"), None);
        assert!(!scope.knows("b"));
    }
}
