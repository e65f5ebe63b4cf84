//! The preflight checks as lines.

use crate::preflight::{Check, CheckStatus, checks};
use crate::ui::style::{Look, MARK};
use crate::ui::text;

/// On narrower screens the finding is below the title.
const NARROW: usize = 60;

/// Every check with its sign, what was found and what to do, and how many are not well.
pub fn page(look: Look, found: &[Check]) -> String {
    let mut lines: Vec<String> = found.iter().flat_map(|check| one(look, check)).collect();
    let count = |state| found.iter().filter(|check| check.state == state).count();
    let some = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
    lines.push(String::new());
    lines.push(format!(
        "{}: {} ok, {}, {}.",
        some(found.len(), "check"),
        count(CheckStatus::Ok),
        some(count(CheckStatus::Warning), "warning"),
        some(count(CheckStatus::Problem), "problem")
    ));
    lines.join("\n") + "\n"
}

/// `  ✓ Memory  2048 MiB`; below it what to do, where it is not well.
pub fn one(look: Look, check: &Check) -> Vec<String> {
    let title_width = checks().map(|(_, title)| title.len()).max().unwrap_or(0);
    let sign = match check.state {
        CheckStatus::Ok => look.tick(),
        CheckStatus::Warning => MARK.to_owned(),
        CheckStatus::Problem => look.cross(),
    };
    let narrow = look.width < NARROW;
    let indent = if narrow { 4 } else { title_width + 6 };
    let room = look.width.saturating_sub(indent);
    let mut lines = text::wrap(&look.text(&check.found), room);
    if !check.fix.is_empty() {
        let arrow = look.text("→ ");
        let below = " ".repeat(text::width(&arrow));
        let fix = text::wrap(&look.text(&check.fix), room.saturating_sub(below.len()));
        let before = std::iter::once(arrow).chain(std::iter::repeat(below));
        lines.extend(before.zip(fix).map(|(before, line)| format!("{before}{line}")));
    }
    let indented = lines.into_iter().map(|line| format!("{}{line}", " ".repeat(indent)));
    if narrow {
        std::iter::once(format!("  {sign} {}", check.title)).chain(indented).collect()
    } else {
        let mut lines: Vec<String> = indented.collect();
        if let Some(first) = lines.first_mut() {
            *first = format!("  {sign} {}  {}", text::pad(check.title, title_width), first.trim_start());
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Vec<Check> {
        let check = |id, title, state, found: &str, fix: &str| Check {
            id,
            title,
            state,
            found: found.to_owned(),
            fix: fix.to_owned(),
        };
        vec![
            check("memory", "Memory", CheckStatus::Ok, "2048 MiB of 8192 (cgroup limit)", ""),
            check(
                "ports",
                "Web ports",
                CheckStatus::Warning,
                "taken: 80 by apache2",
                "stop apache2, or choose other ports",
            ),
            check(
                "mirror",
                "Mirrors",
                CheckStatus::Problem,
                "deb.debian.org does not resolve",
                "/etc/resolv.conf names no server: write `nameserver ADDRESS` into it, with the one of your provider",
            ),
        ]
    }

    #[test]
    fn a_page_tells_found_and_fix_at_any_width() {
        let wide = Look { width: 80, unicode: true, colour: false };
        insta::assert_snapshot!(page(wide, &example()), @r"
          ✓ Memory           2048 MiB of 8192 (cgroup limit)
          ! Web ports        taken: 80 by apache2
                             → stop apache2, or choose other ports
          ✗ Mirrors          deb.debian.org does not resolve
                             → /etc/resolv.conf names no server: write `nameserver
                               ADDRESS` into it, with the one of your provider

        3 checks: 1 ok, 1 warning, 1 problem.
        ");
        let narrow = Look { width: 40, unicode: false, colour: false };
        insta::assert_snapshot!(page(narrow, &example()), @r"
          + Memory
            2048 MiB of 8192 (cgroup limit)
          ! Web ports
            taken: 80 by apache2
            -> stop apache2, or choose other
               ports
          x Mirrors
            deb.debian.org does not resolve
            -> /etc/resolv.conf names no server:
               write `nameserver ADDRESS` into
               it, with the one of your provider

        3 checks: 1 ok, 1 warning, 1 problem.
        ");
    }
}
