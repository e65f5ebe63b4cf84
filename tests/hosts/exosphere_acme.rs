//! Exosphere's main server with a certificate of an authority, which is renewed: on the server, beside a site that was
//! there, and in a container.

use crate::acme::{Authority, NAME, from_the_authority, renew_in_time};
use crate::exosphere::{Cloud, public, shipped, upstream};
use crate::exosphere_containers::{IMAGE, docker_can_run, images};
use crate::host::{Host, nothing_left_to_do};
use crate::pair::install as packages;

/// A server that asks the authority's DNS, which knows the cloud and the server.
fn server(authority: &Authority, cloud: &Cloud) -> Host {
    let server = authority.server("trixie");
    authority.name(NAME, &server.address());
    authority.name("cloud.example.test", &cloud.address);
    server.write("/root/cloud-ca.pem", &cloud.authority());
    server
}

fn answers(authority: &Authority, name: &str, changes: &[(&str, &str)]) -> String {
    let tls = format!(
        "tls:\n  mode: acme\n  terms: true\n  directory: https://{}:14000/dir\n  authority: /root/authority.pem\nweb:\n",
        authority.address
    );
    let ours = [("exosphere.example.org", NAME), ("web:\n", &tls)];
    shipped(name, &[&ours, changes].concat())
}

#[track_caller]
fn certified_and_back(server: &Host, file: &str) {
    let before = server.manifest("before");
    let told = server.bringup(file).expect(0).both();
    assert!(told.contains("renewed, and served at once"), "{told}");
    from_the_authority(server);
    nothing_left_to_do(server, file);
    renew_in_time(server);
    server.exec(&["bringup", "verify", "--plain"]).expect(0);
    server.roll_back_all();
    server.assert_identical(&before);
}

#[test]
#[ignore = "needs root, test hosts and BRINGUP_TEST_EXOSPHERE: tests/run"]
fn exosphere_with_a_certificate_of_an_authority_beside_another_site() {
    let (Some(upstream), Some(authority)) = (upstream(), Authority::start()) else { return };
    let cloud = Cloud::start();
    let server = server(&authority, &cloud);
    public(&server, &upstream);
    packages(&server, "nginx curl");
    server.write(
        "/etc/nginx/sites-available/other",
        "server { listen 80; server_name other.example.test; return 200 'the other site'; }\n",
    );
    server.sh("ln -s ../sites-available/other /etc/nginx/sites-enabled/ && systemctl reload nginx").expect(0);
    let other = || server.sh("curl -s -H 'Host: other.example.test' http://127.0.0.1/").expect(0).stdout;
    assert_eq!(other(), "the other site");
    certified_and_back(&server, &answers(&authority, "prebuilt", &[]));
    assert_eq!(other(), "the other site");
}

#[test]
#[ignore = "needs root, test hosts and BRINGUP_TEST_EXOSPHERE: tests/run"]
fn exosphere_in_a_container_with_a_certificate_of_an_authority() {
    let (Some(upstream), Some(authority)) = (upstream(), Authority::start()) else { return };
    let cloud = Cloud::start();
    let server = server(&authority, &cloud);
    public(&server, &upstream);
    docker_can_run(&server);
    images(&server);
    certified_and_back(&server, &answers(&authority, "containers", &[("nginx:1.30.6", IMAGE)]));
}
