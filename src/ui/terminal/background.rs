//! Whether the terminal is light or dark: queried with xterm's sequence (OSC 11).

/// The question, and one that every terminal answers (DA1, ECMA-48 8.3.24), in the same order: what does not know its
/// background is not waited for longer than its line takes.
pub(super) const QUESTION: &[u8] = b"\x1b]11;?\x1b\\\x1b[c";

/// The background of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Background {
    /// Nearer to black.
    Dark,
    /// Nearer to white.
    Light,
}

impl Background {
    /// That of a colour in parts of 255. Black and white contrast equally with a luminance of 0.18 (WCAG 2.2).
    pub fn of(colour: [u8; 3]) -> Self {
        if luminance(colour) > 0.18 { Self::Light } else { Self::Dark }
    }

    /// That of an answer, `11;rgb:RRRR/GGGG/BBBB` with one to four digits each; `rgba:` has a fourth part.
    pub(super) fn told(answer: &[u8]) -> Option<Self> {
        let answer = std::str::from_utf8(answer).ok()?.strip_prefix("11;")?;
        let (_, parts) = answer.split_once(':').filter(|(kind, _)| matches!(*kind, "rgb" | "rgba"))?;
        let mut parts = parts.split('/').map(|part| {
            let most = 16_u32.checked_pow(u32::try_from(part.len()).ok()?)?.checked_sub(1).filter(|most| *most > 0)?;
            let digits = part.len() <= 4 && part.bytes().all(|digit| digit.is_ascii_hexdigit());
            u8::try_from(u32::from_str_radix(part, 16).ok().filter(|_| digits)? * 255 / most).ok()
        });
        Some(Self::of([parts.next()??, parts.next()??, parts.next()??]))
    }
}

/// The relative luminance of a colour, from 0 to 1 (WCAG 2.2).
pub fn luminance(colour: [u8; 3]) -> f32 {
    let [red, green, blue] = colour.map(|part| {
        let part = f32::from(part) / 255.0;
        if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_usual_terminals() {
        for (answer, told) in [
            ("11;rgb:0000/0000/0000", Some(Background::Dark)),
            ("11;rgb:ffff/ffff/ffff", Some(Background::Light)),
            ("11;rgb:fd/f6/e3", Some(Background::Light)),
            ("11;rgb:0/2/3", Some(Background::Dark)),
            ("11;rgb:300/0a0/240", Some(Background::Dark)),
            ("11;rgba:eeee/eeee/ecec/ffff", Some(Background::Light)),
            ("10;rgb:ffff/ffff/ffff", None),
            ("11;rgb:ffff/ffff", None),
            ("11;rgb:fffff/0/0", None),
            ("11;rgb://", None),
            ("11;rgb:x/y/z", None),
            ("11;?", None),
            ("11;rgb:+f/+f/+f", None),
            ("", None),
        ] {
            assert_eq!(Background::told(answer.as_bytes()), told, "{answer}");
        }
    }
}
