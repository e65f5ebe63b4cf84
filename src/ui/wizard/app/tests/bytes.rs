//! How much is written to the terminal for a key: lines may be slow.

use super::stage::{at, open};
use super::*;
use crate::guide::load;
use crate::ui::terminal::{Background, TestGrid, TestPainter};
use crate::ui::wizard::run_cmd::RunMsg;
use ratatui::buffer::Buffer;

/// A wizard in colour on a terminal of the usual size, with what its terminal shows. On a known background, where the
/// colours take most bytes.
struct Seat {
    app: App,
    painter: TestPainter,
}

impl Seat {
    fn at(stage: &str) -> Self {
        let look = Look { width: 80, unicode: true, colour: true };
        let mut app = at(load::load("webapp").unwrap(), (80, 24), true, &[]);
        app.model.look = look;
        app.model.theme = Theme::on(look, Some(Background::Dark));
        open(&mut app, stage);
        let mut seat = Self { app, painter: TestPainter::new() };
        seat.paint();
        seat
    }

    /// At the review of the plan.
    fn reviewing() -> Self {
        let mut app = super::review::reviewing(&super::review::fit(), (80, 24), &[]);
        let look = Look { width: 80, unicode: true, colour: true };
        app.model.look = look;
        app.model.theme = Theme::on(look, Some(Background::Dark));
        app.settle();
        let mut seat = Self { app, painter: TestPainter::new() };
        seat.paint();
        seat
    }

    /// The bytes of the next frame.
    fn paint(&mut self) -> usize {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        let mut buffer = Buffer::default();
        terminal
            .draw(|frame| {
                self.app.draw(frame);
                buffer = frame.buffer_mut().clone();
            })
            .unwrap();
        let backend = terminal.backend();
        let cursor = backend.cursor_visible().then(|| backend.cursor_position());
        self.painter.paint(TestGrid::of(&buffer, self.app.model.look), cursor).len()
    }

    fn press(&mut self, code: KeyCode) -> usize {
        self.app.key(KeyEvent::new(code, KeyModifiers::NONE));
        self.paint()
    }
}

fn median(mut bytes: Vec<usize>) -> usize {
    bytes.sort_unstable();
    bytes[bytes.len() / 2]
}

#[test]
fn moving_and_typing_write_little() {
    let mut moves = Vec::new();
    let mut typed = Vec::new();
    for stage in ["application", "database", "queue", "workers", "web", "tls", "services"] {
        let mut seat = Seat::at(stage);
        let stops = seat.app.doc.stops.len();
        let there: Vec<usize> = (1..stops).map(|_| seat.press(KeyCode::Down)).collect();
        let back: Vec<usize> = (1..stops).map(|_| seat.press(KeyCode::Up)).collect();
        moves.extend(there.into_iter().chain(back));
    }
    for (stage, tabs, text) in [("application", 0, "shop"), ("web", 1, "shop.example.org"), ("web", 3, "8080")] {
        let mut seat = Seat::at(stage);
        for _ in 0..tabs {
            seat.press(KeyCode::Tab);
        }
        let bytes: Vec<usize> = text.chars().map(|c| seat.press(KeyCode::Char(c))).collect();
        typed.extend(bytes);
    }
    let (moved, typed) = (median(moves), median(typed));
    assert!(moved <= 60 && typed <= 12, "{moved} for moving, {typed} for typing");
    assert_eq!(Seat::at("database").paint(), 0, "nothing has changed");
}

#[test]
fn a_row_in_the_list_of_products_is_cheap() {
    let look = Look { width: 80, unicode: true, colour: true };
    let mut app = App::new(Model::new(look, true, load::list()), (80, 24));
    settle(&mut app);
    app.follow(Transition::Go(Route::Product, None));
    app.settle();
    let rows = app.doc.stops.len();
    app.on(Background::Dark);
    let mut seat = Seat { app, painter: TestPainter::new() };
    seat.paint();
    let moves: Vec<usize> = (1..rows).map(|_| seat.press(KeyCode::Down)).collect();
    assert!(rows > 5 && moves.iter().all(|bytes| *bytes <= 60), "{moves:?}");
}

/// Every key on the page that draws what the answers come to; the drawing follows when nothing is pressed for a while.
#[test]
fn typing_on_the_sizing_page_writes_little_however_much_it_draws() {
    let mut bytes = Vec::new();
    for (tabs, keys) in [(0, "40"), (0, "1000"), (0, "++-+"), (1, "512"), (1, "64"), (2, "8"), (2, "+++")] {
        let mut seat = Seat::at("workers");
        (0..tabs).for_each(|_| {
            seat.press(KeyCode::Tab);
        });
        let before = super::screen(&seat.app);
        bytes.extend(keys.chars().map(|c| seat.press(KeyCode::Char(c))));
        assert!(seat.app.pause().is_some());
        seat.app.paused(crate::host::Stamp { sec: 1_795_253_460, nsec: 0 });
        assert_ne!(super::screen(&seat.app), before);
        assert!(seat.paint() > 0 && seat.app.pause().is_none(), "drawn once");
    }
    assert!(bytes.iter().all(|bytes| *bytes <= 60), "{bytes:?}");
}

#[test]
fn moving_in_a_plan_writes_little() {
    let mut seat = Seat::reviewing();
    let actions = seat.app.model.review.plan().map_or(0, |plan| plan.actions.len());
    let moves: Vec<usize> = (1..actions).map(|_| seat.press(KeyCode::Down)).collect();
    assert!(median(moves.clone()) <= 60, "{moves:?}");
}

/// The wizard at a run that works, with what its terminal shows.
fn at_work() -> Seat {
    let look = Look { width: 80, unicode: true, colour: true };
    let mut app = super::run::attached((80, 24), true);
    app.model.theme = Theme::on(look, Some(Background::Dark));
    app.tell(Msg::Run(RunMsg::Events(super::run::quickstart()[..50].to_vec())));
    let mut seat = Seat { app, painter: TestPainter::new() };
    seat.paint();
    seat
}

#[test]
fn a_second_that_passes_and_a_step_in_the_list_of_a_run_write_little() {
    let mut seat = at_work();
    let moves: Vec<usize> = [KeyCode::Up; 6].into_iter().map(|code| seat.press(code)).collect();
    let mut seat = at_work();
    let mut second = |sec: i64| {
        seat.app.tell(Msg::Run(RunMsg::Time(crate::host::Stamp { sec: 1_795_253_460 + sec, nsec: 0 })));
        seat.paint()
    };
    second(0);
    let seconds: Vec<usize> = (1..30).map(&mut second).collect();
    assert!(median(moves) <= 60 && median(seconds) <= 24);
    assert_eq!(second(29), 0, "nothing has changed");
}
