//! Whose process one is, by its control group (cgroups(7)).

/// The control group of a process, systemd's or that of the unified hierarchy, in the text of `/proc/PID/cgroup`. That of
/// a process that has just ended may already be removed, which the kernel appends to its name ("Control Group v2", the
/// kernel's documentation).
pub fn find(text: &str) -> Option<String> {
    let of = |prefix: &str| text.lines().find_map(|line| Some(line.split_once(prefix)?.1));
    let group = of(":name=systemd:").or_else(|| text.lines().find_map(|line| line.strip_prefix("0::")))?;
    Some(group.strip_suffix(" (deleted)").unwrap_or(group).to_owned())
}

/// The system service that a control group belongs to. SSH's and the user managers' are those of people.
pub fn service(group: &str) -> Option<String> {
    let below = group.split_once("/system.slice/")?.1;
    let unit = below.split('/').rfind(|part| part.ends_with(".service"))?;
    let of_people = ["ssh.service", "sshd.service", "cron.service", "atd.service"].contains(&unit);
    (!of_people && !unit.starts_with("ssh@")).then(|| unit.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_told_from_people() {
        assert_eq!(service("/system.slice/nginx.service"), Some("nginx.service".to_owned()));
        let cluster = "/system.slice/system-postgresql.slice/postgresql@15-main.service";
        assert_eq!(service(cluster), Some("postgresql@15-main.service".to_owned()));
        assert_eq!(service("/system.slice/ssh.service"), None);
        assert_eq!(service("/user.slice/user-0.slice/session-3.scope"), None);
        assert_eq!(service("/../.."), None);
    }

    #[test]
    fn a_service_that_has_just_ended_is_that_service() {
        let of = |text: &str| find(text).and_then(|group| service(&group));
        let ended = "0::/system.slice/unattended-upgrades.service (deleted)\n";
        assert_eq!(of(ended), Some("unattended-upgrades.service".to_owned()));
        let hybrid = "2:cpu:/\n1:name=systemd:/system.slice/nginx.service (deleted)\n0::/system.slice/nginx.service\n";
        assert_eq!(of(hybrid), Some("nginx.service".to_owned()));
        assert_eq!(of("0::/user.slice/user-0.slice/session-3.scope (deleted)\n"), None);
    }
}
