//! One step at a time has the log: its lines are written as they come, the others wait.
//!
//! GitLab's collapsible sections cannot interleave, so the lines of a step that runs beside the one in the section are kept
//! until that section is closed.

use std::collections::VecDeque;

use yadokari_build::StepId;

/// Lines that wait for their turn.
#[derive(Debug, Default)]
pub(super) struct Sections {
    open: Option<StepId>,
    waiting: VecDeque<Block>,
    /// Lines of steps without a section, said while another step's section is open.
    loose: Vec<String>,
}

/// What one step has to say.
#[derive(Debug)]
struct Block {
    step: StepId,
    header: String,
    lines: VecDeque<String>,
    dropped: usize,
    ended: bool,
}

/// A waiting step keeps so many lines; earlier ones are dropped, and it says so.
const LONGEST_WAIT: usize = 5000;

impl Sections {
    /// A step that will have lines starts. Gives what is to be written now.
    pub(super) fn start(&mut self, step: StepId, header: String, now: u64) -> Vec<String> {
        self.waiting.push_back(Block {
            step,
            header,
            lines: VecDeque::new(),
            dropped: 0,
            ended: false,
        });
        self.advance(now)
    }

    /// A line of a step, or of none. Gives what is to be written now.
    pub(super) fn line(&mut self, step: Option<StepId>, line: String) -> Vec<String> {
        let waits = step.is_some() && step != self.open;
        match self
            .waiting
            .iter_mut()
            .find(|block| waits && Some(block.step) == step)
        {
            Some(block) => block.keep(line),
            None if waits && self.open.is_some() => self.loose.push(line),
            None => return vec![line],
        }
        Vec::new()
    }

    /// A step has no more lines. Gives what is to be written now.
    pub(super) fn end(&mut self, step: StepId, now: u64) -> Vec<String> {
        if self.open == Some(step) {
            self.open = None;
            let mut out = vec![marker("section_end", step, now)];
            out.append(&mut self.loose);
            out.extend(self.advance(now));
            return out;
        }
        if let Some(block) = self.waiting.iter_mut().find(|block| block.step == step) {
            block.ended = true;
        }
        Vec::new()
    }

    /// Opens the next section, and writes those whole that ended while they waited.
    fn advance(&mut self, now: u64) -> Vec<String> {
        let mut out = Vec::new();
        while self.open.is_none() {
            let Some(block) = self.waiting.pop_front() else {
                break;
            };
            out.push(format!(
                "{}{}",
                marker("section_start", block.step, now),
                block.header
            ));
            out.extend((block.dropped > 0).then(|| format!("({} lines left out)", block.dropped)));
            out.extend(block.lines);
            if block.ended {
                out.push(marker("section_end", block.step, now));
            } else {
                self.open = Some(block.step);
            }
        }
        out
    }
}

impl Block {
    fn keep(&mut self, line: String) {
        self.lines.push_back(line);
        if self.lines.len() > LONGEST_WAIT {
            self.lines.pop_front();
            self.dropped += 1;
        }
    }
}

fn marker(kind: &str, step: StepId, now: u64) -> String {
    format!(
        "\u{1b}[0K{kind}:{now}:step_{}_{}\r\u{1b}[0K",
        step.stage, step.step
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: StepId = StepId { stage: 0, step: 1 };
    const B: StepId = StepId { stage: 1, step: 1 };

    #[test]
    fn sections_never_interleave() {
        let mut sections = Sections::default();
        let mut out = sections.start(A, "run a".into(), 1);
        out.extend(sections.start(B, "run b".into(), 2));
        out.extend(sections.line(Some(B), "b1".into()));
        out.extend(sections.line(Some(A), "a1".into()));
        out.extend(sections.line(None, "note".into()));
        out.extend(sections.end(A, 3));
        out.extend(sections.line(Some(B), "b2".into()));
        out.extend(sections.end(B, 4));
        let text: Vec<_> = out
            .iter()
            .map(|line| line.replace("\u{1b}[0K", "").replace('\r', " "))
            .collect();
        let expected = [
            "section_start:1:step_0_1 run a",
            "a1",
            "note",
            "section_end:3:step_0_1 ",
            "section_start:3:step_1_1 run b",
            "b1",
            "b2",
            "section_end:4:step_1_1 ",
        ];
        assert_eq!(text, expected);
    }

    #[test]
    fn a_step_without_a_section_is_never_hidden_in_another_ones() {
        let mut sections = Sections::default();
        assert_eq!(sections.line(Some(B), "b1".into()), ["b1"]);
        sections.start(A, "a".into(), 1);
        assert!(sections.line(Some(B), "b2".into()).is_empty());
        assert_eq!(sections.end(A, 2)[1..], ["b2"]);
    }

    #[test]
    fn a_step_that_ended_while_it_waited_is_written_whole() {
        let mut sections = Sections::default();
        sections.start(A, "a".into(), 1);
        sections.start(B, "b".into(), 1);
        sections.line(Some(B), "b1".into());
        assert!(sections.end(B, 2).is_empty());
        assert_eq!(
            sections.end(A, 3).len(),
            4,
            "end of a, start, line and end of b"
        );
    }
}
