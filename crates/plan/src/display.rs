//! A plan as text, for people and for tests.

use std::fmt;

use crate::model::{Base, Operation, Plan, Stage};

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, stage) in self.stages.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            let mark = if stage.id == self.target {
                " (target)"
            } else {
                ""
            };
            writeln!(
                f,
                "stage {} {}{mark}: {}",
                stage.id,
                stage.name,
                BaseName(stage)
            )?;
            for step in &stage.steps {
                writeln!(
                    f,
                    "  {:>4}  {:<8} {}",
                    step.span.first_line,
                    kind(&step.operation),
                    step.title
                )?;
            }
        }
        Ok(())
    }
}

struct BaseName<'a>(&'a Stage);

impl fmt::Display for BaseName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.base {
            Base::Scratch => f.write_str("from nothing"),
            Base::Stage(parent) => write!(f, "from stage {parent}"),
            Base::Image(image) => write!(
                f,
                "from {}@{} ({})",
                image.word, image.manifest, self.0.platform
            ),
            Base::Context(name) => write!(f, "from the files of context {name}"),
        }
    }
}

fn kind(operation: &Operation) -> &'static str {
    match operation {
        Operation::Metadata => "config",
        Operation::Run(_) => "run",
        Operation::Copy(copy) if copy.is_add => "add",
        Operation::Copy(_) => "copy",
        Operation::Workdir(_) => "workdir",
    }
}
