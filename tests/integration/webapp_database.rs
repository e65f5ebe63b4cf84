//! The database of one's own application: its extensions.

use bringup::action::Action;
use bringup::error::Problem;
use bringup::plan::Plan;

use crate::support::{facts, planned};

fn made(codename: &str, database: &str) -> Result<Plan, Vec<Problem>> {
    let answers = format!("version: 1\nguide: webapp\ndatabase: {{engine: {database}}}\n");
    planned(&facts(codename, "systemd"), "answers.yaml", answers.as_bytes())
}

#[test]
fn extensions_come_with_the_packages_that_have_them() {
    let plan =
        made("bookworm", "postgresql, extensions: [pg_trgm, uuid-ossp, postgis, postgis_topology, vector]").unwrap();
    let mut packages = Vec::new();
    let mut extensions = Vec::new();
    for planned in &plan.actions {
        match &planned.action {
            Action::Packages(action) => packages.clone_from(&action.names),
            Action::Database(action) => extensions.clone_from(&action.extensions),
            _ => {}
        }
    }
    assert_eq!(extensions, ["pg_trgm", "uuid-ossp", "postgis", "postgis_topology", "vector"]);
    let of_engine: Vec<&String> = packages.iter().filter(|name| name.starts_with("postgresql-15")).collect();
    assert_eq!(of_engine, ["postgresql-15", "postgresql-15-pgvector", "postgresql-15-postgis-3"]);
}

#[test]
fn extensions_that_cannot_be_are_refused() {
    for (codename, database, why) in [
        ("bookworm", "postgresql, extensions: [\"pg_trgm; drop\"]", "names such as pg_trgm"),
        ("bullseye", "postgresql, extensions: [vector]", "Debian 11 has no package of vector"),
        ("bookworm", "mariadb, extensions: [pg_trgm]", "database.extensions"),
    ] {
        let problems = made(codename, database).expect_err(database);
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|told| told.contains(why)), "{database}: {told:?}");
    }
}
