//! The history of a stage, on top of the history of the stage it starts from.

use std::fmt;
use std::sync::Arc;

use yadokari_image::History;

/// Rows in their order.
///
/// What is below is shared: where stages stand on each other by the thousands, each row is there once.
#[derive(Default)]
pub(crate) struct Rows {
    below: Option<Arc<Self>>,
    own: Vec<History>,
}

impl Rows {
    /// These rows, and none below.
    pub(crate) fn new(own: Vec<History>) -> Self {
        Self { below: None, own }
    }

    /// No rows but those below.
    pub(crate) fn on_top_of(below: &Arc<Self>) -> Self {
        Self {
            below: Some(Arc::clone(below)),
            own: Vec::new(),
        }
    }

    /// Adds rows at the end.
    pub(crate) fn extend(&mut self, rows: impl IntoIterator<Item = History>) {
        self.own.extend(rows);
    }

    /// All rows, the lowest first.
    pub(crate) fn to_vec(&self) -> Vec<History> {
        let mut parts = vec![&self.own];
        let mut below = &self.below;
        while let Some(rows) = below {
            parts.push(&rows.own);
            below = &rows.below;
        }
        parts.into_iter().rev().flatten().cloned().collect()
    }
}

impl fmt::Debug for Rows {
    /// Only a stage's own rows: below there can be thousands.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.own).finish()
    }
}

impl Drop for Rows {
    /// Ends what is below one after the other: a drop inside a drop takes stack for each stage.
    fn drop(&mut self) {
        let mut next = self.below.take();
        while let Some(mut last) = next.and_then(Arc::into_inner) {
            next = last.below.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str) -> History {
        History {
            created_by: text.to_owned(),
            ..History::default()
        }
    }

    fn texts(rows: &Rows) -> Vec<String> {
        rows.to_vec()
            .into_iter()
            .map(|row| row.created_by)
            .collect()
    }

    #[test]
    fn rows_come_after_those_below_and_do_not_change_them() {
        let base = Arc::new(Rows::new(vec![row("a"), row("b")]));
        let mut upper = Rows::on_top_of(&base);
        upper.extend([row("c")]);
        let mut other = Rows::on_top_of(&base);
        other.extend([row("d")]);
        assert_eq!(texts(&base), ["a", "b"]);
        assert_eq!(texts(&upper), ["a", "b", "c"]);
        assert_eq!(texts(&other), ["a", "b", "d"]);
    }

    #[test]
    fn a_very_long_line_of_stages_is_listed_and_dropped() {
        let mut rows = Arc::new(Rows::default());
        for _ in 0..1_000_000 {
            rows = Arc::new(Rows::on_top_of(&rows));
        }
        assert_eq!(texts(&rows), [""; 0]);
        drop(rows);
    }
}
