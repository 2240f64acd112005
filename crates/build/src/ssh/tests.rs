use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA512, RsaPublicKeyComponents, UnparsedPublicKey,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::wire::{Reader, Writer, without_zeros};
use super::*;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/keys")
        .join(name)
}

fn read(name: &str) -> Vec<u8> {
    fs::read(path(name)).unwrap()
}

/// The public key that ssh-keygen wrote beside a private one.
fn public(name: &str) -> Vec<u8> {
    let line = String::from_utf8(read(&format!("{name}.pub"))).unwrap();
    STANDARD
        .decode(line.split(' ').nth(1).expect("a public key"))
        .unwrap()
}

const USABLE: [&str; 8] = [
    "ed25519",
    "rsa",
    "p256",
    "p384",
    "rsa-pkcs1",
    "rsa-pkcs8",
    "p256-sec1",
    "p384-pkcs8",
];

/// Checks a signature as an ssh server does, from the public key alone.
fn is_signed(public: &[u8], data: &[u8], signature: &[u8]) -> bool {
    let (mut key, mut signature) = (Reader::new(public), Reader::new(signature));
    let kind = key.text().unwrap();
    let (algorithm, signature) = (signature.text().unwrap(), signature.string().unwrap());
    match algorithm.as_str() {
        "ssh-ed25519" => UnparsedPublicKey::new(&ED25519, key.string().unwrap())
            .verify(data, signature)
            .is_ok(),
        "rsa-sha2-256" | "rsa-sha2-512" => {
            let (e, n) = (key.number().unwrap(), key.number().unwrap());
            let hash = if algorithm.ends_with("256") {
                &RSA_PKCS1_2048_8192_SHA256
            } else {
                &RSA_PKCS1_2048_8192_SHA512
            };
            RsaPublicKeyComponents { n, e }
                .verify(hash, data, signature)
                .is_ok()
        }
        _ => {
            assert_eq!(algorithm, kind);
            key.string().unwrap();
            let size = if kind.ends_with("256") { 32 } else { 48 };
            let mut numbers = Reader::new(signature);
            let mut fixed = Vec::new();
            for number in [numbers.number().unwrap(), numbers.number().unwrap()] {
                fixed.extend(vec![0; size - number.len()]);
                fixed.extend(number);
            }
            let curve = if size == 32 {
                &ECDSA_P256_SHA256_FIXED
            } else {
                &ECDSA_P384_SHA384_FIXED
            };
            UnparsedPublicKey::new(curve, key.string().unwrap())
                .verify(data, &fixed)
                .is_ok()
        }
    }
}

