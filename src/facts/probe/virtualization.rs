//! KVM, and bridges for virtual machines.

use std::path::Path;

use super::text;
use crate::facts::Virtualization;
use crate::host::Host;

/// Where the kernel lists network interfaces.
const INTERFACES: &str = "/sys/class/net";

pub(super) fn find(host: &dyn Host) -> Virtualization {
    let exists = |path: &Path| host.stat(path).ok().flatten().is_some();
    let cpuinfo = text(host, "/proc/cpuinfo");
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    let cpu = ["vmx", "svm"].into_iter().find(|flag| flags.split_whitespace().any(|word| word == *flag));
    let module = |name: &str| text(host, format!("/sys/module/{name}/parameters/nested"));
    let nested = ["kvm_intel", "kvm_amd"].into_iter().any(|name| matches!(module(name).trim(), "Y" | "1"));
    let interfaces = host.list(Path::new(INTERFACES)).unwrap_or_default().into_iter();
    let names = interfaces.filter_map(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()));
    let mut bridges: Vec<String> =
        names.filter(|name| exists(&Path::new(INTERFACES).join(name).join("bridge"))).collect();
    bridges.sort_unstable();
    Virtualization { kvm: exists(Path::new("/dev/kvm")), cpu: cpu.unwrap_or_default().to_owned(), nested, bridges }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    #[test]
    fn kvm_the_processors_and_bridges_are_found() {
        let host = FakeHost::new();
        assert_eq!(find(&host), Virtualization::default());
        host.put_file("/proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu vme svm nx\n", 0o444);
        host.put_file("/sys/module/kvm_amd/parameters/nested", "1\n", 0o444);
        host.put_file("/sys/class/net/br0/bridge/bridge_id", "", 0o444);
        host.put_file("/sys/class/net/eth0/address", "", 0o444);
        let found = find(&host);
        assert_eq!((found.kvm, found.cpu.as_str(), found.nested), (false, "svm", true));
        assert_eq!(found.bridges, ["br0"]);
        host.put_file("/dev/kvm", "", 0o660);
        assert!(find(&host).kvm);
    }
}
