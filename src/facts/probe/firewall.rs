//! Who manages the firewall: the one that is switched on, not the ones that are merely installed.

use super::{exists, text};
use crate::host::Host;

/// `firewalld`, `ufw`, `nftables`, `iptables` or `none`.
pub(super) fn find(host: &dyn Host) -> &'static str {
    let starts = |target: &str, unit: &str| exists(host, format!("/etc/systemd/system/{target}.target.wants/{unit}"));
    // firewalld and ufw write nftables and iptables rules themselves: they come first.
    if starts("multi-user", "firewalld.service") || exists(host, "/run/firewalld") {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

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
        host.put_file("/etc/systemd/system/multi-user.target.wants/firewalld.service", "", 0o644);
        assert_eq!(find(&host), "firewalld");
    }
}
