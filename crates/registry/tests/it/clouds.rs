//! The registries of the clouds, against servers that speak each cloud's exchange.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use yadokari_image::Repository;
use yadokari_registry::credentials::{CloudRegistries, DockerConfig, Environment};
use yadokari_registry::{
    Candidates, Client, Clouds, Credential, Credentials, Options, Proxies, Scope, Secret,
};

use crate::fake::{Answer, Fake, Request, error, image, manifest_answer, options};
use crate::signature;

const ECR: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
const NOW: fn() -> SystemTime = || SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);

fn clouds(variables: &[(&str, &str)]) -> Clouds {
    clouds_with(variables, &options())
}

fn clouds_with(variables: &[(&str, &str)], options: &Options) -> Clouds {
    Clouds::new(environment(variables), options, NOW)
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    let owned = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Environment::new(owned.collect())
}

async fn ask(source: &impl Credentials, registry: &str) -> Candidates {
    source
        .candidates(&Repository::new(registry, "a").unwrap())
        .await
}

/// User name and password of the only candidate, and where it comes from.
fn only(candidates: &Candidates) -> (String, String, String) {
    let [candidate] = candidates.found.as_slice() else {
        panic!("{candidates:?}")
    };
    let (name, secret) = match &candidate.credential {
        Credential::Password { username, password } => (username.as_str(), password.expose()),
        Credential::IdentityToken(token) => ("<token>", token.expose()),
        other => panic!("{other:?}"),
    };
    (name.to_owned(), secret.to_owned(), candidate.source.clone())
}

fn form(request: &Request) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(&request.body)
        .into_owned()
        .collect()
}

fn json_answer(value: &Value) -> Answer {
    Answer::new(200)
        .header("content-type", "application/json")
        .body(value.to_string())
}

