//! Which stages need which.

use std::collections::HashSet;

use yadokari_dockerfile::{Instruction, Located, Span};

use crate::error::{PlanError, PlanErrorKind};
use crate::model::{Source, StageId};
use crate::outline::{Outline, OutlineBase, from_words};

/// Refuses stages that need one another in a circle, wherever in the file they are.
pub(crate) fn refuse_cycles(outline: &Outline<'_>) -> Result<(), PlanError> {
    let mut done = HashSet::new();
    for index in 0..outline.stages.len() {
        visit(outline, StageId(index), &mut Vec::new(), &mut done)?;
    }
    Ok(())
}

fn visit(
    outline: &Outline<'_>,
    id: StageId,
    path: &mut Vec<StageId>,
    done: &mut HashSet<StageId>,
) -> Result<(), PlanError> {
    if done.contains(&id) {
        return Ok(());
    }
    path.push(id);
    for (needed, span) in needs(outline, id) {
        if path.contains(&needed) {
            return Err(PlanErrorKind::Cycle(outline.name_of(needed)).at(span));
        }
        visit(outline, needed, path, done)?;
    }
    path.pop();
    done.insert(id);
    Ok(())
}

/// The stages that a stage's own lines name. Words that mean nothing are left to the evaluation.
fn needs(outline: &Outline<'_>, id: StageId) -> Vec<(StageId, Span)> {
    let stage = &outline.stages[id.0];
    if stage.replaced {
        return Vec::new();
    }
    let mut all = Vec::new();
    if let OutlineBase::Stage(parent) = stage.base {
        all.push((parent, stage.stage.span));
    }
    for instruction in &stage.stage.instructions {
        all.extend(stage_sources(outline, instruction).map(|needed| (needed, instruction.span)));
    }
    all
}

/// The stages that one instruction reads from.
pub(crate) fn stage_sources<'a>(
    outline: &'a Outline<'_>,
    instruction: &'a Located<Instruction>,
) -> impl Iterator<Item = StageId> + 'a {
    from_words(&instruction.value)
        .into_iter()
        .filter_map(|word| match word.source(outline) {
            Ok(Source::Stage(id)) => Some(id),
            _ => None,
        })
}
