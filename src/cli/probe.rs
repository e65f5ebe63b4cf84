//! `probe`: tries ports of another server from here, and compares the result with that server's plan. A host cannot see
//! by itself what is reachable from outside.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use crate::action::Action;
use crate::cli::{Inputs, Output, answers, plan_inputs};
use crate::error::{Exit, Problem};
use crate::facts::Facts;
use crate::host::{Address, Host};
use crate::plan::Plan;
use crate::proof::{Proof, ports};
use crate::system::firewall::opening::{Ports, Protocol};
use crate::system::net::wire;
use crate::ui::stdio;

/// A packet that is dropped is never answered: two more are sent within this time.
const PATIENCE: Duration = Duration::from_secs(4);
/// How many connections are tried at once.
const AT_ONCE: usize = 64;
/// Of a range of ports so many are tried at most.
const OF_A_RANGE: usize = 16;

/// The default ports: SSH, web servers, mail, and the engines that should be closed.
const USUAL: &[(u16, &str)] = &[
    (22, "SSH"),
    (25, "SMTP"),
    (80, "http"),
    (443, "https"),
    (3306, "MariaDB"),
    (4369, "epmd"),
    (5432, "PostgreSQL"),
    (5672, "RabbitMQ"),
    (6379, "Redis"),
    (8000, "an application"),
    (8080, "an application"),
    (15672, "RabbitMQ's management"),
    (25672, "RabbitMQ's distribution"),
];

/// What is to be found at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Expected {
    /// A server answers.
    Open,
    /// No firewall drops it; whether a server is there is not the plan's matter.
    LetIn,
    /// No server can be reached.
    Closed,
    /// It depends on who asks.
    Either,
}

/// What was found at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum PortState {
    /// A connection was made.
    Open,
    /// The server answers that nothing listens, or refuses us.
    Refused,
    /// No answer at all.
    TimedOut,
    /// The way there is closed: a router or a firewall says so.
    Unreachable,
}

impl Expected {
    const fn is_met_by(self, state: PortState) -> bool {
        match self {
            Self::Open => matches!(state, PortState::Open),
            Self::LetIn => matches!(state, PortState::Open | PortState::Refused),
            Self::Closed => !matches!(state, PortState::Open),
            Self::Either => true,
        }
    }

    const fn shown(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::LetIn => "let in",
            Self::Closed => "closed",
            Self::Either => "depends",
        }
    }
}

impl PortState {
    fn of(result: &io::Result<()>) -> Self {
        match result {
            Ok(()) => Self::Open,
            Err(e) => match e.kind() {
                io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => Self::Refused,
                io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Self::TimedOut,
                _ => Self::Unreachable,
            },
        }
    }

    const fn shown(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Refused => "refused",
            Self::TimedOut => "timed out",
            Self::Unreachable => "unreachable",
        }
    }
}

/// A port to try.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    name: String,
    /// None: only looked at.
    expected: Option<Expected>,
}

type Targets = BTreeMap<u16, Target>;

/// What `probe` was asked for.
pub(super) struct Request<'a> {
    /// Name or address of the server.
    pub(super) host: &'a str,
    /// `443` or `5432=closed`, separated by commas.
    pub(super) ports: Option<&'a str>,
    /// What its plan is made from.
    pub(super) inputs: &'a Inputs,
    /// Its facts.
    pub(super) facts: Option<&'a std::path::Path>,
}

