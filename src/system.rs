//! What everybody knows about Debian: its packages, services, firewalls, SSH server, certificates, accounts and paths,
//! and what is spoken on its networks. Nothing here knows an action, a guide or a run.

pub mod accounts;
pub mod boot;
pub mod env_file;
pub mod firewall;
pub mod net;
pub mod packages;
pub mod paths;
pub mod python_project;
pub mod service;
pub mod sshd;
pub mod tree;
pub mod x509;
