//! `doctor`: what works here, what does not, why, and how to get it.

mod place;
mod registries;
mod remedies;
mod text;

use serde_json::{Value, json};
use yadokari_sandbox::{Attempt, IdMap, Isolation, Probe, UserNamespaceError};

use super::Stdout;
use crate::console::columns_of_stdout;
use crate::console::fold::fold_table;
use crate::environment::Environment;
use crate::flags::Doctor;
use crate::report::{FAILED, Failure};
use crate::services::sandbox_settings;

use place::Place;
use registries::Answer;

/// Everything that was found out.
#[derive(Debug)]
struct Findings {
    place: Place,
    probe: Probe,
    answers: Vec<Answer>,
}

/// Tries every kind of isolation, asks the registries that are named, and prints what it found.
///
/// `standing` is what came of becoming user 0. Exit code 1 when no isolation works, or
/// when a registry that was named does not answer or refuses what was asked. A state directory that
/// cannot be made is a finding too.
///
/// # Errors
///
/// Standard output cannot be written to, or a registry's name is none.
pub async fn run(
    doctor: &Doctor,
    environment: &Environment,
    standing: &Result<IdMap, UserNamespaceError>,
    stdout: &mut Stdout<'_>,
) -> Result<u8, Failure> {
    let place = Place::look(doctor, environment, standing);
    let settings = sandbox_settings(&place.state_dir, environment, false);
    let mut probe = yadokari_sandbox::probe(&settings);
    explain_refusal(&mut probe, standing);
    let findings = Findings {
        place,
        probe,
        answers: registries::ask(&doctor.registries, environment).await?,
    };
    let text = if doctor.json {
        format!("{:#}\n", findings.to_json())
    } else {
        fitted(text::render(&findings), environment)
    };
    super::print(stdout, text)?;
    Ok(findings.code(!doctor.registries.is_empty()))
}

/// On a terminal, lines that are too wide go on below their cell.
fn fitted(text: String, environment: &Environment) -> String {
    let columns = environment.terminals.stdout.then(columns_of_stdout);
    match columns.flatten() {
        Some(columns) => fold_table(&text, columns),
        None => text,
    }
}

/// Without a user namespace, the first thing that fails for an ordinary user is not what is to blame.
fn explain_refusal(probe: &mut Probe, standing: &Result<IdMap, UserNamespaceError>) {
    let Err(error) = standing else { return };
    let namespaces = probe
        .attempts
        .iter_mut()
        .filter(|attempt| attempt.isolation == Isolation::Namespaces);
    for obstacle in namespaces.filter_map(|attempt| attempt.obstacle.as_mut()) {
        obstacle.reason = error.to_string();
    }
}

impl Findings {
    /// The exit code: what was asked for has to work, and a RUN has to.
    fn code(&self, asked: bool) -> u8 {
        let is_refused = asked && self.answers.iter().any(|answer| answer.answer.is_err());
        match self.probe.best() {
            Some(_) if !is_refused => 0,
            _ => FAILED,
        }
    }

    /// The isolation and the snapshots that a build would use.
    fn chosen(&self) -> Option<&Attempt> {
        self.probe.best().and_then(|best| self.probe.of(best))
    }

    fn to_json(&self) -> Value {
        let attempts = self.probe.attempts.iter().map(|attempt| {
            json!({
                "isolation": attempt.isolation.to_string(),
                "works": attempt.works(),
                "reason": attempt.obstacle.as_ref().map(|obstacle| &obstacle.reason),
                "remedy": attempt.obstacle.as_ref().map(|obstacle| &obstacle.remedy),
                "ways": remedies::of(attempt, &self.place).iter().map(|way| json!({
                    "where": way.whom,
                    "setting": way.setting,
                })).collect::<Vec<_>>(),
                "notes": attempt.notes.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "snapshots": snapshots(attempt),
                "landlock": attempt.landlock,
                "overlay": attempt.overlay,
            })
        });
        let mut value = self.place.to_json();
        value["isolation"] = attempts.collect();
        value["chosen"] = json!(self.chosen().map(|best| best.isolation.to_string()));
        value["snapshot"] = json!(self.chosen().map(|best| snapshots(best)[0]));
        value["registries"] = self.answers.iter().map(Answer::to_json).collect();
        value
    }
}

/// The ways of finding changes that an isolation allows, the cheapest first.
fn snapshots(attempt: &Attempt) -> &'static [&'static str] {
    match (attempt.works(), attempt.overlay) {
        (false, _) => &[],
        (true, true) => &["overlay", "scan"],
        (true, false) => &["scan"],
    }
}
