//! The run's page: every state of it as a picture, and what its keys do.

use super::*;
use crate::engine::decision::{Choice, Decision, Skippable, Waiting};
use crate::engine::event::{Event, What};
use crate::host::Stamp;
use crate::plan::{Plan, PlannedStage, ResultLine};
use crate::ui::track::tests::{at, gone_wrong, recorded};
use crate::ui::wizard::task::{News, Task};

const RUN: &str = "20261121-093015-webapp";

/// A wizard attached to a run of which nothing was told yet.
fn attached(size: (u16, u16), unicode: bool) -> App {
    let look = Look { width: usize::from(size.0), unicode, colour: false };
    let mut app = App::attached(Desk::new(look, true, Vec::new()), RUN, size);
    assert!(matches!(app.jobs()[..], [Job::Run(Task::Follow { .. })]));
    app.tell(Message::Run(News::Plan(Box::new(plan()))));
    app
}

fn told(size: (u16, u16), unicode: bool, events: &[Event]) -> App {
    let mut app = attached(size, unicode);
    app.tell(Message::Run(News::Events(events.to_vec())));
    app
}

fn plan() -> Plan {
    let stage = |id: &str, title: &str| PlannedStage { id: id.to_owned(), title: title.to_owned() };
    let line = |label: &str, value: &str| ResultLine { label: label.to_owned(), value: value.to_owned() };
    Plan {
        schema: 1,
        guide: "webapp".to_owned(),
        title: "Your own web application".to_owned(),
        stages: vec![
            stage("packages", "Packages"),
            stage("application", "Your application"),
            stage("database", "Database"),
            stage("tls", "TLS certificate"),
        ],
        answers: vec![crate::plan::Answered {
            path: "database.password".to_owned(),
            value: crate::secret::mark("database.password").into(),
            origin: crate::answers::Origin::Default,
        }],
        actions: Vec::new(),
        proofs: Vec::new(),
        results: vec![
            line("Address", "https://app.example.org/"),
            line("Database", "PostgreSQL, database webapp, role webapp, on this server"),
        ],
        warnings: Vec::new(),
    }
}

fn waiting(number: usize, choices: &[Choice]) -> Event {
    at(What::Waiting(Waiting {
        number,
        step: "database.role".to_owned(),
        stage: "database".to_owned(),
        choices: choices.to_vec(),
        retry_from: "database.role".to_owned(),
        skip: choices.contains(&Choice::Skip).then(|| Skippable {
            step: "database.role".to_owned(),
            because: "the application works without it".to_owned(),
        }),
        changed: 2,
        since: Stamp::default(),
    }))
}

const ALL: [Choice; 6] =
    [Choice::Retry, Choice::Skip, Choice::Replan, Choice::RollbackStage, Choice::Rollback, Choice::Stop];

/// A run that failed and waits.
fn stuck(size: (u16, u16), unicode: bool) -> App {
    let mut events = gone_wrong()[..8].to_vec();
    events.push(waiting(7, &ALL));
    told(size, unicode, &events)
}

#[test]
fn look() {
    for size in [(80, 24), (40, 12)] {
        println!("{}", screen(&stuck(size, true)));
        println!("{}", screen(&told(size, true, &gone_wrong()[..13])));
        println!("{}", screen(&told(size, true, &gone_wrong())));
        println!("{}", screen(&told(size, true, &recorded())));
    }
    let mut app = stuck((80, 24), true);
    press(&mut app, "B");
    println!("{}", screen(&app));
    press(&mut app, "Down Enter");
    println!("{}", screen(&app));
    let _ = Decision::Retry;
}
