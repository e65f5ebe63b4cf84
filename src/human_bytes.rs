//! Amounts of bytes for people, in powers of 1000 as apt tells them.

/// `821 kB`, `38.2 MB`, `160 MB`.
pub fn human(bytes: u64) -> String {
    let unit = Unit::of(bytes);
    format!("{} {}", unit.figure(bytes), unit.name)
}

/// How far something is: `12.4 of 38.2 MB`, both in the unit of the whole.
pub fn part(done: u64, total: u64) -> String {
    let unit = Unit::of(total);
    format!("{} of {} {}", unit.figure(done), unit.figure(total), unit.name)
}

struct Unit {
    name: &'static str,
    size: u64,
    /// A tenth tells something: below 100, and not of a kilobyte.
    tenths: bool,
}

impl Unit {
    const fn of(bytes: u64) -> Self {
        let (name, size) = match bytes {
            0..1_000 => ("B", 1),
            1_000..1_000_000 => ("kB", 1_000),
            1_000_000..1_000_000_000 => ("MB", 1_000_000),
            _ => ("GB", 1_000_000_000),
        };
        Self { name, size, tenths: size > 1_000 && bytes / (size / 20) < 1_999 }
    }

    fn figure(&self, bytes: u64) -> String {
        let rounded = |unit: u64| (bytes / unit).saturating_add(u64::from(bytes % unit >= unit.div_ceil(2)));
        if self.tenths {
            let tenths = rounded(self.size / 10);
            format!("{}.{}", tenths / 10, tenths % 10)
        } else {
            rounded(self.size).to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_as_apt_writes_them() {
        let all = [0, 999, 1_500, 820_928, 1_000_000, 38_240_000, 99_960_000, 160_400_000, 1_250_000_000].map(human);
        assert_eq!(all, ["0 B", "999 B", "2 kB", "821 kB", "1.0 MB", "38.2 MB", "100 MB", "160 MB", "1.3 GB"]);
        assert_eq!(human(u64::MAX), "18446744074 GB");
    }

    #[test]
    fn a_part_has_the_unit_of_the_whole() {
        assert_eq!(part(12_400_000, 38_200_000), "12.4 of 38.2 MB");
        assert_eq!(part(0, 160_000_000), "0 of 160 MB");
        assert_eq!(part(400, 821_000), "0 of 821 kB");
    }
}
