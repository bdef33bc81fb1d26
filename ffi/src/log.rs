//! The log of the library, handed to a callback of the host. Process-wide, as logs are.

use crate::boundary;
use crate::handle::UserData;
use crate::status::subrosa_status;
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::ffi::{CString, c_char, c_void};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use subrosa::{Error, ErrorKind, Result};

/// Log nothing.
pub const SUBROSA_LOG_OFF: i32 = 0;
/// Something failed that should not.
pub const SUBROSA_LOG_ERROR: i32 = 1;
/// Something is odd.
pub const SUBROSA_LOG_WARN: i32 = 2;
/// What an operator wants to know. No data of users.
pub const SUBROSA_LOG_INFO: i32 = 3;
/// What a developer wants to know; may name persons and addresses.
pub const SUBROSA_LOG_DEBUG: i32 = 4;
/// Everything but secrets, which are never logged.
pub const SUBROSA_LOG_TRACE: i32 = 5;

/// One line of the log, without a line end: `level` is a SUBROSA_LOG_ number, `target` names the part of the library.
/// Both texts are valid during the call. It comes on any thread, never twice at the same time, and must not call the
/// library, throw, or unwind.
pub type subrosa_log_callback = Option<
    unsafe extern "C" fn(userdata: *mut c_void, level: i32, target: *const c_char, text: *const c_char),
>;

type Call = unsafe extern "C" fn(*mut c_void, i32, *const c_char, *const c_char);

/// Sends the log of the library, up to `level` (a SUBROSA_LOG_ number), to `callback`, for the whole process and all
/// nodes. NULL or SUBROSA_LOG_OFF ends it. Before the first call nothing is logged.
///
/// When this returns, the callback that was set before does not run any more, and will not. SUBROSA_ALREADY_EXISTS when
/// Rust code of the same process has set a logger of its own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn subrosa_log_set(
    level: i32,
    callback: subrosa_log_callback,
    userdata: *mut c_void,
) -> subrosa_status {
    boundary::status(|| {
        let filter = match level {
            SUBROSA_LOG_OFF => LevelFilter::Off,
            SUBROSA_LOG_ERROR => LevelFilter::Error,
            SUBROSA_LOG_WARN => LevelFilter::Warn,
            SUBROSA_LOG_INFO => LevelFilter::Info,
            SUBROSA_LOG_DEBUG => LevelFilter::Debug,
            SUBROSA_LOG_TRACE => LevelFilter::Trace,
            other => return Err(Error::invalid(format!("there is no log level {other}"))),
        };
        let sink = callback.filter(|_| filter != LevelFilter::Off).map(|call| (call, UserData(userdata)));
        if sink.is_some() {
            install()?;
        }
        // First the sink, then the level, so that no line is made for nobody; the lock waits for a call in progress.
        let on = sink.is_some();
        *SINK.lock() = sink;
        if installed() {
            log::set_max_level(if on { filter } else { LevelFilter::Off });
        }
        Ok(())
    })
}

struct Sink(Mutex<Option<(Call, UserData)>>);

static SINK: Sink = Sink(Mutex::new(None));

impl Sink {
    fn lock(&self) -> MutexGuard<'_, Option<(Call, UserData)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

static INSTALL: Once = Once::new();
static OURS: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

fn installed() -> bool {
    OURS.load(std::sync::atomic::Ordering::Acquire)
}

fn install() -> Result<()> {
    INSTALL.call_once(|| {
        OURS.store(log::set_logger(&SINK).is_ok(), std::sync::atomic::Ordering::Release);
    });
    if installed() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::AlreadyExists,
        "this process has a logger of its own: read the log of crate `log` there",
    ))
}

impl Log for Sink {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Crates below ours speak up only when something is wrong, and never inside a callback: the host's own code
        // runs there.
        let ours = metadata.target().starts_with("subrosa");
        (ours || metadata.level() <= Level::Warn) && !boundary::in_callback()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let (Some(target), Some(text)) = (line(record.target()), line(&record.args().to_string())) else {
            return;
        };
        if let Some((call, userdata)) = *self.lock() {
            let level = record.level() as i32;
            // SAFETY: the host gave this function for this pointer, and promises both until it sets another callback,
            // which waits for the lock that is held here; the texts live until the call returns.
            boundary::callback(|| unsafe { call(userdata.0, level, target.as_ptr(), text.as_ptr()) });
        }
    }

    fn flush(&self) {}
}

/// As a C string on one line.
fn line(text: &str) -> Option<CString> {
    let bytes = text.bytes().filter(|byte| *byte != 0).map(|byte| if byte == b'\n' { b' ' } else { byte });
    CString::new(bytes.collect::<Vec<u8>>()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_those_of_crate_log() {
        for (number, level) in (SUBROSA_LOG_ERROR..=SUBROSA_LOG_TRACE).zip(Level::iter()) {
            assert_eq!(number, level as i32);
        }
    }

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(line("a\nb\0c").unwrap().as_c_str(), c"a bc");
    }
}
