//! What changes the key of a step, and what does not.

use yadokari_plan::{NamedContext, Salt};

use crate::case::Case;
use crate::inputs::{Inputs, key, last_key, last_key_with, layer_keys};

/// Asserts that the last layers of two Dockerfiles have one key.
#[track_caller]
fn hits(one: &str, other: &str) {
    assert_eq!(key(one), key(other), "\n{one}\n---\n{other}");
}

/// Asserts that the last layers of two Dockerfiles have different keys.
#[track_caller]
fn misses(one: &str, other: &str) {
    assert_ne!(key(one), key(other), "\n{one}\n---\n{other}");
}

/// Asserts that the last layers differ when `tails` follow the same FROM, pairwise.
#[track_caller]
fn all_miss(head: &str, tails: &[&str]) {
    for (index, one) in tails.iter().enumerate() {
        for other in &tails[..index] {
            misses(&format!("{head}{one}"), &format!("{head}{other}"));
        }
    }
}

#[test]
fn equal_files_have_equal_keys() {
    hits("FROM base\nRUN x\nCOPY a /b", "FROM base\nRUN x\nCOPY a /b");
}

#[test]
fn all_that_a_command_is_run_with_counts() {
    all_miss(
        "FROM base\n",
        &[
            "RUN x",
            "RUN x;",
            "RUN x  y",
            "RUN x y",
            "RUN [\"x\", \"y\"]",
            "RUN [\"x y\"]",
            "RUN [\"x\", \"\", \"y\"]",
            "ENV A=1\nRUN x",
            "ENV A=2\nRUN x",
            "ENV B=1\nRUN x",
            "ENV A=1 B=2\nRUN x",
            "ENV B=2 A=1\nRUN x",
            "ENV A=\"1 B=2\"\nRUN x",
            "ENV A=1B=2\nRUN x",
            "USER a\nRUN x",
            "USER a:b\nRUN x",
            "SHELL [\"sh\"]\nRUN x",
            "SHELL [\"sh\", \"-c\"]\nRUN x",
            "RUN --network=none x",
            "RUN x\nRUN x",
            "RUN <<E\nx\nE",
            "RUN <<E\ny\nE",
            "RUN <<E sh\nx\nE",
            "RUN <<F sh\nx\nF",
            "WORKDIR /a\nRUN x",
            "WORKDIR /a/\nRUN x",
        ],
    );
}

#[test]
fn the_directory_counts_even_where_making_it_makes_no_layer() {
    let root = Case::new("FROM base\nRUN x");
    let elsewhere = Case::new("FROM base\nRUN x").image("base", |config| {
        config.config.working_dir = "/srv".to_owned();
    });
    assert_ne!(last_key(&root), last_key(&elsewhere));
}

#[test]
fn granted_rights_count() {
    let case = |flag: &str| {
        Case::new(&format!("FROM base\nRUN {flag} x"))
            .allow("network.host")
            .allow("security.insecure")
    };
    let keys = [
        "",
        "--network=host",
        "--network=none",
        "--security=insecure",
    ]
    .map(|flag| last_key(&case(flag)));
    for (index, one) in keys.iter().enumerate() {
        assert!(!keys[..index].contains(one));
    }
    assert_eq!(keys[0], last_key(&case("--network=default")));
}

#[test]
fn the_exec_spelling_of_a_shell_command_shares_its_key() {
    hits(
        "FROM base\nRUN echo hi",
        "FROM base\nRUN [\"/bin/sh\", \"-c\", \"echo hi\"]",
    );
}

#[test]
fn an_equal_shell_is_no_other_shell() {
    hits(
        "FROM base\nSHELL [\"/bin/sh\", \"-c\"]\nRUN x",
        "FROM base\nRUN x",
    );
}

#[test]
fn comments_blank_lines_and_continuations_do_not_count() {
    hits(
        "FROM base\nRUN a && \\\n  b",
        "# c\nFROM base\n\n# d\nRUN a && \\\n# e\n  b",
    );
}

#[test]
fn an_argument_counts_from_its_declaration_on_for_every_run() {
    misses("FROM base\nARG Z=1\nRUN x", "FROM base\nRUN x");
    misses("FROM base\nARG Z=1\nRUN x", "FROM base\nARG Z=2\nRUN x");
    let given = |value: &str| last_key(&Case::new("FROM base\nARG Z\nRUN x").arg("Z", value));
    assert_ne!(given("1"), given("2"));
    assert_eq!(given("1"), key("FROM base\nARG Z=1\nRUN x"));
}

