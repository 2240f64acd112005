//! One `--output` as buildx writes it: a type, a place, and options of the exporter.

use std::path::PathBuf;

use yadokari_build::FileOutputKind;
use yadokari_image::Platform;

use super::UsageError;
use super::labels::Annotations;
use crate::flags::go::{self, Switch};

/// What one `--output` asks for.
#[derive(Debug, Default)]
pub(super) struct OutputSpec {
    /// What is written to disk; nothing for a registry.
    pub(super) file: Option<(FileOutputKind, PathBuf)>,
    /// Names of the image.
    pub(super) names: Vec<String>,
    /// Push to the names.
    pub(super) push: bool,
    /// Push without a tag.
    pub(super) by_digest: bool,
    /// Push over plain HTTP.
    pub(super) insecure: bool,
    /// Load into an engine.
    pub(super) load: bool,
    /// Give each platform a directory of its own.
    pub(super) split: Option<bool>,
    /// How the image is encoded.
    pub(super) encoding: Encoding,
}

/// Options that change the image itself; a build has one value of each.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Encoding {
    pub(super) compression: Option<String>,
    pub(super) level: Option<i32>,
    pub(super) force_compression: Option<bool>,
    pub(super) oci_types: Option<bool>,
    pub(super) rewrite_timestamp: Option<bool>,
    pub(super) epoch: Option<i64>,
    /// Place, key, value.
    pub(super) annotations: Vec<(String, String, String)>,
}

/// Types an output can have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Oci,
    Docker,
    Local,
    Tar,
    Image { push: bool },
}

/// Reads one `--output`; `-` is a tar of the files on standard output, and a bare path a directory of them.
pub(super) fn parse(line: &str, stdout_is_terminal: bool) -> Result<OutputSpec, UsageError> {
    let wrong = |reason: &str| UsageError::value("output", Some(line), reason);
    if !line.contains('=') {
        let kind = if line == "-" {
            FileOutputKind::Tar
        } else {
            FileOutputKind::Local
        };
        return Ok(OutputSpec {
            file: Some((kind, PathBuf::from(line))),
            ..OutputSpec::default()
        });
    }
    let options = go::options(line).map_err(|reason| wrong(&reason))?;
    let kind = kind(&options).map_err(|reason| wrong(&reason))?;
    let is_image = matches!(kind, Kind::Image { .. });
    let on = |value: &str| switch(value).map_err(|reason| wrong(&reason));
    let (mut dest, mut tar) = (None, true);
    let mut spec = OutputSpec {
        push: kind == Kind::Image { push: true },
        ..OutputSpec::default()
    };
    for (key, value) in options {
        let Some(value) = value else {
            return Err(wrong(&format!("`{key}` has no value")));
        };
        match key.as_str() {
            "type" => {}
            "dest" if !is_image => dest = Some(PathBuf::from(value)),
            "tar" if matches!(kind, Kind::Oci | Kind::Docker) => tar = on(&value)?,
            "push" if is_image => spec.push = on(&value)?,
            "push-by-digest" if is_image => spec.by_digest = on(&value)?,
            "registry.insecure" if is_image => spec.insecure = on(&value)?,
            // Names are given with digests in any case.
            "name-canonical" if is_image => drop(on(&value)?),
            "store" | "unpack" if is_image && on(&value)? => {
                return Err(wrong(
                    "there is no store of a daemon: leave store= and unpack= out",
                ));
            }
            "store" | "unpack" if is_image => {}
            "platform-split" if matches!(kind, Kind::Local | Kind::Tar) => {
                spec.split = Some(on(&value)?);
            }
            "name" => spec
                .names
                .extend(value.split(',').map(|name| name.trim().to_owned())),
            _ => spec
                .encoding
                .set(&key, value)
                .map_err(|reason| wrong(&reason))?,
        }
    }
    spec.load = kind == Kind::Docker && dest.is_none() && tar;
    if !spec.load {
        spec.file = file(kind, dest, tar, stdout_is_terminal).map_err(wrong)?;
    }
    Ok(spec)
}

