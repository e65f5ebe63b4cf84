//! `tcp`: a server that answers in its own protocol to these credentials: before anything is changed for a remote one, afterwards for a local one.

use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Failure, Outcome};
use crate::host::Duplex;
use crate::proof::{Context, Prove};
use crate::system::net::tls;
use crate::system::net::wire::{self, Channel, Login, Verify, WireError};

/// A server that answers in its own protocol to these credentials: before anything is changed for a remote one, afterwards for a local one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tcp {
    /// `postgresql`, `mariadb`, `redis`, `rabbitmq` or `tls`.
    pub protocol: Protocol,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User; empty where the protocol has none.
    #[serde(default)]
    pub user: String,
    /// Password (a placeholder).
    #[serde(default)]
    pub password: String,
    /// Database, virtual host or Redis database number.
    #[serde(default)]
    pub database: String,
    /// The certificate that it must present, for protocols with TLS from the first byte: Redis, RabbitMQ, `tls`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Certificate>,
    /// PEM file with the authority that a database's certificate must come from; it is not verified when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ca: String,
    /// Whether it also runs before anything changes; a failure then refuses the plan (exit 1).
    #[serde(rename = "before", alias = "preflight", default)]
    pub preflight: bool,
}

/// The certificate that a server must show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Name that it must cover.
    pub name: String,
    /// PEM file of the authority to trust; the system's authorities when empty.
    #[serde(default)]
    pub trust: String,
    /// PEM file with another certificate to accept for now; may be missing.
    #[serde(default)]
    pub stand_in: String,
}

/// Protocols that can be spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// PostgreSQL's.
    Postgresql,
    /// MariaDB's and MySQL's.
    Mariadb,
    /// Redis's.
    Redis,
    /// AMQP 0-9-1, RabbitMQ's.
    Rabbitmq,
    /// TLS only: the certificate of a server of another protocol, such as a log server.
    Tls,
}

impl Protocol {
    /// The product's name.
    const fn name(self) -> &'static str {
        match self {
            Self::Postgresql => "PostgreSQL",
            Self::Mariadb => "MariaDB",
            Self::Redis => "Redis",
            Self::Rabbitmq => "RabbitMQ",
            Self::Tls => "the server",
        }
    }
}

impl Prove for Tcp {
    fn describe(&self) -> String {
        let server = format!("{} at {}:{}", self.protocol.name(), self.host, self.port);
        if self.user.is_empty() { format!("{server} answers") } else { format!("{server} accepts {}", self.user) }
    }

    fn prove(&self, cx: &Context<'_>) -> Outcome<String> {
        let password = cx.secrets.reveal(&self.password)?;
        let login = Login { user: &self.user, password: &password, database: &self.database };
        let what = || format!("log in to {} at {}:{}", self.protocol.name(), self.host, self.port);
        if self.tls.is_none() && self.protocol == Protocol::Tls {
            return Err(Failure::new(what(), "the guide does not say which certificate it must show")
                .hint("correct the guide: `tls` is needed"));
        }
        let (stream, channel) = wire::connect(cx.host, &self.host, self.port)?;
        let Some(certificate) = &self.tls else {
            let verify = wire::verify(cx.host, &self.ca)?;
            return self.speak(stream, channel, &login, verify).map_err(|error| error.failure(what()));
        };
        let config = tls::verified(cx.host, &certificate.trust, &certificate.stand_in)?;
        let stream = tls::protect(config, &certificate.name, stream).map_err(|error| {
            Failure::new(what(), error)
                .hint("the server must show a certificate for this name, and its key must be readable for it")
        })?;
        let version = tls::version(&stream);
        let evidence =
            self.speak(Box::new(stream), Channel::Local, &login, None).map_err(|error| error.failure(what()))?;
        Ok(format!("{evidence}, {version}, certificate for {}", certificate.name))
    }

    fn preflight(&self) -> bool {
        self.preflight
    }

    /// Before anything is changed someone waits for the answer, and nothing is about to come up.
    fn retry_for(&self) -> Duration {
        if self.preflight { Duration::ZERO } else { Duration::from_secs(30) }
    }

    fn independent(&self) -> bool {
        true
    }
}

impl Tcp {
    fn speak(
        &self,
        mut stream: Box<dyn Duplex>,
        channel: Channel,
        login: &Login<'_>,
        verify: Verify,
    ) -> Result<String, WireError> {
        let is_verified = verify.is_some();
        let mut is_weak = false;
        let (version, encryption) = match self.protocol {
            Protocol::Postgresql => {
                let mut session = wire::postgresql::Session::open(stream, channel, &self.host, login, verify)?;
                one(&session.query("SELECT 1")?)?;
                is_weak = session.is_weak;
                (format!("PostgreSQL {}", session.version), session.encryption)
            }
            Protocol::Mariadb => {
                let mut session = wire::mysql::Session::open(stream, channel, &self.host, login, verify)?;
                one(&session.query("SELECT 1")?)?;
                (session.version, session.encryption)
            }
            Protocol::Redis => (format!("Redis {}", wire::redis::login(&mut *stream, login)?), None),
            Protocol::Rabbitmq => (wire::amqp::login(&mut *stream, login)?, None),
            // Anyone who shook hands has answered.
            Protocol::Tls => ("it".to_owned(), None),
        };
        let mut evidence = if login.user.is_empty() {
            format!("{version} answers")
        } else {
            format!("{version} accepts {}", login.user)
        };
        if !login.database.is_empty() {
            let _ = write!(evidence, " in {}", login.database);
        }
        match (encryption, channel) {
            (Some(tls), _) => {
                let how = if is_verified {
                    format!("certificate for {}", self.host)
                } else {
                    "certificate not verified".to_owned()
                };
                let _ = write!(evidence, ", {tls} ({how})");
            }
            (None, Channel::Remote) => evidence.push_str(", not encrypted"),
            (None, Channel::Local) => {}
        }
        if is_weak && channel == Channel::Remote && !is_verified {
            evidence.push_str(", the password checked with MD5 (weak: have the server store it as scram-sha-256)");
        }
        Ok(evidence)
    }
}

/// The answer to `SELECT 1`.
fn one(rows: &[Vec<Option<String>>]) -> Result<(), WireError> {
    match rows {
        [row] if row.first().is_some_and(|value| value.as_deref() == Some("1")) => Ok(()),
        _ => Err(WireError::Server("it does not answer a query".to_owned())),
    }
}

#[cfg(test)]
mod tests;
