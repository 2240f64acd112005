//! Which tags stay: a decision from names, digests and ages alone.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use yadokari_dockerfile::glob;
use yadokari_image::Digest;

/// What the user wants to keep, and what may go.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    /// So many of the newest stay.
    pub(super) keep: Option<usize>,
    /// What is younger stays.
    pub(super) older_than: Option<Duration>,
    /// Only these may go; all may where there is no pattern.
    pub(super) wanted: Vec<String>,
    /// These stay.
    pub(super) excluded: Vec<String>,
}

/// A tag and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) name: String,
    pub(super) digest: Digest,
    /// When the image was made; none where it does not say, or has its times pinned.
    pub(super) made: Option<SystemTime>,
    /// Bytes of its layers and configs.
    pub(super) size: u64,
    /// Documents that it cannot do without, its own included.
    pub(super) needs: BTreeSet<Digest>,
}

/// What becomes of a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Remove,
    Keep(Reason),
}

/// Why a tag stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    /// No `--match` fits.
    NotMatched,
    /// An `--exclude` fits.
    Excluded,
    /// It is `latest`, which goes only when it is named.
    Latest,
    /// Its age is not known, and the rules ask for it.
    Ageless,
    /// It is one of the newest.
    Newest,
    /// It is too young.
    Young,
}

impl Reason {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::NotMatched => "not matched",
            Self::Excluded => "excluded",
            Self::Latest => "latest",
            Self::Ageless => "of unknown age",
            Self::Newest => "among the newest",
            Self::Young => "too young",
        }
    }
}

/// Decides about every tag, in the order of `tags`.
pub(super) fn judge(tags: &[Tag], rules: &Rules, now: SystemTime) -> Vec<Verdict> {
    let mut verdicts: Vec<_> = tags.iter().map(|tag| by_name(tag, rules)).collect();
    keep_newest(tags, rules, &mut verdicts);
    for (tag, verdict) in tags.iter().zip(&mut verdicts) {
        if *verdict == Verdict::Remove && is_young(tag, rules, now) {
            *verdict = Verdict::Keep(Reason::Young);
        }
    }
    verdicts
}

fn by_name(tag: &Tag, rules: &Rules) -> Verdict {
    let fits = |pattern: &String| glob::matches(pattern, tag.name.as_bytes()) == Ok(true);
    let asks_for_age = rules.keep.is_some_and(|keep| keep > 0) || rules.older_than.is_some();
    if !rules.wanted.is_empty() && !rules.wanted.iter().any(fits) {
        Verdict::Keep(Reason::NotMatched)
    } else if rules.excluded.iter().any(fits) {
        Verdict::Keep(Reason::Excluded)
    } else if tag.name == "latest" && !rules.wanted.iter().any(|pattern| pattern == "latest") {
        Verdict::Keep(Reason::Latest)
    } else if asks_for_age && tag.made.is_none() {
        Verdict::Keep(Reason::Ageless)
    } else {
        Verdict::Remove
    }
}

/// Of what may go the newest stay; of two that are equally old, the one whose name comes last.
fn keep_newest(tags: &[Tag], rules: &Rules, verdicts: &mut [Verdict]) {
    let candidates = (0..tags.len()).filter(|place| verdicts[*place] == Verdict::Remove);
    let mut candidates: Vec<_> = candidates.collect();
    candidates.sort_by_key(|place| {
        let tag = &tags[*place];
        std::cmp::Reverse((tag.made, &tag.name))
    });
    for place in candidates.into_iter().take(rules.keep.unwrap_or_default()) {
        verdicts[place] = Verdict::Keep(Reason::Newest);
    }
}

fn is_young(tag: &Tag, rules: &Rules, now: SystemTime) -> bool {
    let Some((limit, made)) = rules.older_than.zip(tag.made) else {
        return false;
    };
    // What was made in the future is as young as can be.
    now.duration_since(made).unwrap_or_default() < limit
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + 1000 * DAY
    }

    fn tag(name: &str, days: Option<u32>) -> Tag {
        let digest = Digest::of(name.as_bytes());
        Tag {
            name: name.to_owned(),
            digest,
            made: days.map(|days| now() - days * DAY),
            size: 0,
            needs: [digest].into(),
        }
    }

    fn patterns(patterns: &[&str]) -> Vec<String> {
        patterns.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn what_goes_follows_from_every_rule() {
        let tags = [
            tag("latest", Some(50)),
            tag("v1.0", Some(40)),
            tag("v1.1", Some(30)),
            tag("v2.0", Some(20)),
            tag("main-aa", Some(10)),
            tag("main-bb", Some(1)),
            tag("pinned", None),
        ];
        let rules = |keep, days: Option<u32>, wanted: &[&str], excluded: &[&str]| Rules {
            keep,
            older_than: days.map(|days| days * DAY),
            wanted: patterns(wanted),
            excluded: patterns(excluded),
        };
        let table: [(Rules, &[&str]); 9] = [
            (rules(Some(2), None, &[], &[]), &["v1.0", "v1.1", "v2.0"]),
            (
                rules(Some(0), None, &["main-*"], &[]),
                &["main-aa", "main-bb"],
            ),
            (rules(None, Some(25), &[], &[]), &["v1.0", "v1.1"]),
            (rules(Some(1), Some(15), &["v*"], &[]), &["v1.0", "v1.1"]),
            (rules(Some(2), None, &["v[0-9]*"], &["v1.0"]), &[]),
            (rules(Some(1), None, &["v[0-9]*"], &["v1.0"]), &["v1.1"]),
            (rules(None, None, &["pinned"], &[]), &["pinned"]),
            (rules(None, Some(1000), &[], &[]), &[]),
            (rules(None, Some(45), &["latest", "v*"], &[]), &["latest"]),
        ];
        for (rules, expected) in table {
            let verdicts = judge(&tags, &rules, now());
            let removed = tags.iter().zip(verdicts);
            let removed = removed.filter(|(_, verdict)| *verdict == Verdict::Remove);
            let names: Vec<_> = removed.map(|(tag, _)| tag.name.as_str()).collect();
            assert_eq!(names, expected, "{rules:?}");
        }
    }

    #[test]
    fn a_tag_from_the_future_is_young() {
        let tomorrow = Tag {
            made: Some(now() + DAY),
            ..tag("x", None)
        };
        let rules = Rules {
            older_than: Some(Duration::from_secs(1)),
            ..Rules::default()
        };
        assert_eq!(
            judge(&[tomorrow], &rules, now()),
            [Verdict::Keep(Reason::Young)]
        );
    }
}
