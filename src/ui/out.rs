//! The only writers to stdout and stderr. A reader that went away (`| head`) ends nothing.

use std::io::{self, Write};

/// Writes to stdout.
pub fn print(text: &str) {
    write(&mut io::stdout().lock(), text);
}

/// Writes to stderr.
pub fn error(text: &str) {
    write(&mut io::stderr().lock(), text);
}

/// There is nobody to tell that nobody listens, and the run does not depend on being watched.
fn write(to: &mut dyn Write, text: &str) {
    let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_panic() {
        write(&mut Gone, "text");
        let mut here = Vec::new();
        write(&mut here, "text");
        assert_eq!(here, b"text");
    }
}