#[test]
fn an_argument_that_is_declared_later_or_nowhere_does_not_count() {
    let plain = layer_keys(
        &Case::new("FROM base\nRUN x"),
        &Salt::default(),
        &Inputs::default(),
    );
    let later = Case::new("FROM base\nRUN x\nARG Z\nRUN y").arg("Z", "1");
    assert_eq!(
        layer_keys(&later, &Salt::default(), &Inputs::default())[0],
        plain[0]
    );
    assert_eq!(
        last_key(&Case::new("FROM base\nRUN x").arg("Z", "1")),
        plain[0]
    );
    hits("ARG Z=1\nFROM base\nRUN x", "ARG Z=2\nFROM base\nRUN x");
    hits("FROM base\nRUN x\nARG Z=1", "FROM base\nRUN x");
}

#[test]
fn an_argument_without_a_value_does_not_count() {
    hits("FROM base\nARG Z\nRUN x", "FROM base\nRUN x");
}

#[test]
fn arg_and_env_of_equal_values_give_equal_keys() {
    hits("FROM base\nARG Z=1\nRUN x", "FROM base\nENV Z=1\nRUN x");
}

#[test]
fn variables_never_count_for_copies_and_directories_unless_expanded_there() {
    for tail in [
        "COPY a /b",
        "ADD a /b",
        "WORKDIR /b",
        "COPY --link a /b",
        "COPY <<'E' /b\n$Z\nE",
    ] {
        hits(
            &format!("FROM base\nARG Z=1\n{tail}"),
            &format!("FROM base\n{tail}"),
        );
        hits(
            &format!("FROM base\nENV Z=1\n{tail}"),
            &format!("FROM base\n{tail}"),
        );
    }
    for tail in [
        "COPY a /$Z",
        "ADD $Z /b",
        "WORKDIR /$Z",
        "COPY --chown=$Z a /b",
        "COPY --chmod=$Z a /b",
        "COPY <<E /b\n$Z\nE",
    ] {
        misses(
            &format!("FROM base\nARG Z=1\n{tail}"),
            &format!("FROM base\nARG Z=2\n{tail}"),
        );
    }
}

#[test]
fn the_configuration_never_counts() {
    let head = "FROM base\n";
    for line in [
        "LABEL a=b",
        "CMD x",
        "ENTRYPOINT [\"x\"]",
        "EXPOSE 80",
        "VOLUME /v",
        "STOPSIGNAL 9",
        "HEALTHCHECK CMD x",
        "HEALTHCHECK NONE",
        "ONBUILD RUN x",
        "MAINTAINER me",
    ] {
        for tail in ["RUN x", "COPY a /b", "WORKDIR /b"] {
            hits(&format!("{head}{line}\n{tail}"), &format!("{head}{tail}"));
        }
    }
}

#[test]
fn the_user_counts_for_runs_and_directories_and_not_for_copies() {
    hits("FROM base\nUSER a\nCOPY a /b", "FROM base\nCOPY a /b");
    misses("FROM base\nUSER a\nWORKDIR /b", "FROM base\nWORKDIR /b");
    misses("FROM base\nUSER a\nRUN x", "FROM base\nRUN x");
}

#[test]
fn all_that_a_copy_is_told_counts() {
    all_miss(
        "FROM base\n",
        &[
            "COPY a /d",
            "COPY a /d/",
            "COPY a /e",
            "COPY b /d",
            "COPY a b /d/",
            "COPY b a /d/",
            "COPY [\"a b\", \"/d/\"]",
            "COPY --chown=0:0 a /d",
            "COPY --chown=0 a /d",
            "COPY --chown=1:0 a /d",
            "COPY --chmod=644 a /d",
            "COPY --chmod=0644 a /d",
            "COPY --chmod=u=rw a /d",
            "COPY --link a /d",
            "COPY --parents a /d",
            "COPY --exclude=x a /d",
            "COPY --exclude=y a /d",
            "COPY --exclude=x --exclude=y a /d",
            "COPY --exclude=y --exclude=x a /d",
            "ADD a /d",
            "ADD --unpack=false a /d",
            "ADD --unpack=true a /d",
            "ADD http://h/a /d",
            "ADD http://h/b /d",
            "COPY <<a /d\nx\na",
            "COPY <<a /d\ny\na",
            "COPY <<b /d\nx\nb",
            "COPY <<a <<b /d/\nx\na\ny\nb",
            "COPY <<a <<b /d/\nxy\na\nb",
            "WORKDIR /d",
            "RUN x\nCOPY a /d",
        ],
    );
}

