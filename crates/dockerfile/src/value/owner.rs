//! The value of `--chown`: `user[:group]`.

/// A user or a group, by number or by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Id {
    /// A number.
    Number(u32),
    /// A name, to be looked up in the image.
    Name(String),
}

/// Whom copied files are given to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The user; `None` if nothing stands before the colon.
    pub user: Option<Id>,
    /// The group; `None` if there is none.
    pub group: Option<Id>,
}

impl Owner {
    /// Reads an expanded `--chown` value. `root` is number 0; everything that is not a number is a name.
    pub fn parse(text: &str) -> Self {
        match text.split_once(':') {
            Some((user, group)) => Self {
                user: id(user),
                group: id(group),
            },
            None => Self {
                user: id(text),
                group: None,
            },
        }
    }

    /// Whether a name has to be looked up in the image.
    pub fn has_name(&self) -> bool {
        [&self.user, &self.group]
            .into_iter()
            .flatten()
            .any(|id| matches!(id, Id::Name(_)))
    }
}

fn id(text: &str) -> Option<Id> {
    match text {
        "" => None,
        "root" => Some(Id::Number(0)),
        _ => Some(
            text.parse()
                .map_or_else(|_| Id::Name(text.to_owned()), Id::Number),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_split_at_the_colon() {
        for (text, user, group) in [
            ("5", Some(Id::Number(5)), None),
            ("root:7", Some(Id::Number(0)), Some(Id::Number(7))),
            (":7", None, Some(Id::Number(7))),
            ("alice:", Some(Id::Name("alice".into())), None),
            (
                "1a:-1",
                Some(Id::Name("1a".into())),
                Some(Id::Name("-1".into())),
            ),
        ] {
            assert_eq!(Owner::parse(text), Owner { user, group }, "{text}");
        }
        assert!(Owner::parse("0:staff").has_name() && !Owner::parse("root:0").has_name());
    }
}
