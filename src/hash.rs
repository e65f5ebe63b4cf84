//! Hashes that name content.

use sha2::{Digest, Sha256};

/// The SHA-256 of `content`, in hexadecimal.
pub fn sha256_hex(content: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(content).iter().fold(String::with_capacity(64), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
