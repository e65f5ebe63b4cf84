//! Welcome, product, review, and what lies over pages.

use super::*;
use crate::host::Address;
use crate::host::fake::output;

/// A fresh Debian that is fit for everything.
fn fit() -> FakeHost {
    let host = FakeHost::new();
    host.on(&["getent", "ahosts", "--", "deb.debian.org"], |_, _| output(0, "192.0.2.80 STREAM\n", ""));
    host.answer(Address::Tcp("192.0.2.80:80".parse().unwrap()), |_| Vec::new());
    host.on(&["timedatectl", "show"], |_, _| output(0, "NTP=yes\nCanNTP=yes\nNTPSynchronized=yes\n", ""));
    host.put_file("/etc/resolv.conf", "nameserver 192.0.2.1\n", 0o644);
    host.put_file("/var/lib/apt/lists/deb.debian.org_debian_dists_bookworm_main_Packages", "", 0o644);
    host
}

fn on(host: &FakeHost, size: (u16, u16)) -> App {
    let look = Look { width: usize::from(size.0), unicode: true, colour: false };
    let mut app = App::new(Desk::new(look, true, load::heads()), size);
    settle_on(&mut app, host);
    app
}

#[test]
fn look() {
    for size in [(80, 24), (120, 40), (40, 12)] {
        let host = fit();
        let mut app = on(&host, size);
        println!("{}", screen(&app));
        press_on(&mut app, &host, "Enter");
        println!("{}", screen(&app));
        press_on(&mut app, &host, "Enter");
        app.place = Place::Review;
        app.resize(size.0, size.1);
        settle_on(&mut app, &host);
        println!("{}", screen(&app));
        press_on(&mut app, &host, "Enter");
        println!("{}", screen(&app));
        press_on(&mut app, &host, "Esc Down Down Down Down Down Down Down Enter");
        println!("{}", screen(&app));
        press_on(&mut app, &host, "Esc Tab");
        println!("{}", screen(&app));
        press_on(&mut app, &host, "s");
        println!("{}", screen(&app));
        press_on(&mut app, &host, "Esc F2");
        println!("{}", screen(&app));
        press_on(&mut app, &host, "Esc q");
        println!("{}", screen(&app));
    }
}
