//! Tokens that say what they are by how they begin.

use std::borrow::Cow;

use super::HIDDEN;

/// How tokens of well-known services begin.
const BEGINNINGS: [&str; 27] = [
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "gldt-",
    "glcbt-",
    "glrt-",
    "glptt-",
    "AKIA",
    "ASIA",
    "eyJ",
    "xoxb-",
    "xoxp-",
    "xapp-",
    "npm_",
    "pypi-AgE",
    "dckr_pat_",
    "hf_",
    "sk-proj-",
    "sk-ant-",
    "sk_live_",
    "AIza",
    "ya29.",
    "hvs.",
];

/// So many letters follow at least; fewer are an ordinary word.
const FEWEST: usize = 16;

/// How a private key begins, after its kind.
const PRIVATE_KEY: &str = "PRIVATE KEY-----";

/// The text with what follows such a beginning hidden.
pub(super) fn without(text: &str) -> Cow<'_, str> {
    if let Some((before, _)) = text.split_once(PRIVATE_KEY) {
        return Cow::Owned(format!("{}{PRIVATE_KEY}{HIDDEN}", without(before)));
    }
    let mut shown = String::new();
    let mut left = text;
    while !left.is_empty() {
        let (word, rest) = super::cut(left, |c| !is_of_token(c));
        shown.push_str(&short(word));
        let signs = rest.find(is_of_token).unwrap_or(rest.len());
        shown.push_str(&rest[..signs]);
        left = &rest[signs..];
    }
    match shown == text {
        true => Cow::Borrowed(text),
        false => Cow::Owned(shown),
    }
}

fn is_of_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-.".contains(c)
}

/// A word, or the beginning of a token.
fn short(word: &str) -> Cow<'_, str> {
    let mut known = BEGINNINGS.iter();
    let found = known.find(|beginning| {
        let secret = word.strip_prefix(**beginning);
        secret.is_some_and(|secret| secret.len() >= FEWEST && has_digit(secret))
    });
    found.map_or(Cow::Borrowed(word), |beginning| {
        Cow::Owned(format!("{beginning}{HIDDEN}"))
    })
}

/// Tokens have digits in them; long names mostly have not.
fn has_digit(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_digit())
}
