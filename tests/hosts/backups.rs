//! Backups against an application that attacks them, and nights that would have failed.

use crate::host::{Host, Init, answers};

/// What the application leaves in its database for whoever restores it as a superuser.
const HOSTILE: &str = r"
create function public.seize(v int) returns boolean language plpgsql as $f$
begin
  begin execute 'alter role shop superuser'; exception when others then null; end;
  begin execute 'create role seized superuser'; exception when others then null; end;
  begin execute $c$copy (select 1) to program 'touch /var/tmp/seized; touch /var/lib/postgresql/seized'$c$;
  exception when others then null; end;
  begin execute 'set session authorization postgres'; execute 'alter role shop superuser';
  exception when others then null; end;
  begin execute 'reset role'; execute 'alter role shop superuser'; exception when others then null; end;
  return true;
end $f$;
create schema other;
create extension citext with schema other;
create table hostile (v int check (public.seize(v)), t other.citext);
insert into hostile values (1, 'Ab');
create view public.pg_tables as select public.seize(2);
create materialized view seizing as select public.seize(3);
";

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn a_hostile_database_gains_nothing_and_the_timers_own_unit_is_proven() {
    let host = Host::start("bookworm", Init::Systemd);
    let pairs = [("application.name", "shop"), ("web.host", "app.example.test"), ("database.engine", "postgresql")];
    // An earlier installation of the same name left these.
    host.sh(
        "mkdir -m 700 /var/backups/shop && cd /var/backups/shop && touch shop-first.tar.gz shop-20200101-000000.tar.gz",
    )
    .expect(0);
    let before = host.manifest("before");
    let done = host.bringup(&answers(&pairs)).expect(0).both();
    assert!(done.contains("shop-backup.service ended on"), "the timer's unit was not looked at:\n{done}");
    assert!(done.contains("a database with 2 tables was restored"), "{done}");
    assert!(done.contains("not tried: apt-daily-upgrade.service"), "{done}");
    host.sh("ls /var/backups/shop/shop-2026* /var/backups/shop/shop-2[1-9]* 2>/dev/null | grep -q .").expect(0);

    host.write("/root/hostile.sql", HOSTILE);
    host.sh("chmod 644 /root/hostile.sql; cp /root/hostile.sql /tmp; runuser -u postgres -- psql -qd shop -c \
             'grant create on database shop to shop'; runuser -u shop -- psql -qXd shop -v ON_ERROR_STOP=1 -f /tmp/hostile.sql")
        .expect(0);
    host.sh("systemctl start shop-backup.service && shop-backup test").expect(0);
    let roles = "runuser -u postgres -- psql -XAtc \"select rolname from pg_roles where rolsuper\"";
    assert_eq!(host.sh(roles).expect(0).stdout.trim(), "postgres", "the application became a superuser");
    host.sh("! find / -xdev -name seized | grep .").expect(0);

    // A night that fails is seen, although the timer is active.
    host.sh("mv /usr/lib/postgresql/15/bin/pg_dump /root; ! systemctl start shop-backup.service").expect(0);
    let verify = host.exec(&["bringup", "verify"]).expect(6).both();
    assert!(verify.contains("failed: exit-code"), "{verify}");
    host.sh("mv /root/pg_dump /usr/lib/postgresql/15/bin/; rm /var/tmp/* /tmp/hostile.sql /root/hostile.sql -rf")
        .expect(0);
    host.exec(&["bringup", "rollback", "--all", "--yes", "--drop-data", "--plain"]).expect(0);
    let left = host.difference(&before);
    let foreign = left.lines().filter(|line| !line.contains("/var/backups/shop")).count();
    assert_eq!(foreign, 0, "{left}");
    host.sh("ls -A /var/backups/shop | grep -x shop-first.tar.gz && ls /var/backups/shop/shop-20200101-000000.tar.gz")
        .expect(0);
}

/// What the application does to its own directory, and to what lies beside it, while the backup works.
const SWAPPING: &str = r#"
cd /var/lib/lite
while :; do
  rm -rf d; ln -s /etc/apt/apt.conf.d d; rm -f d; mkdir -p d/e; echo x > d/e/f
  mv lite.db kept.db; ln -s /etc/apt/apt.conf.d/99seized lite.db; rm lite.db; mv kept.db lite.db
  for work in /var/tmp/lite-backup.*; do
    ln -sfn /etc/apt/apt.conf.d/99seized "$work/database"; ln -sfn /etc/apt/apt.conf.d/99seized "$work/errors"
    mv "$work" "$work.x"; ln -s /etc/apt/apt.conf.d "$work"; rm -f "$work" "$work.x"
  done 2>/dev/null
done
"#;

#[test]
#[ignore = "needs root and test hosts: tests/run"]
fn swapped_links_lead_no_backup_astray_and_cron_makes_them_without_systemd() {
    let host = Host::start("bookworm", Init::None);
    let done =
        host.bringup(&answers(&[("application.name", "lite"), ("web.host", "app.example.test")])).expect(0).both();
    assert!(done.contains("the newest is lite-first.tar.gz, of"), "{done}");
    host.write("/tmp/swapping", SWAPPING);
    host.sh("chmod 644 /tmp/swapping; find /etc /root /usr/local -type f -print0 | sort -z | xargs -0 sha256sum > /var/before").expect(0);
    let attacked = "runuser -u lite -- sh /tmp/swapping >/dev/null 2>&1 & attacker=$!; good=0; \
         for n in $(seq 25); do if env -i /usr/local/sbin/lite-backup >/dev/null 2>&1; then good=$((good + 1)); fi; done; \
         kill $attacker; pkill -u lite -f swapping; find /etc /root /usr/local -type f -print0 | sort -z | xargs -0 sha256sum | diff /var/before - && \
         echo \"$good went well\"";
    let attacked = host.sh(attacked).expect(0).stdout;
    let good: u32 = attacked.split(' ').next().unwrap().trim().parse().unwrap();
    assert!(good >= 10, "{attacked}");
    // Nothing of what a link led to is in an archive.
    host.sh("for a in /var/backups/lite/lite-*.tar.gz; do tar -tzf $a; done | grep 'lite/d/' | grep -v 'lite/d/\\(e/\\(f\\)\\?\\)\\?$'")
        .expect(1);
    // What others can change is no place for backups.
    host.sh("chown lite /var/backups/lite; ! lite-backup 2>&1 | grep -q 'others can change'; test $? = 1").expect(0);
}
