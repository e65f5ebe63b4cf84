//! Reading the events of a run as they come.

use std::path::Path;
use std::time::Duration;

use crate::engine::decision::Waiting;
use crate::engine::event::{Event, EventKind};
use crate::error::Exit;
use crate::host::Host;
use crate::ui::Renderer;

/// How often the file is looked at.
const POLL: Duration = Duration::from_millis(50);
/// After so many polls without news we ask whether the run's process still lives (0.5 s).
const SILENCE: u32 = 10;
/// A process that has not said a word after so many polls never started (10 s).
const START: u32 = 200;

/// How following ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// The run came to its end.
    Ended(Exit),
    /// The run's process ended before the run did.
    Died,
    /// The follower was interrupted; the run continues.
    Left,
}

/// What came of asking for a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It was given, or nobody can be asked: the run reports how it continues.
    GoOn,
    /// Whoever was asked left; the run waits on.
    Left,
}

/// Shows the events in `events` from the first, then as they are written, until the run ends or `interrupted`. `alive`
/// says whether the run's process works; `ask` is called once for each unanswered question of the run.
pub fn follow(
    host: &dyn Host,
    events: &Path,
    renderer: &mut dyn Renderer,
    alive: &dyn Fn() -> bool,
    interrupted: &dyn Fn() -> bool,
    ask: &mut dyn FnMut(&Waiting) -> Asked,
) -> Followed {
    let mut stream = Stream::default();
    let followed = read(host, events, &mut stream, renderer, alive, interrupted, ask);
    renderer.end(followed);
    followed
}

fn read(
    host: &dyn Host,
    events: &Path,
    stream: &mut Stream,
    renderer: &mut dyn Renderer,
    alive: &dyn Fn() -> bool,
    interrupted: &dyn Fn() -> bool,
    ask: &mut dyn FnMut(&Waiting) -> Asked,
) -> Followed {
    let mut silent = 0;
    loop {
        let before = stream.offset;
        if let Some(exit) = stream.advance(host, events, renderer) {
            return Followed::Ended(exit);
        }
        renderer.looked();
        if interrupted() {
            return Followed::Left;
        }
        // Only the last event may be a question: every other one has been answered.
        if stream.offset == before
            && let Some(question) = stream.question.take()
            && ask(&question) == Asked::Left
        {
            return Followed::Left;
        }
        silent = if stream.offset > before { 0 } else { silent + 1 };
        let patience = if stream.offset == 0 { START } else { SILENCE };
        if silent >= patience {
            silent = 0;
            if !alive() {
                // Its last events may have been written between our last look and its end.
                return stream.advance(host, events, renderer).map_or(Followed::Died, Followed::Ended);
            }
        }
        host.sleep(POLL);
    }
}

/// The part of the file that was read.
#[derive(Default)]
struct Stream {
    offset: u64,
    partial: Vec<u8>,
    /// The last event, when it is a question that was not asked yet.
    question: Option<Waiting>,
}

