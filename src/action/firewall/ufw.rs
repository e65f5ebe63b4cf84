//! ufw, where it is active: our rules are added and removed by its own commands, with our name in their comments.
//!
//! Adding an existing rule with another action or comment changes that rule, so what others already allow is left to
//! them. Until the change is confirmed the files on disk are the old ones, and a power cut restores those.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Backend;
use crate::action::command_runner::{self, CommandRunner};
use crate::action::contract::Context;
use crate::diff;
use crate::error::{Failure, Outcome};
use crate::host::{Command, Host, Stat};
use crate::system::firewall::managers;
use crate::system::firewall::opening::{Network, Opening, Ports, Protocol};
use crate::undo::{Blobs, Image, Undo, UndoContext};

/// The files of its user rules, for each family.
const FILES: [&str; 2] = ["/etc/ufw/user.rules", "/etc/ufw/user6.rules"];
/// Timeout of ufw: it is written in Python and loads rules one by one.
const PATIENCE: Duration = Duration::from_mins(1);

/// ufw, for one application's openings.
pub(super) struct Ufw<'a> {
    name: &'a str,
    /// Files as ufw wrote them, to be put in place when they are confirmed.
    staged: RefCell<Option<Vec<Vec<u8>>>>,
}

/// A rule, as ufw's files tell it: `### tuple ### allow tcp 443 0.0.0.0/0 any 10.0.0.0/8 in comment=6272`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Tuple {
    key: Key,
    action: String,
    /// For every interface, port of origin and destination, and made by hand: no application's profile.
    plain: bool,
    comment: String,
}

/// What makes two of its rules the same rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    ipv6: bool,
    protocol: String,
    port: String,
    source: String,
}

impl Tuple {
    fn parse(line: &str, ipv6: bool) -> Option<Self> {
        let mut fields: Vec<&str> = line.strip_prefix("### tuple ### ")?.split_whitespace().collect();
        let comment = fields.last().and_then(|last| last.strip_prefix("comment=")).map(decoded);
        if comment.is_some() {
            fields.pop();
        }
        let plain = fields.len() == 7 && fields[6] == "in" && fields[4] == "any" && fields[3] == everywhere(ipv6);
        let [action, protocol, port, _, _, source, ..] = fields.as_slice() else { return None };
        let [protocol, port, source] = [protocol, port, source].map(|word| (*word).to_owned());
        let key = Key { ipv6, protocol, port, source };
        Some(Self { key, action: (*action).to_owned(), plain, comment: comment.unwrap_or_default() })
    }

    fn is_of(&self, name: &str) -> bool {
        self.plain && self.comment == comment(name)
    }

    /// Whether it applies to every client of this port.
    fn meets(&self, key: &Key) -> bool {
        let protocol = [key.protocol.as_str(), "any"].contains(&self.key.protocol.as_str());
        let port = [key.port.as_str(), "any"].contains(&self.key.port.as_str());
        self.key.ipv6 == key.ipv6 && protocol && port && self.key.source == everywhere(key.ipv6)
    }
}

fn everywhere(ipv6: bool) -> &'static str {
    if ipv6 { "::/0" } else { "0.0.0.0/0" }
}

fn comment(name: &str) -> String {
    format!("bringup {name}")
}

/// ufw writes comments in hexadecimal.
fn decoded(hex: &str) -> String {
    let bytes =
        hex.as_bytes().chunks(2).filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    String::from_utf8_lossy(&bytes.collect::<Vec<_>>()).into_owned()
}

/// ufw's rules for an opening: one for each family that it concerns.
fn keys(opening: Opening, with_ipv6: bool) -> Vec<Key> {
    let key = |ipv6: bool, source: String| Key {
        ipv6,
        protocol: opening.protocol.name().to_owned(),
        port: opening.ports.with(':'),
        source,
    };
    match opening.source {
        Some(network) => vec![key(network.is_ipv6(), network.to_string())],
        None if with_ipv6 => vec![key(false, everywhere(false).to_owned()), key(true, everywhere(true).to_owned())],
        None => vec![key(false, everywhere(false).to_owned())],
    }
}

