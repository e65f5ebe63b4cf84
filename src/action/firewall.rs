//! `firewall`: lets in what the plan says and SSH, and drops everything else that comes in.
//!
//! An existing firewall manager stays in charge: ufw and firewalld get our rules through their own commands. Without
//! one, nftables gets a table of its own. What others have set is never touched.
//!
//! The ports of SSH and the addresses from which administrators are logged in are found on the host and kept open
//! whatever the answers say, and the change is made under the dead-man switch of [`crate::undo::deadman`].

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::action::contract::{Act, Brings, Change, Context, Verdict};
use crate::error::{Failure, Outcome};
use crate::facts::Sshd;
use crate::facts::probe::ssh;
use crate::host::Host;
use crate::system::service;
use crate::undo::deadman::{self, Confirm};
use crate::undo::{Blobs, Image, Undo, UndoContext, Undone};

use crate::system::firewall::knock;
use crate::system::firewall::opening::{self, Allow, Network, Opening, Ports, Protocol};

mod boot;
mod firewalld;
mod iptables;
mod nftables;
mod ufw;

/// Lets in what the plan says and SSH, and drops everything else that comes in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Firewall {
    /// The firewall manager.
    pub manager: Manager,
    /// Name of the owner of the rules: lower case, digits, `-` and `_`. Each guide on a server has its own.
    pub name: String,
    /// What is allowed besides SSH: `{port: 443, protocol: tcp, sources: [], name: https}`, or as text
    /// `5671 from 10.1.0.0/16`.
    #[serde(default)]
    pub allow: Vec<Allow>,
    /// Networks from which SSH is allowed; empty: from everywhere. Addresses that are logged in now stay allowed.
    #[serde(default)]
    pub ssh_sources: Vec<Network>,
    /// Ports on which SSH will listen later in the plan: allowed like those on which it listens now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ssh_ports: Vec<u16>,
    /// TCP ports on which clients outside `ssh_sources` must knock, in this order, before SSH opens to them; empty: no
    /// knocking. With nftables only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub knock: Vec<u16>,
    /// What keeps the change: `new_connection`, `local` or `none`.
    #[serde(default)]
    pub confirm: Confirm,
    /// Seconds after which the change is reverted unless it was confirmed.
    #[serde(default = "two_minutes")]
    pub revert_after: u64,
    /// What loads the rules at boot, where that is not the manager's own: `systemd` or `sysv`.
    #[serde(default = "systemd")]
    pub at_boot: service::Manager,
    /// iptables only: chains of others that are evaluated before the rest is dropped; missing ones are created empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chains: Vec<String>,
}

const fn two_minutes() -> u64 {
    120
}

const fn systemd() -> service::Manager {
    service::Manager::Systemd
}

/// Hint when nobody confirmed the rules.
const HINT: &str = "if you could not log in, add your address to `firewall.ssh_sources`; otherwise log in before the \
    time is up, allow more time in `firewall.revert_after`, or set `firewall.confirm: none`";

/// The shortest useful time for a confirmation, in seconds.
const SHORTEST: u64 = 5;

/// The firewall manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Manager {
    /// bringup's own table, loaded at boot by its own unit or script.
    Nftables,
    /// ufw, where it is active: rules with bringup's name in their comments.
    Ufw,
    /// firewalld, where it runs: ports and rich rules in its zones.
    Firewalld,
    /// bringup's own chains, for products with chains of their own.
    Iptables,
}

