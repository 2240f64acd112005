//! The end of a build in a few lines: what ran, what was cached, what moved, where the image is.

use std::time::Duration;

use yadokari_build::Outcome;

use super::Published;
use super::steps::{Step, Steps};
use super::style::{self, Ink, paint};
use super::transfers::Transfers;

/// A title is cut after so many characters.
const WIDEST_TITLE: usize = 80;

pub(super) fn lines(
    steps: &Steps,
    transfers: &Transfers,
    published: &[Published],
    took: Duration,
    color: bool,
) -> Vec<String> {
    let mut lines = vec![
        String::new(),
        paint(color, Ink::Strong, &heading(steps, took)),
    ];
    lines.extend(steps.all().filter_map(|step| row(step, color)));
    lines.extend(moved(transfers));
    lines.extend(places(published, color));
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
    let size = step.layer.map(style::bytes).unwrap_or_default();
    Some(format!(
        "{word} {size:>9}  {} {title}{more}",
        paint(color, Ink::Step, &step.prefix)
    ))
}

/// How much went over the network.
fn moved(transfers: &Transfers) -> Option<String> {
    let part =
        |bytes: u64, verb: &str| (bytes > 0).then(|| format!("{} {verb}", style::bytes(bytes)));
    let parts: Vec<_> = [
        part(transfers.downloaded, "downloaded"),
        part(transfers.uploaded, "uploaded"),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!parts.is_empty()).then(|| format!("  moved     {}", parts.join(", ")))
}

/// Where the image is; the digest stands once below places that have the same.
fn places(published: &[Published], color: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, at) in published.iter().enumerate() {
        lines.push(format!(
            "  {} {}",
            paint(color, Ink::Good, "published"),
            at.place
        ));
        let next = published.get(index + 1);
        if next.is_none_or(|next| next.digest != at.digest) {
            lines.push(format!("  digest    {}", at.digest));
        }
    }
    lines
}
