//! Each bad envelope is refused for what is wrong with it, and for nothing else.

use crate::case::Case;
use subrosa_proto::envelope::rlp::Error;
use subrosa_proto::envelope::{LONGEST_TTL, Refusal};

/// That the case was refused, and for the reason that it gives. A reason that is not known here only needs a refusal.
pub(crate) fn check(case: &Case, outcome: Result<(), Refusal>) {
    let refusal = outcome.expect_err(&format!("{case}: accepted"));
    let why = case.text("why");
    let fits = match case.text("stage") {
        "decode" => decode(why, refusal),
        "receive" => receive(why, refusal),
        _ => open(why, refusal),
    };
    let own = std::env::var_os("SUBROSA_VECTORS").is_none();
    assert!(fits.is_some() || !own, "{case}: nobody says which refusal `{why}` is");
    assert!(fits.unwrap_or(true), "{case}: {why}, but refused as: {refusal:?}");
}

fn decode(why: &str, refusal: Refusal) -> Option<bool> {
    let rlp = |expected: &[Error]| matches!(refusal, Refusal::Rlp(error) if expected.contains(&error));
    Some(match why {
        "empty input" | "truncated" | "list longer than its content" => rlp(&[Error::CutShort]),
        "length overflow" => rlp(&[Error::CutShort]),
        // A list that ends too early leaves something behind it.
        "item longer than its list" => rlp(&[Error::CutShort, Error::Trailing]),
        // Too few, too many, or a list where the expiry should be.
        "wrong list length" => rlp(&[Error::CutShort, Error::Trailing, Error::List]),
        "not a list" => rlp(&[Error::NoList]),
        "trailing bytes" => rlp(&[Error::Trailing]),
        "non-minimal integer" | "non-minimal length of a single byte" | "non-minimal length" => {
            rlp(&[Error::NotMinimal])
        }
        "long form of a short string" | "long form of a short list" => rlp(&[Error::NotMinimal]),
        "does not fit 32 bits" | "does not fit 64 bits" => rlp(&[Error::TooGreat]),
        "not an integer" | "topic not a string" | "data not a string" => rlp(&[Error::List]),
        "topic not 4 bytes" => matches!(refusal, Refusal::TopicLength(length) if length != 4),
        _ => return None,
    })
}

fn receive(why: &str, refusal: Refusal) -> Option<bool> {
    Some(match why {
        "created in the future" => matches!(refusal, Refusal::Future(11..)),
        "expired, at most 20 s ago" => matches!(refusal, Refusal::Expired(1..=20)),
        "expired more than 20 s ago" => matches!(refusal, Refusal::Expired(21..)),
        "TTL 0" | "TTL 0, expired" | "TTL 0 makes the proof of work infinite" => refusal == Refusal::NoTtl,
        "TTL of decades; nothing limits the TTL" => {
            matches!(refusal, Refusal::TtlTooLong { ttl, longest: LONGEST_TTL } if ttl > LONGEST_TTL)
        }
        "sent time wraps below zero" => refusal == Refusal::TtlBeyondExpiry,
        why if why.starts_with("ttl > expiry; ") => refusal == Refusal::TtlBeyondExpiry,
        "20 + data length > limit" => {
            matches!(refusal, Refusal::TooLarge { size, limit } if size == limit + 1)
        }
        "proof of work too low"
        | "compare as IEEE 754 doubles"
        | "2^11 / 301 / (50 + 6), not / 50"
        | "below the advertised minimum; geth tolerates 0.2 for ever" => {
            matches!(refusal, Refusal::LowPow { pow, least } if pow < least)
        }
        "topic not in the advertised bloom" => refusal == Refusal::Unwanted,
        _ => return None,
    })
}

fn open(why: &str, refusal: Refusal) -> Option<bool> {
    Some(match why {
        "shorter than the nonce" | "no tag" | "no whole tag" => {
            matches!(refusal, Refusal::TooShort { least: 28, .. })
        }
        "too short" | "too short: no room for IV and ciphertext" => {
            matches!(refusal, Refusal::TooShort { least: 113, .. })
        }
        // go-ethereum ends here.
        "shorter than an IV" => matches!(refusal, Refusal::TooShort { length: 98..=112, .. }),
        "wrong tag" | "authentication fails" | "the nonce stands at the end" => refusal == Refusal::WrongKey,
        "no public key"
        | "65 bytes are not a compressed key"
        | "hybrid key"
        | "invalid public key"
        | "coordinate out of range" => refusal == Refusal::BadPoint,
        "no flags byte" | "empty plaintext: no flags byte" => refusal == Refusal::Empty,
        "length field beyond the end" | "length field reaches into the signature" => {
            refusal == Refusal::LengthCutShort
        }
        "payload length beyond the end" | "payload reaches into the signature" => {
            refusal == Refusal::PayloadCutShort
        }
        // Too little for the signature, or for what stands before it.
        "signature bit set with too little data" => {
            matches!(refusal, Refusal::SignatureCutShort | Refusal::LengthCutShort)
        }
        "no such recovery id"
        | "r + order is not a field element"
        | "r out of range"
        | "s out of range"
        | "out of range" => refusal == Refusal::BadSignature,
        _ => return None,
    })
}
