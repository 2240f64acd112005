//! Amazon's signature, worked out by the one who checks it.

use ring::hmac::{HMAC_SHA256, Key, sign};
use sha2::{Digest as _, Sha256};

use crate::fake::Request;

/// Whether a request without a query is signed with `secret` for one service in one region.
pub(crate) fn is_good(
    request: &Request,
    key: &str,
    secret: &str,
    region: &str,
    service: &str,
) -> bool {
    let date = request.header("x-amz-date").to_owned();
    let scope = format!(
        "{}/{region}/{service}/aws4_request",
        date.get(..8).unwrap_or_default()
    );
    let authorization = request.header("authorization");
    let Some((_, signed)) = authorization.split_once("SignedHeaders=") else {
        return false;
    };
    let Some((names, signature)) = signed.split_once(", Signature=") else {
        return false;
    };
    let must = ["host", "x-amz-date"];
    if must
        .iter()
        .any(|name| !names.split(';').any(|signed| signed == *name))
    {
        return false;
    }
    let headers: String = names
        .split(';')
        .map(|name| format!("{name}:{}\n", request.header(name)))
        .collect();
    let body = hexadecimal(Sha256::digest(&request.body).as_slice());
    let canonical = format!(
        "{}\n{}\n\n{headers}\n{names}\n{body}",
        request.method, request.target
    );
    let text = format!(
        "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
        hexadecimal(Sha256::digest(canonical.as_bytes()).as_slice())
    );
    let parts = [&date[..8], region, service, "aws4_request", &text];
    let start = format!("AWS4{secret}").into_bytes();
    let expected = parts.iter().fold(start, |key, part| {
        sign(&Key::new(HMAC_SHA256, &key), part.as_bytes())
            .as_ref()
            .to_vec()
    });
    authorization.contains(&format!("Credential={key}/{scope}"))
        && signature == hexadecimal(&expected)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
