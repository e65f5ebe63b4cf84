//! A table, row by row.

use serde_json::json;

use super::{Step, help, words};
use crate::answers::interview::{Field, Interview, text_of};
use crate::answers::resolve::is_empty;
use crate::error::Exit;
use crate::guide::{Question, QuestionKind};
use crate::ui::prompts::voice::{Heard, Voice};

/// What is typed for another row.
const ADD: &str = "+";

/// Shows the rows, and asks for more and for changes until none are wanted.
pub(super) fn ask(
    voice: &mut Voice<'_>,
    interview: &mut Interview,
    question: &Question,
    path: &str,
) -> Result<Step, Exit> {
    voice.blank();
    voice.hanging("", &question.ask);
    loop {
        let rows = listed(voice, interview, path);
        let problem = |interview: &Interview| interview.field(path)?.problem.map(|problem| words(question, problem));
        let refused = problem(interview);
        if rows == 0 && refused.is_some() {
            match row(voice, interview, question, &format!("{path}[0]"))? {
                Step::On => continue,
                step => return Ok(step),
            }
        }
        voice.line("  + adds a row; 1 changes the first row, and -1 removes it");
        match &refused {
            Some((message, hint)) => voice.refusal(message, hint),
            None if rows == 0 => voice.enter("no rows"),
            None => voice.enter("these rows"),
        }
        let step = match voice.hear("")? {
            Heard::Back => return Ok(Step::Back),
            Heard::Leave => return Ok(Step::Leave),
            Heard::Help => {
                help(voice, interview, question, path);
                Step::On
            }
            Heard::Enter if refused.is_none() => return Ok(Step::On),
            Heard::Enter => Step::On,
            Heard::Text(line) if line.trim() == ADD => {
                let at = format!("{path}[{rows}]");
                interview.answer(&at, Some(json!({})));
                let step = row(voice, interview, question, &at)?;
                // Not wanted after all.
                if step == Step::Back && !question.row().iter().any(|it| interview.is_given(&format!("{at}.{}", it.id)))
                {
                    interview.answer(&at, None);
                }
                step
            }
            Heard::Text(line) => match (line.trim().strip_prefix('-'), line.trim().parse::<usize>()) {
                (Some(number), _) if number.parse().is_ok_and(|number: usize| (1..=rows).contains(&number)) => {
                    let at = number.parse::<usize>().unwrap_or(1) - 1;
                    interview.answer(&format!("{path}[{at}]"), None);
                    Step::On
                }
                (None, Ok(number)) if (1..=rows).contains(&number) => {
                    row(voice, interview, question, &format!("{path}[{}]", number - 1))?
                }
                _ => {
                    voice.refusal("that is no row", "type + for another row, or the number of one");
                    Step::On
                }
            },
        };
        if step == Step::Leave {
            return Ok(Step::Leave);
        }
    }
}

/// Says each row in a line; how many there are. A row that is still to be begun is none.
fn listed(voice: &mut Voice<'_>, interview: &Interview, path: &str) -> usize {
    let is_map = interview.question(path).is_some_and(|question| question.kind == QuestionKind::Map);
    let rows = interview.rows(path);
    let begun = interview.is_given(path) || interview.field(path).is_some_and(|field| field.problem.is_none());
    let rows = if begun { rows } else { Vec::new() };
    for (at, row) in rows.iter().enumerate() {
        // Of a map's value and secret one is empty.
        let is_open = |cell: &&Field<'_>| !(is_map && cell.value.is_some_and(is_empty));
        let cells = row.iter().filter(is_open).map(|cell| match cell.value.map(text_of) {
            Some(text) if text.is_empty() => "nothing".to_owned(),
            Some(text) => text,
            None => "?".to_owned(),
        });
        voice.hanging(&format!("  {}. ", at + 1), &cells.collect::<Vec<_>>().join(", "));
    }
    rows.len()
}

/// Asks for the cells of a row.
fn row(voice: &mut Voice<'_>, interview: &mut Interview, question: &Question, path: &str) -> Result<Step, Exit> {
    let mut at = 0;
    while let Some(column) = question.row().get(at) {
        match super::ask(voice, interview, &format!("{path}.{}", column.id))? {
            Step::On => at += 1,
            Step::Back if at == 0 => return Ok(Step::Back),
            Step::Back => at -= 1,
            Step::Leave => return Ok(Step::Leave),
        }
    }
    Ok(Step::On)
}
