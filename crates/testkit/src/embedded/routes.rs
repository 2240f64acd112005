//! Which request asks for what.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use super::http::{Request, Response};
use super::storage::{Refused, Storage};

/// The largest manifest that is taken.
const MANIFEST_LIMIT: u64 = 4 * 1024 * 1024;

/// What a path below `/v2/` names.
#[derive(Debug, PartialEq, Eq)]
enum Target<'p> {
    Version,
    Tags(&'p str),
    Manifest(&'p str, &'p str),
    Blob(&'p str, &'p str),
    /// The repository, and the upload's name; empty for a new one.
    Upload(&'p str, &'p str),
}

/// Answers one request.
pub(super) fn answer(storage: &Storage, request: &mut Request<'_>) -> Response {
    let (method, path) = (request.method.clone(), request.path.clone());
    let Some(target) = Target::of(&path) else {
        return Response::error(404, "NAME_INVALID", "no such route");
    };
    let answered = match (method.as_str(), target) {
        ("GET" | "HEAD", Target::Version) => Ok(Response::new(200)),
        ("GET", Target::Tags(name)) => Ok(tags(storage, request, name)),
        ("GET" | "HEAD", Target::Manifest(name, reference)) => {
            Ok(manifest(storage, name, reference))
        }
        ("PUT", Target::Manifest(name, reference)) => {
            put_manifest(storage, request, name, reference)
        }
        ("DELETE", Target::Manifest(name, reference)) => {
            Ok(deleted(storage.delete_manifest(name, reference)))
        }
        ("GET" | "HEAD", Target::Blob(name, digest)) => blob(storage, request, name, digest),
        ("DELETE", Target::Blob(name, digest)) => Ok(deleted(storage.delete_blob(name, digest))),
        ("POST", Target::Upload(name, "")) => start_upload(storage, request, name),
        ("GET", Target::Upload(name, upload)) => Ok(upload_status(storage, name, upload)),
        ("PATCH", Target::Upload(name, upload)) => append(storage, request, name, upload),
        ("PUT", Target::Upload(name, upload)) => finish(storage, request, name, upload),
        ("DELETE", Target::Upload(_, upload)) => Ok(deleted(storage.cancel(upload))),
        _ => Ok(Response::error(405, "UNSUPPORTED", "no such operation")),
    };
    answered.unwrap_or_else(refused)
}

impl<'p> Target<'p> {
    fn of(path: &'p str) -> Option<Self> {
        let rest = path.strip_prefix("/v2")?.strip_prefix('/')?;
        if rest.is_empty() {
            return Some(Self::Version);
        }
        let (name, kind, last) = Self::split(rest)?;
        let fits =
            |text: &str| !text.is_empty() && !text.contains("..") && !text.starts_with(['/', '_']);
        if !fits(name) || last.contains('/') || last.contains("..") {
            return None;
        }
        match (kind, last) {
            ("tags", "list") => Some(Self::Tags(name)),
            ("manifests", reference) if fits(reference) => Some(Self::Manifest(name, reference)),
            ("blobs", digest) if fits(digest) => Some(Self::Blob(name, digest)),
            ("blobs/uploads", upload) => Some(Self::Upload(name, upload)),
            _ => None,
        }
    }

    /// Repository, kind and last part; the repository's name may hold slashes.
    fn split(rest: &'p str) -> Option<(&'p str, &'p str, &'p str)> {
        let (front, last) = rest.rsplit_once('/')?;
        if let Some(name) = front.strip_suffix("/blobs/uploads") {
            return Some((name, "blobs/uploads", last));
        }
        if let Some(name) = rest.strip_suffix("/blobs/uploads") {
            return Some((name, "blobs/uploads", ""));
        }
        let (name, kind) = front.rsplit_once('/')?;
        Some((name, kind, last))
    }
}

