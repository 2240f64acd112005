//! What `bake` makes of Compose files and bake files.

use std::path::Path;

use insta::assert_snapshot;
use yadokari::bake::{Places, Surroundings, read};
use yadokari::command::bake::{Plan, plan};
use yadokari::environment::Environment;
use yadokari::flags::{Command, Invocation, parse};
use yadokari::report::Failure;

/// A directory with these files, and what `yadokari bake` with these arguments makes of it.
fn planned(
    files: &[(&str, &str)],
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> Result<(Plan, String), Failure> {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let arguments: Vec<_> = ["bake"].iter().chain(arguments).copied().collect();
    let environment = Environment::of_command("yadokari", &arguments, directory.path())
        .with_variables(variables.iter().copied());
    let flags = match parse(&environment).unwrap() {
        Invocation::Command(Command::Bake(flags), _) => flags,
        other => panic!("{other:?}"),
    };
    let plan = plan(&flags, &environment)?;
    let printed = plan.print(&flags);
    Ok((plan, printed))
}

fn printed(files: &[(&str, &str)], arguments: &[&str]) -> String {
    planned(files, arguments, &[])
        .unwrap_or_else(|failure| panic!("{failure:?}"))
        .1
}

/// The message of what cannot be used, with its hint.
fn refused(files: &[(&str, &str)], arguments: &[&str]) -> String {
    let failure = planned(files, arguments, &[]).unwrap_err();
    assert_eq!(failure.code, 2, "{failure:?}");
    failure.to_text()
}

const COMPOSE: &str = r#"
name: shop
x-common: &common
  context: .
  args: {CHANNEL: stable}
services:
  db:
    image: postgres
  web:
    image: registry.example.com/shop/web:${VERSION:-dev}
    build:
      <<: *common
      dockerfile: web/Dockerfile
      target: runtime
      tags: ["registry.example.com/shop/web:latest"]
      args:
        - VERSION=1
        - FROM_ENVIRONMENT
      labels:
        team: front
      platforms: [linux/amd64, linux/arm64]
      cache_from: [registry.example.com/shop/cache]
      secrets: [token]
      ssh: [default]
      network: none
      extra_hosts: ["a:10.0.0.1"]
      shm_size: 64m
      no_cache: "${NO_CACHE:-false}"
      additional_contexts:
        base: service:base
        docs: ./docs
  base:
    build: ./base
    profiles: [tools]
  api:
    extends: {service: web}
    image: registry.example.com/shop/api
    build:
      dockerfile_inline: |
        FROM busybox
secrets:
  token: {file: ./token.txt}
"#;

#[test]
fn compose_files_are_printed_as_buildx_prints_them() {
    assert_snapshot!(printed(&[("compose.yaml", COMPOSE)], &["web", "--print"]));
}

#[test]
fn without_names_the_services_outside_profiles_are_built_and_what_they_read_comes_first() {
    let (plan, _) = planned(&[("compose.yaml", COMPOSE)], &[], &[]).unwrap();
    assert_eq!(plan.chosen, ["web", "api"]);
    assert_eq!(plan.order, ["base", "web", "api"]);
    let (plan, _) = planned(&[("compose.yaml", COMPOSE)], &["--profile=tools"], &[]).unwrap();
    assert_eq!(plan.chosen, ["web", "base", "api"]);
}

#[test]
fn variables_come_from_the_environment_before_the_file_beside_it() {
    let files = [("compose.yaml", COMPOSE), (".env", "VERSION=from-file\n")];
    let tag = |variables: &[(&str, &str)]| {
        let (plan, _) = planned(&files, &["web"], variables).unwrap();
        plan.bake.targets["web"].tags[0].clone()
    };
    assert_eq!(tag(&[]), "registry.example.com/shop/web:from-file");
    assert_eq!(tag(&[("VERSION", "2")]), "registry.example.com/shop/web:2");
}

#[test]
fn a_later_file_changes_what_earlier_ones_say() {
    let files = [
        (
            "one.yaml",
            "services: {a: {image: a, build: {context: x, args: {A: '1', B: '1'}, tags: [t1]}}}",
        ),
        (
            "two.yaml",
            "services: {a: {build: {args: {B: '2'}, tags: [t2]}}, b: {build: y}}",
        ),
    ];
    let (plan, _) = planned(&files, &["-f", "one.yaml", "-f", "two.yaml"], &[]).unwrap();
    let a = &plan.bake.targets["a"];
    assert_eq!(a.tags, ["a", "t1", "t2"]);
    assert_eq!(a.args["B"].as_deref(), Some("2"));
    assert_eq!(plan.bake.targets["b"].context, "y");
}

#[test]
fn extended_and_included_files_keep_their_own_paths() {
    let files = [
        (
            "compose.yaml",
            "include: [sub/more.yaml]\nservices: {a: {extends: {file: lib/base.yaml, service: s}}}",
        ),
        (
            "lib/base.yaml",
            "services: {s: {build: {context: ./src, target: t}}}",
        ),
        ("sub/more.yaml", "services: {m: {build: .}}"),
    ];
    let (plan, _) = planned(&files, &[], &[]).unwrap();
    let a = &plan.bake.targets["a"];
    assert_eq!(
        (a.context.as_str(), a.target.as_deref()),
        ("lib/src", Some("t"))
    );
    assert_eq!(plan.bake.targets["m"].context, "sub");
}

const BAKE: &str = r#"{
  "variable": {"TAG": {"default": "dev"}},
  "group": {"default": {"targets": ["app", "docs"]}},
  "target": {
    "common": {"args": {"A": "1"}, "labels": {"l": "x"}},
    "app": {"inherits": ["common"], "context": "app", "tags": ["r.example/app:${TAG}"], "args": {"B": null},
            "secret": [{"type": "file", "id": "s", "src": "f"}, "id=t,env=T"], "contexts": {"base": "target:base"}},
    "base": {"dockerfile-inline": "FROM scratch\n"},
    "docs": {"context": "docs", "output": ["type=local,dest=out"], "no-cache": true}
  }
}"#;