fn kind(options: &[(String, Option<String>)]) -> Result<Kind, String> {
    let value = options
        .iter()
        .find(|(key, _)| key == "type")
        .and_then(|(_, value)| value.as_deref());
    Ok(match value {
        Some("oci") => Kind::Oci,
        Some("docker") => Kind::Docker,
        Some("local") => Kind::Local,
        Some("tar") => Kind::Tar,
        Some("image") => Kind::Image { push: false },
        Some("registry") => Kind::Image { push: true },
        Some(other) => {
            return Err(format!(
                "type {other} is not one of oci, docker, local, tar, registry, image"
            ));
        }
        None => return Err("type= is missing".to_owned()),
    })
}

fn file(
    kind: Kind,
    dest: Option<PathBuf>,
    tar: bool,
    stdout_is_terminal: bool,
) -> Result<Option<(FileOutputKind, PathBuf)>, &'static str> {
    let file_kind = match (kind, tar) {
        (Kind::Image { .. }, _) => return Ok(None),
        (Kind::Oci, true) => FileOutputKind::OciArchive,
        (Kind::Oci, false) => FileOutputKind::OciDirectory,
        (Kind::Docker, true) => FileOutputKind::DockerArchive,
        (Kind::Docker, false) => {
            return Err("a docker archive is one file: tar=false does not go with it");
        }
        (Kind::Local, _) => FileOutputKind::Local,
        (Kind::Tar, _) => FileOutputKind::Tar,
    };
    let is_directory = matches!(
        file_kind,
        FileOutputKind::OciDirectory | FileOutputKind::Local
    );
    match dest {
        Some(dest) if is_directory && dest.as_os_str() == "-" => {
            Err("a directory cannot go to standard output")
        }
        Some(dest) if !dest.as_os_str().is_empty() => Ok(Some((file_kind, dest))),
        _ if is_directory => Err("dest= is missing"),
        _ if stdout_is_terminal => Err("dest= is missing, and standard output is a terminal"),
        _ => Ok(Some((file_kind, PathBuf::from("-")))),
    }
}

impl Encoding {
    fn set(&mut self, key: &str, value: String) -> Result<(), String> {
        match key {
            "compression" => self.compression = Some(value),
            "compression-level" => {
                self.level = Some(value.parse().map_err(|_| "compression-level is a number")?);
            }
            "force-compression" => self.force_compression = Some(switch(&value)?),
            "oci-mediatypes" => self.oci_types = Some(switch(&value)?),
            "rewrite-timestamp" => self.rewrite_timestamp = Some(switch(&value)?),
            "source-date-epoch" => {
                self.epoch = Some(
                    value
                        .parse()
                        .map_err(|_| "source-date-epoch is a number of seconds")?,
                );
            }
            _ => {
                let (place, name) =
                    annotation(key).ok_or_else(|| format!("`{key}` is not known here"))?;
                self.annotations.push((place, name, value));
            }
        }
        Ok(())
    }

    /// Takes over what another output says, if the two agree.
    pub(super) fn join(&mut self, other: Self) -> Result<(), UsageError> {
        fn one<T: PartialEq>(
            name: &str,
            mine: &mut Option<T>,
            other: Option<T>,
        ) -> Result<(), UsageError> {
            match (&*mine, other) {
                (Some(known), Some(other)) if *known != other => {
                    let first = format!("{name}= of one --output");
                    Err(UsageError::Contradiction {
                        first,
                        second: "that of another (a build makes one image)".to_owned(),
                    })
                }
                (_, Some(other)) => {
                    *mine = Some(other);
                    Ok(())
                }
                (_, None) => Ok(()),
            }
        }
        one("compression", &mut self.compression, other.compression)?;
        one("compression-level", &mut self.level, other.level)?;
        one(
            "force-compression",
            &mut self.force_compression,
            other.force_compression,
        )?;
        one("oci-mediatypes", &mut self.oci_types, other.oci_types)?;
        one(
            "rewrite-timestamp",
            &mut self.rewrite_timestamp,
            other.rewrite_timestamp,
        )?;
        one("source-date-epoch", &mut self.epoch, other.epoch)?;
        self.annotations.extend(other.annotations);
        Ok(())
    }

    /// Puts the annotations where they belong.
    pub(super) fn annotate(
        &self,
        platforms: &[Platform],
        annotations: &mut Annotations,
    ) -> Result<(), UsageError> {
        for (place, key, value) in &self.annotations {
            let unknown = |_| {
                UsageError::value(
                    "output",
                    Some(place),
                    "annotations go on manifest, manifest-descriptor or index",
                )
            };
            annotations
                .add(place, platforms, key, value)
                .map_err(unknown)?;
        }
        Ok(())
    }
}

