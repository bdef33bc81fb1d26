//! Everything of the C interface that takes a text or bytes of the host, called as C would: any bytes give a status,
//! never a panic, and what is accepted comes back the same. The node behind it is off the network.
#![no_main]

use libfuzzer_sys::{arbitrary, fuzz_target};
use std::ffi::{CStr, CString, c_char};
use std::ptr::{null, null_mut};
use std::sync::OnceLock;
use subrosa_ffi::bytes::{SUBROSA_PERSON_TEXT_SIZE, subrosa_person};
use subrosa_ffi::config::{
    SUBROSA_PRESET_TEST, subrosa_config_free, subrosa_config_new, subrosa_config_set_advertise,
    subrosa_config_set_bind, subrosa_config_set_key, subrosa_config_set_number,
    subrosa_config_set_passphrase,
};
use subrosa_ffi::identity::{
    subrosa_identity_free, subrosa_identity_from_secret, subrosa_identity_person, subrosa_identity_secret,
    subrosa_person_parse, subrosa_person_text,
};
use subrosa_ffi::invite::{subrosa_invite_redeem, subrosa_redeem_options};
use subrosa_ffi::message::subrosa_refusal_text;
use subrosa_ffi::node::{subrosa_node, subrosa_node_open};
use subrosa_ffi::status::{SUBROSA_OK, subrosa_last_error, subrosa_status, subrosa_status_name};
use tempfile::TempDir;

/// A defect on our side.
const INTERNAL: subrosa_status = 99;

#[derive(Debug, arbitrary::Arbitrary)]
enum Call {
    PersonParse(Vec<u8>),
    PersonText(Vec<u8>, u8),
    Identity(Vec<u8>, u8),
    Config(i32, Vec<u8>, Vec<Setting>),
    Redeem(Vec<u8>, Option<Vec<u8>>, Vec<Vec<u8>>),
    Words(i32),
}

#[derive(Debug, arbitrary::Arbitrary)]
enum Setting {
    Key(Vec<u8>),
    Passphrase(Vec<u8>),
    Bind(Vec<Vec<u8>>),
    Advertise(Vec<Vec<u8>>),
    Number(i32, u64),
}

struct Open {
    node: *const subrosa_node,
    _dir: TempDir,
}

// SAFETY: the handle of a node may be used on every thread.
unsafe impl Send for Open {}
// SAFETY: as above.
unsafe impl Sync for Open {}

/// A node of ours, opened once.
fn node() -> *const subrosa_node {
    static OPEN: OnceLock<Open> = OnceLock::new();
    OPEN.get_or_init(|| {
        let memory = std::path::Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let dir = dir.expect("a folder");
        let path = CString::new(dir.path().join("store").to_str().expect("UTF-8")).expect("no zero");
        let (mut config, mut node) = (null_mut(), null_mut());
        // SAFETY: all pointers are to what they name, and the config is freed once.
        unsafe {
            assert_eq!(subrosa_config_new(SUBROSA_PRESET_TEST, path.as_ptr(), &raw mut config), SUBROSA_OK);
            assert_eq!(subrosa_config_set_key(config, [1; 32].as_ptr(), 32), SUBROSA_OK);
            assert_eq!(subrosa_config_set_bind(config, null(), 0), SUBROSA_OK);
            assert_eq!(subrosa_node_open(config, &raw mut node), SUBROSA_OK, "{:?}", why());
            subrosa_config_free(config);
        }
        Open { node, _dir: dir }
    })
    .node
}

fuzz_target!(|calls: Vec<Call>| {
    node();
    for call in calls.iter().take(20) {
        match call {
            Call::PersonParse(text) => person_parse(text),
            Call::PersonText(bytes, room) => person_text(bytes, *room),
            Call::Identity(secret, room) => identity(secret, *room),
            Call::Config(preset, path, settings) => config(*preset, path, settings),
            Call::Redeem(text, greeting, addresses) => redeem(text, greeting.as_deref(), addresses),
            Call::Words(number) => {
                // SAFETY: both give a text that lives as long as the program.
                let words = unsafe {
                    (
                        CStr::from_ptr(subrosa_refusal_text(*number)),
                        CStr::from_ptr(subrosa_status_name(*number)),
                    )
                };
                assert!(!words.0.is_empty() && !words.1.is_empty());
            }
        }
    }
});

/// The text of the last error.
fn why() -> &'static CStr {
    // SAFETY: valid until the next call of this thread, and only read before.
    unsafe { CStr::from_ptr(subrosa_last_error()) }
}