impl Stream {
    /// Shows what is new; the exit when it was the end.
    fn advance(&mut self, host: &dyn Host, events: &Path, renderer: &mut dyn Renderer) -> Option<Exit> {
        // A file that cannot be read has no news; whether its process lives is asked soon enough.
        let news = host.read_from(events, self.offset).unwrap_or_default();
        self.offset += news.len() as u64;
        self.partial.extend(news);
        let complete = self.partial.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let rest = self.partial.split_off(complete);
        let lines = std::mem::replace(&mut self.partial, rest);
        for line in lines.split(|byte| *byte == b'\n') {
            // A line that is not an event we know was torn, or comes from a newer program: the rest still counts.
            let Ok(event) = serde_json::from_slice::<Event>(line) else {
                continue;
            };
            renderer.event(&event);
            self.question = None;
            match event.what {
                EventKind::RunEnded { exit, .. } => return Some(exit),
                EventKind::Waiting(question) => self.question = Some(question),
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::cell::{Cell, RefCell};

    use super::*;
    use crate::engine::decision::Choice;
    use crate::host::fake::FakeHost;
    use crate::ui::run_state::recorded::{at, recorded, waiting};

    const FILE: &str = "/run/events.jsonl";

    #[derive(Default)]
    struct Seen {
        events: Vec<Event>,
        ended: Vec<Followed>,
    }

    impl Renderer for Seen {
        fn event(&mut self, event: &Event) {
            self.events.push(event.clone());
        }

        fn end(&mut self, how: Followed) {
            self.ended.push(how);
        }
    }

    fn text(events: &[Event]) -> String {
        events.iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect()
    }

    fn follow_on(host: &FakeHost, alive: &dyn Fn() -> bool, interrupted: &dyn Fn() -> bool) -> (Seen, Followed) {
        let mut seen = Seen::default();
        let mut nobody = |_: &Waiting| Asked::GoOn;
        let followed = follow(host, Path::new(FILE), &mut seen, alive, interrupted, &mut nobody);
        (seen, followed)
    }

    #[test]
    fn a_finished_run_is_shown_from_its_start() {
        let host = FakeHost::new();
        host.put_file(FILE, text(&recorded()), 0o600);
        let (seen, followed) = follow_on(&host, &|| false, &|| false);
        assert_eq!(seen.events, recorded());
        assert_eq!(followed, Followed::Ended(Exit::Done));
        assert_eq!(seen.ended, [followed]);
    }

    #[test]
    fn a_growing_file_is_read_once_byte_for_byte() {
        let host = FakeHost::new();
        let all = text(&recorded()).into_bytes();
        let written = RefCell::new(0);
        // Grows by 7 bytes at a time, so that lines and letters arrive torn.
        let grow = || {
            let mut written = written.borrow_mut();
            *written = (*written + 7).min(all.len());
            host.put_file(FILE, &all[..*written], 0o600);
            false
        };
        let (seen, followed) = follow_on(&host, &|| true, &grow);
        assert_eq!(seen.events, recorded());
        assert_eq!(followed, Followed::Ended(Exit::Done));
    }

    #[test]
    fn a_run_whose_process_is_gone_has_died() {
        let host = FakeHost::new();
        let events = recorded();
        host.put_file(FILE, text(&events[..3]), 0o600);
        let (seen, followed) = follow_on(&host, &|| false, &|| false);
        assert_eq!(seen.events, &events[..3]);
        assert_eq!(followed, Followed::Died);
        assert_eq!(seen.ended, [followed]);
    }

    #[test]
    fn the_last_words_before_the_end_of_the_process_are_heard() {
        let host = FakeHost::new();
        let events = recorded();
        host.put_file(FILE, text(&events[..3]), 0o600);
        let ends = || {
            host.put_file(FILE, text(&events), 0o600);
            false
        };
        assert_eq!(follow_on(&host, &ends, &|| false).1, Followed::Ended(Exit::Done));
    }

    #[test]
    fn a_process_that_is_slow_to_start_is_waited_for() {
        let host = FakeHost::new();
        let polls = Cell::new(0);
        let late = || {
            polls.set(polls.get() + 1);
            if polls.get() == START - 1 {
                host.put_file(FILE, text(&recorded()), 0o600);
            }
            false
        };
        assert_eq!(follow_on(&host, &|| false, &late).1, Followed::Ended(Exit::Done));
        assert_eq!(follow_on(&FakeHost::new(), &|| false, &|| false).1, Followed::Died);
    }

    #[test]
    fn an_interrupted_follower_leaves_the_run_alone() {
        let host = FakeHost::new();
        host.put_file(FILE, text(&recorded()[..3]), 0o600);
        host.forget_calls();
        let (seen, followed) = follow_on(&host, &|| true, &|| true);
        assert_eq!((seen.events.len(), followed), (3, Followed::Left));
        assert_eq!(seen.ended, [Followed::Left]);
        assert!(host.calls().iter().all(|call| !call.changes));
    }

    #[test]
    fn a_line_that_nobody_understands_is_passed_over() {
        let host = FakeHost::new();
        let strange = format!("{{\"event\":\"from_the_future\"}}\nto{}", "rn\n");
        host.put_file(FILE, strange + &text(&[at(EventKind::RunEnded { exit: Exit::RolledBack, changed: 0 })]), 0o600);
        assert_eq!(follow_on(&host, &|| true, &|| false).1, Followed::Ended(Exit::RolledBack));
    }

    fn asks(number: usize) -> Event {
        at(EventKind::Waiting(waiting(number)))
    }

    #[test]
    fn only_the_question_that_is_still_open_is_asked_and_only_once() {
        let host = FakeHost::new();
        let retry = at(EventKind::Decided { choice: Choice::Retry });
        let start = recorded()[0].clone();
        host.put_file(FILE, text(&[start.clone(), asks(5), retry.clone(), asks(9)]), 0o600);
        let asked = RefCell::new(Vec::new());
        let polls = Cell::new(0);
        let later = || {
            polls.set(polls.get() + 1);
            if polls.get() == 9 {
                let mut all = vec![start.clone(), asks(5), retry.clone(), asks(9), retry.clone()];
                all.push(at(EventKind::RunEnded { exit: Exit::Done, changed: 0 }));
                host.put_file(FILE, text(&all), 0o600);
            }
            false
        };
        let mut ask = |question: &Waiting| {
            asked.borrow_mut().push(question.number);
            Asked::GoOn
        };
        let followed = follow(&host, Path::new(FILE), &mut Seen::default(), &|| true, &later, &mut ask);
        assert_eq!((followed, asked.take()), (Followed::Ended(Exit::Done), vec![9]));
    }

    #[test]
    fn whoever_is_asked_may_leave() {
        let host = FakeHost::new();
        host.put_file(FILE, text(&[recorded()[0].clone(), asks(5)]), 0o600);
        let mut seen = Seen::default();
        let followed = follow(&host, Path::new(FILE), &mut seen, &|| true, &|| false, &mut |_| Asked::Left);
        assert_eq!((followed, seen.ended), (Followed::Left, vec![Followed::Left]));
    }
}
