//! Reading answers: bodies with a limit, errors with the registry's own words.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use oci_client::errors::{OciEnvelope, OciErrorCode};
use reqwest::Response;
use serde_json::Value;

use crate::Cause;
use crate::retry::retry_after;
use crate::transport::classify;

/// Most of an error message that is read, in bytes.
const ERROR_LIMIT: u64 = 64 * 1024;

/// Reads a body of at most `limit` bytes, waiting at most `patience` for each piece.
pub(crate) async fn read_body(
    mut response: Response,
    limit: u64,
    patience: Duration,
) -> Result<Bytes, Cause> {
    let too_large = || Cause::TooLarge { limit };
    if response
        .content_length()
        .is_some_and(|length| length > limit)
    {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    while let Some(piece) = next_piece(&mut response, patience).await? {
        if body.len() as u64 + piece.len() as u64 > limit {
            return Err(too_large());
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

/// The next piece of a body, `None` at its end.
pub(crate) async fn next_piece(
    response: &mut Response,
    patience: Duration,
) -> Result<Option<Bytes>, Cause> {
    match tokio::time::timeout(patience, response.chunk()).await {
        Ok(piece) => piece.map_err(classify),
        Err(_) => Err(Cause::Silent { waited: patience }),
    }
}

/// Turns an answer that is no success into its reason.
pub(crate) async fn rejection(mut response: Response, patience: Duration) -> Cause {
    let status = response.status().as_u16();
    let retry_after = retry_after(response.headers());
    let mut body = Vec::new();
    while let Ok(Some(piece)) = next_piece(&mut response, patience).await {
        let room = ERROR_LIMIT as usize - body.len();
        body.extend_from_slice(&piece[..piece.len().min(room)]);
        if body.len() as u64 == ERROR_LIMIT {
            break;
        }
    }
    let (code, message) = describe(&body);
    Cause::Rejected {
        status,
        code,
        message,
        retry_after,
    }
}

/// The code and message in an error body, whichever of the usual forms it has.
pub(crate) fn describe(body: &[u8]) -> (Option<String>, String) {
    if let Ok(envelope) = serde_json::from_slice::<OciEnvelope>(body)
        && let Some(first) = envelope.errors.first()
    {
        let code = code_text(&first.code);
        let detail = first.detail.as_str().unwrap_or_default();
        let message = if first.message.is_empty() {
            detail
        } else {
            &first.message
        };
        return (code, printable(message));
    }
    let text = String::from_utf8_lossy(body);
    let Ok(value) = serde_json::from_str::<Value>(&text) else {
        let is_page = text.trim_start().starts_with('<');
        return (
            None,
            if is_page {
                String::new()
            } else {
                printable(&text)
            },
        );
    };
    let field = |name: &str| value.get(name).and_then(Value::as_str);
    let message = ["error_description", "details", "message", "detail", "error"]
        .into_iter()
        .find_map(field)
        .unwrap_or_default();
    (None, printable(message))
}

fn code_text(code: &OciErrorCode) -> Option<String> {
    let value = serde_json::to_value(code).ok()?;
    value.as_str().map(printable)
}

/// At most 1,000 characters on one line, without control characters that could steer a terminal.
fn printable(text: &str) -> String {
    text.trim()
        .chars()
        .take(1000)
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_found_in_every_usual_form() {
        let cases: [(&str, Option<&str>, &str); 8] = [
            (
                r#"{"errors":[{"code":"DENIED","message":"no"}]}"#,
                Some("DENIED"),
                "no",
            ),
            (
                r#"{"errors":[{"code":"ODD_ONE","message":""}]}"#,
                Some("ODD_ONE"),
                "",
            ),
            (
                r#"{"details":"incorrect username or password"}"#,
                None,
                "incorrect username or password",
            ),
            (
                r#"{"error":"invalid_grant","error_description":"expired"}"#,
                None,
                "expired",
            ),
            ("plain words\n", None, "plain words"),
            ("<html>Bad Gateway</html>", None, ""),
            ("a\u{1b}[31mb", None, "a [31mb"),
            ("", None, ""),
        ];
        for (body, code, message) in cases {
            let found = describe(body.as_bytes());
            assert_eq!(
                found,
                (code.map(str::to_owned), message.to_owned()),
                "{body}"
            );
        }
    }
}