/// Amazon's registry service, for which `key` and `secret` are good.
fn ecr(request: &Request, key: &str, secret: &str, token: Option<&str>) -> Answer {
    assert_eq!(
        (request.method.as_str(), request.target.as_str()),
        ("POST", "/")
    );
    if !signature::is_good(request, key, secret, "eu-west-1", "ecr") {
        return Answer::new(403)
            .body(r#"{"__type":"InvalidSignatureException","message":"bad signature"}"#);
    }
    assert_eq!(
        request.header("x-amz-target"),
        "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"
    );
    assert_eq!(
        request.header("x-amz-security-token"),
        token.unwrap_or_default()
    );
    assert_eq!(request.body, br#"{"registryIds":["123456789012"]}"#);
    let token = STANDARD.encode("AWS:registry-password");
    json_answer(&json!({"authorizationData": [{"authorizationToken": token, "expiresAt": 1.8e9}]}))
}

#[tokio::test]
async fn ecr_gives_a_password_for_a_signed_request_and_is_asked_once() {
    let fake = Fake::start(|request| ecr(request, "KEY", "SECRET", None)).await;
    let url = format!("http://{}", fake.host);
    let source = CloudRegistries::ecr(clouds(&[
        ("AWS_ACCESS_KEY_ID", "KEY"),
        ("AWS_SECRET_ACCESS_KEY", "SECRET"),
        ("AWS_ENDPOINT_URL_ECR", &url),
    ]));
    for _ in 0..3 {
        let (user, password, source) = only(&ask(&source, ECR).await);
        assert_eq!(
            (user.as_str(), password.as_str()),
            ("AWS", "registry-password")
        );
        assert_eq!(source, "Amazon ECR, with AWS_ACCESS_KEY_ID");
    }
    assert_eq!(fake.requests().len(), 1);
    assert!(ask(&source, "registry.example.com").await.found.is_empty());
}

#[tokio::test]
async fn a_wrong_key_is_a_failure_with_amazons_words() {
    let fake = Fake::start(|request| ecr(request, "KEY", "SECRET", None)).await;
    let url = format!("http://{}", fake.host);
    let source = CloudRegistries::ecr(clouds(&[
        ("AWS_ACCESS_KEY_ID", "KEY"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ("AWS_ENDPOINT_URL", &url),
    ]));
    let candidates = ask(&source, ECR).await;
    assert!(candidates.found.is_empty());
    let failure = candidates.failures[0].to_string();
    assert!(
        failure.contains("bad signature") && failure.contains("403"),
        "{failure}"
    );
    assert!(!format!("{candidates:?}{source:?}").contains("hunter2"));
}

#[tokio::test]
async fn public_ecr_has_a_service_of_its_own() {
    let fake = Fake::start(|request| {
        assert!(signature::is_good(
            request,
            "KEY",
            "SECRET",
            "us-east-1",
            "ecr-public"
        ));
        assert_eq!(
            request.header("x-amz-target"),
            "SpencerFrontendService.GetAuthorizationToken"
        );
        json_answer(
            &json!({"authorizationData": {"authorizationToken": STANDARD.encode("AWS:public")}}),
        )
    })
    .await;
    let url = format!("http://{}", fake.host);
    let source = CloudRegistries::ecr(clouds(&[
        ("AWS_ACCESS_KEY_ID", "KEY"),
        ("AWS_SECRET_ACCESS_KEY", "SECRET"),
        ("AWS_ENDPOINT_URL_ECR_PUBLIC", &url),
    ]));
    assert_eq!(only(&ask(&source, "public.ecr.aws").await).1, "public");
}

const STS: &str = "<ROLE><Credentials><AccessKeyId>ASIAROLEKEYROLEKEY</AccessKeyId><SecretAccessKey>rolesecretrolesecretrolesecretrolesecret0</SecretAccessKey>\
    <SessionToken>SESSION</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></ROLE>";

fn sts_answer(action: &str) -> Answer {
    let body = STS.replace("ROLE>", &format!("{action}Result>"));
    Answer::new(200).body(format!("<{action}Response>{body}</{action}Response>"))
}

#[tokio::test]
async fn a_web_identity_becomes_a_role() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "job-token\n").unwrap();
    let fake = Fake::start(|request| {
        let fields = form(request);
        match fields.get("Action").map(String::as_str) {
            Some("AssumeRoleWithWebIdentity") => {
                assert_eq!(fields["RoleArn"], "arn:aws:iam::1:role/push");
                assert_eq!(fields["WebIdentityToken"], "job-token");
                assert_eq!(fields["RoleSessionName"], "pipeline");
                sts_answer("AssumeRoleWithWebIdentity")
            }
            _ => ecr(
                request,
                "ASIAROLEKEYROLEKEY",
                "rolesecretrolesecretrolesecretrolesecret0",
                Some("SESSION"),
            ),
        }
    })
    .await;
    let url = format!("http://{}", fake.host);
    let source = CloudRegistries::ecr(clouds(&[
        ("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap()),
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/push"),
        ("AWS_ROLE_SESSION_NAME", "pipeline"),
        ("AWS_ENDPOINT_URL", &url),
    ]));
    let (_, password, told) = only(&ask(&source, ECR).await);
    assert_eq!(password, "registry-password");
    assert!(told.contains("AWS_WEB_IDENTITY_TOKEN_FILE"), "{told}");
}

#[tokio::test]
async fn profiles_have_keys_and_roles() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    let write =
        |name: &str, text: &str| std::fs::write(home.path().join(".aws").join(name), text).unwrap();
    write(
        "credentials",
        "[ci]\naws_access_key_id = KEY\naws_secret_access_key = SEC/RET\\x\n",
    );
    write(
        "config",
        "[default]\nregion = eu-west-1\n[profile push]\nrole_arn = arn:aws:iam::123456789012:role/push\nsource_profile = ci\n\
         [profile code]\nrole_arn = a\nsource_profile = ci\nmfa_serial = x\n[profile loop]\nrole_arn = a\nsource_profile = loop\n",
    );
    let fake = Fake::start(|request| {
        let query = url::Url::parse(&format!("http://x{}", request.target)).unwrap();
        let asked: BTreeMap<String, String> = query
            .query_pairs()
            .into_owned()
            .chain(form(request))
            .collect();
        match asked.get("Action").map(String::as_str) {
            Some("AssumeRole") => {
                assert_eq!(asked["RoleArn"], "arn:aws:iam::123456789012:role/push");
                assert!(request.header("authorization").contains("Credential=KEY/"));
                sts_answer("AssumeRole")
            }
            _ if request
                .header("authorization")
                .contains("ASIAROLEKEYROLEKEY") =>
            {
                ecr(
                    request,
                    "ASIAROLEKEYROLEKEY",
                    "rolesecretrolesecretrolesecretrolesecret0",
                    Some("SESSION"),
                )
            }
            _ => ecr(request, "KEY", "SEC/RET\\x", None),
        }
    })
    .await;
    let url = format!("http://{}", fake.host);
    let home = home.path().to_str().unwrap();
    let with = |profile: &str| {
        CloudRegistries::ecr(clouds(&[
            ("HOME", home),
            ("AWS_PROFILE", profile),
            ("AWS_ENDPOINT_URL", &url),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ]))
    };
    for profile in ["ci", "push"] {
        assert_eq!(
            only(&ask(&with(profile), ECR).await).1,
            "registry-password",
            "{profile}"
        );
    }
    for (profile, reason) in [
        ("absent", "no such profile"),
        ("code", "code from a device"),
        ("loop", "never end"),
    ] {
        let failures = ask(&with(profile), ECR).await.failures;
        assert!(
            failures[0].to_string().contains(reason),
            "{profile}: {failures:?}"
        );
    }
    let default = ask(&with(""), ECR).await.failures;
    assert!(
        default[0].to_string().contains("no identity"),
        "{default:?}"
    );
}

#[tokio::test]
async fn containers_and_machines_have_roles() {
    let role = json!({
        "Code": "Success",
        "AccessKeyId": "ASIAROLEKEYROLEKEY",
        "SecretAccessKey": "rolesecretrolesecretrolesecretrolesecret0",
        "Token": "SESSION",
        "Expiration": "2099-01-01T00:00:00Z",
        "LastUpdated": "2026-01-01T00:00:00Z",
    });
    let fake =
        Fake::start(
            move |request| match (request.method.as_str(), request.target.as_str()) {
                ("GET", "/container") => {
                    assert_eq!(request.header("authorization"), "pod-token");
                    json_answer(&role)
                }
                ("PUT", "/latest/api/token") => Answer::new(200).body("imds"),
                ("GET", path) if request.header("x-aws-ec2-metadata-token") == "imds" => {
                    match path.strip_prefix("/latest/meta-data/iam/security-credentials/") {
                        Some("") => Answer::new(200).body("push"),
                        Some("push") => json_answer(&role),
                        _ => Answer::new(404),
                    }
                }
                ("GET", _) => Answer::new(401),
                _ => ecr(
                    request,
                    "ASIAROLEKEYROLEKEY",
                    "rolesecretrolesecretrolesecretrolesecret0",
                    Some("SESSION"),
                ),
            },
        )
        .await;
    let url = format!("http://{}", fake.host);
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "pod-token").unwrap();
    let container = format!("{url}/container");
    let container = CloudRegistries::ecr(clouds(&[
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &container),
        (
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            token.to_str().unwrap(),
        ),
        ("AWS_ENDPOINT_URL", &url),
    ]));
    let machine = CloudRegistries::ecr(clouds(&[
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url),
        ("AWS_ENDPOINT_URL", &url),
    ]));
    for (source, told) in [(container, "container's role"), (machine, "machine's role")] {
        let found = only(&ask(&source, ECR).await);
        assert_eq!(found.1, "registry-password");
        assert!(found.2.contains(told), "{found:?}");
    }
}

