//! Something to type: the name of a file for the answers.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use ratatui::text::Span;

use crate::answers::interview::Interview;
use crate::answers::{SecretSource, file};
use crate::secret::shell_quote;
use crate::ui::wizard::editor::Editor;
use crate::ui::wizard::keys::{Act, KeyHint, key_hint};
use crate::ui::wizard::page::Transition;
use crate::ui::wizard::theme::{Role, Sign};
use crate::ui::wizard::view::{View, ViewBuilder};

/// The question for a file's name, over a page.
#[derive(Debug)]
pub struct Prompt {
    /// Its head.
    pub title: String,
    text: String,
    /// What is typed.
    pub editor: Editor,
    content: String,
    refusal: String,
}

impl Prompt {
    /// Where to save the answers.
    pub fn save(interview: &Interview) -> Self {
        let written = file::write(interview.guide(), interview.resolved(), interview.given().on_failure);
        let (content, refusal) = match written {
            Ok(content) => (content, String::new()),
            Err(failure) => (String::new(), failure.to_string()),
        };
        let mut text = "The answers are written to a file that only you can read. It must not exist yet.".to_owned();
        let missing = interview.gaps().iter().filter(|gap| gap.stage.is_some()).count();
        if missing > 0 {
            text.push_str(" Missing answers can be given later.");
        }
        let secrets = typed_secrets(interview);
        if !secrets.is_empty() {
            text.push_str("\n\nPasswords that you typed are not saved.");
        }
        let name = format!("{}-answers.yaml", interview.guide().id);
        Self { title: "Save the answers".to_owned(), text, editor: Editor::new(name), content, refusal }
    }

    /// Why the name that was typed does not do.
    pub fn refuse(&mut self, why: String) {
        self.refusal = why;
    }

    pub(super) fn write(&self, mut writer: ViewBuilder<'_>) -> View {
        writer.prose(Role::Value, 0, &self.text);
        writer.blank();
        let head = writer.span(Role::Heading, "File");
        writer.line(vec![head]);
        let room = writer.width().saturating_sub(4).min(60);
        let window = self.editor.window(room, |text| writer.clean(text), writer.theme().sign(Sign::Ellipsis));
        let role = if self.editor.is_suggestion() { Role::Placeholder } else { Role::Value };
        let mut pieces = vec![Span::raw("  ")];
        pieces.extend(writer.field(role, &window.text, room, false));
        writer.line(pieces);
        writer.cursor(2 + window.cursor);
        if !self.refusal.is_empty() {
            writer.note(Role::Bad, Sign::Bad, 0, &self.refusal);
        }
        writer.done()
    }

    pub(super) fn key_hints() -> Vec<KeyHint> {
        vec![key_hint(Act::Enter, "save and leave"), key_hint(Act::Back, "close")]
    }

    pub(super) fn act(&mut self, act: Act) -> Transition {
        match act {
            Act::Enter if self.editor.text().trim().is_empty() => {
                "type a name for the file".clone_into(&mut self.refusal);
            }
            Act::Enter => {
                let path = PathBuf::from(self.editor.text().trim());
                return Transition::Save(path, self.content.clone());
            }
            Act::Back => return Transition::Close,
            _ => {}
        }
        Transition::Stay
    }
}

/// What is said after the answers were saved, when the terminal is as before.
pub fn saved(interview: &Interview, path: &Path) -> String {
    let path = path.display();
    let complete = interview.gaps().iter().all(|gap| gap.stage.is_none());
    let ask = if complete { "" } else { " --ask" };
    let secrets = typed_secrets(interview);
    let mut words = format!("The answers are in {path}. Nothing was changed.\n");
    if !secrets.is_empty() {
        let _ = writeln!(words, "Set {} first: passwords that you typed are not in it.", secrets.join(" and "));
    }
    let keep = if secrets.is_empty() { String::new() } else { format!(" --preserve-env={}", secrets.join(",")) };
    words + &format!("Continue with:  sudo{keep} bringup --answers {}{ask}\n", shell_quote(&path.to_string()))
}

/// The variables that stand for secrets that were typed.
pub fn typed_secrets(interview: &Interview) -> Vec<String> {
    let secrets = interview.resolved().secrets.iter();
    secrets
        .filter(|(_, source)| matches!(source, SecretSource::Literal(_)))
        .map(|(path, _)| file::variable(path))
        .collect()
}
