//! "Did you mean": the nearest of some known names.

/// Finds the option nearest to `value`, if one is at most two edits away.
///
/// Nothing is suggested when an option equals the value: then the value was not the problem. Among equally
/// near options the first wins.
pub fn nearest<'a>(value: &str, options: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut best = None;
    let mut limit = 3;
    for option in options {
        if option == value {
            return None;
        }
        let distance = distance(value, option);
        if distance < limit {
            limit = distance;
            best = Some(option);
        }
    }
    best
}

/// Like [`nearest`], ignoring case; the answer takes the case of `value` if that is all upper or all lower.
pub fn nearest_any_case<'a>(
    value: &str,
    options: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let options: Vec<String> = options.into_iter().map(str::to_lowercase).collect();
    let found = nearest(&value.to_lowercase(), options.iter().map(String::as_str))?;
    if value != value.to_lowercase() && value == value.to_uppercase() {
        return Some(found.to_uppercase());
    }
    Some(found.to_owned())
}

/// Counts the single-character insertions, deletions and replacements that turn `a` into `b`.
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Appends a suggestion to a message, if there is one.
pub(crate) fn suffix(suggestion: Option<&str>) -> String {
    suggestion
        .map(|name| format!(" (did you mean {name}?)"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        for (a, b, expected) in [
            ("", "", 0),
            ("abc", "", 3),
            ("chwn", "chown", 1),
            ("EOF", "ENV", 2),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn only_near_names_are_suggested() {
        assert_eq!(nearest("chwn", ["from", "chown"]), Some("chown"));
        assert_eq!(nearest("LINK", ["link"]), None);
        assert_eq!(nearest("link", ["lint", "link"]), None);
        assert_eq!(
            nearest_any_case("RUNN", ["COPY", "RUN"]),
            Some("RUN".to_owned())
        );
        assert_eq!(
            nearest_any_case("coppy", ["COPY", "RUN"]),
            Some("copy".to_owned())
        );
    }
}
