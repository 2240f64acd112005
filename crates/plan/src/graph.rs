//! Which stages need which.

use yadokari_dockerfile::{Instruction, Located, Span};

use crate::error::{Link, PlanError, PlanErrorKind};
use crate::model::{Source, StageId};
use crate::outline::{Outline, OutlineBase, from_words};

/// Refuses stages that need one another in a circle, wherever in the file they are.
pub(crate) fn refuse_cycles(outline: &Outline<'_>) -> Result<(), PlanError> {
    let mut search = Search {
        outline,
        marks: vec![Mark::Unseen; outline.stages.len()],
        path: Vec::new(),
    };
    (0..outline.stages.len()).try_for_each(|index| search.visit(StageId(index)))
}

/// A search in depth that keeps its path itself: a file may chain more stages than a call stack is deep.
struct Search<'a> {
    outline: &'a Outline<'a>,
    marks: Vec<Mark>,
    /// The stages from where the search began to where it is.
    path: Vec<Visit>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Unseen,
    OnPath,
    Done,
}

/// A stage on the path, and what it needs that was not looked at yet.
struct Visit {
    id: StageId,
    /// The lines that need the next stage of the path.
    span: Span,
    rest: std::vec::IntoIter<(StageId, Span)>,
}

impl Search<'_> {
    fn visit(&mut self, start: StageId) -> Result<(), PlanError> {
        self.enter(start);
        while let Some(visit) = self.path.last_mut() {
            let Some((needed, span)) = visit.rest.next() else {
                self.marks[visit.id.0] = Mark::Done;
                self.path.pop();
                continue;
            };
            visit.span = span;
            if self.marks[needed.0] == Mark::OnPath {
                return Err(self.cycle(needed, span));
            }
            self.enter(needed);
        }
        Ok(())
    }

    fn enter(&mut self, id: StageId) {
        if self.marks[id.0] != Mark::Unseen {
            return;
        }
        self.marks[id.0] = Mark::OnPath;
        self.path.push(Visit {
            id,
            span: self.outline.stages[id.0].stage.span,
            rest: needs(self.outline, id).into_iter(),
        });
    }

    /// The circle that a stage on the path closes.
    fn cycle(&self, closing: StageId, span: Span) -> PlanError {
        let links = self.path.iter().skip_while(|visit| visit.id != closing);
        let links = links.map(|visit| Link {
            stage: self.outline.name_of(visit.id),
            line: visit.span.first_line,
        });
        PlanErrorKind::Cycle {
            stage: self.outline.name_of(closing),
            links: links.collect(),
        }
        .at(span)
    }
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
