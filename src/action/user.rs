//! `user`: makes a system user with a group of its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::action::command_runner::{self, CommandRunner};
use crate::action::contract::{Act, Brings, Context, Verdict};
use crate::error::{Failure, Outcome};
use crate::host::{Command, Host};
use crate::system::accounts::{Account, Names};
use crate::undo::{Undo, UndoContext, Undone};

/// Makes a system user with a group of its own.
///
/// An existing system user is used, and a rollback restores it; an account of a person or of root is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Its home (not created here).
    pub home: PathBuf,
    /// Its shell.
    #[serde(default = "nologin")]
    pub shell: String,
    /// Further groups to be in.
    #[serde(default)]
    pub groups: Vec<String>,
}

fn nologin() -> String {
    "/usr/sbin/nologin".to_owned()
}

/// Ids from here on are those of people (`UID_MIN` of Debian's `/etc/login.defs`, and policy 9.2.2).
const FIRST_PERSON: u32 = 1000;

impl Act for User {
    fn describe(&self) -> String {
        format!("create the system user {}", self.name)
    }

    fn check(&self, cx: &Context<'_>) -> Outcome<Verdict> {
        let names = Names::read(cx.host)?;
        let Some(account) = self.usable(&names)? else {
            let among = if self.groups.is_empty() { String::new() } else { format!(", in {}", self.groups.join(", ")) };
            return Ok(Verdict::change(format!("create the system user {}{among}", self.name)));
        };
        let mut changes = Vec::new();
        if account.home != self.home() {
            changes.push(format!("its home becomes {} instead of {}", self.home(), account.home));
        }
        if account.shell != self.shell {
            changes.push(format!("its shell becomes {} instead of {}", self.shell, account.shell));
        }
        changes.extend(self.missing_groups(&names).map(|group| format!("it joins {group}")));
        if changes.is_empty() {
            return Ok(Verdict::Unchanged);
        }
        Ok(Verdict::change(format!("change the user {}: {}", self.name, changes.join("; "))))
    }

    fn prepare(&self, cx: &Context<'_>) -> Outcome<Vec<Undo>> {
        let names = Names::read(cx.host)?;
        let name = self.name.clone();
        let Some(account) = self.usable(&names)? else {
            let with_group = names.group(&name).is_none();
            return Ok(vec![Undo::User { name, with_group }]);
        };
        let mut records = Vec::new();
        if let Some(command) = self.usermod(account) {
            // The same options, with the present values.
            let was = Self { home: PathBuf::from(&account.home), shell: account.shell.clone(), ..self.clone() };
            let argv = was.change(command, is_busy(cx.host, account.uid))?;
            let describe = format!("restore the home and shell of the user {name}");
            records.push(Undo::Command { argv, user: String::new(), cwd: PathBuf::from("/"), describe });
        }
        records.extend(
            self.missing_groups(&names).map(|group| Undo::Membership { user: name.clone(), group: group.to_owned() }),
        );
        Ok(records)
    }

    fn apply(&self, cx: &Context<'_>) -> Outcome<()> {
        let names = Names::read(cx.host)?;
        match self.usable(&names)? {
            None => {
                // A group of that name may already exist; the user then joins it.
                let group =
                    if names.group(&self.name).is_some() { vec!["--gid", &self.name] } else { vec!["--user-group"] };
                let mut argv = vec!["useradd", "--system", "--no-log-init", "--no-create-home"];
                argv.extend(group);
                let home = self.home();
                argv.extend(["--home-dir", &home, "--shell", &self.shell, &self.name]);
                CommandRunner::new(Command::new(argv)).run(cx, &self.describe())?;
            }
            Some(account) => {
                if let Some(options) = self.usermod(account) {
                    let argv = self.change(options, is_busy(cx.host, account.uid))?;
                    CommandRunner::new(Command::new(argv)).run(cx, &format!("change the user {}", self.name))?;
                }
            }
        }
        let names = Names::read(cx.host)?;
        let groups: Vec<&str> = self.missing_groups(&names).collect();
        if let Some(unknown) = groups.iter().find(|group| names.group(group).is_none()) {
            return Err(Failure::new(format!("add {} to the group {unknown}", self.name), "there is no such group")
                .hint("install the package that creates the group first"));
        }
        if !groups.is_empty() {
            let argv = ["usermod", "--append", "--groups", &groups.join(","), &self.name];
            CommandRunner::new(Command::new(argv)).run(cx, &format!("add {} to {}", self.name, groups.join(", ")))?;
        }
        Ok(())
    }