/// A key file of a service account whose tokens come from `server`.
fn service_account(path: &Path, server: &str) {
    let key = include_str!("../data/account.key");
    let text = json!({
        "type": "service_account",
        "client_email": "push@project.iam.gserviceaccount.com",
        "private_key_id": "k1",
        "private_key": key,
        "token_uri": format!("{server}/token"),
    });
    std::fs::write(path, text.to_string()).unwrap();
}

/// The claims of a token, once its signature is seen to be that of the account.
fn claims(assertion: &str) -> Value {
    let key = PrivatePkcs8KeyDer::from_pem_slice(include_bytes!("../data/account.key")).unwrap();
    let key = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap();
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key())
        .verify(signed.as_bytes(), &signature)
        .unwrap();
    let claims = signed.split_once('.').unwrap().1;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

#[tokio::test]
async fn a_service_account_signs_a_claim_for_its_token() {
    let fake = Fake::start(|request| {
        let fields = form(request);
        assert_eq!(
            fields["grant_type"],
            "urn:ietf:params:oauth:grant-type:jwt-bearer"
        );
        let claims = claims(&fields["assertion"]);
        assert_eq!(claims["iss"], "push@project.iam.gserviceaccount.com");
        assert_eq!(
            claims["scope"],
            "https://www.googleapis.com/auth/cloud-platform"
        );
        assert_eq!(
            (&claims["iat"], &claims["exp"]),
            (&json!(1_800_000_000), &json!(1_800_003_600))
        );
        json_answer(&json!({"access_token": "ya29", "expires_in": 3599}))
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.json");
    service_account(&file, &format!("http://{}", fake.host));
    let source = CloudRegistries::google(clouds(&[(
        "GOOGLE_APPLICATION_CREDENTIALS",
        file.to_str().unwrap(),
    )]));
    for registry in ["eu.gcr.io", "europe-docker.pkg.dev"] {
        let (user, password, _) = only(&ask(&source, registry).await);
        assert_eq!(
            (user.as_str(), password.as_str()),
            ("oauth2accesstoken", "ya29")
        );
    }
    assert!(ask(&source, "gcr.io.evil.com").await.found.is_empty());
}

#[tokio::test]
async fn a_key_file_that_is_none_is_named_and_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.json");
    let cases = [
        ("hunter2", "not JSON"),
        (
            r#"{"type":"service_account","client_email":"a","private_key":"hunter2"}"#,
            "no RSA key",
        ),
        (r#"{"type":"magic"}"#, "`magic`"),
        (
            r#"{"type":"service_account","token_uri":"http://evil.com/hunter2","client_email":"a"}"#,
            "private_key",
        ),
    ];
    for (text, reason) in cases {
        std::fs::write(&file, text).unwrap();
        let source = CloudRegistries::google(clouds(&[(
            "GOOGLE_APPLICATION_CREDENTIALS",
            file.to_str().unwrap(),
        )]));
        let failure = ask(&source, "gcr.io").await.failures[0].to_string();
        assert!(
            failure.contains(reason) && failure.contains("key.json"),
            "{failure}"
        );
        assert!(!failure.contains("hunter2"), "{failure}");
    }
}

#[tokio::test]
async fn the_metadata_server_gives_the_machines_token() {
    let fake = Fake::start(|request| {
        assert_eq!(request.header("metadata-flavor"), "Google");
        assert!(
            request
                .target
                .starts_with("/computeMetadata/v1/instance/service-accounts/default/token")
        );
        json_answer(&json!({"access_token": "from-metadata", "expires_in": 100}))
    })
    .await;
    let source = CloudRegistries::google(clouds(&[("GCE_METADATA_HOST", &fake.host)]));
    assert_eq!(only(&ask(&source, "gcr.io").await).1, "from-metadata");
}

#[tokio::test]
async fn a_jobs_own_token_becomes_googles() {
    let fake = Fake::start(|request| match request.target.as_str() {
        "/sts" => {
            let fields = form(request);
            assert_eq!(fields["subject_token"], "job-token");
            assert_eq!(fields["audience"], "//iam.googleapis.com/pool");
            json_answer(&json!({"access_token": "federated", "expires_in": 3600}))
        }
        "/account:generateAccessToken" => {
            assert_eq!(request.header("authorization"), "Bearer federated");
            json_answer(
                &json!({"accessToken": "as-the-account", "expireTime": "2099-01-01T00:00:00Z"}),
            )
        }
        other => panic!("{other}"),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let token = write("token", json!({"id_token": "job-token"}).to_string());
    let file = json!({
        "type": "external_account",
        "audience": "//iam.googleapis.com/pool",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": format!("http://{}/sts", fake.host),
        "service_account_impersonation_url": format!("http://{}/account:generateAccessToken", fake.host),
        "credential_source": {
            "file": token,
            "format": {"type": "json", "subject_token_field_name": "id_token"},
        },
    });
    let file = write("external.json", file.to_string());
    let source = CloudRegistries::google(clouds(&[(
        "GOOGLE_APPLICATION_CREDENTIALS",
        file.to_str().unwrap(),
    )]));
    assert_eq!(only(&ask(&source, "gcr.io").await).1, "as-the-account");
}

/// Azure's directory, metadata service and registry in one; the registry is reached through it as a proxy.
fn azure(request: &Request) -> Answer {
    let fields = form(request);
    let basic = request.header("authorization").to_owned();
    match request.target.as_str() {
        "/tenant/oauth2/v2.0/token" => {
            assert_eq!(fields["scope"], "https://management.azure.com/.default");
            assert_eq!(fields["client_id"], "client");
            let proof = fields
                .get("client_secret")
                .or_else(|| fields.get("client_assertion"));
            assert_eq!(proof.map(String::as_str), Some("proof"));
            json_answer(&json!({"access_token": "directory", "expires_in": "3599"}))
        }
        target if target.starts_with("/metadata/identity/oauth2/token?") => {
            assert_eq!(request.header("metadata"), "true");
            assert!(
                target.contains("resource=https%3A%2F%2Fmanagement.azure.com"),
                "{target}"
            );
            json_answer(&json!({"access_token": "directory", "expires_in": "3599"}))
        }
        "http://x.azurecr.io/oauth2/exchange" => {
            assert_eq!(
                (fields["grant_type"].as_str(), fields["service"].as_str()),
                ("access_token", "x.azurecr.io")
            );
            assert_eq!(fields["access_token"], "directory");
            json_answer(&json!({"refresh_token": "registry-refresh"}))
        }
        "http://x.azurecr.io/oauth2/token" => {
            assert_eq!(fields["refresh_token"], "registry-refresh");
            json_answer(&json!({"access_token": "registry-access"}))
        }
        "http://x.azurecr.io/v2/a/manifests/1" if basic == "Bearer registry-access" => {
            manifest_answer(&image().0)
        }
        target if target.starts_with("http://x.azurecr.io/v2/") => error(401, "UNAUTHORIZED")
            .header(
                "www-authenticate",
                r#"Bearer realm="http://x.azurecr.io/oauth2/token",service="x.azurecr.io""#,
            ),
        _ => Answer::new(404),
    }
}

#[tokio::test]
async fn azures_directory_token_is_exchanged_at_the_registry() {
    let fake = Fake::start(azure).await;
    let url = format!("http://{}", fake.host);
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("federated");
    std::fs::write(&token, "proof\n").unwrap();
    let through = Options {
        proxies: Proxies {
            http: Some(Secret::new(&*url)),
            https: Some(Secret::new(&*url)),
            no_proxy: None,
        },
        insecure: Scope {
            registries: ["x.azurecr.io".to_owned()].into(),
            ..Scope::default()
        },
        ..options()
    };
    let named = [
        ("AZURE_TENANT_ID", "tenant"),
        ("AZURE_CLIENT_ID", "client"),
        ("AZURE_AUTHORITY_HOST", &*url),
    ];
    let secret = [&named[..], &[("AZURE_CLIENT_SECRET", "proof")]].concat();
    let federated = [
        &named[..],
        &[("AZURE_FEDERATED_TOKEN_FILE", token.to_str().unwrap())],
    ]
    .concat();
    let machine = vec![("AZURE_POD_IDENTITY_AUTHORITY_HOST", &*url)];
    for variables in [secret, federated, machine] {
        let source = CloudRegistries::acr(clouds_with(&variables, &through));
        let (kind, token, _) = only(&ask(&source, "x.azurecr.io").await);
        assert_eq!(
            (kind.as_str(), token.as_str()),
            ("<token>", "registry-refresh")
        );
        let client = Client::new(Options {
            credentials: std::sync::Arc::new(source),
            ..through.clone()
        })
        .unwrap();
        let reference = Repository::new("x.azurecr.io", "a")
            .unwrap()
            .with_tag("1")
            .unwrap();
        let found = client
            .manifest(&reference, yadokari_registry::Accept::default())
            .await
            .unwrap();
        assert_eq!(found.bytes, image().0);
    }
}

#[tokio::test]
async fn without_any_identity_the_registry_is_asked_anonymously() {
    let nobody = [
        ("GCE_METADATA_HOST", "127.0.0.1:1"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1"),
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:1"),
    ];
    let clouds = clouds(&nobody);
    let cases = [
        (CloudRegistries::google(clouds.clone()), "gcr.io", "Google"),
        (
            CloudRegistries::ecr(clouds.clone()),
            "public.ecr.aws",
            "AWS",
        ),
        (CloudRegistries::acr(clouds), "x.azurecr.io", "Azure"),
    ];
    for (source, registry, cloud) in cases {
        let candidates = ask(&source, registry).await;
        assert!(candidates.found.is_empty());
        let failure = candidates.failures[0].to_string();
        assert!(
            failure.contains(&format!("no identity for {cloud}")),
            "{failure}"
        );
    }
}

#[tokio::test]
async fn a_cloud_stands_in_for_its_helper_program() {
    let fake = Fake::start(|request| ecr(request, "KEY", "SECRET", None)).await;
    let url = format!("http://{}", fake.host);
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.json");
    let variables = [
        ("PATH", "/nonexistent"),
        ("AWS_ACCESS_KEY_ID", "KEY"),
        ("AWS_SECRET_ACCESS_KEY", "SECRET"),
        ("AWS_ENDPOINT_URL", &*url),
    ];
    for text in [
        r#"{"credsStore":"ecr-login"}"#.to_owned(),
        format!(r#"{{"credHelpers":{{"{ECR}":"ecr-login"}}}}"#),
    ] {
        std::fs::write(&config, text).unwrap();
        let source = DockerConfig::file(config.clone(), environment(&variables))
            .with_clouds(clouds(&variables));
        assert_eq!(only(&ask(&source, ECR).await).1, "registry-password");
        assert!(ask(&source, "r.io").await.found.is_empty());
    }
}
