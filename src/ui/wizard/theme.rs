//! The wizard's looks: styles and signs by name, from `assets/theme.yaml`.

use std::collections::BTreeMap;

use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;

use crate::ui::style::Look;
use crate::ui::terminal::Background;
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
    /// An empty column of a field.
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
    /// Unknown.
    Untold,
    Bullet,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    styles: BTreeMap<Role, Vec<String>>,
    /// What differs on a background that is known.
    dark: BTreeMap<Role, Vec<String>>,
    light: BTreeMap<Role, Vec<String>>,
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
    /// The shipped theme, as this terminal can show it, while nothing is known of its background.
    pub fn new(look: Look) -> Self {
        Self::on(look, None)
    }

    /// The same for a background.
    pub fn on(look: Look, background: Option<Background>) -> Self {
        // It is part of the program, and a test reads it.
        let file = yaml::from_slice::<File>("theme.yaml", include_bytes!("../../../assets/theme.yaml"));
        let mut file = file.unwrap_or_default();
        match background.filter(|_| look.colour) {
            Some(Background::Dark) => file.styles.extend(file.dark),
            Some(Background::Light) => file.styles.extend(file.light),
            None => {}
        }
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

/// The colour of a number from 16 on, which is the same on every terminal (xterm's 256 colours).
#[cfg(test)]
pub(super) fn rgb(colour: Color) -> Option<[u8; 3]> {
    let Color::Indexed(index @ 16..) = colour else { return None };
    if index >= 232 {
        return Some([8 + (index - 232) * 10; 3]);
    }
    let part = |part: u8| if part == 0 { 0 } else { 55 + part * 40 };
    Some([(index - 16) / 36, (index - 16) / 6 % 6, (index - 16) % 6].map(part))
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
    use crate::ui::terminal::luminance;
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

    /// Backgrounds that terminals come with, and themes that many choose.
    const DARK: [[u8; 3]; 7] = [[0; 3], [12; 3], [30; 3], [48, 10, 36], [0, 43, 54], [40, 42, 54], [46, 52, 54]];
    const LIGHT: [[u8; 3]; 5] = [[255; 3], [250; 3], [253, 246, 227], [238, 238, 236], [255, 255, 221]];

    #[test]
    fn text_can_be_read_on_dark_and_on_light() {
        let look = Look { colour: true, unicode: true, width: 80 };
        let file: File = yaml::from_slice("theme.yaml", include_bytes!("../../../assets/theme.yaml")).unwrap();
        for (background, shades, text) in
            [(Background::Dark, &DARK[..], [255; 3]), (Background::Light, &LIGHT[..], [0; 3])]
        {
            let theme = Theme::on(look, Some(background));
            for role in file.styles.keys() {
                let style = theme.style(*role);
                // How much is left of a dimmed colour is every terminal's own affair.
                assert!(!style.add_modifier.contains(Modifier::DIM), "{role:?} on {background:?}");
                let colour =
                    style.fg.map_or(text, |colour| rgb(colour).unwrap_or_else(|| panic!("{role:?}: {colour}")));
                for shade in shades {
                    assert_eq!(Background::of(*shade), background);
                    let (one, other) = (luminance(colour) + 0.05, luminance(*shade) + 0.05);
                    let contrast = one.max(other) / one.min(other);
                    assert!(contrast >= 4.5, "{role:?} on {background:?} {shade:?}: {contrast}");
                }
            }
        }
    }

    #[test]
    fn without_colour_a_background_changes_nothing() {
        let plain = Look { colour: false, ..Look::PLAIN };
        let style = |background| Theme::on(plain, background).style(Role::Dim);
        assert_eq!(style(Some(Background::Light)), style(None));
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
