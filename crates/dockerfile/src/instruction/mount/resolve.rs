//! Fields of a mount to a mount that makes sense.

use super::{Mount, MountError, MountKind, Sharing};
use crate::expand::{Expanded, Expander};
use crate::suggest::nearest;
use crate::value::size;

const KEYS: [&str; 19] = [
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "src",
    "dst",
    "destination",
    "ro",
    "rw",
    "readwrite",
    "env",
];

/// Expands and checks the fields in written order.
pub(super) fn resolve(fields: &[String], expander: &Expander<'_>) -> Result<Mount, MountError> {
    let mut builder = Builder::default();
    for field in fields {
        builder.field(field, expander)?;
    }
    builder.finish()
}

#[derive(Debug, Default)]
struct Builder {
    mount: Mount,
    read_only: Option<bool>,
}

impl Builder {
    fn field(&mut self, field: &str, expander: &Expander<'_>) -> Result<(), MountError> {
        let Some((key, value)) = field.split_once('=') else {
            return self.bare(field);
        };
        let Expanded {
            value, undefined, ..
        } = expander.expand_word(value)?;
        self.mount.undefined.extend(undefined);
        let key = key.to_lowercase();
        self.pair(&key, value, field)
    }

    fn bare(&mut self, field: &str) -> Result<(), MountError> {
        match field.to_lowercase().as_str() {
            "readonly" | "ro" => self.read_only = Some(true),
            "readwrite" | "rw" => self.read_only = Some(false),
            "required" => {
                self.only_for("required", &[MountKind::Secret, MountKind::Ssh])?;
                self.mount.required = true;
            }
            _ => return Err(MountError::ValueMissing(field.to_owned())),
        }
        Ok(())
    }

    fn pair(&mut self, key: &str, value: String, field: &str) -> Result<(), MountError> {
        match key {
            "type" => self.mount.kind = MountKind::parse(&value)?,
            "from" => self.mount.from = non_empty(value),
            "source" | "src" => self.mount.source = non_empty(value),
            "target" | "dst" | "destination" => self.mount.target = non_empty(value),
            "readonly" | "ro" => self.read_only = Some(boolean(key, &value)?),
            "readwrite" | "rw" => self.read_only = Some(!boolean(key, &value)?),
            "required" => {
                self.only_for("required", &[MountKind::Secret, MountKind::Ssh])?;
                self.mount.required = boolean(key, &value)?;
            }
            "size" => {
                self.only_for("size", &[MountKind::Tmpfs])?;
                self.mount.size = Some(size::parse(&value).ok_or_else(|| invalid(key, &value))?);
            }
            "id" => self.mount.id = non_empty(value),
            "sharing" => self.mount.sharing = Some(Sharing::parse(&value)?),
            "mode" => self.mount.mode = Some(number("mode", &value, 8)?),
            "uid" => self.mount.uid = Some(number("uid", &value, 10)?),
            "gid" => self.mount.gid = Some(number("gid", &value, 10)?),
            "env" => self.mount.env = non_empty(value),
            _ => {
                let suggestion = nearest(key, KEYS);
                return Err(MountError::UnexpectedKey {
                    key: key.to_owned(),
                    field: field.to_owned(),
                    suggestion,
                });
            }
        }
        Ok(())
    }

    /// Some keys are checked against the type seen so far.
    fn only_for(&self, key: &'static str, kinds: &[MountKind]) -> Result<(), MountError> {
        let kind = self.mount.kind;
        if kinds.contains(&kind) {
            Ok(())
        } else {
            Err(MountError::KeyOfOtherType { key, kind })
        }
    }

    fn finish(mut self) -> Result<Mount, MountError> {
        let kind = self.mount.kind;
        self.mount.read_only = self
            .read_only
            .unwrap_or(!matches!(kind, MountKind::Cache | MountKind::Tmpfs));
        self.check_owner()?;
        if kind == MountKind::Secret {
            self.check_secret()?;
        }
        if self.mount.sharing.is_some() && kind != MountKind::Cache {
            return Err(MountError::SharingOfOtherType(kind));
        }
        if kind == MountKind::Ssh && self.mount.source.is_some() {
            return Err(MountError::SshSource);
        }
        Ok(self.mount)
    }

    fn check_owner(&self) -> Result<(), MountError> {
        let kind = self.mount.kind;
        if !matches!(kind, MountKind::Bind | MountKind::Tmpfs) {
            return Ok(());
        }
        let given = [
            ("mode", self.mount.mode),
            ("uid", self.mount.uid),
            ("gid", self.mount.gid),
        ];
        match given.into_iter().find(|(_, value)| value.is_some()) {
            Some((key, _)) => Err(MountError::NotAllowed { key, kind }),
            None => Ok(()),
        }
    }

