//! The end of a build in a few lines: what ran, what was cached, where the image is.

use std::time::Duration;

use yadokari_build::Outcome;

use super::Published;
use super::steps::{Step, Steps};
use super::style::{self, Ink, paint};

/// A title is cut after so many characters.
const WIDEST_TITLE: usize = 80;

pub(super) fn lines(
    steps: &Steps,
    published: &[Published],
    took: Duration,
    color: bool,
) -> Vec<String> {
    let mut lines = vec![
        String::new(),
        paint(color, Ink::Strong, &heading(steps, took)),
    ];
    lines.extend(steps.all().filter_map(|step| row(step, color)));
    let places = published
        .iter()
        .map(|at| format!("  {} {}", paint(color, Ink::Good, "published"), at.place));
    lines.extend(places);
    lines.extend(
        published
            .last()
            .map(|at| format!("  digest    {}", at.digest)),
    );
    lines
}

fn heading(steps: &Steps, took: Duration) -> String {
    let count = |wanted: fn(&Outcome) -> bool| {
        steps
            .all()
            .filter_map(|step| step.ended.as_ref())
            .filter(|(outcome, _)| wanted(outcome))
            .count()
    };
    let ran = count(|outcome| matches!(outcome, Outcome::Ran { .. }));
    let cached = count(|outcome| matches!(outcome, Outcome::Cached));
    let took = style::duration(took);
    match (ran, cached) {
        (0, 0) => format!("Built in {took}"),
        (0, _) => format!(
            "Built in {took}: nothing ran, {} from the cache",
            steps_of(cached)
        ),
        (ran, cached) => format!(
            "Built in {took}: {} ran, {cached} from the cache",
            steps_of(ran)
        ),
    }
}

fn steps_of(count: usize) -> String {
    if count == 1 {
        "1 step".to_owned()
    } else {
        format!("{count} steps")
    }
}

/// Steps that change the configuration only are not worth a line.
fn row(step: &Step, color: bool) -> Option<String> {
    let (outcome, took) = step.ended.as_ref()?;
    let word = match outcome {
        Outcome::Ran { .. } => format!("{:>8} ", style::duration(*took)),
        Outcome::Cached => paint(color, Ink::Good, "  CACHED "),
        Outcome::Metadata => return None,
    };
    let title: String = step.title.chars().take(WIDEST_TITLE).collect();
    let more = if title.len() < step.title.len() {
        "…"
    } else {
        ""
    };
    Some(format!(
        "{word} {} {title}{more}",
        paint(color, Ink::Step, &step.prefix)
    ))
}
