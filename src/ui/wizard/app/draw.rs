//! The frame: head, rail, page or overlay with the side pane, and the bottom line.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::App;
use crate::ui::text;
use crate::ui::wizard::keys;
use crate::ui::wizard::layout::Layout;
use crate::ui::wizard::model::Route;
use crate::ui::wizard::overlay::Search;
use crate::ui::wizard::page::page;
use crate::ui::wizard::theme::{Role, Sign};
use crate::ui::wizard::view::ViewBuilder;

impl App {
    /// Draws it.
    pub fn draw(&self, frame: &mut Frame<'_>) {
        let parts = self.layout();
        let buffer = frame.buffer_mut();
        self.draw_head(parts.head, buffer);
        self.draw_rail(parts.rail, buffer);
        if parts.status.area() > 0
            && let Some(line) = self.status(usize::from(parts.status.width))
        {
            buffer.set_line(parts.status.x, parts.status.y, &line, parts.status.width);
        }
        let scroll = self.view().scroll;
        draw_lines(&self.doc.lines, scroll, parts.main, buffer);
        if parts.aside.area() > 0
            && self.overlay.is_none()
            && let Some(aside) = page(&self.route, &self.model)
                .aside(self.view().focus.as_ref(), ViewBuilder::new(&self.model.theme, parts.aside.width, None))
        {
            self.draw_rule(parts.aside.x - 2, parts.aside, buffer);
            draw_lines(&aside.lines, 0, parts.aside, buffer);
        }
        self.draw_panes(&parts, buffer);
        self.draw_foot(parts.foot, buffer);
        if let Some((_, at)) = self.search_typed(parts.foot) {
            frame.set_cursor_position((parts.foot.x + at, parts.foot.y));
        } else if let Some((row, column)) = self.doc.cursor
            && let Some(row) = row.checked_sub(scroll)
            && row < usize::from(parts.main.height)
            && column < parts.main.width
        {
            frame.set_cursor_position((parts.main.x + column, parts.main.y + u16::try_from(row).unwrap_or(0)));
        }
    }

    /// The text above the page, and the pane that scrolls by itself below or beside it.
    fn draw_panes(&self, parts: &Layout, buffer: &mut Buffer) {
        if self.overlay.is_some() {
            return;
        }
        let theme = &self.model.theme;
        let page = page(&self.route, &self.model);
        if let Some(top) = page.top(ViewBuilder::new(theme, parts.top.width, None)) {
            draw_lines(&top.lines, 0, parts.top, buffer);
        }
        let writer = ViewBuilder::new(theme, parts.pane.width, None);
        let rows = usize::from(parts.pane.height);
        if rows > 0
            && let Some(pane) = page.pane(self.view().focus.as_ref(), writer, rows)
        {
            draw_lines(&pane.lines, 0, parts.pane, buffer);
        }
    }

    fn draw_head(&self, area: Rect, buffer: &mut Buffer) {
        if area.area() == 0 {
            return;
        }
        let theme = &self.model.theme;
        let guide = self.model.interview.as_ref().map(|interview| interview.guide().title.as_str());
        let run = self.model.run_view.as_ref().map(|run_view| run_view.running.title.as_str());
        let guide = guide.or(run.filter(|title| !title.is_empty()));
        let places = self.model.places();
        let at = places.iter().position(|place| *place == self.route).map_or(0, |at| at + 1);
        let page = match &self.overlay {
            Some((overlay, _)) => overlay.title().to_owned(),
            None => self.model.title(&self.route),
        };
        let mut pieces = vec![Span::styled("bringup  ", theme.style(Role::Title))];
        if let Some(guide) = guide.filter(|_| area.width >= 60) {
            pieces.push(Span::raw(format!("{guide}  ")));
        }
        pieces.push(Span::styled(page, theme.style(Role::Heading)));
        if at > 0 && self.overlay.is_none() && self.route != Route::Run {
            pieces.push(Span::styled(format!("  {at}/{}", places.len()), theme.style(Role::Dim)));
        }
        let more = self.more(self.layout().main.height);
        let room = usize::from(area.width).saturating_sub(text::width(&more) + 2);
        let used: usize = pieces.iter().map(Span::width).sum();
        if self.layout().status.height == 0
            && let Some(status) = self.status(room.saturating_sub(used + 2))
        {
            pieces.push(Span::raw("  "));
            pieces.extend(status);
        }
        buffer.set_line(area.x, area.y, &Line::from(pieces), area.width);
        if used <= room && !more.is_empty() {
            let width = u16::try_from(text::width(&more)).unwrap_or(0);
            let span = Span::styled(more, theme.style(Role::Dim));
            buffer.set_span(area.right() - width, area.y, &span, width);
        }
    }

