//! systemd, `SysV` scripts and supervisor.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::programs::Program;
use super::{FakeHost, World};

mod supervisord;

/// Where units are looked for, first one first.
const UNIT_DIRS: &[&str] =
    &["/etc/systemd/system", "/run/systemd/system", "/lib/systemd/system", "/usr/lib/systemd/system"];

/// What runs. What starts at boot is links in the file system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Services {
    /// Active units (`nginx.service`), under any manager.
    pub(super) active: BTreeSet<String>,
    failed: BTreeSet<String>,
    defects: BTreeMap<String, Defect>,
    /// Supervisor's programs as it last read them: name -> section of the file.
    known_programs: BTreeMap<String, String>,
    /// Supervisor's running programs.
    pub(super) running_programs: BTreeSet<String>,
    /// How often each was started, to detect a restart.
    starts: BTreeMap<String, u32>,
    /// The same of configuration that was taken up by a reload.
    pub(super) reloads: BTreeMap<String, u32>,
    /// What each has read.
    pub(super) read: BTreeMap<String, Vec<String>>,
    pub(super) has_systemd: bool,
}

/// What is wrong with a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// Starting it fails.
    Refuses,
    /// It starts and dies at once.
    Dies,
}

impl FakeHost {
    /// Makes a unit (`nginx.service`) or a supervisor program fail from its next start on.
    pub fn break_service(&self, name: &str, defect: Defect) {
        self.world().services.defects.insert(name.to_owned(), defect);
    }

    /// Mends it.
    pub fn mend_service(&self, name: &str) {
        self.world().services.defects.remove(name);
    }

    /// Whether a unit (`nginx.service`, or `nginx` for short) or a supervisor program runs.
    pub fn is_running(&self, name: &str) -> bool {
        let services = &self.world().services;
        let unit = unit_name(name);
        services.active.contains(&unit) || services.running_programs.contains(name)
    }

    /// How often a unit or a supervisor program was started or restarted.
    pub fn starts(&self, name: &str) -> u32 {
        self.world().services.starts.get(name).copied().unwrap_or(0)
    }

    /// Reboots it: what is enabled runs, and what was in memory is lost.
    pub fn reboot(&self) {
        let mut world = self.world();
        let now = world.tick();
        for path in world.files.below(Path::new("/tmp")) {
            world.files.remove_tree(&path, now);
        }
        world.services.active.clear();
        world.nft = super::nft::Ruleset::default();
        world.services.running_programs.clear();
        world.services.known_programs.clear();
        for unit in world.enabled_units() {
            let _ = world.start(&unit);
        }
        world.show_sockets();
    }
}

impl World {
    pub(super) fn give_systemd(&mut self) {
        self.services.has_systemd = true;
        let now = self.tick();
        self.files.make_dirs(Path::new("/run/systemd/system"), now);
        self.files.put(Path::new("/proc/1/comm"), b"systemd\n", crate::host::Meta::root(0o444), now);
    }

    pub(super) fn take_systemd_away(&mut self) {
        self.services.has_systemd = false;
        let now = self.tick();
        self.files.remove_tree(Path::new("/run/systemd"), now);
        self.files.put(Path::new("/proc/1/comm"), b"sh\n", crate::host::Meta::root(0o444), now);
    }

    pub(super) fn unit_file(&self, unit: &str) -> Option<PathBuf> {
        let template = unit.split_once('@').and_then(|(stem, rest)| {
            let suffix = rest.rsplit('.').next()?;
            Some(format!("{stem}@.{suffix}"))
        });
        let names = [Some(unit.to_owned()), template];
        let candidates =
            names.iter().flatten().flat_map(|name| UNIT_DIRS.iter().map(move |dir| Path::new(dir).join(name)));
        let mut candidates = candidates.filter(|path| self.files.stat(path).is_some());
        candidates.next()
    }

    fn is_masked(&self, unit: &str) -> bool {
        let link = Path::new("/etc/systemd/system").join(unit);
        self.files.read_link(&link).is_ok_and(|target| target == Path::new("/dev/null"))
    }

