//! firewalld, where it runs: our ports and rich rules go into the zones of this server by its own commands.
//!
//! They are added at runtime first, and permanently once they are confirmed; firewalld is never told to reload, since
//! that removes runtime rules of others. It has no comments, so a file of ours records which entries are ours.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Backend;
use crate::action::command_runner::CommandRunner;
use crate::action::contract::Context;
use crate::diff;
use crate::error::{Failure, Outcome};
use crate::host::{Command, Host, Meta, Output};
use crate::system::firewall::managers;
use crate::system::firewall::opening::{Network, Opening, Protocol};
use crate::system::paths;
use crate::undo::{self, Blobs, Image, Undo, UndoContext};

/// The directory of these records.
const NOTES: &str = "/etc/bringup/firewall.d";
/// Its shipped zones, and those that an administrator has changed.
const ZONES: &str = "/etc/firewalld/zones";
const SHIPPED: &str = "/usr/lib/firewalld/zones";
const PATIENCE: Duration = Duration::from_mins(1);

/// firewalld, for one application's openings.
pub(super) struct Firewalld<'a> {
    name: &'a str,
    /// Asked once.
    zones: OnceCell<Vec<String>>,
}

/// An entry of ours in a zone: `public port 443/tcp`, `public rich-rule rule family="ipv4" …`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    zone: String,
    /// `port` or `rich-rule`.
    kind: String,
    value: String,
}

impl Entry {
    fn of(zone: &str, opening: Opening) -> Self {
        let (port, protocol) = (opening.ports, opening.protocol.name());
        let (kind, value) = match opening.source {
            None => ("port", format!("{port}/{protocol}")),
            Some(source) => {
                let family = if source.is_ipv6() { "ipv6" } else { "ipv4" };
                let value = format!(
                    "rule family=\"{family}\" source address=\"{source}\" port port=\"{port}\" protocol=\"{protocol}\" accept"
                );
                ("rich-rule", value)
            }
        };
        Self { zone: zone.to_owned(), kind: kind.to_owned(), value }
    }

    fn opening(&self) -> Option<Opening> {
        let protocol = |name: &str| [Protocol::Tcp, Protocol::Udp].into_iter().find(|known| known.name() == name);
        if self.kind == "port" {
            let (ports, name) = self.value.split_once('/')?;
            return Some(Opening { protocol: protocol(name)?, ports: ports.parse().ok()?, source: None });
        }
        let quoted: Vec<&str> = self.value.split('"').skip(1).step_by(2).collect();
        let [_, source, ports, name] = quoted.as_slice() else { return None };
        let source: Network = source.parse().ok()?;
        Some(Opening { protocol: protocol(name)?, ports: ports.parse().ok()?, source: Some(source) })
    }

    fn line(&self) -> String {
        format!("{} {} {}\n", self.zone, self.kind, self.value)
    }

    fn parse(line: &str) -> Option<Self> {
        let mut parts = line.splitn(3, ' ').map(str::to_owned);
        Some(Self { zone: parts.next()?, kind: parts.next()?, value: parts.next()? })
    }
}

/// `firewall-cmd --zone=public --add-port=443/tcp --add-port=80/tcp`: as few commands as it takes, since each starts
/// Python anew; it takes several values of one kind at once.
fn commands<'e>(entries: impl IntoIterator<Item = &'e Entry>, verb: &str, permanent: bool) -> Vec<Vec<String>> {
    let mut by_kind: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for Entry { zone, kind, value } in entries {
        let words = by_kind.entry((zone, kind)).or_insert_with(|| {
            let mut words = vec!["firewall-cmd".to_owned()];
            words.extend(permanent.then(|| "--permanent".to_owned()));
            words.push(format!("--zone={zone}"));
            words
        });
        words.push(format!("--{verb}-{kind}={value}"));
    }
    by_kind.into_values().collect()
}

/// What a zone allows.
struct Zone {
    entries: BTreeSet<Entry>,
    /// Ports of its services, which are not ours.
    by_service: BTreeSet<String>,
    /// The target for all other traffic: `default`, `ACCEPT`, `DROP`.
    target: String,
}