impl Key {
    /// The words of a command that makes or deletes a rule that lets in what this says.
    fn words(&self) -> Vec<String> {
        let Self { protocol, port, source, .. } = self;
        ["allow", "proto", protocol, "from", source, "to", "any", "port", port].map(str::to_owned).into()
    }

    /// As an opening for one family; both families of a rule for everybody make up one.
    fn opening(&self) -> Option<Opening> {
        let protocol = [Protocol::Tcp, Protocol::Udp].into_iter().find(|known| known.name() == self.protocol)?;
        let ports: Ports = self.port.replace(':', "-").parse().ok()?;
        let source: Network = self.source.parse().ok()?;
        Some(Opening { protocol, ports, source: Some(source) })
    }
}

impl<'a> Ufw<'a> {
    pub(super) fn new(name: &'a str) -> Self {
        Self { name, staged: RefCell::new(None) }
    }

    /// The rules of both files, as they will be once what is staged is confirmed.
    fn tuples(&self, host: &dyn Host) -> Outcome<BTreeSet<Tuple>> {
        if let Some(staged) = &*self.staged.borrow() {
            return Ok(tuples(staged));
        }
        contents(host).map(|contents| tuples(&contents))
    }

    /// What others already allow.
    fn by_others<'t>(&self, tuples: &'t BTreeSet<Tuple>) -> BTreeSet<&'t Key> {
        let lets_in = |tuple: &&Tuple| tuple.action.starts_with("allow") || tuple.action.starts_with("limit");
        tuples.iter().filter(|tuple| tuple.plain && !tuple.is_of(self.name)).filter(lets_in).map(|t| &t.key).collect()
    }

    /// Rules of ours that are missing, and those that are no longer wanted.
    fn difference(&self, host: &dyn Host, openings: &BTreeSet<Opening>) -> Outcome<(Vec<Key>, Vec<Key>)> {
        let tuples = self.tuples(host)?;
        let by_others = self.by_others(&tuples);
        let ours: BTreeSet<&Key> = tuples.iter().filter(|t| t.is_of(self.name)).map(|t| &t.key).collect();
        let wanted: BTreeSet<Key> = openings.iter().flat_map(|opening| keys(*opening, has_ipv6(host))).collect();
        let missing = wanted.iter().filter(|key| !ours.contains(key) && !by_others.contains(key)).cloned().collect();
        let surplus = ours.into_iter().filter(|key| !wanted.contains(key)).cloned().collect();
        Ok((missing, surplus))
    }
}

