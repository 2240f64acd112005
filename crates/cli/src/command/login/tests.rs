//! Logins as they are typed, and what lies in the configuration afterwards.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;
use crate::environment::Terminals;
use crate::flags::RegistryFlags;
use crate::report::UNUSABLE;

/// A person, or a pipe, with one answer of each kind; what was asked is kept.
#[derive(Default)]
struct Answers {
    piped: Option<&'static str>,
    name: Option<&'static str>,
    secret: Option<&'static str>,
    asked: Vec<String>,
}

impl Answers {
    fn piped(text: &'static str) -> Self {
        Self {
            piped: Some(text),
            ..Self::default()
        }
    }

    fn answer(answer: Option<&str>) -> io::Result<String> {
        answer
            .map(str::to_owned)
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

impl Prompt for Answers {
    fn read_all(&mut self) -> io::Result<String> {
        Self::answer(self.piped)
    }

    fn ask(&mut self, question: &str) -> io::Result<String> {
        self.asked.push(question.to_owned());
        Self::answer(self.name)
    }

    fn ask_secret(&mut self, question: &str) -> io::Result<String> {
        self.asked.push(question.to_owned());
        Self::answer(self.secret)
    }
}

fn environment(directory: &Path) -> Environment {
    Environment::default().with_variables([("DOCKER_CONFIG", directory.as_os_str())])
}

fn login(registry: &str, password: Option<&str>) -> Login {
    Login {
        registry: registry.to_owned(),
        username: Some("me".to_owned()),
        password: password.map(str::to_owned),
        password_stdin: password.is_none(),
        store_only: true,
        reach: RegistryFlags::default(),
    }
}

#[tokio::test]
async fn a_login_keeps_what_else_is_in_the_file_and_a_logout_removes_it_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.json");
    std::fs::write(
        &path,
        r#"{"credHelpers":{"x":"y"},"auths":{"other":{"auth":"eA=="}}}"#,
    )
    .unwrap();
    let environment = environment(directory.path());
    let told = run(
        &login("r.example:5000", None),
        &environment,
        &mut Answers::piped("pass:word"),
    )
    .await
    .unwrap();
    assert!(!told.contains("pass"), "{told}");
    let config = read(&path).unwrap();
    assert_eq!(
        config["auths"]["r.example:5000"]["auth"],
        STANDARD.encode("me:pass:word")
    );
    assert_eq!(
        (&config["credHelpers"], &config["auths"]["other"]["auth"]),
        (&json!({"x": "y"}), &json!("eA=="))
    );
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    logout(
        &Logout {
            registry: "r.example:5000".to_owned(),
        },
        &environment,
    )
    .await
    .unwrap();
    assert_eq!(read(&path).unwrap()["auths"].as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn docker_hub_is_stored_under_its_old_address() {
    let directory = tempfile::tempdir().unwrap();
    let environment = environment(directory.path());
    let told = run(
        &login("docker.io", Some("p")),
        &environment,
        &mut Answers::default(),
    )
    .await
    .unwrap();
    assert!(told.contains("--password-stdin"), "{told}");
    let config = read(&directory.path().join("config.json")).unwrap();
    assert!(config["auths"]["https://index.docker.io/v1/"].is_object());
}

#[tokio::test]
async fn what_is_left_out_is_asked_for_at_a_terminal_and_an_error_elsewhere() {
    let directory = tempfile::tempdir().unwrap();
    let both = ["Username for r.example: ", "Password: "];
    // Flags, a terminal, answers, what is asked, what is missing or stored.
    let table = [
        (
            (None, None),
            true,
            (Some(" me "), Some("p w")),
            &both[..],
            Ok("me:p w"),
        ),
        (
            (Some("you"), None),
            true,
            (None, Some("p")),
            &both[1..],
            Ok("you:p"),
        ),
        (
            (None, Some("p")),
            true,
            (Some("me"), None),
            &both[..1],
            Ok("me:p"),
        ),
        (
            (Some(""), None),
            true,
            (Some(""), None),
            &both[..1],
            Err("--username is missing"),
        ),
        (
            (Some("me"), None),
            true,
            (None, Some("")),
            &both[1..],
            Err("--password-stdin is missing"),
        ),
        (
            (Some("me"), None),
            true,
            (None, None),
            &both[1..],
            Err("cannot ask at this terminal"),
        ),
        (
            (None, None),
            false,
            (Some("me"), Some("p")),
            &[],
            Err("--username is missing"),
        ),
        (
            (Some("me"), None),
            false,
            (None, Some("p")),
            &[],
            Err("--password-stdin is missing"),
        ),
    ];
    for ((username, password), terminal, (name, secret), asked, expected) in table {
        let mut environment = environment(directory.path());
        environment.terminals = Terminals {
            stdin: terminal,
            ..Terminals::default()
        };
        let login = Login {
            username: username.map(str::to_owned),
            password_stdin: false,
            ..login("r.example", password)
        };
        let mut answers = Answers {
            name,
            secret,
            ..Answers::default()
        };
        let told = run(&login, &environment, &mut answers).await;
        assert_eq!(answers.asked, asked, "{username:?} {password:?}");
        match (told, expected) {
            (Ok(_), Ok(pair)) => {
                let config = read(&directory.path().join("config.json")).unwrap();
                let stored = &config["auths"]["r.example"]["auth"];
                assert_eq!(stored, &STANDARD.encode(pair));
            }
            (Err(failure), Err(reason)) => {
                assert!(failure.to_text().contains(reason), "{failure:?}");
            }
            (told, expected) => panic!("{told:?} instead of {expected:?}"),
        }
    }
}

#[tokio::test]
async fn a_password_from_a_pipe_needs_a_name_beside_it() {
    let nobody = Login {
        username: None,
        ..login("r", None)
    };
    let mut answers = Answers::piped("p");
    let failure = run(&nobody, &Environment::default(), &mut answers)
        .await
        .unwrap_err();
    assert_eq!(failure.code, UNUSABLE);
    assert!(answers.asked.is_empty());
}

#[tokio::test]
async fn a_store_that_is_named_keeps_the_password() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("docker-credential-kept");
    let kept = directory.path().join("kept");
    let script = format!(
        "#!/bin/sh\ncase $1 in\nstore) cat > {kept} ;;\nget) [ -f {kept} ] && echo '{{\"Username\":\"me\",\"Secret\":\"p\"}}' || {{ echo credentials not found in native keychain; exit 1; }} ;;\nerase) rm {kept} ;;\nesac\n",
        kept = kept.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let config = directory.path().join("config.json");
    std::fs::write(&config, r#"{"credsStore":"kept"}"#).unwrap();
    let path = format!("{}:/usr/bin:/bin", directory.path().display());
    let config_directory = directory.path().display().to_string();
    let variables = [("PATH", path), ("DOCKER_CONFIG", config_directory)];
    let environment = Environment::default().with_variables(variables);
    let told = run(
        &login("r.example", None),
        &environment,
        &mut Answers::piped("hunter2"),
    )
    .await
    .unwrap();
    assert!(told.contains("docker-credential-kept"), "{told}");
    let given: Value = serde_json::from_slice(&std::fs::read(&kept).unwrap()).unwrap();
    let expected = json!({"ServerURL": "r.example", "Username": "me", "Secret": "hunter2"});
    assert_eq!(given, expected);
    let text = std::fs::read_to_string(&config).unwrap();
    assert!(
        text.contains("r.example") && !text.contains("hunter2"),
        "{text}"
    );
    let gone = Logout {
        registry: "https://r.example/v2/".to_owned(),
    };
    assert!(
        logout(&gone, &environment)
            .await
            .unwrap()
            .contains("removed")
    );
    assert!(!kept.exists());
    assert!(
        logout(&gone, &environment)
            .await
            .unwrap()
            .contains("no credentials")
    );
}
