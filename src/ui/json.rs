//! Events as JSON lines, for programs.

use crate::engine::event::Event;
use crate::ui::Renderer;

/// Writes each event as one line of JSON.
pub struct Json {
    write: Box<dyn FnMut(&str)>,
}

impl Json {
    /// Writes with `write`.
    pub fn new(write: impl FnMut(&str) + 'static) -> Self {
        Self { write: Box::new(write) }
    }
}

impl Renderer for Json {
    fn event(&mut self, event: &Event) {
        // An event came from JSON, so it can be written as such.
        if let Ok(line) = serde_json::to_string(event) {
            (self.write)(&format!("{line}\n"));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;
    use crate::ui::run_state::recorded::gone_wrong;

    #[test]
    fn each_line_reads_back_as_its_event() {
        let text = Rc::new(RefCell::new(String::new()));
        let sink = Rc::clone(&text);
        let mut json = Json::new(move |line| sink.borrow_mut().push_str(line));
        let events = gone_wrong();
        for event in &events {
            json.event(event);
        }
        let back: Vec<Event> = text.borrow().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(back, events);
    }
}
