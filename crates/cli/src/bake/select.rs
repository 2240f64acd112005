//! Which targets are meant, and in which order they can be built.

use std::collections::BTreeMap;

use super::error::BakeError;
use super::target::Target;

/// All that files describe.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bake {
    /// Targets by name.
    pub targets: BTreeMap<String, Target>,
    /// Names of targets, or of other groups, by name.
    pub groups: BTreeMap<String, Vec<String>>,
}

/// The group that is meant when nothing is named.
pub(super) const DEFAULT: &str = "default";

impl Bake {
    pub(super) fn default_group(&mut self) -> &mut Vec<String> {
        self.groups.entry(DEFAULT.to_owned()).or_default()
    }

    /// The targets that these names mean, each once; no names mean the default group, or else the target of that name.
    ///
    /// # Errors
    ///
    /// A name that is neither a target nor a group.
    pub fn select(&self, names: &[String]) -> Result<Vec<String>, BakeError> {
        let mut chosen = Vec::new();
        let default = [DEFAULT.to_owned()];
        let names = if names.is_empty() { &default } else { names };
        for name in names {
            self.expand(name, &mut chosen, &mut Vec::new())?;
        }
        Ok(chosen)
    }

    fn expand<'a>(
        &'a self,
        name: &'a str,
        chosen: &mut Vec<String>,
        above: &mut Vec<&'a str>,
    ) -> Result<(), BakeError> {
        if let Some(members) = self.groups.get(name) {
            if above.contains(&name) {
                return Err(BakeError::Cycle {
                    name: name.to_owned(),
                });
            }
            above.push(name);
            for member in members {
                self.expand(member, chosen, above)?;
            }
            above.pop();
            return Ok(());
        }
        if !self.targets.contains_key(name) {
            return Err(self.unknown(name));
        }
        if !chosen.iter().any(|known| known == name) {
            chosen.push(name.to_owned());
        }
        Ok(())
    }

    pub(super) fn unknown(&self, name: &str) -> BakeError {
        BakeError::UnknownTarget {
            name: name.to_owned(),
            others: self.targets.keys().cloned().collect(),
        }
    }

    /// The chosen targets and those they need, each after what it needs.
    ///
    /// # Errors
    ///
    /// A needed target that is not there, or one that needs itself.
    pub fn in_order(&self, chosen: &[String]) -> Result<Vec<String>, BakeError> {
        let mut order = Vec::new();
        for name in chosen {
            self.visit(name, &mut order, &mut Vec::new())?;
        }
        Ok(order)
    }

    fn visit(
        &self,
        name: &str,
        order: &mut Vec<String>,
        above: &mut Vec<String>,
    ) -> Result<(), BakeError> {
        if order.iter().any(|known| known == name) {
            return Ok(());
        }
        if above.iter().any(|known| known == name) {
            return Err(BakeError::Cycle {
                name: name.to_owned(),
            });
        }
        let target = self.targets.get(name).ok_or_else(|| self.unknown(name))?;
        above.push(name.to_owned());
        for needed in target.needs() {
            self.visit(needed, order, above)?;
        }
        above.pop();
        order.push(name.to_owned());
        Ok(())
    }
}