    /// Links in `*.wants` that start the unit at boot.
    fn wants(&self, unit: &str) -> Vec<PathBuf> {
        let below = self.files.below(Path::new("/etc/systemd/system"));
        let is_link = |path: &PathBuf| {
            let dir = path.parent().and_then(Path::extension).is_some_and(|extension| extension == "wants");
            dir && path.file_name().is_some_and(|name| name == unit)
        };
        below.into_iter().filter(is_link).collect()
    }

    fn enabled_units(&self) -> Vec<String> {
        let root = Path::new("/etc/systemd/system");
        let links = self.files.below(root);
        let wanted = links.iter().filter(|path| path.extension().is_some() && path.parent() != Some(root));
        let mut units: Vec<String> =
            wanted.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect();
        if !self.services.has_systemd {
            units = self
                .files
                .below(Path::new("/etc/rc2.d"))
                .iter()
                .filter_map(|path| Some(format!("{}.service", path.file_name()?.to_str()?.strip_prefix("S01")?)))
                .collect();
        }
        units.sort();
        units.dedup();
        units
    }

    pub(super) fn enable(&mut self, unit: &str) {
        let Some(file) = self.unit_file(unit) else {
            return;
        };
        let text = self.files.text(&file);
        let targets = text.lines().filter_map(|line| line.strip_prefix("WantedBy=")).flat_map(str::split_whitespace);
        let targets: Vec<String> = targets.map(str::to_owned).collect();
        for target in targets {
            let now = self.tick();
            let dir = PathBuf::from(format!("/etc/systemd/system/{target}.wants"));
            self.files.make_dirs(&dir, now);
            let _ = self.files.make_symlink(&dir.join(unit), &file, now);
        }
    }

    pub(super) fn disable(&mut self, unit: &str) {
        let now = self.tick();
        for link in self.wants(unit) {
            let _ = self.files.remove(&link, now);
            if let Some(dir) = link.parent()
                && !self.packages.base_dirs.contains(dir)
            {
                let _ = self.files.remove_dir(dir, now);
            }
        }
    }

    pub(super) fn link_init_script(&mut self, name: &str, at_boot: bool) {
        let now = self.tick();
        let dir = Path::new("/etc/rc2.d");
        let _ = self.files.remove(&dir.join(format!("S01{name}")), now);
        if at_boot && self.files.exists(format!("/etc/init.d/{name}")) {
            let target = PathBuf::from(format!("../init.d/{name}"));
            let _ = self.files.make_symlink(&dir.join(format!("S01{name}")), &target, now);
        }
    }

    fn defect_of(&self, unit: &str) -> Option<Defect> {
        let defects = &self.services.defects;
        let short = unit.trim_end_matches(".service");
        defects.get(unit).or_else(|| defects.get(short)).copied()
    }

    /// Starts a unit; the error is what its manager would say.
    pub(super) fn start(&mut self, unit: &str) -> Result<(), String> {
        if self.is_masked(unit) {
            return Err(format!("Failed to start {unit}: Unit {unit} is masked."));
        }
        self.services.failed.remove(unit);
        if self.services.active.contains(unit) {
            return Ok(());
        }
        let taken = self.port_taken(unit);
        if taken.is_some() || self.defect_of(unit) == Some(Defect::Refuses) {
            self.services.failed.insert(unit.to_owned());
            let why = taken.map(|(address, owner)| format!("\nbind() to {address} failed: in use by {owner}"));
            return Err(format!(
                "Job for {unit} failed because the control process exited with error code.{}",
                why.unwrap_or_default()
            ));
        }
        *self.services.starts.entry(unit.to_owned()).or_default() += 1;
        if self.defect_of(unit) == Some(Defect::Dies) {
            self.services.failed.insert(unit.to_owned());
            return Ok(());
        }
        if let Some((file, line)) = self.wrong_line(unit) {
            self.services.failed.insert(unit.to_owned());
            return Err(format!("Job for {unit} failed.\nunknown directive in {}:{line}", file.display()));
        }
        self.read_config(unit);
        self.services.active.insert(unit.to_owned());
        self.nft_of_unit(unit, "ExecStart=");
        if unit == "supervisor.service" {
            self.reread_programs();
        }
        self.show_sockets();
        Ok(())
    }

