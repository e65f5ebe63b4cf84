//! Database servers, caches and brokers, and which ports are theirs, from their configuration and their sockets.
//!
//! A server may have several of each: only who knows them all leaves the others alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{exists, text};
use crate::facts::{Cluster, Instance, Node};
use crate::host::{Host, Kind};

/// Debian keeps the configuration of each cluster in `<version>/<name>` below.
pub const CLUSTERS: &str = "/etc/postgresql";
/// How deep files of configuration may include one another, as in PostgreSQL itself.
const DEPTH: usize = 10;
/// A file of configuration is read up to this many bytes.
const LONGEST: u64 = 1 << 20;

/// Clusters of PostgreSQL, by version and name.
pub fn postgresql(host: &dyn Host) -> Vec<Cluster> {
    let mut found = Vec::new();
    for version in names(host, Path::new(CLUSTERS)) {
        for name in names(host, &Path::new(CLUSTERS).join(&version)) {
            found.extend(cluster(host, &version, &name));
        }
    }
    found.sort_by_cached_key(|cluster| {
        let digits = |part: &str| part.parse::<u32>().unwrap_or_default();
        (cluster.version.split('.').map(digits).collect::<Vec<_>>(), cluster.name.clone())
    });
    found
}

/// The cluster `id` (`15/main`), when it is there.
pub fn cluster_of(host: &dyn Host, id: &str) -> Option<Cluster> {
    let (version, name) = id.split_once('/')?;
    let is_plain = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains('/');
    if is_plain(version) && is_plain(name) { cluster(host, version, name) } else { None }
}

fn cluster(host: &dyn Host, version: &str, name: &str) -> Option<Cluster> {
    let dir = Path::new(CLUSTERS).join(version).join(name);
    let file = dir.join("postgresql.conf");
    let stat = host.stat(&file).ok().flatten()?;
    let mut settings = BTreeMap::new();
    read_settings(host, &file, DEPTH, &mut settings);
    let own = format!("/var/lib/postgresql/{version}/{name}");
    let data = settings.get("data_directory").cloned().unwrap_or(own);
    // What ALTER SYSTEM sets comes last; only root and the cluster's owner see it.
    read_settings(host, &Path::new(&data).join("postgresql.auto.conf"), DEPTH, &mut settings);
    let configured_port = settings.get("port").and_then(|port| port.parse().ok()).unwrap_or(5432);
    // A cluster that runs knows best: its first line is its process, the fourth its port, the fifth its socket's place.
    let state = read(host, &Path::new(&data).join("postmaster.pid"));
    let state: Vec<&str> = state.lines().map(str::trim).collect();
    let outer = settings.get("external_pid_file").cloned();
    let outer = outer.unwrap_or_else(|| format!("/var/run/postgresql/{version}-{name}.pid"));
    let outer = read(host, Path::new(&outer));
    let pid = state.first().copied().filter(|pid| !pid.is_empty()).or_else(|| outer.lines().next().map(str::trim));
    let running = pid.is_some_and(|pid| is_process(host, pid, &["postgres"]));
    let told = |line: usize| state.get(line).copied().filter(|value| running && !value.is_empty());
    let sockets = settings.get("unix_socket_directories").and_then(|all| all.split(',').next());
    let uid = host.stat(Path::new(&data)).ok().flatten().map_or(stat.meta.uid, |stat| stat.meta.uid);
    let start = read(host, &dir.join("start.conf"));
    let start = start.lines().map(|line| line.split('#').next().unwrap_or_default().trim()).find(|l| !l.is_empty());
    Some(Cluster {
        id: format!("{version}/{name}"),
        version: version.to_owned(),
        name: name.to_owned(),
        port: told(3).and_then(|port| port.parse().ok()).unwrap_or(configured_port),
        configured_port,
        running,
        start: start.unwrap_or("auto").to_owned(),
        owner: user(host, uid),
        socket: told(4).or_else(|| sockets.map(str::trim)).unwrap_or("/var/run/postgresql").to_owned(),
        listen: settings.get("listen_addresses").cloned().unwrap_or_else(|| "localhost".to_owned()),
        max_connections: settings.get("max_connections").and_then(|number| number.parse().ok()).unwrap_or(100),
        data,
    })
}

