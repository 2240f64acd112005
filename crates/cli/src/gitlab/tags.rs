//! From what a pipeline runs for to tags: a release, a branch, a merge request.

use crate::environment::Environment;

/// What a pipeline runs for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pipeline {
    /// The git tag.
    pub tag: Option<String>,
    /// The number of the merge request.
    pub merge_request: Option<String>,
    /// The branch, in a form that tags can have.
    pub branch: Option<String>,
    /// Whether the branch is the project's default.
    pub is_default: bool,
    /// The commit.
    pub sha: Option<String>,
    /// Its first digits.
    pub short_sha: Option<String>,
}

/// A release's number, as in `v1.2.3` or `1.2.3-rc.1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Major, minor, patch.
    pub numbers: [u64; 3],
    /// What follows `-`.
    pub pre: Option<String>,
    /// What follows `+`.
    pub build: Option<String>,
}

/// Tags are no longer than this.
const LONGEST: usize = 128;

impl Pipeline {
    /// Reads GitLab's variables.
    pub fn of(environment: &Environment) -> Self {
        let text = |name| environment.text(name).map(str::to_owned);
        let branch = text("CI_COMMIT_BRANCH");
        let is_default = branch.is_some() && branch == text("CI_DEFAULT_BRANCH");
        let tag = text("CI_COMMIT_TAG");
        let merge_request = text("CI_MERGE_REQUEST_IID");
        // GitLab's slug is for tags and merge requests too; a branch is neither.
        let has_branch = tag.is_none() && merge_request.is_none();
        let slug = text("CI_COMMIT_REF_SLUG")
            .or_else(|| branch.as_deref().map(slug))
            .filter(|_| has_branch);
        Self {
            tag,
            merge_request,
            branch: slug,
            is_default,
            sha: text("CI_COMMIT_SHA"),
            short_sha: text("CI_COMMIT_SHORT_SHA"),
        }
    }

    /// The release, if the git tag is one.
    pub fn version(&self) -> Option<Version> {
        Version::parse(self.tag.as_deref()?)
    }

    /// The tags of an image: of a release its number, shorter forms of it and `latest`; of a pre-release its number alone; of
    /// another git tag its name; of a merge request `mr-NUMBER`; of a branch its slug, and `latest` too if it is the default.
    pub fn tags(&self) -> Vec<String> {
        if let Some(tag) = &self.tag {
            return match self.version() {
                Some(version) => version.tags(),
                None => vec![sanitized(tag)],
            };
        }
        if let Some(number) = &self.merge_request {
            return vec![format!("mr-{}", sanitized(number))];
        }
        let mut tags: Vec<String> = self.branch.iter().map(|branch| sanitized(branch)).collect();
        tags.extend(self.is_latest().then(|| "latest".to_owned()));
        tags
    }

    /// Whether `latest` means this: a release, or the default branch.
    pub fn is_latest(&self) -> bool {
        match &self.tag {
            Some(_) => self.version().is_some_and(|version| version.pre.is_none()),
            None => self.merge_request.is_none() && self.is_default,
        }
    }
}

impl Version {
    /// Reads a version, with or without `v` in front.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let (text, build) = match text.split_once('+') {
            Some((text, build)) => (text, Some(build)),
            None => (text, None),
        };
        let (numbers, pre) = match text.split_once('-') {
            Some((numbers, pre)) => (numbers, Some(pre)),
            None => (text, None),
        };
        let numbers: Vec<u64> = numbers.split('.').map(number).collect::<Option<_>>()?;
        let is_word = |word: &str| {
            !word.is_empty()
                && word
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
        };
        if [pre, build]
            .into_iter()
            .flatten()
            .any(|word| !is_word(word))
        {
            return None;
        }
        Some(Self {
            numbers: numbers.try_into().ok()?,
            pre: pre.map(str::to_owned),
            build: build.map(str::to_owned),
        })
    }

    /// The whole of it, as a tag. Tags have no `+`, so build metadata follows a `_`, as in Helm's charts.
    pub fn tag(&self) -> String {
        let [major, minor, patch] = self.numbers;
        let mut out = format!("{major}.{minor}.{patch}");
        for (mark, part) in [('-', &self.pre), ('_', &self.build)] {
            if let Some(part) = part {
                out.push(mark);
                out.push_str(part);
            }
        }
        out
    }

    fn tags(&self) -> Vec<String> {
        let [major, minor, _] = self.numbers;
        let mut tags = vec![self.tag()];
        if self.pre.is_none() {
            tags.push(format!("{major}.{minor}"));
            // Releases before 1.0 promise nothing among each other.
            tags.extend((major > 0).then(|| major.to_string()));
            tags.push("latest".to_owned());
        }
        tags
    }
}

/// A number without leading zeros.
fn number(text: &str) -> Option<u64> {
    let plain = text == "0" || !text.starts_with('0');
    let digits = text.chars().all(|c| c.is_ascii_digit());
    (plain && digits).then(|| text.parse().ok()).flatten()
}

/// A branch's name as GitLab makes a slug of it.
fn slug(branch: &str) -> String {
    let lower = branch.to_lowercase();
    let mapped: String = lower
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(63)
        .collect();
    mapped.trim_matches('-').to_owned()
}

/// A word with only those characters that a tag can have.
fn sanitized(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let mapped: String = text
        .chars()
        .map(|c| if allowed(c) { c } else { '-' })
        .take(LONGEST)
        .collect();
    mapped.trim_start_matches(['.', '-']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(variables: &[(&str, &str)]) -> Vec<String> {
        let environment = Environment::default().with_variables(variables.iter().copied());
        Pipeline::of(&environment).tags()
    }

    #[test]
    fn releases_get_their_number_its_short_forms_and_latest() {
        let cases: [(&str, &[&str]); 9] = [
            ("v1.2.3", &["1.2.3", "1.2", "1", "latest"]),
            ("1.2.3", &["1.2.3", "1.2", "1", "latest"]),
            ("v0.4.0", &["0.4.0", "0.4", "latest"]),
            ("v1.2.3-rc.1", &["1.2.3-rc.1"]),
            ("v1.2.3+g5", &["1.2.3_g5", "1.2", "1", "latest"]),
            ("v1.2", &["v1.2"]),
            ("v01.2.3", &["v01.2.3"]),
            ("release/5", &["release-5"]),
            ("v1.2.3-", &["v1.2.3-"]),
        ];
        for (tag, expected) in cases {
            let slug = ("CI_COMMIT_REF_SLUG", "x");
            assert_eq!(tags(&[("CI_COMMIT_TAG", tag), slug]), expected, "{tag}");
        }
    }

    #[test]
    fn branches_get_their_slug_and_the_default_one_latest() {
        let branch = |name| [("CI_COMMIT_BRANCH", name), ("CI_DEFAULT_BRANCH", "main")];
        assert_eq!(tags(&branch("main")), ["main", "latest"]);
        assert_eq!(tags(&branch("Feature/A_b")), ["feature-a-b"]);
        let with_slug = [("CI_COMMIT_BRANCH", "a/b"), ("CI_COMMIT_REF_SLUG", "a-b")];
        assert_eq!(tags(&with_slug), ["a-b"]);
    }

    #[test]
    fn merge_requests_get_their_number() {
        let variables = [
            ("CI_MERGE_REQUEST_IID", "17"),
            ("CI_COMMIT_REF_SLUG", "topic"),
            ("CI_DEFAULT_BRANCH", "main"),
        ];
        assert_eq!(tags(&variables), ["mr-17"]);
    }

    #[test]
    fn outside_a_pipeline_there_are_none() {
        assert!(tags(&[]).is_empty());
    }
}
