//! Proxies: which requests go through one, and which never do.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use yadokari_image::Repository;
use yadokari_registry::{Accept, Client, Options, Proxies, RegistryError, Scope, Secret};

use crate::fake::{Answer, Fake, image, manifest_answer, options};

/// Pulls from `registry` with these proxies, plain HTTP being allowed.
async fn pull(registry: &str, proxies: Proxies) -> Result<(), RegistryError> {
    let insecure = Scope {
        registries: [registry.to_owned()].into(),
        ..Scope::default()
    };
    let client = Client::new(Options {
        proxies,
        insecure,
        ..options()
    });
    let reference = Repository::new(registry, "a")
        .unwrap()
        .with_tag("1")
        .unwrap();
    client
        .unwrap()
        .manifest(&reference, Accept::default())
        .await
        .map(drop)
}

fn both(proxy: &Fake, no_proxy: Option<&str>) -> Proxies {
    let url = || Some(Secret::new(format!("http://user:pass@{}", proxy.host)));
    Proxies {
        http: url(),
        https: url(),
        no_proxy: no_proxy.map(str::to_owned),
    }
}

#[tokio::test]
async fn a_registry_is_reached_through_the_proxy_of_its_scheme() {
    let proxy = Fake::start(|request| {
        assert_eq!(request.header("proxy-authorization"), "Basic dXNlcjpwYXNz");
        match (request.method.as_str(), request.target.as_str()) {
            ("CONNECT", "registry.test:5000") => Answer::new(502),
            (_, "http://registry.test:5000/v2/") => Answer::new(200),
            (_, "http://registry.test:5000/v2/a/manifests/1") => manifest_answer(&image().0),
            other => panic!("{other:?}"),
        }
    })
    .await;
    pull("registry.test:5000", both(&proxy, None))
        .await
        .unwrap();
    let methods: Vec<_> = proxy
        .requests()
        .into_iter()
        .map(|request| request.method)
        .collect();
    assert_eq!(methods, ["CONNECT", "GET", "GET"]);
}

#[tokio::test]
async fn what_is_excepted_goes_past_the_proxy() {
    let proxy = Fake::start(|_| Answer::new(502)).await;
    for no_proxy in ["registry.test", ".test", "*"] {
        let failure = pull("registry.test:5000", both(&proxy, Some(no_proxy))).await;
        failure.unwrap_err();
        assert!(proxy.requests().is_empty(), "{no_proxy}");
    }
}

#[tokio::test]
async fn this_machine_is_never_reached_through_a_proxy() {
    let proxy = Fake::start(|_| Answer::new(502)).await;
    let registry = Fake::start(|request| match request.target.as_str() {
        "/v2/" => Answer::new(200),
        _ => manifest_answer(&image().0),
    })
    .await;
    pull(&registry.host, both(&proxy, None)).await.unwrap();
    assert!(proxy.requests().is_empty());
}

#[tokio::test]
async fn a_proxys_password_is_in_no_error() {
    let proxies = Proxies {
        http: Some(Secret::new("http://user:hunter2@127.0.0.1:1")),
        https: Some(Secret::new("http://user:hunter2@127.0.0.1:1")),
        no_proxy: None,
    };
    let failure = pull("registry.test:5000", proxies).await.unwrap_err();
    let source = std::error::Error::source(&failure).map(ToString::to_string);
    let shown = format!("{failure} {failure:?} {source:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    let expected =
        "cannot connect to registry.test through the proxy 127.0.0.1:1: connection refused";
    assert!(shown.contains(expected), "{shown}");
}

/// A SOCKS proxy that takes everybody to `target`, and the names it was asked for.
async fn socks(target: String) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let names = Arc::<Mutex<Vec<String>>>::default();
    let asked = Arc::clone(&names);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (asked, target) = (Arc::clone(&asked), target.clone());
            tokio::spawn(async move {
                // Greeting: version, number of methods, methods.
                let mut head = [0; 2];
                client.read_exact(&mut head).await?;
                client.read_exact(&mut vec![0; head[1].into()]).await?;
                client.write_all(&[5, 0]).await?;
                // Request: version, connect, nothing, a name with its length, port.
                let mut head = [0; 5];
                client.read_exact(&mut head).await?;
                let mut name = vec![0; usize::from(head[4]) + 2];
                client.read_exact(&mut name).await?;
                name.truncate(name.len() - 2);
                let name = String::from_utf8_lossy(&name).into_owned();
                asked.lock().unwrap().push(format!("{} {name}", head[3]));
                client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
                let mut server = TcpStream::connect(target).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    (address, names)
}

#[tokio::test]
async fn a_socks_proxy_is_spoken_to_and_looks_names_up_itself() {
    let registry = Fake::start(|request| match request.target.as_str() {
        "/v2/" => Answer::new(200),
        _ => manifest_answer(&image().0),
    })
    .await;
    let (proxy, names) = socks(registry.host.clone()).await;
    let url = Secret::new(format!("socks5://{proxy}"));
    let proxies = Proxies {
        http: Some(url.clone()),
        https: Some(url),
        no_proxy: None,
    };
    pull("registry.test:5000", proxies).await.unwrap();
    let names = names.lock().unwrap();
    assert!(!names.is_empty());
    // 3 is the kind of address that is a name.
    assert!(
        names.iter().all(|name| name == "3 registry.test"),
        "{names:?}"
    );
}