fn tags(storage: &Storage, request: &Request<'_>, name: &str) -> Response {
    let Some(mut tags) = storage.tags(name) else {
        return Response::error(404, "NAME_UNKNOWN", "no such repository");
    };
    if let Some(last) = request.query.get("last") {
        tags.retain(|tag| tag > last);
    }
    let limit = request
        .query
        .get("n")
        .and_then(|n| n.parse().ok())
        .unwrap_or(usize::MAX);
    let more = tags.len() > limit;
    tags.truncate(limit);
    let link = tags
        .last()
        .map(|last| format!("</v2/{name}/tags/list?n={limit}&last={last}>; rel=\"next\""));
    let body = serde_json::json!({"name": name, "tags": tags}).to_string();
    let response = Response::new(200)
        .header("Content-Type", "application/json")
        .bytes(body.into_bytes());
    match link.filter(|_| more) {
        Some(link) => response.header("Link", link),
        None => response,
    }
}

fn manifest(storage: &Storage, name: &str, reference: &str) -> Response {
    match storage.manifest(name, reference) {
        Some((digest, media_type, bytes)) => Response::new(200)
            .header("Content-Type", media_type)
            .header("Docker-Content-Digest", digest)
            .bytes(bytes),
        None => Response::error(404, "MANIFEST_UNKNOWN", "no such manifest"),
    }
}

fn put_manifest(
    storage: &Storage,
    request: &mut Request<'_>,
    name: &str,
    reference: &str,
) -> Result<Response, Refused> {
    let media_type = request
        .headers
        .get("content-type")
        .cloned()
        .unwrap_or_default();
    let mut bytes = Vec::new();
    request
        .body()
        .take(MANIFEST_LIMIT)
        .read_to_end(&mut bytes)?;
    if let Some(missing) = missing_part(storage, name, &bytes) {
        return Ok(Response::error(404, "MANIFEST_BLOB_UNKNOWN", &missing));
    }
    let digest = storage.put_manifest(name, reference, &media_type, &bytes)?;
    Ok(created(format!("/v2/{name}/manifests/{digest}"), digest))
}

/// The digest of a part of the manifest that the repository does not hold.
fn missing_part(storage: &Storage, name: &str, manifest: &[u8]) -> Option<String> {
    let Ok(manifest) = serde_json::from_slice::<serde_json::Value>(manifest) else {
        return Some("not JSON".into());
    };
    let list = |key: &str| manifest[key].as_array().cloned().unwrap_or_default();
    let text = |part: &serde_json::Value| part["digest"].as_str().unwrap_or_default().to_string();
    let mut blobs: Vec<String> = list("layers").iter().map(text).collect();
    blobs.extend(manifest.get("config").map(text));
    let blob = blobs
        .into_iter()
        .find(|digest| storage.blob(name, digest).is_none());
    blob.or_else(|| {
        list("manifests")
            .iter()
            .map(text)
            .find(|digest| storage.manifest(name, digest).is_none())
    })
}

fn blob(
    storage: &Storage,
    request: &Request<'_>,
    name: &str,
    digest: &str,
) -> Result<Response, Refused> {
    let Some((file, length)) = storage.blob(name, digest) else {
        return Ok(Response::error(404, "BLOB_UNKNOWN", "no such blob"));
    };
    match request.headers.get("range") {
        Some(range) => part(file, length, range),
        None => Ok(blob_head(200, digest).file(file, length)),
    }
    .map(|response| response.header("Accept-Ranges", "bytes"))
}

fn blob_head(status: u16, digest: &str) -> Response {
    let response = Response::new(status).header("Content-Type", "application/octet-stream");
    response.header("Docker-Content-Digest", digest)
}

/// One range of a blob, as `bytes=FIRST-` or `bytes=FIRST-LAST`.
fn part(mut file: File, length: u64, range: &str) -> Result<Response, Refused> {
    let bounds = range
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'));
    let first = bounds
        .and_then(|(first, _)| first.parse::<u64>().ok())
        .filter(|first| *first < length);
    let Some(first) = first else {
        return Ok(Response::new(416).header("Content-Range", format!("bytes */{length}")));
    };
    let last = bounds
        .and_then(|(_, last)| last.parse::<u64>().ok())
        .unwrap_or(u64::MAX)
        .min(length - 1);
    file.seek(SeekFrom::Start(first))?;
    let response = Response::new(206).header("Content-Type", "application/octet-stream");
    let response = response.header("Content-Range", format!("bytes {first}-{last}/{length}"));
    Ok(response.file(file, (last + 1).saturating_sub(first)))
}