    pub(super) fn stop(&mut self, unit: &str) {
        if self.services.active.remove(unit) {
            self.nft_of_unit(unit, "ExecStop=");
        }
        self.services.failed.remove(unit);
        if unit == "supervisor.service" {
            self.services.running_programs.clear();
            self.services.known_programs.clear();
        }
        self.show_sockets();
    }

    /// The programs in supervisor's files: name -> section.
    fn programs_in_files(&self) -> BTreeMap<String, String> {
        let mut programs = BTreeMap::new();
        for path in self.files.below(Path::new("/etc/supervisor/conf.d")) {
            if path.extension().is_none_or(|extension| extension != "conf") {
                continue;
            }
            let text = self.files.text(&path);
            for section in text.split("[program:").skip(1) {
                if let Some((name, body)) = section.split_once(']') {
                    let body = body.split("\n[").next().unwrap_or(body);
                    programs.insert(name.to_owned(), body.to_owned());
                }
            }
        }
        programs
    }

    /// Supervisor's `update`: starts what is new or changed, stops what was removed. Returns what it did.
    fn reread_programs(&mut self) -> Vec<String> {
        let now_known = self.programs_in_files();
        let before = std::mem::take(&mut self.services.known_programs);
        let mut said = Vec::new();
        for name in before.keys().filter(|name| now_known.get(*name) != before.get(*name)) {
            self.services.running_programs.retain(|process| process_program(process) != name);
            if !now_known.contains_key(name) {
                said.push(format!("{name}: stopped\n{name}: removed process group"));
            }
        }
        for (name, body) in now_known.iter().filter(|(name, body)| before.get(*name) != Some(*body)) {
            said.push(format!(
                "{name}: {}",
                if before.contains_key(name) { "updated process group" } else { "added process group" }
            ));
            if setting(body, "autostart").is_none_or(|value| value != "false") {
                for process in processes(name, body) {
                    self.start_program(&process);
                }
            }
        }
        self.services.known_programs = now_known;
        said
    }

    /// Whether a unit can read its configuration again while it runs.
    fn reloads(&self, unit: &str) -> bool {
        self.unit_file(unit).is_some_and(|file| self.files.text(file).contains("ExecReload="))
    }

    /// A reload: the server reads its configuration again, and keeps the former where the new one is broken.
    fn reload(&mut self, unit: &str) -> i32 {
        if self.wrong_line(unit).is_some() {
            return 1;
        }
        *self.services.reloads.entry(unit.to_owned()).or_default() += 1;
        self.read_config(unit);
        0
    }

    fn start_program(&mut self, process: &str) -> bool {
        let name = process_program(process).to_owned();
        let defect = self.services.defects.get(&name).or_else(|| self.services.defects.get(process)).copied();
        if defect == Some(Defect::Refuses) {
            return false;
        }
        *self.services.starts.entry(process.to_owned()).or_default() += 1;
        if defect.is_none() {
            self.services.running_programs.insert(process.to_owned());
        }
        true
    }
}

fn unit_name(name: &str) -> String {
    if name.contains('.') { name.to_owned() } else { format!("{name}.service") }
}

