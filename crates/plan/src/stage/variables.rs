//! ARG and ENV.

use yadokari_dockerfile::instruction::{Arg, Env};
use yadokari_dockerfile::{Instruction, Located};

use super::{Done, Evaluation};
use crate::error::PlanError;
use crate::lint;
use crate::scope::build_args;

/// Arguments that only ask for an attestation and never become variables.
const NEVER_VARIABLES: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

impl Evaluation<'_> {
    /// ENV sets both the build's environment and the image's; all values see the state before the instruction.
    pub(super) fn env(&mut self, at: &Located<Instruction>, env: &Env) -> Result<Done, PlanError> {
        lint::legacy_pairs(&mut self.warnings, at, &env.pairs);
        let mut pairs = Vec::with_capacity(env.pairs.len());
        for pair in &env.pairs {
            let name = self.expand(at, &pair.name)?;
            lint::secret_name(&mut self.warnings, at, "ENV", &name);
            pairs.push((name, self.expand(at, &pair.value)?));
        }
        for (name, value) in &pairs {
            self.state.scope.set(name, value);
            set_environment(&mut self.state.config.config.env, name, value);
        }
        Ok(Self::metadata(format!("ENV {}", joined(&pairs))))
    }

    /// ARG sets the build's environment only; later names of one instruction see earlier ones.
    pub(super) fn arg(&mut self, at: &Located<Instruction>, arg: &Arg) -> Result<Done, PlanError> {
        let mut shown = Vec::with_capacity(arg.declarations.len());
        for declaration in &arg.declarations {
            let name = &declaration.name;
            lint::secret_name(&mut self.warnings, at, "ARG", name);
            let given = build_args(&self.outline.request.build_args)
                .get(name.as_str())
                .map(|value| (*value).to_owned());
            let value = match (given, &declaration.default) {
                (Some(value), _) => Some(value),
                (None, Some(default)) => Some(self.expand(at, default)?),
                (None, None) => self.outline.globals.get(name).map(str::to_owned),
            };
            shown.push(match &value {
                Some(value) => format!("{name}={value}"),
                None => name.clone(),
            });
            if !NEVER_VARIABLES.contains(&name.as_str()) {
                self.state.scope.declare(name, value.as_deref());
            }
        }
        Ok(Self::metadata(format!("ARG {}", shown.join(" "))))
    }
}

/// Sets a variable of the image: in its place if it is there, at the end otherwise.
fn set_environment(env: &mut Vec<String>, name: &str, value: &str) {
    let entry = format!("{name}={value}");
    let known = env.iter_mut().find(|known| {
        known
            .split_once('=')
            .map_or(known.as_str(), |(name, _)| name)
            == name
    });
    match known {
        Some(known) => *known = entry,
        None => env.push(entry),
    }
}

/// Pairs as history rows show them: unquoted.
pub(super) fn joined(pairs: &[(String, String)]) -> String {
    pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join(" ")
}
