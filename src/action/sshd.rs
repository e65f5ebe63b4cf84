//! `sshd`: changes how administrators log in over SSH: the port, the addresses, keys only, root.
//!
//! The change is tested before it is made: the server listens on the present and the future endpoints with the new
//! settings, while the files on disk are still the old ones, so that neither a reboot nor a restart can leave untested
//! settings behind. It becomes permanent when a login on a new endpoint has succeeded, under the dead-man switch of
//! [`crate::undo::deadman`].

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::action::contract::{Act, Brings, Change, Context, Verdict};
use crate::diff;
use crate::error::{Failure, Outcome};
use crate::facts::probe;
use crate::facts::probe::admins;
use crate::host::{Host, Meta};
use crate::system::paths;
use crate::undo::deadman::{self, Confirm};
use crate::undo::{self, Undo, UndoContext, Undone};

use crate::system::sshd::config::{self, Config};
use crate::system::sshd::server::{self, Effective, StartedBy};

/// Changes how administrators log in over SSH.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sshd {
    /// The TCP port; others are closed.
    pub port: u16,
    /// Addresses of this server where it listens; none: all of them.
    #[serde(default)]
    pub listen: Vec<IpAddr>,
    /// Whether passwords are refused.
    #[serde(default)]
    pub keys_only: bool,
    /// How root may log in.
    #[serde(default)]
    pub root_login: RootLogin,
    /// What keeps the change: `new_connection`, `local` or `none`.
    #[serde(default)]
    pub confirm: Confirm,
    /// Seconds after which the change is reverted unless it was confirmed.
    #[serde(default = "two_minutes")]
    pub revert_after: u64,
    /// TCP ports to knock on first, in order, as in the firewall; for messages only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub knock: Vec<u16>,
}

const fn two_minutes() -> u64 {
    120
}

/// How root may log in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RootLogin {
    /// As it is now.
    #[default]
    Keep,
    /// With a key, not with a password.
    WithKey,
    /// Not at all.
    Never,
}

impl RootLogin {
    const fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::WithKey => "with_key",
            Self::Never => "never",
        }
    }
}

/// What to do when nobody confirmed it.
const HINT: &str = "if you could not log in, check that every firewall in front of this server allows the port and \
    that your key works; otherwise log in before the time is up, allow more time in `ssh.revert_after`, or set \
    `ssh.confirm: none`";

/// What is guarded, for messages.
const CONFIGURATION: &str = "SSH's configuration";

const WHAT: &str = "change how SSH is reached";

impl Act for Sshd {
    fn describe(&self) -> String {
        format!("have SSH {}", self.summary())
    }

    fn check(&self, cx: &Context<'_>) -> Outcome<Verdict> {
        if cx.host.euid() != 0 {
            return Ok(Verdict::change(format!("{} (only root can check the current state)", self.describe())));
        }
        let server = StartedBy::find(cx.host)?;
        let config = Config::read(cx.host)?;
        if self.stands(cx.host, server, &config)? {
            return Ok(Verdict::Unchanged);
        }
        self.refuse(cx.host, server, &config)?;
        let files = self.lasting(cx.host, server, &config);
        let diffs = files.iter().filter_map(|(path, text)| {
            let present = cx.host.read(path).ok();
            diff::unified(path, present.as_deref(), text, cx.secrets)
        });
        let diff = diffs.collect::<String>();
        let summary = format!("{}{}", self.describe(), self.what_of_the_old_way(cx.host, server));
        Ok(Verdict::WouldChange(Change { summary, diff: (!diff.is_empty()).then_some(diff) }))
    }

    fn prepare(&self, cx: &Context<'_>) -> Outcome<Vec<Undo>> {
        let server = StartedBy::find(cx.host)?;
        let config = Config::read(cx.host)?;
        // Undone in reverse: the server reloads its files once all of them are restored.
        let mut records = vec![Undo::Sshd { server_ran: server.runs(cx.host)? }];
        for (path, text) in self.lasting(cx.host, server, &config) {
            records.extend(undo::parent_records(cx.host, &path)?);
            records.push(match cx.blobs.image(cx.host, &path)? {
                Some(image) => {
                    let ours = Some(cx.blobs.put(cx.host, text.as_bytes())?);
                    Undo::Unedit { path, image, ours }
                }
                None => Undo::Remove { path },
            });
        }
        Ok(records)
    }

