//! What the pages for the first ten minutes say, typed word for word by an ordinary user.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use yadokari_testkit::registry::Options;
use yadokari_testkit::user::User;
use yadokari_testkit::{
    Docker, Login, Mirror, Registry, cache, executor, needs, process, skip_unless, validate,
};

/// A user who has read a page, and what the machine has for them.
struct Newcomer {
    user: User,
    docker: Docker,
    mirror: Mirror,
    registry: Registry,
    /// Where everything is typed.
    directory: PathBuf,
}

impl Newcomer {
    fn new() -> Self {
        let login = Login {
            user: "me".to_owned(),
            password: "and my password".to_owned(),
        };
        let user = User::with_subordinate_ids().unwrap();
        let directory = user.home().join("first");
        std::fs::create_dir(&directory).unwrap();
        Self {
            docker: Docker::start().unwrap(),
            mirror: Mirror::busybox().unwrap(),
            registry: Registry::start(Options {
                login: Some(login),
                ..Options::default()
            })
            .unwrap(),
            user,
            directory,
        }
    }

    /// The executable, where a build of it leaves it.
    fn with_executable(self) -> Self {
        let place = self.directory.join("target/dist");
        std::fs::create_dir_all(&place).unwrap();
        std::fs::copy(executor::path().unwrap(), place.join("yadokari")).unwrap();
        self.user.own(&self.directory).unwrap();
        self
    }

    /// Types a line, with the registry that is here in place of the page's, and gives what it prints.
    fn types(&self, line: &str) -> String {
        let line = line.replace("registry.example.com", &self.registry.address());
        if let Some(words) = line.strip_prefix("docker ") {
            return self.asks_docker(words);
        }
        let mut command = if line.starts_with("yadokari login") {
            let mut command = self.user.command(Path::new("script"));
            command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
            command
        } else {
            let mut command = self.user.command(Path::new("sh"));
            command.args(["-ec", &line]);
            command
        };
        let done = self.answered(&mut command);
        assert_eq!(done.0, 0, "{line}: {}", done.1);
        done.1
    }

    /// Runs a command with this user's surroundings and the answers that `login` asks for.
    fn answered(&self, command: &mut Command) -> (i32, String) {
        let path = format!(
            "{}/.local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            self.user.home().display()
        );
        command
            .current_dir(&self.directory)
            .env("PATH", path)
            .env("KANIKO_REGISTRY_MIRROR", self.mirror.address())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let login = self.registry.login().unwrap();
        // Commands that ask nothing read nothing.
        let _ = writeln!(
            child.stdin.take().unwrap(),
            "{}\n{}",
            login.user,
            login.password
        );
        let output = child.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        (output.status.code().unwrap_or(-1), said)
    }

    /// The engine's socket is not this user's.
    fn asks_docker(&self, words: &str) -> String {
        let mut command = self.docker.command();
        command.args(words.split(' ')).current_dir(&self.directory);
        process::run(&mut command).unwrap()
    }
}

/// A page, and the lines of its blocks: those that are indented, without their comments.
fn page(name: &str) -> (String, Vec<String>) {
    let page = std::fs::read_to_string(cache::workspace().join(name)).unwrap();
    let code = |line: &str| {
        let code = line.strip_prefix("    ")?;
        Some(code.split(" # ").next()?.trim_end().to_owned())
    };
    let lines = page.lines().filter_map(code).collect();
    (page, lines)
}

/// What those that run need.
macro_rules! skip_without_users {
    () => {
        skip_unless!(
            needs::root(),
            needs::docker(),
            needs::registry(),
            needs::user_namespaces(),
            needs::program("useradd"),
            needs::program("script")
        );
    };
}

#[test]
fn getting_started_works_word_for_word() {
    skip_without_users!();
    let newcomer = Newcomer::new();
    let (page, lines) = page("docs/getting-started.md");
    let (_, rest) = page.split_once("```dockerfile\n").unwrap();
    let dockerfile = rest.split("```").next().unwrap();
    std::fs::write(newcomer.directory.join("Dockerfile"), dockerfile).unwrap();
    let newcomer = newcomer.with_executable();
    let mut said = Vec::new();
    for line in &lines {
        // The executable is there already: compiling it takes minutes.
        if line != "cargo xtask dist" {
            said.push((line.as_str(), newcomer.types(line)));
        }
    }
    assert!(said.len() >= 11, "{lines:?}");
    let (_, loaded) = said
        .iter()
        .find(|(line, _)| line.starts_with("docker load"))
        .unwrap();
    let id = loaded.trim().rsplit(": ").next().unwrap();
    let (_, printed) = newcomer.docker.container(id).run().unwrap();
    assert_eq!(printed.success().output, "made here\n");
    validate::pushed(&newcomer.registry.endpoint(), "me/first", "1.0").unwrap();
    let (line, plan) = said.last().unwrap();
    assert!(
        line.starts_with("yadokari plan") && plan.contains("cached"),
        "{line}: {plan}"
    );
    let home = newcomer.user.home();
    assert!(
        home.join(".local/share/man/man1/yadokari-build.1")
            .is_file()
    );
}

#[test]
fn the_example_for_a_machine_works_word_for_word() {
    skip_without_users!();
    let newcomer = Newcomer::new();
    let example = cache::workspace().join("examples/local");
    std::fs::copy(
        example.join("Dockerfile"),
        newcomer.directory.join("Dockerfile"),
    )
    .unwrap();
    let newcomer = newcomer.with_executable();
    newcomer.types("install -D -m 755 target/dist/yadokari ~/.local/bin/yadokari");
    let (_, lines) = page("examples/local/README.md");
    for line in &lines {
        newcomer.types(line);
    }
    assert!(lines.len() >= 6, "{lines:?}");
    let made = std::fs::read_to_string(newcomer.directory.join("root/page/index.html")).unwrap();
    assert_eq!(made, "<h1>made in Linux</h1>\n");
    let again = newcomer.types(lines.last().unwrap());
    assert!(again.contains("CACHED"), "{again}");
}
