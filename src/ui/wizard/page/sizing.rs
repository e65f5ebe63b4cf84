//! Memory and workers, drawn: what the machine has, what each part takes, and how the number of workers comes about.

use ratatui::text::Span;

use crate::answers::interview::Interview;
use crate::sizing::{Sizing, grouped};
use crate::ui::text;
use crate::ui::wizard::shares::shares;
use crate::ui::wizard::theme::{Role, Sign};
use crate::ui::wizard::view::ViewBuilder;

/// Columns of the names beside the bars.
const NAMES: usize = 7;
/// Columns that the arithmetic wants beside a bar.
const WORDS: usize = 40;
/// A bar with fewer columns says nothing.
const LEAST: usize = 8;

/// The figures of a stage that reckons workers; none when an answer that they need is refused, or it has none.
pub fn of(interview: &Interview, stage: &str) -> Option<Sizing> {
    let stage = interview.guide().stages.iter().find(|candidate| candidate.id == stage)?;
    let locals = &interview.resolved().locals;
    stage
        .locals
        .iter()
        .filter_map(|local| locals.get(&local.name).filter(|value| value.is_object()))
        .find_map(|value| serde_json::from_value(value.clone()).ok())
}

/// Draws the figures; `stale` ones are those before the last change.
pub fn draw(sizing: &Sizing, stale: bool, to: &mut ViewBuilder<'_>) {
    if sizing.memory_mib > 0 {
        memory(sizing, stale, to);
    }
    workers(sizing, to);
}

/// One part of the memory.
struct Part<'a> {
    name: &'a str,
    mib: u64,
    sign: Sign,
    role: Role,
}

fn parts(sizing: &Sizing) -> Vec<Part<'_>> {
    let looks = |what: &str| match what {
        "system" => (Sign::System, Role::System),
        "database" => (Sign::Database, Role::Database),
        "broker" => (Sign::Broker, Role::Broker),
        _ => (Sign::Other, Role::Other),
    };
    let mut parts: Vec<Part<'_>> = sizing
        .reserves
        .iter()
        .map(|reserve| {
            let (sign, role) = looks(&reserve.what);
            Part { name: &reserve.what, mib: reserve.mib, sign, role }
        })
        .collect();
    parts.push(Part { name: "workers", mib: sizing.workers_mib, sign: Sign::Workers, role: Role::Workers });
    // Beyond the memory there is only the swap; what comes last is there first.
    let missing = sizing.missing_mib();
    let mut over = missing;
    for part in parts.iter_mut().rev() {
        let taken = over.min(part.mib);
        part.mib -= taken;
        over -= taken;
    }
    if missing > 0 {
        parts.push(Part { name: "missing", mib: missing, sign: Sign::Swap, role: Role::Bad });
    } else {
        parts.push(Part { name: "free", mib: sizing.spare_mib, sign: Sign::Free, role: Role::Free });
    }
    parts
}

fn memory(sizing: &Sizing, stale: bool, to: &mut ViewBuilder<'_>) {
    let parts = parts(sizing);
    let mut head = vec![to.span(Role::Heading, &format!("Memory, {} MiB", grouped(sizing.memory_mib)))];
    let missing = sizing.missing_mib();
    if missing > 0 {
        let warning = to.theme().sign(Sign::Warning).to_owned();
        head.push(to.span(Role::Bad, &format!("  {warning} {} MiB short: the server would swap", grouped(missing))));
    } else if stale {
        head.push(to.span(Role::Dim, "  (before this change)"));
    }
    to.line(head);
    let mib: Vec<u64> = parts.iter().map(|part| part.mib).collect();
    let columns = shares(&mib, to.width());
    let bar = parts
        .iter()
        .zip(columns)
        .map(|(part, columns)| to.span(part.role, &to.theme().sign(part.sign).repeat(columns)))
        .collect();
    to.line(bar);
    legend(&parts, to);
    if let Some(line) = sizing.arithmetic.get(2) {
        for line in text::wrap(line, to.width().max(8)) {
            let line = to.span(Role::Dim, &line);
            to.line(vec![line]);
        }
    }
    to.blank();
}

/// The signs with their names and figures, as many on a line as fit.
fn legend(parts: &[Part<'_>], to: &mut ViewBuilder<'_>) {
    let mut line = Vec::new();
    let mut used = 0;
    for part in parts {
        let words = format!(" {} {}", part.name, grouped(part.mib));
        let width = 1 + text::width(&words);
        if used > 0 && used + 2 + width > to.width() {
            to.line(std::mem::take(&mut line));
            used = 0;
        }
        if used > 0 {
            line.push(Span::raw("  "));
            used += 2;
        }
        line.push(to.sign(part.role, part.sign));
        line.push(to.span(Role::Value, &words));
        used += width;
    }
    to.line(line);
}

fn workers(sizing: &Sizing, to: &mut ViewBuilder<'_>) {
    let known = sizing.memory_mib > 0;
    let words = |at: usize| sizing.arithmetic.get(at).map_or("", String::as_str);
    let last = sizing.arithmetic.len().saturating_sub(2);
    let mut bars = vec![
        ("users", sizing.wanted, words(0), Sign::Half, Role::Dim),
        ("CPUs", sizing.cpu_limit, words(1), Sign::Half, Role::Dim),
    ];
    if known {
        bars.push(("memory", sizing.memory_limit, words(3), Sign::Half, Role::Dim));
    }
    bars.push(("to run", sizing.all_workers, words(last), Sign::Workers, Role::Workers));
    let room = to.width().saturating_sub(NAMES);
    let beside = room >= LEAST + 1 + WORDS;
    let columns = if beside { (room - 1 - WORDS).min(room / 2) } else { room };
    // The memory often has room for many more than anybody wants: its bar may run out of the picture.
    let most = sizing.wanted.max(sizing.cpu_limit).max(sizing.all_workers).max(1);
    let hang = if beside { NAMES + columns + 1 } else { NAMES };
    for (name, count, words, sign, role) in bars {
        let bar = bar(count, most, columns, to.theme().sign(sign), to.theme().sign(Sign::Right));
        let name = to.span(Role::Value, &text::pad(name, NAMES));
        let bar = to.span(role, &text::pad(&bar, if beside { columns + 1 } else { 0 }));
        let mut lines = text::wrap(words, to.width().saturating_sub(hang).max(8)).into_iter();
        let mut pieces = vec![name, bar];
        if beside {
            pieces.push(to.span(Role::Value, &lines.next().unwrap_or_default()));
        }
        to.line(pieces);
        for line in lines {
            let line = to.span(if beside { Role::Value } else { Role::Dim }, &line);
            to.line(vec![Span::raw(" ".repeat(hang)), line]);
        }
    }
    for line in text::wrap(words(last + 1), to.width().saturating_sub(hang).max(8)) {
        let line = to.span(if beside { Role::Value } else { Role::Dim }, &line);
        to.line(vec![Span::raw(" ".repeat(hang)), line]);
    }
    to.blank();
}

/// A bar of `count` out of `most`; one that runs out of the picture ends in `more`.
fn bar(count: u64, most: u64, columns: usize, full: &str, more: &str) -> String {
    if count > most {
        return format!("{}{more}", full.repeat(columns.saturating_sub(1)));
    }
    // Whole columns for each worker, where there are enough.
    let wide = u64::try_from(columns).unwrap_or(u64::MAX);
    let each = wide / most.max(1);
    let long = if each > 0 { count * each } else { (count * wide + most / 2) / most.max(1) };
    full.repeat(usize::try_from(long.max(u64::from(count > 0))).unwrap_or(columns).min(columns))
}