impl<'a> Firewalld<'a> {
    pub(super) const fn new(name: &'a str) -> Self {
        Self { name, zones: OnceCell::new() }
    }

    fn zones(&self, host: &dyn Host) -> Outcome<&[String]> {
        if self.zones.get().is_none() {
            let _ = self.zones.set(zones(host)?);
        }
        Ok(self.zones.get().map(Vec::as_slice).unwrap_or_default())
    }

    fn note(&self) -> PathBuf {
        Path::new(NOTES).join(format!("{}.firewalld", self.name))
    }

    fn ours(&self, host: &dyn Host) -> BTreeSet<Entry> {
        entries(&host.read(&self.note()).unwrap_or_default())
    }

    fn write_note(&self, host: &dyn Host, ours: &BTreeSet<Entry>) -> Outcome<()> {
        let path = self.note();
        paths::make_parents(host, &path)?;
        let text = ours.iter().map(Entry::line).collect::<String>();
        let failed = |e| Failure::new(format!("write {}", path.display()), e);
        host.write(&path, text.as_bytes(), Meta::root(0o644)).map_err(failed)
    }

    /// What is wanted in every zone.
    fn entries(zones: &[String], openings: &BTreeSet<Opening>) -> BTreeSet<Entry> {
        zones.iter().flat_map(|zone| openings.iter().map(move |opening| Entry::of(zone, *opening))).collect()
    }

    /// Missing entries, and entries of ours that are no longer wanted.
    fn difference(
        &self,
        host: &dyn Host,
        openings: &BTreeSet<Opening>,
        permanent: bool,
    ) -> Outcome<(BTreeSet<Entry>, BTreeSet<Entry>)> {
        let zones = self.zones(host)?;
        let mut wanted = Self::entries(zones, openings);
        let ours = self.ours(host);
        let mut present = BTreeSet::new();
        let mut surplus = BTreeSet::new();
        for zone in zones {
            let found = look(host, zone, permanent)?;
            surplus.extend(ours.intersection(&found.entries).filter(|entry| !wanted.contains(entry)).cloned());
            wanted.retain(|entry| entry.zone != *zone || !found.by_service.contains(&entry.value));
            present.extend(found.entries);
        }
        Ok((wanted.difference(&present).cloned().collect(), surplus))
    }
}

