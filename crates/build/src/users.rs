//! Users and groups of an image, read from its own `/etc/passwd` and `/etc/group`.
//!
//! RUN, and COPY or WORKDIR, follow different rules for names and numbers that the files do not
//! know; both are here, as pure functions over the files' text.

use crate::copy::Owner;

/// The accounts of an image; missing files are empty.
#[derive(Debug, Clone, Default)]
pub(crate) struct Accounts {
    users: Vec<User>,
    groups: Vec<Group>,
}

#[derive(Debug, Clone)]
struct User {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
}

#[derive(Debug, Clone)]
struct Group {
    name: String,
    gid: u32,
    members: Vec<String>,
}

/// Who a RUN runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunAs {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// All groups, the primary one first.
    pub(crate) groups: Vec<u32>,
    /// The home directory of the uid's account, `/` when there is none.
    pub(crate) home: String,
}

/// A user or group that the image does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unable to find {kind} {name}: no matching entries in {file} file")]
pub struct UnknownAccount {
    kind: &'static str,
    name: String,
    file: &'static str,
}

impl Accounts {
    /// Reads the text of both files; lines that make no sense are passed over.
    pub(crate) fn parse(passwd: &[u8], group: &[u8]) -> Self {
        Self {
            users: records(passwd).filter_map(|fields| user(&fields)).collect(),
            groups: records(group)
                .filter_map(|fields| parse_group(&fields))
                .collect(),
        }
    }

    /// Who `USER text` means to a RUN.
    ///
    /// # Errors
    ///
    /// If a name is in neither file. Numbers need no entry.
    pub(crate) fn run_as(&self, text: &str) -> Result<RunAs, UnknownAccount> {
        let (user, group) = text.split_once(':').unwrap_or((text, ""));
        if let (Ok(uid), Ok(gid)) = (user.parse(), group.parse()) {
            return Ok(self.with_home(uid, gid, Vec::new()));
        }
        let account = self.account(if user.is_empty() { "0" } else { user });
        let uid = match (account, user) {
            (Some(account), _) => account.uid,
            (None, "") => 0,
            (None, user) => user.parse().map_err(|_| unknown("user", user, "passwd"))?,
        };
        let primary = account.map_or(0, |account| account.gid);
        if !group.is_empty() {
            let gid = self
                .group(group)
                .ok_or_else(|| unknown("group", group, "group"))?;
            return Ok(self.with_home(uid, gid, Vec::new()));
        }
        let supplementary = account
            .map(|account| self.groups_of(&account.name))
            .unwrap_or_default();
        Ok(self.with_home(uid, primary, supplementary))
    }

    fn with_home(&self, uid: u32, gid: u32, supplementary: Vec<u32>) -> RunAs {
        let home = self
            .users
            .iter()
            .find(|user| user.uid == uid)
            .map_or("/", |user| user.home.as_str());
        let mut groups = vec![gid];
        groups.extend(supplementary.into_iter().filter(|other| *other != gid));
        RunAs {
            uid,
            gid,
            groups,
            home: home.to_owned(),
        }
    }

    /// The entry for a name, or for a number.
    fn account(&self, user: &str) -> Option<&User> {
        match user.parse::<u32>() {
            Ok(uid) => self.users.iter().find(|known| known.uid == uid),
            Err(_) => self.users.iter().find(|known| known.name == user),
        }
    }

    fn group(&self, group: &str) -> Option<u32> {
        group.parse().ok().or_else(|| {
            self.groups
                .iter()
                .find(|known| known.name == group)
                .map(|known| known.gid)
        })
    }

    fn groups_of(&self, name: &str) -> Vec<u32> {
        self.groups
            .iter()
            .filter(|group| group.members.iter().any(|member| member == name))
            .map(|group| group.gid)
            .collect()
    }

    /// Whom `--chown=text`, or the USER of a WORKDIR, makes the owner.
    ///
    /// What the files do not know is no error: an unknown user is root, an unknown group the
    /// user's own. A number alone is both user and group.
    pub(crate) fn owner(&self, text: &str) -> Owner {
        let (user, group) = text.split_once(':').unwrap_or((text, ""));
        let own = match user.parse::<u32>() {
            Ok(uid) => Owner { uid, gid: uid },
            Err(_) => self.users.iter().find(|known| known.name == user).map_or(
                Owner { uid: 0, gid: 0 },
                |known| Owner {
                    uid: known.uid,
                    gid: known.gid,
                },
            ),
        };
        Owner {
            gid: self.group(group).unwrap_or(own.gid),
            ..own
        }
    }
}

fn unknown(kind: &'static str, name: &str, file: &'static str) -> UnknownAccount {
    UnknownAccount {
        kind,
        name: name.to_owned(),
        file,
    }
}

fn records(text: &[u8]) -> impl Iterator<Item = Vec<String>> {
    text.split(|byte| *byte == b'\n').map(|line| {
        let line = String::from_utf8_lossy(line);
        line.trim().split(':').map(str::to_owned).collect()
    })
}