#[test]
fn the_content_and_the_name_of_a_copied_file_count_and_its_directory_does_not() {
    let case = Case::new("FROM base\nCOPY a /d/");
    let other = last_key_with(&case, &Inputs::default().file("a", "changed"));
    assert_ne!(last_key(&case), other);
    let same = |dockerfile: &str| {
        let inputs = Inputs::default()
            .file("a", "x")
            .file("dir/a", "x")
            .file("b", "x");
        last_key_with(&Case::new(dockerfile), &inputs)
    };
    assert_eq!(
        same("FROM base\nCOPY a /d/"),
        same("FROM base\nCOPY dir/a /d/")
    );
    assert_ne!(same("FROM base\nCOPY a /d/"), same("FROM base\nCOPY b /d/"));
}

#[test]
fn files_that_are_not_copied_do_not_count() {
    let case = Case::new("FROM base\nCOPY a /d/\nRUN x");
    assert_eq!(
        last_key(&case),
        last_key_with(&case, &Inputs::default().file("b", "changed"))
    );
}

#[test]
fn a_copy_from_a_stage_follows_the_layers_of_that_stage() {
    let text = |one: &str, path: &str| {
        format!("FROM base AS a\n{one}\nFROM base\nCOPY --from=a {path} /d")
    };
    misses(&text("RUN x", "/p"), &text("RUN y", "/p"));
    misses(&text("RUN x", "/p"), &text("RUN x", "/q"));
    hits(&text("RUN x", "/p"), &text("RUN x\nLABEL a=b", "/p"));
    hits(
        &text("RUN x", "/p"),
        "FROM base AS z\nRUN x\nFROM base\nCOPY --from=z /p /d",
    );
}

#[test]
fn a_copy_from_an_image_follows_its_digest() {
    let case = Case::new("FROM base\nCOPY --from=tools /p /d");
    assert_ne!(
        last_key(&case),
        last_key_with(&case, &Inputs::default().image("tools:latest", "changed"))
    );
    misses(
        "FROM base\nCOPY --from=tools /p /d",
        "FROM base\nCOPY --from=tools /q /d",
    );
    misses(
        "FROM base\nCOPY --from=tools /p /d",
        "FROM base\nCOPY --from=scratch /p /d",
    );
}

#[test]
fn kind_target_and_rights_of_a_mount_count() {
    all_miss(
        "FROM base\n",
        &[
            "RUN x",
            "RUN --mount=target=/m,source=s x",
            "RUN --mount=target=/n,source=s x",
            "RUN --mount=target=/m,source=t x",
            "RUN --mount=target=/m,source=s,rw x",
            "RUN --mount=target=/m,source=s --mount=target=/n,source=s x",
            "RUN --mount=type=cache,target=/m x",
            "RUN --mount=type=cache,target=/m,ro x",
            "RUN --mount=type=cache,target=/m,uid=1 x",
            "RUN --mount=type=cache,target=/m,gid=1 x",
            "RUN --mount=type=cache,target=/m,mode=0700 x",
            "RUN --mount=type=tmpfs,target=/m x",
            "RUN --mount=type=tmpfs,target=/m,size=1m x",
            "RUN --mount=type=secret,id=s,target=/m x",
            "RUN --mount=type=secret,id=t,target=/m x",
            "RUN --mount=type=secret,id=s,target=/m,mode=0444 x",
            "RUN --mount=type=secret,id=s,env=S x",
            "RUN --mount=type=secret,id=s,env=T x",
            "RUN --mount=type=ssh x",
        ],
    );
}

#[test]
fn what_a_cache_is_called_and_shared_like_does_not_count() {
    hits(
        "FROM base\nRUN --mount=type=cache,target=/m,id=a x",
        "FROM base\nRUN --mount=type=cache,target=/m,id=b,sharing=locked x",
    );
}

#[test]
fn a_mount_of_context_files_counts_by_content_and_not_by_path() {
    let same = Inputs::default()
        .file("a", "x")
        .file("dir/b", "x")
        .file("c", "y");
    let of = |source: &str| {
        last_key_with(
            &Case::new(&format!(
                "FROM base\nRUN --mount=target=/m,source={source} x"
            )),
            &same,
        )
    };
    assert_eq!(of("a"), of("dir/b"));
    assert_ne!(of("a"), of("c"));
}

#[test]
fn a_mount_of_a_stage_follows_its_layers() {
    let text =
        |one: &str| format!("FROM base AS a\nRUN {one}\nFROM base\nRUN --mount=from=a,target=/m x");
    misses(&text("x"), &text("y"));
    misses(
        &text("x"),
        "FROM base AS a\nRUN x\nFROM base\nRUN --mount=from=a,source=/s,target=/m x",
    );
}

