//! The proxy that apt uses: its own configuration first, then the environment (apt-transport-http(1)).

use std::collections::BTreeMap;

use super::PATIENCE;
use crate::host::{Command, Host};

/// apt's proxy settings.
pub(crate) struct Proxies<'a> {
    host: &'a dyn Host,
    /// apt's settings; their names do not depend on case.
    settings: BTreeMap<String, String>,
}

impl<'a> Proxies<'a> {
    pub(crate) fn read(host: &'a dyn Host) -> Self {
        let dump = host.run(&Command::new(["apt-config", "dump"]).timeout(PATIENCE));
        let dump = dump.map(|output| output.text()).unwrap_or_default();
        Self { host, settings: dump.lines().filter_map(setting).collect() }
    }

    /// Host and port of the proxy on the way to `name`; none when the way is direct.
    pub(crate) fn on_the_way(&self, scheme: &str, name: &str) -> Option<(String, u16)> {
        let of = |suffix: &str| {
            // What is said for http holds for https too.
            let found = [scheme, "http"].into_iter().find_map(|scheme| {
                self.settings.get(&format!("acquire::{scheme}::{suffix}")).filter(|value| !value.is_empty())
            });
            found.cloned()
        };
        if let Some(own) = of(&format!("proxy::{}", name.to_lowercase())) {
            return address(&own);
        }
        let detected = of("proxy-auto-detect").or_else(|| of("proxyautodetect")).and_then(|program| {
            let ask = Command::new([program, format!("{scheme}://{name}/")]).timeout(PATIENCE);
            self.host.run(&ask).ok().map(|output| output.text()).filter(|answer| !answer.is_empty())
        });
        let proxy = detected.or_else(|| of("proxy")).or_else(|| {
            let secure = (scheme == "https").then(|| self.host.env("https_proxy")).flatten();
            secure.or_else(|| self.host.env("http_proxy")).filter(|value| !value.is_empty())
        })?;
        let direct = self.host.env("no_proxy").unwrap_or_default();
        let mut exempt = direct.split(',').map(str::trim).filter(|end| !end.is_empty());
        if exempt.any(|end| name.to_lowercase().ends_with(&end.to_lowercase())) {
            return None;
        }
        address(&proxy)
    }
}

/// `Acquire::http::Proxy "http://proxy:3128";`
fn setting(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(' ')?;
    Some((name.to_lowercase(), value.trim_end_matches(';').trim_matches('"').to_owned()))
}

/// Host and port of `http://user:password@proxy:3128/`; none for `DIRECT`.
fn address(proxy: &str) -> Option<(String, u16)> {
    if proxy.eq_ignore_ascii_case("direct") {
        return None;
    }
    let (scheme, rest) = proxy.split_once("://").unwrap_or(("http", proxy));
    let default = match scheme {
        "https" => 443,
        "http" => 80,
        _ => 1080,
    };
    authority(rest, default)
}

/// Host and port at the beginning of `user:password@host:port/path`.
pub(crate) fn authority(text: &str, default: u16) -> Option<(String, u16)> {
    let authority = text.split('/').next()?;
    let place = authority.rsplit('@').next()?;
    let (name, port) = match place.rsplit_once(':') {
        // An IPv6 address is in brackets because of its colons.
        Some((name, port)) if !port.contains(']') => (name, port.parse().ok()?),
        _ => (place, default),
    };
    (!name.is_empty()).then(|| (name.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::{FakeHost, output};

    fn way(host: &FakeHost, scheme: &str, name: &str) -> Option<String> {
        Proxies::read(host).on_the_way(scheme, name).map(|(name, port)| format!("{name}:{port}"))
    }

    fn configured(dump: &'static str) -> FakeHost {
        let host = FakeHost::new();
        host.on(&["apt-config", "dump"], move |_, _| output(0, dump, ""));
        host
    }

    #[test]
    fn apt_s_own_settings_win_over_the_environment() {
        let host = configured(
            "APT \"\";\nAcquire::http \"\";\nAcquire::HTTP::Proxy \"http://me:secret@cache:3142/\";\n\
             Acquire::http::Proxy::direct.example.org \"DIRECT\";\n",
        );
        host.set_env("http_proxy", "http://other:8080");
        assert_eq!(way(&host, "http", "deb.debian.org").as_deref(), Some("cache:3142"));
        assert_eq!(way(&host, "https", "deb.debian.org").as_deref(), Some("cache:3142"));
        assert_eq!(way(&host, "http", "direct.example.org"), None);
    }

    #[test]
    fn the_environment_counts_where_apt_is_told_nothing() {
        let host = FakeHost::new();
        assert_eq!(way(&host, "http", "deb.debian.org"), None);
        host.set_env("http_proxy", "[2001:db8::1]:8080");
        host.set_env("no_proxy", "localhost, .example.org");
        assert_eq!(way(&host, "https", "deb.debian.org").as_deref(), Some("[2001:db8::1]:8080"));
        assert_eq!(way(&host, "http", "mirror.Example.org"), None);
        host.set_env("https_proxy", "socks5h://tor");
        assert_eq!(way(&host, "https", "deb.debian.org").as_deref(), Some("tor:1080"));
    }

    #[test]
    fn a_program_that_finds_the_proxy_is_asked() {
        let host = configured("Acquire::http::Proxy-Auto-Detect \"/usr/bin/find-proxy\";\n");
        host.on(&["/usr/bin/find-proxy"], |_, command| {
            let found = if command.argv[1].contains("debian") { "http://found:3128\n" } else { "DIRECT\n" };
            output(0, found, "")
        });
        assert_eq!(way(&host, "http", "deb.debian.org").as_deref(), Some("found:3128"));
        assert_eq!(way(&host, "http", "example.org"), None);
    }
}
