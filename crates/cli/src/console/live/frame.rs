//! The picture of a build at one moment, for a terminal of one size.
//!
//! A stage has one row: it waits, or shows the step it is at with the last lines of that step's output, or is done. Below
//! them stand the transfers. What does not fit is folded, least interesting first: stages that are done, those that wait,
//! then output.

mod stage;
#[cfg(test)]
mod tests;

use std::time::Instant;

use console::{Alignment, measure_text_width, pad_str, truncate_str};

use self::stage::{Folded, Stage, State};
use super::Board;
use crate::console::steps::Step;
use crate::console::style::{self, Ink, paint};
use crate::console::transfers::Transfer;

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) rows: usize,
    pub(super) columns: usize,
}

/// How things are drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) color: bool,
    /// Characters beyond ASCII may be used.
    pub(super) unicode: bool,
    /// How many pictures there were before.
    pub(super) tick: usize,
}

/// Rows of output that a running step has at most.
const MOST_OUTPUT: usize = 6;
/// Rows of transfers, where there is room.
const MOST_TRANSFERS: usize = 6;
/// A stage's name is cut after so many characters.
const WIDEST_NAME: usize = 20;
/// Room for the short digest of a layer, with what says that the name before it is cut.
const NARROWEST_SUBJECT: usize = 14;
/// Columns before the name of a transfer.
const ARROW: usize = 2;

/// The lines to show, none wider than the terminal and fewer than it has rows.
pub(super) fn picture(board: &Board, size: Size, look: Look, now: Instant) -> Vec<String> {
    let canvas = Canvas { size, look, now };
    let stages: Vec<_> = board.steps.stages().into_iter().map(Stage::new).collect();
    let room = size.rows.saturating_sub(2).max(1);
    let transfers = canvas.transfers(board, (room / 3).clamp(1, MOST_TRANSFERS));
    let rows = canvas.stages(&stages, room.saturating_sub(transfers.len() + 1));
    let mut lines = vec![canvas.heading(board, &stages)];
    lines.extend(rows);
    lines.extend(transfers);
    lines.truncate(room);
    lines
}

struct Canvas {
    size: Size,
    look: Look,
    now: Instant,
}

