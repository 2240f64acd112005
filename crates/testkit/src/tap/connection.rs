//! One client's connection, and the one to the registry that goes with it.

use std::io::{self, BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::fault::Fault;
use super::message::{Body, Head, Passing, pass};
use super::{Shared, linger};

/// The first byte of a TLS connection.
const TLS_HANDSHAKE: u8 = 22;

/// Both ends of what passes.
struct Ends<'a> {
    client: &'a TcpStream,
    from_client: BufReader<&'a TcpStream>,
    registry: &'a TcpStream,
    from_registry: BufReader<&'a TcpStream>,
    shared: &'a Shared,
}

/// Whether the connection goes on after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Another,
    End,
}

/// Passes requests and answers on until one side ends, or a fault does it.
pub(super) fn serve(client: &TcpStream, shared: &Shared) -> io::Result<()> {
    let mut first = [0];
    if client.peek(&mut first)? == 0 || first[0] == TLS_HANDSHAKE {
        return Ok(());
    }
    let registry = TcpStream::connect(("127.0.0.1", shared.target))?;
    let mut ends = Ends {
        client,
        from_client: BufReader::new(client),
        registry: &registry,
        from_registry: BufReader::new(&registry),
        shared,
    };
    while let Some(request) = Head::read(&mut ends.from_client)? {
        if ends.request(&request)? == Next::End {
            return Ok(());
        }
    }
    Ok(())
}

impl Ends<'_> {
    fn request(&mut self, request: &Head) -> io::Result<Next> {
        let (method, target) = (request.word(0), request.word(1));
        let number = self.shared.number.fetch_add(1, Ordering::Relaxed);
        let behaviour = self.shared.behaviour;
        let fault = match behaviour.faults {
            Some(faults) => faults.of(number, method, target),
            None => (behaviour.spoils_first_copies && self.shared.is_first_copy(method, target))
                .then_some(Fault::WrongBytes),
        };
        self.count(request, fault);
        if let Some(limit) = self.shared.behaviour.body_limit
            && matches!(request.request_body(), Body::Length(length) if length > limit.bytes)
        {
            self.answer("413 Request Entity Too Large", "")?;
            if !limit.hangs_up {
                linger(self.client);
            }
            return Ok(Next::End);
        }
        if self.is_forbidden(method, target) {
            self.answer("403 Forbidden", "")?;
            linger(self.client);
            return Ok(Next::End);
        }
        match fault {
            None if self.shared.behaviour.no_mounts && kind(target) == "mount" => {
                self.pass_on(&request.without_query(), Passing::All)
            }
            None => self.pass_on(request, Passing::All),
            Some(Fault::Status(status)) => self
                .answer(&format!("{status} Fault"), "")
                .map(|()| Next::End),
            Some(Fault::Wait { status, as_date }) => {
                let head = format!("{status} Fault");
                self.answer(&head, if as_date { DATES } else { "Retry-After: 1\r\n" })?;
                linger(self.client);
                Ok(Next::End)
            }
            Some(Fault::HangUp) => Ok(Next::End),
            Some(Fault::Stall) => {
                std::thread::sleep(Duration::from_millis(700));
                Ok(Next::End)
            }
            Some(Fault::CutRequest) => {
                self.registry.write_all(request.bytes())?;
                pass(
                    &mut self.from_client,
                    &mut self.registry,
                    request.request_body(),
                    Passing::Half,
                )?;
                Ok(Next::End)
            }
            Some(Fault::LoseAnswer) => {
                self.hand_over(request)?;
                Head::read(&mut self.from_registry)?;
                Ok(Next::End)
            }
            Some(Fault::CutAnswer) => self.pass_on(request, Passing::Half),
            Some(Fault::WrongBytes) => self.pass_on(request, Passing::Spoilt),
            Some(Fault::ForgetUpload) => self.answer("404 Fault", "").map(|()| Next::End),
        }
    }

    fn is_forbidden(&self, method: &str, target: &str) -> bool {
        let guarded = self.shared.behaviour.read_only;
        guarded.is_some_and(|part| target.contains(part)) && !matches!(method, "GET" | "HEAD")
    }

    fn hand_over(&mut self, request: &Head) -> io::Result<()> {
        self.registry.write_all(request.bytes())?;
        let body = request.request_body();
        let sent = pass(
            &mut self.from_client,
            &mut self.registry,
            body,
            Passing::All,
        )?;
        self.shared.counts().sent += sent;
        Ok(())
    }

    fn pass_on(&mut self, request: &Head, passing: Passing) -> io::Result<Next> {
        self.hand_over(request)?;
        let Some(answer) = Head::read(&mut self.from_registry)? else {
            return Ok(Next::End);
        };
        let mut client = self.client;
        client.write_all(answer.bytes())?;
        let body = answer.answer_body(request.word(0));
        let received = pass(&mut self.from_registry, &mut client, body, passing)?;
        self.shared.counts().received += answer.bytes().len() as u64 + received;
        let closes = answer
            .field("connection")
            .is_some_and(|word| word.eq_ignore_ascii_case("close"));
        let ends = closes || body == Body::UntilClose || passing == Passing::Half;
        Ok(if ends { Next::End } else { Next::Another })
    }

    /// An answer of our own, after which the connection ends.
    fn answer(&mut self, status: &str, fields: &str) -> io::Result<()> {
        let text =
            format!("HTTP/1.1 {status}\r\n{fields}Content-Length: 0\r\nConnection: close\r\n\r\n");
        let mut client = self.client;
        client.write_all(text.as_bytes())
    }

    fn count(&self, request: &Head, fault: Option<Fault>) {
        let mut counts = self.shared.counts();
        let kind = format!("{} {}", request.word(0), kind(request.word(1)));
        *counts.requests.entry(kind).or_default() += 1;
        counts.sent += request.bytes().len() as u64;
        if let Some(fault) = fault {
            *counts.faults.entry(format!("{fault:?}")).or_default() += 1;
        }
    }
}

/// A second to wait, as a date by the registry's own clock.
const DATES: &str =
    "Date: Wed, 21 Oct 2015 07:28:00 GMT\r\nRetry-After: Wed, 21 Oct 2015 07:28:01 GMT\r\n";

/// What a path stands for.
fn kind(target: &str) -> &'static str {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    match path {
        "/v2/" => "ping",
        _ if query.contains("mount=") => "mount",
        _ if path.contains("/blobs/uploads/") => "upload",
        _ if path.contains("/blobs/") => "blob",
        _ if path.contains("/manifests/") => "manifest",
        _ if path.ends_with("/tags/list") => "tags",
        _ => "other",
    }
}