    fn check_secret(&self) -> Result<(), MountError> {
        let Mount {
            from,
            sharing,
            source,
            target,
            id,
            ..
        } = &self.mount;
        match () {
            () if from.is_some() => Err(MountError::SecretFrom),
            () if sharing.is_some() => Err(MountError::SecretSharing),
            () if source.is_none() && target.is_none() && id.is_none() => {
                Err(MountError::SecretUnnamed)
            }
            () if source.is_some() && id.is_some() => Err(MountError::SecretTwoNames),
            () => Ok(()),
        }
    }
}

fn non_empty(value: String) -> Option<String> {
    Some(value).filter(|value| !value.is_empty())
}

fn invalid(key: &str, value: &str) -> MountError {
    MountError::InvalidValue {
        key: key.to_owned(),
        value: value.to_owned(),
    }
}

fn boolean(key: &str, value: &str) -> Result<bool, MountError> {
    crate::lint::parse_bool(value).ok_or_else(|| invalid(key, value))
}

fn number(key: &'static str, value: &str, radix: u32) -> Result<u32, MountError> {
    let digits = value.bytes().all(|b| b.is_ascii_digit());
    let number = u32::from_str_radix(value, radix).ok().filter(|_| digits);
    number.ok_or_else(|| MountError::InvalidNumber {
        key,
        value: value.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instruction::RawMount;

    fn resolve(text: &str) -> Result<Mount, String> {
        let lookup = |name: &str| (name == "t").then(|| "tmpfs".to_owned());
        let raw = RawMount::parse(text).map_err(|error| error.to_string())?;
        Mount::resolve(&raw, &Expander::new('\\', &lookup)).map_err(|error| error.to_string())
    }

    #[test]
    fn mounts_are_typed() {
        let mount =
            resolve("TYPE=cache,target=/c,id=x,sharing=LOCKED,mode=0750,uid=1,gid=2").unwrap();
        assert_eq!(
            (mount.kind, mount.read_only, mount.sharing),
            (MountKind::Cache, false, Some(Sharing::Locked))
        );
        assert_eq!(
            (mount.mode, mount.uid, mount.gid),
            (Some(0o750), Some(1), Some(2))
        );
        let mount = resolve("type=$t,dst=/t,size=1m").unwrap();
        assert_eq!(
            (mount.kind, mount.size, mount.target.as_deref()),
            (MountKind::Tmpfs, Some(1 << 20), Some("/t"))
        );
        let mount = resolve("from=a,target=$u").unwrap();
        assert_eq!(
            (mount.read_only, mount.target, mount.undefined),
            (true, None, vec!["u".to_owned()])
        );
        assert!(!resolve("target=/a,rw").unwrap().read_only);
        assert!(resolve("type=secret,id=x,required").unwrap().required);
        assert_eq!(
            resolve("type=secret,id=x,env=NAME").unwrap().env.as_deref(),
            Some("NAME")
        );
        assert_eq!(
            resolve("target=/a,\"source=x,y\"")
                .unwrap()
                .source
                .as_deref(),
            Some("x,y")
        );
    }

    #[test]
    fn wrong_mounts_say_what_is_wrong() {
        insta::assert_snapshot!(
            [
                "", "target=/a,b\"c", "from=$x", "type=foo", "type=bnd", "bogus=1", "targt=/a", "target", "required",
                "type=tmpfs,size=zz", "size=1", "type=cache,mode=9", "uid=x", "type=tmpfs,mode=1", "ro=maybe",
                "type=cache,sharing=foo", "sharing=shared", "type=secret", "type=secret,id=a,source=b",
                "type=secret,id=a,from=b", "type=ssh,source=x", "target=${",
            ]
            .map(|text| resolve(text).unwrap_err())
            .join("\n"),
            @r#"
        failed to parse csv mounts: EOF
        failed to parse csv mounts: parse error on line 1, column 12: bare " in non-quoted-field
        'from' doesn't support variable expansion, define alias stage instead
        unsupported mount type "foo"
        unsupported mount type "bnd" (did you mean bind?)
        unexpected key 'bogus' in 'bogus=1'
        unexpected key 'targt' in 'targt=/a' (did you mean target?)
        invalid field 'target' must be a key=value pair
        unexpected key 'required' for mount type 'bind'
        invalid value for size: zz
        unexpected key 'size' for mount type 'bind'
        invalid value 9 for mode
        invalid value x for uid
        mode not allowed for "tmpfs" type mounts
        invalid value for ro: maybe
        unsupported sharing value "foo"
        invalid cache sharing set for bind mount
        invalid secret mount. one of source, target required
        both source and id can't be set
        secret mount should not have a from
        ssh does not support source
        failed to process "${": syntax error: missing '}'
        "#
        );
    }
}