/// `systemctl`.
pub(super) fn systemctl(program: &mut Program<'_>) -> i32 {
    let mut operands = program.operands(&["-p", "--property", "-t", "--type", "-P", "-n", "--lines", "-o", "--output"]);
    if operands.is_empty() {
        return 0;
    }
    let verb = operands.remove(0);
    let units: Vec<String> = operands.iter().map(|name| unit_name(name)).collect();
    let works_offline = matches!(verb.as_str(), "enable" | "disable" | "is-enabled" | "mask" | "unmask" | "preset");
    if !program.world.services.has_systemd && (!works_offline || program.has(&["--now"])) {
        return program.fail(
            1,
            "System has not been booted with systemd as init system (PID 1). Can't operate.\nFailed to connect to bus: Host is down",
        );
    }
    match verb.as_str() {
        "list-unit-files" => {
            let mut names = BTreeSet::new();
            for dir in UNIT_DIRS {
                let listed = program.world.files.list(Path::new(dir)).unwrap_or_default();
                names.extend(listed.iter().map(|name| name.to_string_lossy().into_owned()));
            }
            let wanted = |name: &&String| {
                name.contains(".s") && !name.contains(".wants") && (units.is_empty() || units.contains(name))
            };
            for name in names.iter().filter(wanted) {
                let state = file_state(program.world, name);
                program.say(format!("{name} {state} enabled"));
            }
            return 0;
        }
        "list-units" => {
            for unit in program.world.services.active.clone() {
                let load = if program.world.unit_file(&unit).is_some() { "loaded" } else { "not-found" };
                program.say(format!("{unit} {load} active running {unit}"));
            }
            return 0;
        }
        _ => {}
    }
    let mut status = 0;
    for (index, unit) in units.iter().enumerate() {
        if verb == "show" && index > 0 {
            program.say("");
        }
        status = status.max(systemctl_one(program, &verb, unit));
    }
    status
}

fn systemctl_one(program: &mut Program<'_>, verb: &str, unit: &str) -> i32 {
    let known = program.world.unit_file(unit).is_some();
    let is_active = program.world.services.active.contains(unit);
    let now_too = program.has(&["--now"]);
    match verb {
        "is-active" | "status" => {
            let state = active_state(program.world, unit);
            program.say(state);
            if state == "active" { 0 } else { 3 }
        }
        "is-failed" => {
            let state = active_state(program.world, unit);
            program.say(state);
            i32::from(state != "failed")
        }
        "is-enabled" if !known => {
            program.fail(1, format!("Failed to get unit file state for {unit}: No such file or directory"))
        }
        "is-enabled" => {
            let state = file_state(program.world, unit);
            program.say(state);
            i32::from(!matches!(state, "enabled" | "static"))
        }
        "show" => {
            show(program, unit);
            0
        }
        "cat" if known => {
            let file = program.world.unit_file(unit).unwrap_or_default();
            program.out = program.world.files.text(file);
            0
        }
        "stop" | "kill" if !known && !is_active => {
            program.fail(5, format!("Failed to stop {unit}: Unit {unit} not loaded."))
        }
        "stop" | "kill" => {
            program.world.stop(unit);
            0
        }
        "mask" => {
            let now = program.world.tick();
            let link = Path::new("/etc/systemd/system").join(unit);
            let _ = program.world.files.make_symlink(&link, Path::new("/dev/null"), now);
            0
        }
        "unmask" => {
            if program.world.is_masked(unit) {
                let now = program.world.tick();
                let _ = program.world.files.remove(&Path::new("/etc/systemd/system").join(unit), now);
            }
            0
        }
        "daemon-reload" | "reset-failed" => 0,
        "disable" => {
            program.world.disable(unit);
            if now_too {
                program.world.stop(unit);
            }
            0
        }
        _ if !known => program.fail(5, format!("Failed to {verb} {unit}: Unit {unit} not found.")),
        "enable" => {
            program.world.enable(unit);
            if now_too { started(program, unit) } else { 0 }
        }
        "reload" | "reload-or-restart" if is_active && program.world.reloads(unit) => program.world.reload(unit),
        "restart" | "try-restart" | "reload-or-restart" if verb == "restart" || is_active => {
            program.world.stop(unit);
            started(program, unit)
        }
        "start" | "reload-or-restart" => started(program, unit),
        "reload" if !is_active => program.fail(1, format!("{unit} is not active, cannot reload.")),
        _ => 0,
    }
}

fn started(program: &mut Program<'_>, unit: &str) -> i32 {
    match program.world.start(unit) {
        Ok(()) => 0,
        Err(error) => program.fail(1, error),
    }
}

fn active_state(world: &World, unit: &str) -> &'static str {
    if world.services.active.contains(unit) {
        "active"
    } else if world.services.failed.contains(unit) {
        "failed"
    } else {
        "inactive"
    }
}

