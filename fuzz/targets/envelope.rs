//! Envelopes from anyone: what is read is written again as the same bytes, and no rule or clock makes anything panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use subrosa_proto::envelope::{Admission, Bloom, Draft, Envelope, EnvelopeHash, Refusal};

fuzz_target!(|bytes: &[u8]| {
    let Ok(envelope) = Envelope::decode(bytes) else { return };
    assert_eq!(envelope.encode(), bytes);
    assert_eq!(envelope.hash(), EnvelopeHash::of(bytes));
    assert_eq!(Envelope::decode_hashed(bytes, envelope.hash()).as_ref(), Ok(&envelope));
    let whole = envelope.ttl != 0 && envelope.ttl <= envelope.expiry;
    assert_eq!(envelope.pow() > 0.0, whole);
    for now in [0, envelope.sent(), envelope.expiry, u32::MAX] {
        let rules = Admission { longest_ttl: u32::MAX, ..Admission::open(now) };
        match rules.pow(&envelope) {
            Ok(pow) => assert!(whole && pow > 0.0 && pow <= envelope.pow()),
            Err(refusal) => assert!(!matches!(refusal, Refusal::Unwanted | Refusal::LowPow { .. })),
        }
        let picky = Admission { bloom: Some(Bloom::from_topics(&[envelope.topic])), ..rules };
        assert_eq!(picky.check(&envelope), rules.check(&envelope));
        assert!(Admission { bloom: Some(Bloom::EMPTY), ..rules }.check(&envelope).is_err());
    }
    if whole {
        let draft =
            Draft::new(envelope.sent(), envelope.ttl, envelope.topic, envelope.data()).expect("a draft");
        assert_eq!(draft.with_nonce(envelope.nonce), envelope);
    }
});
