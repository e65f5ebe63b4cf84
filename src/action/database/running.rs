//! Makes sure that an engine runs while something is undone in it.

use std::path::Path;
use std::time::Duration;

use crate::action::database::{Engine, mariadb, postgresql};
use crate::error::Failure;
use crate::facts::probe::engines;
use crate::host::{Command, Host};

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

/// Starts the engine if it does not answer; of PostgreSQL's clusters that one alone.
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
            // It served its purpose; that it goes on running harms nobody.
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

/// `start` or `stop` of a service, with whichever manager the machine has.
pub fn start_or_stop(host: &dyn Host, verb: &str, service: &str) -> Result<(), String> {
    let systemd = matches!(host.stat(Path::new("/run/systemd/system")), Ok(Some(_)));
    // `postgresql@15-main` is a unit of systemd's only; everywhere Debian has a program for one cluster.
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
