//! The wizard's looks: styles and signs by name, from `assets/theme.yaml`.

use std::collections::BTreeMap;

use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;

use crate::ui::style::Look;
use crate::ui::text;
use crate::yaml;

/// What a piece of text is; the theme says how that looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Role {
    Title,
    Heading,
    Dim,
    Key,
    Focus,
    Value,
    Placeholder,
    /// What can be typed into.
    Field,
    Good,
    Warning,
    Bad,
    Added,
    Removed,
    System,
    Database,
    Broker,
    Other,
    Workers,
    Free,
    /// Found by a search.
    Found,
}

/// A sign of the theme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Sign {
    Pointer,
    Good,
    Warning,
    Bad,
    Pending,
    Working,
    Chosen,
    Open,
    Yes,
    No,
    Ellipsis,
    Rule,
    Line,
    Full,
    Half,
    Empty,
    Secret,
    /// A column of a field where nothing stands.
    Blank,
    Up,
    Down,
    Left,
    Right,
    System,
    Database,
    Broker,
    Other,
    Workers,
    Free,
    Swap,
    Enter,
    /// Something comes that was not there.
    New,
    /// Something becomes another.
    Changed,
    /// Something stays as it is.
    Same,
    /// It cannot be told.
    Untold,
    Bullet,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    styles: BTreeMap<Role, Vec<String>>,
    signs: BTreeMap<Sign, (String, String)>,
}

/// Styles and signs for one terminal.
#[derive(Clone, Debug)]
pub struct Theme {
    styles: BTreeMap<Role, Style>,
    signs: BTreeMap<Sign, String>,
    unicode: bool,
}

impl Theme {
    /// The shipped theme, as this terminal can show it.
    pub fn new(look: Look) -> Self {
        // It is part of the program, and a test reads it.
        let file = yaml::from_slice::<File>("theme.yaml", include_bytes!("../../../assets/theme.yaml"));
        let file = file.unwrap_or(File { styles: BTreeMap::new(), signs: BTreeMap::new() });
        let style = |words: Vec<String>| words.iter().fold(Style::new(), |style, word| with(style, word, look.colour));
        Self {
            styles: file.styles.into_iter().map(|(role, words)| (role, style(words))).collect(),
            signs: file
                .signs
                .into_iter()
                .map(|(sign, (unicode, ascii))| (sign, if look.unicode { unicode } else { ascii }))
                .collect(),
            unicode: look.unicode,
        }
    }

    /// How text of this role looks.
    pub fn style(&self, role: Role) -> Style {
        self.styles.get(&role).copied().unwrap_or_default()
    }

    /// The sign.
    pub fn sign(&self, sign: Sign) -> &str {
        self.signs.get(&sign).map_or("", String::as_str)
    }

    /// Text as this terminal can show it, without control codes.
    pub fn text(&self, text: &str) -> String {
        let text = text::clean(text);
        if self.unicode { text } else { text::ascii(&text) }
    }
}

/// A style with one more word of the theme.
fn with(style: Style, word: &str, colour: bool) -> Style {
    let modifier = match word {
        "bold" => Modifier::BOLD,
        "dim" => Modifier::DIM,
        "reverse" => Modifier::REVERSED,
        "underline" => Modifier::UNDERLINED,
        _ if !colour => return style,
        _ => return word.replace('-', "").parse::<Color>().map_or(style, |colour| style.fg(colour)),
    };
    style.add_modifier(modifier)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::ui::text::width;

    #[test]
    fn every_role_and_sign_has_its_looks_and_both_signs_are_equally_wide() {
        let file: File = yaml::from_slice("theme.yaml", include_bytes!("../../../assets/theme.yaml")).unwrap();
        assert_eq!((file.styles.len(), file.signs.len()), (Role::Found as usize + 1, Sign::Bullet as usize + 1));
        for (sign, (unicode, ascii)) in &file.signs {
            assert!(ascii.is_ascii(), "{sign:?}");
            assert!(*sign == Sign::Enter || width(unicode) == width(ascii), "{sign:?}");
        }
        let known = |word: &String| {
            ["bold", "dim", "reverse", "underline"].contains(&word.as_str())
                || word.replace('-', "").parse::<Color>().is_ok_and(|colour| !matches!(colour, Color::Rgb(..)))
        };
        assert!(file.styles.values().flatten().all(known));
    }

    #[test]
    fn without_colour_only_weights_remain() {
        let plain = Theme::new(Look { colour: false, ..Look::PLAIN });
        assert_eq!(plain.style(Role::Bad), Style::new());
        assert!(plain.style(Role::Focus).add_modifier.contains(Modifier::BOLD));
        let colour = Theme::new(Look { colour: true, ..Look::PLAIN });
        assert_eq!(colour.style(Role::Bad).fg, Some(Color::Red));
        assert_eq!(colour.sign(Sign::Good), "+");
    }
}