impl Backend for Ufw<'_> {
    fn shown(&self) -> &'static str {
        "ufw"
    }

    fn rest(&self) -> [&'static str; 2] {
        ["leave the rest as it is", "its other rules decide the rest"]
    }

    fn refuse(&self, host: &dyn Host, openings: &BTreeSet<Opening>) -> Outcome<()> {
        let what = "open ports with ufw";
        let refused = |why: String, hint: &str| Err(Failure::new(what, why).hint(hint.to_owned()));
        managers::refuse_others(host, managers::Active::Ufw, what)?;
        if !is_active(host)? {
            return refused(
                "it is enabled (ENABLED=yes in /etc/ufw/ufw.conf), but its rules are not loaded".to_owned(),
                "`ufw reload` loads them, `ufw disable` turns ufw off; then run bringup again",
            );
        }
        if !managers::is_enabled(host, "ufw.service") {
            return refused(
                "its rules are loaded, but a reboot would lose them: its service is not enabled".to_owned(),
                "`systemctl enable ufw`, or `ufw disable`; then run bringup again",
            );
        }
        let defaults = host.read(Path::new("/etc/default/ufw")).unwrap_or_default();
        if String::from_utf8_lossy(&defaults).lines().any(|line| line.trim() == "DEFAULT_INPUT_POLICY=\"ACCEPT\"") {
            return refused(
                "it accepts everything by default, so opening ports has no effect".to_owned(),
                "`ufw default deny incoming` changes that; check `ufw status verbose` first",
            );
        }
        let tuples = self.tuples(host)?;
        let others: Vec<&Tuple> = tuples.iter().filter(|tuple| !tuple.is_of(self.name)).collect();
        for opening in openings {
            for key in keys(*opening, has_ipv6(host)) {
                let of_others = others.iter().filter(|tuple| tuple.meets(&key));
                for tuple in of_others {
                    let denies = tuple.action.starts_with("deny") || tuple.action.starts_with("reject");
                    if denies {
                        let why = format!("another administrator's rule denies {opening} to everyone");
                        return refused(why, "`ufw status numbered` shows it, `ufw delete NUMBER` removes it");
                    }
                    if opening.source.is_some() {
                        let why = format!(
                            "{opening} are to be the only ones allowed, but another administrator's rule allows everyone"
                        );
                        return refused(
                            why,
                            "remove that rule (`ufw status numbered`), or name no networks for this port",
                        );
                    }
                }
            }
        }
        if !has_ipv6(host) && openings.iter().any(|opening| opening.source.is_some_and(Network::is_ipv6)) {
            return refused(
                "IPv6 is switched off in ufw".to_owned(),
                "leave those networks out, or set IPV6=yes in /etc/default/ufw",
            );
        }
        Ok(())
    }

    fn in_force(&self, host: &dyn Host, wanted: &BTreeSet<Opening>) -> Outcome<Option<BTreeSet<Opening>>> {
        if !is_active(host)? {
            return Ok(None);
        }
        let (missing, surplus) = self.difference(host, wanted)?;
        let loaded = [rules(host, "iptables", "ufw-user-input")?, rules(host, "ip6tables", "ufw6-user-input")?];
        let is_there = |opening: &&Opening| {
            keys(**opening, has_ipv6(host))
                .iter()
                .all(|key| !missing.contains(key) && is_loaded(&loaded[usize::from(key.ipv6)], key))
        };
        let mut present: BTreeSet<Opening> = wanted.iter().filter(is_there).copied().collect();
        present.extend(surplus.iter().filter_map(Key::opening));
        Ok(Some(present))
    }

    fn survives(&self, host: &dyn Host, openings: &BTreeSet<Opening>) -> Outcome<bool> {
        let (missing, _) = self.difference(host, openings)?;
        let staged = self.staged.borrow().is_some();
        Ok(missing.is_empty() && !staged && managers::is_enabled(host, "ufw.service"))
    }

    fn diff(&self, cx: &Context<'_>, openings: &BTreeSet<Opening>) -> Option<String> {
        let tuples = self.tuples(cx.host).ok()?;
        let ours: BTreeSet<Key> = tuples.iter().filter(|t| t.is_of(self.name)).map(|t| t.key.clone()).collect();
        let (missing, surplus) = self.difference(cx.host, openings).ok()?;
        let line = |key: &Key| format!("ufw {}\n", key.words().join(" "));
        let old: String = ours.iter().map(line).collect();
        let mut new = ours.clone();
        new.retain(|key| !surplus.contains(key));
        new.extend(missing);
        let new: String = new.iter().map(line).collect();
        diff::unified(Path::new(FILES[0]), Some(old.as_bytes()), &new, cx.secrets)
    }

    fn snapshot(&self, host: &dyn Host, blobs: &Blobs) -> Outcome<Undo> {
        let files = FILES.iter().map(|path| Ok((PathBuf::from(path), blobs.image(host, Path::new(path))?)));
        let files = files.collect::<Outcome<_>>()?;
        Ok(Undo::Firewall {
            manager: "ufw".to_owned(),
            name: self.name.to_owned(),
            loaded: None,
            files,
            made: Vec::new(),
            tables: Vec::new(),
        })
    }

    fn records(&self, cx: &Context<'_>) -> Outcome<Vec<Undo>> {
        Ok(vec![self.snapshot(cx.host, cx.blobs)?])
    }

    fn load(&self, cx: &Context<'_>, openings: &BTreeSet<Opening>) -> Outcome<()> {
        let before = contents(cx.host)?;
        let stats = FILES.map(|path| cx.host.stat(Path::new(path)).ok().flatten());
        let (missing, surplus) = self.difference(cx.host, openings)?;
        for key in &missing {
            let mut words = key.words();
            words.extend(["comment".to_owned(), comment(self.name)]);
            ufw(cx, &words)?;
        }
        for key in &surplus {
            let mut words = vec!["--force".to_owned(), "delete".to_owned()];
            words.extend(key.words());
            ufw(cx, &words)?;
        }
        let staged = contents(cx.host)?;
        put(cx.host, &before, &stats)?;
        self.staged.replace(Some(staged));
        Ok(())
    }

    fn keep(&self, cx: &Context<'_>, openings: &BTreeSet<Opening>) -> Outcome<()> {
        if let Some(staged) = self.staged.take() {
            put(cx.host, &staged, &FILES.map(|path| cx.host.stat(Path::new(path)).ok().flatten()))?;
        }
        if self.survives(cx.host, openings)? {
            return Ok(());
        }
        Err(Failure::new("have ufw load the rules at boot", "its service is not enabled")
            .hint("`systemctl enable ufw`"))
    }

    fn paths(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}

