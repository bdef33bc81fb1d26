//! `header`: renders include/subrosa.h, or checks that it is fresh. What renders it is a test of subrosa-ffi
//! (ffi/tests/abi/header.rs), so that the check is part of every run of the tests.

use crate::shell::{cargo, hand_over};
use std::process::ExitCode;

pub(crate) fn run(args: &[String]) -> ExitCode {
    let mut command = cargo();
    command.args(["test", "--quiet", "--locked", "--package", "subrosa-ffi", "--test", "abi", "header"]);
    match args {
        [] => hand_over(command.env("SUBROSA_WRITE_HEADER", "1")),
        [check] if check == "--check" => hand_over(command.env_remove("SUBROSA_WRITE_HEADER")),
        _ => crate::usage("`header` takes --check or nothing"),
    }
}
