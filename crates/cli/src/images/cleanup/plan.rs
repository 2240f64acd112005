//! Which documents go with the tags that go: never one that a tag needs which stays.

use std::collections::BTreeSet;

use yadokari_image::Digest;

use super::Judged;
use crate::images::referrers::subject_of;

/// What is to be removed, in this order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Tags that go, by name.
    pub(super) tags: Vec<String>,
    /// Tags of these whose document stays, since others need it: the name alone goes.
    pub(super) names_only: Vec<String>,
    /// Documents that go, indexes before what they list.
    pub(super) documents: Vec<Digest>,
    /// Tags that were made from the digests of documents that go.
    pub(super) of_digests: Vec<String>,
}

impl Plan {
    /// `of_digests` are the repository's tags that were made from digests: they go with their documents.
    pub(super) fn new(judged: &Judged, of_digests: &[String]) -> Self {
        let needed = needed(judged);
        let mut plan = Self::default();
        let mut going = BTreeSet::new();
        for tag in judged.removed() {
            plan.tags.push(tag.name.clone());
            if needed.contains(&tag.digest) {
                plan.names_only.push(tag.name.clone());
            } else if going.insert(tag.digest) {
                plan.documents.push(tag.digest);
            }
        }
        for tag in judged.removed() {
            let below = tag.needs.iter().filter(|digest| !needed.contains(*digest));
            let below = below.filter(|digest| going.insert(**digest));
            plan.documents.extend(below.copied().collect::<Vec<_>>());
        }
        let goes = |tag: &&String| subject_of(tag).is_some_and(|subject| going.contains(&subject));
        plan.of_digests = of_digests.iter().filter(goes).cloned().collect();
        plan
    }
}

/// What tags need that stay, and what that needs in turn.
fn needed(judged: &Judged) -> BTreeSet<Digest> {
    let kept = judged.kept().flat_map(|tag| tag.needs.iter().copied());
    let mut needed: BTreeSet<Digest> = kept.collect();
    loop {
        let known = needed.len();
        for tag in judged.removed() {
            if needed.contains(&tag.digest) {
                needed.extend(&tag.needs);
            }
        }
        if needed.len() == known {
            return needed;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use yadokari_registry::referrers_tag;

    use super::super::rules::{Reason, Tag, Verdict};
    use super::*;

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    fn judged(tags: &[(&str, &str, &[&str], bool)]) -> Judged {
        let verdict = |stays: bool| match stays {
            true => Verdict::Keep(Reason::Newest),
            false => Verdict::Remove,
        };
        Judged {
            verdicts: tags.iter().map(|(.., stays)| verdict(*stays)).collect(),
            tags: tags
                .iter()
                .map(|(name, document, below, _)| Tag {
                    name: (*name).to_owned(),
                    digest: digest(document),
                    made: None,
                    size: 0,
                    needs: below
                        .iter()
                        .chain([document])
                        .map(|name| digest(name))
                        .collect(),
                })
                .collect(),
            dry: false,
            now: SystemTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn what_a_tag_needs_that_stays_is_never_removed() {
        let signature = format!("{}.sig", referrers_tag(digest("old")));
        let kept_list = referrers_tag(digest("amd"));
        let judged = judged(&[
            ("old", "old", &["amd", "arm"], false),
            ("older", "old", &["amd", "arm"], false),
            ("same", "new", &["amd"], false),
            ("new", "new", &["amd"], true),
            ("sbom", "sbom", &["subject"], true),
            ("subject", "subject", &[], false),
        ]);
        let plan = Plan::new(&judged, &[signature.clone(), kept_list]);
        assert_eq!(plan.tags, ["old", "older", "same", "subject"]);
        assert_eq!(plan.names_only, ["same", "subject"]);
        assert_eq!(plan.documents, [digest("old"), digest("arm")]);
        assert_eq!(plan.of_digests, [signature]);
    }

    #[test]
    fn what_stays_for_another_keeps_what_it_lists() {
        let judged = judged(&[
            ("signature", "signature", &["list"], true),
            ("list", "list", &["amd", "arm"], false),
            ("amd", "amd", &[], false),
        ]);
        let plan = Plan::new(&judged, &[]);
        assert_eq!(plan.names_only, ["list", "amd"]);
        assert_eq!(plan.documents, []);
    }

    #[test]
    fn where_nothing_goes_there_is_nothing_to_do() {
        let judged = judged(&[("a", "a", &[], true)]);
        let orphan = referrers_tag(digest("gone"));
        assert_eq!(Plan::new(&judged, &[orphan]), Plan::default());
    }
}
