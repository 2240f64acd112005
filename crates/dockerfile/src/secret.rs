//! What may be a secret in a text that is about to be repeated: in a log, a step's name, a record of a cache.
//!
//! This only decides what is shown and kept. It errs towards hiding: a value that is hidden for nothing costs a line in an
//! explanation. [`crate::lint::predicate::looks_secret`] decides what people are warned of, and errs the other way.

mod name;
mod token;

use std::borrow::Cow;

pub use name::is_secret_name;

/// The text without what looks like a secret in it: users and passwords of URLs, parameters of theirs that sign or
/// authorize, and tokens that say what they are.
///
/// A reference to a variable stays, since it tells nothing.
///
/// ```
/// use yadokari_dockerfile::secret::redacted;
///
/// assert_eq!(redacted("ADD https://me:pw@h/f?sig=1&x=2 /"), "ADD https://xxxxx:xxxxx@h/f?sig=xxxxx&x=2 /");
/// assert_eq!(redacted("ADD https://ci:$TOKEN@h/f /"), "ADD https://xxxxx:$TOKEN@h/f /");
/// ```
#[must_use]
pub fn redacted(text: &str) -> Cow<'_, str> {
    let mut left = text;
    let mut shown = String::new();
    while let Some((before, rest)) = left.split_once("://") {
        let (authority, rest) = cut(rest, |c| ends_url(c) || "/?#".contains(c));
        let (path, rest) = cut(rest, |c| ends_url(c) || c == '?');
        let (query, rest) = cut(rest, ends_url);
        let scheme = before.rsplit(|c: char| !c.is_ascii_alphanumeric()).next();
        shown.push_str(&token::without(before));
        shown.push_str("://");
        shown.push_str(&without_user(authority, scheme.unwrap_or_default()));
        shown.push_str(&token::without(path));
        shown.push_str(&without_parameters(query));
        left = rest;
    }
    shown.push_str(&token::without(left));
    match shown == text {
        true => Cow::Borrowed(text),
        false => Cow::Owned(shown),
    }
}

/// Whether a value looks as if it held a secret: what [`redacted`] takes out, a password in a list of settings such as
/// `Server=db;Password=…`, or one before the name of a host.
///
/// ```
/// use yadokari_dockerfile::secret::holds_secret;
///
/// assert!(holds_secret("Server=db;Password=x"));
/// assert!(holds_secret("postgres:me:pw@db"));
/// assert!(!holds_secret("registry.example/app:1.2@sha256:0123"));
/// ```
#[must_use]
pub fn holds_secret(value: &str) -> bool {
    redacted(value) != value || has_secret_setting(value) || has_password_of_host(value)
}

/// What stands in place of a secret.
const HIDDEN: &str = "xxxxx";

fn ends_url(c: char) -> bool {
    c.is_whitespace() || "\"'`<>|\\".contains(c)
}