fn file_state(world: &World, unit: &str) -> &'static str {
    if world.is_masked(unit) {
        return "masked";
    }
    let Some(file) = world.unit_file(unit) else {
        return "";
    };
    if !world.wants(unit).is_empty() {
        "enabled"
    } else if world.files.text(file).contains("[Install]") {
        "disabled"
    } else {
        "static"
    }
}

fn show(program: &mut Program<'_>, unit: &str) {
    let world = &program.world;
    let file = world.unit_file(unit);
    let state = active_state(world, unit);
    let load = if world.is_masked(unit) {
        "masked"
    } else if file.is_some() {
        "loaded"
    } else {
        "not-found"
    };
    let sub = match state {
        "active" => "running",
        "failed" => "failed",
        _ => "dead",
    };
    let failed = state == "failed";
    let properties: Vec<(&str, String)> = vec![
        ("Id", unit.to_owned()),
        ("LoadState", load.to_owned()),
        ("ActiveState", state.to_owned()),
        ("SubState", sub.to_owned()),
        ("UnitFileState", file_state(world, unit).to_owned()),
        ("FragmentPath", file.map(|path| path.display().to_string()).unwrap_or_default()),
        ("MainPID", if state == "active" { "5000".to_owned() } else { "0".to_owned() }),
        ("Result", if failed { "exit-code" } else { "success" }.to_owned()),
        ("ExecMainStatus", if failed { "1" } else { "0" }.to_owned()),
        ("NRestarts", "0".to_owned()),
        ("CanReload", if world.reloads(unit) { "yes" } else { "no" }.to_owned()),
        ("NeedDaemonReload", "no".to_owned()),
        ("ControlGroup", if state == "active" { format!("/system.slice/{unit}") } else { String::new() }),
    ];
    let mut wanted = program.values(&["-p", "--property", "-P"]);
    wanted.extend(
        program.args.iter().filter_map(|arg| arg.strip_prefix("-p").filter(|name| !name.is_empty()).map(str::to_owned)),
    );
    let wanted: Vec<String> = wanted.iter().flat_map(|names| names.split(',')).map(str::to_owned).collect();
    let only_value = program.has(&["--value"]) || program.args.iter().any(|arg| arg == "-P");
    for (name, value) in properties.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|w| w == name)) {
        program.say(if only_value { value.clone() } else { format!("{name}={value}") });
    }
}

/// `service NAME VERB`, `invoke-rc.d NAME VERB`, `/etc/init.d/NAME VERB`.
pub(super) fn service(program: &mut Program<'_>) -> i32 {
    let operands = program.operands(&[]);
    let [name, verb, ..] = &operands[..] else {
        return program.fail(1, "usage: service NAME VERB");
    };
    let unit = format!("{name}.service");
    let known = program.world.files.exists(format!("/etc/init.d/{name}"))
        || (program.world.services.has_systemd && program.world.unit_file(&unit).is_some());
    if !known {
        return program.fail(1, format!("{name}: unrecognized service"));
    }
    match verb.as_str() {
        "start" => started(program, &unit),
        "stop" => {
            program.world.stop(&unit);
            0
        }
        "reload" if program.world.files.text(format!("/etc/init.d/{name}")).contains("reload)") => {
            program.world.reload(&unit)
        }
        "restart" | "force-reload" => {
            program.world.stop(&unit);
            started(program, &unit)
        }
        "status" => {
            let is_active = program.world.services.active.contains(&unit);
            program.say(format!("{name} is {}", if is_active { "running" } else { "not running" }));
            if is_active { 0 } else { 3 }
        }
        _ => 0,
    }
}

/// `update-rc.d NAME defaults|enable|disable|remove`.
pub(super) fn update_rc_d(program: &mut Program<'_>) -> i32 {
    let operands = program.operands(&[]);
    let [name, verb, ..] = &operands[..] else {
        return program.fail(1, "usage: update-rc.d NAME VERB");
    };
    if verb != "remove" && !program.world.files.exists(format!("/etc/init.d/{name}")) {
        return program.fail(1, format!("update-rc.d: error: unable to read /etc/init.d/{name}"));
    }
    program.world.link_init_script(name, matches!(verb.as_str(), "defaults" | "enable"));
    0
}