fn user(fields: &[String]) -> Option<User> {
    let [name, _, uid, gid, rest @ ..] = fields else {
        return None;
    };
    Some(User {
        name: name.clone(),
        uid: uid.parse().ok()?,
        gid: gid.parse().unwrap_or_default(),
        home: rest.get(1).cloned().unwrap_or_default(),
    })
}

fn parse_group(fields: &[String]) -> Option<Group> {
    let [name, _, gid, rest @ ..] = fields else {
        return None;
    };
    let members = rest.first().map(String::as_str).unwrap_or_default();
    Some(Group {
        name: name.clone(),
        gid: gid.parse().ok()?,
        members: members
            .split(',')
            .filter(|member| !member.is_empty())
            .map(str::to_owned)
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\nalice:x:1000:500:Alice:/home/alice:/bin/sh\nnohome:x:1002:500:::/bin/sh\n";
    const GROUP: &[u8] = b"root:x:0:\ndaemon:x:1:alice\nstaff:x:50:alice,bob\ng2:x:501:alice\n";

    fn accounts() -> Accounts {
        Accounts::parse(PASSWD, GROUP)
    }

    #[test]
    fn a_run_knows_names_numbers_and_their_groups() {
        for (text, uid, groups, home) in [
            ("", 0, vec![0], "/root"),
            ("alice", 1000, vec![500, 1, 50, 501], "/home/alice"),
            ("1000", 1000, vec![500, 1, 50, 501], "/home/alice"),
            ("alice:", 1000, vec![500, 1, 50, 501], "/home/alice"),
            ("alice:g2", 1000, vec![501], "/home/alice"),
            ("1000:7", 1000, vec![7], "/home/alice"),
            (":501", 0, vec![501], "/root"),
            ("4242", 4242, vec![0], "/"),
            ("nohome", 1002, vec![500], ""),
        ] {
            let found = accounts().run_as(text).unwrap();
            assert_eq!(
                (found.uid, found.groups, found.home.as_str()),
                (uid, groups, home),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_run_refuses_names_the_image_does_not_have() {
        let error = accounts().run_as("nosuch").unwrap_err();
        assert_eq!(
            error.to_string(),
            "unable to find user nosuch: no matching entries in passwd file"
        );
        let error = accounts().run_as("alice:nosuch").unwrap_err();
        assert_eq!(
            error.to_string(),
            "unable to find group nosuch: no matching entries in group file"
        );
    }

    #[test]
    fn an_owner_is_never_refused() {
        for (text, uid, gid) in [
            ("alice", 1000, 500),
            ("alice:staff", 1000, 50),
            ("1001", 1001, 1001),
            ("root:g2", 0, 501),
            (":7", 0, 7),
            ("nosuch", 0, 0),
            ("nosuch:nogroup", 0, 0),
            ("5:nogroup", 5, 5),
            ("alice:nogroup", 1000, 500),
        ] {
            assert_eq!(accounts().owner(text), Owner { uid, gid }, "{text}");
        }
    }

    #[test]
    fn lines_that_make_no_sense_are_passed_over() {
        let passwd = b"\n#comment\nbad\nnouid:x:name:1::/h:\nneg:x:-1:1::/h:\nbig:x:4294967296:1::/h:\n\xff:x:3:4::/h:\nshort:x:9\nok:x:5:6::/ok:/bin/sh\r\n";
        let group = b"bad\n\nnogid:x:name:\ng:x:7\nh:x:8:,ok,,\n";
        let accounts = Accounts::parse(passwd, group);
        for name in ["bad", "nouid", "neg", "big", "short", "#comment"] {
            assert!(accounts.run_as(name).is_err(), "{name}");
        }
        let found = accounts.run_as("ok").unwrap();
        assert_eq!(
            (found.uid, found.groups, found.home.as_str()),
            (5, vec![6, 8], "/ok")
        );
        assert_eq!(accounts.owner("ok:g"), Owner { uid: 5, gid: 7 });
    }

    #[test]
    fn of_equal_names_and_numbers_the_first_counts() {
        let accounts = Accounts::parse(
            b"a:x:1:1::/one:\na:x:2:2::/two:\nb:x:1:3::/three:\n",
            b"g:x:4:\ng:x:5:\n",
        );
        assert_eq!(
            (
                accounts.run_as("a").unwrap().uid,
                accounts.run_as("b").unwrap().home
            ),
            (1, "/one".to_owned())
        );
        assert_eq!(accounts.owner("a:g"), Owner { uid: 1, gid: 4 });
    }

    #[test]
    fn an_image_without_files_still_knows_numbers() {
        let none = Accounts::default();
        let found = none.run_as("5:6").unwrap();
        assert_eq!(
            (found.uid, found.groups, found.home.as_str()),
            (5, vec![6], "/")
        );
        assert_eq!(none.run_as("").unwrap().uid, 0);
        assert!(none.run_as("root").is_err());
        assert_eq!(none.owner("5"), Owner { uid: 5, gid: 5 });
    }
}
