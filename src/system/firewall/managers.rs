//! Which firewall managers are at work. Two at once undo each other's rules at the next boot, so that is refused.

use std::path::Path;

use crate::error::{Failure, Outcome};
use crate::facts::probe::firewall::firewalld_runs;
use crate::host::Host;

/// A manager that is switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Active {
    /// ufw.
    Ufw,
    /// firewalld.
    Firewalld,
    /// Debian's nftables.service, which flushes everything before it loads its own.
    NftablesService,
}

impl Active {
    const ALL: [Self; 3] = [Self::Ufw, Self::Firewalld, Self::NftablesService];

    const fn name(self) -> &'static str {
        match self {
            Self::Ufw => "ufw",
            Self::Firewalld => "firewalld",
            Self::NftablesService => "nftables.service",
        }
    }

    const fn off(self) -> &'static str {
        match self {
            Self::Ufw => "ufw disable",
            Self::Firewalld => "systemctl disable --now firewalld",
            Self::NftablesService => "systemctl disable nftables",
        }
    }

    fn is_on(self, host: &dyn Host) -> bool {
        match self {
            Self::Ufw => {
                let conf = host.read(Path::new("/etc/ufw/ufw.conf")).unwrap_or_default();
                String::from_utf8_lossy(&conf).lines().any(|line| line.trim().eq_ignore_ascii_case("ENABLED=yes"))
            }
            Self::Firewalld => firewalld_runs(host) || is_enabled(host, "firewalld.service"),
            Self::NftablesService => is_enabled(host, "nftables.service"),
        }
    }
}

/// Refuses a host on which another one than `ours` is on too.
pub(crate) fn refuse_others(host: &dyn Host, ours: Active, what: &str) -> Outcome<()> {
    let Some(other) = Active::ALL.into_iter().find(|other| *other != ours && other.is_on(host)) else {
        return Ok(());
    };
    let (ours, other, off) = (ours.name(), other.name(), other.off());
    Err(Failure::new(what, format!("{ours} and {other} are both enabled, and overwrite each other's rules"))
        .hint(format!("keep only one of them, for example with `{off}`; then run bringup again")))
}

/// For a table of our own: refuses a host whose rules someone else manages by now.
pub(crate) fn refuse_any(host: &dyn Host, what: &str) -> Outcome<()> {
    let Some(other) = [Active::Ufw, Active::Firewalld].into_iter().find(|other| other.is_on(host)) else {
        return Ok(());
    };
    Err(Failure::new(what, format!("{} manages the firewall here", other.name()))
        .hint(format!("keep it, and the guide uses it; or turn it off with `{}`; then run bringup again", other.off())))
}

/// Whether systemd starts it at boot; where there is no systemd, an init script does.
pub(crate) fn is_enabled(host: &dyn Host, unit: &str) -> bool {
    let wanted = ["multi-user", "sysinit", "network-pre", "basic"];
    let by_systemd =
        wanted.iter().any(|target| exists(host, &format!("/etc/systemd/system/{target}.target.wants/{unit}")));
    let script = unit.trim_end_matches(".service");
    let links = |level: &str| host.list(Path::new(level)).unwrap_or_default();
    let starts = |name: &Path| {
        name.to_string_lossy()
            .strip_prefix('S')
            .is_some_and(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()) == script)
    };
    let by_script = !exists(host, "/run/systemd/system")
        && ["/etc/rcS.d", "/etc/rc2.d"].iter().any(|level| links(level).iter().any(|name| starts(name)));
    by_systemd || by_script
}

fn exists(host: &dyn Host, path: &str) -> bool {
    host.stat(Path::new(path)).ok().flatten().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    #[test]
    fn two_managers_are_one_too_many() {
        let host = FakeHost::new();
        host.put_file("/etc/ufw/ufw.conf", "ENABLED=yes\n", 0o644);
        assert!(refuse_others(&host, Active::Ufw, "x").is_ok());
        assert!(refuse_any(&host, "x").is_err());
        for (link, off) in [
            ("/etc/systemd/system/sysinit.target.wants/nftables.service", "systemctl disable nftables"),
            ("/etc/systemd/system/multi-user.target.wants/firewalld.service", "systemctl disable --now firewalld"),
        ] {
            host.put_file(link, "", 0o644);
            let told = refuse_others(&host, Active::Ufw, "x").err().and_then(|failure| failure.hint);
            assert!(told.as_ref().is_some_and(|hint| hint.contains(off)), "{told:?}");
            host.take_away(link);
        }
        assert!(
            refuse_others(&host, Active::Firewalld, "x")
                .is_err_and(|f| f.hint.is_some_and(|h| h.contains("ufw disable")))
        );
    }

    #[test]
    fn without_systemd_a_start_link_enables() {
        let host = FakeHost::new().without_systemd();
        assert!(!is_enabled(&host, "ufw.service"));
        host.put_file("/etc/rcS.d/S01ufw", "", 0o755);
        assert!(is_enabled(&host, "ufw.service"));
    }
}