    fn apply(&self, cx: &Context<'_>) -> Outcome<()> {
        // A dead run's change is reverted before the prior state is recorded.
        deadman::revert_now(cx.host, cx.carry);
        let server = StartedBy::find(cx.host)?;
        let config = Config::read(cx.host)?;
        if self.stands(cx.host, server, &config)? {
            return Ok(());
        }
        self.refuse(cx.host, server, &config)?;
        server::make_run(cx.host)?;
        let wanted = self.wanted(cx.host, server);
        let lasting = self.lasting(cx.host, server, &config);
        let (trial, both) = self.trial(cx.host, server, &config);
        let paths: BTreeSet<&Path> = lasting.iter().chain(&trial).map(|(path, _)| path.as_path()).collect();
        let files = files_as_they_are(cx, &paths)?;
        let mut restore = files.clone();
        restore.push(Undo::Sshd { server_ran: true });
        let guard = deadman::GuardedChange {
            what: CONFIGURATION,
            hint: HINT,
            confirm: self.confirm,
            seconds: self.revert_after,
            knock: &self.knock,
            endpoint: Some(deadman::SshEndpoint { port: self.port, addresses: self.single_addresses() }),
            restore,
            blobs: cx.blobs,
            log: cx.log,
            carry: cx.carry,
        };
        deadman::guarded(cx.host, &guard, cx.progress, &mut || {
            write(cx.host, &trial)?;
            let effective = Effective::read(cx.host)?;
            self.refuse_other_settings(&effective)?;
            server.take_up(cx.host, cx.log, &both)?;
            // The server keeps its loaded settings; on disk nothing has changed.
            carry_out(cx, &files)
        })?;
        write(cx.host, &lasting)?;
        server.take_up(cx.host, cx.log, &wanted)
    }

    fn brings(&self) -> Brings {
        Brings { paths: vec![PathBuf::from(config::OURS)], ..Brings::default() }
    }
}

impl Sshd {
    /// The future state: `listen on port 2222 at every address, take keys only, keep root out`.
    fn summary(&self) -> String {
        let addresses: Vec<String> = self.listen.iter().map(ToString::to_string).collect();
        let at = if addresses.is_empty() { "every address".to_owned() } else { addresses.join(" and ") };
        let mut parts = vec![format!("listen on port {} at {at}", self.port)];
        if self.keys_only {
            parts.push("accept keys only".to_owned());
        }
        match self.root_login {
            RootLogin::Keep => {}
            RootLogin::WithKey => parts.push("let root log in with a key only".to_owned()),
            RootLogin::Never => parts.push("refuse root".to_owned()),
        }
        parts.join(", ")
    }

    /// What happens to the present endpoints, and who uses them.
    fn what_of_the_old_way(&self, host: &dyn Host, server: StartedBy) -> String {
        let old: BTreeSet<SocketAddr> =
            server.listening(host).difference(&self.wanted(host, server)).copied().collect();
        if old.is_empty() {
            return String::new();
        }
        let fate = match self.confirm {
            Confirm::NewConnection => "stays open until an administrator has logged in this way",
            Confirm::Local => "stays open until `bringup confirm`",
            Confirm::None => "is closed",
        };
        let peers = probe::ssh::now(host).peers.join(", ");
        let who = if peers.is_empty() { String::new() } else { format!(" (logged in now: from {peers})") };
        format!("; {} {fate}{who}", server::list(&old))
    }

    /// The settings, as keyword and value.
    fn settings(&self) -> Vec<(&'static str, &'static str)> {
        let mut settings = Vec::new();
        if self.keys_only {
            settings.extend([
                ("PubkeyAuthentication", "yes"),
                ("PasswordAuthentication", "no"),
                ("KbdInteractiveAuthentication", "no"),
                // Its name before OpenSSH 8.7, where it allows passwords through PAM.
                ("ChallengeResponseAuthentication", "no"),
            ]);
        }
        match self.root_login {
            RootLogin::Keep => {}
            RootLogin::WithKey => settings.push(("PermitRootLogin", "prohibit-password")),
            RootLogin::Never => settings.push(("PermitRootLogin", "no")),
        }
        settings
    }

    /// The addresses, where it is not every one of a family.
    fn single_addresses(&self) -> Vec<IpAddr> {
        if self.listen.iter().any(IpAddr::is_unspecified) { Vec::new() } else { self.listen.clone() }
    }

