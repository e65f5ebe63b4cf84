//! `tcp`: a server that answers in its own protocol to these credentials: before anything is changed for a remote one, afterwards for a local one.

use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Outcome;
use crate::host::Duplex;
use crate::proof::wire::{self, Channel, Login, WireError};
use crate::proof::{Cx, Prove};

/// A server that answers in its own protocol to these credentials: before anything is changed for a remote one, afterwards for a local one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tcp {
    /// `postgresql`, `mariadb`, `redis` or `rabbitmq`.
    pub protocol: Protocol,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User; empty where the protocol has none.
    #[serde(default)]
    pub user: String,
    /// Password (a mark).
    #[serde(default)]
    pub password: String,
    /// Database, virtual host or Redis database number.
    #[serde(default)]
    pub database: String,
    /// Whether this is tried before anything is changed; a failure then refuses the plan (exit 1).
    #[serde(default)]
    pub before: bool,
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
}

impl Protocol {
    /// The product's name.
    const fn name(self) -> &'static str {
        match self {
            Self::Postgresql => "PostgreSQL",
            Self::Mariadb => "MariaDB",
            Self::Redis => "Redis",
            Self::Rabbitmq => "RabbitMQ",
        }
    }
}

impl Prove for Tcp {
    fn describe(&self) -> String {
        let server = format!("{} at {}:{}", self.protocol.name(), self.host, self.port);
        if self.user.is_empty() { format!("{server} answers") } else { format!("{server} accepts {}", self.user) }
    }

    fn prove(&self, cx: &Cx<'_>) -> Outcome<String> {
        let password = cx.secrets.reveal(&self.password)?;
        let login = Login { user: &self.user, password: &password, database: &self.database };
        let (stream, channel) = wire::connect(cx.host, &self.host, self.port)?;
        self.speak(stream, channel, &login).map_err(|error| {
            error.failure(format!("log in to {} at {}:{}", self.protocol.name(), self.host, self.port))
        })
    }

    fn before(&self) -> bool {
        self.before
    }

    /// Before anything is changed somebody waits for the answer, and nothing is about to come up.
    fn patience(&self) -> Duration {
        if self.before { Duration::ZERO } else { Duration::from_secs(30) }
    }
}

impl Tcp {
    fn speak(&self, mut stream: Box<dyn Duplex>, channel: Channel, login: &Login<'_>) -> Result<String, WireError> {
        let (version, encryption) = match self.protocol {
            Protocol::Postgresql => {
                let mut session = wire::postgresql::Session::open(stream, channel, &self.host, login)?;
                one(&session.query("SELECT 1")?)?;
                (format!("PostgreSQL {}", session.version), session.encryption)
            }
            Protocol::Mariadb => {
                let mut session = wire::mysql::Session::open(stream, channel, &self.host, login)?;
                one(&session.query("SELECT 1")?)?;
                (session.version, session.encryption)
            }
            Protocol::Redis => (format!("Redis {}", wire::redis::login(&mut *stream, login)?), None),
            Protocol::Rabbitmq => (wire::amqp::login(&mut *stream, login)?, None),
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
                let _ = write!(evidence, ", {tls} (certificate not verified)");
            }
            (None, Channel::Remote) => evidence.push_str(", not encrypted"),
            (None, Channel::Local) => {}
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
