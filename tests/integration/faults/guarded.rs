//! What holds for every guarded change that a person confirms, on a host in memory: killed, failed or unconfirmed at
//! any of its steps, it is completed or reverted, and nobody is locked out meanwhile.

use bringup::action::carry::CARRY;
use bringup::answers::OnFailure;
use bringup::error::Exit;
use bringup::host::fake::{Cut, FakeHost, Snapshot};
use bringup::plan::Plan;
use bringup::secret::Secrets;
use bringup::undo::deadman;

use super::{assert_same, back, newest, run_plan};

/// A change under the switch.
pub struct Guarded {
    /// A machine before it.
    pub fresh: fn() -> FakeHost,
    /// The plan with it, by what confirms it.
    pub plan: fn(&str) -> Plan,
    /// What is compared otherwise.
    pub left_out: &'static [&'static str],
    /// Nobody is cut off, after what was done under this confirmation.
    pub assert_safe: fn(&str, &str, &FakeHost),
}

impl Guarded {
    fn seen(&self, host: &FakeHost) -> Snapshot {
        host.snapshot(self.left_out)
    }

    fn before(&self) -> Snapshot {
        self.seen(&(self.fresh)())
    }

    pub fn run(&self, host: &FakeHost, confirm: &str, on_failure: OnFailure) -> Exit {
        run_plan(host, &(self.plan)(confirm), &Secrets::default(), on_failure)
    }

    fn changes(&self, confirm: &str) -> u64 {
        let host = (self.fresh)();
        self.run(&host, confirm, OnFailure::Rollback);
        host.changes()
    }

    /// Kills the run at each of its changes, in each way.
    pub fn killed_everywhere(&self, confirm: &str, judge: impl Fn(&str, &FakeHost)) {
        let all = self.changes(confirm);
        assert!(all > 15, "only {all} changes");
        for n in 1..=all {
            for cut in [Cut::Before, Cut::Halfway, Cut::After] {
                let host = (self.fresh)();
                host.kill_after(n, cut);
                self.run(&host, confirm, OnFailure::Rollback);
                host.revive();
                let what = format!("{confirm}, killed at change {n} of {all}, {cut:?}");
                (self.assert_safe)(&what, confirm, &host);
                judge(&what, &host);
            }
        }
    }

    /// A killed run that is resumed ends like one that nothing disturbed, which is given back.
    pub fn resumed_it_ends_like_an_undisturbed_one(&self) -> FakeHost {
        let undisturbed = (self.fresh)();
        assert_eq!(self.run(&undisturbed, "none", OnFailure::Rollback), Exit::Done);
        let end = self.seen(&undisturbed);
        self.killed_everywhere("none", |what, host| {
            assert_eq!(self.run(host, "none", OnFailure::Pause), Exit::Done, "{what}");
            assert_same(what, &self.seen(host), &end);
        });
        undisturbed
    }

    pub fn a_rollback_leads_back(&self) {
        let before = self.before();
        self.killed_everywhere("none", |what, host| {
            back(host).unwrap();
            assert_same(what, &self.seen(host), &before);
        });
    }

    pub fn the_timer_leads_back_and_the_journal_agrees(&self) {
        let before = self.before();
        self.killed_everywhere("new_connection", |what, host| {
            // What PID 1 does when the time is up.
            deadman::expire(host, 0, CARRY).ok();
            assert_same(what, &self.seen(host), &before);
            back(host).unwrap();
            assert_same(what, &self.seen(host), &before);
            assert_eq!(newest(host).and_then(|(_, journal)| journal.ok()).map_or(0, |journal| journal.standing()), 0);
        });
    }

    pub fn whatever_change_fails_it_is_rolled_back(&self) {
        let before = self.before();
        for n in 1..=self.changes("none") {
            let host = (self.fresh)();
            host.fail_after(n);
            let exit = self.run(&host, "none", OnFailure::Rollback);
            if exit == Exit::Done {
                continue;
            }
            if exit != Exit::RolledBack {
                back(&host).unwrap();
            }
            assert_same(&format!("failure at change {n}"), &self.seen(&host), &before);
        }
    }
}
