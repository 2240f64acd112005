//! By what a server knows a version of a file again.

use reqwest::header::{
    DATE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH, LAST_MODIFIED,
};
use yadokari_tree::Timestamp;

use crate::text::http_date;

/// By what a server knows a version of a file again, as it sent it.
///
/// Only a strong entity tag says that the bytes are the same. Dates do not: servers answer "not modified" to one for any
/// file that is older, such as one that was rolled back, and two files of one second have the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    /// `ETag`, if it is a strong one and the file was not just being changed when it was sent.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub last_modified: Option<String>,
}

impl Validators {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let etag = text(headers, ETAG);
        Self {
            etag: etag.filter(|tag| is_strong(tag) && is_settled(headers)),
            last_modified: text(headers, LAST_MODIFIED),
        }
    }

    /// Whether a server can be asked if its file is still this version.
    #[must_use]
    pub fn can_be_asked_about(&self) -> bool {
        !self.condition().is_empty()
    }

    /// The time in `Last-Modified`.
    #[must_use]
    pub fn time(&self) -> Option<Timestamp> {
        self.last_modified.as_deref().and_then(http_date)
    }

    /// The header of a request that asks for the file unless it is this version; none if that cannot be asked.
    pub(super) fn condition(&self) -> HeaderMap {
        let tag = self.etag.as_deref().filter(|tag| is_strong(tag));
        let value = tag.and_then(|tag| HeaderValue::from_str(tag).ok());
        value
            .map(|value| (IF_NONE_MATCH, value))
            .into_iter()
            .collect()
    }

    /// Whether an answer that says "not modified" is about this version: it may name another, or call the tag weak.
    pub(super) fn are_meant_by(&self, headers: &HeaderMap) -> bool {
        text(headers, ETAG).is_none_or(|tag| Some(tag) == self.etag)
    }
}

/// Whether equal tags mean equal bytes: <https://www.rfc-editor.org/rfc/rfc9110#section-8.8.1>.
fn is_strong(tag: &str) -> bool {
    tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"')
}

/// Whether the file's last change is long enough ago that another one would show in its date.
///
/// Many servers make tags of dates in seconds and sizes: a file that changes twice within one second may keep its tag.
fn is_settled(headers: &HeaderMap) -> bool {
    let seconds = |name| Some(http_date(&text(headers, name)?)?.seconds);
    match (seconds(LAST_MODIFIED), seconds(DATE)) {
        (Some(changed), Some(now)) => changed < now.saturating_sub(1),
        _ => true,
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(HeaderName, &'static str)]) -> HeaderMap {
        let all = all.iter().cloned();
        all.map(|(name, value)| (name, HeaderValue::from_static(value)))
            .collect()
    }

    const EARLY: &str = "Wed, 21 Oct 2015 07:28:00 GMT";
    const NEXT: &str = "Wed, 21 Oct 2015 07:28:01 GMT";
    const LATE: &str = "Wed, 21 Oct 2015 07:28:02 GMT";

    #[test]
    fn only_a_strong_tag_of_a_settled_file_is_asked_with() {
        let tag = (ETAG, "\"x\"");
        for (sent, is_asked) in [
            (vec![tag.clone()], true),
            (vec![tag.clone(), (LAST_MODIFIED, EARLY)], true),
            (
                vec![tag.clone(), (LAST_MODIFIED, EARLY), (DATE, LATE)],
                true,
            ),
            (
                vec![tag.clone(), (LAST_MODIFIED, EARLY), (DATE, NEXT)],
                false,
            ),
            (
                vec![tag.clone(), (LAST_MODIFIED, LATE), (DATE, EARLY)],
                false,
            ),
            (vec![tag.clone(), (DATE, EARLY)], true),
            (vec![tag, (LAST_MODIFIED, "no date"), (DATE, EARLY)], true),
            (vec![(ETAG, "W/\"x\"")], false),
            (vec![(ETAG, "x")], false),
            (vec![(ETAG, "\"\"")], false),
            (vec![(LAST_MODIFIED, EARLY), (DATE, LATE)], false),
            (vec![], false),
        ] {
            let known = Validators::of(&headers(&sent));
            assert_eq!(known.can_be_asked_about(), is_asked, "{sent:?}");
            let condition = known.condition();
            assert_eq!(condition.len(), usize::from(is_asked), "{sent:?}");
            assert_eq!(condition.contains_key(IF_NONE_MATCH), is_asked, "{sent:?}");
        }
    }

    #[test]
    fn what_another_program_noted_is_checked_again() {
        for etag in ["W/\"x\"", "x", "\"x\n\"", ""] {
            let known = Validators {
                etag: Some(etag.to_owned()),
                last_modified: Some(EARLY.to_owned()),
            };
            assert!(!known.can_be_asked_about(), "{etag:?}");
        }
    }

    #[test]
    fn an_answer_about_another_version_is_none_about_this() {
        let known = Validators::of(&headers(&[(ETAG, "\"x\"")]));
        for (tag, expected) in [("\"x\"", true), ("W/\"x\"", false), ("\"y\"", false)] {
            assert_eq!(
                known.are_meant_by(&headers(&[(ETAG, tag)])),
                expected,
                "{tag}"
            );
        }
        assert!(known.are_meant_by(&HeaderMap::new()));
    }
}
