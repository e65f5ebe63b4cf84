//! Runs as tests need them, recorded.

use crate::engine::decision::Choice;
use crate::engine::decision::{Skippable, Waiting};
use crate::engine::event::{Ended, Event};
use crate::engine::event::{EventKind, StepInfo};
use crate::error::{Exit, Failure};
use crate::host::Stamp;
use crate::progress::{Amount, Progress, Unit};

pub fn at(what: EventKind) -> Event {
    Event { at: Stamp { sec: 1_795_253_415, nsec: 0 }, what }
}

fn step(id: &str, describe: &str) -> StepInfo {
    let stage = id.split('.').next().unwrap_or(id).to_owned();
    StepInfo { id: id.to_owned(), stage, describe: describe.to_owned() }
}

pub fn started() -> EventKind {
    EventKind::RunStarted {
        run: "20261121-093015-webapp".to_owned(),
        guide: "Your own web application".to_owned(),
        resumed: false,
        actions: vec![
            step("packages", "install nginx, postgresql, gunicorn and 9 more"),
            step("application.user", "create the system user webapp"),
            step("database.role", "create the role and the database webapp in PostgreSQL"),
        ],
        proofs: vec![
            step("tls.page", "the page answers over TLS"),
            step("database.row", "a row can be written and read back"),
        ],
    }
}

fn begins(action: &str) -> EventKind {
    EventKind::ActionStarted { action: action.to_owned() }
}

pub fn goes_on(action: &str, percent: f32, note: &str) -> EventKind {
    EventKind::ActionProgress {
        action: action.to_owned(),
        progress: Progress::Percent { percent, note: note.to_owned(), amount: None },
    }
}

/// The same with figures.
pub fn measured(action: &str, percent: f32, note: &str, (done, total, unit): (u64, u64, Unit)) -> EventKind {
    let amount = Some(Amount { done, total, unit });
    EventKind::ActionProgress {
        action: action.to_owned(),
        progress: Progress::Percent { percent, note: note.to_owned(), amount },
    }
}

fn ends(action: &str, ended: Ended, millis: u64) -> EventKind {
    EventKind::ActionEnded { action: action.to_owned(), ended, millis }
}

fn proven(proof: &str, evidence: &str) -> EventKind {
    EventKind::ProofEnded { proof: proof.to_owned(), evidence: Some(evidence.to_owned()), failure: None, millis: 42 }
}

/// A run that succeeds.
pub fn recorded() -> Vec<Event> {
    let page = "200, 1,204 bytes, TLSv1.3, certificate valid for app.example.org until 2027-11-21";
    [
        started(),
        begins("packages"),
        measured("packages", 12.0, "fetching", (12_400_000, 38_200_000, Unit::Bytes)),
        goes_on("packages", 61.5, "unpacking \u{1b}[31mpostgresql-15"),
        measured("packages", 64.0, "unpacking postgresql-common", (5, 14, Unit::Packages)),
        ends("packages", Ended::Changed, 23_140),
        begins("application.user"),
        ends("application.user", Ended::Unchanged, 2),
        begins("database.role"),
        ends("database.role", Ended::Changed, 310),
        EventKind::ProofStarted { proof: "tls.page".to_owned() },
        proven("tls.page", page),
        EventKind::ProofStarted { proof: "database.row".to_owned() },
        proven("database.row", "written and read in PostgreSQL 15.8"),
        EventKind::RunEnded { exit: Exit::Done, changed: 2 },
    ]
    .map(at)
    .into()
}

pub fn failure() -> Failure {
    Failure {
        what: "create the role and the database webapp".to_owned(),
        why: "psql ended with status 2: connection to server on socket failed".to_owned(),
        tail: vec![
            "psql: error: connection to server on socket".to_owned(),
            "\tIs the server running locally and accepting connections on that socket?".to_owned(),
        ],
        log: Some("/var/lib/bringup/runs/20261121-093015-webapp/log/database.role.log".to_owned()),
        hint: Some("systemctl status postgresql says why the engine does not run".to_owned()),
    }
}

/// A run that asks what to do about its third action.
pub fn waiting(number: usize) -> Waiting {
    Waiting {
        number,
        step: "database.role".to_owned(),
        stage: "database".to_owned(),
        choices: vec![
            Choice::Retry,
            Choice::Skip,
            Choice::Replan,
            Choice::RollbackStage,
            Choice::Rollback,
            Choice::Pause,
        ],
        retry_from: "database.role".to_owned(),
        skip: Some(Skippable {
            step: "database.role".to_owned(),
            reason: "the role can be made by hand later".to_owned(),
        }),
        changed: 3,
        since: Stamp { sec: 1_795_253_415, nsec: 0 },
    }
}

/// A run that fails, rolls its stage back, retries in vain, and continues without the step.
pub fn decided() -> Vec<Event> {
    let decided = |choice| EventKind::Decided { choice };
    let wrong: Vec<EventKind> = gone_wrong().into_iter().map(|event| event.what).collect();
    let well = recorded().into_iter().map(|event| event.what);
    let (run, step) = ("20261121-093015-webapp".to_owned(), "database.role".to_owned());
    let mut all = wrong[..8].to_vec();
    all.extend([EventKind::Waiting(waiting(8)), decided(Choice::RollbackStage)]);
    all.push(EventKind::RollbackStarted { run, records: 1 });
    all.extend_from_slice(&wrong[10..12]);
    all.extend([EventKind::Waiting(waiting(11)), decided(Choice::Retry), begins(&step)]);
    all.extend_from_slice(&wrong[6..8]);
    all.extend([EventKind::Waiting(waiting(12)), decided(Choice::Skip)]);
    all.push(EventKind::Skipped { step, reason: "the role can be made by hand later".to_owned() });
    all.extend(well.skip(10));
    all.into_iter().map(at).collect()
}

/// A run that fails and is rolled back.
pub fn gone_wrong() -> Vec<Event> {
    [
        started(),
        begins("packages"),
        ends("packages", Ended::Changed, 23_140),
        begins("application.user"),
        ends("application.user", Ended::Changed, 120),
        begins("database.role"),
        ends("database.role", Ended::Failed, 130_000),
        EventKind::Failed { step: "database.role".to_owned(), failure: failure() },
        EventKind::RollbackStarted { run: "20261121-093015-webapp".to_owned(), records: 3 },
        EventKind::Dumped {
            what: "the database webapp".to_owned(),
            file: "/var/lib/bringup/runs/20261121-093015-webapp/dumps/webapp.sql".to_owned(),
        },
        EventKind::Undone { action: "database.role".to_owned(), describe: "dropped the database webapp".to_owned() },
        EventKind::Undone { action: "database.role".to_owned(), describe: "dropped the role webapp".to_owned() },
        EventKind::Kept { what: "/etc/nginx/nginx.conf".to_owned(), why: "it was changed since the run".to_owned() },
        EventKind::Undone { action: "application.user".to_owned(), describe: "removed the user webapp".to_owned() },
        goes_on("packages", 50.0, "removing nginx"),
        EventKind::Undone { action: "packages".to_owned(), describe: "purged 12 packages".to_owned() },
        EventKind::RunEnded { exit: Exit::RolledBack, changed: 0 },
    ]
    .map(at)
    .into()
}
