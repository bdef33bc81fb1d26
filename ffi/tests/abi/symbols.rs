//! The shared library exports what the header declares, and nothing else.

use crate::native::{library, source};
use std::collections::BTreeSet;
use std::process::Command;

/// Every function that the header declares.
pub(crate) fn declared() -> BTreeSet<String> {
    let header = source("include/subrosa.h");
    let (_, declarations) = header.split_once("extern \"C\" {").unwrap();
    let mut names = BTreeSet::new();
    for line in declarations.lines().filter(|line| !line.starts_with([' ', '/', '#', '}'])) {
        let Some((head, _)) = line.split_once('(') else { continue };
        names.insert(head.rsplit([' ', '*']).next().unwrap().to_owned());
    }
    names
}

/// Every symbol that the library exports.
fn exported() -> BTreeSet<String> {
    let output = Command::new("nm").args(["-D", "--defined-only"]).arg(library("so")).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn the_header_declares_what_the_library_exports() {
    let declared = declared();
    assert!(declared.len() > 40, "the header was not understood: {declared:?}");
    assert!(declared.iter().all(|name| name.starts_with("subrosa_")), "{declared:?}");
    assert_eq!(declared, exported());
}
