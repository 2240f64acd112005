//! What is published, where, and how it is encoded.

use std::path::{Path, PathBuf};

use yadokari_build::{FileOutput, FileOutputKind, Format, MediaTypes, Outputs, Times};
use yadokari_image::{Platform, Reference};
use yadokari_layer::Compression;

use super::compression::compression;
use super::labels::Annotations;
use super::output_spec::{self, Encoding, OutputSpec};
use super::{Action, Given, UsageError, below, is_on, is_on_or_variable, nonempty};
use crate::flags::Style;

/// Results and their encoding, which the same flags decide.
pub(super) struct Publication {
    pub(super) outputs: Outputs,
    pub(super) annotations: Annotations,
    pub(super) platforms: Vec<Platform>,
    pub(super) format: Format,
    pub(super) times: Times,
}

/// Reads destinations, outputs, and all that describes the image.
pub(super) fn outputs(
    given: Given<'_>,
    action: Action,
    notices: &mut Vec<String>,
) -> Result<Publication, UsageError> {
    let specs = specs(given)?;
    let mut encoding = Encoding::default();
    specs
        .iter()
        .try_for_each(|spec| encoding.join(spec.encoding.clone()))?;
    let platforms = super::platforms::platforms(given)?;
    let format = format(given, &encoding)?;
    let annotations = annotations(given, &encoding, &platforms)?;
    let outputs = places(given, &specs, &annotations, &platforms)?;
    refuse_merged_archives(&outputs, &platforms)?;
    if action == Action::Build {
        refuse_without_place(given, &outputs)?;
        notices.extend(materialized(given));
    }
    refuse_what_docker_cannot_hold(given, &outputs, &format, &platforms)?;
    Ok(Publication {
        annotations,
        times: Times {
            epoch: encoding.epoch,
            rewrite_layers: encoding.rewrite_timestamp.unwrap_or(false),
            reproducible: is_on(given.flags.kaniko.reproducible),
        },
        outputs,
        platforms,
        format,
    })
}

/// Every `--output`, read.
fn specs(given: Given<'_>) -> Result<Vec<OutputSpec>, UsageError> {
    let lines = given.flags.docker.output.iter();
    let lines = lines.filter(|line| !line.is_empty());
    lines
        .map(|line| output_spec::parse(line, given.environment.terminals.stdout))
        .collect()
}

/// Hosts that may be spoken to without TLS: those known already, and those of outputs that say so.
pub(super) fn insecure_hosts(
    given: Given<'_>,
    mut known: Vec<String>,
) -> Result<Vec<String>, UsageError> {
    let specs = specs(given)?;
    let insecure: Vec<_> = specs.into_iter().filter(|spec| spec.insecure).collect();
    if !insecure.is_empty() {
        let destinations = destinations(given, &insecure)?;
        known.extend(destinations.iter().map(|name| name.registry().to_owned()));
    }
    Ok(known)
}

fn places(
    given: Given<'_>,
    specs: &[OutputSpec],
    annotations: &Annotations,
    platforms: &[Platform],
) -> Result<Outputs, UsageError> {
    let (kaniko, docker) = (&given.flags.kaniko, &given.flags.docker);
    let destinations = destinations(given, specs)?;
    let asked =
        is_on(docker.push) || specs.iter().any(|spec| spec.push) || !kaniko.destination.is_empty();
    let refused = is_on_or_variable(kaniko.no_push, given.environment, "KANIKO_NO_PUSH");
    let push = !refused && (asked || given.style == Style::Kaniko);
    if push && asked && destinations.is_empty() {
        return Err(UsageError::NameMissing);
    }
    Ok(Outputs {
        push: push && !destinations.is_empty(),
        by_digest: specs.iter().any(|spec| spec.by_digest),
        load: is_on(docker.load) || specs.iter().any(|spec| spec.load),
        destinations,
        files: files(given, specs, annotations, platforms),
        digest_file: nonempty(kaniko.digest_file.as_deref()).map(|place| file_or_url(given, place)),
        name_with_digest_file: below(given, kaniko.image_name_with_digest_file.as_deref()),
        name_tag_with_digest_file: below(given, kaniko.image_name_tag_with_digest_file.as_deref()),
        builder_output: given.environment.path("BUILDER_OUTPUT"),
        ignore_immutable_tags: is_on(kaniko.registry.push_ignore_immutable_tag_errors),
        skip_push_check: is_on(kaniko.registry.skip_push_permission_check),
    })
}

