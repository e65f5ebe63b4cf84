//! What part of a page is seen: scrolling, and keeping the pointer in sight.

use std::ops::Range;

use super::{App, Revealed};
use crate::ui::wizard::model::Route;

impl App {
    pub(super) fn page_height(&self) -> isize {
        isize::try_from(self.layout().main.height.max(2)).unwrap_or(2)
    }

    pub(super) fn scroll(&mut self, by: isize) -> bool {
        let most = self.doc.lines.len().saturating_sub(usize::from(self.layout().main.height));
        let view = self.view_mut();
        view.scroll = view.scroll.saturating_add_signed(by).min(most);
        true
    }

    /// Scrolls, and takes the pointer along to something that is seen then.
    pub(super) fn page(&mut self, by: isize) -> bool {
        let before = self.view().scroll;
        self.scroll(by);
        let top = self.view().scroll;
        let seen = top..top + usize::from(self.layout().main.height);
        let inside = |lines: &Range<usize>| seen.start <= lines.start && lines.end <= seen.end;
        // Where there is no further page, to what comes last.
        let at_end = top == before || by.unsigned_abs() > self.doc.lines.len();
        if at_end || self.focused().is_some_and(|at| !inside(&self.doc.stops[at].1)) {
            let mut stops = self.doc.stops.iter().filter(|(_, lines)| inside(lines)).map(|(stop, _)| stop);
            let found = if (by > 0) == at_end { stops.next_back() } else { stops.next() };
            if let Some(stop) = found.cloned() {
                self.view_mut().focus = Some(stop);
            }
        }
        self.revealed = Some(self.pointer());
        true
    }

    pub(super) fn pointer(&self) -> Revealed {
        (self.route.clone(), self.view().focus.clone(), self.overlay.is_some(), self.size)
    }

    /// Scrolls to the pointer, when it was moved. Some lines further than it needs: over a slow line, one longer
    /// way is better than many.
    pub(super) fn reveal_focus(&mut self) {
        let here = self.pointer();
        if self.revealed.as_ref() == Some(&here) {
            return;
        }
        self.revealed = Some(here);
        // A first look at the plan begins with what it comes to.
        if std::mem::take(&mut self.at_top) {
            return;
        }
        let height = usize::from(self.layout().main.height);
        let Some(at) = self.focused() else { return };
        let lines = self.doc.stops[at].1.clone();
        // Text above the first stop and below the last is shown with them, as far as it fits.
        let top = at == 0 && lines.end <= height;
        let first = if top { 0 } else { lines.start };
        let last = if top {
            lines.end
        } else if at + 1 == self.doc.stops.len() {
            self.doc.lines.len()
        } else {
            (lines.end + 1).min(self.doc.lines.len())
        };
        let view = self.view_mut();
        if first < view.scroll {
            view.scroll = first.saturating_sub(height / 3);
        } else if last > view.scroll + height {
            view.scroll = (last + height / 3 - height).min(lines.start);
        }
    }

    /// Whether the pointer is out of sight, that way.
    pub(super) fn is_away(&self, forward: bool) -> bool {
        let (top, height) = (self.view().scroll, usize::from(self.layout().main.height));
        let lines = self.focused().map(|at| &self.doc.stops[at].1);
        lines.is_some_and(|lines| if forward { lines.start >= top + height } else { lines.end <= top })
    }

    pub(super) fn focused_line(&self) -> Option<usize> {
        self.focused().map(|at| self.doc.stops[at].1.start)
    }

    /// Lines that come or go above the pointer do not move it on the screen.
    pub(super) fn stand_still(&mut self, before: Option<usize>) {
        if let (None, Route::Stage(_), Some(before), Some(now)) =
            (&self.overlay, &self.route, before, self.focused_line())
        {
            let view = self.view_mut();
            view.scroll = (view.scroll + now).saturating_sub(before);
        }
    }
}
