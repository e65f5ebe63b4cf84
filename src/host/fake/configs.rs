//! The configuration of servers: what each has read, and what its own test says of the files that lie there now.
//!
//! A line with [`WRONG`] in it is one that no server understands: it runs on with what it has read, fails its test,
//! and does not start again.

use std::path::{Path, PathBuf};

use super::programs::Program;
use super::{FakeHost, World};

/// What no server understands.
pub(super) const WRONG: &str = "no-such-directive";

/// The configuration files of each server.
const DIRS: &[(&str, &str)] = &[
    ("nginx", "/etc/nginx"),
    ("apache2", "/etc/apache2"),
    ("postgresql", "/etc/postgresql"),
    ("mariadb", "/etc/mysql"),
    ("redis-server", "/etc/redis"),
    ("rabbitmq-server", "/etc/rabbitmq"),
];

impl FakeHost {
    /// Puts a file there that no server understands, in its second line.
    pub fn put_broken_file(&self, path: impl AsRef<Path>) {
        self.put_file(path, format!("# somebody's\n{WRONG} on;\n"), 0o644);
    }

    /// The files that a server read when it last loaded its configuration, with their content: `path: content`.
    pub fn has_read(&self, unit: &str) -> Vec<String> {
        self.world().services.read.get(unit).cloned().unwrap_or_default()
    }

    /// How often a unit reloaded its configuration.
    pub fn reloads(&self, unit: &str) -> u32 {
        self.world().services.reloads.get(unit).copied().unwrap_or(0)
    }
}

impl World {
    fn config_dir(unit: &str) -> Option<&'static str> {
        let name = unit.trim_end_matches(".service");
        DIRS.iter().find(|(server, _)| *server == name).map(|(_, dir)| *dir)
    }

    fn config_files(&self, unit: &str) -> Vec<PathBuf> {
        let Some(dir) = Self::config_dir(unit) else { return Vec::new() };
        self.files.below(Path::new(dir)).into_iter().filter(|path| self.files.exists(path)).collect()
    }

    /// The first line that the server does not understand.
    pub(super) fn wrong_line(&self, unit: &str) -> Option<(PathBuf, usize)> {
        self.config_files(unit).into_iter().find_map(|path| {
            let at = self.files.text(&path).lines().position(|line| line.contains(WRONG))?;
            Some((path, at + 1))
        })
    }

    /// The server reads its configuration.
    pub(super) fn read_config(&mut self, unit: &str) {
        let files = self.config_files(unit);
        let read = files.iter().map(|path| format!("{}: {}", path.display(), self.files.text(path))).collect();
        self.services.read.insert(unit.to_owned(), read);
    }
}

/// `nginx -t`, `apache2ctl configtest` and the like, each with its server's messages.
pub(super) fn test(program: &mut Program<'_>) -> i32 {
    let unit = match program.name.as_str() {
        "apache2ctl" => "apache2",
        "postgres" => "postgresql",
        "mariadbd" => "mariadb",
        "erl" => "rabbitmq-server",
        name => name,
    };
    let wrong = program.world.wrong_line(unit);
    let (file, line) = match wrong {
        Some((file, line)) => (file.display().to_string(), line),
        None if unit == "redis-server" => {
            let words = "*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***\nReading the configuration file, at line 99\n";
            return program.fail(1, format!("{words}>>> 'port \"end-of-test\"'\nno integer"));
        }
        None => return 0,
    };
    match unit {
        "nginx" => {
            let said = format!("2026/11/29 19:45:37 [emerg] 78#78: unknown directive \"{WRONG}\" in {file}:{line}");
            program.fail(1, said);
            program.fail(1, "nginx: configuration file /etc/nginx/nginx.conf test failed")
        }
        "apache2" => program.fail(1, format!("AH00526: Syntax error on line {line} of {file}:\nInvalid command")),
        "postgresql" => {
            let said = format!("unrecognized configuration parameter \"{WRONG}\" in file \"{file}\" line {line}");
            program.fail(1, format!("2026-11-29 19:45:37 GMT [95] LOG:  {said}"))
        }
        "redis-server" => {
            let words = format!(
                "*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***\nReading the configuration file, at line {line}"
            );
            program.fail(1, format!("{words}\n>>> '{WRONG} on;'\nBad directive or wrong number of arguments"))
        }
        "mariadb" => program.fail(7, format!("2026-11-29 19:45:37 0 [ERROR] mariadbd: unknown option '--{WRONG} on;'")),
        _ => {
            program.say(format!("{file}:{line}: syntax error"));
            1
        }
    }
}
