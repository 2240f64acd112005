//! Contexts in object stores, each from a server that looks at who asks.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use yadokari_context::{BuildContext, ContextError, FetchOptions, ObjectStores, Source, fetch};

use crate::object_server::{ObjectServer, hmac};
use crate::support::{client, names, options, through};

const ID: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn archive() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_path("Dockerfile").unwrap();
    header.set_mode(0o644);
    header.set_size(5);
    header.set_cksum();
    builder.append(&header, &b"FROM "[..]).unwrap();
    through("gzip", &builder.into_inner().unwrap())
}

fn with(variables: &[(&str, &str)]) -> FetchOptions {
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    FetchOptions {
        objects: ObjectStores::new(client(), variables),
        ..options()
    }
}

async fn get(
    address: &str,
    variables: &[(&str, &str)],
    scratch: &Path,
) -> Result<BuildContext, ContextError> {
    fetch(Source::parse(address).unwrap(), scratch, with(variables)).await
}

fn told(error: &ContextError) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

#[tokio::test]
async fn s3_objects_are_fetched_with_a_signature() {
    let server = ObjectServer::s3(archive(), ID, SECRET);
    let scratch = tempfile::tempdir().unwrap();
    let home = tempfile::tempdir().unwrap();
    let profile = format!("[ci]\naws_access_key_id={ID}\naws_secret_access_key={SECRET}\n");
    let file = home.path().join("keys");
    std::fs::write(&file, profile).unwrap();
    let endpoint = server.address.as_str();
    let keys = [("AWS_ACCESS_KEY_ID", ID), ("AWS_SECRET_ACCESS_KEY", SECRET)];
    let ways: [&[(&str, &str)]; 4] = [
        &[
            ("S3_ENDPOINT", endpoint),
            ("S3_FORCE_PATH_STYLE", "true"),
            keys[0],
            keys[1],
        ],
        &[
            ("AWS_ENDPOINT_URL", endpoint),
            ("AWS_REGION", "eu-west-1"),
            keys[0],
            keys[1],
        ],
        &[
            ("AWS_ENDPOINT_URL_S3", endpoint),
            ("AWS_DEFAULT_REGION", "r2"),
            keys[0],
            keys[1],
        ],
        &[
            ("S3_ENDPOINT", endpoint),
            ("AWS_PROFILE", "ci"),
            ("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap()),
            ("AWS_CONFIG_FILE", "/nonexistent"),
        ],
    ];
    for way in ways {
        let context = get("s3://bucket/dir/context.tar.gz", way, scratch.path())
            .await
            .unwrap();
        assert_eq!(names(&context, ""), ["/Dockerfile"]);
    }
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_token_that_belongs_to_the_keys_is_sent_along() {
    let server = ObjectServer::s3(archive(), ID, SECRET);
    let scratch = tempfile::tempdir().unwrap();
    let variables = [
        ("S3_ENDPOINT", server.address.as_str()),
        ("AWS_ACCESS_KEY_ID", ID),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_SESSION_TOKEN", "session"),
    ];
    get("s3://bucket/dir/context.tar.gz", &variables, scratch.path())
        .await
        .unwrap();
    let seen = server.seen.lock().unwrap();
    assert_eq!(seen[0].headers["x-amz-security-token"], "session");
}

#[tokio::test]
async fn a_role_is_taken_on_with_a_token_from_a_file() {
    let bytes = archive();
    let server = ObjectServer::start(move |request| {
        if request.body.contains("AssumeRoleWithWebIdentity")
            || request.target.contains("AssumeRoleWithWebIdentity")
        {
            let answer = "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
                <AccessKeyId>A</AccessKeyId><SecretAccessKey>S</SecretAccessKey><SessionToken>T</SessionToken>\
                <Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>\
                </AssumeRoleWithWebIdentityResponse>";
            return (200, answer.into());
        }
        (200, bytes.clone())
    });
    let scratch = tempfile::tempdir().unwrap();
    let token = scratch.path().join("token");
    std::fs::write(&token, "jwt").unwrap();
    let variables = [
        ("S3_ENDPOINT", server.address.as_str()),
        ("AWS_ENDPOINT_URL_STS", server.address.as_str()),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/ci"),
    ];
    get("s3://bucket/x.tar.gz", &variables, scratch.path())
        .await
        .unwrap();
    let seen = server.seen.lock().unwrap();
    let last = seen.last().unwrap();
    assert!(
        last.headers["authorization"].contains("Credential=A/"),
        "{last:?}"
    );
    assert_eq!(last.headers["x-amz-security-token"], "T");
}

#[tokio::test]
async fn a_store_that_refuses_is_named_without_the_keys() {
    let server = ObjectServer::s3(archive(), ID, SECRET);
    let scratch = tempfile::tempdir().unwrap();
    let variables = [
        ("S3_ENDPOINT", server.address.as_str()),
        ("AWS_ACCESS_KEY_ID", ID),
        ("AWS_SECRET_ACCESS_KEY", "wrong-secret"),
    ];
    let refused = get("s3://bucket/dir/context.tar.gz", &variables, scratch.path()).await;
    let text = told(&refused.unwrap_err());
    assert!(
        text.starts_with("cannot read s3://bucket/dir/context.tar.gz"),
        "{text}"
    );
    assert!(
        text.contains("403") && !text.contains("wrong-secret"),
        "{text}"
    );
    let right = [
        variables[0],
        variables[1],
        ("AWS_SECRET_ACCESS_KEY", SECRET),
    ];
    let missing = get("s3://bucket/nothing", &right, scratch.path()).await;
    assert!(told(&missing.unwrap_err()).contains("404"));
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn google_objects_come_from_an_emulator_or_with_a_token() {
    let bytes = archive();
    let server = ObjectServer::start(move |request| match request.target.as_str() {
        "/bucket/dir%2Fx%2Etar%2Egz" => (200, bytes.clone()),
        _ => (404, vec![]),
    });
    let scratch = tempfile::tempdir().unwrap();
    let emulator = [("STORAGE_EMULATOR_HOST", server.address.as_str())];
    let bare = [(
        "STORAGE_EMULATOR_HOST",
        server.address.trim_start_matches("http://"),
    )];
    for variables in [emulator, bare] {
        let context = get("gs://bucket/dir/x.tar.gz", &variables, scratch.path())
            .await
            .unwrap();
        assert_eq!(names(&context, ""), ["/Dockerfile"]);
    }
    let token = [
        ("GOOGLE_BASE_URL", server.address.as_str()),
        ("GOOGLE_BEARER_TOKEN", "ya29"),
    ];
    get("gs://bucket/dir/x.tar.gz", &token, scratch.path())
        .await
        .unwrap();
    let seen = server.seen.lock().unwrap();
    assert!(!seen[0].headers.contains_key("authorization"));
    assert_eq!(seen[2].headers["authorization"], "Bearer ya29");
}

#[tokio::test]
async fn blobs_of_azure_are_fetched_with_the_accounts_key() {
    let (bytes, key) = (archive(), b"account key".as_slice());
    let server = ObjectServer::start(move |request| {
        let header = |name: &str| request.headers.get(name).cloned().unwrap_or_default();
        let text = format!(
            "GET\n\n\n\n\n\n{}\n\n\n\n\n\nx-ms-version:{}\n/acc{}",
            header("date"),
            header("x-ms-version"),
            "/c/dir/x.tar.gz"
        );
        let expected = format!(
            "SharedKey acc:{}",
            STANDARD.encode(hmac(key, text.as_bytes()))
        );
        match header("authorization") == expected {
            true => (200, bytes.clone()),
            false => (403, text.into_bytes()),
        }
    });
    let scratch = tempfile::tempdir().unwrap();
    let variables = [
        ("AZURE_STORAGE_ENDPOINT", server.address.as_str()),
        ("AZURE_STORAGE_ACCESS_KEY", &STANDARD.encode(key)),
    ];
    let address = "https://acc.blob.core.windows.net/c/dir/x.tar.gz";
    let context = get(address, &variables, scratch.path()).await.unwrap();
    assert_eq!(names(&context, ""), ["/Dockerfile"]);
    let wrong = [variables[0], ("AZURE_STORAGE_ACCESS_KEY", "d3Jvbmc=")];
    let text = told(&get(address, &wrong, scratch.path()).await.unwrap_err());
    assert!(text.contains("403") && !text.contains("d3Jvbmc"), "{text}");
}

#[tokio::test]
async fn without_credentials_the_variables_that_hold_them_are_named() {
    let refusing = ObjectServer::start(|_| (403, vec![]));
    let scratch = tempfile::tempdir().unwrap();
    let home = scratch.path().to_str().unwrap();
    let address = refusing.address.as_str();
    // The machine's metadata service refuses.
    let table = [
        (
            "s3://bucket/x.tar.gz",
            vec![("AWS_METADATA_ENDPOINT", address), ("HOME", home)],
            "AWS_ACCESS_KEY_ID",
        ),
        (
            "s3://bucket/x.tar.gz",
            vec![
                ("AWS_METADATA_ENDPOINT", address),
                ("HOME", home),
                ("S3_ENDPOINT", address),
            ],
            "AWS_SKIP_SIGNATURE",
        ),
    ];
    for (object, variables, named) in table {
        let error = get(object, &variables, scratch.path()).await.unwrap_err();
        let hint = match &error {
            ContextError::Object(error) => error.hint(),
            _ => None,
        };
        assert!(hint.unwrap_or_default().contains(named), "{}", told(&error));
    }
    // Where nobody is meant to ask with a name, the store's own answer is told.
    let public = [
        ("S3_ENDPOINT", address),
        ("AWS_SKIP_SIGNATURE", "true"),
        ("HOME", home),
    ];
    let error = get("s3://bucket/x.tar.gz", &public, scratch.path()).await;
    assert!(told(&error.unwrap_err()).contains("403"));
}
