//! `rabbitmq`: makes a RabbitMQ user and virtual host with full permissions in it, and takes `guest` away.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::action::contract::{Act, Context, Verdict};
use crate::action::database::running::start_or_stop;
use crate::error::{Failure, Outcome};
use crate::hash::sha256_hex;
use crate::host::{Address, Command, Host, Meta, Output};
use crate::system::net::tls;
use crate::system::net::wire::{Login, TIMEOUT, WireError, amqp};
use crate::undo::{Undo, UndoContext, Undone};

/// Makes a RabbitMQ user and virtual host with full permissions in it, and takes `guest` away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rabbitmq {
    /// The user.
    pub user: String,
    /// The virtual host.
    pub vhost: String,
    /// The password (a placeholder).
    pub password: String,
    /// Whether to remove the user `guest`.
    #[serde(default = "yes")]
    pub remove_guest: bool,
    /// Further rights, such as `management` (log in to the management page).
    #[serde(default)]
    pub tags: Vec<String>,
    /// The broker's port on the loopback address.
    #[serde(default = "amqp_port")]
    pub port: u16,
    /// Whether that port uses TLS. A proof checks the certificate.
    #[serde(default)]
    pub tls: bool,
}

const fn yes() -> bool {
    true
}

const fn amqp_port() -> u16 {
    5672
}

/// The account that comes with the broker; its password is its name.
const GUEST: &str = "guest";

impl Act for Rabbitmq {
    fn describe(&self) -> String {
        let guest = if self.remove_guest { ", and remove guest" } else { "" };
        format!("create the RabbitMQ user {} for the virtual host {}{guest}", self.user, self.vhost)
    }

    /// Asks the broker in its own protocol as far as that goes: `rabbitmqctl` takes a second or more to start.
    fn check(&self, cx: &Context<'_>) -> Outcome<Verdict> {
        let password = cx.secrets.reveal(&self.password)?;
        let ours = self.login(cx.host, &self.user, &password);
        let so = ours.is_ok() && (!self.remove_guest || self.guest_is_gone(cx.host));
        Ok(if so && self.has_its_tags(cx.host)? { Verdict::Unchanged } else { Verdict::change(self.describe()) })
    }

    fn prepare(&self, cx: &Context<'_>) -> Outcome<Vec<Undo>> {
        let what = "read the broker's state";
        let output = ctl(cx.host, what, &["export_definitions", "-"])?;
        let known: Value = serde_json::from_slice(&output.stdout).map_err(|e| Failure::new(what, e))?;
        let before = self.before(&known);
        let blob = if before["users"].as_array().is_some_and(|users| !users.is_empty()) {
            Some(cx.blobs.put(cx.host, before.to_string().as_bytes())?)
        } else {
            None
        };
        Ok(vec![Undo::Rabbitmq {
            user: self.user.clone(),
            vhost: self.vhost.clone(),
            user_existed: named(&known, "users", &self.user),
            vhost_existed: named(&known, "vhosts", &self.vhost),
            before: blob,
        }])
    }

    fn apply(&self, cx: &Context<'_>) -> Outcome<()> {
        self.names_are_plain()?;
        let password = cx.secrets.reveal(&self.password)?;
        let mut salt = [0; 4];
        cx.host.random(&mut salt).map_err(|e| Failure::new("get random bytes", e))?;
        let definitions = json!({
            "users": [{
                "name": self.user,
                "password_hash": password_hash(salt, &password),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": self.tags.join(","),
            }],
            "vhosts": [{"name": self.vhost}],
            "permissions": [{
                "user": self.user, "vhost": self.vhost, "configure": ".*", "write": ".*", "read": ".*",
            }],
        });
        import(cx.host, &self.describe(), &definitions.to_string())?;
        if self.remove_guest && self.user != GUEST && !self.guest_is_gone(cx.host) {
            ctl(cx.host, "remove the RabbitMQ user guest", &["delete_user", GUEST])?;
        }
        Ok(())
    }
}

impl Rabbitmq {
    fn login(&self, host: &dyn Host, user: &str, password: &str) -> Result<String, WireError> {
        let address = Address::Tcp(([127, 0, 0, 1], self.port).into());
        let mut stream = host.connect(&address, TIMEOUT)?;
        if self.tls {
            let config = tls::unverified().map_err(std::io::Error::other)?;
            stream = Box::new(tls::protect(config, "127.0.0.1", stream)?);
        }
        amqp::login(&mut *stream, &Login { user, password, database: &self.vhost })
    }

