//! Certificates and keys: read, judged, and made.

pub mod inspect;
pub mod self_signed;
pub mod validity;