/// The text up to a character, and from it on.
fn cut(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

fn without_user(authority: &str, scheme: &str) -> String {
    let Some((user, host)) = authority.rsplit_once('@') else {
        return authority.to_owned();
    };
    let user = match user.split_once(':') {
        Some((name, password)) => format!("{}:{}", hidden(name), hidden(password)),
        // A key is asked for with that name; elsewhere it may be a token.
        None if scheme.eq_ignore_ascii_case("ssh") => user.to_owned(),
        None => hidden(user).to_owned(),
    };
    format!("{user}@{host}")
}

fn without_parameters(query: &str) -> String {
    let parameters = query.split('&').map(|parameter| {
        let Some((name, value)) = parameter.split_once('=') else {
            return token::without(parameter).into_owned();
        };
        match is_secret_name(name) {
            true => format!("{name}={}", hidden(value)),
            false => format!("{name}={}", token::without(value)),
        }
    });
    parameters.collect::<Vec<_>>().join("&")
}

/// What is shown in place of a secret: nothing and a reference to a variable are none.
fn hidden(secret: &str) -> &str {
    match secret.is_empty() || is_reference(secret) {
        true => secret,
        false => HIDDEN,
    }
}

fn is_reference(text: &str) -> bool {
    let is_name = |name: &str| {
        let mut letters = name.chars();
        !name.is_empty() && letters.all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let Some(name) = text.strip_prefix('$') else {
        return false;
    };
    let inner = name
        .strip_prefix('{')
        .and_then(|name| name.strip_suffix('}'));
    is_name(inner.unwrap_or(name))
}

fn has_secret_setting(value: &str) -> bool {
    let mut settings = value.split(|c: char| c.is_whitespace() || ";,&?".contains(c));
    settings.any(|setting| {
        let pair = setting.split_once('=');
        pair.is_some_and(|(name, value)| is_secret_name(name) && hidden(value) == HIDDEN)
    })
}

/// Whether something like `user:password@host` is in it; `name:tag@sha256:…` is not.
fn has_password_of_host(value: &str) -> bool {
    let mut words = value.split(|c: char| c.is_whitespace() || "/\"'".contains(c));
    words.any(|word| {
        let Some((user, host)) = word.rsplit_once('@') else {
            return false;
        };
        let password = user.split_once(':').map_or("", |(_, password)| password);
        let is_digest = host.starts_with("sha256:") || host.starts_with("sha512:");
        !is_digest && hidden(password) == HIDDEN
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_in_a_url_is_taken_out() {
        for (text, expected) in [
            ("https://h/f", "https://h/f"),
            ("https://me:pw@h/f", "https://xxxxx:xxxxx@h/f"),
            ("https://token@h/f", "https://xxxxx@h/f"),
            ("https://me:p@w@h", "https://xxxxx:xxxxx@h"),
            ("https://$USER:${PW}@h", "https://$USER:${PW}@h"),
            ("https://me:$1-x@h", "https://xxxxx:xxxxx@h"),
            ("https://:pw@h", "https://:xxxxx@h"),
            ("ssh://git@h/r.git", "ssh://git@h/r.git"),
            ("ssh://git:pw@h/r.git", "ssh://xxxxx:xxxxx@h/r.git"),
            ("git@h:r.git", "git@h:r.git"),
            ("https://h/@scope/f", "https://h/@scope/f"),
            (
                "https://s3/f?X-Amz-Date=1&X-Amz-Signature=2&X-Amz-Credential=3",
                "https://s3/f?X-Amz-Date=1&X-Amz-Signature=xxxxx&X-Amz-Credential=xxxxx",
            ),
            (
                "https://az/f?sv=1&sig=2%3D#x",
                "https://az/f?sv=1&sig=xxxxx",
            ),
            (
                "https://h/f?private_token=$T&a",
                "https://h/f?private_token=$T&a",
            ),
            (
                "RUN a 'http://u:p@h/x' http://h/?key=1; echo",
                "RUN a 'http://xxxxx:xxxxx@h/x' http://h/?key=xxxxx echo",
            ),
            ("://@?=&", "://@?=&"),
            ("ä://ö:ü@é?töken=ß", "ä://xxxxx:xxxxx@é?töken=ß"),
        ] {
            assert_eq!(redacted(text), expected);
        }
    }

    #[test]
    fn tokens_are_known_by_how_they_begin() {
        let token = "a1B2".repeat(6);
        for prefix in [
            "ghp_",
            "github_pat_",
            "glpat-",
            "AKIA",
            "eyJ",
            "xoxb-",
            "npm_",
        ] {
            let text = format!("RUN curl -H 'X: {prefix}{token}' h");
            assert_eq!(redacted(&text), format!("RUN curl -H 'X: {prefix}xxxxx' h"));
            assert!(holds_secret(&format!("{prefix}{token}")));
            assert!(!holds_secret(&format!("{prefix}x")), "too short");
            assert!(!holds_secret(&format!("my{prefix}{token}")), "in a word");
        }
    }

    #[test]
    fn values_with_passwords_in_them_are_told_from_others() {
        for (value, expected) in [
            ("1.0", false),
            ("Server=db;Password=hunter2", true),
            ("Server=db;Pwd=hunter2;", true),
            ("host=db user=me password=hunter2", true),
            ("//r/:_authToken=hunter2", true),
            ("postgres:me:hunter2@db", true),
            ("https://s3/f?X-Amz-Signature=hunter2", true),
            ("a.example b:pw@c.example", true),
            ("name:tag@sha256:abc", false),
            ("registry.example:5000/name:tag", false),
            ("git@h:path", false),
            ("me@example.org", false),
            ("-O2 -DNAME=value", false),
            ("password=", false),
            ("password=$PW", false),
            ("-----BEGIN RSA PRIVATE KEY-----\nabc", true),
            ("-----BEGIN CERTIFICATE-----\nabc", false),
            ("", false),
        ] {
            assert_eq!(holds_secret(value), expected, "{value}");
        }
    }
}