    /// Whether the broker refuses `guest`. Any answer other than a refused password means that the account exists.
    fn guest_is_gone(&self, host: &dyn Host) -> bool {
        matches!(self.login(host, GUEST, GUEST), Err(WireError::Credentials(_)))
    }

    fn has_its_tags(&self, host: &dyn Host) -> Outcome<bool> {
        let listed = ctl(host, "read the tags of RabbitMQ's users", &["list_users"])?.text();
        let tags = listed.lines().find_map(|line| line.strip_prefix(&self.user)?.strip_prefix("\t["));
        let mut has: Vec<&str> = tags.unwrap_or_default().trim_end_matches(']').split(", ").collect();
        has.retain(|tag| !tag.is_empty());
        has.sort_unstable();
        let mut wants: Vec<&str> = self.tags.iter().map(String::as_str).collect();
        wants.sort_unstable();
        Ok(has == wants)
    }

    /// The definitions of what exists and will be changed or removed.
    fn before(&self, known: &Value) -> Value {
        let ours = |name: Option<&Value>| {
            let name = name.and_then(Value::as_str).unwrap_or_default();
            name == self.user || (self.remove_guest && name == GUEST)
        };
        let entries = |list: &str, key: &str| -> Vec<Value> {
            let entries = known.get(list).and_then(Value::as_array).into_iter().flatten();
            entries.filter(|entry| ours(entry.get(key))).cloned().collect()
        };
        json!({"users": entries("users", "name"), "permissions": entries("permissions", "user")})
    }

    /// They become operands of a command when they are undone.
    fn names_are_plain(&self) -> Outcome<()> {
        for (kind, name) in [("user", &self.user), ("virtual host", &self.vhost)] {
            let plain = !name.is_empty() && name.len() <= 255 && !name.starts_with('-');
            if !plain || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
                let what = format!("use {name:?} as the name of a RabbitMQ {kind}");
                return Err(
                    Failure::new(what, "it is empty, begins with -, or contains spaces").hint("choose another name")
                );
            }
        }
        Ok(())
    }
}

/// RabbitMQ's salted hash: base64 of the salt and SHA-256(salt, password).
fn password_hash(salt: [u8; 4], password: &str) -> String {
    let digest = Sha256::new().chain_update(salt).chain_update(password).finalize();
    STANDARD.encode([&salt[..], &digest].concat())
}

fn named(known: &Value, list: &str, name: &str) -> bool {
    let mut entries = known.get(list).and_then(Value::as_array).into_iter().flatten();
    entries.any(|entry| entry.get("name").and_then(Value::as_str) == Some(name))
}

/// Whether every entry of a list in `former` is among the `known` ones.
fn holds(known: &Value, former: &Value, list: &str) -> bool {
    let entries = |value: &Value| value.get(list).and_then(Value::as_array).cloned().unwrap_or_default();
    let known = entries(known);
    entries(former).iter().all(|entry| known.contains(entry))
}

/// Imports definitions from a file that only root and the broker can read. On stdin some versions would hang, and in
/// argv every user could see the password.
fn import(host: &dyn Host, what: &str, definitions: &str) -> Outcome<()> {
    let failed = |e| Failure::new(what, e);
    let group = host.read(Path::new("/etc/group")).map_err(failed)?;
    let gid = group_id(&String::from_utf8_lossy(&group)).ok_or_else(|| {
        Failure::new(what, "the group rabbitmq does not exist").hint("apt-get install rabbitmq-server")
    })?;
    let mut random = [0; 8];
    host.random(&mut random).map_err(failed)?;
    let path = PathBuf::from(format!("/run/bringup-rabbitmq-{}.json", &sha256_hex(&random)[..12]));
    host.write(&path, definitions.as_bytes(), Meta { mode: 0o640, uid: 0, gid }).map_err(failed)?;
    let result = ctl(host, what, &["import_definitions", &path.display().to_string()]);
    host.remove(&path).map_err(failed)?;
    result.map(drop)
}

fn group_id(group_file: &str) -> Option<u32> {
    let entry = group_file.lines().find_map(|line| line.strip_prefix("rabbitmq:"))?;
    entry.split(':').nth(1)?.parse().ok()
}

