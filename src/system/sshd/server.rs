//! The running SSH server: who starts it, where it listens, how it takes up another configuration.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use crate::error::{Failure, Outcome};
use crate::facts::probe::ssh;
use crate::host::{Command, Host, Meta};
use crate::system::paths;

/// systemd's part of the server's socket that is ours.
pub(crate) const SOCKET: &str = "/etc/systemd/system/ssh.socket.d/bringup.conf";
/// systemd's part of the service that is ours.
pub(crate) const ORDER: &str = "/etc/systemd/system/ssh.service.d/bringup.conf";
/// A single address may be there later than the network; a server that finds none of its addresses ends for good.
pub(crate) const AFTER_NETWORK: &str =
    "# Written by bringup.\n[Unit]\nWants=network-online.target\nAfter=network-online.target\n";
/// Privilege separation needs it; systemd makes it with the service.
const RUN: &str = "/run/sshd";
/// How long the server may take to listen again.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

/// Who starts the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StartedBy {
    /// systemd's ssh.service.
    Service,
    /// systemd's ssh.socket, which holds the ports and starts ssh.service at the first connection.
    Socket,
    /// An init script, where systemd does not run.
    Script,
}

/// What the configuration comes to, as the server itself reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effective {
    /// Where it listens.
    pub(crate) at: BTreeSet<SocketAddr>,
    /// `any`, `inet` or `inet6`.
    pub(crate) family: String,
    settings: Vec<(String, String)>,
}

/// Makes the directory without which the server's program does not say anything; systemd takes it away again.
pub(crate) fn make_run(host: &dyn Host) -> Outcome<()> {
    if paths::stat(host, Path::new(RUN))?.is_some() {
        return Ok(());
    }
    paths::make_dir(host, Path::new(RUN), Meta::root(0o755))
}

impl Effective {
    /// Asks the server's program, which also reports errors in the files.
    pub(crate) fn read(host: &dyn Host) -> Outcome<Self> {
        let what = "have sshd check its configuration";
        let output = host.run(&Command::new(["/usr/sbin/sshd", "-T"])).map_err(|e| Failure::new(what, e))?;
        if !output.ok() {
            return Err(Failure::new(what, format!("`sshd -T` ended with status {}", output.status))
                .tail(output.tail(5))
                .hint("the lines above name the file and the line to correct"));
        }
        let mut effective = Self::default();
        for (keyword, value) in output.text().lines().filter_map(|line| line.split_once(' ')) {
            match keyword {
                "listenaddress" => effective.at.extend(value.parse::<SocketAddr>()),
                "addressfamily" => value.clone_into(&mut effective.family),
                _ => effective.settings.push((keyword.to_owned(), value.to_owned())),
            }
        }
        Ok(effective)
    }

    /// The first of these settings, as keyword and value, that is not in force, with the value that is.
    pub(crate) fn differing<'s>(&self, settings: &[(&'s str, &str)]) -> Option<(&'s str, String)> {
        settings.iter().find_map(|(keyword, wanted)| {
            // Names that a version has no more are others' aliases.
            let known = self.settings.iter().find(|(known, _)| known.eq_ignore_ascii_case(keyword))?;
            let same = known.1 == *wanted || (*wanted == "prohibit-password" && known.1 == "without-password");
            (!same).then(|| (*keyword, known.1.clone()))
        })
    }
}

impl StartedBy {
    /// Finds it; refuses where none runs in a way that we can change.
    pub(crate) fn find(host: &dyn Host) -> Outcome<Self> {
        let refused = |why: &str, hint: &str| Err(Failure::new("change how SSH is reached", why).hint(hint));
        if paths::stat(host, Path::new("/usr/sbin/sshd"))?.is_none() {
            return refused("OpenSSH server is not installed", "install openssh-server, or set `ssh.manage: false`");
        }
        if paths::stat(host, Path::new("/run/systemd/system"))?.is_none() {
            return Ok(Self::Script);
        }
        if property(host, "ssh.socket", "ActiveState")? == "active" {
            if property(host, "ssh.socket", "Accept")? == "yes" {
                return refused(
                    "ssh.socket starts a server of its own for every connection here (Accept=yes)",
                    "let ssh.service do it: `systemctl disable --now ssh.socket && systemctl enable --now ssh`",
                );
            }
            return Ok(Self::Socket);
        }
        if matches!(property(host, "ssh.service", "ActiveState")?.as_str(), "active" | "reloading") {
            return Ok(Self::Service);
        }
        refused("ssh.service is not running", "start it: `systemctl start ssh`")
    }

