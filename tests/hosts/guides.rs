//! A custom guide: the one that `docs/guides.md` shows, from an empty directory to a page and back.

use crate::host::{Host, Init};

const RUN: &str = "bringup --plain --guide /root/hello --answers /root/hello.yaml";

#[test]
#[ignore = "needs root and test hosts"]
fn the_guide_that_the_reader_types_installs_and_is_rolled_back() {
    let host = Host::start("bookworm", Init::Systemd);
    let before = host.manifest("before");
    host.sh("cd /root && bringup guide new hello && bringup guide lint ./hello").expect(0);
    host.sh("bringup answers init /root/hello >/root/hello.yaml && bringup answers validate /root/hello.yaml --guide /root/hello")
        .expect(0);
    host.sh("bringup plan --guide /root/hello --answers /root/hello.yaml").expect(7);
    host.sh(RUN).expect(0);
    let page = "bash -c 'exec 3<>/dev/tcp/127.0.0.1/8080; printf \"GET / HTTP/1.0\\r\\n\\r\\n\" >&3; cat <&3'";
    assert!(host.sh(page).expect(0).stdout.contains("<p>It works</p>"));
    assert!(host.sh(RUN).expect(0).both().contains("Nothing to do"), "a second run has another plan");

    host.sh(&format!("{RUN} --set site.text='Salt & pepper'")).expect(0);
    assert!(host.sh(page).expect(0).stdout.contains("<p>Salt &amp; pepper</p>"));

    host.sh("sed -i 's/listen {{ site.port }}/listen {{ site.prot }}/' /root/hello/10-site.yaml").expect(0);
    let told = host.sh("bringup guide lint /root/hello").expect(1).both();
    assert!(told.contains("/root/hello/10-site.yaml:17:7: site.actions.nginx_conf.file.content"), "{told}");

    host.sh("bringup rollback --all --yes").expect(0);
    host.sh("rm -r /root/hello /root/hello.yaml").expect(0);
    host.assert_identical(&before);
}
