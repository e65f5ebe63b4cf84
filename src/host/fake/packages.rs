//! apt and dpkg over `/var/lib/dpkg/status`.

mod dpkg;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::programs::Program;
use super::{FakeHost, World};
use crate::host::{Kind, Meta};

pub(super) use dpkg::{dpkg, dpkg_query};

const STATUS: &str = "/var/lib/dpkg/status";
const INSTALLED: &str = "install ok installed";
const UNPACKED: &str = "install ok unpacked";
const CONFIG_FILES: &str = "deinstall ok config-files";
/// Servers that reload their configuration on request.
const RELOADED: [&str; 3] = ["nginx", "apache2", "postgresql"];

/// The order in which a stanza's fields are written.
const FIELDS: &[&str] =
    &["Package", "Status", "Priority", "Section", "Architecture", "Version", "Depends", "Description"];

/// A package in the archive.
#[derive(Clone, Debug, Default)]
pub struct Package {
    name: String,
    version: String,
    depends: Vec<String>,
    recommends: Vec<String>,
    /// Bytes of its archive, and KiB that it takes when installed.
    size: Option<(u64, u64)>,
    files: Vec<(PathBuf, String, u32)>,
    users: Vec<String>,
    data: Vec<PathBuf>,
    service: Option<String>,
    listens: Vec<SocketAddr>,
}

impl Package {
    /// A package without files.
    pub fn new(name: &str, version: &str) -> Self {
        Self { name: name.to_owned(), version: version.to_owned(), ..Self::default() }
    }

