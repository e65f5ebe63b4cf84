#![allow(clippy::unwrap_used)]

use super::*;
use crate::action::testing::Bench;
use crate::host::Meta;
use crate::host::fake::{Package, output};

const FILE: &str = "/srv/shop.deb";

/// A host on which the file holds this package in this version, and apt knows that it needs perl. apt's own name for it
/// is the file's.
fn bench(package: &'static str, version: &'static str) -> Bench {
    let bench = Bench::new();
    bench.host.put_file(FILE, "", 0o644);
    bench.host.offer(Package::new("perl", "5.36"));
    bench.host.offer(Package::new(FILE, version).depends(&["perl"]));
    bench.host.on(&["dpkg-deb", "--show"], move |_, _| output(0, &format!("{package} {version}"), ""));
    bench
}

fn shop(package: &str) -> Deb {
    Deb { package: package.to_owned(), file: FILE.into() }
}

#[test]
fn it_is_installed_with_what_it_needs_and_both_go() {
    let bench = bench(FILE, "1.0");
    let act = shop(FILE);
    assert_eq!(bench.summary(&act), format!("install {FILE} from {FILE}"));
    let before = bench.host.packages();
    let done = bench.make(&act);
    assert_eq!(bench.check(&act).unwrap(), Verdict::Unchanged);
    assert!(bench.host.packages().contains_key("perl"), "{:?}", bench.host.packages());
    // The file is needed once.
    bench.host.take_away(FILE);
    assert_eq!(bench.check(&act).unwrap(), Verdict::Unchanged);
    bench.take_back(&done);
    assert_eq!(bench.host.packages(), before);
}

#[test]
fn another_version_replaces_the_installed_one() {
    let bench = bench(FILE, "1.0");
    bench.make(&shop(FILE));
    bench.host.on(&["dpkg-deb", "--show"], |_, _| output(0, &format!("{FILE} 2.0"), ""));
    assert_eq!(bench.summary(&shop(FILE)), format!("install {FILE} 2.0 instead of 1.0 from {FILE}"));
}

#[test]
fn another_package_and_none_are_refused() {
    let failure = bench("shop-extras", "1.0").try_to_make(&shop("shop")).err().unwrap();
    assert!(failure.why.contains("another package, shop-extras 1.0"), "{failure}");
    let broken = bench("shop", "1.0");
    broken.host.on(&["dpkg-deb", "--show"], |_, _| output(2, "", "not a Debian format archive"));
    let failure = broken.try_to_make(&shop("shop")).err().unwrap();
    assert!(failure.why.contains("no Debian package"), "{failure}");
    // An earlier action may make the file.
    broken.host.take_away(FILE);
    assert_eq!(broken.summary(&shop("shop")), format!("install shop from {FILE}"));
}

#[test]
fn a_file_that_another_user_can_exchange_is_refused() {
    let refused = |change: &dyn Fn(&Bench)| {
        let bench = bench(FILE, "1.0");
        change(&bench);
        let failure = bench.try_to_make(&shop(FILE)).err().unwrap();
        assert!(!bench.host.packages().contains_key("perl"));
        failure.why
    };
    let why = refused(&|bench| bench.host.put_file(FILE, "", 0o664));
    assert!(why.contains("users other than root can change /srv/shop.deb"), "{why}");
    let why = refused(&|bench| bench.host.set_meta(Path::new("/srv"), Meta::root(0o777)).unwrap());
    assert!(why.contains("users other than root can change /srv"), "{why}");
    let why = refused(&|bench| {
        bench.host.take_away(FILE);
        bench.host.make_symlink(Path::new(FILE), Path::new("/home/else/shop.deb")).unwrap();
    });
    assert!(why.contains("not a regular file"), "{why}");
}