    fn brings(&self) -> Brings {
        Brings { users: vec![self.name.clone()], ..Brings::default() }
    }
}

/// Which of an account's fields differ from what is wanted.
#[derive(Clone, Copy)]
struct Differs {
    home: bool,
    shell: bool,
}

impl User {
    fn home(&self) -> String {
        self.home.to_string_lossy().into_owned()
    }

    /// The existing account of that name, if it may be used.
    fn usable<'a>(&self, names: &'a Names) -> Outcome<Option<&'a Account>> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if !self.name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            || !self.name.chars().all(allowed)
            || self.name.len() > 32
        {
            return Err(Failure::new(self.describe(), "that is not a valid user name")
                .hint("use up to 32 lower-case letters, digits, - and _, starting with a letter"));
        }
        let Some(account) = names.account(&self.name) else {
            return Ok(None);
        };
        if account.uid == 0 || account.uid >= FIRST_PERSON {
            let whose = if account.uid == 0 { "the administrator's" } else { "a person's" };
            let why = format!("an account of that name already exists, and it is {whose} (id {})", account.uid);
            return Err(Failure::new(self.describe(), why)
                .hint("choose another user name: a service must not run as such an account"));
        }
        Ok(Some(account))
    }

    fn missing_groups<'a>(&'a self, names: &'a Names) -> impl Iterator<Item = &'a str> {
        self.groups.iter().map(String::as_str).filter(|group| !names.is_member(&self.name, group))
    }

    fn usermod(&self, account: &Account) -> Option<Differs> {
        let differs = Differs { home: account.home != self.home(), shell: account.shell != self.shell };
        (differs.home || differs.shell).then_some(differs)
    }

    /// The command that sets the account's home and shell. `usermod` refuses a new home while processes of the user
    /// run, as those of an application that was handed over do; the file itself can be edited under its lock.
    fn change(&self, differs: Differs, busy: bool) -> Outcome<Vec<String>> {
        if !(differs.home && busy) {
            return Ok(self.account_options(differs.home, differs.shell));
        }
        let (home, name) = (self.home(), &self.name);
        let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+".contains(c));
        if !plain(&home) || !plain(&self.shell) {
            let why = format!(
                "its processes are running, and its home {home} or its shell {} has unusual characters",
                self.shell
            );
            return Err(Failure::new(format!("change the user {name}"), why).hint("stop what runs as that user first"));
        }
        let script = format!("s|^({name}:([^:]*:){{4}})[^:]*:[^:]*$|\\1{home}:{}|", self.shell);
        // Within the same second vipw would consider the file unchanged.
        let editor = format!("VISUAL=sleep 1.1; sed -i -E '{script}'");
        Ok(["env", &editor, "vipw", "--passwd", "--quiet"].map(str::to_owned).to_vec())
    }

    fn account_options(&self, home: bool, shell: bool) -> Vec<String> {
        let mut argv = vec!["usermod".to_owned()];
        if home {
            argv.extend(["--home".to_owned(), self.home()]);
        }
        if shell {
            argv.extend(["--shell".to_owned(), self.shell.clone()]);
        }
        argv.push(self.name.clone());
        argv
    }
}

/// Whether processes of this user are running.
fn is_busy(host: &dyn Host, uid: u32) -> bool {
    let processes = host.list(Path::new("/proc")).unwrap_or_default();
    processes.into_iter().filter(|name| name.to_string_lossy().bytes().all(|byte| byte.is_ascii_digit())).any(|name| {
        host.stat(&Path::new("/proc").join(name)).is_ok_and(|stat| stat.is_some_and(|stat| stat.meta.uid == uid))
    })
}

