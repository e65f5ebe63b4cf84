//! Users and groups of this server by name, as `/etc/passwd` and `/etc/group` have them.

use std::path::Path;

use crate::error::{Failure, Outcome};
use crate::host::{Host, Meta};

/// A line of `/etc/passwd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group's id.
    pub gid: u32,
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
}

/// A line of `/etc/group`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Group id.
    pub gid: u32,
    /// Users that are in it besides those whose primary group it is.
    pub members: Vec<String>,
}

/// The accounts and groups of a host, read once.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Accounts.
    pub accounts: Vec<Account>,
    /// Groups.
    pub groups: Vec<Group>,
}

impl Names {
    /// Reads both files. Lines that make no sense are passed over, as the C library does.
    pub fn read(host: &dyn Host) -> Outcome<Self> {
        Ok(Self {
            accounts: text(host, "/etc/passwd")?.lines().filter_map(account).collect(),
            groups: text(host, "/etc/group")?.lines().filter_map(group).collect(),
        })
    }

    /// The account of that name.
    pub fn account(&self, name: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.name == name)
    }

    /// The group of that name.
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// Whether `user` is in `group`, as its primary group or as a member.
    pub fn is_member(&self, user: &str, group: &str) -> bool {
        self.group(group).is_some_and(|group| {
            group.members.iter().any(|member| member == user)
                || self.account(user).is_some_and(|account| account.gid == group.gid)
        })
    }
}

/// Mode, owner and group as the kernel takes them; `None` while the owner or the group does not exist (an
/// earlier action may be about to make it).
pub fn meta(host: &dyn Host, mode: &str, owner: &str, group: &str) -> Outcome<Option<Meta>> {
    let mode = parse_mode(mode)?;
    if owner == "root" && group == "root" {
        return Ok(Some(Meta::root(mode)));
    }
    let names = Names::read(host)?;
    let (Some(account), Some(group)) = (names.account(owner), names.group(group)) else {
        return Ok(None);
    };
    Ok(Some(Meta { mode, uid: account.uid, gid: group.gid }))
}

/// Like [`meta`], when the owner and the group must exist by now.
pub fn require_meta(host: &dyn Host, mode: &str, owner: &str, group: &str) -> Outcome<Meta> {
    meta(host, mode, owner, group)?.ok_or_else(|| {
        Failure::new(format!("set a file to {owner}:{group}"), "this server has no such user or group")
            .hint(format!("see `getent passwd {owner}` and `getent group {group}`"))
    })
}

/// Permission bits from their octal form, such as `0640`.
pub fn parse_mode(text: &str) -> Outcome<u32> {
    u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777).ok_or_else(|| {
        Failure::new(format!("read the mode {text:?}"), "it is not an octal number from 0000 to 7777")
            .hint("write it like \"0644\"")
    })
}

fn text(host: &dyn Host, path: &str) -> Outcome<String> {
    let bytes = host.read(Path::new(path)).map_err(|e| Failure::new(format!("read {path}"), e))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn account(line: &str) -> Option<Account> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, _, home, shell] = fields.as_slice() else {
        return None;
    };
    Some(Account {
        name: (*name).to_owned(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        home: (*home).to_owned(),
        shell: (*shell).to_owned(),
    })
}

fn group(line: &str) -> Option<Group> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, gid, members] = fields.as_slice() else {
        return None;
    };
    Some(Group {
        name: (*name).to_owned(),
        gid: gid.parse().ok()?,
        members: members.split(',').filter(|member| !member.is_empty()).map(str::to_owned).collect(),
    })
}
