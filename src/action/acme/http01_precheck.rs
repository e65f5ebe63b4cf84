//! Whether the name resolves to this server and port 80 answers, or is free, before an authority counts a failure.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::Acme;
use crate::action::contract::Context;
use crate::error::{Failure, Outcome};
use crate::facts::probe::ssh;
use crate::hash::sha256_hex;
use crate::host::{Command, Host, Meta};
use crate::progress::Progress;
use crate::system::net::http::{self, Request};
use crate::system::paths;

/// A web server that was just reloaded may need this many seconds.
const TRIES: u32 = 5;

/// Fetches a file from the directory of challenges at every address of a name.
pub fn leads_here(cx: &Context<'_>, acme: &Acme, name: &str) -> Outcome<()> {
    let addresses = addresses(cx.host, name)?;
    let token = Token::lay(cx, acme)?;
    let result = addresses.iter().try_for_each(|address| token.fetch(cx, name, *address));
    token.remove(cx.host);
    result
}

/// Whether certbot can answer on port 80 itself, and whether the names resolve. That they resolve to this server cannot
/// be tested while nothing answers.
pub fn is_free(host: &dyn Host, acme: &Acme) -> Outcome<()> {
    acme.hosts().try_for_each(|name| addresses(host, name).map(drop))?;
    let held = ssh::listening(host).into_iter().find(|(at, ..)| at.port() == 80);
    let Some((_, _, program)) = held else { return Ok(()) };
    let program = if program.is_empty() { "another program" } else { &program };
    Err(Failure::new("answer the authority on port 80", format!("{program} already listens on that port"))
        .hint("let the web server answer the challenge (tls.challenge: http), or stop that program"))
}

/// The addresses of the name in the DNS, also those of a family that this server does not have. `/etc/hosts` is
/// ignored: the authority does not read ours.
fn addresses(host: &dyn Host, name: &str) -> Outcome<Vec<IpAddr>> {
    let what = || format!("resolve {name}");
    let mut addresses: Vec<IpAddr> = Vec::new();
    // Debian 11's `getent` lacks the option, and leaves out families for which this server has no address.
    for option in [&["--no-addrconfig"][..], &[]] {
        let argv = [&["getent", "-s", "dns"], option, &["ahosts", name]].concat();
        let command = Command::new(argv).timeout(Duration::from_secs(30));
        let output = host.run(&command).map_err(|e| Failure::new(what(), e))?;
        for line in output.text().lines() {
            let Some(Ok(address)) = line.split_whitespace().next().map(str::parse) else { continue };
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if output.ok() {
            break;
        }
    }
    if addresses.is_empty() {
        return Err(Failure::new(what(), format!("the DNS has no address for {name}"))
            .hint("add this server's public address to the DNS zone, and wait until it resolves"));
    }
    Ok(addresses)
}

/// A file that only this web server has.
struct Token {
    name: String,
    text: String,
    path: PathBuf,
    /// Directories that were created for it, outermost first.
    made: Vec<PathBuf>,
}

impl Token {
    fn lay(cx: &Context<'_>, acme: &Acme) -> Outcome<Self> {
        let mut bytes = [0; 12];
        cx.host.random(&mut bytes).map_err(|e| Failure::new("generate a random name", e))?;
        let text = sha256_hex(&bytes);
        let name = format!("bringup-{text}");
        let path = acme.webroot.join(".well-known/acme-challenge").join(&name);
        let made = paths::missing_parents(cx.host, &path)?;
        paths::make_parents(cx.host, &path)?;
        cx.host
            .write(&path, text.as_bytes(), Meta::root(0o644))
            .map_err(|e| Failure::new(format!("write {}", path.display()), e))?;
        Ok(Self { name, text, path, made })
    }

    fn fetch(&self, cx: &Context<'_>, host: &str, address: IpAddr) -> Outcome<()> {
        let url = format!("http://{host}/.well-known/acme-challenge/{}", self.name);
        let connect = address.to_string();
        let request =
            Request { method: "GET", url: &url, connect: &connect, trust: "", stand_in: "", headers: &[], body: &[] };
        let mut last = None;
        for n in 0..TRIES {
            if n > 0 {
                cx.host.sleep(Duration::from_secs(1));
            }
            let answer = http::send(cx.host, &request);
            if answer.as_ref().is_ok_and(|answer| answer.status == 200 && answer.body == self.text.as_bytes()) {
                return Ok(());
            }
            last = Some(answer);
        }
        let what = format!("reach this server as http://{host}/");
        match last {
            Some(Err(failure)) if !is_ours(cx.host, address) => {
                // A router in between may forward from outside but not from inside (no hairpin NAT).
                let text = format!(
                    "{address} cannot be tested from here ({}); the authority's own check decides",
                    failure.why
                );
                (cx.progress)(Progress::Note(text));
                Ok(())
            }
            Some(Err(failure)) => {
                Err(Failure::new(what, format!("port 80 of {address} does not answer: {}", failure.why))
                    .hint("open port 80 to every address: authorities connect from many"))
            }
            Some(Ok(answer)) => Err(Failure::new(
                what,
                format!("{host} resolves to {address}, but another server answers there (status {})", answer.status),
            )
            .hint("point the name at this server; an outdated IPv6 address (AAAA) counts, too")),
            None => Ok(()),
        }
    }

    fn remove(&self, host: &dyn Host) {
        // A leftover short file is harmless; the directory's own undo reports it.
        let _ = host.remove(&self.path);
        for dir in self.made.iter().rev() {
            let _ = host.remove_dir(dir);
        }
    }
}

/// Whether an address is one of this server's own.
fn is_ours(host: &dyn Host, address: IpAddr) -> bool {
    let Ok(output) = host.run(&Command::new(["ip", "-oneline", "address", "show"])) else { return false };
    let text = output.text();
    let own = text.lines().filter_map(|line| line.split_whitespace().nth(3)?.split('/').next()?.parse::<IpAddr>().ok());
    let own: Vec<IpAddr> = own.collect();
    own.contains(&address)
}
