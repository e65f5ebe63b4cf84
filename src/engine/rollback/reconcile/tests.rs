#![allow(clippy::unwrap_used)]

use super::*;
use crate::host::fake::FakeHost;

fn manifest(host: &FakeHost) -> (Manifest, Contents) {
    let mut contents = Contents::new();
    (Manifest::take(host, None, &mut contents).unwrap(), contents)
}
