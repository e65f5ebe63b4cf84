//! Whether the name leads here and port 80 answers, or is free to be answered on, before an authority counts a failure.

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

/// A web server that was just reloaded may need a moment, so many seconds.
const TRIES: u32 = 5;

/// Fetches a file from the directory of challenges at every address of the name.
pub fn leads_here(cx: &Context<'_>, acme: &Acme) -> Outcome<()> {
    let addresses = addresses(cx.host, &acme.name)?;
    let token = Token::lay(cx, acme)?;
    let result = addresses.iter().try_for_each(|address| token.fetch(cx, acme, *address));
    token.remove(cx.host);
    result
}

/// Whether certbot can answer on port 80 by itself, and whether the name is known. That it leads here nobody can try
/// while nothing answers.
pub fn is_free(host: &dyn Host, acme: &Acme) -> Outcome<()> {
    addresses(host, &acme.name)?;
    let held = ssh::listening(host).into_iter().find(|(at, ..)| at.port() == 80);
    let Some((_, _, program)) = held else { return Ok(()) };
    let program = if program.is_empty() { "another program" } else { &program };
    Err(Failure::new("answer the authority on port 80", format!("{program} holds that port"))
        .hint("have the web server show what the authority wants to see (tls.challenge: http), or stop that program"))
}

/// The addresses that the DNS has for the name, also of a kind that this machine does not have. `/etc/hosts` is left
/// out: the authority does not read ours.
fn addresses(host: &dyn Host, name: &str) -> Outcome<Vec<IpAddr>> {
    let what = || format!("find {name} in the DNS");
    let mut addresses: Vec<IpAddr> = Vec::new();
    // The `getent` of Debian 11 does not have the option, and leaves out what this machine has no address of its own for.
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
        return Err(Failure::new(what(), format!("the DNS knows no address for {name}"))
            .hint("enter this server's public address at your name server, and wait until it is known"));
    }
    Ok(addresses)
}

/// A file that only this web server has.
struct Token {
    name: String,
    text: String,
    path: PathBuf,
    /// Directories that were made for it, outermost first.
    made: Vec<PathBuf>,
}

impl Token {
    fn lay(cx: &Context<'_>, acme: &Acme) -> Outcome<Self> {
        let mut bytes = [0; 12];
        cx.host.random(&mut bytes).map_err(|e| Failure::new("make a random name", e))?;
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

    fn fetch(&self, cx: &Context<'_>, acme: &Acme, address: IpAddr) -> Outcome<()> {
        let url = format!("http://{}/.well-known/acme-challenge/{}", acme.name, self.name);
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
        let what = format!("reach this server as http://{}/", acme.name);
        match last {
            Some(Err(failure)) if !is_ours(cx.host, address) => {
                // A router in between may let others in and still not lead back from inside.
                let text = format!("{address} cannot be tried from here ({}); the authority will tell", failure.why);
                (cx.progress)(Progress::Note(text));
                Ok(())
            }
            Some(Err(failure)) => {
                Err(Failure::new(what, format!("port 80 of {address} does not answer: {}", failure.why))
                    .hint("open port 80 to everybody: authorities come from many addresses"))
            }
            Some(Ok(answer)) => Err(Failure::new(
                what,
                format!(
                    "{} leads to {address}, and another server answers there (status {})",
                    acme.name, answer.status
                ),
            )
            .hint("have the name lead to this server; an old IPv6 address (AAAA) counts too")),
            None => Ok(()),
        }
    }

    fn remove(&self, host: &dyn Host) {
        // A short file that cannot be removed harms nobody; the directory's own undo reports it.
        let _ = host.remove(&self.path);
        for dir in self.made.iter().rev() {
            let _ = host.remove_dir(dir);
        }
    }
}

/// Whether an address is one of this machine's own.
fn is_ours(host: &dyn Host, address: IpAddr) -> bool {
    let Ok(output) = host.run(&Command::new(["ip", "-oneline", "address", "show"])) else { return false };
    let text = output.text();
    let own = text.lines().filter_map(|line| line.split_whitespace().nth(3)?.split('/').next()?.parse::<IpAddr>().ok());
    let own: Vec<IpAddr> = own.collect();
    own.contains(&address)
}
