//! Progress that comes in bursts, told at a reader's pace: at most ten times a second, and always the latest.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::host::{Host, Stamp};
use crate::progress::Progress;

/// Nobody reads faster, and each state is a line in a file that others follow.
const INTERVAL: Duration = Duration::from_millis(100);

/// Does `work` and hands on what it tells: of states that follow each other faster than [`INTERVAL`] only the
/// latest, no later than that. What is no percentage is told at once.
pub fn throttled<T>(
    host: &dyn Host,
    tell: &(dyn Fn(Progress) + Sync),
    work: impl FnOnce(&(dyn Fn(Progress) + Sync)) -> T,
) -> T {
    let pace = Pace { host, tell, state: Mutex::default(), news: Condvar::new() };
    std::thread::scope(|scope| {
        scope.spawn(|| pace.tell_late());
        // However the work ends: the thread ends with it.
        let _end = End(&pace);
        work(&|progress| pace.take(progress))
    })
}

struct Pace<'a> {
    host: &'a dyn Host,
    tell: &'a (dyn Fn(Progress) + Sync),
    state: Mutex<Latest>,
    news: Condvar,
}

#[derive(Default)]
struct Latest {
    /// The latest state that was not told yet.
    pending: Option<Progress>,
    /// When the last one was told.
    told: Option<Stamp>,
    ended: bool,
}

impl Pace<'_> {
    fn lock(&self) -> MutexGuard<'_, Latest> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Telling happens with the lock held, so that no older state comes after a newer one.
    fn take(&self, progress: Progress) {
        let mut state = self.lock();
        if !matches!(progress, Progress::Percent { .. }) {
            self.tell_pending(&mut state);
            return (self.tell)(progress);
        }
        let now = self.host.now();
        state.pending = Some(progress);
        if state.told.is_none_or(|told| now.since(told) >= INTERVAL) {
            self.tell_pending(&mut state);
        } else {
            self.news.notify_all();
        }
    }

    /// Tells what nothing newer has pushed out: a long step may follow a burst.
    fn tell_late(&self) {
        let mut state = self.lock();
        loop {
            let idle = |state: &mut Latest| state.pending.is_none() && !state.ended;
            state = self.news.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
            let waited = self.news.wait_timeout_while(state, INTERVAL, |state| !state.ended);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.ended {
                return;
            }
            self.tell_pending(&mut state);
        }
    }

    fn tell_pending(&self, state: &mut Latest) {
        if let Some(progress) = state.pending.take() {
            state.told = Some(self.host.now());
            (self.tell)(progress);
        }
    }
}

struct End<'a, 'b>(&'a Pace<'b>);

impl Drop for End<'_, '_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        self.0.tell_pending(&mut state);
        state.ended = true;
        drop(state);
        self.0.news.notify_all();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::mpsc;

    use super::*;
    use crate::host::fake::FakeHost;

    fn percent(n: u16) -> Progress {
        Progress::Percent { percent: f32::from(n), note: String::new(), amount: None }
    }

    #[test]
    fn of_a_burst_the_first_and_the_last_are_told_and_the_order_is_kept() {
        // A burst by the machine's clock: a thousand states take a millisecond.
        let host = FakeHost::new();
        let told = Mutex::new(Vec::new());
        let result = throttled(&host, &|progress| told.lock().unwrap().push(progress), |tell| {
            (0..1000).for_each(|n| tell(percent(n)));
            tell(Progress::Output("a line".to_owned()));
            tell(percent(1000));
            "done"
        });
        assert_eq!(result, "done");
        let told = told.into_inner().unwrap();
        assert_eq!(told.first(), Some(&percent(0)));
        assert_eq!(&told[told.len() - 3..], [percent(999), Progress::Output("a line".to_owned()), percent(1000)]);
        assert!(told.len() < 100, "{} states were told", told.len());
    }

    #[test]
    fn states_that_come_slowly_are_all_told() {
        let host = FakeHost::new();
        let told = Mutex::new(Vec::new());
        throttled(&host, &|progress| told.lock().unwrap().push(progress), |tell| {
            for n in 0..20 {
                tell(percent(n));
                host.sleep(INTERVAL);
            }
        });
        assert_eq!(told.into_inner().unwrap(), (0..20).map(percent).collect::<Vec<_>>());
    }

    #[test]
    fn the_last_of_a_burst_is_told_while_the_work_goes_on() {
        let host = FakeHost::new();
        let (sender, told) = mpsc::channel();
        throttled(
            &host,
            &|progress| {
                let _ = sender.send(progress);
            },
            |tell| {
                tell(percent(1));
                tell(percent(2));
                // Only the thread that tells late can end this.
                assert_eq!((told.recv().unwrap(), told.recv().unwrap()), (percent(1), percent(2)));
            },
        );
    }
}
