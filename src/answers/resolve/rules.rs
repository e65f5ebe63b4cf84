//! Rules, which refuse answers, and notices, which inform about them.

use serde_json::Value;

use super::Walk;
use crate::guide::expression::Context;
use crate::guide::{Notice, Rule};

impl Walk<'_> {
    /// `path` is the answer concerned when the rule names none.
    pub(super) fn rule(&mut self, rule: &Rule, path: &str, context: &Context) {
        let path = rule.field.as_deref().unwrap_or(path);
        let applies = rule.when.as_deref().map_or(Some(true), |when| self.truth(when, path, context));
        if applies != Some(true) || self.truth(&rule.that, path, context) != Some(false) {
            return;
        }
        if let Some([message, hint]) = self.words([&rule.message, &rule.hint], path, context) {
            self.refuse(path, message, hint);
        }
    }

    /// Evaluates a notice, once or for each item of a list.
    pub(super) fn notice(&mut self, notice: &Notice, stage: &str) {
        let path = notice.field.as_deref().unwrap_or(stage);
        let context = self.context.clone();
        let items = match notice.for_each.as_deref().map(|each| self.evaluate(each, path)) {
            None => return self.notice_in(notice, path, &context),
            Some(Some(Value::Array(items))) => items,
            // Not asked.
            Some(Some(Value::Null) | None) => return,
            Some(Some(other)) => return self.defect(path, "`for_each` gives no list", &other.to_string()),
        };
        for item in &items {
            self.notice_in(notice, path, &context.with("item", item));
        }
    }

    fn notice_in(&mut self, notice: &Notice, path: &str, context: &Context) {
        let applies = notice.when.as_deref().map_or(Some(true), |when| self.truth(when, path, context));
        if applies == Some(true)
            && !self.is_unknown(&self.names_in(&Value::from(notice.say.as_str())))
            && let Some([said, hint]) = self.words([&notice.say, &notice.hint], path, context)
        {
            let hint = if hint.is_empty() { hint } else { format!(" ({hint})") };
            self.resolved.warnings.push(format!("{path}: {said}{hint}"));
        }
    }

    /// The text of these templates; none for a defect of the guide, which is reported.
    fn words(&mut self, templates: [&str; 2], path: &str, context: &Context) -> Option<[String; 2]> {
        let rendered = templates.map(|template| self.expressions.render_text(template, context));
        match rendered {
            [Ok(one), Ok(other)] => Some([one, other].map(|text| text.trim().to_owned())),
            [Err(error), _] | [_, Err(error)] => {
                self.defect(path, "the message cannot be rendered", &error);
                None
            }
        }
    }
}