/// Tries the ports and says how they are.
pub(super) fn probe(host: &dyn Host, request: &Request<'_>, output: Output) -> Exit {
    let given = match request.ports.map(given).transpose() {
        Ok(given) => given.unwrap_or_default(),
        Err(message) => {
            stdio::error(&format!("error: {message}\nWrite ports such as 22,443,5432=closed.\n"));
            return Exit::Usage;
        }
    };
    let targets = match targets(host, request, given) {
        Ok(targets) => targets,
        Err(problems) => return answers::refuse(&problems, output),
    };
    let addresses = match wire::resolve(host, request.host) {
        Ok(addresses) => addresses,
        Err(failure) => {
            let hint = failure.hint.clone().unwrap_or_default();
            return answers::refuse(&[Problem::new(failure.to_string(), hint)], output);
        }
    };
    let addresses = one_of_each_family(&addresses);
    let ports: Vec<u16> = targets.keys().copied().collect();
    let mut found = try_all(host, &addresses, &ports);
    // Where there is no way at all by IPv6 (or IPv4), that says nothing about the server.
    let dead = |address: &IpAddr| ports.iter().all(|port| found[&(*port, *address)].1);
    let routed: Vec<IpAddr> = addresses.iter().copied().filter(|address| !dead(address)).collect();
    let addresses = if routed.is_empty() { addresses } else { routed };
    found.retain(|(_, address), _| addresses.contains(address));
    let found: BTreeMap<(u16, IpAddr), PortState> = found.into_iter().map(|(at, (state, _))| (at, state)).collect();
    let wrong = targets
        .iter()
        .filter(|(port, target)| {
            let met = |expected: Expected| addresses.iter().all(|a| expected.is_met_by(found[&(**port, *a)]));
            target.expected.is_some_and(|expected| !met(expected))
        })
        .count();
    if output.json {
        stdio::json(&format!("{:#}\n", as_json(request.host, &targets, &addresses, &found, wrong == 0)));
    } else {
        stdio::print(&as_table(request.host, &targets, &addresses, &found, wrong));
    }
    if wrong == 0 { Exit::Done } else { Exit::ProofFailed }
}

fn targets(host: &dyn Host, request: &Request<'_>, given: Targets) -> Result<Targets, Vec<Problem>> {
    let mut targets = Targets::new();
    if request.inputs.answers.is_some() {
        let facts = match request.facts {
            Some(path) => plan_inputs::facts_from(host, path)?,
            None => crate::facts::probe::probe(host),
        };
        let made = plan_inputs::make(host, request.inputs, &facts)?;
        targets = planned(&made.plan, request.facts.map(|_| &facts));
    }
    targets.extend(given);
    if targets.is_empty() {
        let usual = |(port, name): &(u16, &str)| (*port, Target { name: (*name).to_owned(), expected: None });
        targets = USUAL.iter().map(usual).collect();
    }
    Ok(targets)
}

/// Ports of the command line; one without a wish should be open.
fn given(text: &str) -> Result<Targets, String> {
    let mut targets = Targets::new();
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let (ports, expected) = match word.split_once('=') {
            None | Some((_, "open")) => (word.split('=').next().unwrap_or(word), Expected::Open),
            Some((ports, "closed")) => (ports, Expected::Closed),
            Some((_, other)) => return Err(format!("\"{other}\" is neither open nor closed")),
        };
        for port in tried(ports.parse()?) {
            targets.insert(port, Target { name: String::new(), expected: Some(expected) });
        }
    }
    Ok(targets)
}

