//! Every environment a build may wake up in: what works there, that the image is the same, and that nothing is left.

mod containers;
mod machine;
mod podman;
mod pods;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;
use yadokari_testkit::base;

use crate::support::project::Project;

/// What all environments can build: one owner, every kind of mount.
const PLAIN: &str = r"FROM scratch
ADD busybox.tar /
ENV PATH=/bin
RUN mkdir -p /a/b && echo one > /a/b/one && chmod 4755 /a/b/one && mkfifo /a/pipe && ln -s b /a/soft && ln /a/b/one /a/hard
RUN --mount=type=secret,id=key,mode=0444 --mount=type=cache,target=/cache --mount=type=tmpfs,target=/scratch \
    --mount=type=bind,source=plain,target=/bound \
    cp /run/secrets/key /a/got && touch /cache/x /scratch/x && test -s /bound && rm -r /a/soft && mkdir /a/soft
RUN <<EOF
#!/bin/sh
echo heredoc > /a/heredoc
echo x > /dev/null
EOF
";

/// What needs more than one user.
const OWNED: &str = r"FROM scratch
ADD busybox.tar /
ENV PATH=/bin
RUN mkdir /a && echo x > /a/x && chown 12:34 /a/x
USER 1234
RUN id -u > /tmp/id && ! touch /not-mine
";

/// Looks for what a job must not give away, once as user 0.
const HOSTILE: &str = r#"FROM scratch AS keeper
ADD busybox.tar /
ENV PATH=/bin
RUN --mount=type=secret,id=key test -s /run/secrets/key && sleep 1 && touch /kept
FROM scratch
ADD busybox.tar /
ENV PATH=/bin
RUN (cat /proc/[0-9]*/environ /kaniko/.docker/config.json /ctx/key /proc/[0-9]*/root/ctx/key /proc/[0-9]*/cwd/key; \
     cat /run/secrets/* /proc/[0-9]*/root/run/secrets/*; \
     find /.yadokari /state -type f -exec cat {} +) 2>/dev/null | tr '\0' '\n' | grep PASSWORD; \
    kill -9 -1; echo ran-$((40+2))-on
COPY --from=keeper /kept /
"#;

/// Looks again as another user. A volume that everybody may read is not tried.
const HOSTILE_USER: &str = r#"FROM scratch
ADD busybox.tar /
ENV PATH=/bin
USER 1234
RUN (cat /proc/[0-9]*/environ /kaniko/.docker/config.json /proc/1/root/ctx/key; \
     find /.yadokari /state -type f -exec cat {} +) 2>/dev/null | tr '\0' '\n' | grep PASSWORD; \
    kill -9 -1; echo ran-$((40+2))-on
"#;

/// Needs nothing at all, so it is built where nothing works.
const COPIES: &str = "FROM scratch\nADD busybox.tar /\nCOPY plain /plain\nENV A=b\n";

/// A context with all Dockerfiles, for any user to read.
fn project() -> Project {
    let project = Project::new("FROM scratch\n");
    for (name, text) in [
        ("plain", PLAIN),
        ("owned", OWNED),
        ("hostile", HOSTILE),
        ("hostile-user", HOSTILE_USER),
        ("copies", COPIES),
        ("key", "PASSWORD of the context\n"),
        (
            "docker/config.json",
            "{\"credHelpers\": {}, \"note\": \"PASSWORD\"}\n",
        ),
    ] {
        project.write(name, text);
    }
    let busybox = base::busybox().unwrap();
    let layer = &busybox.image().unwrap().layers()[0];
    let mut archive = std::fs::File::create(project.join("busybox.tar")).unwrap();
    std::io::copy(&mut busybox.open_layer(layer).unwrap(), &mut archive).unwrap();
    for path in [".", "docker"] {
        everybody(&project.join(path), 0o755);
    }
    project
}

fn everybody(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Looks around, builds the files named in `$FILES`, and says whether `/` is what it was.
const SCRIPT: &str = r#"
list() { find / -xdev \( -path /.yadokari -o -path /state -o -path /proc -o -path /sys -o -path /dev -o -path /out \
    -o -path /ctx -o -path /tmp -o -path /root -o -path /run \) -prune -o -print0 | sort -z | xargs -0 stat -c '%n %F %a %u:%g %s %Y %N'; }
mkdir -m 700 -p "${YADOKARI_DIR:-/.yadokari}" 2>/dev/null
list > /out/before
yadokari doctor > /out/doctor.txt; echo "doctor $?"
yadokari doctor --json > /out/doctor.json
for file in $FILES; do
  yadokari build --no-push --reproducible --secret id=key,src=/ctx/docker/config.json --metadata-file /out/$file.json \
    --file /ctx/$file /ctx > /out/$file.log 2>&1
  echo "$file $?"
done
list > /out/after
cmp /out/before /out/after && echo same
find /.yadokari /state -name busybox 2>/dev/null
echo end
"#;

/// What [`SCRIPT`] wrote down.
struct Outcome<'a> {
    /// The name of the environment, for messages.
    name: &'a str,
    directory: &'a Path,
    said: String,
}

impl Outcome<'_> {
    fn text(&self, file: &str) -> String {
        let bytes = std::fs::read(self.directory.join(file)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn json(&self, file: &str) -> Value {
        serde_json::from_str(&self.text(file)).unwrap_or_default()
    }

    fn digest(&self, file: &str) -> String {
        let facts = self.json(&format!("{file}.json"));
        facts["containerimage.digest"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Fails unless every build ended with 0 and `/` is as it was.
    fn assert_all_built(&self, files: &[&str]) {
        let built: String = files.iter().map(|file| format!("{file} 0\n")).collect();
        let expected = format!("doctor 0\n{built}same\nend\n");
        let logs: String = files
            .iter()
            .map(|file| self.text(&format!("{file}.log")))
            .collect();
        assert_eq!(self.said, expected, "{}:\n{logs}", self.name);
    }

    /// Fails if the doctor chose something else.
    fn assert_chosen(&self, isolation: Option<&str>) {
        let doctor = self.json("doctor.json");
        assert_eq!(
            doctor["chosen"].as_str(),
            isolation,
            "{}: {doctor:#}",
            self.name
        );
        let text = self.text("doctor.txt");
        let line = match isolation {
            Some(isolation) => format!("\nchosen      {isolation}, snapshots by "),
            None => "\nchosen      none: ".to_owned(),
        };
        assert!(text.contains(&line), "{}: {text}", self.name);
        for attempt in doctor["isolation"].as_array().unwrap() {
            let explained = attempt["reason"].is_string() && attempt["remedy"].is_string();
            assert_eq!(
                attempt["works"] == false,
                explained,
                "{}: {attempt}",
                self.name
            );
        }
    }

    /// Fails if a hostile build found something, or did not look.
    fn assert_nothing_given_away(&self, file: &str) {
        let log = self.text(&format!("{file}.log"));
        let found = log
            .lines()
            .filter(|line| line.contains("PASSWORD") && !line.contains("grep"));
        assert_eq!(found.count(), 0, "{}: {log}", self.name);
        assert!(log.contains("ran-42-on"), "{}: {log}", self.name);
    }
}