impl Backend for Firewalld<'_> {
    fn shown(&self) -> &'static str {
        "firewalld"
    }

    fn rest(&self) -> [&'static str; 2] {
        ["leave the rest as it is", "its other rules decide the rest"]
    }

    fn refuse(&self, host: &dyn Host, openings: &BTreeSet<Opening>) -> Outcome<()> {
        let what = "open ports with firewalld";
        let refused = |why: String, hint: String| Err(Failure::new(what, why).hint(hint));
        managers::refuse_others(host, managers::Active::Firewalld, what)?;
        if !runs(host)? {
            return refused(
                "it is enabled at boot, but not running".to_owned(),
                "`systemctl start firewalld`, or `systemctl disable firewalld`; then run bringup again".to_owned(),
            );
        }
        if !managers::is_enabled(host, "firewalld.service") {
            return refused(
                "it is running, but not after a reboot: its service is not enabled".to_owned(),
                "`systemctl enable firewalld`, or `systemctl stop firewalld`; then run bringup again".to_owned(),
            );
        }
        for zone in self.zones(host)? {
            let found = look(host, zone, false)?;
            if found.target == "ACCEPT" {
                let hint =
                    format!("`firewall-cmd --permanent --zone={zone} --set-target=default` and a reload change that");
                return refused(format!("its zone {zone} accepts everything, so opening ports has no effect"), hint);
            }
            for opening in openings.iter().filter(|opening| opening.source.is_some()) {
                let for_all = Entry::of(zone, Opening { source: None, ..*opening });
                let ours = self.ours(host).contains(&for_all);
                if found.by_service.contains(&for_all.value) || (found.entries.contains(&for_all) && !ours) {
                    let why = format!(
                        "{opening} are to be the only ones allowed, but the zone {zone} allows everyone there ({})",
                        for_all.value
                    );
                    let hint = format!(
                        "remove that from the zone (`firewall-cmd --zone={zone} --list-all`), or name no networks for this port"
                    );
                    return refused(why, hint);
                }
            }
        }
        Ok(())
    }

    fn in_force(&self, host: &dyn Host, wanted: &BTreeSet<Opening>) -> Outcome<Option<BTreeSet<Opening>>> {
        if !runs(host)? {
            return Ok(None);
        }
        let (missing, surplus) = self.difference(host, wanted, false)?;
        let lacking: BTreeSet<Opening> = missing.iter().filter_map(Entry::opening).collect();
        let mut present: BTreeSet<Opening> = wanted.difference(&lacking).copied().collect();
        present.extend(surplus.iter().filter_map(Entry::opening));
        Ok(Some(present))
    }

    fn survives(&self, host: &dyn Host, openings: &BTreeSet<Opening>) -> Outcome<bool> {
        let (missing, surplus) = self.difference(host, openings, true)?;
        Ok(missing.is_empty() && surplus.is_empty() && managers::is_enabled(host, "firewalld.service"))
    }

    fn diff(&self, cx: &Context<'_>, openings: &BTreeSet<Opening>) -> Option<String> {
        let (missing, surplus) = self.difference(cx.host, openings, false).ok()?;
        let before = self.ours(cx.host);
        let mut after = before.clone();
        after.retain(|entry| !surplus.contains(entry));
        after.extend(missing);
        let text = |entries: &BTreeSet<Entry>| entries.iter().map(Entry::line).collect::<String>();
        diff::unified(&self.note(), Some(text(&before).as_bytes()), &text(&after), cx.secrets)
    }

    fn snapshot(&self, host: &dyn Host, blobs: &Blobs) -> Outcome<Undo> {
        let mut paths = vec![self.note()];
        for zone in self.zones(host)? {
            paths.extend(["xml", "xml.old"].map(|ending| Path::new(ZONES).join(format!("{zone}.{ending}"))));
        }
        let files = paths.into_iter().map(|path| Ok((path.clone(), blobs.image(host, &path)?)));
        let files = files.collect::<Outcome<_>>()?;
        Ok(Undo::Firewall {
            manager: "firewalld".to_owned(),
            name: self.name.to_owned(),
            loaded: None,
            files,
            made: Vec::new(),
            tables: Vec::new(),
        })
    }

    fn records(&self, cx: &Context<'_>) -> Outcome<Vec<Undo>> {
        let mut records = undo::parent_records(cx.host, &self.note())?;
        records.push(self.snapshot(cx.host, cx.blobs)?);
        Ok(records)
    }

    fn load(&self, cx: &Context<'_>, openings: &BTreeSet<Opening>) -> Outcome<()> {
        let (missing, surplus) = self.difference(cx.host, openings, false)?;
        let (missing_at_boot, _) = self.difference(cx.host, openings, true)?;
        // Recorded before it is done; a removed entry stays recorded until it is removed permanently.
        let mut ours = self.ours(cx.host);
        ours.extend(missing.iter().chain(&missing_at_boot).cloned());
        self.write_note(cx.host, &ours)?;
        change(cx, &missing, "add", false)?;
        change(cx, &surplus, "remove", false)
    }

    fn keep(&self, cx: &Context<'_>, openings: &BTreeSet<Opening>) -> Outcome<()> {
        let (missing, surplus) = self.difference(cx.host, openings, true)?;
        change(cx, &missing, "add", true)?;
        change(cx, &surplus, "remove", true)?;
        let wanted = Self::entries(self.zones(cx.host)?, openings);
        let ours = self.ours(cx.host).into_iter().filter(|entry| wanted.contains(entry)).collect();
        self.write_note(cx.host, &ours)
    }

    fn paths(&self) -> Vec<PathBuf> {
        vec![self.note()]
    }
}

