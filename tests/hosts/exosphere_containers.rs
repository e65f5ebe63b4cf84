//! Exosphere's main server with nginx in a container: the same as without one, and Docker goes with it.
//!
//! No registry is within reach: the image is made of a Debian with nginx, as `docker save` writes it.

use crate::crashes::killed_and_resumed;
use crate::exosphere::{Cloud, begin, redirects, shipped, works};
use crate::host::{Host, Init, moved, nothing_left_to_do, open_from_outside};
use crate::pair::install as packages;

pub const IMAGE: &str = "registry.example.org/nginx:1.26.3";
const NEXT: &str = "registry.example.org/nginx:1.26.4";
/// What the image leaves out of a Debian.
const LEFT_OUT: &str = "for dir in proc sys dev run tmp var/cache var/lib/apt var/log usr/share/doc usr/share/man \
                        usr/share/locale root boot; do echo --exclude=./$dir; done";

/// A unit of Docker in a test host: the host has the cgroups of version 1, which are not its own.
const CGROUPS: &str = "\
#!/bin/sh
exec unshare -m --propagation slave sh -c '
    umount -R -l /sys/fs/cgroup
    mount -t cgroup2 cgroup2 /sys/fs/cgroup || exit 1
    exec \"$@\"' sh \"$@\"
";

/// Lets Docker, once it is installed, run containers in a test host.
pub fn docker_can_run(host: &Host) {
    host.write("/usr/local/sbin/in-cgroup2", CGROUPS);
    host.sh("chmod 0755 /usr/local/sbin/in-cgroup2 && cd /etc/systemd/system && \
         mkdir docker.service.d containerd.service.d && printf '[Service]\\nExecStart=\\nExecStart=%s\\n' \
         '/usr/local/sbin/in-cgroup2 /usr/bin/containerd' > containerd.service.d/test.conf && \
         printf '[Service]\\nExecStart=\\nExecStart=%s\\nEnvironment=DOCKER_ALLOW_IPV6_ON_IPV4_INTERFACE=1\\n' \
         '/usr/local/sbin/in-cgroup2 /usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock' \
         > docker.service.d/test.conf && systemctl daemon-reload")
        .expect(0);
}

/// Puts two archives of images on the server, `nginx.tar` and `next.tar` in /root.
pub fn images(server: &Host) {
    let maker = Host::start("trixie", Init::Systemd);
    packages(&maker, "nginx libnginx-mod-http-js");
    maker
        .sh(&format!("cd / && tar -c --one-file-system $({LEFT_OUT}) -f /root/layer.tar . && cd /root && \
             sum=$(sha256sum < layer.tar | cut -c -64) && \
             for pair in 'nginx {IMAGE}' 'next {NEXT}'; do set -- $pair; \
             printf '{{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{{\"Env\":[\"OF=%s\"]}},\"rootfs\":{{\"type\":\
             \"layers\",\"diff_ids\":[\"sha256:%s\"]}}}}' $1 $sum > config.json && \
             printf '[{{\"Config\":\"config.json\",\"RepoTags\":[\"%s\"],\"Layers\":[\"layer.tar\"]}}]' $2 > manifest.json && \
             tar -cf $1.tar manifest.json config.json layer.tar || exit; done"))
        .expect(0);
    for name in ["nginx.tar", "next.tar"] {
        let here = server.scratch().join(name);
        maker.pull(&format!("/root/{name}"), &here);
        server.push(&here, &format!("/root/{name}"));
    }
}

fn begin_with_images() -> Option<(Host, Cloud)> {
    let (server, cloud) = begin("trixie")?;
    docker_can_run(&server);
    images(&server);
    Some((server, cloud))
}

fn answers(changes: &[(&str, &str)]) -> String {
    let ours = [("nginx:1.30.6", IMAGE)];
    shipped("containers", &[&ours, changes].concat())
}