/// A path below the working directory, or a URL as it is.
fn file_or_url(given: Given<'_>, place: &str) -> String {
    if place.starts_with("http://") || place.starts_with("https://") {
        return place.to_owned();
    }
    let path = given.environment.directory.join(place);
    path.to_string_lossy().into_owned()
}

/// Every name of the image, once. What is pushed by its digest has no tag.
fn destinations(given: Given<'_>, specs: &[OutputSpec]) -> Result<Vec<Reference>, UsageError> {
    let by_digest = specs.iter().any(|spec| spec.by_digest);
    let kaniko = given
        .flags
        .kaniko
        .destination
        .iter()
        .map(|text| ("destination", text));
    let docker = given.flags.docker.tag.iter().map(|text| ("tag", text));
    let named = specs
        .iter()
        .flat_map(|spec| &spec.names)
        .map(|text| ("output", text));
    let mut references = Vec::new();
    for (flag, text) in kaniko.chain(docker).chain(named) {
        let reference = super::target(flag, text)?;
        if let (true, Some(tag)) = (by_digest, reference.tag()) {
            return Err(UsageError::Contradiction {
                first: "push-by-digest=true".to_owned(),
                second: format!("the tag `{tag}` of {}", reference.name()),
            });
        }
        let reference = match by_digest {
            true => reference,
            false => reference.with_default_tag(),
        };
        if !references.contains(&reference) {
            references.push(reference);
        }
    }
    Ok(references)
}

fn files(
    given: Given<'_>,
    specs: &[OutputSpec],
    annotations: &Annotations,
    platforms: &[Platform],
) -> Vec<FileOutput> {
    let kaniko = &given.flags.kaniko;
    let in_directory = |kind, path: &Path, names: &[String]| FileOutput {
        kind,
        path: match path.as_os_str() == "-" || path.as_os_str().is_empty() {
            true => path.to_owned(),
            false => given.environment.directory.join(path),
        },
        names: names.to_vec(),
        annotations: annotations.of_entry(platforms),
        platform_split: None,
        fresh: false,
    };
    let specs = specs.iter().filter_map(|spec| {
        let (kind, path) = spec.file.as_ref()?;
        Some(FileOutput {
            platform_split: spec.split,
            ..in_directory(*kind, path, &spec.names)
        })
    });
    let materialized = is_on(kaniko.materialize).then(|| FileOutput {
        fresh: true,
        ..in_directory(FileOutputKind::Local, &materialized_path(given), &[])
    });
    let archive = kaniko
        .tar_path
        .iter()
        .map(|path| in_directory(FileOutputKind::DockerArchive, path, &[]));
    let layout = kaniko
        .oci_layout_path
        .iter()
        .map(|path| in_directory(FileOutputKind::OciDirectory, path, &[]));
    archive
        .chain(layout)
        .chain(specs)
        .chain(materialized)
        .filter(|file| !file.path.as_os_str().is_empty())
        .collect()
}

/// Where `--materialize` leaves the root filesystem: `/` itself is never touched.
fn materialized_path(given: Given<'_>) -> PathBuf {
    super::state_dir(given).join("materialized")
}

fn materialized(given: Given<'_>) -> Option<String> {
    let path = materialized_path(given);
    is_on(given.flags.kaniko.materialize).then(|| {
        format!(
            "--materialize: the image's root filesystem will be in {}",
            path.display()
        )
    })
}

/// The combinations that kaniko refuses, in its order.
fn refuse_without_place(given: Given<'_>, outputs: &Outputs) -> Result<(), UsageError> {
    let no_push = is_on_or_variable(
        given.flags.kaniko.no_push,
        given.environment,
        "KANIKO_NO_PUSH",
    );
    if given.style == Style::Kaniko && !no_push && outputs.destinations.is_empty() {
        return Err(UsageError::DestinationMissing);
    }
    let files = [
        (
            "image-name-with-digest-file",
            &outputs.name_with_digest_file,
        ),
        (
            "image-name-tag-with-digest-file",
            &outputs.name_tag_with_digest_file,
        ),
    ];
    match files
        .into_iter()
        .find(|(_, file)| file.is_some() && outputs.destinations.is_empty())
    {
        Some((flag, _)) => Err(UsageError::NameFileWithoutDestination { flag }),
        None => Ok(()),
    }
}

