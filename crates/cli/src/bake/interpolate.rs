//! `${VARIABLE}` in the values of a Compose file.

use serde_yaml::Value;
use serde_yaml::value::TaggedValue;

/// Looks a variable up; `None` when it is not set.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Puts variables in place in all values; keys stay as they are.
pub(super) fn interpolate(value: &mut Value, lookup: Lookup<'_>) -> Result<(), String> {
    match value {
        Value::String(text) if text.contains('$') => *text = expand(text, lookup)?,
        Value::Sequence(items) => {
            for item in items {
                interpolate(item, lookup)?;
            }
        }
        Value::Mapping(entries) => {
            for (_, item) in entries.iter_mut() {
                interpolate(item, lookup)?;
            }
        }
        Value::Tagged(tagged) => {
            let TaggedValue { tag, .. } = &**tagged;
            return Err(format!("the tag {tag} is not understood here"));
        }
        _ => {}
    }
    Ok(())
}

/// Puts variables in place in one text.
pub(super) fn expand(text: &str, lookup: Lookup<'_>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        out.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let end = closing(after).ok_or_else(|| format!("`${{` without `}}` in `{text}`"))?;
            out.push_str(&braced(&after[..end], lookup)?);
            rest = &after[end + 1..];
        } else {
            let end = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
            if end == 0 || rest.starts_with(|c: char| c.is_ascii_digit()) {
                return Err(format!(
                    "`$` in `{text}` starts no variable; write `$$` for a dollar"
                ));
            }
            out.push_str(&lookup(&rest[..end]).unwrap_or_default());
            rest = &rest[end..];
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Where the brace closes that was opened before `text`.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '{' if before == '$' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
        before = c;
    }
    None
}

/// What stands between braces: a name, and what to do when it is not set.
fn braced(text: &str, lookup: Lookup<'_>) -> Result<String, String> {
    let end = text.find(|c: char| !is_name(c)).unwrap_or(text.len());
    let (name, operation) = text.split_at(end);
    if name.is_empty() {
        return Err(format!("`${{{text}}}` names no variable"));
    }
    let set = lookup(name);
    let (strict, operation) = match operation.strip_prefix(':') {
        Some(rest) => (true, rest),
        None => (false, operation),
    };
    let set = set.filter(|value| !(strict && value.is_empty()));
    let word = operation.get(1..).unwrap_or_default();
    match (operation.chars().next(), set) {
        (None, set) if !strict => Ok(set.unwrap_or_default()),
        (Some('-'), set) => set.map_or_else(|| expand(word, lookup), Ok),
        (Some('+'), set) => set.map_or(Ok(String::new()), |_| expand(word, lookup)),
        (Some('?'), Some(value)) => Ok(value),
        (Some('?'), None) => Err(match word {
            "" => format!("the variable {name} is not set"),
            word => format!("the variable {name} is not set: {word}"),
        }),
        _ => Err(format!("`${{{text}}}` is no way to use a variable")),
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "SET" => Some("value".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn variables_are_put_in_place_as_a_shell_does() {
        let cases = [
            ("a $SET b", "a value b"),
            ("${SET}/x", "value/x"),
            ("${NO}", ""),
            ("$NO", ""),
            ("${NO:-d}", "d"),
            ("${EMPTY:-d}", "d"),
            ("${EMPTY-d}", ""),
            ("${NO-d}", "d"),
            ("${NO:-${SET}}", "value"),
            ("${NO:-a${NO:-b}c}", "abc"),
            ("${SET:+yes}", "yes"),
            ("${EMPTY:+yes}", ""),
            ("${EMPTY+yes}", "yes"),
            ("${SET:?must}", "value"),
            ("$$SET ${SET}", "$SET value"),
            ("cost: 5$$", "cost: 5$"),
            ("日本$SET語", "日本value語"),
        ];
        for (text, expected) in cases {
            assert_eq!(expand(text, &lookup).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_variable_is_an_error() {
        let cases = [
            ("${NO:?give it}", "the variable NO is not set: give it"),
            ("${EMPTY:?}", "the variable EMPTY is not set"),
            ("${SET", "`${` without `}` in `${SET`"),
            ("${}", "`${}` names no variable"),
            ("${SET/a/b}", "`${SET/a/b}` is no way to use a variable"),
            (
                "a $ b",
                "`$` in `a $ b` starts no variable; write `$$` for a dollar",
            ),
            (
                "$1",
                "`$` in `$1` starts no variable; write `$$` for a dollar",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(expand(text, &lookup).unwrap_err(), expected, "{text}");
        }
    }
}
