//! The client against Debian's `docker-registry`, if that is installed.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use yadokari_image::{Descriptor, Digest, ImageConfig, Manifest, Platform, Repository};
use yadokari_image::{json, media_type};
use yadokari_registry::{Client, Mount, Options, Reader};
use yadokari_testkit::needs;

use crate::fake::{noise, options};

const PROGRAM: &str = "/usr/bin/docker-registry";

/// A registry process of this test alone.
pub(crate) struct Registry {
    process: Child,
    pub(crate) host: String,
    _folder: tempfile::TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts a registry; `tls` is added to the `http` section of its config.
pub(crate) async fn start(tls: &str) -> Option<Registry> {
    if let Err(lack) = needs::program("docker-registry") {
        needs::skip(&lack);
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let host = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let config = folder.path().join("config.yml");
    let text = format!(
        "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\nhttp: {{addr: {host}{tls}}}\n",
        folder.path().join("data").display()
    );
    std::fs::write(&config, text).unwrap();
    let process = Command::new(PROGRAM)
        .arg("serve")
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let registry = Registry {
        process,
        host,
        _folder: folder,
    };
    for _ in 0..100 {
        if TcpStream::connect(&registry.host).await.is_ok() {
            return Some(registry);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{PROGRAM} does not listen on {}", registry.host);
}

async fn push(client: &Client, repository: &Repository, bytes: &[u8]) -> Descriptor {
    let blob = Descriptor::of(media_type::OCI_LAYER, bytes);
    let source = Bytes::copy_from_slice(bytes);
    client
        .push_blob(repository, blob.digest, blob.size, &source)
        .await
        .unwrap();
    blob
}

#[tokio::test]
async fn an_image_goes_there_and_comes_back() {
    let Some(registry) = start("").await else {
        return;
    };
    let client = Client::new(options()).unwrap();
    let repository = Repository::new(&registry.host, "a/b").unwrap();
    client.check_push(&repository).await.unwrap();

    let layer_bytes = noise(5_000_000);
    let missing = client
        .blob_exists(&repository, Digest::of(&layer_bytes))
        .await
        .unwrap();
    assert!(!missing);
    let layer = push(&client, &repository, &layer_bytes).await;
    assert!(client.blob_exists(&repository, layer.digest).await.unwrap());
    assert_eq!(
        client.blob_size(&repository, layer.digest).await.unwrap(),
        Some(layer.size)
    );

    let config = ImageConfig::new(&Platform::new("linux", "amd64")).to_bytes();
    push(&client, &repository, &config).await;
    let config = Descriptor::of(media_type::OCI_CONFIG, &config);
    let manifest = json::indented(&Manifest::new(
        media_type::Family::Oci,
        config,
        vec![layer.clone()],
    ));
    let reference = repository.with_tag("1").unwrap();
    let digest = client
        .put_manifest(&reference, manifest.clone(), media_type::OCI_MANIFEST)
        .await
        .unwrap();

    let image = client
        .resolve_image(&reference, &Platform::new("linux", "amd64"))
        .await
        .unwrap();
    assert_eq!(
        (image.digest, image.manifest_bytes.to_vec()),
        (digest, manifest)
    );
    let mut back = Vec::new();
    let mut reader = client.blob(&repository, &layer).await.unwrap();
    reader.read_to_end(&mut back).await.unwrap();
    assert_eq!(back, layer_bytes);

    let other = Repository::new(&registry.host, "other").unwrap();
    let mount = client
        .mount_blob(&other, layer.digest, &repository)
        .await
        .unwrap();
    assert!(matches!(mount, Mount::Mounted));
    let absent = client
        .mount_blob(&other, Digest::of(b"absent"), &repository)
        .await
        .unwrap();
    let Mount::Declined(session) = absent else {
        panic!("{absent:?}")
    };
    client.cancel_upload(session).await;

    assert_eq!(client.tags(&repository).await.unwrap(), ["1"]);
    client
        .delete(&repository.with_digest(digest))
        .await
        .unwrap();
    assert_eq!(client.head_manifest(&reference).await.unwrap(), None);
}

/// Stands between client and registry, and cuts the first connection that carries more than `limit` bytes.
async fn cutting_proxy(target: String, limit: usize) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let armed = Arc::new(AtomicBool::new(true));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&target).await.unwrap();
            let armed = Arc::clone(&armed);
            tokio::spawn(async move {
                let (mut from_server, to_server) = server.into_split();
                let (from_client, mut to_client) = client.into_split();
                let up = carry(from_client, to_server, limit, armed);
                let down = tokio::io::copy(&mut from_server, &mut to_client);
                tokio::select! { () = up => {}, _ = down => {} }
            });
        }
    });
    host
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    limit: usize,
    armed: Arc<AtomicBool>,
) {
    let mut carried = 0;
    let mut piece = vec![0; 65536];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        carried += length;
        if to.write_all(&piece[..length]).await.is_err() {
            return;
        }
        if carried > limit && armed.swap(false, Ordering::SeqCst) {
            return;
        }
    }
}

#[tokio::test]
async fn an_upload_that_was_cut_is_finished_in_pieces() {
    let Some(registry) = start("").await else {
        return;
    };
    let host = cutting_proxy(registry.host.clone(), 2_000_000).await;
    let repository = Repository::new(&host, "pieces").unwrap();
    let client = Client::new(Options {
        chunk_size: 1_500_000,
        ..options()
    })
    .unwrap();
    let bytes = Bytes::from(noise(5_000_000));
    let blob = Descriptor::of(media_type::OCI_LAYER, &bytes);
    let opened = std::sync::Mutex::new(Vec::new());
    let source = |offset: u64| {
        opened.lock().unwrap().push(offset);
        let rest = bytes.slice(usize::try_from(offset).unwrap()..);
        Ok(Box::pin(std::io::Cursor::new(rest)) as Reader)
    };
    client
        .push_blob(&repository, blob.digest, blob.size, &source)
        .await
        .unwrap();
    // One request for all, then pieces that follow each other.
    let opened = opened.into_inner().unwrap();
    assert!(opened.len() >= 3 && opened.is_sorted(), "{opened:?}");
    let stored = client.blob_size(&repository, blob.digest).await.unwrap();
    assert_eq!(stored, Some(5_000_000));
}
