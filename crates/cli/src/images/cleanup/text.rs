//! What `cleanup` tells.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::rules::{Reason, Verdict};
use super::{Judged, Plan};
use crate::amount::{age, bytes, counted};

/// The tags that go, and how many stay for which reason.
pub(super) fn table(judged: &Judged, plan: &Plan) -> String {
    let mut text = String::new();
    let going: Vec<_> = judged.removed().collect();
    let longest = going.iter().map(|tag| tag.name.len()).max();
    if let Some(width) = longest.map(|longest| longest.max(3)) {
        let _ = writeln!(
            text,
            "{:<width$}  {:<12}  {:>9}  {:>8}",
            "TAG", "DIGEST", "SIZE", "AGE"
        );
        for tag in going {
            let digest: String = tag.digest.hex().chars().take(12).collect();
            let (size, age) = (bytes(tag.size), age(tag.made, judged.now));
            let _ = writeln!(text, "{:<width$}  {digest}  {size:>9}  {age:>8}", tag.name);
        }
    }
    let verb = if judged.dry {
        "would remove"
    } else {
        "removed"
    };
    let _ = writeln!(
        text,
        "{verb} {} of {} and {}{}",
        plan.tags.len(),
        counted(judged.tags.len(), "tag", "tags"),
        counted(plan.documents.len(), "image", "images"),
        kept(judged)
    );
    if judged.dry && !plan.tags.is_empty() {
        text.push_str("nothing is removed without --dry-run=false\n");
    }
    text
}

/// How many tags stay, by reason.
fn kept(judged: &Judged) -> String {
    let mut counts: BTreeMap<Reason, usize> = BTreeMap::new();
    for verdict in &judged.verdicts {
        if let Verdict::Keep(reason) = verdict {
            *counts.entry(*reason).or_default() += 1;
        }
    }
    let counts = counts.iter();
    let counts: Vec<_> = counts
        .map(|(reason, count)| format!("{count} {}", reason.text()))
        .collect();
    match counts.is_empty() {
        true => String::new(),
        false => format!("; kept: {}", counts.join(", ")),
    }
}

/// Every tag with what becomes of it, for machines.
pub(super) fn json(judged: &Judged, plan: &Plan) -> Value {
    let tag = |(tag, verdict): (&super::Tag, &Verdict)| {
        let made = tag
            .made
            .map(|made| humantime::format_rfc3339_seconds(made).to_string());
        let kept = match verdict {
            Verdict::Remove => None,
            Verdict::Keep(reason) => Some(reason.text()),
        };
        json!({
            "tag": tag.name,
            "digest": tag.digest.to_string(),
            "bytes": tag.size,
            "made": made,
            "kept": kept,
        })
    };
    let documents = plan.documents.iter().map(ToString::to_string);
    json!({
        "dry_run": judged.dry,
        "tags": judged.tags.iter().zip(&judged.verdicts).map(tag).collect::<Vec<_>>(),
        "removed_tags": plan.tags,
        "removed_digests": documents.collect::<Vec<_>>(),
    })
}
