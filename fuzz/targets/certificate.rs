//! Certificates: as they come, and signed by somebody who signs anything.
#![no_main]

use libfuzzer_sys::fuzz_target;
use minicbor::Encoder;
use subrosa_fuzz::people::{CERTIFICATE_DOMAIN, them};
use subrosa_proto::identity::Certificate;
use subrosa_proto::identity::certificate::LONGEST;

fuzz_target!(|input: &[u8]| {
    let Some((how, bytes)) = input.split_first() else { return };
    if how & 1 == 0 {
        check(bytes);
    } else {
        let signature = them().identity.sign(CERTIFICATE_DOMAIN, bytes);
        let mut signed = Vec::new();
        let mut encoder = Encoder::new(&mut signed);
        let written = encoder
            .map(2)
            .and_then(|e| e.u8(0)?.bytes(bytes))
            .and_then(|e| e.u8(1)?.bytes(&signature))
            .is_ok();
        assert!(written);
        check(&signed);
    }
});

fn check(bytes: &[u8]) {
    let Ok(certificate) = Certificate::decode(bytes) else { return };
    assert!(bytes.len() <= LONGEST);
    assert_eq!(certificate.encode(), bytes, "there is one way to write it");
    certificate.key().check().expect("a key that proves something");
    let _ = (certificate.expired(certificate.expires()), format!("{certificate:?}"));
}
