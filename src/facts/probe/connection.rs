//! How the administrator is connected.

use std::path::Path;

use super::text;
use crate::facts::Ssh;
use crate::host::Host;

/// How many parents are asked; a login has a handful.
const GENERATIONS: usize = 32;

/// From our environment, or from that of a parent, because sudo drops the variable.
pub(super) fn find(host: &dyn Host) -> Option<Ssh> {
    if let Some(found) = host.env("SSH_CONNECTION").as_deref().and_then(parse) {
        return Some(found);
    }
    let mut process = "self".to_owned();
    for _ in 0..GENERATIONS {
        let directory = Path::new("/proc").join(&process);
        if let Some(found) = from_environment(&text(host, directory.join("environ"))) {
            return Some(found);
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

fn from_environment(environment: &str) -> Option<Ssh> {
    environment.split('\0').find_map(|variable| variable.strip_prefix("SSH_CONNECTION=")).and_then(parse)
}

/// `client port server port`.
fn parse(value: &str) -> Option<Ssh> {
    let mut fields = value.split_whitespace();
    let client = fields.next()?;
    let port = fields.nth(2)?.parse().ok()?;
    Some(Ssh { client: client.strip_prefix("::ffff:").unwrap_or(client).to_owned(), port })
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