fn start_upload(
    storage: &Storage,
    request: &mut Request<'_>,
    name: &str,
) -> Result<Response, Refused> {
    let field = |key: &str| request.query.get(key).cloned();
    if let (Some(digest), Some(from)) = (field("mount"), field("from"))
        && storage.mount(&from, name, &digest)?
    {
        return Ok(created(format!("/v2/{name}/blobs/{digest}"), digest));
    }
    let upload = storage.start_upload()?;
    match field("digest") {
        Some(_) => finish(storage, request, name, &upload),
        None => Ok(progress(202, name, &upload, 0)),
    }
}

fn upload_status(storage: &Storage, name: &str, upload: &str) -> Response {
    match storage.upload_length(upload) {
        Some(length) => progress(204, name, upload, length),
        None => Response::error(404, "BLOB_UPLOAD_UNKNOWN", "no such upload"),
    }
}

fn append(
    storage: &Storage,
    request: &mut Request<'_>,
    name: &str,
    upload: &str,
) -> Result<Response, Refused> {
    let range = request
        .headers
        .get("content-range")
        .and_then(|range| range.split('-').next()?.parse::<u64>().ok());
    let length = storage.upload_length(upload).ok_or(Refused::Unknown)?;
    if range.is_some_and(|first| first != length) {
        return Ok(progress(416, name, upload, length));
    }
    let length = storage
        .append(upload, request.body())?
        .ok_or(Refused::Unknown)?;
    Ok(progress(202, name, upload, length))
}

fn finish(
    storage: &Storage,
    request: &mut Request<'_>,
    name: &str,
    upload: &str,
) -> Result<Response, Refused> {
    let digest = request.query.get("digest").cloned().unwrap_or_default();
    storage
        .append(upload, request.body())?
        .ok_or(Refused::Unknown)?;
    storage.finish(name, upload, &digest)?;
    Ok(created(format!("/v2/{name}/blobs/{digest}"), digest))
}

fn created(location: String, digest: String) -> Response {
    Response::new(201)
        .header("Location", location)
        .header("Docker-Content-Digest", digest)
}

fn progress(status: u16, name: &str, upload: &str, length: u64) -> Response {
    let response =
        Response::new(status).header("Location", format!("/v2/{name}/blobs/uploads/{upload}"));
    let response = response.header("Docker-Upload-UUID", upload);
    response.header("Range", format!("0-{}", length.saturating_sub(1)))
}

fn deleted(done: bool) -> Response {
    if done {
        Response::new(202)
    } else {
        Response::error(404, "NAME_UNKNOWN", "nothing to delete")
    }
}

fn refused(refused: Refused) -> Response {
    let (status, code) = match refused {
        Refused::Unknown => (404, "BLOB_UPLOAD_UNKNOWN"),
        Refused::Digest(_) => (400, "DIGEST_INVALID"),
        Refused::Io(_) => (500, "UNKNOWN"),
    };
    Response::error(status, code, &refused.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_targets_and_nothing_above_the_storage() {
        let cases = [
            ("/v2/", Some(Target::Version)),
            ("/v2/a/b/tags/list", Some(Target::Tags("a/b"))),
            (
                "/v2/a/b/manifests/latest",
                Some(Target::Manifest("a/b", "latest")),
            ),
            ("/v2/a/blobs/sha256:0", Some(Target::Blob("a", "sha256:0"))),
            ("/v2/a/blobs/uploads/", Some(Target::Upload("a", ""))),
            ("/v2/a/blobs/uploads", Some(Target::Upload("a", ""))),
            ("/v2/a/blobs/uploads/7", Some(Target::Upload("a", "7"))),
            ("/v2/../x/manifests/latest", None),
            ("/v2/a/manifests/..", None),
            ("/v2/a/blobs/uploads/..", None),
            ("/v2//etc/manifests/passwd", None),
            ("/v1/", None),
        ];
        for (path, target) in cases {
            assert_eq!(Target::of(path), target, "{path}");
        }
    }
}
