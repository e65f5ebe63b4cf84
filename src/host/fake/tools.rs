//! Small tools: copies, links, archives, repositories, Python environments.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::programs::Program;
use crate::host::{Kind, Meta};

/// The commit at the head of a repository.
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn mode(text: Option<String>, default: u32) -> u32 {
    text.and_then(|text| u32::from_str_radix(&text, 8).ok()).unwrap_or(default)
}

fn owner(program: &Program<'_>) -> (u32, u32) {
    let find = |file, name: Option<String>| name.and_then(|name| program.world.number(file, &name)).unwrap_or(0);
    (find("/etc/passwd", program.value(&["-o", "--owner"])), find("/etc/group", program.value(&["-g", "--group"])))
}

/// `install [-d] [-m MODE] [-o USER] [-g GROUP] …`.
pub(super) fn install(program: &mut Program<'_>) -> i32 {
    let operands = program.operands(&["-m", "--mode", "-o", "--owner", "-g", "--group"]);
    let (uid, gid) = owner(program);
    let meta = Meta { mode: mode(program.value(&["-m", "--mode"]), 0o755), uid, gid };
    let now = program.world.tick();
    if program.has(&["-d", "--directory"]) {
        for dir in operands.iter().map(|dir| program.path(dir)).collect::<Vec<_>>() {
            program.world.files.make_dirs(&dir, now);
            let _ = program.world.files.set_meta(&dir, meta, now);
        }
        return 0;
    }
    let [from, to] = &operands[..] else {
        return program.fail(1, "install: usage");
    };
    let (from, mut to) = (program.path(from), program.path(to));
    let Ok(content) = program.world.files.read(&from) else {
        return program.fail(1, format!("install: cannot stat '{}': No such file or directory", from.display()));
    };
    if program.world.files.list(&to).is_ok() {
        to.push(from.file_name().unwrap_or_default());
    }
    match program.world.files.write(&to, &content, meta, now) {
        Ok(()) => 0,
        Err(error) => program.fail(1, format!("install: {}: {error}", to.display())),
    }
}

pub(super) fn mkdir(program: &mut Program<'_>) -> i32 {
    let now = program.world.tick();
    let meta = Meta::root(mode(program.value(&["-m", "--mode"]), 0o755));
    for dir in program.operands(&["-m", "--mode"]).iter().map(|dir| program.path(dir)).collect::<Vec<_>>() {
        if program.has(&["-p", "--parents"]) {
            program.world.files.make_dirs(&dir, now);
        } else if program.world.files.exists(&dir) || program.world.files.make_dir(&dir, meta, now).is_err() {
            return program.fail(1, format!("mkdir: cannot create directory '{}'", dir.display()));
        }
    }
    0
}

/// `cp [-a|-r] FROM… TO`.
pub(super) fn cp(program: &mut Program<'_>) -> i32 {
    let mut operands = program.operands(&["-t", "--target-directory"]);
    let Some(to) = program.value(&["-t", "--target-directory"]).or_else(|| operands.pop()) else {
        return 1;
    };
    let into = program.world.files.list(&program.path(&to)).is_ok() && !program.has(&["-T", "--no-target-directory"]);
    for from in operands {
        let contents_only = from.ends_with("/.");
        let (from, mut to) = (program.path(from.trim_end_matches("/.")), program.path(&to));
        if into && !contents_only {
            to.push(from.file_name().unwrap_or_default());
        }
        if program.world.files.stat(&from).is_none() {
            return program.fail(1, format!("cp: cannot stat '{}': No such file or directory", from.display()));
        }
        copy(program, &from, &to);
    }
    0
}

fn copy(program: &mut Program<'_>, from: &Path, to: &Path) {
    let mut paths = vec![from.to_owned()];
    paths.extend(program.world.files.below(from));
    for path in paths {
        let rest = path.strip_prefix(from).unwrap_or(Path::new(""));
        let target = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
        let Some(stat) = program.world.files.stat(&path) else {
            continue;
        };
        let now = program.world.tick();
        let files = &mut program.world.files;
        let done = match stat.kind {
            Kind::Dir => files.make_dir(&target, stat.meta, now),
            Kind::Symlink => files.read_link(&path).and_then(|link| files.make_symlink(&target, &link, now)),
            Kind::File | Kind::Other => {
                files.read(&path).and_then(|content| files.write(&target, &content, stat.meta, now))
            }
        };
        if let Err(error) = done {
            program.fail(1, format!("cp: {}: {error}", target.display()));
        }
    }
}