#[test]
fn proxies_secrets_and_who_builds_do_not_count() {
    let case = || Case::new("FROM base\nRUN x").platform("linux/amd64");
    let plain = last_key(&case());
    assert_eq!(plain, last_key(&case().arg("HTTP_PROXY", "http://p")));
    assert_eq!(plain, last_key(&case().host("linux/arm64")));
    assert_ne!(
        plain,
        last_key(&Case::new("FROM base\nARG HTTP_PROXY\nRUN x").arg("HTTP_PROXY", "http://p"))
    );
}

#[test]
fn the_order_of_build_arguments_does_not_count() {
    let case = || Case::new("FROM base\nARG A\nARG B\nRUN x");
    assert_eq!(
        last_key(&case().arg("A", "1").arg("B", "2")),
        last_key(&case().arg("B", "2").arg("A", "1"))
    );
}

#[test]
fn the_base_counts_by_its_configuration_whatever_it_is_called() {
    let of = |name: &str, author: &str| {
        let case = Case::new(&format!("FROM {name}\nRUN x"));
        last_key(&case.image(name, |config| config.author = Some(author.to_owned())))
    };
    assert_eq!(of("one", "a"), of("two", "a"));
    assert_ne!(of("one", "a"), of("one", "b"));
    misses("FROM base\nCOPY a /d", "FROM scratch\nCOPY a /d");
    let files = Case::new("FROM base\nCOPY a /d").named("base", NamedContext::Files);
    assert_ne!(last_key(&files), key("FROM base\nCOPY a /d"));
}

#[test]
fn the_platform_counts() {
    let of = |platform: &str| last_key(&Case::new("FROM scratch\nRUN x").platform(platform));
    assert_ne!(of("linux/amd64"), of("linux/arm64"));
    assert_ne!(of("linux/arm/v6"), of("linux/arm/v7"));
    misses(
        "FROM scratch AS a\nFROM --platform=linux/arm64 a\nRUN x",
        "FROM scratch AS a\nFROM --platform=linux/amd64 a\nRUN x",
    );
}

#[test]
fn a_stage_of_its_own_gives_the_keys_of_the_same_lines_in_one() {
    hits(
        "FROM base AS a\nRUN x\nFROM a\nRUN y",
        "FROM base\nRUN x\nRUN y",
    );
}

#[test]
fn a_linked_copy_does_not_depend_on_what_is_below_but_what_follows_does() {
    hits(
        "FROM base\nRUN x\nCOPY --link a /d",
        "FROM other\nUSER u\nCOPY --link a /d",
    );
    misses(
        "FROM base\nRUN x\nCOPY --link a /d\nRUN z",
        "FROM base\nRUN y\nCOPY --link a /d\nRUN z",
    );
    misses(
        "FROM base\nCOPY --link a /d\nRUN z",
        "FROM base\nCOPY --link b /d\nRUN z",
    );
    misses("FROM base\nCOPY --link a /d\nRUN z", "FROM base\nRUN z");
}

#[test]
fn an_epoch_counts_for_directories_and_what_follows_only() {
    let of = |tail: &str, epoch: &str| {
        last_key(&Case::new(&format!("FROM base\n{tail}")).arg("SOURCE_DATE_EPOCH", epoch))
    };
    assert_eq!(of("RUN x", "1"), of("RUN x", "2"));
    assert_eq!(of("COPY a /d", "1"), of("COPY a /d", "2"));
    assert_ne!(of("WORKDIR /d", "1"), of("WORKDIR /d", "2"));
    assert_ne!(of("WORKDIR /d\nRUN x", "1"), of("WORKDIR /d\nRUN x", "2"));
}

#[test]
fn each_part_of_the_salt_changes_all_layers_but_what_runs_see_changes_runs() {
    let case = Case::new("FROM base\nCOPY a /a\nCOPY --link b /b\nRUN x\nWORKDIR /c");
    let of = |salt: Salt| layer_keys(&case, &salt, &Inputs::default());
    let plain = of(Salt::default());
    for salt in [
        Salt {
            encoding: "zstd".to_owned(),
            ..Salt::default()
        },
        Salt {
            clamp: Some(0),
            ..Salt::default()
        },
        Salt {
            compat: "kaniko".to_owned(),
            ..Salt::default()
        },
    ] {
        assert!(
            of(salt.clone())
                .iter()
                .zip(&plain)
                .all(|(one, other)| one != other),
            "{salt:?}"
        );
    }
    let named = of(Salt {
        run: vec!["hostname h".to_owned()],
        ..Salt::default()
    });
    assert_eq!(named[..2], plain[..2]);
    assert_ne!(named[2], plain[2]);
    assert_ne!(named[3], plain[3]);
}