/// Carries out [`Undo::User`].
pub fn undo_user(cx: &UndoContext<'_>, name: &str, with_group: bool) -> Outcome<Undone> {
    let names = Names::read(cx.host)?;
    let account = names.account(name);
    if let Some(account) = account.filter(|account| account.uid == 0 || account.uid >= FIRST_PERSON) {
        let why = format!("bringup did not create the account of that name: its id is {}", account.uid);
        return Ok(Undone::Kept { what: format!("the user {name}"), why });
    }
    if account.is_some() {
        userdel(cx, name)?;
    }
    // userdel removes the group when it has no other members.
    let names = Names::read(cx.host)?;
    let Some(group) = names.group(name).filter(|_| with_group) else {
        return Ok(if account.is_some() { Undone::Done(format!("removed the user {name}")) } else { Undone::Nothing });
    };
    let primary = names.accounts.iter().filter(|one| one.gid == group.gid).map(|one| &one.name);
    let others: Vec<&str> = group.members.iter().chain(primary).map(String::as_str).collect();
    if !others.is_empty() {
        let why = format!("{} joined it since", others.join(", "));
        return Ok(Undone::Kept { what: format!("the group {name}"), why });
    }
    command_runner::run_undo(cx, &format!("remove the group {name}"), &Command::new(["groupdel", name]), None)?;
    Ok(Undone::Done(format!("removed the user {name} and its group")))
}

/// Removes the user once its last process has ended: an init script's `stop` returns before the programs under its
/// supervisor have ended.
fn userdel(cx: &UndoContext<'_>, name: &str) -> Outcome<()> {
    let what = format!("remove the user {name}");
    let command = Command::new(["userdel", name]);
    let mut last = Ok(());
    for _ in 0..60 {
        last = command_runner::run_undo(cx, &what, &command, Some("a process of that user may still run")).map(drop);
        match &last {
            Err(failure) if failure.tail.iter().any(|line| line.contains("currently used by process")) => {
                cx.host.sleep(Duration::from_millis(500));
            }
            _ => break,
        }
    }
    last
}

