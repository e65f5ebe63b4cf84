//! Who manages the firewall: the one that is switched on, not the ones that are merely installed.

use std::path::Path;

use super::{exists, text};
use crate::facts::Netfilter;
use crate::host::Host;

/// The bit of `CAP_NET_ADMIN`, `linux/capability.h`.
const CAP_NET_ADMIN: u32 = 12;

/// `firewalld`, `ufw`, `nftables`, `iptables` or `none`.
pub(super) fn find(host: &dyn Host) -> &'static str {
    let starts = |target: &str, unit: &str| exists(host, format!("/etc/systemd/system/{target}.target.wants/{unit}"));
    // firewalld and ufw write nftables and iptables rules themselves: they come first.
    if starts("multi-user", "firewalld.service") || firewalld_runs(host) {
        return "firewalld";
    }
    let ufw = text(host, "/etc/ufw/ufw.conf");
    if ufw.lines().any(|line| line.trim().eq_ignore_ascii_case("ENABLED=yes")) {
        return "ufw";
    }
    if starts("sysinit", "nftables.service") || starts("multi-user", "nftables.service") {
        return "nftables";
    }
    // Rules of the old kind that are loaded, or that netfilter-persistent loads at boot.
    if !text(host, "/proc/net/ip_tables_names").trim().is_empty() || exists(host, "/etc/iptables/rules.v4") {
        return "iptables";
    }
    "none"
}

/// Whether its daemon runs; the directory that it makes stays when it ends.
pub fn firewalld_runs(host: &dyn Host) -> bool {
    let is_process = |name: &Path| name.to_string_lossy().bytes().all(|byte| byte.is_ascii_digit());
    let named = |name: &Path| text(host, Path::new("/proc").join(name).join("comm")).trim() == "firewalld";
    exists(host, "/run/firewalld")
        && host.list(Path::new("/proc")).unwrap_or_default().iter().any(|name| is_process(name) && named(name))
}

/// Whether this server can filter packets. The bounding set counts: it is what root could have.
pub(super) fn netfilter(host: &dyn Host) -> Netfilter {
    let status = text(host, "/proc/self/status");
    let bounding = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    let bits = bounding.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    let nft = ["/usr/sbin/nft", "/sbin/nft"].iter().any(|path| exists(host, path));
    Netfilter { allowed: bits >> CAP_NET_ADMIN & 1 == 1, nft }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    #[test]
    fn a_container_without_the_capability_cannot_filter() {
        let host = FakeHost::new();
        for (bounding, allowed) in [("000001ffffffffff", true), ("00000000a80425fb", false), ("", false)] {
            host.put_file("/proc/self/status", format!("PPid:\t1\nCapBnd:\t{bounding}\n"), 0o444);
            assert_eq!(netfilter(&host), Netfilter { allowed, nft: false });
        }
        host.put_file("/usr/sbin/nft", "", 0o755);
        assert!(netfilter(&host).nft);
    }

    #[test]
    fn what_is_switched_on_counts() {
        let host = FakeHost::new();
        host.put_file("/etc/ufw/ufw.conf", "# comment\nENABLED=no\n", 0o644);
        assert_eq!(find(&host), "none");
        host.put_file("/proc/net/ip_tables_names", "filter\n", 0o440);
        assert_eq!(find(&host), "iptables");
        host.put_file("/etc/systemd/system/sysinit.target.wants/nftables.service", "", 0o644);
        assert_eq!(find(&host), "nftables");
        host.put_file("/etc/ufw/ufw.conf", "ENABLED=yes\n", 0o644);
        assert_eq!(find(&host), "ufw");
        host.put_file("/run/firewalld/.keep", "", 0o644);
        assert_eq!(find(&host), "ufw");
        host.put_file("/proc/77/comm", "firewalld\n", 0o444);
        assert_eq!(find(&host), "firewalld");
        host.take_away("/proc/77");
        host.put_file("/etc/systemd/system/multi-user.target.wants/firewalld.service", "", 0o644);
        assert_eq!(find(&host), "firewalld");
    }
}
