//! `trial`: tries a program on a port of its own, before the service that visitors reach is restarted.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::action::contract::{Act, Context, Verdict};
use crate::error::{Failure, Outcome};
use crate::hash::sha256_hex;
use crate::host::Host;
use crate::progress::Progress;
use crate::system::net::http::{self, Request, Response};
use crate::system::net::wire;
use crate::system::service::{Manager, ServiceStep, Work, systemd};
use crate::undo::Undo;

/// Tries a program on a port of its own, before the service that visitors reach is restarted: a run that fails here has
/// kept nobody waiting.
///
/// An instance of a template unit is started, a page of it is requested until it answers as expected, and the instance
/// is stopped. Nothing of it stays. Only a service that runs is tried; the first start of one is its own trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// The service that it stands for (`shop.service`).
    pub service: String,
    /// The template unit (`shop-trial@.service`), whose instance is named by the port it is to listen on, at
    /// 127.0.0.1. It should end by itself after a while (`RuntimeMaxSec=`), for the case that this program is killed.
    pub unit: String,
    /// Ids of actions (`stage.action`) after whose change it is tried.
    pub after: Vec<String>,
    /// The page's path.
    #[serde(default = "root")]
    pub path: String,
    /// Headers of the request; `Host` among them where the name matters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Expected status.
    #[serde(default = "ok")]
    pub status: u16,
    /// Text that the page must contain.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub contains: String,
    /// Seconds that it may take until the page is as expected.
    #[serde(default = "one_minute")]
    pub timeout: u64,
}

fn root() -> String {
    "/".to_owned()
}

const fn ok() -> u16 {
    200
}

const fn one_minute() -> u64 {
    60
}

/// Ports that are tried: outside of those that the kernel gives to outgoing connections (ip(7), `ip_local_port_range`).
const PORTS: std::ops::Range<u16> = 20_000..30_000;
/// One that answers, but not as expected, may do so for this long after its first answer.
const SETTLED: Duration = Duration::from_secs(5);
/// Time between two requests.
const PAUSE: Duration = Duration::from_millis(50);

impl Act for Trial {
    fn describe(&self) -> String {
        format!("try {} as it is now beside the one that runs", self.service)
    }

    fn check(&self, cx: &Context<'_>) -> Outcome<Verdict> {
        let changed = self.after.iter().any(|id| (cx.changed)(id));
        if changed && Manager::Systemd.state(cx.host, &self.service)?.active {
            return Ok(Verdict::change(self.describe()));
        }
        Ok(Verdict::Unchanged)
    }

    fn prepare(&self, cx: &Context<'_>) -> Outcome<Vec<Undo>> {
        // Should this program be killed meanwhile: the port is the same as long as it is free.
        Ok(vec![Undo::Service {
            manager: Manager::Systemd.name().to_owned(),
            name: self.instance(self.port(cx.host)?),
            existed: true,
            was_active: false,
            was_enabled: false,
            steps: vec![ServiceStep::Start.verb().to_owned()],
            test: Vec::new(),
            restart_after: Vec::new(),
            reload_after: Vec::new(),
        }])
    }

    fn apply(&self, cx: &Context<'_>) -> Outcome<()> {
        let work = Work { host: cx.host, log: cx.log };
        let port = self.port(cx.host)?;
        let instance = self.instance(port);
        systemd::refresh(&work, &instance)?;
        let since = cx.host.now().sec;
        (cx.progress)(Progress::Note(format!("start {instance}")));
        let tried = systemd::perform(&work, &instance, ServiceStep::Start).and_then(|()| self.answers(cx, port));
        // What it said is in the journal, and its state is gone once it is stopped.
        let tried = tried.map_err(|failure| self.explained(cx.host, &instance, since, failure));
        let stopped = systemd::perform(&work, &instance, ServiceStep::Stop);
        systemd::forget_failure(&work, &instance);
        tried.and(stopped)
    }
}

impl Trial {
    fn instance(&self, port: u16) -> String {
        self.unit.replacen('@', &format!("@{port}"), 1)
    }

    /// The first port on which nothing listens, from a place of the unit's own.
    fn port(&self, host: &dyn Host) -> Outcome<u16> {
        let start = u16::from_str_radix(&sha256_hex(self.unit.as_bytes())[..4], 16).unwrap_or(0);
        let places = PORTS.end - PORTS.start;
        let free = |port: &u16| wire::connect(host, "127.0.0.1", *port).is_err();
        (0..100)
            .map(|step| PORTS.start + (start % places + step) % places)
            .find(free)
            .ok_or_else(|| Failure::new(self.describe(), "100 ports were tried, and something listens on each"))
    }

    /// Requests the page until it is as expected.
    fn answers(&self, cx: &Context<'_>, port: u16) -> Outcome<()> {
        let url = format!("http://127.0.0.1:{port}{}", self.path);
        (cx.progress)(Progress::Note(format!("request {}", self.path)));
        let headers: Vec<(String, String)> = self
            .headers
            .iter()
            .map(|(name, value)| Ok((name.clone(), cx.secrets.reveal(value)?)))
            .collect::<Outcome<_>>()?;
        let request =
            Request { method: "GET", url: &url, connect: "", trust: "", stand_in: "", headers: &headers, body: b"" };
        let instance = self.instance(port);
        let begun = cx.host.now();
        let mut patience = Duration::from_secs(self.timeout);
        loop {
            let why = match http::send(cx.host, &request) {
                Ok(response) => match self.wrong(&response) {
                    None => return Ok(()),
                    Some(why) => {
                        patience = patience.min(cx.host.now().since(begun) + SETTLED);
                        why
                    }
                },
                Err(failure) => failure.why,
            };
            // One that died is not waited for.
            if cx.host.now().since(begun) >= patience || !Manager::Systemd.state(cx.host, &instance)?.active {
                return Err(Failure::new(self.describe(), why));
            }
            cx.host.sleep(PAUSE);
        }
    }