    /// Whether the server itself runs; where systemd holds the socket it comes with the first connection.
    pub(crate) fn runs(self, host: &dyn Host) -> Outcome<bool> {
        Ok(self != Self::Socket || property(host, "ssh.service", "ActiveState")? == "active")
    }

    /// Where it listens now, with the numbers of the sockets.
    pub(crate) fn sockets(self, host: &dyn Host) -> BTreeSet<(SocketAddr, u64)> {
        let held = ssh::listening(host);
        let ports = if self == Self::Socket { held_ports(host) } else { BTreeSet::new() };
        let is_its = |(at, _, program): &(SocketAddr, u64, String)| match self {
            Self::Socket => ports.contains(&at.port()) && matches!(program.as_str(), "systemd" | "sshd"),
            Self::Service | Self::Script => program == "sshd",
        };
        held.into_iter().filter(is_its).map(|(at, inode, _)| (at, inode)).collect()
    }

    /// Where it listens now.
    pub(crate) fn listening(self, host: &dyn Host) -> BTreeSet<SocketAddr> {
        self.sockets(host).into_iter().map(|(at, _)| at).collect()
    }

    /// Every address, on this port.
    pub(crate) fn everywhere(self, host: &dyn Host, family: &str, port: u16) -> BTreeSet<SocketAddr> {
        let (v4, v6) = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        let both = match (self, has_ipv6(host), family) {
            // systemd's one socket takes both.
            (Self::Socket, true, _) | (_, true, "inet6") => vec![v6],
            (_, true, "any" | "") => vec![v4, v6],
            _ => vec![v4],
        };
        both.into_iter().map(|ip| SocketAddr::new(ip, port)).collect()
    }

    /// Without the addresses that another one takes in: both at once could not be opened.
    pub(crate) fn without_covered(self, mut at: BTreeSet<SocketAddr>) -> BTreeSet<SocketAddr> {
        let all = at.clone();
        at.retain(|one| {
            one.ip().is_unspecified() && one.is_ipv6()
                || !all.iter().any(|other| {
                    let takes_in = other.is_ipv4() == one.is_ipv4() || (self == Self::Socket && other.is_ipv6());
                    other != one && other.ip().is_unspecified() && other.port() == one.port() && takes_in
                })
        });
        at
    }

    /// Has it take up what its files say now, and waits until it listens at exactly `at`, or does not.
    pub(crate) fn take_up(self, host: &dyn Host, log: &Path, at: &BTreeSet<SocketAddr>) -> Outcome<()> {
        let before = self.sockets(host);
        match self {
            Self::Service => {
                run(host, log, &["systemctl", "daemon-reload"])?;
                run(host, log, &["systemctl", "reload", "ssh.service"])?;
            }
            Self::Script => run(host, log, &["service", "ssh", "reload"])?,
            Self::Socket => {
                run(host, log, &["systemctl", "daemon-reload"])?;
                // Sessions survive: systemd ends the main process only. A socket cannot be reopened under it.
                run(host, log, &["systemctl", "stop", "ssh.service"])?;
                run(host, log, &["systemctl", "restart", "ssh.socket"])?;
                run(host, log, &["systemctl", "start", "ssh.service"])?;
            }
        }
        let mut waited = Duration::ZERO;
        loop {
            let now = self.sockets(host);
            let there: BTreeSet<SocketAddr> = now.iter().map(|(at, _)| *at).collect();
            // The old sockets are no sign that the new configuration was read.
            let anew = now.is_disjoint(&before);
            if anew && there == *at {
                return Ok(());
            }
            if waited >= PATIENCE {
                return Err(Failure::new(
                    "have SSH listen as planned",
                    format!("it listens at {} instead of {}", list(&there), list(at)),
                )
                .hint("`journalctl -u ssh` says why; options in /etc/default/ssh may name a port, too"));
            }
            host.sleep(PAUSE);
            waited += PAUSE;
        }
    }

    /// systemd's part of the socket that has it listen at exactly `at`.
    pub(crate) fn socket_part(at: &BTreeSet<SocketAddr>) -> String {
        use std::fmt::Write as _;
        let head = "# Written by bringup.\n[Socket]\nFreeBind=yes\nListenStream=\n".to_owned();
        at.iter().fold(head, |mut text, at| {
            let _ = writeln!(text, "ListenStream={at}");
            text
        })
    }
}

/// The ports that systemd holds for the server.
fn held_ports(host: &dyn Host) -> BTreeSet<u16> {
    held_at(host).iter().filter_map(|at| at.rsplit(':').next()?.parse().ok()).collect()
}

