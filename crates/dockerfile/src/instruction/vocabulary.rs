//! What the parser knows by name, for pages that list it.

use super::copy::{ADD_FLAGS, COPY_FLAGS};
use super::health::HEALTHCHECK_FLAGS;
use super::run::RUN_FLAGS;
use crate::flags::FlagKind::Text;
use crate::flags::KnownFlag;
use crate::node::KEYWORDS;

/// The keywords of all instructions, in capitals.
pub fn keywords() -> impl Iterator<Item = &'static str> {
    KEYWORDS.into_iter()
}

/// The flags that an instruction takes, without dashes; none for an unknown keyword.
pub fn flags(keyword: &str) -> impl Iterator<Item = &'static str> {
    let known = match keyword {
        "ADD" => ADD_FLAGS,
        "COPY" => COPY_FLAGS,
        "FROM" => FROM_FLAGS,
        "HEALTHCHECK" => HEALTHCHECK_FLAGS,
        "RUN" => RUN_FLAGS,
        _ => &[],
    };
    known.iter().map(|(name, _)| *name)
}

pub(crate) const FROM_FLAGS: &[KnownFlag] = &[("platform", Text)];