#[test]
fn bake_files_in_json_are_printed_as_buildx_prints_them() {
    assert_snapshot!(printed(
        &[("docker-bake.json", BAKE)],
        &["--print", "--set", "*.args.C=3"]
    ));
}

#[test]
fn overrides_reach_the_targets_of_their_pattern() {
    let overrides = [
        "--set=app.tags=one",
        "--set=app.tags=two",
        "--set=d*.platform=linux/arm64",
        "--set=*.no-cache=true",
        "--set=app.contexts.base=docker-image://alpine",
        "--push",
    ];
    let (plan, _) = planned(&[("docker-bake.json", BAKE)], &overrides, &[]).unwrap();
    let app = &plan.bake.targets["app"];
    assert_eq!(app.tags, ["one", "two"]);
    assert_eq!(app.output, ["type=registry"]);
    assert_eq!(plan.bake.targets["docs"].platforms, ["linux/arm64"]);
    assert_eq!(plan.order, ["app", "docs"], "the base is needed no more");
}

#[test]
fn a_targets_arguments_are_those_of_a_build() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("compose.yaml"), COMPOSE).unwrap();
    let surroundings = Surroundings {
        working: directory.path().to_owned(),
        variables: Default::default(),
        profiles: Vec::new(),
    };
    let bake = read(&[], &surroundings).unwrap();
    let places = Places {
        inline: None,
        images: Path::new("/images"),
    };
    assert_eq!(
        bake.targets["web"].arguments(places).join("\n"),
        "\
--file=./web/Dockerfile
--build-arg=FROM_ENVIRONMENT
--build-arg=VERSION=1
--label=team=front
--build-context=base=oci-layout:///images/base
--build-context=docs=./docs
--platform=linux/amd64,linux/arm64
--tag=registry.example.com/shop/web:dev
--tag=registry.example.com/shop/web:latest
--cache-from=type=registry,ref=registry.example.com/shop/cache
--ssh=default
--add-host=a:10.0.0.1
--secret=id=token,src=./token.txt
--target=runtime
--network=none
--shm-size=64m
--no-cache=false
."
    );
}

#[test]
fn a_misspelt_key_of_a_service_is_refused_and_what_a_build_does_not_need_is_passed_over() {
    let refused = |text: &str| refused(&[("compose.yaml", text)], &[]);
    assert_eq!(
        refused("services:\n  db:\n    image: postgres\n  web:\n    biuld: .\n"),
        "error: compose.yaml:5: unknown key `biuld` (did you mean `build`?)\n"
    );
    assert_eq!(
        refused("services:\n  web: {build: .}\nsecretss: {}\n"),
        "error: compose.yaml:3: unknown key `secretss` (did you mean `secrets`?)\n"
    );
    let text = "name: shop\nservices:\n  web:\n    build: .\n    ports: [80]\n    depends_on: [db]\n    deploy: {replicas: 2}\n    \
                healthcheck: {test: [CMD, x]}\n    x-own: {}\n  db:\nvolumes: {data: }\nx-own: {}\n";
    let (plan, _) = planned(&[("compose.yaml", text)], &[], &[]).unwrap();
    assert_eq!(plan.chosen, ["web"]);
}