/// Restores our rules. Where nobody else changed anything, the files are then exactly as before.
pub(super) fn restore(cx: &UndoContext<'_>, name: &str, files: &[(PathBuf, Option<Image>)]) -> Outcome<bool> {
    let host = cx.host;
    if host.stat(Path::new(FILES[0])).ok().flatten().is_none() {
        return Ok(false);
    }
    let before: Vec<Vec<u8>> = files
        .iter()
        .map(|(_, image)| match image.as_ref().and_then(|image| image.blob.as_deref()) {
            Some(blob) => cx.blobs.get(host, blob),
            None => Ok(Vec::new()),
        })
        .collect::<Outcome<_>>()?;
    let now = contents(host)?;
    let (then_all, now_all) = (tuples(&before), tuples(&now));
    let of = |all: &BTreeSet<Tuple>, ours: bool| -> BTreeSet<Tuple> {
        all.iter().filter(|tuple| tuple.is_of(name) == ours).cloned().collect()
    };
    if of(&then_all, false) == of(&now_all, false) {
        for ((path, image), content) in files.iter().zip(&before) {
            let Some(image) = image else { continue };
            let failed = |e| Failure::new(format!("restore {}", path.display()), e);
            if host.read(path).map_err(failed)? != *content {
                host.write(path, content, image.meta).map_err(failed)?;
            }
            host.set_mtime(path, image.mtime).map_err(failed)?;
        }
    } else {
        let (then, now) = (of(&then_all, true), of(&now_all, true));
        for tuple in now.difference(&then) {
            let words: Vec<String> =
                ["ufw", "--force", "delete"].map(str::to_owned).into_iter().chain(tuple.key.words()).collect();
            command_runner::run_undo(
                cx,
                "remove a rule of bringup's from ufw",
                &Command::new(words).timeout(PATIENCE),
                None,
            )?;
        }
        for tuple in then.difference(&now) {
            let words =
                ["ufw".to_owned()].into_iter().chain(tuple.key.words()).chain(["comment".to_owned(), comment(name)]);
            command_runner::run_undo(
                cx,
                "restore a rule of bringup's in ufw",
                &Command::new(words).timeout(PATIENCE),
                None,
            )?;
        }
    }
    // The loaded rules may include a change that was never confirmed.
    if is_active(host)? {
        command_runner::run_undo(
            cx,
            "have ufw load its rules",
            &Command::new(["ufw", "reload"]).timeout(PATIENCE),
            None,
        )?;
    }
    Ok(true)
}

