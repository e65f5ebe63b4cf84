//! The guide that the tests of answers use.

#![allow(clippy::unwrap_used)]

use crate::facts::{Cpus, Facts, Memory, Os};
use crate::guide::{Guide, GuideFile};
use crate::yaml;

pub(crate) fn tiny() -> Guide {
    let file: GuideFile =
        yaml::from_slice("guide.yaml", include_bytes!("../../tests/fixtures/guides/tiny/guide.yaml")).unwrap();
    let stages: [&[u8]; 3] = [
        include_bytes!("../../tests/fixtures/guides/tiny/01-web.yaml"),
        include_bytes!("../../tests/fixtures/guides/tiny/02-database.yaml"),
        include_bytes!("../../tests/fixtures/guides/tiny/03-workers.yaml"),
    ];
    Guide {
        id: file.guide,
        title: file.title,
        summary: file.summary,
        stages: stages.iter().map(|bytes| yaml::from_slice("stage.yaml", bytes).unwrap()).collect(),
        requires: file.requires,
        ..Guide::default()
    }
}

/// A guide whose only question is a table.
pub(crate) fn table() -> Guide {
    let stage = include_bytes!("../../tests/fixtures/guides/tiny/table.yaml");
    Guide { stages: vec![yaml::from_slice("table.yaml", stage).unwrap()], ..tiny() }
}

/// A guide whose only question is a map.
pub(crate) fn map() -> Guide {
    let stage = include_bytes!("../../tests/fixtures/guides/tiny/map.yaml");
    Guide { stages: vec![yaml::from_slice("map.yaml", stage).unwrap()], ..tiny() }
}

/// Debian on 2 processors and 2 GiB.
pub(crate) fn facts() -> Facts {
    Facts {
        os: Os { id: "debian".into(), name: "Debian GNU/Linux 12 (bookworm)".into(), ..Os::default() },
        cpus: Cpus { usable: 2, ..Cpus::default() },
        memory: Memory { usable_mib: 2048, ..Memory::default() },
        ..Facts::default()
    }
}

/// The problems, one on each line, against the wanted ones.
pub(crate) fn assert_told(problems: &[crate::error::Problem], wanted: &str) {
    let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
    let wanted: Vec<_> = wanted.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(told, wanted, "\n{}\n", told.join("\n"));
}