/// Restores our entries, at runtime and permanently. Where nobody else changed a zone, its files are then exactly as
/// before.
pub(super) fn restore(cx: &UndoContext<'_>, files: &[(PathBuf, Option<Image>)]) -> Outcome<bool> {
    let host = cx.host;
    let content = |image: &Option<Image>| match image.as_ref().and_then(|image| image.blob.as_deref()) {
        Some(blob) => cx.blobs.get(host, blob).map(Some),
        None => Ok(None),
    };
    let Some(((note, image), zones)) = files.split_first() else { return Ok(false) };
    let before = entries(&content(image)?.unwrap_or_default());
    let now = entries(&host.read(note).unwrap_or_default());
    let runs = runs(host).unwrap_or(false);
    if !runs && now.is_empty() {
        return Ok(false);
    }
    // Entries that already exist, or are already removed, are no failure.
    for permanent in [false, true].into_iter().filter(|_| runs) {
        let remove = commands(now.difference(&before), "remove", permanent);
        for words in remove.into_iter().chain(commands(&before, "add", permanent)) {
            run(host, &words)?;
        }
    }
    put(cx, note, image.as_ref(), content(image)?)?;
    for pair in zones.chunks(2) {
        let [(zone, image), backup] = pair else { continue };
        let then = content(image)?;
        let shipped = zone.file_name().map(|name| Path::new(SHIPPED).join(name));
        let then_or_shipped = then.clone().or_else(|| shipped.and_then(|path| host.read(&path).ok()));
        let now = host.read(zone).ok();
        let same = match (&then_or_shipped, &now) {
            (Some(then), Some(now)) => lines(then) == lines(now),
            (_, None) => true,
            (None, Some(_)) => false,
        };
        if same {
            put(cx, zone, image.as_ref(), then)?;
            put(cx, &backup.0, backup.1.as_ref(), content(&backup.1)?)?;
        }
    }
    Ok(true)
}

/// Restores a file.
fn put(cx: &UndoContext<'_>, path: &Path, image: Option<&Image>, content: Option<Vec<u8>>) -> Outcome<()> {
    let failed = |e| Failure::new(format!("restore {}", path.display()), e);
    let (Some(image), Some(content)) = (image, content) else {
        return cx.host.remove(path).map_err(failed);
    };
    if cx.host.read(path).ok().as_ref() != Some(&content) {
        cx.host.write(path, &content, image.meta).map_err(failed)?;
    }
    cx.host.set_mtime(path, image.mtime).map_err(failed)
}

/// The elements of a zone's file, in whatever order and layout it was written.
fn lines(xml: &[u8]) -> BTreeMap<String, usize> {
    let text = String::from_utf8_lossy(xml).into_owned();
    text.lines().map(str::trim).filter(|line| !line.is_empty()).fold(BTreeMap::new(), |mut all, line| {
        *all.entry(line.to_owned()).or_default() += 1;
        all
    })
}

fn entries(note: &[u8]) -> BTreeSet<Entry> {
    String::from_utf8_lossy(note).lines().filter_map(Entry::parse).collect()
}

/// The zones through which clients come in: the default one, and those of interfaces; not those of Docker and libvirt
/// for their own networks, and not `trusted`.
fn zones(host: &dyn Host) -> Outcome<Vec<String>> {
    let mut zones = BTreeSet::from([ask(host, &["--get-default-zone"])?.text()]);
    let active = ask(host, &["--get-active-zones"])?.text();
    let names = active.lines().filter(|line| !line.starts_with([' ', '\t']));
    zones.extend(names.filter_map(|line| line.split_whitespace().next()).map(str::to_owned));
    zones.retain(|zone| !zone.is_empty() && zone != "docker" && zone != "trusted" && !zone.starts_with("libvirt"));
    Ok(zones.into_iter().collect())
}

fn runs(host: &dyn Host) -> Outcome<bool> {
    Ok(ask(host, &["--state"])?.ok())
}

fn look(host: &dyn Host, zone: &str, permanent: bool) -> Outcome<Zone> {
    let at = format!("--zone={zone}");
    let arguments: Vec<&str> = permanent.then_some("--permanent").into_iter().chain([&at, "--list-all"]).collect();
    let listed = ask(host, &arguments)?.text();
    let line = |key: &str| listed.lines().find_map(|line| line.trim().strip_prefix(key)).unwrap_or_default();
    let entry =
        |kind: &str, value: &str| Entry { zone: zone.to_owned(), kind: kind.to_owned(), value: value.to_owned() };
    let mut entries: BTreeSet<Entry> = line("ports:").split_whitespace().map(|port| entry("port", port)).collect();
    let rules = listed.lines().map(str::trim).filter(|line| line.starts_with("rule "));
    entries.extend(rules.map(|rule| entry("rich-rule", rule)));
    let by_service = line("services:").split_whitespace().flat_map(|service| service_ports(host, service)).collect();
    Ok(Zone { entries, by_service, target: line("target:").trim().to_owned() })
}

