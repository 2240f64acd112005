//! `WWW-Authenticate`: what a registry wants to see.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// What a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// User name and password with each request.
    Basic,
    /// A token from a token server.
    Bearer {
        /// URL of the token server.
        realm: String,
        /// The name the registry has there.
        service: Option<String>,
    },
    /// Something else, by its name.
    Unknown(String),
}

/// The best challenge in an answer: Bearer before Basic before what is not known.
pub(crate) fn read(headers: &HeaderMap) -> Option<Challenge> {
    let mut found: Vec<Challenge> = headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(parse)
        .collect();
    found.sort_by_key(|challenge| match challenge {
        Challenge::Bearer { .. } => 0,
        Challenge::Basic => 1,
        Challenge::Unknown(_) => 2,
    });
    found.into_iter().next()
}

/// Reads one header, which may hold several challenges.
fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = header;
    while let Some((word, after)) = token(rest) {
        match parameter(after) {
            Some((value, after)) => {
                if let Some((_, parameters)) = challenges.last_mut() {
                    parameters.push((word.to_ascii_lowercase(), value));
                }
                rest = after;
            }
            None => {
                challenges.push((word.to_owned(), Vec::new()));
                rest = after;
            }
        }
    }
    challenges.into_iter().map(interpret).collect()
}

fn interpret((scheme, parameters): (String, Vec<(String, String)>)) -> Challenge {
    let parameter = |name: &str| {
        parameters
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.clone())
    };
    match (scheme.to_ascii_lowercase().as_str(), parameter("realm")) {
        ("basic", _) => Challenge::Basic,
        ("bearer", Some(realm)) => Challenge::Bearer {
            realm,
            service: parameter("service"),
        },
        _ => Challenge::Unknown(scheme.chars().take(64).collect()),
    }
}

/// A word, after separators.
fn token(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches([' ', '\t', ',', '=', '"']);
    let end = text.find([' ', '\t', ',', '=', '"']).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// `= value` or `= "value"`, if that is what comes next.
fn parameter(text: &str) -> Option<(String, &str)> {
    let text = text.trim_start().strip_prefix('=')?.trim_start();
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    Some((value, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
        }
    }

    #[test]
    fn challenges_are_read_and_the_best_one_is_taken() {
        let cases = [
            ("Basic realm=\"x\"", Some(Challenge::Basic)),
            ("basic", Some(Challenge::Basic)),
            (
                r#"Bearer realm="https://a/token",service="s",scope="repository:a:pull,push""#,
                Some(bearer("https://a/token", Some("s"))),
            ),
            (
                r#"Bearer realm = "a", error="invalid_token""#,
                Some(bearer("a", None)),
            ),
            (
                r#"Basic realm="x", Bearer realm="y",service=z"#,
                Some(bearer("y", Some("z"))),
            ),
            (r#"Bearer realm="a\"b"#, Some(bearer("a\"b", None))),
            (
                "Negotiate",
                Some(Challenge::Unknown("Negotiate".to_owned())),
            ),
            (
                "Bearer service=\"x\"",
                Some(Challenge::Unknown("Bearer".to_owned())),
            ),
            ("", None),
            (",,=\"", None),
        ];
        for (header, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(WWW_AUTHENTICATE, header.parse().unwrap());
            assert_eq!(read(&headers), expected, "{header}");
        }
    }

    #[test]
    fn several_headers_count_as_one() {
        let mut headers = HeaderMap::new();
        headers.append(WWW_AUTHENTICATE, "Basic".parse().unwrap());
        headers.append(WWW_AUTHENTICATE, "Bearer realm=r".parse().unwrap());
        assert_eq!(read(&headers), Some(bearer("r", None)));
    }
}
