//! Sealed data from anyone, for both kinds of key: what we seal opens, what was changed does not, and a plaintext that the
//! sender made up is read or refused.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use subrosa_proto::crypto::Secret32;
use subrosa_proto::entropy::SeededEntropy;
use subrosa_proto::envelope::seal::{self, Key};
use subrosa_proto::envelope::{ecies, symmetric};
use subrosa_proto::identity::Identity;

static KEY: LazyLock<Secret32> = LazyLock::new(|| Secret32::new([1; 32]));
static IDENTITY: LazyLock<Identity> = LazyLock::new(|| Identity::from_secret(&[2; 32]).expect("a key"));
/// Nothing is ever sealed for these: what is compared here teaches the fuzzer whole envelopes for those above.
static OTHER_KEY: LazyLock<Secret32> = LazyLock::new(|| Secret32::new([3; 32]));
static OTHER: LazyLock<Identity> = LazyLock::new(|| Identity::from_secret(&[4; 32]).expect("a key"));

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    person: bool,
    /// Change the byte here by this much, if it is any.
    change: Option<(u16, u8)>,
    /// Cut the data to this length.
    cut: Option<u16>,
    /// As sealed data, instead of plaintext.
    raw: bool,
    bytes: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    if input.raw {
        let with = if input.person { Key::Private(&OTHER) } else { Key::Symmetric(&OTHER_KEY) };
        // Nobody guesses a tag.
        assert!(seal::open(with, input.bytes).is_err());
        return;
    }
    let with = if input.person { Key::Private(&IDENTITY) } else { Key::Symmetric(&KEY) };
    let mut entropy = SeededEntropy::new(input.bytes.len() as u64);
    let sealed = if input.person {
        ecies::seal(&IDENTITY.person(), &[], input.bytes, &mut entropy)
    } else {
        symmetric::seal(&KEY, input.bytes, &mut entropy)
    };
    let sealed = sealed.expect("sealed");
    let mut data = sealed.clone();
    if let Some((at, by)) = input.change
        && let Some(byte) = data.get_mut(usize::from(at))
    {
        *byte ^= by;
    }
    data.truncate(input.cut.map_or(data.len(), usize::from));
    match seal::decrypt(with, &data) {
        Ok(plain) => assert!(data == sealed && plain.as_slice() == input.bytes),
        Err(_) => assert!(data != sealed),
    }
    if let Ok(opened) = seal::open(with, &data) {
        assert_eq!(opened.plaintext(), input.bytes);
    }
});