pub(super) fn mv(program: &mut Program<'_>) -> i32 {
    let mut operands = program.operands(&[]);
    let Some(to) = operands.pop() else { return 1 };
    let to = program.path(&to);
    let into = program.world.files.list(&to).is_ok() && !program.has(&["-T", "--no-target-directory"]);
    for from in operands {
        let from = program.path(&from);
        let to = if into { to.join(from.file_name().unwrap_or_default()) } else { to.clone() };
        let now = program.world.tick();
        if let Err(error) = program.world.files.rename(&from, &to, now) {
            return program.fail(1, format!("mv: cannot move '{}': {error}", from.display()));
        }
    }
    0
}

/// `rm [-r] [-f]`, `rmdir`.
pub(super) fn rm(program: &mut Program<'_>) -> i32 {
    let now = program.world.tick();
    let recursive = program.has(&["-r", "-R", "--recursive"]);
    for path in program.operands(&[]).iter().map(|path| program.path(path)).collect::<Vec<_>>() {
        let is_missing = program.world.files.stat(&path).is_none();
        if is_missing && !program.has(&["-f", "--force"]) {
            return program.fail(1, format!("rm: cannot remove '{}': No such file or directory", path.display()));
        }
        let files = &mut program.world.files;
        let removed = if recursive {
            files.remove_tree(&path, now);
            Ok(())
        } else if program.name == "rmdir" {
            files.remove_dir(&path, now)
        } else {
            files.remove(&path, now)
        };
        if let Err(error) = removed {
            return program.fail(1, format!("rm: cannot remove '{}': {error}", path.display()));
        }
    }
    0
}

/// `ln -s TARGET LINK`.
pub(super) fn ln(program: &mut Program<'_>) -> i32 {
    let operands = program.operands(&[]);
    let [target, link] = &operands[..] else {
        return program.fail(1, "ln: usage");
    };
    let (link, now) = (program.path(link), program.world.tick());
    if program.world.files.stat(&link).is_some() && !program.has(&["-f", "--force"]) {
        return program.fail(1, format!("ln: failed to create symbolic link '{}': File exists", link.display()));
    }
    match program.world.files.make_symlink(&link, Path::new(target), now) {
        Ok(()) => 0,
        Err(error) => program.fail(1, format!("ln: {error}")),
    }
}

/// The operands after the first, with all below them when it is recursive.
fn targets(program: &Program<'_>) -> Vec<PathBuf> {
    let mut targets = Vec::new();
    for path in program.operands(&[]).iter().skip(1).map(|path| program.path(path)) {
        if program.has(&["-R", "--recursive"]) {
            targets.extend(program.world.files.below(&path));
        }
        targets.push(path);
    }
    targets
}

/// `chmod OCTAL PATH…`; symbolic modes change nothing here.
pub(super) fn chmod(program: &mut Program<'_>) -> i32 {
    let Some(mode) = program.operands(&[]).first().and_then(|mode| u32::from_str_radix(mode, 8).ok()) else {
        return 0;
    };
    set_meta(program, |meta| Meta { mode, ..meta })
}

/// `chown USER[:GROUP] PATH…`, `chgrp GROUP PATH…`.
pub(super) fn chown(program: &mut Program<'_>) -> i32 {
    let names = program.operands(&[]).first().cloned().unwrap_or_default();
    let (user, group) = match names.split_once(':') {
        Some((user, group)) => (user.to_owned(), if group.is_empty() { user.to_owned() } else { group.to_owned() }),
        None if program.name == "chgrp" => (String::new(), names),
        None => (names, String::new()),
    };
    let number = |file, name: &str| program.world.number(file, name).or_else(|| name.parse().ok());
    let (uid, gid) = (number("/etc/passwd", &user), number("/etc/group", &group));
    if (uid.is_none() && !user.is_empty()) || (gid.is_none() && !group.is_empty()) {
        return program.fail(1, format!("chown: invalid user or group: '{user}:{group}'"));
    }
    set_meta(program, |meta| Meta { uid: uid.unwrap_or(meta.uid), gid: gid.unwrap_or(meta.gid), ..meta })
}

fn set_meta(program: &mut Program<'_>, change: impl Fn(Meta) -> Meta) -> i32 {
    for path in targets(program) {
        let now = program.world.tick();
        match program.world.files.stat(&path) {
            Some(stat) => {
                let _ = program.world.files.set_meta(&path, change(stat.meta), now);
            }
            None => {
                return program.fail(1, format!("cannot access '{}': No such file or directory", path.display()));
            }
        }
    }
    0
}