#[test]
fn keys_of_every_form_have_the_public_key_that_ssh_keygen_gives_them_and_sign_with_it() {
    for name in USABLE {
        let identity =
            Identity::parse(&read(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(identity.public(), public(name), "{name}");
        for flags in [2, 4, 6] {
            let signature = identity.sign(b"data", flags).expect(name);
            assert!(is_signed(identity.public(), b"data", &signature), "{name}");
            assert!(
                !is_signed(identity.public(), b"other", &signature),
                "{name}"
            );
        }
    }
    let ed25519 = Identity::parse(&read("ed25519-pkcs8")).unwrap();
    assert!(is_signed(
        ed25519.public(),
        b"data",
        &ed25519.sign(b"data", 0).unwrap()
    ));
}

#[test]
fn a_key_keeps_the_comment_of_its_file_and_shows_nothing_else() {
    let identity = Identity::parse(&read("rsa")).unwrap();
    assert_eq!(identity.comment(), "rsa@example");
    assert_eq!(
        format!("{identity:?}"),
        "Identity { comment: \"rsa@example\", .. }"
    );
}

#[test]
fn rsa_signs_with_the_hash_that_is_asked_for_and_never_with_sha_1() {
    let identity = Identity::parse(&read("rsa")).unwrap();
    let algorithm = |flags| {
        let signature = identity.sign(b"", flags)?;
        Some(Reader::new(&signature).text().unwrap())
    };
    assert_eq!(algorithm(2).as_deref(), Some("rsa-sha2-256"));
    assert_eq!(algorithm(4).as_deref(), Some("rsa-sha2-512"));
    assert_eq!(algorithm(0), None);
}

#[test]
fn files_that_are_no_usable_key_say_why() {
    let parse = |bytes: &[u8]| Identity::parse(bytes).map(|_| ()).unwrap_err();
    assert_eq!(parse(&read("locked")), KeyError::Encrypted);
    assert_eq!(parse(&read("locked-pkcs1")), KeyError::Encrypted);
    assert_eq!(
        parse(&read("p521")),
        KeyError::Unsupported("ecdsa-sha2-nistp521".to_owned())
    );
    assert_eq!(parse(&read("rsa.pub")), KeyError::NoKey);
    assert_eq!(parse(b""), KeyError::NoKey);
    let whole = read("ed25519");
    for (from, to) in [
        ("b3Blb", "!!!!!"),
        ("-----END", "-----OLD"),
        ("AAAA", "AAA/"),
    ] {
        let text = String::from_utf8(whole.clone())
            .unwrap()
            .replacen(from, to, 1);
        assert_eq!(parse(text.as_bytes()), KeyError::Damaged, "{to}");
    }
}

#[test]
fn a_key_that_is_cut_off_or_changed_anywhere_is_no_panic() {
    for name in USABLE {
        let text = String::from_utf8(read(name)).unwrap();
        let (first, rest) = text.split_once('\n').unwrap();
        let body: String = rest.lines().filter(|line| !line.starts_with('-')).collect();
        let data = STANDARD.decode(body).unwrap();
        for at in (0..data.len()).step_by(7) {
            let mut changed = data.clone();
            changed[at] ^= 0x81;
            for data in [&data[..at], &changed] {
                let end = first.replace("BEGIN", "END");
                let file = format!("{first}\n{}\n{end}\n", STANDARD.encode(data));
                drop(Identity::parse(file.as_bytes()));
            }
        }
    }
}

fn agents(id: &str, paths: &[PathBuf]) -> Result<Agents, SshError> {
    Agents::open(&[(id.to_owned(), paths.to_vec())].into())
}

#[test]
fn an_id_is_one_socket_or_key_files() {
    let directory = TempDir::new().unwrap();
    let socket = directory.path().join("agent");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let keys = agents("a", &[path("rsa"), path("ed25519")]).unwrap();
    assert!(matches!(&**keys.get("a").unwrap(), Agent::Keys(keys) if keys.len() == 2));
    assert!(keys.get("default").is_none());
    let message = |paths: &[PathBuf]| agents("a", paths).unwrap_err().to_string();
    assert_eq!(
        message(&[socket.clone(), socket.clone()]),
        "--ssh a: only one socket can answer for an id"
    );
    assert_eq!(
        message(&[socket.clone(), path("rsa")]),
        "--ssh a: an id is either a socket or key files, not both"
    );
    assert!(message(&[directory.path().join("nope")]).starts_with("--ssh a: cannot read "));
    let locked = agents("a", &[path("locked")]).unwrap_err();
    assert!(locked.hint().unwrap().contains("ssh-add"), "{locked:?}");
    let large = directory.path().join("large");
    fs::write(&large, vec![b'a'; 200_000]).unwrap();
    assert!(message(&[large]).ends_with("it is larger than 100 KiB"));
    assert!(matches!(
        &**agents("a", &[socket]).unwrap().get("a").unwrap(),
        Agent::Socket(_)
    ));
}

async fn ask(stream: &mut UnixStream, request: Vec<u8>) -> Vec<u8> {
    let framed = Writer::default().string(request).finish();
    stream.write_all(&framed).await.unwrap();
    let length = stream.read_u32().await.unwrap();
    let mut answer = vec![0; length as usize];
    stream.read_exact(&mut answer).await.unwrap();
    answer
}

/// What an agent offers: public keys and comments.
async fn offered(stream: &mut UnixStream) -> Vec<(Vec<u8>, String)> {
    let answer = ask(stream, vec![11]).await;
    let mut fields = Reader::new(&answer);
    assert_eq!(fields.take(1).unwrap(), [12]);
    let count = fields.u32().unwrap();
    let offered = (0..count).map(|_| (fields.string().unwrap().to_vec(), fields.text().unwrap()));
    let offered = offered.collect();
    assert!(fields.take(1).is_err(), "more than was announced");
    offered
}

const EVERYBODY: Access = Access {
    mode: 0o640,
    uid: 0,
    gid: 0,
};

fn access() -> Access {
    Access {
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        ..EVERYBODY
    }
}

#[tokio::test]
async fn a_socket_lists_keys_and_signs_and_does_nothing_else_with_keys_or_an_agent_behind_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = TempDir::new().unwrap();
    // Longer than the path of a socket may be.
    let deep = directory.path().join("d".repeat(150));
    fs::create_dir(&deep).unwrap();
    let (front, behind) = (directory.path().join("front"), deep.join("behind"));
    let keys = agents("a", &[path("ed25519"), path("p256")]).unwrap();
    let served = serve(Arc::clone(keys.get("a").unwrap()), &front, access()).unwrap();
    let forwarded = agents("b", std::slice::from_ref(&front)).unwrap();
    let _second = serve(Arc::clone(forwarded.get("b").unwrap()), &behind, access()).unwrap();
    let mode = fs::metadata(&behind).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o640);
    let near = directory.path().join("near");
    std::os::unix::fs::symlink(&behind, &near).unwrap();
    for socket in [&front, &near] {
        let mut stream = UnixStream::connect(socket).await.unwrap();
        let offered = offered(&mut stream).await;
        assert_eq!(
            offered,
            [
                (public("ed25519"), "ed@example".to_owned()),
                (public("p256"), "p256@example".to_owned())
            ]
        );
        let sign = |name: &str| {
            Writer::default()
                .byte(13)
                .string(public(name))
                .string("data")
                .u32(0)
                .finish()
        };
        let answer = ask(&mut stream, sign("p256")).await;
        let mut fields = Reader::new(&answer[1..]);
        assert_eq!(answer[0], 14);
        assert!(is_signed(
            &public("p256"),
            b"data",
            fields.string().unwrap()
        ));
        // A key that is not there, adding and removing keys, locking, an extension, and nonsense.
        for refused in [
            sign("rsa"),
            vec![17],
            vec![19],
            vec![22, 0, 0, 0, 0],
            vec![27],
            vec![13, 0],
        ] {
            assert_eq!(ask(&mut stream, refused).await, [5]);
        }
    }
    drop(served);
    let mut stream = UnixStream::connect(&near).await.unwrap();
    assert_eq!(
        ask(&mut stream, vec![11]).await,
        [5],
        "the agent behind is gone"
    );
}

#[tokio::test]
async fn a_message_that_is_too_large_ends_the_connection() {
    let directory = TempDir::new().unwrap();
    let socket = directory.path().join("agent");
    let keys = agents("a", &[path("ed25519")]).unwrap();
    let _served = serve(Arc::clone(keys.get("a").unwrap()), &socket, access()).unwrap();
    for length in [0, 1 << 20, u32::MAX] {
        let mut stream = UnixStream::connect(&socket).await.unwrap();
        stream.write_u32(length).await.unwrap();
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    }
}

#[test]
fn numbers_are_written_without_zeros_and_never_negative() {
    let written = |bytes: &[u8]| Writer::default().number(bytes).finish();
    assert_eq!(written(&[0, 0, 1]), [0, 0, 0, 1, 1]);
    assert_eq!(written(&[0x80]), [0, 0, 0, 2, 0, 0x80]);
    assert_eq!(written(&[0]), [0, 0, 0, 0]);
    assert_eq!(without_zeros(&[0, 0, 5, 0]), [5, 0]);
}
