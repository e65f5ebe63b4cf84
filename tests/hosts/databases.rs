//! Engines that others use on the same server.

use crate::host::{Host, Init, answers};

const ANSWERS: [(&str, &str); 2] = [("web.host", "app.example.test"), ("database.engine", "postgresql")];

/// Two clusters of PostgreSQL, the other one on the usual port. The application's role makes things where it has no
/// business, as a visitor can have Flectra's do.
#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn somebody_else_s_clusters_go_on_running_and_get_rid_of_the_role_again() {
    let host = Host::start("bookworm", Init::Systemd);
    host.sh("DEBIAN_FRONTEND=noninteractive apt-get install -y -q postgresql && pg_dropcluster --stop 15 main && \
         pg_createcluster --start -p 5432 15 foreign && runuser -u postgres -- createdb -p 5432 precious")
        .expect(0);
    let refused = host.bringup(&answers(&ANSWERS)).expect(1);
    let said = "PostgreSQL 15 is installed here without the cluster 15/main";
    assert!(refused.both().contains(said), "{}", refused.both());
    // As in a cluster that came from PostgreSQL 14: everybody may write into `public`. And somebody who owns a function
    // there waits for a superuser to call it.
    host.sh(
        "pg_createcluster --start -p 5433 15 main && systemctl daemon-reload && runuser -u postgres -- psql -qXp 5433 -c \
         'create role waiting login' -c 'grant create on schema public to public' -c 'set role waiting' -c \
         \"create function public.has_database_privilege(name, oid, text) returns bool language plpgsql as \
         \\$\\$ begin execute 'alter role waiting superuser'; return true; end \\$\\$\" -c 'reset role' -c \
         'alter database postgres set search_path = public, pg_catalog'",
    )
    .expect(0);
    let pids = "cat /run/postgresql/15-foreign.pid /run/postgresql/15-main.pid";
    let running = host.sh(pids).expect(0).stdout;
    let before = host.manifest("before");

    let done = host.bringup(&answers(&ANSWERS)).expect(0);
    assert!(done.both().contains("PostgreSQL's cluster 15/main already exists"), "{}", done.both());
    assert_eq!(host.sh(pids).expect(0).stdout, running, "a cluster was restarted");
    host.sh("runuser -u postgres -- psql -XAtp 5433 -c 'select datname from pg_database' | grep -qx webapp").expect(0);
    host.sh("runuser -u postgres -- psql -XAtp 5432 -c 'select rolname from pg_roles' | grep -qx webapp").expect(1);
    host.exec(&["bringup", "verify"]).expect(0);
    host.sh(
        "runuser -u postgres -- psql -qXp 5433 -c 'alter database postgres set default_transaction_read_only = on' && \
         runuser -u webapp -- psql -qXp 5433 -d postgres -c 'set default_transaction_read_only = off' -c \
         'create sequence public.base_registry_signaling' -c 'create table public.taken as select 4711 as n' -c \
         'create view public.seen as select * from public.taken'",
    )
    .expect(0);
    host.exec(&["bringup", "rollback", "--all", "--yes", "--plain"]).expect(1);
    let rolled_back = host.exec(&["bringup", "rollback", "--all", "--yes", "--drop-data", "--plain"]).expect(0);
    assert!(rolled_back.both().contains("the role's objects in the database postgres"), "{}", rolled_back.both());
    host.sh("grep -q 4711 /var/lib/bringup/runs/*/dumps/postgresql-postgres-of-the-role.sql").expect(0);
    assert_eq!(host.sh(pids).expect(0).stdout, running, "a cluster was restarted");
    let roles = "runuser -u postgres -- psql -XAtp 5433 -c \
                 \"select rolname, rolsuper from pg_catalog.pg_roles where rolname !~ '^pg_' order by 1\"";
    assert_eq!(host.sh(roles).expect(0).stdout, "postgres|t\nwaiting|f\n");
    let difference = host.difference(&before);
    // The clusters run, and write.
    let others: Vec<&str> = difference.lines().filter(|line| !line.contains(" /var/lib/postgresql/")).collect();
    assert!(others.is_empty(), "the host is not as it was:\n{difference}");
}
