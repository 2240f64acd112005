//! Names of what is secret.

/// Whether a variable, a parameter or a setting of this name looks as if its value were a secret.
///
/// Case does not count, nor how the words in the name are parted.
///
/// ```
/// use yadokari_dockerfile::secret::is_secret_name;
///
/// assert!(is_secret_name("dbPassword") && is_secret_name("DB_PASS") && is_secret_name("GITHUB_PAT"));
/// assert!(!is_secret_name("PATH") && !is_secret_name("AUTHORS") && !is_secret_name("KEYBOARD"));
/// ```
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    let words = words(name);
    let has = |all: &[&str]| words.iter().any(|word| all.contains(&word.as_str()));
    // An author is one who is named, and no authorization.
    let joined = words.concat();
    let joined = joined
        .replace("authorization", "credential")
        .replace("author", "");
    ANYWHERE.iter().any(|part| joined.contains(part)) || (has(&WORDS) && !has(&HARMLESS))
}

/// Parts of names that give a secret away wherever they stand.
const ANYWHERE: [&str; 12] = [
    "pass",
    "pword",
    "pwd",
    "secret",
    "token",
    "credential",
    "auth",
    "apikey",
    "accesskey",
    "privatekey",
    "signature",
    "cookie",
];

/// Words that do so where they stand alone.
const WORDS: [&str; 10] = [
    "key", "keys", "pat", "sig", "sas", "jwt", "hmac", "pin", "otp", "creds",
];

/// Words that say that a key is none.
const HARMLESS: [&str; 3] = ["public", "pub", "cache"];

/// The words of a name in small letters: parted by signs, and by large letters after small ones.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_small = false;
    for c in name.chars() {
        let begins = !c.is_alphanumeric() || (was_small && c.is_uppercase());
        if begins {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
        was_small = c.is_lowercase() || c.is_numeric();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_told_however_they_are_written() {
        for (names, expected) in [
            (
                "DB_PASS GITHUB_PAT PASSPHRASE ACCESSTOKEN dbPassword SECRET_KEY_FILE NPM_TOKEN \
                 API_KEY apikey ApiKey AWS_SECRET_ACCESS_KEY SIGNING_KEY X-Amz-Signature \
                 X-Amz-Credential X-Amz-Security-Token X-Goog-Signature sig key auth AUTHORIZATION \
                 _authToken PGPASSWORD MYSQL_PWD HTTP_BASIC_AUTH oauth2 private-token jwt \
                 GOOGLE_APPLICATION_CREDENTIALS SSH_KEYS",
                true,
            ),
            (
                "PATH VERSION NODE_VERSION AUTHOR AUTHORS KEYBOARD MONKEY PUBLIC_KEY pub_key CACHE_KEY \
                 PATTERN pattern SIGNAL PINNED X-Amz-Date sv se HOME http_proxy",
                false,
            ),
        ] {
            for name in names.split_whitespace() {
                assert_eq!(is_secret_name(name), expected, "{name}");
            }
        }
        assert!(!is_secret_name(""));
    }
}
