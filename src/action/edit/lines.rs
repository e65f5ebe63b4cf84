//! A configuration file as lines: setting keys and requiring lines, with everything else left byte for byte.

use super::Setting;

/// A file's lines, each with its line break.
pub struct Text(Vec<Vec<u8>>);

/// What a line means for a key.
enum Role {
    /// Sets the key.
    Active,
    /// Would set the key if it were not commented out.
    Commented,
    /// Is unrelated to it.
    Other,
}

impl Text {
    /// Splits a file into lines.
    pub fn new(content: &[u8]) -> Self {
        Self(content.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect())
    }

    /// The file's content.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0.concat()
    }

    /// Sets a key where a reader of the file would look for it.
    pub fn set(&mut self, setting: &Setting) {
        let Some((start, end)) = self.section(&setting.section) else {
            if !self.0.is_empty() {
                self.insert(self.0.len(), "");
            }
            self.insert(self.0.len(), &format!("[{}]", setting.section));
            self.insert(self.0.len(), &setting.line());
            return;
        };
        let last = |wanted: fn(&Role) -> bool| (start..end).rev().find(|at| wanted(&setting.role(&self.0[*at])));
        if let Some(at) = last(|role| matches!(role, Role::Active)) {
            if !setting.is_set_by(&self.0[at]) {
                let indent = self.0[at].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
                let rest = [setting.line().as_bytes(), b"\n"].concat();
                self.0[at].truncate(indent);
                self.0[at].extend(rest);
            }
        } else if let Some(at) = last(|role| matches!(role, Role::Commented)) {
            self.insert(at + 1, &setting.line());
        } else {
            let blank = |at: &usize| self.0[*at].trim_ascii().is_empty();
            let after = (start..end).rev().find(|at| !blank(at)).map_or(start, |at| at + 1);
            self.insert(after, &setting.line());
        }
    }

    /// Adds a line at the end, unless it is there.
    pub fn require(&mut self, line: &str) {
        if !self.0.iter().any(|present| present.trim_ascii_end() == line.trim_end().as_bytes()) {
            self.insert(self.0.len(), line.trim_end());
        }
    }

    /// The lines of a section without its header: the last one of that name, since the last one wins. The
    /// section without a name ends at the first header.
    fn section(&self, name: &str) -> Option<(usize, usize)> {
        let headers: Vec<(usize, &[u8])> =
            self.0.iter().enumerate().filter_map(|(at, line)| Some((at, header(line)?))).collect();
        if name.is_empty() {
            return Some((0, headers.first().map_or(self.0.len(), |(at, _)| *at)));
        }
        let found = headers.iter().rposition(|(_, header)| *header == name.as_bytes())?;
        let end = headers.get(found + 1).map_or(self.0.len(), |(at, _)| *at);
        Some((headers[found].0 + 1, end))
    }

    fn insert(&mut self, at: usize, line: &str) {
        if at > 0 && !self.0[at - 1].ends_with(b"\n") {
            self.0[at - 1].push(b'\n');
        }
        self.0.insert(at, format!("{line}\n").into_bytes());
    }
}

impl Setting {
    fn line(&self) -> String {
        format!("{}{}{}", self.key, self.separator, self.value)
    }

    fn role(&self, line: &[u8]) -> Role {
        let line = line.trim_ascii();
        if self.value_in(line).is_some() {
            return Role::Active;
        }
        let marks = line.iter().take_while(|byte| matches!(byte, b'#' | b';')).count();
        if marks > 0 && self.value_in(line[marks..].trim_ascii_start()).is_some() {
            return Role::Commented;
        }
        Role::Other
    }

    fn is_set_by(&self, line: &[u8]) -> bool {
        self.value_in(line.trim_ascii()) == Some(self.value.trim().as_bytes())
    }

    /// The value that a line gives to the key.
    fn value_in<'a>(&self, line: &'a [u8]) -> Option<&'a [u8]> {
        let rest = line.strip_prefix(self.key.as_bytes())?;
        let separator = self.separator.trim();
        if separator.is_empty() {
            let apart = rest.first().is_none_or(u8::is_ascii_whitespace);
            return apart.then_some(rest.trim_ascii());
        }
        Some(rest.trim_ascii_start().strip_prefix(separator.as_bytes())?.trim_ascii())
    }
}

/// The name in a `[section]` header.
fn header(line: &[u8]) -> Option<&[u8]> {
    Some(line.trim_ascii().strip_prefix(b"[")?.strip_suffix(b"]")?.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str, key: &str, separator: &str, section: &str, value: &str) -> String {
        let setting = Setting {
            key: key.to_owned(),
            value: value.to_owned(),
            separator: separator.to_owned(),
            section: section.to_owned(),
        };
        let mut lines = Text::new(text.as_bytes());
        lines.set(&setting);
        let once = lines.into_bytes();
        let mut again = Text::new(&once);
        again.set(&setting);
        assert_eq!(again.into_bytes(), once, "a second time changes nothing");
        String::from_utf8_lossy(&once).into_owned()
    }

    #[test]
    fn the_last_active_line_is_replaced_and_keeps_its_indentation() {
        assert_eq!(set("a = 1\n  a = 2\nb = 3\n", "a", " = ", "", "9"), "a = 1\n  a = 9\nb = 3\n");
        assert_eq!(set("bind 0.0.0.0\nbinding x\n", "bind", " ", "", "127.0.0.1"), "bind 127.0.0.1\nbinding x\n");
    }

    #[test]
    fn a_line_that_says_so_already_is_left_as_it_is() {
        assert_eq!(set("a=1\n", "a", " = ", "", "1"), "a=1\n");
        assert_eq!(set("port\t6379\n", "port", " ", "", "6379"), "port\t6379\n");
    }

    #[test]
    fn a_new_line_stands_after_the_commented_default() {
        assert_eq!(set("#a = 0\n# a = 1\nb = 2\n", "a", " = ", "", "9"), "#a = 0\n# a = 1\na = 9\nb = 2\n");
        assert_eq!(set("# save the world\nb 1\n", "saved", " ", "", "x"), "# save the world\nb 1\nsaved x\n");
    }

    #[test]
    fn keys_are_set_in_their_section_only() {
        let ini = "top = 1\n[a]\nx = 1\n\n[b]\nx = 2\n";
        assert_eq!(set(ini, "x", " = ", "a", "9"), "top = 1\n[a]\nx = 9\n\n[b]\nx = 2\n");
        assert_eq!(set(ini, "y", " = ", "a", "9"), "top = 1\n[a]\nx = 1\ny = 9\n\n[b]\nx = 2\n");
        assert_eq!(set(ini, "x", " = ", "", "9"), "top = 1\nx = 9\n[a]\nx = 1\n\n[b]\nx = 2\n");
        assert_eq!(set(ini, "x", " = ", "c", "9"), format!("{ini}\n[c]\nx = 9\n"));
        assert_eq!(set("", "x", " = ", "c", "9"), "[c]\nx = 9\n");
    }

    #[test]
    fn a_missing_last_line_break_is_added_only_before_what_is_appended() {
        assert_eq!(set("a = 1", "b", " = ", "", "2"), "a = 1\nb = 2\n");
        assert_eq!(set("b = 2\na = 1", "b", " = ", "", "3"), "b = 3\na = 1");
    }

    #[test]
    fn bytes_that_are_no_utf_8_survive() {
        let mut lines = Text::new(b"# caf\xe9\nx 1\n");
        lines.require("y 2");
        lines.require("x 1");
        assert_eq!(lines.into_bytes(), b"# caf\xe9\nx 1\ny 2\n");
    }
}