    /// What is wrong with the page, if anything is.
    fn wrong(&self, page: &Response) -> Option<String> {
        if page.status != self.status {
            return Some(format!("{} answered {} instead of {}", self.path, page.status, self.status));
        }
        let missing = !String::from_utf8_lossy(&page.body).contains(&self.contains);
        missing.then(|| format!("{} answered without {:?}", self.path, self.contains))
    }

    fn explained(&self, host: &dyn Host, instance: &str, since: i64, failure: Failure) -> Failure {
        let what = self.describe();
        let said = || systemd::last_words(host, instance, Some(since));
        let failure = if failure.tail.is_empty() { failure.tail(said()) } else { failure };
        let failure = Failure { what, ..failure };
        failure
            .hint(format!("{} was not touched; `journalctl -u '{instance}'` shows the log of the trial", self.service))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::SocketAddr;

    use super::*;
    use crate::action::contract::Context;
    use crate::action::testing::Bench;
    use crate::host::Address;

    fn trial() -> Trial {
        serde_json::from_value(serde_json::json!({
            "service": "shop.service", "unit": "shop-trial@.service", "after": ["app.code"], "path": "/health",
            "headers": {"Host": "shop.example.test"}
        }))
        .unwrap()
    }

    /// A shop that runs, and whose next release answers with this status.
    fn bench(status: &'static str) -> (Bench, u16) {
        let bench = Bench::new();
        for unit in ["shop.service", "shop-trial@.service"] {
            bench.host.put_file(format!("/etc/systemd/system/{unit}"), "[Service]\nExecStart=/opt/shop/web\n", 0o644);
        }
        let port = trial().port(&bench.host).unwrap();
        let address: SocketAddr = format!("127.0.0.1:{port}").parse().unwrap();
        bench.host.listens(&trial().instance(port), &[address]);
        bench.host.answer(Address::Tcp(address), move |request| {
            let request = String::from_utf8_lossy(request);
            let heads = request.starts_with("GET /health HTTP/1.1\r\n") && request.matches("Host:").count() == 1;
            assert!(heads && request.contains("\r\nHost: shop.example.test\r\n"), "{request}");
            format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").into_bytes()
        });
        (bench, port)
    }

    fn verdict(bench: &Bench, changed: &str) -> Verdict {
        bench.with(|cx| trial().check(&Context { changed: &|id| id == changed, ..*cx })).unwrap()
    }

    #[test]
    fn only_what_runs_and_changes_is_tried() {
        let (bench, _) = bench("200 OK");
        assert_eq!(verdict(&bench, "app.code"), Verdict::Unchanged);
        bench.host.run(&crate::host::Command::new(["systemctl", "start", "shop.service"])).unwrap();
        assert_eq!(verdict(&bench, "web.site"), Verdict::Unchanged);
        assert!(matches!(verdict(&bench, "app.code"), Verdict::WouldChange(_)));
    }

    #[test]
    fn a_release_that_answers_passes_and_nothing_of_it_stays() {
        let (bench, port) = bench("200 OK");
        let before = bench.snapshot();
        bench.make(&trial());
        assert_eq!(before.differences(&bench.snapshot()), Vec::<String>::new());
        let told: Vec<String> = bench.host.commands().iter().map(|command| command.argv.join(" ")).collect();
        let instance = trial().instance(port);
        assert!(told.contains(&format!("systemctl start -- {instance}")), "{told:?}");
        assert!(told.contains(&format!("systemctl stop -- {instance}")), "{told:?}");
    }

    #[test]
    fn a_release_that_answers_with_an_error_fails_in_time_and_is_stopped() {
        let (bench, port) = bench("500 Oops");
        let begun = bench.host.now();
        let failure = bench.try_to_make(&trial()).err().unwrap();
        assert_eq!(failure.why, "/health answered 500 instead of 200");
        assert!(failure.hint.unwrap().contains("shop.service was not touched"));
        assert!(bench.host.now().since(begun) < Duration::from_secs(20));
        assert!(!Manager::Systemd.state(&bench.host, &trial().instance(port)).unwrap().active);
    }

    #[test]
    fn a_page_without_its_text_is_an_error_too() {
        let (bench, _) = bench("200 OK");
        let asked = Trial { contains: "Our shop".to_owned(), ..trial() };
        let failure = bench.try_to_make(&asked).err().unwrap();
        assert_eq!(failure.why, "/health answered without \"Our shop\"");
    }

    #[test]
    fn a_killed_program_leaves_a_trial_that_the_rollback_stops() {
        let (bench, port) = bench("200 OK");
        let records = bench.with(|cx| trial().prepare(cx)).unwrap();
        let instance = trial().instance(port);
        bench.host.run(&crate::host::Command::new(["systemctl", "start", &instance])).unwrap();
        let done = crate::action::testing::Done { records, written_hashes: BTreeMap::new() };
        bench.take_back(&done);
        assert!(!Manager::Systemd.state(&bench.host, &instance).unwrap().active);
        // Once it is over, there is nothing to tell.
        assert_eq!(bench.take_back(&done), [crate::undo::Undone::Nothing]);
    }

    #[test]
    fn a_port_in_use_is_passed_over() {
        let (bench, port) = bench("200 OK");
        bench.host.occupy("other", format!("127.0.0.1:{port}").parse().unwrap());
        assert_eq!(trial().port(&bench.host).unwrap(), port + 1);
        assert!(PORTS.contains(&port));
    }
}
