//! Plans as a reader sees them at a glance, for snapshots.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use bringup::action::Action;
use bringup::plan::Plan;
use bringup::proof::Proof;
use bringup::system::firewall::opening::Allow;

/// What a reader wants to know of a plan at a glance: ids, kinds and what they are about.
pub fn outline(plan: &Plan) -> String {
    let mut out = String::new();
    for planned in &plan.actions {
        let about = match &planned.action {
            Action::Packages(a) => a.names.join(" "),
            Action::File(a) => format!("{} {} {}:{}", a.path.display(), a.mode, a.owner, a.group),
            Action::Edit(a) => {
                let set: Vec<String> = a.set.iter().map(|s| format!("{}{}{}", s.key, s.separator, s.value)).collect();
                format!("{} [{}]", a.path.display(), set.join("; "))
            }
            Action::Directory(a) => {
                let data = if a.user_data { " data" } else { "" };
                format!("{} {} {}:{}{data}", a.path.display(), a.mode, a.owner, a.group)
            }
            Action::Symlink(a) => format!("{} -> {}", a.path.display(), a.target.display()),
            Action::Remove(a) => a.path.display().to_string(),
            Action::User(a) => format!("{} {}", a.name, a.home.display()),
            Action::Source(a) => {
                format!("{} {:?} {} ({} files)", a.path.display(), a.from, a.location, a.files.len())
            }
            Action::Build(a) => {
                format!("{} from {} by {} as {}", a.path.display(), a.from.display(), a.program.display(), a.user)
            }
            Action::PythonEnv(a) => format!("{} {}", a.path.display(), a.requirements),
            Action::Trial(a) => format!("{} as {} at {} after[{}]", a.service, a.unit, a.path, a.after.join(" ")),
            Action::Service(a) => format!(
                "{:?} {}{} restart[{}] reload[{}]",
                a.manager,
                a.name,
                if a.running { "" } else { " off" },
                a.restart_after.join(" "),
                a.reload_after.join(" ")
            ),
            Action::Database(a) => format!("{:?} {} {} {:?} {}", a.engine, a.name, a.role, a.auth, a.password),
            Action::Rabbitmq(a) => format!("{} {} {}", a.user, a.vhost, a.password),
            Action::Certificate(a) => format!("{:?} {} {}", a.from, a.certificate.display(), a.names.join(" ")),
            Action::Firewall(a) => {
                let allowed: Vec<String> = a.allow.iter().map(Allow::shown).collect();
                let (manager, confirm) = (a.manager, a.confirm);
                format!("{manager:?} {} {} {confirm:?} {:?}", a.name, allowed.join(" "), a.at_boot)
            }
            Action::Acme(a) => format!("{} {} {}", a.name, a.directory, a.reload.join(" ")),
            Action::Sshd(a) => format!("{} {:?} {} {:?} {:?}", a.port, a.listen, a.keys_only, a.root_login, a.confirm),
            Action::Deb(a) => format!("{} {}", a.package, a.file.display()),
            Action::Command(a) => a.run.join(" "),
        };
        writeln!(out, "{} | {}", planned.id, about.trim_end()).unwrap();
    }
    for planned in &plan.proofs {
        let about = match &planned.proof {
            Proof::Command(p) => p.run.join(" "),
            Proof::Firewall(p) => format!("{:?} {}", p.manager, p.name),
            Proof::Http(p) => {
                let status = if p.success { "2xx".to_owned() } else { p.status.to_string() };
                format!("{} {status} {} {} {}", p.url, p.location, p.contains, p.body)
            }
            Proof::QueueRoundtrip(p) => format!("{} {}", p.url, p.submit),
            Proof::Ports(p) => {
                let ports: Vec<String> = p.ports.iter().map(|p| format!("{} {:?}", p.port, p.on)).collect();
                ports.join(", ")
            }
            Proof::Private(p) => {
                p.below.iter().map(|path| path.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
            }
            Proof::Renewal(p) => format!("{} {} rehearse={}", p.name, p.port, p.dry_run),
            Proof::Resolves(p) => format!("{} [{}] before={}", p.names.join(" "), p.addresses.join(" "), p.preflight),
            Proof::DatabaseRoundtrip(p) => {
                format!("{:?} {} {} {}:{} {}", p.engine, p.name, p.role, p.host, p.port, p.user)
            }
            Proof::Service(p) => format!("{:?} {} {:?}", p.manager, p.names.join(" "), p.processes),
            Proof::Sshd(p) => format!("{} {:?} {}", p.port, p.listen, p.keys_only),
            Proof::Tcp(p) => {
                format!("{:?} {}:{} {} {} before={}", p.protocol, p.host, p.port, p.user, p.database, p.preflight)
            }
            Proof::Timer(p) => format!("{} start={} {} h", p.unit, p.start, p.max_age),
            Proof::Upload(p) => format!("{} {}", p.url, p.limit),
        };
        writeln!(out, "prove {} | {}", planned.id, about.trim_end()).unwrap();
    }
    out
}

/// The files that a plan writes, for a picture that shows nothing twice: of a file that `seen` (a plan with a picture of
/// its own) also writes, and of one that the same action writes for another item, only what is different.
pub fn files(plan: &Plan, seen: Option<&Plan>, wanted: impl Fn(&str) -> bool) -> String {
    let mut out = String::new();
    let mut items: BTreeMap<&str, &str> = BTreeMap::new();
    for file in written(plan).filter(|file| wanted(file.id)) {
        writeln!(out, "=== {} {} {}", file.id, file.path.display(), file.access).unwrap();
        let action = file.id.split('[').next().unwrap();
        let same_path = seen.and_then(|seen| written(seen).find(|other| other.path == file.path));
        let before = same_path.map(|other| other.content).or_else(|| items.get(action).copied());
        out.push_str(&before.map_or_else(|| file.content.to_owned(), |before| difference(before, file.content)));
        out.push('\n');
        items.insert(action, file.content);
    }
    out
}

/// A file that a plan writes.
struct Written<'p> {
    id: &'p str,
    path: &'p Path,
    access: String,
    content: &'p str,
}

fn written(plan: &Plan) -> impl Iterator<Item = Written<'_>> {
    plan.actions.iter().filter_map(|planned| match &planned.action {
        Action::File(file) => Some(Written {
            id: &planned.id,
            path: &file.path,
            access: format!("{} {}:{}", file.mode, file.owner, file.group),
            content: &file.content,
        }),
        _ => None,
    })
}

fn difference(before: &str, now: &str) -> String {
    if before == now {
        return "(the same)\n".to_owned();
    }
    similar::TextDiff::from_lines(before, now).unified_diff().context_radius(1).to_string()
}

/// The content of a file that a plan writes.
#[track_caller]
pub fn file<'p>(plan: &'p Plan, path: &str) -> &'p str {
    plan.actions
        .iter()
        .find_map(|planned| match &planned.action {
            Action::File(file) if file.path.display().to_string() == path => Some(file.content.as_str()),
            _ => None,
        })
        .unwrap_or_else(|| panic!("the plan writes no {path}"))
}
