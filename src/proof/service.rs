//! `service`: services run and will run again after a reboot.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Failure, Outcome};
use crate::host::Host;
use crate::proof::{Context, Prove};
use crate::system::service::Manager;

/// Services run and will run again after a reboot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Running {
    /// The service manager.
    pub manager: Manager,
    /// Their names.
    pub names: Vec<String>,
    /// Least number of processes, per name; unchecked where it is not named.
    #[serde(default)]
    pub processes: BTreeMap<String, u32>,
}

impl Prove for Running {
    fn describe(&self) -> String {
        match self.names.as_slice() {
            [name] => format!("{name} runs, and starts at boot"),
            names => format!("{} run, and start at boot", names.join(", ")),
        }
    }

    fn prove(&self, cx: &Context<'_>) -> Outcome<String> {
        let evidence: Vec<String> =
            self.names.iter().map(|name| self.prove_one(cx.host, name)).collect::<Outcome<_>>()?;
        Ok(evidence.join("; "))
    }

    fn independent(&self) -> bool {
        true
    }
}

impl Running {
    fn prove_one(&self, host: &dyn Host, name: &str) -> Outcome<String> {
        let what = || format!("verify that {name} runs");
        let state = self.manager.state(host, name)?;
        if !state.active {
            return Err(
                Failure::new(what(), format!("it is not running: {}", state.detail)).hint(self.where_to_look(name))
            );
        }
        if !state.enabled {
            return Err(
                Failure::new(what(), "it is running, but does not start at boot").hint(self.where_to_look(name))
            );
        }
        let Some(&least) = self.processes.get(name) else {
            return Ok(format!("{name} runs"));
        };
        if state.pids.is_empty() {
            return Err(Failure::new(what(), "its main process is not known, so its processes cannot be counted")
                .hint("remove the number of processes from this proof"));
        }
        let count = count(host, &state.pids)?;
        if count < least as usize {
            return Err(Failure::new(what(), format!("{count} processes are running, at least {least} should be"))
                .hint(self.where_to_look(name)));
        }
        let processes = if count == 1 { "process" } else { "processes" };
        Ok(format!("{name} runs with {count} {processes}"))
    }

    fn where_to_look(&self, name: &str) -> String {
        match self.manager {
            Manager::Systemd => format!("see `systemctl status {name}` and `journalctl -u {name}`"),
            Manager::Sysv => {
                format!("see `service {name} status` and the service's log below /var/log")
            }
            Manager::Supervisor => {
                format!("see `supervisorctl status` and `supervisorctl tail {name}`")
            }
        }
    }
}

/// How many of `roots` and of their descendants live. A zombie does not.
fn count(host: &dyn Host, roots: &[u32]) -> Outcome<usize> {
    let entries = host.list(Path::new("/proc")).map_err(|e| Failure::new("count processes", format!("/proc: {e}")))?;
    let table: Vec<Process> = entries
        .iter()
        .filter(|entry| {
            entry.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.parse::<u32>().is_ok())
        })
        // A process may end between the listing and the look at it.
        .filter_map(|entry| host.read(&Path::new("/proc").join(entry).join("stat")).ok())
        .filter_map(|stat| Process::parse(&String::from_utf8_lossy(&stat)))
        .collect();
    Ok(family(&table, roots))
}

#[derive(Debug, PartialEq, Eq)]
struct Process {
    pid: u32,
    parent: u32,
    zombie: bool,
}

impl Process {
    /// Parses `/proc/<pid>/stat`: `12 (any (name)) S 1 ...`.
    fn parse(stat: &str) -> Option<Self> {
        let (pid, rest) = stat.split_once(" (")?;
        let (_, rest) = rest.rsplit_once(") ")?;
        let mut fields = rest.split(' ');
        let state = fields.next()?;
        Some(Self { pid: pid.parse().ok()?, parent: fields.next()?.parse().ok()?, zombie: matches!(state, "Z" | "X") })
    }
}

fn family(table: &[Process], roots: &[u32]) -> usize {
    let mut members: BTreeSet<u32> = roots.iter().copied().collect();
    loop {
        let before = members.len();
        let children: Vec<u32> =
            table.iter().filter(|process| members.contains(&process.parent)).map(|process| process.pid).collect();
        members.extend(children);
        if members.len() == before {
            break;
        }
    }
    table.iter().filter(|process| members.contains(&process.pid) && !process.zombie).count()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::host::Command;
    use crate::host::fake::FakeHost;
    use crate::secret::Secrets;

    fn prove(host: &FakeHost, processes: Option<u32>) -> Outcome<String> {
        let name = "nginx.service".to_owned();
        let processes = processes.map(|count| (name.clone(), count));
        let proof =
            Running { manager: Manager::Systemd, names: vec![name], processes: processes.into_iter().collect() };
        let secrets = Secrets::default();
        proof.prove(&Context { host, secrets: &secrets })
    }

    #[test]
    fn a_service_is_proven_when_it_runs_and_will_run_after_a_reboot() {
        let host = FakeHost::new();
        let run = |line: &str| host.run(&Command::new(line.split(' '))).unwrap();
        host.put_file("/usr/sbin/policy-rc.d", "exit 101", 0o755);
        run("apt-get install nginx");
        let failure = prove(&host, None).unwrap_err();
        assert!(failure.why.contains("is not running"), "{failure}");
        run("systemctl start nginx.service");
        assert_eq!(prove(&host, None).as_deref(), Ok("nginx.service runs"));
        run("systemctl disable nginx.service");
        let failure = prove(&host, None).unwrap_err();
        assert!(failure.why.contains("at boot"), "{failure}");
    }

    #[test]
    fn a_parent_that_has_lost_its_workers_is_found_out() {
        let host = FakeHost::new();
        let run = |line: &str| host.run(&Command::new(line.split(' '))).unwrap();
        run("apt-get install nginx");
        // The main process of a unit in a fake host.
        host.put_file("/proc/5000/stat", "5000 (nginx) S 1 0", 0o444);
        host.put_file("/proc/6001/stat", "6001 (nginx) S 5000 0", 0o444);
        host.put_file("/proc/6002/stat", "6002 (nginx) Z 5000 0", 0o444);
        assert_eq!(prove(&host, Some(2)).as_deref(), Ok("nginx.service runs with 2 processes"));
        let failure = prove(&host, Some(3)).unwrap_err();
        assert!(failure.why.contains("2 processes are running, at least 3"), "{failure}");
    }

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_confuse_the_table() {
        let process = Process::parse("12 (a) b (c) S 7 12 12 0");
        assert_eq!(process, Some(Process { pid: 12, parent: 7, zombie: false }));
        assert_eq!(Process::parse("nonsense"), None);
    }

    #[test]
    fn dead_workers_and_other_families_do_not_count() {
        let process = |pid, parent, zombie| Process { pid, parent, zombie };
        let table = [
            process(1, 0, false),
            process(30, 20, false),
            process(20, 10, false),
            process(10, 1, false),
            process(21, 10, true),
            process(40, 1, false),
        ];
        assert_eq!(family(&table, &[10]), 3);
        assert_eq!(family(&table, &[99]), 0);
    }
}
