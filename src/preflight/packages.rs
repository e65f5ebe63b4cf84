//! The package database: in order, free, and who holds what back.

use super::{Finding, ok, problem, warning};
use crate::error::Failure;
use crate::facts::Facts;
use crate::host::Host;
use crate::system::packages::status::Database;
use crate::system::packages::{REPAIR, listed, lock, policy};

/// What `dpkg --audit` looks for.
pub(crate) fn dpkg(host: &dyn Host, _: &Facts) -> Finding {
    let database = match Database::read(host) {
        Ok(database) => database,
        Err(Failure { why, hint, .. }) => return problem(why, hint.unwrap_or_default()),
    };
    if !database.unfinished() {
        return ok(format!("{} installed, all in order", database.installed().len()));
    }
    let broken = database.broken();
    let found = match broken.len() {
        0 if database.interrupted => "dpkg was interrupted".to_owned(),
        0 => return warning("some packages wait for their triggers", "dpkg --configure --pending"),
        _ => format!("not completely installed: {}", listed(&broken)),
    };
    if policy::is_left(host).unwrap_or(false) {
        return problem(
            format!("{found}, in a run of bringup"),
            "`bringup resume` finishes it, `bringup rollback` rolls it back",
        );
    }
    problem(found, REPAIR)
}

pub(crate) fn locks(host: &dyn Host, _: &Facts) -> Finding {
    match lock::holder(host) {
        None => ok("free"),
        Some(holder) => warning(
            format!("{holder} is changing packages now"),
            "let it finish; a run waits for it, 15 minutes at most",
        ),
    }
}

pub(crate) fn held(host: &dyn Host, _: &Facts) -> Finding {
    // Without a database the check before has said so.
    let database = Database::read(host).unwrap_or_default();
    match database.held().as_slice() {
        [] => ok("none"),
        held => warning(
            format!("{} kept at their versions: {}", held.len(), listed(held)),
            format!("fine if intended; otherwise `apt-mark unhold {}`", held.join(" ")),
        ),
    }
}
