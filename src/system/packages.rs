//! Debian's packages: what dpkg knows, what apt would do and does, and who holds their lock.

pub mod apt;
pub mod forecast;
pub mod lock;
pub mod policy;
pub mod simulation;
pub mod status;
pub mod status_fd;
pub mod units;

/// The command that repairs a package database left half configured.
pub const REPAIR: &str = "`dpkg --configure -a`, then `apt-get --fix-broken install`";

/// "nginx", "nginx, redis-server and 10 more".
pub fn listed<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    const SHOWN: usize = 6;
    let names: Vec<S> = names.into_iter().collect();
    let shown: Vec<&str> = names.iter().take(SHOWN).map(AsRef::as_ref).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// `nginx` of `nginx:amd64`.
pub fn short(full_name: &str) -> &str {
    full_name.split(':').next().unwrap_or(full_name)
}

/// "1 package", "12 packages".
pub fn counted(count: usize) -> String {
    match count {
        0 => "no package".to_owned(),
        1 => "1 package".to_owned(),
        _ => format!("{count} packages"),
    }
}