    /// Needs these.
    #[must_use]
    pub fn depends(mut self, names: &[&str]) -> Self {
        self.depends = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// Its recommended packages.
    #[must_use]
    pub fn recommends(mut self, names: &[&str]) -> Self {
        self.recommends = names.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// Has an archive of so many bytes, and takes so many KiB when it is installed.
    #[must_use]
    pub fn size(mut self, archive: u64, installed_kib: u64) -> Self {
        self.size = Some((archive, installed_kib));
        self
    }

    /// Has this file; below `/etc` it is configuration.
    #[must_use]
    pub fn file(mut self, path: &str, content: &str, mode: u32) -> Self {
        self.files.push((path.into(), content.to_owned(), mode));
        self
    }

    /// Makes this user when it is configured, and leaves it when it is purged.
    #[must_use]
    pub fn user(mut self, name: &str) -> Self {
        self.users.push(name.to_owned());
        self
    }

    /// Makes this directory with data in it when it is configured, and leaves it when it is purged.
    #[must_use]
    pub fn data(mut self, dir: &str) -> Self {
        self.data.push(dir.into());
        self
    }

    /// What its configuration script does, for anyone who reads it.
    fn script(&self) -> String {
        let users = self.users.iter().map(|user| format!("adduser --system {user}\n"));
        let data = self.data.iter().map(|dir| format!("install -d {}\n", dir.display()));
        users.chain(data).fold("#!/bin/sh\n".to_owned(), |script, line| script + &line)
    }

    /// Has a systemd unit and an init script of this name, listening there.
    #[must_use]
    pub fn service(mut self, name: &str, listens: &[&str]) -> Self {
        let (reload, script) = if RELOADED.contains(&name) {
            ("ExecReload=/bin/kill -HUP $MAINPID\n", "#!/bin/sh\ncase $1 in\nreload)\nesac\n")
        } else {
            ("", "#!/bin/sh\n")
        };
        let unit = format!(
            "[Unit]\nDescription={name}\n[Service]\nExecStart=/usr/sbin/{name}\n{reload}[Install]\nWantedBy=multi-user.target\n"
        );
        self.files.push((format!("/lib/systemd/system/{name}.service").into(), unit, 0o644));
        self.files.push((format!("/etc/init.d/{name}").into(), script.to_owned(), 0o755));
        self.service = Some(name.to_owned());
        self.listens = listens.iter().filter_map(|address| address.parse().ok()).collect();
        self
    }
}

/// The archive, and its planned faults.
#[derive(Debug, Default)]
pub(super) struct Archive {
    offers: BTreeMap<String, Package>,
    unavailable: BTreeSet<String>,
    broken: BTreeSet<String>,
    offline: bool,
    locked_for: u32,
    pub(super) base_dirs: BTreeSet<PathBuf>,
}

impl FakeHost {
    /// Puts a package into the archive. Packages that were not described are available too; they are empty.
    pub fn offer(&self, package: Package) {
        self.world().packages.offers.insert(package.name.clone(), package);
    }

    /// Takes a package out of the archive.
    pub fn withdraw(&self, name: &str) {
        self.world().packages.unavailable.insert(name.to_owned());
    }

    /// Makes a package's configuration script fail, or work again.
    pub fn break_package(&self, name: &str, broken: bool) {
        let broken_ones = &mut self.world().packages.broken;
        if broken {
            broken_ones.insert(name.to_owned())
        } else {
            broken_ones.remove(name)
        };
    }

    /// Cuts the archive off, or connects it again.
    pub fn set_offline(&self, offline: bool) {
        self.world().packages.offline = offline;
    }

    /// Makes the next `calls` of apt and dpkg find the lock taken.
    pub fn lock_packages(&self, calls: u32) {
        self.world().packages.locked_for = calls;
    }

    /// The installed packages with their versions.
    pub fn packages(&self) -> BTreeMap<String, String> {
        self.world().installed()
    }
}

type Stanza = BTreeMap<String, String>;

impl World {
    pub(super) fn installed(&self) -> BTreeMap<String, String> {
        let known = self.stanzas();
        let installed = known.into_iter().filter(|(_, stanza)| stanza.get("Status").is_some_and(|s| s == INSTALLED));
        installed.map(|(name, mut stanza)| (name, stanza.remove("Version").unwrap_or_default())).collect()
    }

    pub(super) fn add_to_archive(&mut self, package: Package) {
        self.packages.offers.insert(package.name.clone(), package);
    }

    /// Puts a package there as the installer of the system would.
    pub(super) fn preinstall(&mut self, name: &str, version: &str) {
        let mut stanzas = self.stanzas();
        stanzas.insert(name.to_owned(), stanza(&Package::new(name, version), INSTALLED));
        self.save_stanzas(&stanzas);
    }

    fn stanzas(&self) -> BTreeMap<String, Stanza> {
        let text = self.files.text(STATUS);
        let stanzas = text.split("\n\n").map(|block| {
            let lines = block.lines().filter_map(|line| line.split_once(": "));
            lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<Stanza>()
        });
        stanzas.filter_map(|stanza| Some((stanza.get("Package")?.clone(), stanza))).collect()
    }

    fn save_stanzas(&mut self, stanzas: &BTreeMap<String, Stanza>) {
        let mut text = String::new();
        for stanza in stanzas.values() {
            for field in FIELDS.iter().filter(|field| stanza.contains_key(**field)) {
                let _ = writeln!(text, "{field}: {}", stanza[*field]);
            }
            text.push('\n');
        }
        let now = self.tick();
        self.files.put(Path::new(STATUS), text.as_bytes(), Meta::root(0o644), now);
    }

    fn set_status(&mut self, package: &Package, status: &str) {
        let mut stanzas = self.stanzas();
        stanzas.insert(package.name.clone(), stanza(package, status));
        self.save_stanzas(&stanzas);
    }

    fn offer_of(&self, name: &str) -> Option<Package> {
        if self.packages.unavailable.contains(name) {
            return None;
        }
        Some(self.packages.offers.get(name).cloned().unwrap_or_else(|| Package::new(name, "1.0-1")))
    }

    /// `names` and what they need and is not there, in the order of configuration.
    fn missing(&self, names: &[String], recommends: bool) -> Result<Vec<Package>, String> {
        let installed = self.installed();
        let mut order: Vec<Package> = Vec::new();
        for name in names {
            self.add_missing(name, recommends, &installed, &mut Vec::new(), &mut order)?;
        }
        Ok(order)
    }

    fn add_missing(
        &self,
        name: &str,
        recommends: bool,
        installed: &BTreeMap<String, String>,
        above: &mut Vec<String>,
        order: &mut Vec<Package>,
    ) -> Result<(), String> {
        let is_there = installed.contains_key(name) || order.iter().any(|package| package.name == name);
        if is_there || above.iter().any(|other| other == name) {
            return Ok(());
        }
        let package = self.offer_of(name).ok_or_else(|| format!("E: Unable to locate package {name}"))?;
        above.push(name.to_owned());
        for needed in &package.depends {
            self.add_missing(needed, recommends, installed, above, order)?;
        }
        above.pop();
        order.push(package.clone());
        for liked in package.recommends.iter().filter(|_| recommends) {
            // A recommended package that is not available is skipped.
            let _ = self.add_missing(liked, recommends, installed, above, order);
        }
        Ok(())
    }

    fn unpack(&mut self, package: &Package) {
        let now = self.tick();
        let mut list = String::new();
        for (path, content, mode) in &package.files {
            let is_conffile = path.starts_with("/etc");
            if !(is_conffile && self.files.exists(path)) {
                self.files.put(path, content.as_bytes(), Meta::root(*mode), now);
            }
            let _ = writeln!(list, "{}", path.display());
        }
        self.files.put(&list_file(&package.name), list.as_bytes(), Meta::root(0o644), now);
        self.files.put(&script_file(&package.name), package.script().as_bytes(), Meta::root(0o755), now);
        self.set_status(package, UNPACKED);
    }

    fn configure(&mut self, package: &Package) -> Result<(), String> {
        if self.packages.broken.contains(&package.name) {
            return Err(format!(
                "dpkg: error processing package {0} (--configure):\n installed {0} package post-installation script subprocess returned error exit status 1",
                package.name
            ));
        }
        for user in package.users.iter().filter(|user| !self.has_user(user)).cloned().collect::<Vec<_>>() {
            self.add_user(&user, &format!("/var/lib/{user}"), "/usr/sbin/nologin", None);
        }
        let now = self.tick();
        for dir in &package.data {
            self.files.put(&dir.join("data"), b"fresh\n", Meta::root(0o600), now);
        }
        if let Some(service) = &package.service {
            let unit = format!("{service}.service");
            self.unit_listens(&unit, &package.listens);
            self.enable(&unit);
            self.link_init_script(service, true);
            if !self.files.exists("/usr/sbin/policy-rc.d") {
                let _ = self.start(&unit);
            }
        }
        self.set_status(package, INSTALLED);
        Ok(())
    }

    fn configure_all(&mut self) -> Result<(), String> {
        let waiting: Vec<String> = self.unconfigured();
        for name in waiting {
            if let Some(package) = self.packages.offers.get(&name).cloned().or_else(|| self.offer_of(&name)) {
                self.configure(&package)?;
            }
        }
        Ok(())
    }

    fn unconfigured(&self) -> Vec<String> {
        let stanzas = self.stanzas().into_iter();
        stanzas
            .filter(|(_, stanza)| stanza.get("Status").is_some_and(|s| s == UNPACKED))
            .map(|(name, _)| name)
            .collect()
    }

    /// `names` as far as they are there, with what needs them.
    fn with_dependents(&self, names: &[String]) -> Vec<String> {
        let stanzas = self.stanzas();
        let mut gone: Vec<String> = names.iter().filter(|name| stanzas.contains_key(*name)).cloned().collect();
        loop {
            let needs_one = |stanza: &Stanza| {
                let depends = stanza.get("Depends").map_or("", String::as_str);
                depends.split(", ").any(|needed| gone.iter().any(|name| name == needed))
            };
            let next = stanzas.iter().find(|(name, stanza)| {
                let is_there = stanza.get("Status").is_some_and(|status| status != CONFIG_FILES);
                is_there && !gone.contains(name) && needs_one(stanza)
            });
            match next {
                Some((name, _)) => gone.push(name.clone()),
                None => return gone,
            }
        }
    }

    /// `offline`: its scripts do not reach systemd.
    fn take_off(&mut self, name: &str, purge: bool, offline: bool) {
        let now = self.tick();
        if let Some(service) = self.packages.offers.get(name).and_then(|package| package.service.clone()) {
            let unit = format!("{service}.service");
            if !offline {
                self.stop(&unit);
            }
            if purge {
                self.disable(&unit);
                self.link_init_script(&service, false);
            }
        }
        let list = self.files.text(list_file(name));
        for path in list.lines().map(PathBuf::from).filter(|path| purge || !path.starts_with("/etc")) {
            let _ = self.files.remove(&path, now);
            for dir in path.ancestors().skip(1) {
                if self.packages.base_dirs.contains(dir) || self.files.remove_dir(dir, now).is_err() {
                    break;
                }
            }
        }
        let mut stanzas = self.stanzas();
        if purge {
            stanzas.remove(name);
            let _ = self.files.remove(&list_file(name), now);
            let _ = self.files.remove(&script_file(name), now);
        } else if let Some(stanza) = stanzas.get_mut(name) {
            stanza.insert("Status".to_owned(), CONFIG_FILES.to_owned());
        }
        self.save_stanzas(&stanzas);
    }

    fn is_locked(&mut self) -> bool {
        let is_locked = self.packages.locked_for > 0;
        self.packages.locked_for = self.packages.locked_for.saturating_sub(1);
        is_locked
    }
}

fn stanza(package: &Package, status: &str) -> Stanza {
    let architecture = "amd64";
    let mut stanza: Stanza = [
        ("Package", package.name.as_str()),
        ("Status", status),
        ("Priority", "optional"),
        ("Section", "misc"),
        ("Architecture", architecture),
        ("Version", &package.version),
        ("Description", "made for a test"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    if !package.depends.is_empty() {
        stanza.insert("Depends".to_owned(), package.depends.join(", "));
    }
    stanza
}

fn list_file(name: &str) -> PathBuf {
    format!("/var/lib/dpkg/info/{name}.list").into()
}

fn script_file(name: &str) -> PathBuf {
    format!("/var/lib/dpkg/info/{name}.postinst").into()
}

fn bare(name: &str) -> String {
    name.split(['=', ':']).next().unwrap_or(name).to_owned()
}

const LOCKED: &str = "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 4711 (unattended-upgr)";

/// `apt-get update | install | remove | purge | autoremove | clean`.
pub(super) fn apt_get(program: &mut Program<'_>) -> i32 {
    let mut operands = program.operands(&["-o", "--option", "-c", "-t", "--target-release"]);
    if operands.is_empty() {
        return program.fail(100, "E: no operation");
    }
    let verb = operands.remove(0);
    let simulate = program.has(&["-s", "--simulate", "--dry-run"]);
    let names: Vec<String> = operands.iter().map(|name| bare(name)).collect();
    if !simulate && program.world.is_locked() {
        return program.fail(100, LOCKED);
    }
    match verb.as_str() {
        "update" if program.world.packages.offline => {
            program.fail(100, "E: Failed to fetch: Temporary failure resolving")
        }
        "update" => {
            let now = program.world.tick();
            program.world.files.put(
                Path::new("/var/lib/apt/lists/archive_InRelease"),
                b"lists\n",
                Meta::root(0o644),
                now,
            );
            program.say("Reading package lists... Done");
            0
        }
        "install" | "build-dep" => apt_install(program, &names, simulate),
        "remove" | "purge" | "autoremove" | "autopurge" => {
            let purge = verb.ends_with("purge") || program.has(&["--purge"]);
            apt_remove(program, &names, purge, simulate)
        }
        _ => 0,
    }
}

fn apt_install(program: &mut Program<'_>, names: &[String], simulate: bool) -> i32 {
    let is_fixing = program.has(&["-f", "--fix-broken"]);
    let unconfigured = program.world.unconfigured();
    if !unconfigured.is_empty() && !is_fixing {
        return program
            .fail(100, "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.");
    }
    let options = program.values(&["-o", "--option"]);
    let recommends = !program.has(&["--no-install-recommends"])
        && !options.iter().any(|option| {
            option.to_ascii_lowercase().replace(' ', "").starts_with("apt::install-recommends=f")
                || option == "APT::Install-Recommends=0"
        });
    let wanted = match program.world.missing(names, recommends) {
        Ok(wanted) => wanted,
        Err(error) => return program.fail(100, error),
    };
    for package in &wanted {
        if simulate {
            program.say(format!("Inst {} ({} Debian:12.5/stable [amd64])", package.name, package.version));
        }
    }
    for package in wanted.iter().filter(|_| simulate) {
        program.say(format!("Conf {} ({} Debian:12.5/stable [amd64])", package.name, package.version));
    }
    program.say(format!("0 upgraded, {} newly installed, 0 to remove and 0 not upgraded.", wanted.len()));
    if simulate {
        return 0;
    }
    if program.world.packages.offline && !wanted.is_empty() {
        return program.fail(100, "E: Failed to fetch: Temporary failure resolving");
    }
    // As apt does, before dpkg is started.
    let mut automatic = program.world.automatic();
    automatic.extend(wanted.iter().map(|package| package.name.clone()));
    automatic.retain(|name| !names.contains(name));
    program.world.set_automatic(&automatic);
    let unpacked = if program.is_cut { wanted.len().div_ceil(2) } else { wanted.len() };
    for (index, package) in wanted[..unpacked].iter().enumerate() {
        program.world.unpack(package);
        status_line(program, index, wanted.len() * 2, &format!("Unpacking {}", package.name), &package.name);
    }
    if program.is_cut {
        return 137;
    }
    for (index, package) in wanted.iter().enumerate() {
        status_line(
            program,
            wanted.len() + index,
            wanted.len() * 2,
            &format!("Configuring {}", package.name),
            &package.name,
        );
        if let Err(error) = program.world.configure(package) {
            program.fail(100, error);
            return program.fail(100, "E: Sub-process /usr/bin/dpkg returned an error code (1)");
        }
    }
    if is_fixing && let Err(error) = program.world.configure_all() {
        return program.fail(100, error);
    }
    0
}

/// A line of `APT::Status-Fd`, when it was requested on stdout, or on a descriptor that is stderr.
fn status_line(program: &mut Program<'_>, done: usize, all: usize, what: &str, name: &str) {
    let percent = done * 100 / all.max(1);
    let line = format!("pmstatus:{name}:{percent}.0000:{what}\n");
    let options = program.values(&["-o", "--option"]);
    if options.iter().any(|option| option.eq_ignore_ascii_case("APT::Status-Fd=1")) {
        program.out.push_str(&line);
    } else if options.iter().any(|option| option.eq_ignore_ascii_case("APT::Status-Fd=9")) {
        program.err.push_str(&line);
    }
}

fn apt_remove(program: &mut Program<'_>, names: &[String], purge: bool, simulate: bool) -> i32 {
    let gone = program.world.with_dependents(names);
    let versions = program.world.installed();
    let word = if purge { "Purg" } else { "Remv" };
    for name in &gone {
        if simulate {
            program.say(format!("{word} {name} [{}]", versions.get(name).map_or("", String::as_str)));
        }
    }
    program.say(format!("0 upgraded, 0 newly installed, {} to remove and 0 not upgraded.", gone.len()));
    if simulate {
        return 0;
    }
    let mut automatic = program.world.automatic();
    automatic.retain(|name| !gone.contains(name));
    program.world.set_automatic(&automatic);
    let count = if program.is_cut { gone.len().div_ceil(2) } else { gone.len() };
    let offline = program.is_offline();
    for name in &gone[..count] {
        program.world.take_off(name, purge, offline);
    }
    0
}

/// `apt-cache policy NAME…`.
pub(super) fn apt_cache(program: &mut Program<'_>) -> i32 {
    let operands = program.operands(&["-o"]);
    let installed = program.world.installed();
    for name in operands.iter().skip(1).map(|name| bare(name)) {
        let Some(package) = program.world.offer_of(&name) else {
            continue;
        };
        match operands[0].as_str() {
            "show" => {
                let (archive, installed) = package.size.unwrap_or((100_000, 300));
                program.say(format!(
                    "Package: {name}\nVersion: {}\nArchitecture: amd64\nInstalled-Size: {installed}\nSize: {archive}\n",
                    package.version
                ));
            }
            "madison" => program.say(format!(" {name} | {} | archive", package.version)),
            _ => {
                let present = installed.get(&name).map_or("(none)", String::as_str);
                program.say(format!("{name}:\n  Installed: {present}\n  Candidate: {}", package.version));
            }
        }
    }
    0
}

/// `apt-mark`: marks in the file where apt keeps them.
pub(super) fn apt_mark(program: &mut Program<'_>) -> i32 {
    let operands = program.operands(&[]);
    let Some((verb, names)) = operands.split_first() else {
        return 100;
    };
    let marked = program.world.automatic();
    let mut next = marked.clone();
    match verb.as_str() {
        "showauto" => marked.iter().for_each(|name| program.say(name)),
        "showmanual" => {
            let manual: Vec<String> =
                program.world.installed().into_keys().filter(|name| !marked.contains(name)).collect();
            for name in manual {
                program.say(name);
            }
        }
        "auto" => next.extend(names.iter().map(|name| bare(name))),
        "manual" => next.retain(|name| !names.iter().any(|other| bare(other) == *name)),
        _ => {}
    }
    program.world.set_automatic(&next);
    0
}

/// Where apt notes which packages it installed for the sake of others.
const STATES: &str = "/var/lib/apt/extended_states";

impl World {
    fn automatic(&self) -> BTreeSet<String> {
        let text = self.files.text(STATES);
        text.lines().filter_map(|line| line.strip_prefix("Package: ").map(str::to_owned)).collect()
    }

    fn set_automatic(&mut self, names: &BTreeSet<String>) {
        if *names != self.automatic() {
            let text = names.iter().fold(String::new(), |all, name| {
                all + &format!("Package: {name}\nArchitecture: amd64\nAuto-Installed: 1\n\n")
            });
            let now = self.tick();
            self.files.put(Path::new(STATES), text.as_bytes(), Meta::root(0o644), now);
        }
    }
}

/// Remembers the directories of a fresh system, which no purge removes.
pub(super) fn remember_base_dirs(world: &mut World) {
    let dirs = world.files.iter().filter(|(_, node)| node.kind == Kind::Dir).map(|(path, _)| path.clone());
    world.packages.base_dirs = dirs.collect();
}
