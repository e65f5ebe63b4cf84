//! The run's page: every state of it as a picture, and what its keys do.

use super::*;
use crate::engine::event::Event;
use crate::ui::track::tests::{at, gone_wrong, recorded};

const RUN: &str = "20261121-093015-webapp";

/// A wizard attached to a run of which nothing was told yet.
fn attached(size: (u16, u16), unicode: bool) -> App {
    let look = Look { width: usize::from(size.0), unicode, colour: false };
    let mut app = App::attached(Desk::new(look, true, Vec::new()), RUN, size);
    app.jobs();
    app
}

fn told(size: (u16, u16), unicode: bool, events: &[Event]) -> App {
    let mut app = attached(size, unicode);
    app.tell(Message::Run(News::Events(events.to_vec())));
    app
}

#[test]
fn look() {
    for size in [(80, 24), (40, 12), (160, 40)] {
        println!("{}", screen(&told(size, true, &recorded()[..4])));
        println!("{}", screen(&told(size, true, &recorded()[..11])));
        println!("{}", screen(&told(size, true, &recorded())));
        println!("{}", screen(&told(size, true, &gone_wrong()[..13])));
        println!("{}", screen(&told(size, true, &gone_wrong())));
    }
}
