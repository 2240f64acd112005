//! One layer for everything a build adds.

use std::sync::Arc;

use yadokari_image::History;
use yadokari_tree::diff;

use crate::error::BuildError;
use crate::stage::StageResult;
use crate::stage::files::StageFiles;
use crate::stage::layers::Layer;
use crate::stage::pack::{self, Label, Sources};
use crate::time::format;
use crate::work::Work;

/// Replaces the layers above the base by one with the same result, and marks the rows that lost theirs.
///
/// The last row that had a layer keeps one; a build that adds none stays as it is.
pub(crate) async fn single_layer(
    work: &Arc<Work>,
    target: &StageResult,
) -> Result<(Vec<Layer>, Vec<History>), BuildError> {
    let mut files = target.files.lock().await;
    let (base, added) = files
        .layers()
        .split_at(target.base_layers.min(files.layers().len()));
    if added.is_empty() {
        return Ok((base.to_vec(), target.rows.to_vec()));
    }
    let mut layers = base.to_vec();
    let before = StageFiles::of_image(layers.clone(), work.roots.path().join("base"))
        .tree(work)
        .await?;
    let (root, after) = files.root(work).await?;
    let label = Label {
        created: format(work.services.clock.now()),
        description: String::new(),
        rewritten: work.clamp().filter(|_| work.request.times.rewrite_layers),
    };
    let changes = Arc::new(diff(&before, &after));
    layers.push(pack::start(work, changes, root, Sources::Settled, label).await?);
    Ok((layers, rows_of_one(target.rows.to_vec(), target.base_rows)))
}

fn rows_of_one(mut rows: Vec<History>, base_rows: usize) -> Vec<History> {
    let last = rows.iter().rposition(|row| !row.empty_layer);
    for (index, row) in rows.iter_mut().enumerate().skip(base_rows) {
        row.empty_layer |= Some(index) != last;
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_row_with_a_layer_keeps_it() {
        let row = |empty_layer| History {
            empty_layer,
            ..History::default()
        };
        let rows = rows_of_one(
            vec![row(false), row(true), row(false), row(false), row(true)],
            1,
        );
        let empty: Vec<bool> = rows.iter().map(|row| row.empty_layer).collect();
        assert_eq!(empty, [false, true, true, false, true]);
    }
}
