//! `cleanup`: old tags of a repository go, with the images that nothing else needs.
//!
//! `survey` reads what the tags stand for, `rules` decides, `plan` says which documents go with the tags that do, and
//! `remove` does it, in the registry or through GitLab. Nothing is removed unless that is asked for.

mod gitlab;
mod plan;
mod remove;
mod rules;
mod survey;
mod text;

use std::time::SystemTime;

use yadokari_build::Clock as _;
use yadokari_dockerfile::glob;

use self::gitlab::GitLab;
use self::plan::Plan;
use self::rules::{Rules, Tag, Verdict, judge};
use super::{Ground, refused, repository, unsaid};
use crate::convert::UsageError;
use crate::flags::go::{GoDuration, Switch};
use crate::flags::images::Cleanup;
use crate::report::Failure;
use crate::services::SystemClock;

/// What was found, and what was decided about it.
struct Judged {
    tags: Vec<Tag>,
    verdicts: Vec<Verdict>,
    /// Nothing is removed.
    dry: bool,
    now: SystemTime,
}

impl Judged {
    fn with(&self, wanted: impl Fn(Verdict) -> bool) -> impl Iterator<Item = &Tag> {
        let pairs = self.tags.iter().zip(&self.verdicts);
        pairs
            .filter(move |(_, verdict)| wanted(**verdict))
            .map(|(tag, _)| tag)
    }

    fn removed(&self) -> impl Iterator<Item = &Tag> {
        self.with(|verdict| verdict == Verdict::Remove)
    }

    fn kept(&self) -> impl Iterator<Item = &Tag> {
        self.with(|verdict| verdict != Verdict::Remove)
    }
}

pub(super) async fn run(cleanup: &Cleanup, ground: &Ground<'_>) -> Result<String, Failure> {
    let rules = rules(cleanup)?;
    let repository = repository(&cleanup.repository)?;
    let mut names = ground.client.tags(&repository).await.map_err(refused)?;
    names.sort();
    let (of_digests, names): (Vec<_>, Vec<_>) = names
        .into_iter()
        .partition(|tag| super::referrers::subject_of(tag).is_some());
    let tags = survey::tags(ground, &repository, names).await?;
    let now = SystemClock.now();
    let judged = Judged {
        verdicts: judge(&tags, &rules, now),
        tags,
        dry: cleanup.dry_run != Some(Switch(false)),
        now,
    };
    let plan = Plan::new(&judged, &of_digests);
    if !judged.dry {
        match GitLab::of(&repository, ground)? {
            Some(gitlab) => gitlab.remove(&plan, ground).await?,
            None => remove::run(&plan, &repository, ground).await?,
        }
    }
    Ok(match cleanup.json == Some(Switch(true)) {
        true => format!("{:#}\n", text::json(&judged, &plan)),
        false => text::table(&judged, &plan),
    })
}

/// Reads the rules. There must be one, so that nobody empties a repository by accident.
fn rules(cleanup: &Cleanup) -> Result<Rules, Failure> {
    let wrong = |flag: &'static str, value: &str, reason: &str| {
        Failure::from(&UsageError::Value {
            flag,
            value: value.to_owned(),
            reason: reason.to_owned(),
        })
    };
    for (flag, patterns) in [("match", &cleanup.matching), ("exclude", &cleanup.exclude)] {
        let bad = patterns.iter().find(|text| glob::check(text).is_err());
        if let Some(bad) = bad {
            return Err(wrong(flag, bad, "expected a name with *, ? and [a-z]"));
        }
    }
    if cleanup.keep.is_none() && cleanup.older_than.is_none() && cleanup.matching.is_empty() {
        return Err(unsaid(
            "which tags may go",
            "give --keep NUMBER, --older-than DURATION or --match PATTERN",
        ));
    }
    Ok(Rules {
        keep: cleanup.keep,
        older_than: cleanup.older_than.map(|GoDuration(age)| age),
        wanted: cleanup.matching.clone(),
        excluded: cleanup.exclude.clone(),
    })
}