/// All the way, an update and a reboot, and back to the server as it was.
#[test]
#[ignore = "needs root, test hosts and BRINGUP_TEST_EXOSPHERE: tests/run"]
fn exosphere_in_a_container_and_back() {
    let Some((server, cloud)) = begin_with_images() else { return };
    let before = server.manifest("before");
    // A boot gives the network card another number.
    let rules = || {
        let links = "ip -o -brief link | sed 's/@if[0-9]*//'";
        server.sh(&format!("nft list ruleset 2>/dev/null; {links}; cat /proc/sys/net/ipv4/ip_forward")).stdout
    };
    let network = rules();
    let file = answers(&[]);
    server.bringup(&file).expect(0);
    nothing_left_to_do(&server, &file);
    works(&server, &cloud);
    server.assert_confined();
    let ports: Vec<u16> = (1..1024).chain([2375, 2376, 3306, 5000, 8080, 8443]).collect();
    assert_eq!(open_from_outside(&server, &ports), [80, 443]);
    server.sh("! ip link show docker0 && ! nft list ruleset | grep -i docker").expect(0);

    server.cut();
    server.boot();
    cloud.host.sh("ip neigh flush all").expect(0);
    server.exec(&["bringup", "verify", "--plain"]).expect(0);
    works(&server, &cloud);
    nothing_left_to_do(&server, &file);

    // One that ends is started again.
    server
        .sh("docker kill exosphere > /dev/null && for i in $(seq 300); do sleep 0.1; \
         systemctl -q is-active exosphere && exit; done; exit 1")
        .expect(0);
    works(&server, &cloud);

    // Another answer of the site is loaded without a restart; another image takes the place of the first one.
    let with = file.replace("web:\n", "oidc:\n  enable: true\nweb:\n");
    let told = server.bringup(&with).expect(0).both();
    assert_eq!(moved(&told), ["reload exosphere.service"], "{told}");
    redirects(&server, &cloud);
    let of = || server.sh("docker inspect --format '{{.Config.Env}}' exosphere").expect(0).stdout;
    assert_eq!(of(), "[OF=nginx]\n");
    let next = with.replace(IMAGE, NEXT).replace("/root/nginx.tar", "/root/next.tar");
    let told = server.bringup(&next).expect(0).both();
    assert_eq!(moved(&told), ["restart exosphere.service"], "{told}");
    assert_eq!(of(), "[OF=next]\n");
    nothing_left_to_do(&server, &next);
    works(&server, &cloud);
    server.exec(&["bringup", "rollback", "--yes", "--plain"]).expect(0);
    assert_eq!(of(), "[OF=nginx]\n");
    redirects(&server, &cloud);
    // The other way of running nginx is refused while this one is in place.
    let native =
        with.replace("  way: containers\n", "").replace("containers:\n  image:", "#").replace("  archive:", "#");
    let told = server.bringup(&native).expect(1).words();
    assert!(told.contains("no container serves Exosphere here"), "{told}");

    // What others keep in Docker is not lost with it.
    server.sh("docker volume create shop").expect(0);
    let told = server.exec(&["bringup", "rollback", "--all", "--yes", "--plain"]).expect(4).words();
    assert!(told.contains("the run did not create /var/lib/docker/volumes/shop"), "{told}");
    server.sh("rm -r /var/lib/docker/volumes/shop").expect(0);

    server.roll_back_all();
    server.assert_identical(&before);
    assert_eq!(rules(), network);
}

/// A Docker of others, with a container that publishes a port, stays as it is.
#[test]
#[ignore = "needs root, test hosts and BRINGUP_TEST_EXOSPHERE: tests/run"]
fn exosphere_in_a_container_beside_those_of_others() {
    let Some((server, cloud)) = begin_with_images() else { return };
    packages(&server, "docker.io docker-cli");
    server
        .sh("docker load -q -i /root/next.tar && docker run --detach --name other --publish 8080:80 --restart always \
             --tmpfs /run --tmpfs /var/log/nginx --tmpfs /var/lib/nginx registry.example.org/nginx:1.26.4 nginx -g 'daemon off;'")
        .expect(0);
    let state = || {
        let rules = "iptables-save | grep -v '^#' | sed 's/\\[[0-9:]*\\]//'";
        server
            .sh(&format!(
                "docker inspect --format '{{{{.Id}}}} {{{{.State.StartedAt}}}}' other; docker images --quiet --no-trunc; \
                 docker network ls --quiet; docker volume ls --quiet; systemctl show -p MainPID docker; {rules}"
            ))
            .expect(0)
            .stdout
    };
    assert_eq!(open_from_outside(&server, &[80, 443, 8080]), [8080]);
    let before = server.manifest("before");
    let others = state();
    let file = answers(&[("web:\n", "firewall:\n  manage: false\nweb:\n")]);
    server.sh("docker create --name exosphere registry.example.org/nginx:1.26.4 true").expect(0);
    let told = server.bringup(&file).expect(1).words();
    assert!(told.contains("nothing else is called exosphere in Docker"), "{told}");
    server.sh("docker rm exosphere").expect(0);

    server.bringup(&file).expect(0);
    nothing_left_to_do(&server, &file);
    works(&server, &cloud);
    assert_eq!(open_from_outside(&server, &[80, 443, 8080]), [80, 443, 8080]);
    server.roll_back_all();
    assert_eq!(state(), others);
    assert_eq!(open_from_outside(&server, &[80, 443, 8080]), [8080]);
    // Docker's own records change while it runs.
    let difference = server.difference(&before);
    let ours: Vec<&str> = difference
        .lines()
        .filter(|line| !line.contains("/var/lib/docker/") && !line.contains("/var/lib/containerd/"))
        .collect();
    assert!(ours.is_empty(), "{ours:#?}");
}

#[test]
#[ignore = "needs root, test hosts and BRINGUP_TEST_EXOSPHERE: tests/run"]
fn exosphere_in_a_container_killed_at_twenty_boundaries() {
    let Some((server, _cloud)) = begin_with_images() else { return };
    killed_and_resumed(&server, &[], &answers(&[]), &["bringup", "rollback", "--all", "--yes", "--plain"]);
}