fn ctl(host: &dyn Host, what: &str, arguments: &[&str]) -> Outcome<Output> {
    let command = Command::new(["rabbitmqctl", "-q"].iter().chain(arguments).copied());
    let output = host.run(&command.timeout(Duration::from_mins(1))).map_err(|e| Failure::new(what, e))?;
    if output.ok() {
        return Ok(output);
    }
    let tail = output.tail(20);
    let why = match output.status {
        // EX_UNAVAILABLE
        69 => "the broker is not running".to_owned(),
        124 => "rabbitmqctl did not answer within a minute".to_owned(),
        _ => tail.iter().find(|line| !line.starts_with("Error")).cloned().unwrap_or_default(),
    };
    Err(Failure::new(what, why).tail(tail).hint("systemctl status rabbitmq-server"))
}

/// Whether the user and the virtual host exist; an error when the broker does not answer.
pub fn exist(host: &dyn Host, user: &str, vhost: &str) -> Outcome<(bool, bool)> {
    if host.stat(Path::new("/var/lib/rabbitmq")).ok().flatten().is_none() {
        return Ok((false, false));
    }
    let what = "read the broker's state";
    let output = ctl(host, what, &["export_definitions", "-"])?;
    let known: Value = serde_json::from_slice(&output.stdout).map_err(|e| Failure::new(what, e))?;
    Ok((named(&known, "users", user), named(&known, "vhosts", vhost)))
}

/// Removes a user and virtual host that a run created, with the messages still in it, and restores those that existed
/// before.
pub fn undo(
    cx: &UndoContext<'_>,
    user: &str,
    vhost: &str,
    user_existed: bool,
    vhost_existed: bool,
    before: Option<&str>,
) -> Outcome<Undone> {
    let data = Path::new("/var/lib/rabbitmq");
    if !matches!(cx.host.stat(data), Ok(Some(_))) {
        return Ok(Undone::Nothing);
    }
    let what = "read the broker's state";
    let export = || ctl(cx.host, what, &["export_definitions", "-"]);
    let (output, started) = match export() {
        Ok(output) => (output, false),
        Err(down) => {
            let up = start_or_stop(cx.host, "start", "rabbitmq-server").map_err(|why| Failure::new(what, why));
            match up.and_then(|()| export()) {
                Ok(output) => (output, true),
                Err(failure) => {
                    return Ok(Undone::Kept {
                        what: format!("the RabbitMQ user {user} and the virtual host {vhost}"),
                        why: format!("{}; it could not be started: {}", down.why, failure.why),
                    });
                }
            }
        }
    };
    let result = serde_json::from_slice(&output.stdout)
        .map_err(|e| Failure::new(what, e))
        .and_then(|known| take_back(cx, &known, [user, vhost], [user_existed, vhost_existed], before));
    if started {
        // Failing to stop it again is harmless.
        let _ = start_or_stop(cx.host, "stop", "rabbitmq-server");
    }
    result
}

fn take_back(
    cx: &UndoContext<'_>,
    known: &Value,
    [user, vhost]: [&str; 2],
    [user_existed, vhost_existed]: [bool; 2],
    before: Option<&str>,
) -> Outcome<Undone> {
    let mut done = Vec::new();
    if !user_existed && named(known, "users", user) {
        ctl(cx.host, &format!("remove the RabbitMQ user {user}"), &["delete_user", user])?;
        done.push(format!("removed the RabbitMQ user {user}"));
    }
    if !vhost_existed && named(known, "vhosts", vhost) {
        ctl(cx.host, &format!("remove the RabbitMQ virtual host {vhost}"), &["delete_vhost", vhost])?;
        done.push(format!("removed the RabbitMQ virtual host {vhost}"));
    }
    if let Some(blob) = before {
        let what = "restore RabbitMQ's users";
        let definitions = cx.blobs.get(cx.host, blob)?;
        let former: Value = serde_json::from_slice(&definitions).map_err(|e| Failure::new(what, e))?;
        if ["users", "permissions"].iter().all(|list| holds(known, &former, list)) {
            return Ok(if done.is_empty() { Undone::Nothing } else { Undone::Done(done.join("; ")) });
        }
        if user_existed && vhost_existed {
            ctl(cx.host, what, &["clear_permissions", "-p", vhost, user])?;
        }
        import(cx.host, what, &String::from_utf8_lossy(&definitions))?;
        done.push("restored RabbitMQ's former users".to_owned());
    }
    if done.is_empty() { Ok(Undone::Nothing) } else { Ok(Undone::Done(done.join("; "))) }
}

#[cfg(test)]
mod tests;
