//! File systems of their own that hold a part of the system: people put /var, /opt or /usr on other disks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::hash::sha256_hex;

/// Where the kernel tells this process what is mounted (`proc_pid_mountinfo(5)`).
pub const MOUNTINFO: &str = "/proc/self/mountinfo";

/// Types of file systems on which a system is installed. Those of containers, networks and the kernel are not among them.
const LOCAL: &[&str] = &["bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "reiserfs", "tmpfs", "xfs", "zfs"];

/// Names in the path of a mount point: `/var/lib/postgresql` is one that an administrator made; deeper ones are those of
/// programs, such as a pod's volumes.
const DEEPEST: usize = 3;

/// The mount points below `/` of file systems that hold a part of the system, from the text of [`MOUNTINFO`].
pub fn points(mountinfo: &str) -> BTreeSet<PathBuf> {
    let point = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        LOCAL.contains(&after.split(' ').next()?).then_some(())?;
        let point = PathBuf::from(unescaped(before.split(' ').nth(4)?));
        let names = point.components().count() - 1;
        (1..=DEEPEST).contains(&names).then_some(point)
    };
    mountinfo.lines().filter_map(point).collect()
}

/// What distinguishes the inodes of one file system from those of others, whatever the device's number is after the
/// next boot. That of `/` is 0.
pub fn salt(point: &Path) -> u64 {
    if point == Path::new("/") {
        return 0;
    }
    let hash = sha256_hex(point.as_os_str().as_encoded_bytes());
    u64::from_str_radix(&hash[..16], 16).unwrap_or_default()
}

/// Blanks, tabs, line breaks and backslashes are octal there.
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (octal, plain)| text.replace(octal, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTED: &str = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
24 22 0:22 / /proc rw shared:12 - proc proc rw
30 22 8:2 / /var rw shared:2 - xfs /dev/sda2 rw
31 30 8:3 / /var/lib/my\\040data rw shared:3 - ext4 /dev/sda3 rw
32 30 0:50 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw
33 30 0:51 / /var/lib/kubelet/pods/x/volumes/y rw - tmpfs tmpfs rw
34 22 0:52 / /opt rw - nfs4 server:/opt rw
35 22 0:53 / /usr ro,relatime shared:4 master:1 - btrfs /dev/sda4 rw,subvol=/@usr
";

    #[test]
    fn partitions_of_the_system_are_told_from_those_of_containers_networks_and_the_kernel() {
        let expected = ["/usr", "/var", "/var/lib/my data"].map(PathBuf::from);
        assert_eq!(points(MOUNTED), expected.into());
        assert_eq!(points(""), BTreeSet::new());
    }

    #[test]
    fn inodes_of_two_file_systems_are_distinct() {
        assert_eq!(salt(Path::new("/")), 0);
        assert_ne!(salt(Path::new("/var")), salt(Path::new("/opt")));
    }
}
