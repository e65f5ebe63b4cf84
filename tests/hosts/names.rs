//! Things with the planned names that belong to others: refused and untouched, or handed over and restored.

use crate::host::{Host, Init, answers};

/// Everything that is not ours and yet has our names.
const THEIRS: &str = "useradd --system --home-dir /srv/shop --shell /bin/sh --user-group shop && \
    mkdir -p /etc/shop /srv/shop && echo 1 > /etc/shop/theirs.conf && \
    printf '[Service]\nUser=shop\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n' \
    > /etc/systemd/system/shop.service && systemctl enable --now shop.service";

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn what_somebody_else_runs_is_refused_or_taken_over_and_comes_back() {
    let host = Host::start("bookworm", Init::Systemd);
    host.sh(THEIRS).expect(0);
    let before = host.manifest("before");
    let pid = || host.exec(&["systemctl", "show", "--value", "-p", "MainPID", "shop.service"]).expect(0).stdout;
    let runs = pid();
    let shop = answers(&[("application.name", "shop"), ("firewall.manage", "false"), ("upkeep.backup", "false")]);

    // Refused, by the run as by those who only look, and nothing has moved.
    let told = host.bringup(&shop).expect(1).both();
    for what in [
        "the user shop already exists",
        "the directory /etc/shop already exists (one entry in it)",
        "the unit shop.service already exists (/etc/systemd/system/shop.service, and it is running)",
        "--take-over unit:shop.service",
    ] {
        assert!(told.contains(what), "{what}: {told}");
    }
    let looked = host.exec(&["bringup", "plan", "--answers", "/tmp/answers.yaml"]).expect(1).both();
    assert!(looked.contains("the unit shop.service already exists"), "{looked}");
    host.exec(&["bringup", "answers", "validate", "/tmp/answers.yaml"]).expect(1);
    for name in ["dbus", "cron"] {
        let told = host.bringup(&answers(&[("application.name", name), ("firewall.manage", "false")])).expect(1).both();
        assert!(told.contains(name) && told.contains("application.name"), "{told}");
    }
    host.assert_identical(&before);
    assert_eq!(pid(), runs, "it went on undisturbed");

    // Handed over it becomes ours, and comes back.
    host.write("/tmp/answers.yaml", &shop);
    let run = "bringup --plain --answers /tmp/answers.yaml --take-over unit:shop.service --take-over user:shop \
               --take-over /etc/shop";
    host.sh(run).expect(0);
    assert!(host.exec(&["systemctl", "cat", "shop.service"]).expect(0).stdout.contains("/opt/shop/bin/web"));
    assert!(host.bringup(&shop).expect(0).both().contains("Nothing"), "a second run finds its own");
    host.exec(&["bringup", "rollback", "--all", "--yes", "--drop-data", "--plain"]).expect(0);
    host.assert_identical(&before);
    host.exec(&["systemctl", "is-active", "shop.service"]).expect(0);
    let command = host.sh("tr '\\0' ' ' < /proc/$(systemctl show --value -p MainPID shop.service)/cmdline").expect(0);
    assert!(command.stdout.contains("sleep infinity"), "{}", command.stdout);
}
