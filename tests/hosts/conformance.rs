//! The host in memory behaves as Debian does: what `tests/integration/conformance` asserts of it is asserted here of a
//! real host, by this very program started again on it.

#[path = "../integration/conformance/debian.rs"]
mod debian;

use bringup::host::real::RealHost;

use crate::host::{Host, Init};

const INSIDE: &str = "BRINGUP_TEST_INSIDE";
const NAME: &str = "conformance::accounts_packages_and_services_of_a_real_debian";

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn accounts_packages_and_services_of_a_real_debian() {
    if std::env::var_os(INSIDE).is_some() {
        return debian::agrees(&RealHost::new());
    }
    let host = Host::start("bookworm", Init::Systemd);
    host.push(&std::env::current_exe().unwrap(), "/root/tests");
    let argv = ["/root/tests", "--ignored", "--exact", NAME, "--nocapture"];
    let ended = host.exec_env(&[&format!("{INSIDE}=yes")], &argv).expect(0);
    assert!(ended.stdout.contains("1 passed"), "{}", ended.both());
}