    /// What the page has to say above everything, in so many columns.
    fn status(&self, columns: usize) -> Option<Line<'static>> {
        if self.overlay.is_some() || columns < 8 {
            return None;
        }
        let status = page(&self.route, &self.model).status(self.view().focus.as_ref())?;
        let writer = ViewBuilder::new(&self.model.theme, 0, None);
        let sign = writer.sign(status.role, status.sign);
        let text = writer.clean(&format!(" {}", status.text));
        let text = text::shorten(&text, columns - sign.width(), self.model.theme.sign(Sign::Ellipsis));
        Some(Line::from(vec![sign, Span::raw(text)]))
    }

    /// How many lines are hidden above and below.
    fn more(&self, height: u16) -> String {
        let theme = &self.model.theme;
        let above = self.view().scroll;
        let below = self.doc.lines.len().saturating_sub(above + usize::from(height));
        let more = if self.size.0 < 60 { "" } else { " more" };
        match (above, below) {
            (0, 0) => String::new(),
            (0, below) => format!("{}{below}{more}", theme.sign(Sign::Down)),
            (above, 0) => format!("{}{above}{more}", theme.sign(Sign::Up)),
            (above, below) => format!("{}{above} {}{below}{more}", theme.sign(Sign::Up), theme.sign(Sign::Down)),
        }
    }

    /// A line from top to bottom of `area`, in the column `x`.
    fn draw_rule(&self, x: u16, area: Rect, buffer: &mut Buffer) {
        let rule = Span::styled(self.model.theme.sign(Sign::Rule), self.model.theme.style(Role::Dim));
        for y in area.top()..area.bottom() {
            buffer.set_span(x, y, &rule, 1);
        }
    }

    fn draw_rail(&self, area: Rect, buffer: &mut Buffer) {
        if area.area() == 0 {
            return;
        }
        let theme = &self.model.theme;
        self.draw_rule(area.right() + 1, area, buffer);
        let contents = self.model.contents();
        let at = contents.iter().position(|(place, ..)| *place == self.route).unwrap_or(0);
        let first = (at + 1).saturating_sub(usize::from(area.height));
        for ((place, title, readiness), y) in contents.iter().skip(first).zip(area.top()..area.bottom()) {
            let (role, sign) = readiness.sign();
            let here = *place == self.route;
            let name = text::shorten(title, usize::from(area.width) - 4, theme.sign(Sign::Ellipsis));
            let pointer = if here { theme.sign(Sign::Pointer) } else { " " };
            let line = Line::from(vec![
                Span::styled(pointer.to_owned(), theme.style(Role::Focus)),
                Span::styled(theme.sign(sign).to_owned(), theme.style(role)),
                Span::styled(format!(" {name}"), theme.style(if here { Role::Focus } else { Role::Value })),
            ]);
            buffer.set_line(area.x, y, &line, area.width);
        }
    }

    /// What is typed to be looked for, as the bottom line shows it, and the cursor's column there.
    fn search_typed(&self, area: Rect) -> Option<(String, u16)> {
        if area.area() == 0 {
            return None;
        }
        let columns = usize::from(area.width / 2).saturating_sub(1).max(1);
        let typed = self.search()?.typed(columns, &self.model.theme)?;
        Some((format!("/{}", typed.text), u16::try_from(typed.cursor + 1).unwrap_or(0)))
    }

    fn draw_foot(&self, area: Rect, buffer: &mut Buffer) {
        let theme = &self.model.theme;
        let mut pieces = Vec::new();
        let mut room = usize::from(area.width);
        if let Some((typed, _)) = self.search_typed(area) {
            room = room.saturating_sub(room / 2 + 2);
            pieces.push(Span::raw(text::pad(&typed, usize::from(area.width / 2) + 2)));
        }
        if let Some(said) = self.search().map(Search::said).filter(|said| !said.is_empty()) {
            let said = text::shorten(&theme.text(said), room / 2, theme.sign(Sign::Ellipsis));
            room = room.saturating_sub(text::width(&said) + 2);
            pieces.push(Span::styled(format!("{said}  "), theme.style(Role::Value)));
        }
        if !self.said.is_empty() {
            let said = text::shorten(&theme.text(&self.said), room, theme.sign(Sign::Ellipsis));
            room = room.saturating_sub(text::width(&said) + 2);
            pieces.push(Span::styled(format!("{said}  "), theme.style(Role::Warning)));
        }
        for (key, says) in keys::footer(theme, &self.key_hints(), self.typing(), room) {
            pieces.push(Span::styled(key, theme.style(Role::Key)));
            pieces.push(Span::styled(format!(" {says}  "), theme.style(Role::Dim)));
        }
        buffer.set_line(area.x, area.y, &Line::from(pieces), area.width);
    }
}

fn draw_lines(lines: &[Line<'static>], scroll: usize, area: Rect, buffer: &mut Buffer) {
    for (line, y) in lines.iter().skip(scroll).zip(area.top()..area.bottom()) {
        buffer.set_line(area.x, y, line, area.width);
    }
}
