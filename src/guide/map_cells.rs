//! The cells of a map's rows, where a person types it: a name, and a value or a secret.

use std::sync::LazyLock;

use super::{Question, QuestionKind};

/// The cell with the name.
pub const NAME: &str = "name";
/// The cell with a value that everybody may see.
pub const VALUE: &str = "value";
/// The cell with a secret, instead of a value.
pub const SECRET: &str = "secret";

static ROW: LazyLock<[Question; 3]> = LazyLock::new(|| {
    let text = |id: &str, ask: &str, optional| Question { optional, ..Question::new(id, ask, QuestionKind::Text) };
    let secret = Question {
        optional: true,
        pattern: Some(".+".to_owned()),
        pattern_hint: Some("one line of at least 6 characters".to_owned()),
        // Shorter ones could not be hidden in the output of programs.
        min: Some(6),
        ..Question::new(SECRET, "or a secret", QuestionKind::Secret)
    };
    [text(NAME, "Name", false), text(VALUE, "Value", true), secret]
});

/// The cells of a row, with or without that of a secret.
pub(super) fn row(secret: bool) -> &'static [Question] {
    if secret { &*ROW } else { &ROW[..2] }
}

/// The cell with a secret.
pub fn secret() -> &'static Question {
    &ROW[2]
}