/// What a plan promises to those outside. `facts` are those of the server, when they are known.
fn planned(plan: &Plan, facts: Option<&Facts>) -> Targets {
    let mut targets = Targets::new();
    let firewall = plan.actions.iter().find_map(|planned| match &planned.action {
        Action::Firewall(firewall) => Some(firewall),
        _ => None,
    });
    let ports = plan.proofs.iter().filter_map(|planned| match &planned.proof {
        Proof::Ports(expected) => Some(&expected.ports),
        _ => None,
    });
    for port in ports.flatten() {
        let open = port.on == ports::Exposure::Any && firewall.is_none();
        let expected = if open { Expected::Open } else { Expected::Closed };
        targets.insert(port.port, Target { name: port.name.clone(), expected: Some(expected) });
    }
    for allow in firewall.iter().flat_map(|firewall| &firewall.allow) {
        // Nobody answers to a packet of UDP who does not know its protocol.
        if allow.protocol == Protocol::Udp {
            continue;
        }
        let expected = match (allow.sources.is_empty(), allow.name.is_empty()) {
            (false, _) => Expected::Either,
            (true, false) => Expected::Open,
            (true, true) => Expected::LetIn,
        };
        for port in tried(allow.port) {
            targets.insert(port, Target { name: allow.name.clone(), expected: Some(expected) });
        }
    }
    let sshd = plan.actions.iter().find_map(|planned| match &planned.action {
        Action::Sshd(sshd) => Some(sshd),
        _ => None,
    });
    let restricted = firewall.is_some_and(|firewall| !firewall.ssh_sources.is_empty())
        || sshd.is_some_and(|sshd| !sshd.listen.is_empty());
    let must_knock = firewall.is_some_and(|firewall| !firewall.knock.is_empty());
    let (expected, name) = match (restricted, must_knock) {
        (true, _) => (Expected::Either, "SSH"),
        (false, true) => (Expected::Closed, "SSH, until a knock"),
        (false, false) => (Expected::Open, "SSH"),
    };
    for port in facts.iter().flat_map(|facts| &facts.sshd.ports) {
        let expected = if sshd.is_some() { Expected::Closed } else { expected };
        targets.insert(*port, Target { name: name.to_owned(), expected: Some(expected) });
    }
    if let Some(sshd) = sshd {
        targets.insert(sshd.port, Target { name: name.to_owned(), expected: Some(expected) });
    }
    targets
}

fn tried(ports: Ports) -> impl Iterator<Item = u16> {
    let whole = usize::from(ports.to - ports.from) < OF_A_RANGE;
    (ports.from..=ports.to).filter(move |port| whole || *port == ports.from || *port == ports.to)
}

fn one_of_each_family(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let first = |wanted: fn(&&IpAddr) -> bool| addresses.iter().find(wanted).copied();
    [first(|a| a.is_ipv4()), first(|a| a.is_ipv6())].into_iter().flatten().collect()
}

/// How each port was found at each address, and whether there was no way to that address from here.
fn try_all(host: &dyn Host, addresses: &[IpAddr], ports: &[u16]) -> BTreeMap<(u16, IpAddr), (PortState, bool)> {
    let all: Vec<(u16, IpAddr)> =
        ports.iter().flat_map(|port| addresses.iter().map(move |address| (*port, *address))).collect();
    let next = AtomicUsize::new(0);
    let found = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(all.len()) {
            scope.spawn(|| {
                while let Some(at) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let address = Address::Tcp(SocketAddr::new(at.1, at.0));
                    let result = host.connect(&address, PATIENCE).map(drop);
                    let no_way = result.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::NetworkUnreachable);
                    if let Ok(mut found) = found.lock() {
                        found.insert(*at, (PortState::of(&result), no_way));
                    }
                }
            });
        }
    });
    found.into_inner().unwrap_or_default()
}

type Found = BTreeMap<(u16, IpAddr), PortState>;

fn as_json(host: &str, targets: &Targets, addresses: &[IpAddr], found: &Found, ok: bool) -> serde_json::Value {
    let ports: Vec<_> = targets
        .iter()
        .flat_map(|(port, target)| {
            addresses.iter().map(move |address| {
                let state = found[&(*port, *address)];
                json!({
                    "port": port, "address": address, "name": target.name, "state": state,
                    "expected": target.expected,
                    "as_expected": target.expected.map(|expected| expected.is_met_by(state)),
                })
            })
        })
        .collect();
    json!({ "host": host, "as_expected": ok, "ports": ports })
}