/// An interface to a firewall manager. Openings are always all those of one name.
trait Backend {
    /// Its name for people.
    fn shown(&self) -> &'static str;
    /// What happens to all other traffic, as an imperative and as a state. In the rules of others that is theirs to
    /// decide.
    fn rest(&self) -> [&'static str; 2] {
        ["drop everything else", "everything else is dropped"]
    }
    /// Refuses a host where our openings would have no effect, or where the responsible manager is unclear.
    fn refuse(&self, host: &dyn Host, openings: &BTreeSet<Opening>) -> Outcome<()>;
    /// The openings in force: ours, and of the wanted ones also those that others allow; `None` when the rule that
    /// drops the rest is not in force, or not as wanted.
    fn in_force(&self, host: &dyn Host, wanted: &BTreeSet<Opening>) -> Outcome<Option<BTreeSet<Opening>>>;
    /// Whether exactly these will be in force after a reboot.
    fn survives(&self, host: &dyn Host, openings: &BTreeSet<Opening>) -> Outcome<bool>;
    /// The change for the plan.
    fn diff(&self, cx: &Context<'_>, openings: &BTreeSet<Opening>) -> Option<String>;
    /// The undo record that restores what is in force now.
    fn snapshot(&self, host: &dyn Host, blobs: &Blobs) -> Outcome<Undo>;
    /// The undo records that restore what is in force now and after a reboot.
    fn records(&self, cx: &Context<'_>) -> Outcome<Vec<Undo>>;
    /// Puts them in force at once, all or nothing; a reboot removes them.
    fn load(&self, cx: &Context<'_>, openings: &BTreeSet<Opening>) -> Outcome<()>;
    /// Makes them survive a reboot.
    fn keep(&self, cx: &Context<'_>, openings: &BTreeSet<Opening>) -> Outcome<()>;
    /// Files of ours.
    fn paths(&self) -> Vec<PathBuf>;
}

impl Act for Firewall {
    fn describe(&self) -> String {
        let backend = self.backend(&[]);
        format!("allow {}, {} ({})", self.planned(), backend.rest()[0], backend.shown())
    }

    fn check(&self, cx: &Context<'_>) -> Outcome<Verdict> {
        self.validate(cx.host)?;
        if cx.host.euid() != 0 {
            return Ok(Verdict::change(format!("{} (only root can check the current state)", self.describe())));
        }
        let sshd = self.sshd(cx.host);
        let wanted = self.wanted(&sshd);
        let backend = self.backend(&sshd.ports);
        if self.standing(cx.host, &sshd)?.is_some() {
            return Ok(Verdict::Unchanged);
        }
        self.refuse_unconfirmable(&sshd)?;
        backend.refuse(cx.host, &wanted)?;
        let summary = format!("allow {}, {} ({})", self.shown(&wanted, &sshd), backend.rest()[0], backend.shown());
        Ok(Verdict::WouldChange(Change { summary, diff: backend.diff(cx, &wanted) }))
    }

    fn prepare(&self, cx: &Context<'_>) -> Outcome<Vec<Undo>> {
        self.backend(&[]).records(cx)
    }

    fn apply(&self, cx: &Context<'_>) -> Outcome<()> {
        self.validate(cx.host)?;
        let sshd = self.sshd(cx.host);
        let backend = self.backend(&sshd.ports);
        if self.standing(cx.host, &sshd)?.is_some() {
            return Ok(());
        }
        let wanted = self.wanted(&sshd);
        self.refuse_unconfirmable(&sshd)?;
        backend.refuse(cx.host, &wanted)?;
        // A dead run's change is reverted before the prior state is recorded.
        deadman::revert_now(cx.host, cx.carry);
        let guard = deadman::GuardedChange {
            what: "the firewall",
            hint: HINT,
            confirm: self.confirm,
            seconds: self.revert_after,
            endpoint: None,
            knock: &self.knock,
            restore: vec![backend.snapshot(cx.host, cx.blobs)?],
            blobs: cx.blobs,
            log: cx.log,
            carry: cx.carry,
        };
        deadman::guarded(cx.host, &guard, cx.progress, &mut || {
            backend.load(cx, &wanted)?;
            match backend.in_force(cx.host, &wanted)? {
                Some(loaded) if loaded == wanted => Ok(()),
                _ => Err(Failure::new("load the rules", "the rules in force differ from the plan")
                    .hint("another program may be changing the firewall at the same time")),
            }
        })?;
        backend.keep(cx, &wanted)
    }

    fn brings(&self) -> Brings {
        Brings { paths: self.backend(&[]).paths(), ..Brings::default() }
    }
}

impl Firewall {
    /// What the answers allow, without looking at the host: `80, 5671 from 10.1.0.0/16, and SSH`.
    fn planned(&self) -> String {
        let mut ports: Vec<String> = self.allow.iter().map(Allow::in_short).collect();
        ports.dedup();
        let sources: Vec<String> = self.ssh_sources.iter().map(ToString::to_string).collect();
        let ssh = match (sources.join(", "), self.knock.is_empty()) {
            (sources, true) if sources.is_empty() => "SSH".to_owned(),
            (sources, true) => format!("SSH from {sources}"),
            (sources, false) if sources.is_empty() => "SSH after a knock".to_owned(),
            (sources, false) => format!("SSH from {sources}, or after a knock"),
        };
        let plain = self.allow.iter().all(|allow| allow.sources.is_empty());
        match ports.join(", ") {
            ports if ports.is_empty() => ssh,
            ports if plain => format!("{ports} and {ssh}"),
            // The text after the last network is none.
            ports => format!("{ports}, and {ssh}"),
        }
    }

    /// What can be reached: `80, 443 and SSH; everything else is dropped (nftables)`.
    pub fn summary(&self) -> String {
        let backend = self.backend(&[]);
        format!("{} allowed; {} ({})", self.planned(), backend.rest()[1], backend.shown())
    }

    /// With the ports of SSH, where its rules matter.
    fn backend(&self, ssh: &[u16]) -> Box<dyn Backend + '_> {
        let (name, row) = (&self.name, &self.knock);
        let knock = (!row.is_empty()).then(|| knock::Knock { name, row, ssh: ssh.to_vec() });
        match self.manager {
            Manager::Nftables => Box::new(nftables::Nftables { name, at_boot: self.at_boot, knock }),
            Manager::Ufw => Box::new(ufw::Ufw::new(&self.name)),
            Manager::Firewalld => Box::new(firewalld::Firewalld::new(&self.name)),
            Manager::Iptables => {
                Box::new(iptables::Iptables { name: &self.name, at_boot: self.at_boot, chains: &self.chains })
            }
        }
    }

    fn validate(&self, host: &dyn Host) -> Outcome<()> {
        let refused = |why: String| Failure::new("set up the firewall", why);
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if self.name.is_empty() || self.name.len() > 32 || !self.name.chars().all(good) {
            return Err(refused(format!("\"{}\" is not a valid name for its rules", self.name))
                .hint("correct the guide: lower case letters, digits, - and _"));
        }
        // The kernel's limit is 28 characters, and a script needs separators between its words.
        let is_chain = |name: &String| {
            let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            !name.is_empty() && name.len() <= 28 && name.chars().all(good) && !name.starts_with('-')
        };
        if let Some(chain) = self.chains.iter().find(|chain| !is_chain(chain)) {
            return Err(refused(format!("\"{chain}\" is not a valid name of a chain")).hint("correct the guide"));
        }
        if let Some(clash) = opening::clashes(&self.allow).into_iter().next() {
            return Err(refused(clash).hint("decide who may connect to it"));
        }
        if self.revert_after < SHORTEST {
            return Err(refused(format!("{} s is too short to confirm the change", self.revert_after))
                .hint(format!("set `firewall.revert_after` to at least {SHORTEST}")));
        }
        if !self.knock.is_empty() && self.manager != Manager::Nftables {
            return Err(refused("only nftables can admit a client after a knock".to_owned())
                .hint("leave `firewall.knock` empty"));
        }
        if let Some(wrong) = knock::problems(&self.knock, &self.allow, &self.ssh_ports).into_iter().next() {
            return Err(refused(wrong).hint("choose other ports in `firewall.knock`"));
        }
        let networks = self.allow.iter().flat_map(|allow| &allow.sources).chain(&self.ssh_sources);
        if let Some(network) = networks.copied().find(|network| network.is_ipv6() && !has_ipv6(host)) {
            return Err(refused(format!("{network} is IPv6, but this server has no IPv6")).hint("leave it out"));
        }
        Ok(())
    }

    /// How SSH is reached now, and later in the plan.
    fn sshd(&self, host: &dyn Host) -> Sshd {
        let mut sshd = ssh::now(host);
        sshd.ports.extend(&self.ssh_ports);
        sshd.ports.sort_unstable();
        sshd.ports.dedup();
        sshd
    }

    /// A confirmation that is impossible would only revert the rules.
    fn refuse_unconfirmable(&self, sshd: &Sshd) -> Outcome<()> {
        if self.confirm != Confirm::NewConnection || !sshd.ports.is_empty() {
            return Ok(());
        }
        Err(Failure::new(
            "set up the firewall",
            "a new SSH connection must confirm it, but this server runs no SSH server",
        )
        .hint("set `firewall.confirm: none`, or `local` to confirm it by a command"))
    }

    /// Everything to be allowed: the plan's openings, and SSH for the sessions that need it.
    fn wanted(&self, sshd: &Sshd) -> BTreeSet<Opening> {
        let mut allowed = self.allow.clone();
        let mut sources = self.ssh_sources.clone();
        if !sources.is_empty() {
            sources.extend(self.kept(sshd));
        }
        let is_open = self.knock.is_empty() || !sources.is_empty();
        allowed.extend(sshd.ports.iter().filter(|_| is_open).map(|port| Allow {
            port: Ports::one(*port),
            protocol: Protocol::Tcp,
            sources: sources.clone(),
            name: "SSH".to_owned(),
        }));
        opening::openings(&allowed)
    }

    /// The allowed openings, for people.
    fn shown(&self, openings: &BTreeSet<Opening>, sshd: &Sshd) -> String {
        let after_knock = sshd.ports.iter().filter(|_| !self.knock.is_empty());
        let after_knock = after_knock.map(|port| format!("{port}/tcp after a knock"));
        openings.iter().map(ToString::to_string).chain(after_knock).collect::<Vec<_>>().join(", ")
    }

    /// Sessions from an address outside the networks for SSH. With port knocking there are none: the guarded change
    /// shows whether knocking works.
    fn kept(&self, sshd: &Sshd) -> Vec<Network> {
        if !self.knock.is_empty() {
            return Vec::new();
        }
        let peers = sshd.peers.iter().filter_map(|peer| peer.parse().ok());
        peers
            .filter(|peer| !self.ssh_sources.iter().any(|network| network.contains(*peer)))
            .map(Network::host)
            .collect()
    }

    /// The openings that are in force and survive a reboot, when they match the plan. They may include addresses that
    /// were kept open for earlier sessions.
    fn standing(&self, host: &dyn Host, sshd: &Sshd) -> Outcome<Option<BTreeSet<Opening>>> {
        let backend = self.backend(&sshd.ports);
        let wanted = self.wanted(sshd);
        let Some(present) = backend.in_force(host, &wanted)? else { return Ok(None) };
        let kept_earlier = |opening: &&Opening| {
            let for_ssh = sshd.ports.iter().any(|port| opening.ports == Ports::one(*port));
            for_ssh
                && opening.protocol == Protocol::Tcp
                && opening.source.is_some_and(Network::is_host)
                && !self.ssh_sources.is_empty()
        };
        let as_planned = wanted.is_subset(&present) && present.difference(&wanted).all(|more| kept_earlier(&more));
        if !as_planned || !backend.survives(host, &present)? {
            return Ok(None);
        }
        Ok(Some(present))
    }

    /// Evidence that the rules are in force and survive a reboot.
    pub fn prove(&self, host: &dyn Host) -> Outcome<String> {
        let what = "verify the firewall";
        let sshd = self.sshd(host);
        let backend = self.backend(&sshd.ports);
        let wanted = self.wanted(&sshd);
        let Some(present) = backend.in_force(host, &wanted)? else {
            return Err(Failure::new(what, format!("bringup's rules are not in force in {}", backend.shown()))
                .hint("run bringup again with the same answers to restore them; find out what removed them"));
        };
        if let Some(standing) = self.standing(host, &sshd)? {
            let (rest, shown) = (backend.rest()[1], backend.shown());
            let open = self.shown(&standing, &sshd);
            return Ok(format!("{open} allowed, {rest}; in force now and after a reboot ({shown})"));
        }
        let lacking: BTreeSet<Opening> = wanted.difference(&present).copied().collect();
        let more: BTreeSet<Opening> = present.difference(&wanted).copied().collect();
        let why = match (lacking.is_empty(), more.is_empty()) {
            (true, true) => "the rules are loaded, but a reboot would lose them".to_owned(),
            (false, _) => format!("planned but not allowed: {}", list(&lacking)),
            (true, false) => format!("allowed but not planned: {}", list(&more)),
        };
        Err(Failure::new(what, why).hint("run bringup again with the same answers to fix it"))
    }
}

fn list(openings: &BTreeSet<Opening>) -> String {
    openings.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn has_ipv6(host: &dyn Host) -> bool {
    host.read(std::path::Path::new("/proc/net/if_inet6")).is_ok_and(|list| !list.trim_ascii().is_empty())
}

/// Carries out [`Undo::Firewall`], for a rollback and for the dead-man switch alike.
///
/// A rollback has no dead-man switch of its own. Where we had no rules before, removing ours opens what they closed, so
/// nobody is locked out. Where we had some, they are restored exactly, and may allow less than the present ones: that
/// was asked for, the session that asks survives it, and anyone it locks out was let in by the run that is rolled back.
/// Waiting for a confirmation would leave a rollback half done.
pub fn undo(
    cx: &UndoContext<'_>,
    manager: &str,
    name: &str,
    loaded: Option<&str>,
    files: &[(PathBuf, Option<Image>)],
    made: &[String],
    tables: &[String],
) -> Outcome<Undone> {
    let before = || loaded.map(|blob| cx.blobs.get(cx.host, blob)).transpose();
    let changed = match manager {
        "nftables" => nftables::restore(cx.host, before()?.as_deref())?,
        "iptables" => iptables::restore(cx.host, before()?.as_deref(), made, tables)?,
        "ufw" => ufw::restore(cx, name, files)?,
        "firewalld" => firewalld::restore(cx, files)?,
        other => {
            return Err(Failure::new("restore the firewall", format!("unknown firewall manager: {other}"))
                .hint("the journal was written by a newer bringup: use the binary kept with the run"));
        }
    };
    Ok(if changed { Undone::Done(format!("restored the rules in {manager}")) } else { Undone::Nothing })
}

/// Closes what only this application had opened, while others still use the firewall: its own file is removed. Rules in
/// the manager's own files are removed with the last application.
pub fn close(host: &dyn Host, manager: &str) -> Outcome<()> {
    if manager == "nftables" { nftables::load_again(host) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