/// The ports of a service, such as `22/tcp`: from the file that a person wrote, or else from the one that came with it.
fn service_ports(host: &dyn Host, service: &str) -> Vec<String> {
    let of = |top: &str| host.read(&Path::new(top).join(format!("{service}.xml"))).ok();
    let file = of("/etc/firewalld/services").or_else(|| of("/usr/lib/firewalld/services")).unwrap_or_default();
    let text = String::from_utf8_lossy(&file).into_owned();
    let value = |line: &str, key: &str| Some(line.split_once(&format!("{key}=\""))?.1.split('"').next()?.to_owned());
    let ports = text.lines().filter(|line| line.trim().starts_with("<port "));
    ports.filter_map(|line| Some(format!("{}/{}", value(line, " port")?, value(line, " protocol")?))).collect()
}

fn ask(host: &dyn Host, arguments: &[&str]) -> Outcome<Output> {
    let command = Command::new(["firewall-cmd"].iter().chain(arguments).copied()).timeout(PATIENCE);
    host.run(&command).map_err(|e| Failure::new("query firewalld", e))
}

fn change(cx: &Context<'_>, entries: &BTreeSet<Entry>, verb: &str, permanent: bool) -> Outcome<()> {
    for words in commands(entries, verb, permanent) {
        CommandRunner::new(Command::new(words).timeout(PATIENCE)).run(cx, "change the rules of firewalld")?;
    }
    Ok(())
}

fn run(host: &dyn Host, words: &[String]) -> Outcome<()> {
    let what = || "restore firewalld's rules".to_owned();
    let output =
        host.run(&Command::new(words.iter().cloned()).timeout(PATIENCE)).map_err(|e| Failure::new(what(), e))?;
    if output.ok() {
        return Ok(());
    }
    Err(Failure::new(what(), format!("{} ended with status {}", words.join(" "), output.status)).tail(output.tail(5)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::system::firewall::opening::{Allow, openings};

    #[test]
    fn entries_are_read_back_as_they_were_written() {
        let allowed: Vec<Allow> =
            ["443", "60000-61000/udp", "22 from 10.0.0.0/8, 2001:db8::1"].map(|text| text.parse().unwrap()).into();
        let wanted = openings(&allowed);
        let entries = Firewalld::entries(&["public".to_owned()], &wanted);
        let text: String = entries.iter().map(Entry::line).collect();
        assert!(text.contains("public port 60000-61000/udp\n"), "{text}");
        let rule = "public rich-rule rule family=\"ipv4\" source address=\"10.0.0.0/8\" port port=\"22\" protocol=\"tcp\" accept\n";
        assert!(text.contains(rule), "{text}");
        assert_eq!(super::entries(text.as_bytes()), entries);
        assert_eq!(entries.iter().map(Entry::opening).collect::<Option<BTreeSet<_>>>(), Some(wanted));
        let commands = commands(&entries, "add", true);
        let ports =
            ["firewall-cmd", "--permanent", "--zone=public", "--add-port=443/tcp", "--add-port=60000-61000/udp"];
        assert_eq!(commands[0], ports);
        assert_eq!((commands.len(), commands[1].len()), (2, 5), "both rich rules in one: {commands:?}");
    }

    #[test]
    fn layout_and_order_of_a_zones_file_do_not_matter() {
        let ours = b"<zone>\n  <service name=\"ssh\"/>\n  <forward/>\n</zone>\n";
        let shipped = b"<zone>\n<forward/>\n\n<service name=\"ssh\"/>\n</zone>";
        assert_eq!(lines(ours), lines(shipped));
        assert_ne!(lines(ours), lines(b"<zone>\n<service name=\"ssh\"/>\n</zone>"));
    }
}
