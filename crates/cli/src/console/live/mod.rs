//! The live display of a terminal: what goes on now, redrawn in place; what stays is written above it.

mod drawn;
mod frame;

use std::io::{self, IsTerminal as _, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use console::Term;
use yadokari_build::{Outcome, PlannedStep, StepId};
use yadokari_sandbox::Stream;

use self::drawn::Drawn;
use self::frame::{Look, Size};
use super::steps::Steps;
use super::transfers::Transfers;

/// The part of a terminal that is redrawn. Clones draw on the same one.
#[derive(Debug, Clone)]
pub struct Screen {
    drawn: Arc<Mutex<Drawn>>,
    terminal: Term,
}

/// What the display shows.
#[derive(Debug)]
pub(super) struct Board {
    pub(super) steps: Steps,
    pub(super) transfers: Transfers,
    begun: Instant,
}

/// The display, and the thread that redraws it.
pub(super) struct Live {
    board: Arc<Mutex<Board>>,
    screen: Screen,
    stop: Arc<AtomicBool>,
    painter: Option<JoinHandle<()>>,
}

/// Between two pictures.
const TICK: Duration = Duration::from_millis(100);

impl Screen {
    /// The terminal that standard error is.
    pub fn of_standard_error() -> Self {
        Self {
            drawn: Arc::default(),
            terminal: Term::stderr(),
        }
    }

    /// Writes lines above the display.
    pub fn writer(&self) -> Above {
        Above {
            screen: self.clone(),
            pending: Vec::new(),
        }
    }

    fn size(&self) -> Size {
        let (rows, columns) = self.terminal.size();
        Size {
            rows: rows.into(),
            columns: columns.into(),
        }
    }

    fn show(&self, picture: Vec<String>) {
        self.write(|drawn, size| drawn.replace(picture, size));
    }

    fn clear(&self) {
        self.write(Drawn::clear);
    }

    fn put(&self, text: &str) {
        self.write(|drawn, size| drawn.above(text, size));
    }

    fn write(&self, change: impl FnOnce(&mut Drawn, Size) -> String) {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = change(&mut drawn, self.size());
        // A terminal that went away must not end the build.
        let _ = io::stderr().write_all(bytes.as_bytes());
    }
}

/// How many characters a row of standard output has, if that is a terminal.
pub(crate) fn columns_of_stdout() -> Option<usize> {
    let terminal = io::stdout().is_terminal().then(Term::stdout);
    terminal.and_then(columns_of)
}

/// How many characters a row of standard error has, if that is a terminal.
pub(super) fn columns_of_stderr() -> Option<usize> {
    let terminal = io::stderr().is_terminal().then(Term::stderr);
    terminal.and_then(columns_of)
}

fn columns_of(terminal: Term) -> Option<usize> {
    let (_, columns) = terminal.size_checked()?;
    Some(columns.into()).filter(|columns| *columns > 0)
}

/// A stream of lines above the display. A line is written when it is whole.
#[derive(Debug)]
pub struct Above {
    screen: Screen,
    pending: Vec<u8>,
}

impl Write for Above {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        while let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.pending.drain(..=end).collect();
            self.screen
                .put(&String::from_utf8_lossy(&line[..line.len() - 1]));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Live {
    /// Starts to draw.
    pub(super) fn start(screen: Screen, color: bool, unicode: bool) -> Self {
        let board = Arc::new(Mutex::new(Board::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let painter = {
            let (board, screen, stop) = (Arc::clone(&board), screen.clone(), Arc::clone(&stop));
            std::thread::Builder::new()
                .name("display".to_owned())
                .spawn(move || paint(&board, &screen, &stop, color, unicode))
        };
        Self {
            board,
            screen,
            stop,
            // Without a thread there is no picture, and the summary still comes.
            painter: painter.ok(),
        }
    }

    pub(super) fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the display away; what is written later stands where it was.
    pub(super) fn close(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(painter) = self.painter.take() {
            painter.thread().unpark();
            // A panic of the painter has been told on standard error and takes nothing with it.
            let _ = painter.join();
            self.screen.clear();
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.close();
    }
}

fn paint(board: &Mutex<Board>, screen: &Screen, stop: &AtomicBool, color: bool, unicode: bool) {
    let mut tick = 0;
    while !stop.load(Ordering::Relaxed) {
        let look = Look {
            color,
            unicode,
            tick,
        };
        let picture = {
            let board = board.lock().unwrap_or_else(PoisonError::into_inner);
            frame::picture(&board, screen.size(), look, Instant::now())
        };
        screen.show(picture);
        tick += 1;
        std::thread::park_timeout(TICK);
    }
}

impl Board {
    fn new() -> Self {
        Self {
            steps: Steps::default(),
            transfers: Transfers::default(),
            begun: Instant::now(),
        }
    }

    pub(super) fn planned(&mut self, steps: &[PlannedStep]) {
        self.steps.plan(steps);
    }

    pub(super) fn waiting(&mut self, id: StepId, stages: &[&str]) {
        self.steps.step(id).waits_for = stages.join(", ");
    }

    pub(super) fn started(&mut self, id: StepId) {
        self.steps.step(id).start(Instant::now());
    }

    pub(super) fn output(&mut self, id: StepId, stream: Stream, bytes: &[u8]) {
        self.steps.step(id).output(stream, bytes);
    }

    /// Why a step is not in the cache stands where its output will.
    pub(super) fn missed(&mut self, id: StepId, reasons: &[String]) {
        let step = self.steps.step(id);
        let lines = step.missed(reasons);
        step.remember(&lines);
    }

    pub(super) fn finished(&mut self, id: StepId, outcome: Outcome, took: Duration) {
        let step = self.steps.step(id);
        step.rest();
        step.end(outcome, took, Instant::now());
    }

    pub(super) fn failed(&mut self, id: StepId) {
        let step = self.steps.step(id);
        step.rest();
        step.failed = true;
    }
}
