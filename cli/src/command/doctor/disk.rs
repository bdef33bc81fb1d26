//! The data directory: settings, key, store, room on the disk.

use super::report::Report;
use crate::failure::Failure;
use crate::home::{Home, KeyKind};
use std::fs;
use std::path::Path;
use std::time::Duration;
use subrosa::{Error, ErrorKind};

/// Less free space than this will soon be none.
const LITTLE: u64 = 200 << 20;
/// With less than this the store may fail to write at any moment.
const NONE: u64 = 16 << 20;

/// Whether the settings are there and can be obeyed; nothing else can be looked at without them.
pub(super) fn settings(home: &Home, report: &mut Report) -> Result<bool, Error> {
    let settings = match home.settings() {
        Ok(settings) => settings,
        Err(error) => {
            let text = error.text().to_owned();
            let otherwise = match error.kind() {
                ErrorKind::NotFound => "run `subrosa init`",
                _ => "mend config.json, or remove it and run `subrosa init`, which keeps the identity",
            };
            let advice = Failure::Error(error).advice().unwrap_or(otherwise);
            report.error("settings", &text, advice)?;
            return Ok(false);
        }
    };
    let listen: Vec<String> = settings.listen.iter().map(|a| a.to_string()).collect();
    let mut text = format!("{}: listen on {}", home.settings_path().display(), listen.join(", "));
    if !settings.advertise.is_empty() {
        let advertise: Vec<String> = settings.advertise.iter().map(|a| a.to_string()).collect();
        text.push_str(&format!("; friends are told {}", advertise.join(", ")));
    }
    if settings.listen.is_empty() {
        report.problem(
            "settings",
            &text,
            "write addresses under \"listen\": without one there is no network",
        )?;
    } else {
        report.ok("settings", &text)?;
    }
    for path in [home.dir().to_owned(), home.key_path(), home.store_path()] {
        if others_may_look(&path) {
            report.warning(
                "private",
                &format!("other users of this machine may look into {}", path.display()),
                &format!("chmod go= {}", path.display()),
            )?;
        }
    }
    Ok(true)
}

#[cfg(unix)]
fn others_may_look(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    // A directory nobody else can enter protects what is in it.
    let open = |path: &Path| fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0);
    open(path) && (path.is_dir() || path.parent().is_none_or(open))
}

#[cfg(not(unix))]
fn others_may_look(_: &Path) -> bool {
    false
}

/// The store opened in this time.
pub(super) fn opened(home: &Home, took: Duration, report: &mut Report) -> Result<(), Error> {
    let kind = match home.settings()?.key {
        KeyKind::File => "its key file",
        KeyKind::Passphrase => "a passphrase",
    };
    report.ok("store", &format!("opens with {kind}, in {} ms", took.as_millis()))?;
    space(home, report)
}

/// What the store takes, and what room there is.
pub(super) fn space(home: &Home, report: &mut Report) -> Result<(), Error> {
    let store = home.store_path();
    let mut size = 0;
    for suffix in ["", "-wal"] {
        let mut name = store.clone().into_os_string();
        name.push(suffix);
        size += fs::metadata(name).map(|meta| meta.len()).unwrap_or(0);
    }
    let Some(free) = free(home.dir()) else {
        return report.ok("disk", &format!("the store takes {}", bytes(size)));
    };
    if is_read_only(home.dir()) {
        let text = format!("the store takes {}, and its disk is mounted read-only", bytes(size));
        return report.problem("disk", &text, "mount it for writing: without it nothing is received or sent");
    }
    let text = format!("the store takes {}, {} are free", bytes(size), bytes(free));
    let advice = "make room: without it nothing is received or sent";
    match free {
        0..NONE => report.problem("disk", &text, advice),
        NONE..LITTLE => report.warning("disk", &text, advice),
        _ => report.ok("disk", &text),
    }
}

#[cfg(unix)]
fn free(dir: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(dir).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(unix)]
fn is_read_only(dir: &Path) -> bool {
    rustix::fs::statvfs(dir).is_ok_and(|disk| disk.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

#[cfg(not(unix))]
fn is_read_only(_: &Path) -> bool {
    false
}

#[cfg(not(unix))]
fn free(_: &Path) -> Option<u64> {
    None
}

/// A size, for people.
fn bytes(size: u64) -> String {
    match size {
        0..1_000_000 => format!("{} kB", size.div_ceil(1_000)),
        1_000_000..1_000_000_000 => format!("{} MB", size / 1_000_000),
        _ => format!("{} GB", size / 1_000_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_at_a_glance() {
        assert_eq!(bytes(0), "0 kB");
        assert_eq!(bytes(999_999), "1000 kB");
        assert_eq!(bytes(73_000_000), "73 MB");
        assert_eq!(bytes(u64::MAX), "18446744073 GB");
    }

    #[cfg(unix)]
    #[test]
    fn a_disk_has_room() {
        assert!(free(Path::new("/")).is_some());
        assert!(free(Path::new("/nonexistent")).is_none());
    }
}
