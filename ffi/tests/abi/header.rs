//! The committed header is the one the source gives, and C and C++ take it by itself.

use crate::native::{Need, STRICT, compile, has, repository, source};

const HEADER: &str = "include/subrosa.h";

/// C23 by the name that older compilers know, too.
const C: [&str; 4] = ["-std=c99", "-std=c11", "-std=c17", "-std=c2x"];
const CPP: [&str; 3] = ["-std=c++11", "-std=c++17", "-std=c++20"];

/// The compilers that are here, for C and for C++: gcc must be, clang may.
fn compilers() -> Vec<[&'static str; 2]> {
    let all = [(["gcc", "g++"], Need::Required), (["clang", "clang++"], Need::Optional)];
    all.into_iter().filter(|(pair, need)| has(pair[0], *need)).map(|(pair, _)| pair).collect()
}

fn rendered() -> String {
    let config = cbindgen::Config::from_file(repository("ffi/cbindgen.toml")).unwrap();
    let crate_dir = repository("ffi");
    let bindings = cbindgen::Builder::new().with_crate(crate_dir).with_config(config).generate().unwrap();
    let mut text = Vec::new();
    bindings.write(&mut text);
    String::from_utf8(text).unwrap()
}

/// `SUBROSA_WRITE_HEADER=1 cargo test -p subrosa-ffi header` writes it.
#[test]
fn the_header_is_fresh() {
    let rendered = rendered();
    if std::env::var_os("SUBROSA_WRITE_HEADER").is_some() {
        std::fs::write(repository(HEADER), &rendered).unwrap();
    }
    assert!(
        source(HEADER) == rendered,
        "{HEADER} is stale: run `cargo xtask header`, or SUBROSA_WRITE_HEADER=1 cargo test -p subrosa-ffi header",
    );
}

#[test]
fn c_and_cpp_take_the_header_alone() {
    let folder = tempfile::tempdir().unwrap();
    let uses = "#include \"subrosa.h\"\n\
        subrosa_send_options s = SUBROSA_SEND_OPTIONS_INIT;\n\
        subrosa_invite_options i = SUBROSA_INVITE_OPTIONS_INIT;\n\
        subrosa_redeem_options r = SUBROSA_REDEEM_OPTIONS_INIT;\n\
        subrosa_keep_options k = SUBROSA_KEEP_OPTIONS_INIT;\n\
        subrosa_publish_options p = SUBROSA_PUBLISH_OPTIONS_INIT;\n\
        subrosa_subscribe_options b = SUBROSA_SUBSCRIBE_OPTIONS_INIT;\n\
        int version[SUBROSA_VERSION_NUMBER == 65536 * SUBROSA_VERSION_MAJOR + 256 * SUBROSA_VERSION_MINOR\n\
            + SUBROSA_VERSION_PATCH ? 1 : -1];\n\
        int ids[sizeof(subrosa_person) == 33 && sizeof(subrosa_message_id) == 16 ? 1 : -1];\n";
    let c = folder.path().join("uses.c");
    let cpp = folder.path().join("uses.cpp");
    std::fs::write(&c, uses).unwrap();
    std::fs::write(
        &cpp,
        format!("{uses}#include \"subrosa.h\"\nusing function = decltype(&subrosa_node_open);\n"),
    )
    .unwrap();
    assert!(STRICT.contains(&"-Werror"));
    for [cc, cxx] in compilers() {
        for standard in C {
            compile(cc, &c, &["-fsyntax-only", standard]);
        }
        for standard in CPP {
            compile(cxx, &cpp, &["-fsyntax-only", standard]);
        }
    }
}

/// The programs here, in every standard of C; and those that hosts start from, as C++, too.
#[test]
fn c_and_cpp_take_the_programs() {
    let folder = tempfile::tempdir().unwrap();
    let examples =
        ["hello", "publish", "readme", "wakeup"].map(|name| repository(&format!("ffi/examples/{name}.c")));
    let tests = ["hostile", "canary"].map(|name| repository(&format!("ffi/tests/c/{name}.c")));
    for [cc, cxx] in compilers() {
        for file in examples.iter().chain(&tests) {
            for standard in C {
                compile(cc, file, &["-fsyntax-only", standard]);
            }
        }
        for example in &examples {
            let copy = folder.path().join(example.file_name().unwrap()).with_extension("cpp");
            std::fs::copy(example, &copy).unwrap();
            compile(cxx, &copy, &["-fsyntax-only", "-std=c++17"]);
        }
    }
}

/// The first page is what people read first: its parts are there, and it documents every function and constant.
#[test]
fn the_header_teaches() {
    let header = source(HEADER);
    for part in [
        "A FIRST PROGRAM",
        "ERRORS",
        "OWNERSHIP",
        "THREADS",
        "EVENTS AND ACKS",
        "SHUTTING DOWN",
        "WITHOUT A LINK",
        "VERSIONS",
    ] {
        assert!(header.contains(part), "the first page has no part {part}");
    }
    let mut last = "";
    for line in header.lines() {
        let declares =
            line.starts_with("#define SUBROSA_") || (line.contains(" subrosa_") && line.contains('('));
        let top = !line.starts_with(' ') && !line.starts_with('/') && !line.starts_with("typedef");
        if declares && top && !line.ends_with("SUBROSA_H") {
            assert!(last.ends_with("*/"), "undocumented: {line}");
        }
        last = line;
    }
}
