//! How an expression is made: guides are data, so that a reviewer reads them at a glance. What is longer than that belongs
//! into a fact, a function, a table of releases or the engine.

/// Filters that may follow each other.
pub const FILTERS: usize = 2;

/// The operators of one expression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// `and` and `or`.
    pub connectives: usize,
    /// `… if … else …`.
    pub conditionals: usize,
    /// Filters.
    pub filters: usize,
    /// Filters after each other, in the longest chain of them.
    pub chain: usize,
}

impl Form {
    /// The form of an expression, ignoring its string literals.
    pub fn of(expression: &str) -> Self {
        let mut form = Self::default();
        // The chain at each depth of brackets, and whether it belongs to what follows the bracket, too.
        let mut chains = vec![(0_usize, false)];
        let mut value_before = false;
        let mut rest = expression;
        while let Some(first) = rest.chars().next() {
            let mut taken = first.len_utf8();
            match first {
                '\'' | '"' => {
                    let body = &rest[1..];
                    taken = 2 + body.find(first).unwrap_or(body.len().saturating_sub(1));
                    value_before = true;
                }
                '(' | '[' | '{' => {
                    chains.push((0, first == '(' && !value_before));
                    value_before = false;
                }
                ')' | ']' | '}' => {
                    let (inner, is_group) = chains.pop().unwrap_or_default();
                    if let Some((outer, _)) = chains.last_mut().filter(|_| is_group) {
                        *outer = inner;
                    }
                    value_before = true;
                }
                '|' => {
                    form.filters += 1;
                    if let Some((chain, _)) = chains.last_mut() {
                        *chain += 1;
                        form.chain = form.chain.max(*chain);
                    }
                    value_before = false;
                }
                c if c.is_alphanumeric() || c == '_' => {
                    taken = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                    value_before = form.word(&rest[..taken]);
                    if !value_before && let Some((chain, _)) = chains.last_mut() {
                        *chain = 0;
                    }
                }
                '.' => {}
                c if c.is_whitespace() => {}
                _ => {
                    if let Some((chain, _)) = chains.last_mut() {
                        *chain = 0;
                    }
                    value_before = false;
                }
            }
            rest = rest.get(taken..).unwrap_or_default();
        }
        form
    }

    /// Counts a word; whether it is a name or a number and no operator.
    fn word(&mut self, word: &str) -> bool {
        match word {
            "and" | "or" => self.connectives += 1,
            "if" => self.conditionals += 1,
            "not" | "in" | "is" | "else" => {}
            _ => return true,
        }
        false
    }

    /// Whether it takes a second look: connectives, conditionals and filters together, one conditional in another, or
    /// more than two of them all.
    pub fn is_compound(self) -> bool {
        let kinds = [self.connectives, self.conditionals, self.filters];
        kinds.iter().filter(|count| **count > 0).count() > 1 || self.conditionals > 1 || kinds.iter().sum::<usize>() > 2
    }
}

/// The expressions in a template, and the statements (`{% … %}`), which make it a program.
pub fn parts(template: &str) -> (Vec<&str>, Vec<&str>) {
    (between(template, "{{", "}}"), between(template, "{%", "%}"))
}

fn between<'t>(template: &'t str, open: &str, close: &str) -> Vec<&'t str> {
    let insides = template.split(open).skip(1).filter_map(|rest| rest.split_once(close));
    insides.map(|(inside, _)| inside.trim_matches(['-', '+', ' ', '\n'])).collect()
}

/// The packages by whose names an expression looks into `facts.installed`.
pub fn packages(expression: &str) -> Vec<String> {
    let mut found = Vec::new();
    for pattern in [
        r#"facts\.installed\[\s*['"]([^'"]+)['"]\s*\]"#,
        r"facts\.installed\.([A-Za-z0-9_]+)",
        r#"['"]([^'"]+)['"]\s+(?:not\s+)?in\s+facts\.installed"#,
    ] {
        if let Ok(pattern) = regex_lite::Regex::new(pattern) {
            found.extend(pattern.captures_iter(expression).map(|found| found[1].to_owned()));
        }
    }
    for arguments in between(expression, "installed(", ")") {
        // A name that is put together is only known when it is evaluated.
        found.extend(arguments.split(',').filter_map(|text| {
            let text = text.trim();
            text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')).map(str::to_owned)
        }));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(expression: &str) -> [usize; 4] {
        let Form { connectives, conditionals, filters, chain } = Form::of(expression);
        [connectives, conditionals, filters, chain]
    }

    #[test]
    fn operators_are_counted_and_texts_are_not() {
        assert_eq!(counted("a and b or 'x and y | z if'"), [2, 0, 0, 0]);
        assert_eq!(counted("'a' if b else (c if d else e)"), [0, 2, 0, 0]);
        assert_eq!(counted("a | f | g(x | h) ~ b | i"), [0, 0, 4, 2]);
        assert_eq!(counted("(a | f | g) | h"), [0, 0, 3, 3]);
        assert_eq!(counted("(a | f | g).x | h | i"), [0, 0, 4, 4]);
        assert_eq!(counted("f(a | g, b | h) | i"), [0, 0, 3, 1]);
        assert_eq!(counted("orchid.android | iffy"), [0, 0, 1, 1]);
        assert_eq!(counted("\"it's\" | f"), [0, 0, 1, 1]);
        assert_eq!(counted("'open"), [0; 4]);
    }

    #[test]
    fn what_takes_a_second_look_is_compound() {
        for plain in ["a == 'b'", "a and b", "a and b or c", "x if y else z", "a | f | g", "not (a in b)"] {
            assert!(!Form::of(plain).is_compound(), "{plain}");
        }
        for compound in [
            "a and b | f",
            "a if b and c else d",
            "a and b and c and d",
            "a if b else c if d else e",
            "a | f ~ b | g ~ c | h",
        ] {
            assert!(Form::of(compound).is_compound(), "{compound}");
        }
    }

    #[test]
    fn a_template_has_expressions_and_statements() {
        let (expressions, statements) = parts("a {{ b }}{% for c in d -%}{{- e }}");
        assert_eq!((expressions, statements), (vec!["b", "e"], vec!["for c in d"]));
    }

    #[test]
    fn packages_are_found_however_they_are_looked_for() {
        let text = "facts.installed['a'] is defined and facts.installed.b or 'c' not in facts.installed \
                    or installed('d', 'e-' ~ f, 'g') or installed_by_us('h')";
        assert_eq!(packages(text), ["a", "b", "c", "d", "g"]);
    }
}
