//! Which version of the library this is, and which binary interface it has.

use crate::boundary;
use std::ffi::c_char;

/// The version of this header: changes of the first number may break programs. Before 1.0, changes of the second may.
pub const SUBROSA_VERSION_MAJOR: u32 = 0;
/// See SUBROSA_VERSION_MAJOR: rises when functions, events or options are added.
pub const SUBROSA_VERSION_MINOR: u32 = 1;
/// See SUBROSA_VERSION_MAJOR: rises when defects are removed.
pub const SUBROSA_VERSION_PATCH: u32 = 0;
/// The three in one number that can be compared: 0xMMmmpp.
pub const SUBROSA_VERSION_NUMBER: u32 =
    (SUBROSA_VERSION_MAJOR << 16) | (SUBROSA_VERSION_MINOR << 8) | SUBROSA_VERSION_PATCH;
/// The binary interface of this header. It rises only when a program compiled against an older header could go wrong
/// with the library; additions leave it alone. Compare it with subrosa_abi_version() when you load the library at run
/// time.
pub const SUBROSA_ABI_VERSION: u32 = 1;

/// The version of the library that is loaded, as text: "0.1.0". It lives as long as the library. May be called from
/// callbacks.
#[unsafe(no_mangle)]
pub extern "C" fn subrosa_version() -> *const c_char {
    boundary::value(c"", || VERSION).as_ptr()
}

/// The version of the library that is loaded, as SUBROSA_VERSION_NUMBER was in its header. May be called from
/// callbacks.
#[unsafe(no_mangle)]
pub extern "C" fn subrosa_version_number() -> u32 {
    SUBROSA_VERSION_NUMBER
}

/// The binary interface of the library that is loaded: equal to SUBROSA_ABI_VERSION, or your program must not use it.
/// May be called from callbacks.
#[unsafe(no_mangle)]
pub extern "C" fn subrosa_abi_version() -> u32 {
    SUBROSA_ABI_VERSION
}

const VERSION: &std::ffi::CStr = {
    match std::ffi::CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => c"",
    }
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_of_the_version_agree() {
        let (major, minor, patch) = (SUBROSA_VERSION_MAJOR, SUBROSA_VERSION_MINOR, SUBROSA_VERSION_PATCH);
        assert_eq!(VERSION.to_str().unwrap(), format!("{major}.{minor}.{patch}"));
        assert_eq!(VERSION.to_str().unwrap(), subrosa::VERSION);
        assert!(minor < 256 && patch < 256, "the packed number has 8 bits for each");
        assert_eq!(subrosa_version_number(), major * 65_536 + minor * 256 + patch);
    }
}