/// Carries out [`Undo::Membership`].
pub fn undo_membership(cx: &UndoContext<'_>, user: &str, group: &str) -> Outcome<Undone> {
    let names = Names::read(cx.host)?;
    let member = names.group(group).is_some_and(|group| group.members.iter().any(|member| member == user));
    if !member {
        return Ok(Undone::Nothing);
    }
    let what = format!("remove {user} from the group {group}");
    command_runner::run_undo(cx, &what, &Command::new(["gpasswd", "--delete", user, group]), None)?;
    Ok(Undone::Done(format!("removed {user} from the group {group}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::action::testing::{Bench, kept};

    fn user(groups: &[&str]) -> User {
        serde_json::from_value(serde_json::json!({"name": "webapp", "home": "/srv/webapp", "groups": groups})).unwrap()
    }

    /// Adds a line to one of the account files.
    fn add(bench: &Bench, file: &str, line: &str) {
        let text = bench.host.text(file).unwrap();
        bench.host.put_file(file, format!("{text}{line}\n"), 0o644);
    }

    #[test]
    fn a_user_comes_and_goes_with_its_group_and_memberships() {
        let bench = Bench::new();
        bench.round_trip(&user(&[]));
        bench.round_trip(&user(&["www-data", "adm"]));
        bench.make(&user(&["www-data"]));
        let names = Names::read(&bench.host).unwrap();
        assert_eq!(names.account("webapp").unwrap().home, "/srv/webapp");
        assert!(names.is_member("webapp", "www-data"));
    }

    #[test]
    fn a_system_user_that_is_there_only_joins_and_leaves() {
        let bench = Bench::new();
        add(&bench, "/etc/passwd", "webapp:x:998:33::/srv/webapp:/usr/sbin/nologin");
        assert_eq!(bench.summary(&user(&["adm"])), "change the user webapp: it joins adm");
        bench.round_trip(&user(&["adm"]));
        assert!(Names::read(&bench.host).unwrap().account("webapp").is_some());
    }

    #[test]
    fn a_home_and_a_shell_that_differ_are_changed_and_recorded_as_they_were() {
        let bench = Bench::new();
        add(&bench, "/etc/passwd", "webapp:x:998:33::/old:/bin/sh");
        let records = bench.with(|cx| user(&[]).prepare(cx)).unwrap();
        let [Undo::Command { argv, .. }] = &records[..] else { panic!("{records:?}") };
        assert_eq!(argv, &["usermod", "--home", "/old", "--shell", "/bin/sh", "webapp"]);
        bench.with(|cx| user(&[]).apply(cx)).unwrap();
        let argv = bench.host.commands().pop().unwrap().argv;
        assert_eq!(argv, ["usermod", "--home", "/srv/webapp", "--shell", "/usr/sbin/nologin", "webapp"]);
    }

    #[test]
    fn a_user_whose_processes_run_is_changed_in_the_file() {
        let bench = Bench::new();
        add(&bench, "/etc/passwd", "webapp:x:998:33::/old:/bin/sh");
        bench.host.put_file("/proc/77/comm", "theirs\n", 0o444);
        let theirs = crate::host::Meta { mode: 0o555, uid: 998, gid: 33 };
        Host::set_meta(&bench.host, Path::new("/proc/77"), theirs).unwrap();
        let records = bench.with(|cx| user(&[]).prepare(cx)).unwrap();
        let [Undo::Command { argv, .. }] = &records[..] else { panic!("{records:?}") };
        let editor = "VISUAL=sleep 1.1; sed -i -E 's|^(webapp:([^:]*:){4})[^:]*:[^:]*$|\\1/old:/bin/sh|'";
        assert_eq!(argv, &["env", editor, "vipw", "--passwd", "--quiet"]);
        let odd = User { home: "/srv/a b".into(), ..user(&[]) };
        assert!(bench.with(|cx| odd.apply(cx)).unwrap_err().hint.unwrap().contains("stop what runs"));
    }

    #[test]
    fn an_account_of_a_person_or_of_root_is_refused() {
        let bench = Bench::new();
        add(&bench, "/etc/passwd", "webapp:x:1000:1000::/home/webapp:/bin/bash");
        assert!(bench.check(&user(&[])).unwrap_err().why.contains("a person's"));
        let root = User { name: "root".to_owned(), ..user(&[]) };
        assert!(bench.check(&root).unwrap_err().why.contains("the administrator's"));
        let odd = User { name: "-x".to_owned(), ..user(&[]) };
        assert!(bench.check(&odd).unwrap_err().why.contains("not a valid user name"));
    }

    #[test]
    fn a_group_that_nobody_brings_is_told_at_the_end_only() {
        let bench = Bench::new();
        assert!(bench.check(&user(&["nowhere"])).is_ok(), "a package may bring it");
        assert!(bench.try_to_make(&user(&["nowhere"])).err().unwrap().why.contains("no such group"));
    }

    #[test]
    fn a_group_that_somebody_else_joined_stays() {
        let bench = Bench::new();
        let done = bench.make(&user(&[]));
        // As userdel does, the group is left when someone else is in it.
        bench.host.on(&["userdel", "webapp"], |host, _| {
            let text = host.text("/etc/passwd").unwrap();
            let rest: Vec<&str> = text.lines().filter(|line| !line.starts_with("webapp:")).collect();
            host.put_file("/etc/passwd", rest.join("\n") + "\n", 0o644);
            crate::host::fake::output(0, "", "")
        });
        let text = bench.host.text("/etc/group").unwrap();
        let joined: String = text
            .lines()
            .map(|line| if line.starts_with("webapp:") { format!("{line}daemon\n") } else { format!("{line}\n") })
            .collect();
        bench.host.put_file("/etc/group", joined, 0o644);
        assert_eq!(kept(bench.take_back(&done)), ["the group webapp: daemon joined it since"]);
    }

    #[test]
    fn taking_back_twice_is_no_error() {
        let bench = Bench::new();
        let done = bench.make(&user(&["adm"]));
        bench.take_back(&done);
        assert_eq!(bench.take_back(&done), [Undone::Nothing]);
    }
}