    /// The endpoints to listen on.
    fn wanted(&self, host: &dyn Host, server: StartedBy) -> BTreeSet<SocketAddr> {
        if self.listen.is_empty() {
            let family = Effective::read(host).map(|effective| effective.family).unwrap_or_default();
            return server.everywhere(host, &family, self.port);
        }
        let at = self.listen.iter().map(|ip| SocketAddr::new(*ip, self.port)).collect();
        server.without_covered(at)
    }

    /// The permanent files.
    fn lasting(&self, host: &dyn Host, server: StartedBy, config: &Config) -> Vec<config::FileContent> {
        let at: Vec<SocketAddr> = self.listen.iter().map(|ip| SocketAddr::new(*ip, self.port)).collect();
        let mut files = config.lasting(self.port, &at, &self.settings());
        let wanted = self.wanted(host, server);
        match server {
            StartedBy::Socket
                if paths::is_file(host, Path::new(server::SOCKET)) || server.listening(host) != wanted =>
            {
                files.push((server::SOCKET.into(), StartedBy::socket_part(&wanted)));
            }
            StartedBy::Service if !at.is_empty() => {
                files.push((server::ORDER.into(), server::AFTER_NETWORK.to_owned()));
            }
            StartedBy::Service | StartedBy::Socket | StartedBy::Script => {}
        }
        files
    }

    /// The files with which it listens on the present and the future endpoints, and those endpoints.
    fn trial(
        &self,
        host: &dyn Host,
        server: StartedBy,
        config: &Config,
    ) -> (Vec<config::FileContent>, BTreeSet<SocketAddr>) {
        let (now, wanted) = (server.listening(host), self.wanted(host, server));
        let both = server.without_covered(now.union(&wanted).copied().collect());
        let mut files = match server {
            StartedBy::Service | StartedBy::Script if now != wanted => config.trial(&both, &self.settings()),
            _ => self.lasting(host, server, config),
        };
        if let Some((_, text)) = files.iter_mut().find(|(path, _)| path == Path::new(server::SOCKET)) {
            *text = StartedBy::socket_part(&both);
        }
        (files, both)
    }

    /// Whether everything is as planned, in the files and in the server.
    fn stands(&self, host: &dyn Host, server: StartedBy, config: &Config) -> Outcome<bool> {
        let same = |(path, text): &config::FileContent| host.read(path).is_ok_and(|present| present == text.as_bytes());
        if !self.lasting(host, server, config).iter().all(same) || server.listening(host) != self.wanted(host, server) {
            return Ok(false);
        }
        let settings = self.settings();
        Ok(settings.is_empty() || Effective::read(host)?.differing(&settings).is_none())
    }

    fn refuse_other_settings(&self, effective: &Effective) -> Outcome<()> {
        let settings = self.settings();
        let Some((keyword, value)) = effective.differing(&settings) else { return Ok(()) };
        Err(Failure::new(WHAT, format!("another file sets {keyword} to {value}, and sshd uses the first value"))
            .hint(format!("`grep -ri {keyword} /etc/ssh` finds it; remove that line")))
    }

