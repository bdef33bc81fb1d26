//! The C library as an app carries it.

use crate::table::{Budget, Table};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How many bytes the shared library has, built for phones: profile `release-small`, feature `small`. With more than one
/// kind of library in a build, cargo would leave the optimisation over all crates out.
pub(crate) fn size(table: &mut Table) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the workspace");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let profile = ["rustc", "--locked", "--profile", "release-small", "--package", "subrosa-ffi"];
    let kind = ["--features", "small", "--crate-type", "cdylib"];
    let mut build = Command::new(cargo);
    let built = build.current_dir(root).args(profile).args(kind).stdout(Stdio::null()).status().unwrap();
    assert!(built.success(), "the library does not build");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let name = format!("{}subrosa_ffi{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let bytes = std::fs::metadata(target.join("release-small").join(name)).expect("the library").len();
    let what = format!("C library for phones, stripped, {}", std::env::consts::ARCH);
    table.alone(&what, "MB", Budget::AtMost(6.0), vec![bytes as f64 / 1e6]);
}