/// Whether the result goes nowhere and nobody said that it should. In docker's style that is legal, and worth a remark.
pub(super) fn placeless(given: Given<'_>, outputs: &Outputs) -> bool {
    let refused = is_on_or_variable(
        given.flags.kaniko.no_push,
        given.environment,
        "KANIKO_NO_PUSH",
    );
    !outputs.push && !outputs.load && outputs.files.is_empty() && !refused
}

fn annotations(
    given: Given<'_>,
    encoding: &Encoding,
    platforms: &[Platform],
) -> Result<Annotations, UsageError> {
    let host = [Platform::host()];
    let platforms_or_host = if platforms.is_empty() {
        &host[..]
    } else {
        platforms
    };
    let mut annotations = Annotations::default();
    for pair in &given.flags.kaniko.annotation {
        annotations.add_flag(platforms_or_host, &pair.key, &pair.value);
    }
    encoding.annotate(platforms_or_host, &mut annotations)?;
    match annotations.of_an_index() {
        Some(key) if platforms.len() < 2 => Err(UsageError::IndexAnnotation { key: key.clone() }),
        _ => Ok(annotations),
    }
}

fn format(given: Given<'_>, encoding: &Encoding) -> Result<Format, UsageError> {
    let kaniko = &given.flags.kaniko;
    let codec = nonempty(kaniko.compression.as_deref());
    let flag = if codec.is_some() || kaniko.compression_level.is_some() {
        "compression"
    } else {
        "output"
    };
    let codec = codec.or(encoding.compression.as_deref());
    let compression = compression(flag, codec, kaniko.compression_level.or(encoding.level))?;
    let media_types = match (nonempty(kaniko.image_format.as_deref()), encoding.oci_types) {
        (Some("oci"), _) | (None, Some(true)) => MediaTypes::Oci,
        (Some("docker"), _) | (None, Some(false)) => MediaTypes::Docker,
        (Some(other), _) => {
            return Err(UsageError::value(
                "image-format",
                Some(other),
                "expected oci or docker",
            ));
        }
        (None, None) => default_types(given.style, compression),
    };
    if matches!(compression, Compression::Zstd { .. }) && media_types == MediaTypes::Docker {
        return Err(UsageError::ZstdWithDocker);
    }
    Ok(Format {
        media_types,
        compression,
        force_compression: encoding.force_compression.unwrap_or(false),
    })
}

/// kaniko keeps the base image's types, as far as they can describe the layers.
fn default_types(style: Style, compression: Compression) -> MediaTypes {
    match (style, compression) {
        (Style::Kaniko, Compression::Gzip { .. }) => MediaTypes::Inherit,
        _ => MediaTypes::Oci,
    }
}

/// Files of several platforms can be laid over each other in a directory, but not in an archive.
fn refuse_merged_archives(outputs: &Outputs, platforms: &[Platform]) -> Result<(), UsageError> {
    let merged =
        |file: &FileOutput| file.kind == FileOutputKind::Tar && file.platform_split == Some(false);
    match platforms.len() > 1 && outputs.files.iter().any(merged) {
        true => Err(UsageError::value(
            "output",
            Some("type=tar,platform-split=false"),
            "an archive cannot merge the files of several platforms: use type=local",
        )),
        false => Ok(()),
    }
}

fn refuse_what_docker_cannot_hold(
    given: Given<'_>,
    outputs: &Outputs,
    format: &Format,
    platforms: &[Platform],
) -> Result<(), UsageError> {
    let archive = |file: &FileOutput| file.kind == FileOutputKind::DockerArchive;
    let flag = match outputs.files.iter().any(archive) {
        true if given.flags.kaniko.tar_path.is_some() => "--tar-path",
        true => "--output type=docker",
        false if outputs.load => "--load",
        false => return Ok(()),
    };
    if platforms.len() > 1 {
        let what = "an image of several platforms";
        return Err(UsageError::DockerArchive { flag, what });
    }
    let asked_for_oci = nonempty(given.flags.kaniko.image_format.as_deref()) == Some("oci");
    match format.compression {
        Compression::Zstd { .. } => Err(UsageError::DockerArchive {
            flag,
            what: "zstd layers",
        }),
        _ if asked_for_oci => Err(UsageError::DockerArchive {
            flag,
            what: "an image with --image-format=oci",
        }),
        _ => Ok(()),
    }
}