#[test]
fn a_misspelt_service_of_an_extended_file_is_refused_too() {
    let files = [
        (
            "compose.yaml",
            "services:\n  web:\n    extends: {file: base.yaml, service: base}\n",
        ),
        ("base.yaml", "services:\n  base:\n    buid: .\n"),
    ];
    assert_eq!(
        refused(&files, &[]),
        "error: base.yaml:3: unknown key `buid` (did you mean `build`?)\n"
    );
}

#[test]
fn what_cannot_be_understood_names_its_file_and_line() {
    let compose = |build: &str| {
        let text = format!("services:\n  web:\n    build:\n      context: .\n{build}");
        refused(&[("compose.yaml", &text)], &[])
    };
    let cases = [
        (
            compose("      dockerfil: x\n"),
            "error: compose.yaml:5: unknown key `dockerfil` (did you mean `dockerfile`?)\n",
        ),
        (
            compose("      isolation: process\n"),
            "error: compose.yaml:5: `isolation` cannot be done: it is a choice that Windows has\nhint: leave the key out\n",
        ),
        (
            compose("      tags: {a: b}\n"),
            "error: compose.yaml:5: `tags`: expected a word\n",
        ),
        (
            compose("      no_cache: perhaps\n"),
            "error: compose.yaml:5: `no_cache`: expected true or false\n",
        ),
        (
            compose("      secrets: [nope]\n"),
            "error: compose.yaml:5: `secrets`: expected a name of the top-level `secrets:`\n",
        ),
        (
            compose("      args: {A: '${B:?set it}'}\n"),
            "error: compose.yaml: the variable B is not set: set it\n",
        ),
    ];
    for (said, expected) in cases {
        assert_eq!(said, expected);
    }
}

#[test]
fn files_and_targets_that_are_not_there_are_told() {
    let compose = (
        "compose.yaml",
        "services: {a: {build: .}, b: {extends: nope}}",
    );
    assert_eq!(
        refused(&[compose], &[]),
        "error: compose.yaml:1: service `nope` is not there\n"
    );
    let good = ("compose.yaml", "services: {a: {build: .}}");
    assert_eq!(
        refused(&[good], &["b"]),
        "error: there is no target `b`; there are a\n"
    );
    assert!(refused(&[], &[]).contains("there is no Compose or bake file in "));
    let twice = (
        "docker-bake.json",
        r#"{"target": {"a": {"matrix": {"x": [1]}}}}"#,
    );
    assert!(refused(&[twice], &[]).contains("docker-bake.json:1: `matrix` cannot be done"));
}

#[test]
fn circles_are_refused() {
    let contexts = r#"{"target": {"a": {"contexts": {"x": "target:b"}}, "b": {"contexts": {"x": "target:a"}}}}"#;
    assert!(refused(&[("docker-bake.json", contexts)], &["a"]).contains("needs itself"));
    let inherits = r#"{"target": {"a": {"inherits": ["a"]}}}"#;
    assert!(refused(&[("docker-bake.json", inherits)], &["a"]).contains("needs itself"));
    let extends = "services: {a: {extends: b}, b: {extends: a}}";
    assert!(refused(&[("compose.yaml", extends)], &["a"]).contains("extends itself"));
}

#[test]
fn overrides_that_cannot_be_applied_are_refused() {
    let cases = [
        ("app.tags", "has no `=`"),
        ("app=1", "names no key"),
        ("nope.tags=x", "no target has that name"),
        ("app.nope=x", "there is no such key"),
        ("app.no-cache=perhaps", "expected true or false"),
    ];
    for (text, expected) in cases {
        let said = refused(&[("docker-bake.json", BAKE)], &["--set", text]);
        assert!(said.contains(expected), "{text}: {said}");
    }
}

const HCL: &str = r#"
variable "TAG" { default = "dev" }
variable "SLIM" { default = false }
variable "PARTS" { default = 2 }
registry = "registry.example.com/${team}"
team = "crabs"

group "default" {
  targets = ["web", "tools"]
}

target "common" {
  args = { VERSION = TAG, PARTS = PARTS, EMPTY = null }
  labels = { "made.by" = upper(team) }
}

