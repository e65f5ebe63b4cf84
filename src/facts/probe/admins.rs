//! Who may administer this server over SSH: root, and anyone who may become root by sudo; and what they log in with.
//!
//! Only public halves of keys are looked at.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{exists, text};
use crate::facts::Admin;
use crate::host::{Host, Stat};

/// Groups whose members may become root on Debian and its kin.
const GROUPS: &[&str] = &["sudo", "admin", "wheel"];

/// An entry of the accounts' file.
struct Account {
    name: String,
    uid: u32,
    gid: String,
    home: PathBuf,
    shell: String,
}

/// All that there are; of others than ourselves only root sees what they log in with.
pub fn find(host: &dyn Host, key_files: &[String]) -> Vec<Admin> {
    let accounts = text(host, "/etc/passwd");
    let groups = text(host, "/etc/group");
    let groups: Vec<Vec<&str>> = groups.lines().map(|line| line.split(':').collect()).collect();
    let of_admins: Vec<&Vec<&str>> =
        groups.iter().filter(|group| GROUPS.contains(&group[0]) && group.len() == 4).collect();
    let members: BTreeSet<&str> = of_admins.iter().flat_map(|group| group[3].split(',')).collect();
    let shadow = text(host, "/etc/shadow");
    let sudoers = sudoers(host);
    let is_admin = |account: &Account| {
        let by_group = members.contains(account.name.as_str()) || of_admins.iter().any(|group| group[2] == account.gid);
        let by_name = sudoers.lines().any(|line| line.split_whitespace().next() == Some(&account.name));
        account.uid == 0 || by_group || by_name
    };
    let accounts = accounts.lines().filter_map(account).filter(|account| !is_closed(&account.shell));
    let admin = |account: Account| Admin {
        key: key_files.iter().any(|file| has_key(host, &account, file)),
        password: has_password(&shadow, &account.name),
        root: account.uid == 0 || has_password(&shadow, &account.name) || unasked(&sudoers, &account.name, &of_admins),
        name: account.name,
    };
    accounts.filter(is_admin).map(admin).collect()
}

fn account(line: &str) -> Option<Account> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, _, home, shell] = fields[..] else { return None };
    let (name, gid, shell) = (name.to_owned(), gid.to_owned(), shell.to_owned());
    Some(Account { name, uid: uid.parse().ok()?, gid, home: home.into(), shell })
}

fn is_closed(shell: &str) -> bool {
    shell.ends_with("/nologin") || shell.ends_with("/false")
}

/// Whether the account has a password at all, and is not locked.
fn has_password(shadow: &str, name: &str) -> bool {
    let hash = shadow.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.split(':').next());
    hash.is_some_and(|hash| hash.len() > 4 && !hash.starts_with(['!', '*']))
}

/// The rules of sudo, all in one.
fn sudoers(host: &dyn Host) -> String {
    let dir = Path::new("/etc/sudoers.d");
    let names = host.list(dir).unwrap_or_default();
    let parts = names.iter().map(|name| text(host, dir.join(name)));
    std::iter::once(text(host, "/etc/sudoers")).chain(parts).collect::<Vec<_>>().join("\n")
}

/// Whether someone becomes root without a password.
fn unasked(sudoers: &str, name: &str, groups: &[&Vec<&str>]) -> bool {
    let in_group = |who: &str| {
        let group = who.strip_prefix('%');
        group.is_some_and(|of| groups.iter().any(|group| group[0] == of && group[3].split(',').any(|one| one == name)))
    };
    sudoers.lines().filter(|line| line.contains("NOPASSWD:")).any(|line| {
        let who = line.split_whitespace().next().unwrap_or_default();
        who == name || in_group(who)
    })
}

/// Whether a file of authorized keys has one, and sshd would read it: not where others may write (`StrictModes`).
fn has_key(host: &dyn Host, account: &Account, file: &str) -> bool {
    let Account { home, name, uid, .. } = account;
    let file = file.replace("%h", &home.to_string_lossy()).replace("%u", name).replace("%%", "%");
    let path = home.join(file);
    let safe = |stat: Stat| (stat.meta.uid == *uid || stat.meta.uid == 0) && stat.meta.mode & 0o022 == 0;
    let of_home = path.ancestors().skip(1).take_while(|dir| dir.starts_with(home));
    let mut way = of_home.chain(std::iter::once(path.as_path()));
    exists(host, &path)
        && way.all(|part| host.stat(part).ok().flatten().is_some_and(safe))
        && text(host, &path).lines().any(is_key)
}

