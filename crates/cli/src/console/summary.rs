//! The end of a build in a few lines: what ran, what was cached, what moved, where the image is.

use std::time::Duration;

use console::{measure_text_width, truncate_str};

use yadokari_build::Outcome;

use super::Published;
use super::steps::{Step, Steps};
use super::style::{self, Ink, Paper, paint};
use super::transfers::Transfers;

/// A title is cut after so many characters, where rows have no end.
const WIDEST_TITLE: usize = 80;

/// How the work ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    /// Wall time.
    pub(super) took: Duration,
    /// How many images there are of how many that were wanted, where some failed.
    pub(super) partly: Option<(usize, usize)>,
}

pub(super) fn lines(
    steps: &Steps,
    transfers: &Transfers,
    published: &[Published],
    ending: Ending,
    paper: Paper,
) -> Vec<String> {
    let mut lines = vec![
        String::new(),
        paint(paper.color, Ink::Strong, &heading(steps, ending)),
    ];
    lines.extend(steps.all().filter_map(|step| row(step, paper)));
    lines.extend(moved(transfers));
    lines.extend(places(published, paper));
    lines
}

fn heading(steps: &Steps, ending: Ending) -> String {
    let count = |wanted: fn(&Outcome) -> bool| {
        steps
            .all()
            .filter_map(|step| step.ended.as_ref())
            .filter(|(outcome, _)| wanted(outcome))
            .count()
    };
    let ran = count(|outcome| matches!(outcome, Outcome::Ran { .. }));
    let cached = count(|outcome| matches!(outcome, Outcome::Cached));
    let what = match ending.partly {
        None => "Built".to_owned(),
        Some((built, all)) => format!("Built {built} of {all} targets"),
    };
    let head = format!("{what} in {}", style::duration(ending.took));
    match (ran, cached) {
        (0, 0) => head,
        (0, _) => format!("{head}: nothing ran, {} from the cache", steps_of(cached)),
        (_, 0) => format!("{head}: {} ran", steps_of(ran)),
        (_, _) => format!("{head}: {} ran, {cached} from the cache", steps_of(ran)),
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
fn row(step: &Step, paper: Paper) -> Option<String> {
    let (outcome, took) = step.ended.as_ref()?;
    let word = match outcome {
        Outcome::Ran { .. } => format!("{:>8} ", style::duration(*took)),
        Outcome::Cached => paint(paper.color, Ink::Good, "  CACHED "),
        Outcome::Metadata => return None,
    };
    let size = step.layer.map(style::bytes).unwrap_or_default();
    let prefix = paint(paper.color, Ink::Step, &step.prefix);
    let head = format!("{word} {size:>9}  {prefix} ");
    let wait = step.wait().map(|wait| format!(", {wait}"));
    let wait = wait.unwrap_or_default();
    let room = match paper.columns {
        Some(columns) => columns.saturating_sub(measure_text_width(&head) + wait.len()),
        None => WIDEST_TITLE,
    };
    let title = truncate_str(&step.title, room, "…");
    Some(format!("{head}{title}{wait}"))
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
fn places(published: &[Published], paper: Paper) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, at) in published.iter().enumerate() {
        lines.push(format!(
            "  {} {}",
            paint(paper.color, Ink::Good, "published"),
            at.place
        ));
        let next = published.get(index + 1);
        if next.is_none_or(|next| next.digest != at.digest) {
            lines.push(digest(&at.digest.to_string(), paper));
        }
    }
    lines
}

/// A digest is copied from here, so it stays whole: where it would not fit behind its name, the name is left out.
fn digest(digest: &str, paper: Paper) -> String {
    let line = format!("  digest    {digest}");
    match paper.columns {
        Some(columns) if line.len() > columns => format!("  {digest}"),
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use yadokari_build::{Expectation, PlannedStep, StepId};
    use yadokari_image::Digest;

    use super::*;

    #[test]
    fn no_line_of_a_summary_is_wider_than_the_terminal() {
        let id = StepId { stage: 0, step: 1 };
        let mut steps = Steps::default();
        steps.plan(&[PlannedStep {
            id,
            stage: "a-stage-with-a-name".to_owned(),
            title: "RUN apt-get update && apt-get install --yes ".repeat(9),
            span: None,
            expectation: Expectation::Run,
        }]);
        steps.step(id).ended = Some((Outcome::Ran { changes: 1 }, Duration::from_secs(1)));
        let published = [Published {
            place: "r.example/a:1".to_owned(),
            digest: Digest::of(b""),
        }];
        let ending = Ending {
            took: Duration::from_secs(1),
            partly: None,
        };
        for columns in [76, 80, 83, 160] {
            let paper = Paper {
                color: true,
                columns: Some(columns),
            };
            let all = lines(&steps, &Transfers::default(), &published, ending, paper);
            for line in &all {
                assert!(measure_text_width(line) <= columns, "{columns}: {line:?}");
            }
            let whole = all
                .iter()
                .any(|line| line.contains(&published[0].digest.to_string()));
            assert!(whole, "{all:#?}");
        }
    }

    #[test]
    fn a_step_that_waited_for_its_turn_says_so_behind_its_title() {
        let id = StepId { stage: 0, step: 1 };
        let mut steps = Steps::default();
        steps.plan(&[PlannedStep {
            id,
            stage: "build".to_owned(),
            title: "RUN make --jobs=2 all and some more".to_owned(),
            span: None,
            expectation: Expectation::Run,
        }]);
        let step = steps.step(id);
        step.run(Duration::from_millis(10_100));
        step.ended = Some((Outcome::Ran { changes: 1 }, Duration::from_secs(5)));
        let paper = |columns| Paper {
            color: false,
            columns,
        };
        let row = |columns| row(steps.all().next().unwrap(), paper(columns)).unwrap();
        let whole =
            "    5.0s             [build 1/1] RUN make --jobs=2 all and some more, waited 10.1s";
        assert_eq!(row(None), whole);
        let cut = "    5.0s             [build 1/1] RUN make --jobs=2…, waited 10.1s";
        assert_eq!(row(Some(65)), cut);
    }
}
