//! Why a stage matters, as much of it as leaves room for the questions.

use crate::ui::text;
use crate::ui::wizard::keys::{self, Act};
use crate::ui::wizard::theme::Role;
use crate::ui::wizard::view::ViewBuilder;

/// Writes all of it, its first paragraph or its first sentence: what fits into `lines`. What is left out is in the
/// help, and the end says so.
pub fn write(why: &str, lines: usize, to: &mut ViewBuilder<'_>) {
    let why = why.trim();
    let paragraph = why.split("\n\n").next().unwrap_or_default();
    let sentence = paragraph.find(". ").or_else(|| paragraph.find(".\n")).map_or(paragraph, |end| &paragraph[..=end]);
    let key = keys::name(to.theme(), Act::Help, true).unwrap_or_default();
    let with_hint = |part: &str| if part == why { part.to_owned() } else { format!("{part} ({key} for more)") };
    let height = |part: &str| {
        let parts: Vec<&str> = part.split("\n\n").collect();
        parts.len() - 1 + parts.iter().map(|part| text::wrap(part, to.width().max(8)).len()).sum::<usize>()
    };
    let fitting = [why, paragraph].into_iter().map(with_hint).find(|part| height(part) <= lines);
    let part = fitting.unwrap_or_else(|| with_hint(sentence));
    to.prose(Role::Value, 0, &part);
    to.blank();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::style::Look;
    use crate::ui::wizard::theme::Theme;

    fn written(lines: usize) -> Vec<String> {
        let theme = Theme::new(Look::PLAIN);
        let mut writer = ViewBuilder::new(&theme, 30, None);
        write("First of all, this. It goes on and on for more than a line.\n\nAnd more.\n", lines, &mut writer);
        writer.done().lines.iter().map(ToString::to_string).filter(|line| !line.is_empty()).collect()
    }

    #[test]
    fn as_much_as_fits_and_the_rest_by_a_key() {
        assert_eq!(written(4), ["First of all, this. It goes on", "and on for more than a line.", "And more."]);
        assert_eq!(written(3).last().map(String::as_str), Some("(^G for more)"));
        assert_eq!(written(1), ["First of all, this. (^G for", "more)"]);
    }
}