fn as_table(host: &str, targets: &Targets, addresses: &[IpAddr], found: &Found, wrong: usize) -> String {
    let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let mut text = format!("{host} ({})\n\n", shown.join(", "));
    let judged = targets.values().any(|target| target.expected.is_some());
    for (port, target) in targets {
        let states: Vec<PortState> = addresses.iter().map(|address| found[&(*port, *address)]).collect();
        let state = match states.as_slice() {
            [one, rest @ ..] if rest.iter().any(|other| other != one) => {
                let each = addresses.iter().zip(&states);
                let family = |address: &IpAddr| if address.is_ipv4() { "IPv4" } else { "IPv6" };
                each.map(|(a, state)| format!("{} by {}", state.shown(), family(a))).collect::<Vec<_>>().join(", ")
            }
            states => states.first().map_or("", |state| state.shown()).to_owned(),
        };
        let verdict = target.expected.map_or_else(String::new, |expected| {
            let sign = if states.iter().all(|state| expected.is_met_by(*state)) { "ok" } else { "WRONG" };
            format!("{sign:<6}should be {:<8}", expected.shown())
        });
        text.push_str(format!("  {port:>5}  {state:<12} {verdict} {}", target.name).trim_end());
        text.push('\n');
    }
    if judged {
        let all = targets.len();
        let judgement = match wrong {
            0 => format!("\nAs expected: {all} of {all} ports.\n"),
            n => format!("\nNot as expected: {n} of {all} ports.\n"),
        };
        text.push_str(&judgement);
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fake::FakeHost;

    fn request<'a>(ports: &'a str, inputs: &'a Inputs) -> Request<'a> {
        Request { host: "192.0.2.1", ports: Some(ports), inputs, facts: None }
    }

    #[test]
    fn what_was_promised_decides_the_exit_code() {
        let host = FakeHost::new();
        host.answer(Address::Tcp("192.0.2.1:443".parse().unwrap()), |_| Vec::new());
        let inputs = Inputs::default();
        let probed = |ports: &str| probe(&host, &request(ports, &inputs), Output::default());
        assert_eq!(probed("443,5432=closed"), Exit::Done);
        assert_eq!(probed("443=closed"), Exit::ProofFailed);
        assert_eq!(probed("443,80"), Exit::ProofFailed);
        assert_eq!(probed("443=maybe"), Exit::Usage);
        assert_eq!(probed("0"), Exit::Usage);
        let all = Request { ports: None, ..request("", &inputs) };
        assert_eq!(probe(&host, &all, Output::default()), Exit::Done, "nothing was promised");
    }

    #[test]
    fn every_end_of_an_attempt_has_its_word() {
        let state = |kind: io::ErrorKind| PortState::of(&Err(kind.into())).shown();
        assert_eq!(state(io::ErrorKind::ConnectionRefused), "refused");
        assert_eq!(state(io::ErrorKind::TimedOut), "timed out");
        assert_eq!(state(io::ErrorKind::HostUnreachable), "unreachable");
        assert!(Expected::LetIn.is_met_by(PortState::Refused) && !Expected::LetIn.is_met_by(PortState::TimedOut));
        assert!(Expected::Closed.is_met_by(PortState::TimedOut) && Expected::Closed.is_met_by(PortState::Unreachable));
    }

    #[test]
    fn a_long_range_is_tried_at_its_ends() {
        assert_eq!(tried(Ports { from: 5900, to: 7000 }).collect::<Vec<_>>(), [5900, 7000]);
        assert_eq!(tried(Ports { from: 80, to: 82 }).count(), 3);
    }

    #[test]
    fn the_table_says_what_is_wrong_and_where_the_families_differ() {
        let (four, six): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
        let targets = given("22,443,5432=closed").unwrap();
        let mut found = Found::new();
        for (port, state) in [(22, PortState::Open), (443, PortState::Open), (5432, PortState::TimedOut)] {
            found.insert((port, four), state);
            found.insert((port, six), state);
        }
        found.insert((443, six), PortState::TimedOut);
        let shown = as_table("web", &targets, &[four, six], &found, 1);
        insta::assert_snapshot!(shown, @"
        web (192.0.2.1, 2001:db8::1)

             22  open         ok    should be open
            443  open by IPv4, timed out by IPv6 WRONG should be open
           5432  timed out    ok    should be closed

        Not as expected: 1 of 3 ports.
        ");
    }
}
