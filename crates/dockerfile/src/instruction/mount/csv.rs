//! One record of comma-separated values, as `--mount` is read.

use super::MountError;

/// Splits a record into its fields; a field may be quoted, with doubled quotes inside.
pub(super) fn fields(text: &str) -> Result<Vec<String>, MountError> {
    let text = text
        .split('\n')
        .find(|line| !line.trim_end_matches('\r').is_empty())
        .ok_or(MountError::Empty)?;
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let column = text.len() - rest.len();
        let (field, tail) = match rest.strip_prefix('"') {
            Some(inner) => quoted(inner, column + 1)?,
            None => plain(rest, column)?,
        };
        fields.push(field);
        match tail {
            Some(tail) => rest = tail,
            None => return Ok(fields),
        }
    }
}

type Field<'a> = (String, Option<&'a str>);

fn plain(rest: &str, column: usize) -> Result<Field<'_>, MountError> {
    let (field, tail) = match rest.split_once(',') {
        Some((field, tail)) => (field, Some(tail)),
        None => (rest, None),
    };
    match field.find('"') {
        Some(at) => Err(MountError::Csv {
            column: column + at + 1,
            problem: "bare \" in non-quoted-field",
        }),
        None => Ok((field.to_owned(), tail)),
    }
}

fn quoted(inner: &str, column: usize) -> Result<Field<'_>, MountError> {
    let mut field = String::new();
    let mut rest = inner;
    loop {
        let Some(at) = rest.find('"') else {
            let column = column + inner.len() + 1;
            return Err(MountError::Csv {
                column,
                problem: "extraneous or missing \" in quoted-field",
            });
        };
        field.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(tail) = rest.strip_prefix('"') {
            field.push('"');
            rest = tail;
        } else if rest.is_empty() {
            return Ok((field, None));
        } else if let Some(tail) = rest.strip_prefix(',') {
            return Ok((field, Some(tail)));
        } else {
            let column = column + (inner.len() - rest.len());
            return Err(MountError::Csv {
                column,
                problem: "extraneous or missing \" in quoted-field",
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_split_at_commas() {
        for (text, expected) in [
            ("a,b=c", vec!["a", "b=c"]),
            ("a,", vec!["a", ""]),
            ("\"a,\"\"b\",c", vec!["a,\"b", "c"]),
            ("a b", vec!["a b"]),
        ] {
            assert_eq!(fields(text).unwrap(), expected);
        }
        for text in ["", "a\"", "\"a", "\"a\"b"] {
            assert!(fields(text).is_err(), "{text}");
        }
    }
}
