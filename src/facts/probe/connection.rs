//! How the administrator is connected.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::text;
use crate::facts::Ssh;
use crate::host::Host;

/// How many parents are asked; a login has a handful.
const GENERATIONS: usize = 32;

pub(super) fn find(host: &dyn Host) -> Option<Ssh> {
    inherited(host, "SSH_CONNECTION").as_deref().and_then(parse)
}

/// Both ends of that connection: ours, and the other.
pub(super) fn ends(host: &dyn Host) -> Option<(SocketAddr, SocketAddr)> {
    inherited(host, "SSH_CONNECTION").as_deref().and_then(parse_ends)
}

/// A variable of our environment, or of a parent's, because sudo drops most of them.
pub(crate) fn inherited(host: &dyn Host, name: &str) -> Option<String> {
    if let Some(value) = host.env(name) {
        return Some(value);
    }
    let mut process = "self".to_owned();
    for _ in 0..GENERATIONS {
        let directory = Path::new("/proc").join(&process);
        let environment = text(host, directory.join("environ"));
        let mut variables = environment.split('\0').filter_map(|variable| variable.split_once('='));
        if let Some((_, value)) = variables.find(|(known, _)| *known == name) {
            return Some(value.to_owned());
        }
        let status = text(host, directory.join("status"));
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).map(str::trim);
        match parent {
            None | Some("" | "0") => return None,
            Some(parent) => parent.clone_into(&mut process),
        }
    }
    None
}

/// `client port server port`.
fn parse(value: &str) -> Option<Ssh> {
    let mut fields = value.split_whitespace();
    let client = fields.next()?;
    let port = fields.nth(2)?.parse().ok()?;
    Some(Ssh { client: client.strip_prefix("::ffff:").unwrap_or(client).to_owned(), port })
}

fn parse_ends(value: &str) -> Option<(SocketAddr, SocketAddr)> {
    let fields: Vec<&str> = value.split_whitespace().collect();
    let end = |address: usize, port: usize| {
        // A link-local address comes with its interface, which the kernel's tables do not have.
        let ip: IpAddr = fields.get(address)?.split('%').next()?.parse().ok()?;
        Some(SocketAddr::new(ip.to_canonical(), fields.get(port)?.parse().ok()?))
    };
    Some((end(2, 3)?, end(0, 1)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    #[test]
    fn sudo_drops_the_variable_but_a_parent_has_it() {
        let host = FakeHost::new();
        host.put_file("/proc/self/status", "Name:\tx\nPPid:\t40\n", 0o444);
        host.put_file("/proc/40/environ", "PATH=/bin\0", 0o400);
        host.put_file("/proc/40/status", "PPid:\t39\n", 0o444);
        host.put_file("/proc/39/environ", "A=1\0SSH_CONNECTION=192.0.2.7 51000 192.0.2.1 2222\0B=2\0", 0o400);
        assert_eq!(find(&host), Some(Ssh { client: "192.0.2.7".to_owned(), port: 2222 }));
        let ends = ends(&host).map(|(ours, theirs)| (ours.to_string(), theirs.to_string()));
        assert_eq!(ends, Some(("192.0.2.1:2222".to_owned(), "192.0.2.7:51000".to_owned())));
        host.set_env("SSH_CONNECTION", "::ffff:192.0.2.8 1 192.0.2.1 22");
        assert_eq!(find(&host), Some(Ssh { client: "192.0.2.8".to_owned(), port: 22 }));
    }

    #[test]
    fn a_console_is_no_connection_and_a_loop_of_parents_ends() {
        let host = FakeHost::new();
        assert_eq!(find(&host), None);
        host.put_file("/proc/self/status", "PPid:\t40\n", 0o444);
        host.put_file("/proc/40/status", "PPid:\t40\n", 0o444);
        assert_eq!(find(&host), None);
        assert_eq!(parse("192.0.2.7 51000"), None);
    }
}
