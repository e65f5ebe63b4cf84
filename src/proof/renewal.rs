//! `renewal`: a certificate that certbot keeps is renewed, and the web server then shows the new one.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Failure, Outcome};
use crate::host::{Command, Host};
use crate::proof::{Context, NOT_TRIED, Prove};
use crate::system::net::{tls, wire};

/// A certificate that certbot keeps is renewed, and the web server then shows the new one.
///
/// It is tried once: each try is a certificate that the authority issues. Where that counts, as with Let's Encrypt,
/// the renewal is rehearsed with its staging server instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renewal {
    /// The host name, under which certbot keeps the certificate.
    pub name: String,
    /// Connect here to see the certificate.
    pub connect: String,
    /// The port of https.
    pub port: u16,
    /// Whether the renewal is only tried, with the authority's staging server.
    #[serde(rename = "rehearse", alias = "dry_run", default)]
    pub dry_run: bool,
    /// How long it may take: it asks the authority, and waits for its answer.
    #[serde(default = "seconds")]
    pub seconds: u64,
}

const fn seconds() -> u64 {
    300
}

/// What renews certificates, twice a day.
const TIMER: &str = "certbot.timer";
const SERVICE: &str = "certbot.service";
/// A reload lets the old workers finish: new ones show the new certificate within so many seconds.
const RELOAD: u32 = 15;

impl Prove for Renewal {
    fn describe(&self) -> String {
        format!("the certificate of {} can be renewed", self.name)
    }

    fn prove(&self, cx: &Context<'_>) -> Outcome<String> {
        let settings = format!("/etc/letsencrypt/renewal/{}.conf", self.name);
        let there = cx.host.stat(settings.as_ref()).map_err(|e| Failure::new(format!("look at {settings}"), e))?;
        if there.is_none() {
            return Ok(format!(
                "{NOT_TRIED}the certificate is self-signed until `bringup tls retry` gets one that can be renewed"
            ));
        }
        self.timer_runs(cx.host)?;
        if self.dry_run {
            self.renew(cx.host, "--dry-run")?;
            return Ok("rehearsed with the authority's staging server; certbot.timer does it in time".to_owned());
        }
        let before = self.served(cx.host)?;
        self.renew(cx.host, "--force-renewal")?;
        for _ in 0..RELOAD {
            let now = self.served(cx.host)?;
            if now != before {
                return Ok(format!(
                    "renewed, and served at once: serial {} before, {} now",
                    short(&before),
                    short(&now)
                ));
            }
            cx.host.sleep(Duration::from_secs(1));
        }
        let why = format!("it was renewed, but port {} still shows the old one after {RELOAD} s", self.port);
        Err(Failure::new(self.what(), why)
            .hint("see `renew_hook` in the settings of the renewal, and the web server's log"))
    }

    fn retry_for(&self) -> Duration {
        Duration::ZERO
    }
}

impl Renewal {
    fn what(&self) -> String {
        format!("renew the certificate of {}", self.name)
    }

    fn timer_runs(&self, host: &dyn Host) -> Outcome<()> {
        let output = host
            .run(&Command::new(["systemctl", "is-active", TIMER]))
            .map_err(|e| Failure::new(format!("ask about {TIMER}"), e))?;
        if output.ok() {
            return Ok(());
        }
        Err(Failure::new(self.what(), format!("{TIMER}, which renews it, is {}", output.text()))
            .hint(format!("systemctl enable --now {TIMER}")))
    }

    /// Renews it as the timer does, with the same environment.
    fn renew(&self, host: &dyn Host, how: &str) -> Outcome<()> {
        let argv =
            ["certbot", "renew", "--non-interactive", "--no-random-sleep-on-renew", "--cert-name", &self.name, how];
        let mut command = Command::new(argv).timeout(Duration::from_secs(self.seconds));
        let ask = Command::new(["systemctl", "show", "--value", "--property", "Environment", SERVICE]);
        let environment = host.run(&ask).map_err(|e| Failure::new(format!("ask about {SERVICE}"), e))?.text();
        for (name, value) in environment.split_whitespace().filter_map(|pair| pair.split_once('=')) {
            command = command.env(name, value);
        }
        let output = host.run(&command).map_err(|e| Failure::new(self.what(), e))?;
        if output.ok() {
            return Ok(());
        }
        Err(Failure::new(self.what(), format!("`certbot renew {how}` ended with status {}", output.status))
            .tail(output.tail(15))
            .hint("see /var/log/letsencrypt/letsencrypt.log"))
    }

