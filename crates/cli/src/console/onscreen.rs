//! A build on a terminal: the live display, and the lines that stay.

use std::time::Instant;

use yadokari_build::Event;

use super::Published;
use super::live::{Live, Screen};
use super::summary::Ending;
use super::text::Text;
use crate::convert::ConsoleSettings;

/// What goes on is drawn in place; warnings, the output of what failed and the summary are lines that stay.
pub(super) struct OnScreen {
    /// Lines that stay.
    pub(super) text: Text,
    live: Live,
    published: Vec<Published>,
    /// The output of what failed was shown.
    closed: bool,
}

impl OnScreen {
    pub(super) fn new(settings: ConsoleSettings, screen: Screen) -> Self {
        Self {
            text: Text::new(settings, Box::new(screen.writer())),
            live: Live::start(screen, settings.color, settings.unicode),
            published: Vec::new(),
            closed: false,
        }
    }

    pub(super) fn tell(&mut self, event: Event<'_>) {
        let mut board = self.live.board();
        match event {
            Event::Planned { steps } => board.planned(steps),
            Event::Waiting { step, stages } => board.waiting(step, stages),
            Event::Started(id) => board.started(id),
            Event::Queued(id) => board.steps.step(id).queued = true,
            Event::Running { step, waited } => board.steps.step(step).run(waited),
            Event::Missed { step, reasons } => board.missed(step, reasons),
            Event::Output {
                step,
                stream,
                bytes,
            } => board.output(step, stream, bytes),
            Event::Finished {
                step,
                outcome,
                took,
            } => board.finished(step, outcome, took),
            Event::Failed(id) => board.failed(id),
            Event::Layer { step, size } => board.steps.step(step).layer = Some(size),
            Event::TransferStarted { id, label, total } => {
                board.transfers.start(id, label, total, Instant::now());
            }
            Event::TransferProgress { id, done } => {
                board.transfers.progress(id, done, Instant::now());
            }
            Event::TransferFinished { id } => {
                board.transfers.finish(id, Instant::now());
            }
            Event::Published { place, digest } => {
                drop(board);
                self.published.push(Published {
                    place: place.to_owned(),
                    digest,
                });
            }
            _ => {}
        }
    }

    pub(super) fn summary(&mut self, ending: Ending) {
        self.live.close();
        let lines = {
            let board = self.live.board();
            super::summary::lines(
                &board.steps,
                &board.transfers,
                &self.published,
                ending,
                self.text.paper(),
            )
        };
        // The prompt stands directly above; an empty line would part what belongs together.
        self.text.info(&lines[1..]);
    }

    pub(super) fn close(&mut self) {
        self.live.close();
        if !std::mem::replace(&mut self.closed, true) {
            let lines = self.failures();
            self.text.info(&lines);
        }
    }

    /// The output of the steps that failed.
    fn failures(&self) -> Vec<String> {
        let paper = self.text.paper();
        let mut lines = Vec::new();
        for step in self.live.board().steps.all().filter(|step| step.failed) {
            lines.push(step.heading(paper));
            lines.extend(step.last_lines());
        }
        lines
    }
}
