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
    /// Lines without a section, said while another stage's section is open.
    loose: Vec<String>,
}

/// What one step has to say.
#[derive(Debug)]
struct Block {
    step: StepId,
    header: String,
    lines: VecDeque<String>,
    dropped: usize,
    state: State,
    /// Lines of later steps of its stage that have no section.
    after: Vec<String>,
}

/// How far a waiting step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Runs,
    Ended,
    Failed,
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
            state: State::Runs,
            after: Vec::new(),
        });
        self.advance(now)
    }

    /// A line of a step, or of none. Gives what is to be written now.
    pub(super) fn line(&mut self, step: Option<StepId>, line: String) -> Vec<String> {
        let Some(step) = step.filter(|_| self.open.is_some() && self.open != step) else {
            return vec![line];
        };
        match self.last_of(step.stage) {
            Some(block) if block.step == step => block.keep(line),
            Some(block) => block.after.push(line),
            None => self.loose.push(line),
        }
        Vec::new()
    }

    /// A step has no more lines. Gives what is to be written now.
    pub(super) fn end(&mut self, step: StepId, now: u64) -> Vec<String> {
        self.leave(step, State::Ended, now)
    }

    /// A step failed and has no more lines. Gives what is to be written now.
    pub(super) fn fail(&mut self, step: StepId, now: u64) -> Vec<String> {
        self.leave(step, State::Failed, now)
    }

    /// Nothing more is to come: closes what is open, and writes all that waits, the steps that failed last.
    pub(super) fn finish(&mut self, now: u64) -> Vec<String> {
        let mut out = self.close(now);
        let (failed, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|block| block.state == State::Failed);
        for block in others.into_iter().chain(failed) {
            out.extend(block.whole(now));
        }
        out
    }

    fn leave(&mut self, step: StepId, state: State, now: u64) -> Vec<String> {
        if self.open == Some(step) {
            let mut out = self.close(now);
            out.extend(self.advance(now));
            return out;
        }
        if let Some(block) = self.waiting.iter_mut().find(|block| block.step == step) {
            block.state = state;
        }
        Vec::new()
    }

    /// Ends the open section, and writes what had to stay out of it.
    fn close(&mut self, now: u64) -> Vec<String> {
        let end = self
            .open
            .take()
            .map(|step| marker("section_end", step, now));
        end.into_iter().chain(self.loose.drain(..)).collect()
    }

    /// Opens the next section, and writes those whole that ended while they waited.
    fn advance(&mut self, now: u64) -> Vec<String> {
        let mut out = Vec::new();
        while self.open.is_none() {
            let Some(block) = self.waiting.pop_front() else {
                break;
            };
            if block.state == State::Runs {
                self.open = Some(block.step);
                out.extend(block.begun(now).0);
            } else {
                out.extend(block.whole(now));
            }
        }
        out
    }

    /// The last block of a stage that waits.
    fn last_of(&mut self, stage: usize) -> Option<&mut Block> {
        let blocks = self.waiting.iter_mut().rev();
        blocks.into_iter().find(|block| block.step.stage == stage)
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

    /// The section as far as it is known, and what comes after it.
    fn begun(self, now: u64) -> (Vec<String>, Vec<String>) {
        let start = marker("section_start", self.step, now);
        let mut out = vec![format!("{start}{}", self.header)];
        out.extend((self.dropped > 0).then(|| format!("({} lines left out)", self.dropped)));
        out.extend(self.lines);
        (out, self.after)
    }

    /// The section with its end, and what comes after it.
    fn whole(self, now: u64) -> Vec<String> {
        let end = marker("section_end", self.step, now);
        let (mut out, after) = self.begun(now);
        out.push(end);
        out.extend(after);
        out
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

    /// Lines without the bytes that no reader sees.
    fn plain(lines: &[String]) -> Vec<String> {
        lines
            .iter()
            .map(|line| line.replace("\u{1b}[0K", "").replace('\r', " "))
            .collect()
    }

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
        assert_eq!(plain(&out), expected);
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

    #[test]
    fn lines_without_a_section_keep_their_place_in_their_stage() {
        let next = StepId { stage: 1, step: 2 };
        let mut sections = Sections::default();
        sections.start(A, "run a".into(), 1);
        sections.line(Some(StepId { stage: 1, step: 0 }), "from b".into());
        sections.start(B, "run b".into(), 1);
        sections.line(Some(B), "b1".into());
        sections.end(B, 2);
        sections.line(Some(next), "copy".into());
        let expected = [
            "section_end:3:step_0_1 ",
            "from b",
            "section_start:3:step_1_1 run b",
            "b1",
            "section_end:3:step_1_1 ",
            "copy",
        ];
        assert_eq!(plain(&sections.end(A, 3)), expected);
    }

    #[test]
    fn at_the_end_every_section_is_closed_and_what_failed_stands_last() {
        let other = StepId { stage: 2, step: 1 };
        let mut sections = Sections::default();
        sections.start(A, "run a".into(), 1);
        sections.start(B, "run b".into(), 1);
        sections.line(Some(B), "no such file".into());
        assert!(sections.fail(B, 2).is_empty());
        sections.start(other, "run c".into(), 2);
        sections.line(Some(other), "c1".into());
        let expected = [
            "section_end:3:step_0_1 ",
            "section_start:3:step_2_1 run c",
            "c1",
            "section_end:3:step_2_1 ",
            "section_start:3:step_1_1 run b",
            "no such file",
            "section_end:3:step_1_1 ",
        ];
        assert_eq!(plain(&sections.finish(3)), expected);
        assert!(
            sections.finish(4).is_empty(),
            "there is nothing more to say"
        );
    }
}