/// `key = value`, the last one counts; included files are read where they are named.
fn read_settings(host: &dyn Host, file: &Path, depth: usize, settings: &mut BTreeMap<String, String>) {
    let Some(left) = depth.checked_sub(1) else { return };
    let beside = |path: &str| file.parent().unwrap_or(Path::new("/")).join(path);
    for line in read(host, file).lines() {
        let Some((key, value)) = setting(line) else { continue };
        match key.as_str() {
            "include" | "include_if_exists" => read_settings(host, &beside(&value), left, settings),
            "include_dir" => {
                let dir = beside(&value);
                let mut files = names(host, &dir);
                files.retain(|name| name.strip_suffix(".conf").is_some() && !name.starts_with('.'));
                for name in files {
                    read_settings(host, &dir.join(name), left, settings);
                }
            }
            _ => {
                settings.insert(key, value);
            }
        }
    }
}

/// A line of PostgreSQL's configuration: the equals sign may be missing, and a value may be quoted.
fn setting(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    let end = line.find(|c: char| !c.is_ascii_alphanumeric() && !"_.".contains(c))?;
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
    if key.is_empty() {
        return None;
    }
    let Some(quoted) = rest.strip_prefix('\'') else {
        let value = rest.split(|c: char| c == '#' || c.is_whitespace()).next().unwrap_or_default();
        return Some((key.to_ascii_lowercase(), value.to_owned()));
    };
    let mut value = String::new();
    let mut chars = quoted.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' if chars.next_if_eq(&'\'').is_none() => break,
            '\\' => value.extend(chars.next()),
            c => value.push(c),
        }
    }
    Some((key.to_ascii_lowercase(), value))
}

/// Instances of MariaDB (or MySQL), Debian's own first; none where its server is not installed.
pub fn mariadb(host: &dyn Host) -> Vec<Instance> {
    let programs = ["/usr/sbin/mariadbd", "/usr/sbin/mysqld"];
    if !programs.iter().any(|path| exists(host, path)) {
        return Vec::new();
    }
    let mut groups: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    read_groups(host, Path::new("/etc/mysql/my.cnf"), DEPTH, &mut groups);
    let mut own = BTreeMap::new();
    let mut others = Vec::new();
    for (group, settings) in &groups {
        // [mysqld], [mariadb-10.11] and the like speak to Debian's own, [mysqld2] and [mariadbd.two] to instances.
        let Some(rest) = ["mariadbd", "mariadb", "mysqld", "server"].iter().find_map(|stem| group.strip_prefix(stem))
        else {
            continue;
        };
        let name = rest.strip_prefix('.').unwrap_or(rest);
        if rest.is_empty() || rest.starts_with('-') {
            own.extend(settings.clone());
        } else if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            others.push((name.to_owned(), settings.clone()));
        }
    }
    let mut found = vec![instance(host, "", &own)];
    found.extend(others.iter().map(|(name, settings)| instance(host, name, settings)));
    found
}

fn instance(host: &dyn Host, name: &str, settings: &BTreeMap<String, String>) -> Instance {
    let value = |key: &str| settings.get(key).cloned();
    let own = if name.is_empty() { "/run/mysqld/mysqld.sock".to_owned() } else { String::new() };
    let socket = value("socket").unwrap_or(own);
    let is_off =
        |value: &String| value.is_empty() || ["1", "on", "true"].contains(&value.to_ascii_lowercase().as_str());
    let port = if settings.get("skip-networking").is_some_and(is_off) {
        0
    } else {
        value("port").and_then(|port| port.parse().ok()).unwrap_or(3306)
    };
    let running = !socket.is_empty() && is_listening(host, &socket);
    Instance { name: name.to_owned(), port, socket, listen: value("bind-address").unwrap_or_default(), running }
}

/// Groups of an option file; `_` in an option's name is `-`.
fn read_groups(host: &dyn Host, file: &Path, depth: usize, groups: &mut BTreeMap<String, BTreeMap<String, String>>) {
    let Some(left) = depth.checked_sub(1) else { return };
    let mut group = String::new();
    for line in read(host, file).lines().map(str::trim) {
        if let Some(dir) = line.strip_prefix("!includedir") {
            let dir = PathBuf::from(dir.trim());
            for name in names(host, &dir).iter().filter(|name| name.strip_suffix(".cnf").is_some()) {
                read_groups(host, &dir.join(name), left, groups);
            }
        } else if let Some(path) = line.strip_prefix("!include") {
            read_groups(host, Path::new(path.trim()), left, groups);
        } else if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            name.clone_into(&mut group);
        } else if !line.is_empty() && !line.starts_with(['#', ';']) {
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            let value = value.split(" #").next().unwrap_or_default().trim().trim_matches(['"', '\'']);
            let key = key.trim().replace('_', "-").to_ascii_lowercase();
            groups.entry(group.clone()).or_default().insert(key, value.to_owned());
        }
    }
}

