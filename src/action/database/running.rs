//! Ensures that an engine runs while something is undone in it.

use std::path::Path;
use std::time::Duration;

use crate::action::database::{Engine, mariadb, postgresql};
use crate::error::Failure;
use crate::facts::probe::engines;
use crate::host::{Command, Host};
use crate::system::boot;

/// An engine that runs.
pub struct Running {
    /// The service that we had to start.
    started: Option<String>,
}

/// Why an engine does not run.
pub enum Away {
    /// Program and data are gone: there is nothing left to undo.
    Removed,
    /// It could not be started.
    Down(String),
}

/// Starts the engine if it does not answer; of PostgreSQL only the one cluster.
pub fn make_sure(host: &dyn Host, engine: Engine, cluster: &str) -> Result<Running, Away> {
    let (service, data) = match engine {
        Engine::Postgresql => {
            let found = engines::cluster_of(host, cluster);
            if !cluster.is_empty() && found.is_none() {
                return Err(Away::Removed);
            }
            let data = found.map_or_else(|| "/var/lib/postgresql".to_owned(), |cluster| cluster.data);
            (postgresql::unit(cluster), data)
        }
        _ => ("mariadb".to_owned(), "/var/lib/mysql".to_owned()),
    };
    let Err(mut failure) = ask(host, engine, cluster) else { return Ok(Running { started: None }) };
    if !matches!(host.stat(Path::new(&data)), Ok(Some(_))) {
        return Err(Away::Removed);
    }
    start_or_stop(host, "start", &service).map_err(Away::Down)?;
    let mut pause = Duration::from_millis(100);
    for _ in 0..8 {
        match ask(host, engine, cluster) {
            Ok(()) => return Ok(Running { started: Some(service) }),
            Err(again) => failure = again,
        }
        host.sleep(pause);
        pause = (pause * 2).min(Duration::from_secs(4));
    }
    Err(Away::Down(failure.why))
}

impl Running {
    /// Stops what was not running.
    pub fn leave_as_found(&self, host: &dyn Host) {
        if let Some(service) = &self.started {
            // Failing to stop it again is harmless.
            let _ = start_or_stop(host, "stop", service);
        }
    }
}

fn ask(host: &dyn Host, engine: Engine, cluster: &str) -> Result<(), Failure> {
    match engine {
        Engine::Postgresql => {
            let server = postgresql::Server::find(host, cluster)?;
            postgresql::exist(host, &server, "", "").map(drop)
        }
        _ => mariadb::exist(host, "", "").map(drop),
    }
}

/// Why an engine that runs does not let the administrator in, if so. An engine that does not run, or is not installed,
/// cannot be asked.
pub fn shut_out(host: &dyn Host, engine: Engine, cluster: &str) -> Option<Failure> {
    let (data, socket, hint) = match engine {
        Engine::Sqlite => return None,
        Engine::Postgresql => (
            "/var/lib/postgresql",
            "/run/postgresql",
            "let the system user postgres log in as postgres: `local all postgres peer` as the first line of \
             pg_hba.conf, then reload PostgreSQL",
        ),
        Engine::Mariadb => (
            "/var/lib/mysql",
            "/run/mysqld/mysqld.sock",
            "let root log in by the socket: ALTER USER root@localhost IDENTIFIED VIA unix_socket; or write the \
             password into /root/.my.cnf",
        ),
    };
    let there = |path: &str| host.stat(Path::new(path)).is_ok_and(|stat| stat.is_some());
    if !there(data) || !there(socket) {
        return None;
    }
    let failure = ask(host, engine, cluster).err()?;
    let told = failure.tail.iter().chain([&failure.why]).any(|line| {
        // MariaDB's errors 1045 and 1698; PostgreSQL's class 28, by its messages.
        let refusals = ["Access denied", "authentication failed", "no pg_hba.conf entry", "rejects connection"];
        refusals.iter().any(|refusal| line.contains(refusal)) || line.contains("password supplied")
    });
    told.then(|| failure.hint(hint))
}

/// `start` or `stop` of a service, with the server's service manager.
pub fn start_or_stop(host: &dyn Host, verb: &str, service: &str) -> Result<(), String> {
    let systemd = boot::is_systemd(host);
    // `postgresql@15-main` is a systemd unit only; `pg_ctlcluster` works everywhere.
    let cluster = service.strip_prefix("postgresql@").and_then(|rest| rest.split_once('-'));
    let argv = match cluster {
        _ if systemd => vec!["systemctl", verb, service],
        Some((version, name)) => vec!["pg_ctlcluster", version, name, verb],
        None => vec!["service", service, verb],
    };
    let output = host.run(&Command::new(argv.iter().copied())).map_err(|e| e.to_string())?;
    if output.ok() {
        return Ok(());
    }
    Err(output.tail(1).pop().unwrap_or_else(|| format!("{} ended with status {}", argv[0], output.status)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::host::fake::{FakeHost, output};

    #[test]
    fn an_engine_that_does_not_let_root_in_is_told_and_one_that_is_down_is_not() {
        let answers = |engine: Engine, error: &'static str| {
            let host = FakeHost::new();
            for path in ["/var/lib/mysql/x", "/run/mysqld/mysqld.sock", "/var/lib/postgresql/x", "/run/postgresql/x"] {
                host.put_file(path, "", 0o644);
            }
            host.put_file("/usr/lib/postgresql/15/bin/psql", "elf", 0o755);
            let passwd = host.text("/etc/passwd").unwrap();
            host.put_file("/etc/passwd", format!("{passwd}postgres:x:110:110::/var/lib/postgresql:/bin/sh\n"), 0o644);
            for program in ["mariadb", "/usr/lib/postgresql/15/bin/psql"] {
                host.on(&[program], move |_, _| output(2, "", error));
            }
            shut_out(&host, engine, "")
        };
        let maria = |error| answers(Engine::Mariadb, error);
        assert_eq!(maria("ERROR 2002 (HY000): Can't connect to local server through socket\n"), None);
        let refused = maria("ERROR 1045 (28000): Access denied for user 'root'@'localhost' (using password: NO)\n");
        let refused = refused.unwrap();
        assert!(refused.why.contains("Access denied") && refused.hint.unwrap().contains("unix_socket"));
        let postgres = |error| answers(Engine::Postgresql, error);
        assert_eq!(postgres("psql: error: connection to server failed: No such file or directory\n"), None);
        for error in [
            "psql: error: connection failed: FATAL:  Peer authentication failed for user \"postgres\"\n",
            "psql: error: connection failed: fe_sendauth: no password supplied\n",
            "psql: error: connection failed: FATAL:  no pg_hba.conf entry for host \"[local]\"\n",
        ] {
            assert!(postgres(error).unwrap().hint.unwrap().contains("pg_hba.conf"), "{error}");
        }
        assert_eq!(shut_out(&FakeHost::new(), Engine::Mariadb, ""), None, "it is not installed");
    }
}