/// `supervisorctl`.
pub(super) fn supervisorctl(program: &mut Program<'_>) -> i32 {
    let mut operands = program.operands(&["-c", "-s", "-u", "-p"]);
    if !program.world.services.active.contains("supervisor.service") {
        return program.fail(4, "unix:///var/run/supervisor.sock no such file");
    }
    if operands.is_empty() {
        return 0;
    }
    let verb = operands.remove(0);
    match verb.as_str() {
        "reread" => {
            let (files, known) = (program.world.programs_in_files(), program.world.services.known_programs.clone());
            for (name, body) in files.iter().filter(|(name, body)| known.get(*name) != Some(*body)) {
                let _ = body;
                program.say(format!("{name}: {}", if known.contains_key(name) { "changed" } else { "available" }));
            }
            for name in known.keys().filter(|name| !files.contains_key(*name)) {
                program.say(format!("{name}: disappeared"));
            }
            if files == known {
                program.say("No config updates to processes");
            }
            return 0;
        }
        "update" | "reload" => {
            if verb == "reload" {
                program.world.services.known_programs.clear();
                program.world.services.running_programs.clear();
            }
            for line in program.world.reread_programs() {
                program.say(line);
            }
            return 0;
        }
        "start" | "stop" | "restart" | "status" | "pid" => {}
        _ => return 0,
    }
    let known = program.world.services.known_programs.clone();
    let all: Vec<String> = known.iter().flat_map(|(name, body)| processes(name, body)).collect();
    let mut wanted = Vec::new();
    let mut status = 0;
    for operand in &operands {
        let found: Vec<String> = all
            .iter()
            .filter(|process| {
                operand == "all"
                    || *process == operand
                    || operand.strip_suffix(":*").is_some_and(|group| process_program(process) == group)
            })
            .cloned()
            .collect();
        if found.is_empty() && operand != "all" {
            program.say(format!("{operand}: ERROR (no such process)"));
            status = if verb == "status" { 4 } else { 1 };
        }
        wanted.extend(found);
    }
    if operands.is_empty() {
        wanted = all;
    }
    for process in wanted {
        status = status.max(control(program, &verb, &process));
    }
    status
}

fn control(program: &mut Program<'_>, verb: &str, process: &str) -> i32 {
    let runs = program.world.services.running_programs.contains(process);
    match verb {
        "status" => {
            let (state, status) =
                if runs { ("RUNNING   pid 5000, uptime 0:00:10", 0) } else { ("STOPPED   Not started", 3) };
            program.say(format!("{process:<32} {state}"));
            return status;
        }
        "pid" => program.say(if runs { "5000" } else { "0" }),
        "stop" | "restart" if runs => {
            program.world.services.running_programs.remove(process);
            program.say(format!("{process}: stopped"));
        }
        "stop" => program.say(format!("{process}: ERROR (not running)")),
        "start" if runs => {
            program.say(format!("{process}: ERROR (already started)"));
            return 0;
        }
        _ => {}
    }
    if matches!(verb, "start" | "restart") {
        let started = program.world.start_program(process);
        program.say(format!("{process}: {}", if started { "started" } else { "ERROR (spawn error)" }));
        return if started { 0 } else { 7 };
    }
    0
}

/// The processes of a program: itself, or `name:name_00` and so on.
fn processes(name: &str, body: &str) -> Vec<String> {
    let count: u32 = setting(body, "numprocs").and_then(|value| value.parse().ok()).unwrap_or(1);
    if count <= 1 {
        return vec![name.to_owned()];
    }
    (0..count).map(|number| format!("{name}:{name}_{number:02}")).collect()
}

fn process_program(process: &str) -> &str {
    process.split(':').next().unwrap_or(process)
}

fn setting<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    body.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('=')).map(str::trim)
}