target "web" {
  inherits   = ["common"]
  dockerfile = SLIM ? "slim.Dockerfile" : "Dockerfile"
  tags = [
    "${registry}/web:${TAG}",
    equal(TAG, "dev") ? "" : "${registry}/web:latest",
  ]
  output = ["type=image,push=true"]
}

target "tools" {
  name = "tools-${item.name}-${sanitize(version)}"
  matrix = {
    item    = [{ name = "a", target = "one" }, { name = "b", target = "two" }]
    version = ["1.0", "2.0"]
  }
  target = item.target
  args = { VERSION = version, ALL = join(",", concat(["x"], split(".", version))) }
  context = "https://example.com/$${literal}.git"
}
"#;

#[test]
fn a_bake_file_in_hcl_is_evaluated() {
    let files = [("docker-bake.hcl", HCL)];
    let of = |variables: &[(&str, &str)]| -> serde_json::Value {
        let (_, printed) = planned(&files, &[], variables).unwrap();
        serde_json::from_str(&printed).unwrap()
    };
    let plain = of(&[]);
    let web = &plain["target"]["web"];
    assert_eq!(web["dockerfile"], "Dockerfile");
    assert_eq!(web["args"]["VERSION"], "dev");
    assert_eq!(web["args"]["PARTS"], "2");
    assert_eq!(web["labels"]["made.by"], "CRABS");
    assert_eq!(
        web["tags"],
        serde_json::json!(["registry.example.com/crabs/web:dev"])
    );
    let names: Vec<_> = plain["target"].as_object().unwrap().keys().collect();
    let expected = [
        "web",
        "tools-a-1_0",
        "tools-a-2_0",
        "tools-b-1_0",
        "tools-b-2_0",
    ];
    assert_eq!(names, expected);
    let tool = &plain["target"]["tools-b-2_0"];
    assert_eq!(tool["target"], "two");
    assert_eq!(tool["args"]["ALL"], "x,2,0");
    assert_eq!(tool["context"], "https://example.com/${literal}.git");
    let set = of(&[("TAG", "1.2"), ("SLIM", "true"), ("PARTS", "3")]);
    let web = &set["target"]["web"];
    assert_eq!(web["dockerfile"], "slim.Dockerfile");
    assert_eq!(web["args"]["PARTS"], "3");
    let tags = [
        "registry.example.com/crabs/web:1.2",
        "registry.example.com/crabs/web:latest",
    ];
    assert_eq!(web["tags"], serde_json::json!(tags));
}

#[test]
fn an_override_in_hcl_sees_the_variables_of_the_file_before() {
    let files = [
        (
            "docker-bake.hcl",
            "variable \"A\" { default = \"1\" }\ntarget \"x\" { args = { A = A } }",
        ),
        (
            "docker-bake.override.hcl",
            "target \"x\" { args = { A = \"${A}-over\" } }",
        ),
    ];
    let printed: serde_json::Value = serde_json::from_str(&printed(&files, &["x"])).unwrap();
    assert_eq!(printed["target"]["x"]["args"]["A"], "1-over");
}

#[test]
fn hcl_that_cannot_be_evaluated_says_what_is_wrong() {
    let table = [
        ("target \"x\" {", "docker-bake.hcl"),
        ("target \"x\" { args = { A = NOBODY } }", "NOBODY"),
        ("target \"x\" { args = { A = timestamp() } }", "timestamp"),
        (
            "function \"f\" {\n params = []\n result = 1\n}",
            "the function `f`",
        ),
        ("a = b\nb = a", "undefined variable"),
        ("variable \"N\" { default = 1 }", "`many` is no number"),
        ("target \"x\" { matrix = { a = [\"1\"] } }", "no `name`"),
        (
            "target \"x\" {\n matrix = { a = [\"1.0\"] }\n name = a\n}",
            "sanitize()",
        ),
        (
            "target \"x\" {\n name = \"y\"\n matrix = { a = [] }\n}",
            "matrix: `a`",
        ),
        (
            "target \"x\" {\n colour = \"red\"\n}",
            "docker-bake.hcl:2: unknown key `colour`",
        ),
        ("mystery \"x\" {}", "unknown block `mystery`"),
        (
            "variable \"V\" {\n validation {\n condition = V != \"\"\n error_message = \"V is wanted\"\n }\n}",
            "variable V: V is wanted",
        ),
    ];
    for (text, words) in table {
        let files = [("docker-bake.hcl", text)];
        let failure = planned(&files, &["x"], &[("N", "many")]).unwrap_err();
        let told = failure.to_text();
        assert!(failure.code == 2 && told.contains(words), "{text}: {told}");
    }
}