/// Whether it went well; if not, there is a reason in words.
fn went(status: subrosa_status) -> bool {
    assert_ne!(status, INTERNAL, "{:?}", why());
    assert!(status == SUBROSA_OK || why().to_str().is_ok_and(|text| !text.is_empty()));
    status == SUBROSA_OK
}

/// A C string ends at the first zero.
fn c(bytes: &[u8]) -> CString {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    CString::new(&bytes[..end]).expect("no zero")
}

fn list(texts: &[Vec<u8>]) -> (Vec<CString>, Vec<*const c_char>) {
    let texts: Vec<CString> = texts.iter().map(|text| c(text)).collect();
    let pointers = texts.iter().map(|text| text.as_ptr()).collect();
    (texts, pointers)
}

fn person_parse(text: &[u8]) {
    let (text, mut person) = (c(text), subrosa_person { bytes: [0; 33] });
    // SAFETY: all pointers are to what they name.
    if went(unsafe { subrosa_person_parse(text.as_ptr(), &raw mut person) }) {
        let mut form = [0x55u8; SUBROSA_PERSON_TEXT_SIZE];
        // SAFETY: as above.
        assert!(went(unsafe {
            subrosa_person_text(&raw const person, form.as_mut_ptr().cast(), form.len())
        }));
        let form = CStr::from_bytes_until_nul(&form).expect("a zero").to_str().expect("ASCII");
        assert!(text.to_str().expect("was taken").trim().eq_ignore_ascii_case(form));
    }
}

fn person_text(bytes: &[u8], room: u8) {
    let mut person = subrosa_person { bytes: [0; 33] };
    person.bytes.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    let mut form = vec![0x55u8; usize::from(room)];
    // SAFETY: all pointers are to what they name.
    if went(unsafe { subrosa_person_text(&raw const person, form.as_mut_ptr().cast(), form.len()) }) {
        let text = CStr::from_bytes_until_nul(&form).expect("a zero").to_owned();
        let mut again = subrosa_person { bytes: [0; 33] };
        // SAFETY: as above.
        assert!(went(unsafe { subrosa_person_parse(text.as_ptr(), &raw mut again) }));
        assert_eq!(again, person);
    }
}

fn identity(secret: &[u8], room: u8) {
    let mut identity = null_mut();
    // SAFETY: all pointers are to what they name, and the identity is freed once.
    unsafe {
        if went(subrosa_identity_from_secret(secret.as_ptr(), secret.len(), &raw mut identity)) {
            let mut person = subrosa_person { bytes: [0; 33] };
            assert!(went(subrosa_identity_person(identity, &raw mut person)));
            let mut copy = vec![0u8; usize::from(room)];
            if went(subrosa_identity_secret(identity, copy.as_mut_ptr(), copy.len())) {
                assert_eq!(&copy[..32], secret);
            }
            subrosa_identity_free(identity);
        }
    }
}

fn config(preset: i32, path: &[u8], settings: &[Setting]) {
    let (path, mut config) = (c(path), null_mut());
    // SAFETY: all pointers are to what they name, and the config is freed once.
    unsafe {
        if !went(subrosa_config_new(preset % 8, path.as_ptr(), &raw mut config)) {
            return;
        }
        for setting in settings.iter().take(10) {
            went(match setting {
                Setting::Key(key) => subrosa_config_set_key(config, key.as_ptr(), key.len()),
                Setting::Passphrase(words) => subrosa_config_set_passphrase(config, c(words).as_ptr()),
                Setting::Bind(addresses) => {
                    let (_texts, list) = list(addresses);
                    subrosa_config_set_bind(config, list.as_ptr(), list.len())
                }
                Setting::Advertise(addresses) => {
                    let (_texts, list) = list(addresses);
                    subrosa_config_set_advertise(config, list.as_ptr(), list.len())
                }
                Setting::Number(number, value) => subrosa_config_set_number(config, *number % 16, *value),
            });
        }
        subrosa_config_free(config);
    }
}

fn redeem(text: &[u8], greeting: Option<&[u8]>, addresses: &[Vec<u8>]) {
    let (text, greeting) = (c(text), greeting.map(c));
    let (_texts, list) = list(addresses);
    let options = subrosa_redeem_options {
        size: size_of::<subrosa_redeem_options>(),
        greeting: greeting.as_ref().map_or(null(), |greeting| greeting.as_ptr()),
        addresses: list.as_ptr(),
        addresses_count: list.len(),
    };
    let mut person = subrosa_person { bytes: [0; 33] };
    // SAFETY: all pointers are to what they name.
    went(unsafe { subrosa_invite_redeem(node(), text.as_ptr(), &raw const options, &raw mut person) });
}