/// A public key, whatever options precede it.
fn is_key(line: &str) -> bool {
    let is_kind = |word: &str| ["ssh-", "ecdsa-", "sk-"].iter().any(|kind| word.starts_with(kind));
    let mut words = line.split_whitespace();
    !line.trim_start().starts_with('#') && words.any(is_kind) && words.next().is_some_and(|key| key.starts_with("AAAA"))
}

/// Names of those who can still log in and become root.
pub fn left(admins: &[Admin], keys_only: bool, root_login: &str) -> Vec<String> {
    let still = |admin: &&Admin| match admin.name.as_str() {
        "root" => admin.key && root_login != "never",
        _ => admin.root && (admin.key || (admin.password && !keys_only)),
    };
    admins.iter().filter(still).map(|admin| admin.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Meta;
    use crate::host::fake::FakeHost;

    const FILES: [&str; 1] = [".ssh/authorized_keys"];

    fn host() -> FakeHost {
        let host = FakeHost::new();
        host.put_file(
            "/etc/passwd",
            "root:x:0:0::/root:/bin/bash\nalice:x:1000:1000::/home/alice:/bin/bash\nbob:x:1001:1001::/home/bob:/bin/sh\n\
             daemon:x:1:27::/:/usr/sbin/nologin\n",
            0o644,
        );
        host.put_file("/etc/group", "sudo:x:27:alice\nalice:x:1000:\n", 0o644);
        host.put_file("/etc/shadow", "root:*:1::::::\nalice:$y$j9T$x:1::::::\nbob:!:1::::::\n", 0o600);
        host
    }

    fn admins(host: &FakeHost) -> Vec<Admin> {
        find(host, &FILES.map(str::to_owned))
    }

    fn key_of(host: &FakeHost, home: &str, text: &str, mode: u32) {
        host.put_file(format!("{home}/.ssh/authorized_keys"), text, mode);
    }

    #[test]
    fn root_and_who_may_become_root_count_with_what_they_log_in_with() {
        let host = host();
        let admin = |name: &str, key, password, root| Admin { name: name.to_owned(), key, password, root };
        assert_eq!(admins(&host), [admin("root", false, false, true), admin("alice", false, true, true)]);
        key_of(&host, "/root", "# mine\nno-pty ssh-ed25519 AAAAC3 x\n", 0o600);
        host.put_file("/etc/sudoers.d/bob", "bob ALL=(ALL) NOPASSWD: ALL\n", 0o440);
        let expected =
            [admin("root", true, false, true), admin("alice", false, true, true), admin("bob", false, false, true)];
        assert_eq!(admins(&host), expected);
    }

    #[test]
    fn a_key_that_sshd_would_not_read_is_none() {
        let host = host();
        let has = || admins(&host).iter().any(|admin| admin.name == "root" && admin.key);
        for (text, mode, expected) in [
            ("ssh-ed25519 AAAAC3 x\n", 0o644, true),
            ("ssh-ed25519 AAAAC3 x\n", 0o664, false),
            ("#ssh-ed25519 AAAAC3 x\n", 0o600, false),
            ("", 0o600, false),
        ] {
            key_of(&host, "/root", text, mode);
            assert_eq!(has(), expected, "{text} {mode:o}");
        }
        key_of(&host, "/root", "ssh-rsa AAAAB3 x\n", 0o600);
        assert!(crate::host::Host::set_meta(&host, Path::new("/root/.ssh"), Meta::root(0o777)).is_ok());
        assert!(!has(), "everybody may write into the directory");
    }

    #[test]
    fn who_is_left_depends_on_what_is_still_taken() {
        let host = host();
        key_of(&host, "/root", "ssh-rsa AAAAB3 x\n", 0o600);
        let left = |keys_only, root_login| left(&admins(&host), keys_only, root_login).join(" ");
        assert_eq!(left(false, "keep"), "root alice");
        assert_eq!(left(true, "keep"), "root");
        assert_eq!(left(true, "with_key"), "root");
        assert_eq!(left(false, "never"), "alice");
        assert_eq!(left(true, "never"), "");
    }
}