/// Splits `annotation.key`, `annotation-manifest-descriptor[platform].key` into place and key.
fn annotation(key: &str) -> Option<(String, String)> {
    let rest = key.strip_prefix("annotation")?;
    let end = match rest.find('[') {
        Some(bracket) if !rest[..bracket].contains('.') => {
            bracket + rest[bracket..].find("].")? + 1
        }
        _ => rest.find('.')?,
    };
    let (place, name) = (&rest[..end], &rest[end + 1..]);
    let place = match place.strip_prefix('-') {
        Some(place) => place.to_owned(),
        None if place.is_empty() || place.starts_with('[') => format!("manifest{place}"),
        None => return None,
    };
    (!name.is_empty()).then(|| (place, name.to_owned()))
}

fn switch(value: &str) -> Result<bool, String> {
    value.parse().map(|Switch(on)| on)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotation_keys_name_their_place() {
        let cases = [
            ("annotation.plain", Some(("manifest", "plain"))),
            ("annotation-manifest.m.n", Some(("manifest", "m.n"))),
            (
                "annotation-manifest-descriptor.d",
                Some(("manifest-descriptor", "d")),
            ),
            (
                "annotation-index[linux/amd64].i",
                Some(("index[linux/amd64]", "i")),
            ),
            (
                "annotation[linux/amd64].k",
                Some(("manifest[linux/amd64]", "k")),
            ),
            ("annotation.a[b].c", Some(("manifest", "a[b].c"))),
            ("annotation", None),
            ("annotation.", None),
            ("annotationx.k", None),
        ];
        for (key, expected) in cases {
            let expected = expected.map(|(place, name)| (place.to_owned(), name.to_owned()));
            assert_eq!(annotation(key), expected, "{key}");
        }
    }

    #[test]
    fn each_type_has_its_place() {
        let file = |line| {
            parse(line, false)
                .unwrap()
                .file
                .map(|(kind, path)| (kind, path.display().to_string()))
        };
        let cases = [
            (
                "type=oci,dest=a.tar",
                Some((FileOutputKind::OciArchive, "a.tar")),
            ),
            (
                "type=oci,tar=false,dest=d",
                Some((FileOutputKind::OciDirectory, "d")),
            ),
            (
                "type=docker,dest=a.tar",
                Some((FileOutputKind::DockerArchive, "a.tar")),
            ),
            (
                "type=docker,dest=-",
                Some((FileOutputKind::DockerArchive, "-")),
            ),
            ("type=docker", None),
            ("type=local,dest=d", Some((FileOutputKind::Local, "d"))),
            ("type=tar", Some((FileOutputKind::Tar, "-"))),
            ("-", Some((FileOutputKind::Tar, "-"))),
            ("out", Some((FileOutputKind::Local, "out"))),
            ("type=image,name=a", None),
        ];
        for (line, expected) in cases {
            assert_eq!(
                file(line),
                expected.map(|(kind, path)| (kind, path.to_owned())),
                "{line}"
            );
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let cases = [
            "type=oci,tar=false",
            "type=local",
            "type=local,dest=-",
            "type=docker,tar=false,dest=x",
            "type=cacheonly,dest=x",
            "dest=x",
            "type=oci,dest=x,unknown=1",
            "type=oci,dest=x,push=true",
            "type=registry,dest=x",
            "type=oci,dest=x,tar=maybe",
            "type=oci,dest=x,compression-level=high",
            "type=oci,dest=x,flag",
        ];
        for line in cases {
            assert!(parse(line, false).is_err(), "{line}");
        }
        assert!(
            parse("type=tar", true).is_err(),
            "an archive is no thing for a terminal"
        );
    }

    #[test]
    fn two_outputs_must_agree_on_the_image() {
        let encoding = |line| parse(line, false).unwrap().encoding;
        let mut first = encoding("type=oci,dest=a,compression=zstd");
        first
            .join(encoding("type=tar,dest=b,rewrite-timestamp=true"))
            .unwrap();
        assert_eq!(
            (first.compression.as_deref(), first.rewrite_timestamp),
            (Some("zstd"), Some(true))
        );
        assert!(
            first
                .join(encoding("type=oci,dest=c,compression=gzip"))
                .is_err()
        );
    }
}