pub(super) fn touch(program: &mut Program<'_>) -> i32 {
    for path in program.operands(&["-d", "-r", "-t"]).iter().map(|path| program.path(path)).collect::<Vec<_>>() {
        let now = program.world.tick();
        if program.world.files.exists(&path) {
            let _ = program.world.files.set_mtime(&path, now, now);
        } else if program.world.files.write(&path, b"", Meta::root(0o644), now).is_err() {
            return program.fail(1, format!("touch: cannot touch '{}'", path.display()));
        }
    }
    0
}

pub(super) fn cat(program: &mut Program<'_>) -> i32 {
    let operands = program.operands(&[]);
    if operands.is_empty() {
        program.out.push_str(&program.stdin.clone());
    }
    for path in operands.iter().map(|path| program.path(path)).collect::<Vec<_>>() {
        match program.world.files.read(&path) {
            Ok(content) => program.out.push_str(&String::from_utf8_lossy(&content)),
            Err(_) => {
                return program.fail(1, format!("cat: {}: No such file or directory", path.display()));
            }
        }
    }
    0
}

/// `printenv NAME`.
pub(super) fn printenv(program: &mut Program<'_>) -> i32 {
    let value = program.args.first().and_then(|name| program.env.get(name)).cloned();
    value.map_or(1, |value| {
        program.say(value);
        0
    })
}

/// `sleep SECONDS`: moves the clock.
pub(super) fn sleep(program: &mut Program<'_>) -> i32 {
    let wanted =
        program.args.first().and_then(|seconds| seconds.parse().ok()).map_or(Duration::ZERO, Duration::from_secs_f64);
    let slept = wanted.min(program.timeout);
    program.world.clock += u64::try_from(slept.as_nanos()).unwrap_or(u64::MAX / 4);
    if slept < wanted { 124 } else { 0 }
}

/// `test -e PATH` and its like.
pub(super) fn test(program: &mut Program<'_>) -> i32 {
    let [what, path, ..] = &program.args[..] else {
        return 1;
    };
    let path = program.path(path);
    let stat = program.world.files.stat(&path);
    let is = |kind| stat.is_some_and(|stat| stat.kind == kind);
    let holds = match what.as_str() {
        "-f" => program.world.files.read(&path).is_ok(),
        "-d" => program.world.files.list(&path).is_ok(),
        "-L" | "-h" => is(Kind::Symlink),
        "-s" => stat.is_some_and(|stat| stat.size > 0),
        "-x" => stat.is_some_and(|stat| stat.meta.mode & 0o111 != 0),
        _ => program.world.files.exists(&path),
    };
    i32::from(!holds)
}

/// An archive: names and contents, as JSON.
pub(super) fn archive<'a>(files: impl Iterator<Item = (PathBuf, &'a [u8])>) -> Vec<u8> {
    let files: BTreeMap<PathBuf, Vec<u8>> = files.map(|(name, content)| (name, content.to_vec())).collect();
    serde_json::to_vec(&files).unwrap_or_default()
}

/// `tar -x`, `-t` and `-c` with -f and -C; archives are those of [`archive`].
pub(super) fn tar(program: &mut Program<'_>) -> i32 {
    let first = program.args.first().cloned().unwrap_or_default();
    let letters: String = program
        .args
        .iter()
        .filter(|arg| !arg.starts_with("--") && (arg.starts_with('-') || **arg == first))
        .cloned()
        .collect();
    let named = program
        .args
        .iter()
        .position(|arg| (arg.starts_with('-') && !arg.starts_with("--") || *arg == first) && arg.ends_with('f'));
    let file = program.value(&["--file"]).or_else(|| named.and_then(|at| program.args.get(at + 1).cloned()));
    let Some(file) = file.map(|file| program.path(file)) else {
        return program.fail(2, "tar: no archive named");
    };
    let dir = program.value(&["-C", "--directory"]).map_or_else(|| program.cwd.clone(), |dir| program.path(dir));
    let strip: usize = program.value(&["--strip-components"]).and_then(|count| count.parse().ok()).unwrap_or(0);
    let now = program.world.tick();
    if letters.contains('c') || program.has(&["--create"]) {
        let below = program.world.files.below(&dir);
        let contents: Vec<(PathBuf, Vec<u8>)> = below
            .iter()
            .filter_map(|path| Some((path.strip_prefix(&dir).ok()?.to_owned(), program.world.files.read(path).ok()?)))
            .collect();
        let bytes = archive(contents.iter().map(|(name, content)| (name.clone(), content.as_slice())));
        program.world.files.put(&file, &bytes, Meta::root(0o600), now);
        return 0;
    }
    let content = program.world.files.read(&file).unwrap_or_default();
    let Ok(files) = serde_json::from_slice::<BTreeMap<PathBuf, Vec<u8>>>(&content) else {
        return program.fail(2, format!("tar: {}: This does not look like a tar archive", file.display()));
    };
    for (name, content) in files {
        if letters.contains('t') || program.has(&["--list"]) {
            program.say(name.display().to_string());
            continue;
        }
        let stripped: PathBuf = name.components().skip(strip).collect();
        if !stripped.as_os_str().is_empty() {
            program.world.files.put(&dir.join(stripped), &content, Meta::root(0o644), now);
        }
    }
    0
}