    /// Refuses what would not work, or would lock out every administrator.
    fn refuse(&self, host: &dyn Host, server: StartedBy, config: &Config) -> Outcome<()> {
        let refused = |why: String, hint: &str| Err(Failure::new(WHAT, why).hint(hint));
        if self.port == 0 {
            return refused("0 is not a port".to_owned(), "choose a port from 1 to 65535");
        }
        let own = probe::addresses::find(host);
        if let Some(foreign) = self.listen.iter().find(|ip| !ip.is_unspecified() && !own.contains(&ip.to_string())) {
            let why = format!("this server does not have the address {foreign}; it has {}", own.join(", "));
            return refused(why, "choose from these in `ssh.listen`, or leave it empty for all of them");
        }
        let its = server.sockets(host);
        let wanted = self.wanted(host, server);
        let meets = |at: &SocketAddr| {
            let met = |one: &SocketAddr| at.ip() == one.ip() || at.ip().is_unspecified() || one.ip().is_unspecified();
            wanted.iter().any(|one| one.port() == at.port() && met(one))
        };
        let held = probe::ssh::listening(host);
        let foreign = held.iter().find(|(at, inode, _)| meets(at) && !its.contains(&(*at, *inode)));
        if let Some((at, _, program)) = foreign {
            let program = if program.is_empty() { "another program" } else { program };
            return refused(
                format!("port {} is already taken by {program}", at.port()),
                "choose another in `ssh.port`",
            );
        }
        if self.keys_only || self.root_login != RootLogin::Keep {
            let admins = admins::find(host, &probe::ssh::key_files(host));
            if admins::left(&admins, self.keys_only, self.root_login.name()).is_empty() {
                return refused(
                    "no administrator could log in any longer".to_owned(),
                    "add your public key to ~/.ssh/authorized_keys of root or of a user with sudo (`ssh-copy-id` does \
                     it)",
                );
            }
        }
        config.refuse(&self.settings())?;
        // After an interrupted attempt of ours, the server and its files may differ.
        if server == StartedBy::Socket || config.has_ours() || deadman::is_begun(host, CONFIGURATION) {
            return Ok(());
        }
        let effective = Effective::read(host)?;
        let (says, does) = (server::present(host, effective.at), server.listening(host));
        if says != does {
            let (says, does) = (server::list(&says), server::list(&does));
            return refused(
                format!(
                    "SSH listens at {does}, but its configuration says {says}: the change could not be rolled back"
                ),
                "`systemctl reload ssh` applies the configuration; options in /etc/default/ssh may name a port, too",
            );
        }
        Ok(())
    }

    /// Evidence that it is reached in this way, and in no other.
    pub fn prove(&self, host: &dyn Host) -> Outcome<String> {
        let what = "verify how SSH is reached";
        let server = StartedBy::find(host)?;
        let (now, wanted) = (server.listening(host), self.wanted(host, server));
        if now != wanted {
            let why = format!("it listens at {} instead of {}", server::list(&now), server::list(&wanted));
            return Err(Failure::new(what, why).hint("run bringup again with the same answers to fix it"));
        }
        self.refuse_other_settings(&Effective::read(host)?)?;
        let ip = self.listen.iter().find(|ip| !ip.is_unspecified()).copied();
        let greeting = server::greeting(host, SocketAddr::new(ip.unwrap_or(IpAddr::from([127, 0, 0, 1])), self.port))?;
        let mut evidence = format!("{} answers at {} and nowhere else", greeting.banner, server::list(&now));
        if self.keys_only {
            let methods = greeting.methods.join(", ");
            if greeting.methods.iter().any(|method| method != "publickey") {
                return Err(Failure::new(what, format!("it accepts more than keys: {methods}"))
                    .hint("`sshd -T -C user=root,addr=127.0.0.1` shows the settings in force, with exceptions"));
            }
            evidence += "; a login without a key was refused, and only keys are accepted";
        }
        Ok(evidence)
    }
}

/// The records that restore these files: files first, then the directories created for them.
fn files_as_they_are(cx: &Context<'_>, paths: &BTreeSet<&Path>) -> Outcome<Vec<Undo>> {
    let mut records = Vec::new();
    for path in paths {
        records.push(cx.blobs.before(cx.host, path)?);
        records.extend(undo::parent_records(cx.host, path)?.into_iter().rev());
    }
    Ok(records)
}

fn write(host: &dyn Host, files: &[config::FileContent]) -> Outcome<()> {
    for (path, text) in files {
        paths::make_parents(host, path)?;
        let meta = paths::stat(host, path)?.map_or(Meta::root(0o644), |stat| stat.meta);
        host.write(path, text.as_bytes(), meta).map_err(|e| Failure::new(format!("write {}", path.display()), e))?;
    }
    Ok(())
}

fn carry_out(cx: &Context<'_>, records: &[Undo]) -> Outcome<()> {
    let undo = UndoContext::of_settings(cx.host, cx.blobs, cx.log);
    records.iter().try_for_each(|record| (cx.carry.carry_out)(record, &undo).map(|_| ()))
}

/// Carries out [`Undo::Sshd`], for a rollback and for the dead-man switch alike.
///
/// As with the firewall, a rollback has no dead-man switch of its own: it restores how SSH was reached before, and the
/// session that asks for it survives.
pub fn undo(cx: &UndoContext<'_>, server_ran: bool) -> Outcome<Undone> {
    let changed = server::come_back(cx.host, cx.log, server_ran)?;
    Ok(if changed { Undone::Done("reloaded SSH with its former configuration".to_owned()) } else { Undone::Nothing })
}

#[cfg(test)]
mod tests;
