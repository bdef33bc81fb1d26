//! The program that people read first, on the first screen of the README and on the first page of the header, is
//! `examples/readme.c`, and it works.

use crate::calls::{end, node, ok};
use crate::native::{Linked, program, source};
use std::ffi::CString;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::ptr::null;
use std::sync::mpsc;
use std::time::Duration;
use subrosa_ffi::bytes::subrosa_person;
use subrosa_ffi::invite::*;
use subrosa_ffi::message::*;

const PROGRAM: &str = "ffi/examples/readme.c";

/// Every block of a Markdown text in the language `c`.
fn c_blocks(markdown: &str) -> Vec<String> {
    let starts = markdown.split("```c\n").skip(1);
    starts.filter_map(|rest| rest.split_once("```")).map(|(block, _)| block.to_owned()).collect()
}

#[test]
fn the_readme_has_the_program() {
    let blocks = c_blocks(&source("README.md"));
    assert!(
        blocks.contains(&source(PROGRAM)),
        "README.md has no ```c block that is {PROGRAM}, to the letter"
    );
}

#[test]
fn the_first_page_of_the_header_has_the_program() {
    let quoted: String = source(PROGRAM)
        .lines()
        .map(|line| if line.is_empty() { " *\n".to_owned() } else { format!(" *     {line}\n") })
        .collect();
    assert!(source("include/subrosa.h").contains(&quoted), "the first page of the header is not {PROGRAM}");
}

/// A process that does not outlive the test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program runs as it is, in a process of its own; this one is the friend.
#[test]
fn the_program_works() {
    let work = tempfile::tempdir().unwrap();
    let program = program(PROGRAM, "-std=c99", Linked::Dynamically, work.path());
    let mut command = Command::new(program);
    command.current_dir(work.path()).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = Running(command.spawn().unwrap());
    let output = child.0.stdout.take().unwrap();
    // Its lines come by a channel, so that nothing here waits for ever.
    let (says, said) = mpsc::channel();
    std::thread::spawn(move || {
        BufReader::new(output).lines().map_while(Result::ok).try_for_each(|l| says.send(l))
    });
    let next = || said.recv_timeout(Duration::from_secs(60));

    let line = next().unwrap();
    let invite = CString::new(line.strip_prefix("Hand this to a friend: ").unwrap()).unwrap();
    let friend = node(work.path(), "friend");
    let (mut them, body) = (subrosa_person { bytes: [0; 33] }, "Hello, README");
    // SAFETY: all pointers are to live values.
    unsafe {
        ok(subrosa_invite_redeem(friend, invite.as_ptr(), null(), &raw mut them));
        ok(subrosa_message_send(
            friend,
            &raw const them,
            body.as_ptr(),
            body.len(),
            null(),
            std::ptr::null_mut(),
        ));
    }
    assert_eq!(next().unwrap(), "They say: Hello, README");
    assert_eq!(next(), Err(mpsc::RecvTimeoutError::Disconnected), "its output ends with the program");
    let status = child.0.wait().unwrap();
    assert!(status.success(), "{status}");
    end(friend);
}
