//! Package mirrors: the hosts in apt's sources, or the proxy on the way to them, must resolve and accept a connection.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use super::proxy::{self, Proxies};
use super::{CheckStatus, Finding, PATIENCE, ok, sources, warning};
use crate::facts::Facts;
use crate::facts::probe::{exists, text};
use crate::host::{Address, Host};
use crate::system::net::wire;

/// For one address; with the look-up before it, two of a family still fit into a check's time.
const CONNECT: Duration = Duration::from_millis(1200);
/// Addresses of a family that are tried.
const TRIED: usize = 2;

/// What has to be there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// A directory of this server.
    Dir(String),
    /// A host that listens on a port.
    Machine { name: String, port: u16, is_proxy: bool },
}

pub(crate) fn mirror(host: &dyn Host, facts: &Facts) -> Finding {
    let proxies = Proxies::read(host);
    // Whether the release's own packages come from there.
    let mut places: BTreeMap<Place, bool> = BTreeMap::new();
    for source in sources::read(host) {
        if let Some(place) = place(&source.uri, &proxies) {
            *places.entry(place).or_default() |= source.is_base(facts);
        }
    }
    if places.is_empty() {
        return warning("not tried: no package source names one", "see the package sources above");
    }
    let reached: Vec<_> = std::thread::scope(|scope| {
        let tries: Vec<_> =
            places.into_iter().map(|(place, is_base)| scope.spawn(move || (is_base, reach(host, &place)))).collect();
        tries.into_iter().filter_map(|tried| tried.join().ok()).collect()
    });
    let failed: Vec<_> = reached.iter().filter(|(_, result)| result.is_err()).collect();
    let base = failed.iter().any(|(is_base, _)| *is_base);
    let said: Vec<&str> = match failed.as_slice() {
        [] => reached.iter().filter_map(|(_, result)| result.as_deref().ok()).collect(),
        failed => failed.iter().filter_map(|(_, result)| Some(result.as_ref().err()?.0.as_str())).collect(),
    };
    // The way to the release's own packages comes first.
    let worst = failed.iter().max_by_key(|(is_base, _)| *is_base);
    let Some(Err((_, fix))) = worst.map(|(_, result)| result) else { return ok(said.join(", ")) };
    let state = if base { CheckStatus::Problem } else { CheckStatus::Warning };
    Finding { state, found: said.join("; "), fix: fix.clone() }
}

/// What a source needs, or the proxy before it; nothing for CD-ROMs and for ways that only apt knows.
fn place(uri: &str, proxies: &Proxies<'_>) -> Option<Place> {
    let (scheme, rest) = uri.split_once(':')?;
    match scheme {
        "file" | "copy" => return Some(Place::Dir(format!("/{}", rest.trim_start_matches('/')))),
        "http" | "https" | "mirror" | "mirror+http" | "mirror+https" => {}
        _ => return None,
    }
    let scheme = if scheme.ends_with("https") { "https" } else { "http" };
    let default = if scheme == "https" { 443 } else { 80 };
    let (name, port) = proxy::authority(rest.trim_start_matches('/'), default)?;
    Some(match proxies.on_the_way(scheme, &name) {
        Some((name, port)) => Place::Machine { name, port, is_proxy: true },
        None => Place::Machine { name, port, is_proxy: false },
    })
}

/// What was reached, or what is wrong and what to do.
fn reach(host: &dyn Host, place: &Place) -> Result<String, (String, String)> {
    let (name, port, who) = match place {
        Place::Dir(dir) if exists(host, Path::new(dir)) => return Ok(format!("{dir} exists")),
        Place::Dir(dir) => return Err((format!("{dir} does not exist"), format!("mount or copy it to {dir}"))),
        Place::Machine { name, port, is_proxy: false } => (name, *port, name.clone()),
        Place::Machine { name, port, is_proxy: true } => (name, *port, format!("the proxy {name}:{port}")),
    };
    let Ok(addresses) = wire::resolve_within(host, name, PATIENCE) else {
        return Err((format!("{who} does not resolve"), name_servers(host, name)));
    };
    let (old, new): (Vec<IpAddr>, Vec<IpAddr>) = addresses.iter().partition(|address| address.is_ipv4());
    let (old_way, new_way) = std::thread::scope(|scope| {
        let new_way = scope.spawn(|| connects(host, &new, port));
        (connects(host, &old, port), new_way.join().unwrap_or_default())
    });
    match (old_way, new_way) {
        (true, _) => Ok(format!("{who} answers")),
        (false, true) => Ok(format!("{who} answers, over IPv6 only")),
        (false, false) => {
            let only = if old.is_empty() { ", and has IPv6 addresses only" } else { "" };
            Err((format!("{who} does not answer on port {port}{only}"), network(name, port, place)))
        }
    }
}

fn connects(host: &dyn Host, addresses: &[IpAddr], port: u16) -> bool {
    let sockets = addresses.iter().take(TRIED).map(|address| Address::Tcp(SocketAddr::new(*address, port)));
    sockets.into_iter().any(|socket| host.connect(&socket, CONNECT).is_ok())
}

fn name_servers(host: &dyn Host, name: &str) -> String {
    let named = text(host, "/etc/resolv.conf").lines().any(|line| line.trim_start().starts_with("nameserver"));
    if named {
        format!("see that the name servers in /etc/resolv.conf can be reached, and try `getent ahosts {name}`")
    } else {
        "/etc/resolv.conf names no server: add `nameserver ADDRESS` with your provider's address".to_owned()
    }
}

fn network(name: &str, port: u16, place: &Place) -> String {
    match place {
        Place::Machine { is_proxy: true, .. } => {
            format!(
                "start the proxy, or correct it: `apt-config dump | grep -i proxy`, `echo $http_proxy` ({name}:{port})"
            )
        }
        _ => format!(
            "check `ip route`, and allow outgoing TCP to port {port}; behind a proxy,  set Acquire::http::Proxy in \
             /etc/apt/apt.conf.d/80proxy"
        ),
    }
}
