//! What is inside an envelope, from whoever has the key: parts that add up, a signer only with a signature, and the same
//! again when it is written the short way.
#![no_main]

use libfuzzer_sys::fuzz_target;
use subrosa_proto::entropy::SeededEntropy;
use subrosa_proto::envelope::plaintext::{self, Opened, Padding, SIGNATURE};

fuzz_target!(|bytes: &[u8]| {
    let Ok(opened) = Opened::read(bytes.to_vec().into()) else { return };
    let signed = bytes[0] & 4 != 0;
    assert_eq!(opened.signer().is_some(), signed);
    let around = 1 + usize::from(bytes[0] & 3) + if signed { SIGNATURE } else { 0 };
    assert_eq!(around + opened.payload().len() + opened.padding().len(), bytes.len());
    assert_eq!(opened.plaintext(), bytes);
    let mut entropy = SeededEntropy::new(1);
    let padding = Padding::Given(opened.padding());
    let written =
        plaintext::write(opened.payload(), padding, None, &mut entropy).expect("no longer than it was");
    let again = Opened::read(written).expect("our own bytes");
    assert_eq!((again.payload(), again.padding()), (opened.payload(), opened.padding()));
});