/// Servers of Redis, Debian's own first.
pub fn redis(host: &dyn Host) -> Vec<Instance> {
    let dir = Path::new("/etc/redis");
    let mut found = Vec::new();
    for file in names(host, dir) {
        let Some(stem) = file.strip_suffix(".conf").filter(|stem| stem.starts_with("redis")) else { continue };
        let content = read(host, &dir.join(&file));
        let value = |key: &str| {
            let mut values =
                content.lines().filter_map(|line| line.trim().strip_prefix(key)?.strip_prefix([' ', '\t']));
            values.next_back().map(|value| value.trim().trim_matches('"').to_owned())
        };
        let name = stem.trim_start_matches("redis").trim_start_matches('-').to_owned();
        let pid = value("pidfile").unwrap_or_default();
        let pid = if pid.is_empty() { pid } else { read(host, Path::new(&pid)) };
        found.push(Instance {
            name,
            port: value("port").and_then(|port| port.parse().ok()).unwrap_or(6379),
            socket: value("unixsocket").unwrap_or_default(),
            listen: value("bind").unwrap_or_default(),
            running: is_process(host, pid.trim(), &["redis-server", "redis-sentinel"]),
        });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found.retain(|server| server.name != "sentinel");
    found
}

/// Nodes of RabbitMQ: each keeps its data in a directory of its name.
pub fn rabbitmq(host: &dyn Host) -> Vec<Node> {
    let dir = Path::new("/var/lib/rabbitmq/mnesia");
    let mut nodes: Vec<Node> = Vec::new();
    for name in names(host, dir) {
        // Beside it are `<node>.pid` and `<node>-plugins-expand`.
        let is_dir = matches!(host.stat(&dir.join(&name)), Ok(Some(stat)) if stat.kind == Kind::Dir);
        if !is_dir || !name.contains('@') || name.ends_with("-plugins-expand") {
            continue;
        }
        let pid = read(host, &dir.join(format!("{name}.pid")));
        let running = is_process(host, pid.trim(), &["beam.smp"]);
        nodes.push(Node { name, running });
    }
    nodes
}

/// The names in a directory, sorted.
fn names(host: &dyn Host, dir: &Path) -> Vec<String> {
    let entries = host.list(dir).unwrap_or_default();
    let mut names: Vec<String> =
        entries.iter().filter_map(|entry| Some(entry.file_name()?.to_str()?.to_owned())).collect();
    names.sort();
    names
}

/// A regular file of reasonable length; empty otherwise.
fn read(host: &dyn Host, path: &Path) -> String {
    let is_fit =
        |path: &Path| matches!(host.stat(path), Ok(Some(stat)) if stat.kind == Kind::File && stat.size <= LONGEST);
    // Debian's /etc/mysql/my.cnf is a link to a link.
    let mut path = path.to_owned();
    for _ in 0..8 {
        match host.read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("/")).join(target),
            Err(_) => break,
        }
    }
    if is_fit(&path) { text(host, path) } else { String::new() }
}

/// Whether `pid` is a process of one of these programs: a number alone may be another's by now.
fn is_process(host: &dyn Host, pid: &str, programs: &[&str]) -> bool {
    let is_number = !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit());
    is_number && programs.contains(&text(host, format!("/proc/{pid}/comm")).trim())
}

/// Whether a socket of this path is being listened on; the file alone outlives its server.
fn is_listening(host: &dyn Host, socket: &str) -> bool {
    let bare = socket.strip_prefix("/var/run/").map_or_else(|| socket.to_owned(), |rest| format!("/run/{rest}"));
    text(host, "/proc/net/unix").lines().any(|line| {
        line.split_whitespace().nth(7).is_some_and(|path| {
            path == socket || path.strip_prefix("/var/run/").map_or(path == bare, |rest| bare == format!("/run/{rest}"))
        })
    })
}

/// The name of a user, as `/etc/passwd` has it; its number where it has none.
fn user(host: &dyn Host, uid: u32) -> String {
    let id = uid.to_string();
    let passwd = text(host, "/etc/passwd");
    let found = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id).then(|| name.to_owned())
    });
    found.unwrap_or(id)
}

#[cfg(test)]
mod tests;
