//! What is spoken over a network: HTTP, TLS, and what databases, brokers and name servers say.

pub mod http;
pub mod tls;
pub mod wire;