/// `git clone URL DIR`, `rev-parse`, `ls-remote`; the rest succeeds.
pub(super) fn git(program: &mut Program<'_>) -> i32 {
    let operands = program.operands(&["-C", "-c", "-b", "--branch", "--depth", "--origin", "-o"]);
    match operands.first().map(String::as_str) {
        Some("clone") => {
            let url = operands.get(1).cloned().unwrap_or_default();
            let Some(files) = program.world.repositories.get(&url).cloned() else {
                return program.fail(128, format!("fatal: repository '{url}' not found"));
            };
            let name = url.trim_end_matches(".git").rsplit('/').next().unwrap_or("repository").to_owned();
            let dir = program.path(operands.get(2).unwrap_or(&name));
            let now = program.world.tick();
            for (name, content) in files {
                program.world.files.put(&dir.join(name), &content, Meta::root(0o644), now);
            }
            program.world.files.put(&dir.join(".git/HEAD"), COMMIT.as_bytes(), Meta::root(0o644), now);
            0
        }
        Some("rev-parse") => {
            program.say(COMMIT);
            0
        }
        Some("ls-remote") => {
            let url = operands.get(1).cloned().unwrap_or_default();
            if !program.world.repositories.contains_key(&url) {
                return program.fail(128, format!("fatal: repository '{url}' not found"));
            }
            program.say(format!("{COMMIT}\tHEAD\n{COMMIT}\trefs/heads/main"));
            0
        }
        _ => 0,
    }
}

/// `python3 -m venv DIR`, `python3 -m pip …`; the rest succeeds.
pub(super) fn python(program: &mut Program<'_>) -> i32 {
    let module = program.value(&["-m"]);
    match module.as_deref() {
        Some("venv") => {
            let Some(dir) = program.operands(&["-m", "--prompt"]).pop().map(|dir| program.path(dir)) else {
                return 2;
            };
            let now = program.world.tick();
            program.world.files.put(&dir.join("pyvenv.cfg"), b"home = /usr/bin\n", Meta::root(0o644), now);
            for name in ["python", "python3", "pip"] {
                program.world.files.put(&dir.join("bin").join(name), b"#!\n", Meta::root(0o755), now);
            }
            0
        }
        Some("pip") => {
            program.args.drain(..2);
            pip(program)
        }
        _ => 0,
    }
}

/// `DIR/bin/pip install NAME…`: keeps the names in the environment; `pip freeze` shows them.
pub(super) fn pip(program: &mut Program<'_>) -> i32 {
    let called = PathBuf::from(&program.argv0);
    let environment = called.ancestors().nth(2).unwrap_or(Path::new("/usr")).to_owned();
    let list = environment.join("lib/packages.txt");
    let operands =
        program.operands(&["-r", "--requirement", "-c", "--constraint", "-i", "--index-url", "--find-links"]);
    let text = program.world.files.text(&list);
    match operands.first().map(String::as_str) {
        Some("freeze" | "list") => program.out = text,
        Some("install") => {
            let mut names: Vec<String> = text.lines().map(str::to_owned).collect();
            names.extend(operands.into_iter().skip(1));
            for file in program.values(&["-r", "--requirement"]) {
                let wanted = program.world.files.text(program.path(file));
                names.extend(wanted.lines().map(str::to_owned));
            }
            names.sort();
            names.dedup();
            let text = names.iter().fold(String::new(), |all, name| all + name + "\n");
            let now = program.world.tick();
            program.world.files.put(&list, text.as_bytes(), Meta::root(0o644), now);
        }
        _ => {}
    }
    0
}