fn contents(host: &dyn Host) -> Outcome<Vec<Vec<u8>>> {
    let read = |path: &&str| match host.read(Path::new(path)) {
        Ok(content) => Ok(content),
        // Without IPv6 there is one file.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(Failure::new(format!("read {path}"), e)),
    };
    FILES.iter().map(read).collect()
}

fn tuples(contents: &[Vec<u8>]) -> BTreeSet<Tuple> {
    let texts = contents.iter().map(|content| String::from_utf8_lossy(content).into_owned());
    texts
        .enumerate()
        .flat_map(|(at, text)| text.lines().filter_map(|line| Tuple::parse(line, at == 1)).collect::<Vec<_>>())
        .collect()
}

/// Puts contents in place where they differ, with the rest as it was.
fn put(host: &dyn Host, contents: &[Vec<u8>], stats: &[Option<Stat>; 2]) -> Outcome<()> {
    for ((path, content), stat) in FILES.iter().zip(contents).zip(stats) {
        let failed = |e| Failure::new(format!("write {path}"), e);
        let Some(stat) = stat else { continue };
        if host.read(Path::new(path)).map_err(failed)? != *content {
            host.write(Path::new(path), content, stat.meta).map_err(failed)?;
        }
    }
    Ok(())
}

fn ufw(cx: &Context<'_>, words: &[String]) -> Outcome<()> {
    let command = Command::new(["ufw".to_owned()].into_iter().chain(words.iter().cloned())).timeout(PATIENCE);
    CommandRunner::new(command).run(cx, "change the rules of ufw").map(drop)
}

fn is_active(host: &dyn Host) -> Outcome<bool> {
    let what = "query the state of ufw";
    let output = host.run(&Command::new(["ufw", "status"]).timeout(PATIENCE)).map_err(|e| Failure::new(what, e))?;
    if !output.ok() {
        return Err(Failure::new(what, format!("it ended with status {}", output.status)).tail(output.tail(5)));
    }
    Ok(output.text().lines().any(|line| line.trim() == "Status: active"))
}

/// The rules of a chain in the kernel; none where the family does not exist.
fn rules(host: &dyn Host, program: &str, chain: &str) -> Outcome<Vec<String>> {
    let output = host
        .run(&Command::new([program, "-w", "-S", chain]).timeout(PATIENCE))
        .map_err(|e| Failure::new(format!("list the rules of {program}"), e))?;
    Ok(output.text().lines().map(str::to_owned).collect())
}

/// Whether a rule that lets this in is among them: as `-s 10.0.0.0/8 -p tcp -m tcp --dport 5671 -j ACCEPT`.
fn is_loaded(rules: &[String], key: &Key) -> bool {
    rules.iter().any(|rule| {
        let words: Vec<&str> = rule.split_whitespace().collect();
        let value =
            |option: &str| words.iter().position(|word| *word == option).and_then(|at| words.get(at + 1)).copied();
        let source = value("-s").unwrap_or(everywhere(key.ipv6));
        let host_bits = if key.ipv6 { "/128" } else { "/32" };
        let same_source = source == key.source || source.strip_suffix(host_bits) == Some(key.source.as_str());
        let port = value("--dport").or(value("--dports"));
        let let_in = words.last().is_some_and(|last| *last == "ACCEPT" || last.ends_with("-limit-accept"));
        let_in && same_source && value("-p") == Some(key.protocol.as_str()) && port == Some(key.port.as_str())
    })
}

/// Whether it manages IPv6 at all.
fn has_ipv6(host: &dyn Host) -> bool {
    let defaults = host.read(Path::new("/etc/default/ufw")).unwrap_or_default();
    String::from_utf8_lossy(&defaults).lines().any(|line| line.trim().eq_ignore_ascii_case("IPV6=yes"))
}

#[cfg(test)]
mod tests;
