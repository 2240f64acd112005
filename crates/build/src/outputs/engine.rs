//! A container engine on this machine, or near it, that finished images are loaded into.

use std::fmt;
use std::io::{self, Write};

use bytes::Bytes;
use futures::stream;
use tokio::sync::mpsc;
use yadokari_store::{Export, ExportError, Flavour, write_archive};

use crate::error::BuildError;

/// Docker's, or one that speaks as it does.
#[derive(Clone)]
pub struct Engine {
    client: reqwest::Client,
    /// Where its interface begins, without a slash at the end.
    base: String,
    /// How people call the place.
    name: String,
}

/// Why an image is not in the engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Nobody answers.
    #[error("no container engine answers at {engine}")]
    Unreachable {
        /// The place.
        engine: String,
        /// The client's words.
        source: reqwest::Error,
    },
    /// The engine does not want the image.
    #[error("the container engine at {engine} refuses the image: {reason}")]
    Refused {
        /// The place.
        engine: String,
        /// The engine's words.
        reason: String,
    },
}

impl Engine {
    /// An engine whose interface begins at `base`; `client` knows the socket behind it. Nothing is contacted yet.
    pub fn new(client: reqwest::Client, base: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            client,
            base: base.into(),
            name: name.into(),
        }
    }

    /// How people call the place.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Asks whether anybody is there.
    pub(crate) async fn ping(&self) -> Result<(), EngineError> {
        let answer = self.client.get(format!("{}/_ping", self.base)).send().await;
        let answer = answer.and_then(reqwest::Response::error_for_status);
        answer.map(drop).map_err(|error| self.unreachable(error))
    }

    /// Streams an image into the engine.
    pub(crate) async fn load(&self, export: Export) -> Result<(), BuildError> {
        let (sender, receiver) = mpsc::channel(4);
        let writing = tokio::task::spawn_blocking(move || send_archive(&export, sender));
        let pieces = stream::unfold(receiver, |mut receiver| async {
            Some((receiver.recv().await?, receiver))
        });
        let request = self
            .client
            .post(format!("{}/images/load?quiet=1", self.base))
            .header(reqwest::header::CONTENT_TYPE, "application/x-tar")
            .body(reqwest::Body::wrap_stream(pieces));
        let answer = request.send().await;
        let written = writing
            .await
            .unwrap_or_else(|stopped| Err(ExportError::Output(io::Error::other(stopped))));
        match (answer, written) {
            (Ok(answer), written) => {
                self.check(answer).await?;
                Ok(written?)
            }
            // A layer that cannot be read breaks the request off, and is the reason.
            (Err(_), Err(error @ (ExportError::Blob { .. } | ExportError::Store(_)))) => {
                Err(error.into())
            }
            (Err(error), _) => Err(self.unreachable(error).into()),
        }
    }

    async fn check(&self, answer: reqwest::Response) -> Result<(), EngineError> {
        let status = answer.status();
        let said = answer
            .text()
            .await
            .map_err(|error| self.unreachable(error))?;
        let complaint = complaint(&said);
        if status.is_success() && complaint.is_none() {
            return Ok(());
        }
        Err(EngineError::Refused {
            engine: self.name.clone(),
            reason: complaint.unwrap_or_else(|| format!("status {status}")),
        })
    }

    fn unreachable(&self, error: reqwest::Error) -> EngineError {
        EngineError::Unreachable {
            engine: self.name.clone(),
            source: error.without_url(),
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Engine").field(&self.name).finish()
    }
}

/// What an engine has to complain of, in an answer of one JSON object per line.
fn complaint(said: &str) -> Option<String> {
    let objects = said
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut told = objects.filter_map(|object| {
        let text = object.get("error").or_else(|| object.get("message"))?;
        Some(text.as_str()?.to_owned())
    });
    told.next()
}

type Piece = Result<Bytes, io::Error>;

/// Writes an archive into a channel; what goes wrong breaks the request off, so that no half image is taken.
fn send_archive(export: &Export, sender: mpsc::Sender<Piece>) -> Result<(), ExportError> {
    let mut out = Pieces {
        sender,
        piece: Vec::with_capacity(PIECE),
    };
    let written = write_archive(std::slice::from_ref(export), Flavour::Docker, &mut out)
        .and_then(|()| out.flush().map_err(ExportError::Output));
    if let Err(error) = &written {
        let _ = out
            .sender
            .blocking_send(Err(io::Error::other(error.to_string())));
    }
    written
}

const PIECE: usize = 1 << 18;

struct Pieces {
    sender: mpsc::Sender<Piece>,
    piece: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        if piece.is_empty() {
            return Ok(());
        }
        let sent = self.sender.blocking_send(Ok(piece.into()));
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_found_in_any_line() {
        let table = [
            ("", None),
            (r#"{"stream":"Loaded image: a"}"#, None),
            (
                "{\"stream\":\"x\"}\n{\"errorDetail\":{\"message\":\"m\"},\"error\":\"m\"}\n",
                Some("m"),
            ),
            (r#"{"message":"no space"}"#, Some("no space")),
            ("<html>", None),
        ];
        for (said, expected) in table {
            assert_eq!(complaint(said).as_deref(), expected, "{said}");
        }
    }
}