/// Where systemd has the server's socket listen, as it shows it: `[::]:22`.
fn held_at(host: &dyn Host) -> Vec<String> {
    let command = Command::new(["systemctl", "show", "--property=Listen", "ssh.socket"]);
    let output = host.run(&command).map(|output| output.text()).unwrap_or_default();
    let at = |line: &str| Some(line.strip_prefix("Listen=")?.split(' ').next()?.to_owned());
    output.lines().filter_map(at).collect()
}

/// Carries out [`crate::undo::Undo::Sshd`] for the running server: it reloads the restored files.
pub(crate) fn come_back(host: &dyn Host, log: &Path, server_ran: bool) -> Outcome<bool> {
    let Ok(server) = StartedBy::find(host) else { return Ok(false) };
    make_run(host)?;
    let effective = Effective::read(host)?;
    let at = match server {
        StartedBy::Socket => {
            run(host, log, &["systemctl", "daemon-reload"])?;
            held_at(host).iter().filter_map(|at| at.parse().ok()).collect()
        }
        StartedBy::Service | StartedBy::Script => effective.at.clone(),
    };
    let at = present(host, at);
    server.take_up(host, log, &at)?;
    if server == StartedBy::Socket && !server_ran {
        run(host, log, &["systemctl", "stop", "ssh.service"])?;
    }
    Ok(true)
}

/// Without IPv6 where the kernel has none: the server passes over it.
pub(crate) fn present(host: &dyn Host, mut at: BTreeSet<SocketAddr>) -> BTreeSet<SocketAddr> {
    if !has_ipv6(host) {
        at.retain(SocketAddr::is_ipv4);
    }
    at
}

fn property(host: &dyn Host, unit: &str, name: &str) -> Outcome<String> {
    let command = Command::new(["systemctl", "show", "--value", &format!("--property={name}"), unit]);
    let output = host.run(&command).map_err(|e| Failure::new(format!("look at {unit}"), e))?;
    Ok(output.text().trim().to_owned())
}

/// What a server says to a client that has no key and no password.
pub(crate) struct Greeting {
    /// Its name: `OpenSSH_9.2p1`.
    pub(crate) banner: String,
    /// Ways to log in that it offers.
    pub(crate) methods: Vec<String>,
}

/// Connects as a stranger.
pub(crate) fn greeting(host: &dyn Host, at: SocketAddr) -> Outcome<Greeting> {
    let what = format!("log in at {at}");
    let (port, ip) = (at.port().to_string(), at.ip().to_string());
    let options = ["BatchMode=yes", "PubkeyAuthentication=no", "StrictHostKeyChecking=no", "ConnectTimeout=5"];
    let nowhere = ["UserKnownHostsFile=/dev/null", "GlobalKnownHostsFile=/dev/null"];
    let options = options.iter().chain(&nowhere).flat_map(|option| ["-o", option]);
    let argv = ["ssh", "-v", "-F", "/dev/null", "-l", "root", "-p", &port].into_iter().chain(options);
    let command = Command::new(argv.chain([ip.as_str(), "true"])).timeout(PATIENCE * 2);
    let output = host.run(&command).map_err(|e| Failure::new(what.clone(), e))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let after = |mark: &str| said.lines().rev().find_map(|line| Some(line.split_once(mark)?.1.trim().to_owned()));
    let (Some(banner), Some(methods)) =
        (after("remote software version "), after("Authentications that can continue: "))
    else {
        return Err(Failure::new(what, "no SSH server answers there").tail(output.tail(3)).hint("`journalctl -u ssh`"));
    };
    let methods = methods.split(',').map(str::to_owned).collect();
    Ok(Greeting { banner: banner.split(' ').next().unwrap_or_default().to_owned(), methods })
}

fn run(host: &dyn Host, log: &Path, argv: &[&str]) -> Outcome<()> {
    let what = format!("run `{}`", argv.join(" "));
    let command = Command::new(argv.iter().copied()).log(log);
    let output = host.run(&command).map_err(|e| Failure::new(what.clone(), e))?;
    if output.ok() {
        return Ok(());
    }
    Err(Failure::new(what, format!("it ended with status {}", output.status)).tail(output.tail(5)))
}

/// For people.
pub(crate) fn list(at: &BTreeSet<SocketAddr>) -> String {
    if at.is_empty() {
        return "nowhere".to_owned();
    }
    at.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn has_ipv6(host: &dyn Host) -> bool {
    host.read(Path::new("/proc/net/if_inet6")).is_ok_and(|list| !list.trim_ascii().is_empty())
}
