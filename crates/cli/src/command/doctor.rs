//! `doctor`: which kinds of isolation work here, and why others do not.

use std::path::PathBuf;

use serde_json::{Value, json};
use yadokari_sandbox::{Attempt, Probe, Settings};

use super::Stdout;
use crate::environment::Environment;
use crate::flags::Doctor;
use crate::report::{FAILED, Failure};
use crate::services::sandbox_settings;

/// Tries every kind of isolation and prints what it found, after a remark on file owners. Exit code 1 when none works.
///
/// # Errors
///
/// The state directory cannot be made.
pub fn run(
    doctor: &Doctor,
    environment: &Environment,
    remark: Option<&str>,
    stdout: &mut Stdout<'_>,
) -> Result<u8, Failure> {
    let state_dir = state_dir(doctor, environment);
    let made = std::fs::create_dir_all(&state_dir);
    made.map_err(|error| {
        Failure::told(format!(
            "cannot make the state directory {}: {error}",
            state_dir.display()
        ))
    })?;
    let settings = sandbox_settings(&state_dir, environment, false);
    let probe = yadokari_sandbox::probe(&settings);
    let text = if doctor.json {
        format!("{:#}\n", as_json(&probe, &settings, remark))
    } else {
        as_text(&probe, &settings, remark)
    };
    super::ignore_broken_pipe(stdout.write_all(text.as_bytes()))?;
    Ok(if probe.best().is_some() { 0 } else { FAILED })
}

fn state_dir(doctor: &Doctor, environment: &Environment) -> PathBuf {
    let named = doctor
        .state_dir
        .clone()
        .or_else(|| environment.path("YADOKARI_DIR"));
    environment
        .directory
        .join(named.unwrap_or_else(|| environment.default_state_dir()))
}

fn as_text(probe: &Probe, settings: &Settings, remark: Option<&str>) -> String {
    let place = yadokari_sandbox::ContainerEvidence::gather(&settings.hints).summary();
    let mut out = format!(
        "state      {}\nplace      {place}\n",
        settings.state_dir.display()
    );
    out.extend(remark.map(|remark| format!("owners     {remark}\n")));
    for attempt in &probe.attempts {
        out.push_str(&row(attempt));
    }
    let chosen = probe.best().map_or_else(
        || "none: no RUN can run here".to_owned(),
        |best| best.to_string(),
    );
    out.push_str(&format!("chosen     {chosen}\n"));
    out
}

fn row(attempt: &Attempt) -> String {
    let name = attempt.isolation.to_string();
    let mut out = match &attempt.obstacle {
        None => format!(
            "{name:<11}works; snapshots: {}; Landlock: {}\n",
            snapshots(attempt),
            landlock(attempt)
        ),
        Some(obstacle) => format!(
            "{name:<11}no: {}\n{:11}fix: {}\n",
            obstacle.reason, "", obstacle.remedy
        ),
    };
    for note in &attempt.notes {
        out.push_str(&format!("{:11}{note}\n", ""));
    }
    out
}

fn snapshots(attempt: &Attempt) -> &'static str {
    if attempt.overlay {
        "overlay, scan"
    } else {
        "scan"
    }
}

fn landlock(attempt: &Attempt) -> String {
    match attempt.landlock {
        0 => "none".to_owned(),
        version => format!("version {version}"),
    }
}

fn as_json(probe: &Probe, settings: &Settings, remark: Option<&str>) -> Value {
    let attempt = |attempt: &Attempt| {
        json!({
            "isolation": attempt.isolation.to_string(),
            "works": attempt.works(),
            "reason": attempt.obstacle.as_ref().map(|obstacle| &obstacle.reason),
            "remedy": attempt.obstacle.as_ref().map(|obstacle| &obstacle.remedy),
            "notes": attempt.notes.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "landlock": attempt.landlock,
            "overlay": attempt.overlay,
        })
    };
    json!({
        "state_dir": settings.state_dir,
        "place": yadokari_sandbox::ContainerEvidence::gather(&settings.hints).summary(),
        "isolation": probe.attempts.iter().map(attempt).collect::<Vec<_>>(),
        "remark": remark,
        "chosen": probe.best().map(|best| best.to_string()),
    })
}