impl Canvas {
    fn heading(&self, board: &Board, stages: &[Stage<'_>]) -> String {
        let total: usize = stages.iter().map(|stage| stage.steps.len()).sum();
        let done: usize = stages.iter().map(Stage::done).sum();
        let cached: usize = stages.iter().map(Stage::cached).sum();
        let elapsed = style::duration(self.now.duration_since(board.begun));
        let (word, progress) = match total {
            0 => ("Preparing", String::new()),
            _ if done == total => ("Publishing", format!("  all {total} steps done")),
            _ => ("Building", format!("  {done} of {total} steps done")),
        };
        let cached = match cached {
            0 => String::new(),
            count => format!(", {count} cached"),
        };
        self.row(
            Some(Ink::Strong),
            &format!("{word}{progress}{cached}"),
            &elapsed,
        )
    }

    /// The rows of all stages, at most `room`.
    fn stages(&self, stages: &[Stage<'_>], room: usize) -> Vec<String> {
        let width = stages
            .iter()
            .map(|stage| measure_text_width(stage.name()))
            .max()
            .unwrap_or_default()
            .min(WIDEST_NAME);
        let running = stages
            .iter()
            .filter(|stage| stage.state() == State::Runs)
            .count();
        let folded = Folded::new(stages, room);
        let output = room.saturating_sub(folded.rows(stages)) / running.max(1);
        let mut lines = Vec::new();
        lines.extend(folded.done_row(self, stages));
        for stage in stages {
            let hidden = match stage.state() {
                State::Done => folded.done,
                State::Waits => folded.waiting,
                _ => false,
            };
            if !hidden {
                lines.extend(self.stage(stage, width, output.min(MOST_OUTPUT)));
            }
        }
        lines.extend(folded.waiting_row(self, stages));
        lines.truncate(room);
        lines
    }

    fn stage(&self, stage: &Stage<'_>, width: usize, output: usize) -> Vec<String> {
        let name = pad_str(stage.name(), width, Alignment::Left, Some("…")).into_owned();
        let count = format!("{}/{}", stage.done(), stage.steps.len());
        match (stage.state(), stage.current()) {
            (State::Waits, _) => {
                let dot = self.dot();
                let text = match stage.waits_for() {
                    Some(stages) => format!("{dot} {name}  {count}  waits for {stages}"),
                    None => format!("{dot} {name}  waits"),
                };
                vec![self.row(Some(Ink::Faint), &text, "")]
            }
            (State::Done, _) => {
                let cached = match stage.cached() {
                    0 => String::new(),
                    cached => format!(", {cached} cached"),
                };
                let steps = match stage.steps.len() {
                    1 => "1 step".to_owned(),
                    steps => format!("{steps} steps"),
                };
                let took = style::duration(stage.took());
                vec![self.row(
                    Some(Ink::Good),
                    &format!("{} {name}  {steps}{cached}", self.tick_mark()),
                    &took,
                )]
            }
            (State::Failed, current) => {
                let title = current.map_or("", |step| step.title.as_str());
                vec![self.row(
                    Some(Ink::Error),
                    &format!("{} {name}  {count}  {title}", self.cross()),
                    "failed",
                )]
            }
            (State::Runs, current) => self.running(&name, &count, current, output),
        }
    }

    fn running(
        &self,
        name: &str,
        count: &str,
        current: Option<&Step>,
        output: usize,
    ) -> Vec<String> {
        let Some(step) = current else {
            return Vec::new();
        };
        let (mark, clock) = match step.started {
            _ if step.queued => (self.dot(), "waiting".to_owned()),
            Some(started) if step.is_running() => {
                let since = self.now.duration_since(started);
                let own = since.saturating_sub(step.waited);
                (self.spinner(), style::duration(own))
            }
            _ => (self.spinner(), String::new()),
        };
        let text = format!("{mark} {name}  {count}  {}", step.title);
        let mut lines = vec![self.row(None, &text, &clock)];
        let skipped = step.tail.len().saturating_sub(output);
        let bar = if self.look.unicode { "│" } else { "|" };
        for line in step.tail.iter().skip(skipped) {
            lines.push(self.row(
                Some(Ink::Faint),
                &format!("  {bar} {}", line.replace('\t', "    ")),
                "",
            ));
        }
        lines
    }

    fn transfers(&self, board: &Board, most: usize) -> Vec<String> {
        let running = board.transfers.running();
        let count = running.len();
        let shown = if count > most { most - 1 } else { count };
        let running: Vec<_> = running.take(shown).collect();
        let widths = running
            .iter()
            .map(|transfer| measure_text_width(transfer.subject()));
        let width = widths.max().unwrap_or_default();
        let mut lines: Vec<_> = running
            .iter()
            .map(|transfer| self.transfer(transfer, width))
            .collect();
        if count > shown {
            let more = format!("  and {} more transfers", count - shown);
            lines.push(self.row(Some(Ink::Faint), &more, ""));
        }
        lines
    }

    /// A transfer among others whose names have this width.
    fn transfer(&self, transfer: &Transfer, width: usize) -> String {
        let arrow = match (self.look.unicode, transfer.is_upload()) {
            (true, true) => "↑",
            (true, false) => "↓",
            (false, true) => "^",
            (false, false) => "v",
        };
        let right = self.progress(transfer);
        // The digest at its end is what tells the layers of one image apart.
        let room = self.room(&right).saturating_sub(ARROW);
        let subject = self.end_of(transfer.subject(), room);
        let subject = pad_str(&subject, width.min(room), Alignment::Left, None);
        self.row(None, &format!("{arrow} {subject}"), &right)
    }

    /// How far a transfer is. Where its name would have too little room, the bar is left out, then the size, then what
    /// is there; the rate stays.
    fn progress(&self, transfer: &Transfer) -> String {
        let done = format!("{:>9}", style::bytes(transfer.done));
        let total = match transfer.total {
            0 => String::new(),
            total => format!(" of {}", style::bytes(total)),
        };
        let rate = format!("{}/s", style::bytes(transfer.rate(self.now)));
        let forms = [
            format!("{}{done}{total:<12} {rate:>11}", self.meter(transfer)),
            format!("{done}{total:<12} {rate:>11}"),
            format!("{done} {rate:>11}"),
        ];
        let fits =
            |form: &String| self.has_room_for(form) && self.room(form) >= NARROWEST_SUBJECT + ARROW;
        forms.into_iter().find(fits).unwrap_or(rate)
    }

    /// The last characters of a text that is too wide.
    fn end_of(&self, text: &str, room: usize) -> String {
        let width = measure_text_width(text);
        if width <= room || room == 0 {
            return text.to_owned();
        }
        let surplus = text.chars().count() + 1 - room.min(text.chars().count());
        let end: String = text.chars().skip(surplus).collect();
        format!("{}{end}", self.cut_mark())
    }

    /// A bar of 16 characters, where the end is known.
    fn meter(&self, transfer: &Transfer) -> String {
        const WIDTH: u64 = 16;
        let filled = (transfer.done.saturating_mul(WIDTH))
            .checked_div(transfer.total)
            .unwrap_or(0)
            .min(WIDTH);
        let (full, empty) = if self.look.unicode {
            ("━", "┄")
        } else {
            ("#", ".")
        };
        let mut meter = full.repeat(usize::try_from(filled).unwrap_or_default());
        meter.push_str(&empty.repeat(usize::try_from(WIDTH - filled).unwrap_or_default()));
        meter.push(' ');
        meter
    }

    /// A line with a text that is cut where there is no room, and one behind it that is left out then.
    ///
    /// Nothing stands on the right edge: of lines with wide gaps a terminal that becomes narrower makes several.
    fn row(&self, ink: Option<Ink>, left: &str, right: &str) -> String {
        let room = self.room(right);
        let cut = if room == 0 { "" } else { self.cut_mark() };
        let left = truncate_str(left, room, cut);
        let text = if right.is_empty() || !self.has_room_for(right) {
            left.into_owned()
        } else {
            format!("{left}  {right}")
        };
        match ink {
            Some(ink) => paint(self.look.color, ink, &text),
            None => text,
        }
    }

    /// The last column stays free: a full line moves the cursor in some terminals.
    fn width(&self) -> usize {
        self.size.columns.saturating_sub(1)
    }

    /// Whether a text leaves a third of the row to the one before it.
    fn has_room_for(&self, right: &str) -> bool {
        measure_text_width(right) * 3 <= self.width() * 2
    }

    /// How wide a text may be with this one behind it.
    fn room(&self, right: &str) -> usize {
        match right {
            right if right.is_empty() || !self.has_room_for(right) => self.width(),
            right => self.width().saturating_sub(measure_text_width(right) + 2),
        }
    }

    fn cut_mark(&self) -> &'static str {
        if self.look.unicode { "…" } else { "~" }
    }

    fn spinner(&self) -> &'static str {
        const ROUND: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
        const PLAIN: [&str; 4] = ["|", "/", "-", "\\"];
        if self.look.unicode {
            ROUND[self.look.tick % ROUND.len()]
        } else {
            PLAIN[self.look.tick % PLAIN.len()]
        }
    }

    fn tick_mark(&self) -> &'static str {
        if self.look.unicode { "✔" } else { "+" }
    }

    fn cross(&self) -> &'static str {
        if self.look.unicode { "✘" } else { "x" }
    }

    fn dot(&self) -> &'static str {
        if self.look.unicode { "·" } else { "." }
    }
}