    /// The serial number of the certificate that is shown now.
    fn served(&self, host: &dyn Host) -> Outcome<String> {
        let what = || format!("see the certificate of {} at {}:{}", self.name, self.connect, self.port);
        let (stream, _) = wire::connect(host, &self.connect, self.port)?;
        let config = tls::unverified().map_err(|e| Failure::new(what(), e))?;
        let stream = tls::protect(config, &self.name, stream).map_err(|e| Failure::new(what(), e))?;
        let shown = stream.conn.peer_certificates().and_then(|chain| chain.first());
        let parsed = shown.and_then(|cert| x509_parser::parse_x509_certificate(cert).ok());
        parsed
            .map(|(_, cert)| cert.raw_serial_as_string())
            .ok_or_else(|| Failure::new(what(), "it shows none that can be read"))
    }
}

/// The end of a serial number, which is random throughout.
fn short(serial: &str) -> &str {
    serial.get(serial.len().saturating_sub(11)..).unwrap_or(serial)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::host::fake::{FakeHost, output};
    use crate::secret::Secrets;

    const SETTINGS: &str = "/etc/letsencrypt/renewal/app.example.org.conf";

    fn proof(dry_run: bool) -> Renewal {
        Renewal { name: "app.example.org".into(), connect: "127.0.0.1".into(), port: 443, dry_run, seconds: seconds() }
    }

    fn prove(host: &FakeHost, dry_run: bool) -> Outcome<String> {
        proof(dry_run).prove(&Context { host, secrets: &Secrets::default() })
    }

    #[test]
    fn without_a_certificate_of_the_authority_nothing_is_asked() {
        let host = FakeHost::new();
        let evidence = prove(&host, false).unwrap();
        assert!(evidence.starts_with(NOT_TRIED) && evidence.contains("bringup tls retry"), "{evidence}");
        assert!(host.commands().is_empty());
    }

    #[test]
    fn a_rehearsal_has_the_environment_of_the_timers_service_and_leaves_the_certificate() {
        let host = FakeHost::new();
        host.put_file(SETTINGS, "", 0o644);
        host.on(&["systemctl", "is-active"], |_, _| output(0, "active\n", ""));
        host.on(&["systemctl", "show"], |_, _| output(0, "REQUESTS_CA_BUNDLE=/etc/ssl/trust.pem A=b\n", ""));
        host.on(&["certbot"], |_, command| output(i32::from(!command.argv.contains(&"--dry-run".to_owned())), "", ""));
        assert!(prove(&host, true).unwrap().contains("rehearsed"));
        let renewed = host.commands().into_iter().rfind(|command| command.argv[0] == "certbot").unwrap();
        let expected = [("REQUESTS_CA_BUNDLE", "/etc/ssl/trust.pem"), ("A", "b")];
        assert_eq!(renewed.env, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_timer_that_does_not_run_and_a_renewal_that_fails_are_told() {
        let host = FakeHost::new();
        host.put_file(SETTINGS, "", 0o644);
        host.on(&["systemctl", "is-active"], |_, _| output(3, "inactive\n", ""));
        assert!(prove(&host, true).unwrap_err().why.contains("certbot.timer, which renews it, is inactive"));
        host.on(&["systemctl", "is-active"], |_, _| output(0, "active\n", ""));
        host.on(&["systemctl", "show"], |_, _| output(0, "", ""));
        host.on(&["certbot"], |_, _| output(1, "", "no luck\n"));
        let failure = prove(&host, true).unwrap_err();
        assert!(failure.why.contains("ended with status 1") && failure.tail == ["no luck"], "{failure:?}");
    }
}
