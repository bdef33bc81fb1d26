//! Key agreement that costs nothing and protects nothing: it stands in for `curve25519-dalek` where our code is fuzzed.
//! X25519 was nine tenths of an input's time in the targets that agree on keys, and has no bytes of an input to
//! understand.
//!
//! What callers rely on holds: both sides come to the same secret, each byte of a public key counts, and a public key
//! without order (zeros) gives zeros. Four numbers of 64 bits, little-endian, are multiplied with those of the other side,
//! each modulo the prime 2^61 - 1.

const PRIME: u64 = (1 << 61) - 1;
/// The public key of the secret one.
const BASE: [u64; 4] = [3, 5, 7, 11];

fn lanes(bytes: &[u8; 32]) -> [u64; 4] {
    let (words, _) = bytes.as_chunks::<8>();
    std::array::from_fn(|n| words.get(n).map_or(0, |word| u64::from_le_bytes(*word) % PRIME))
}

fn times(secret: &[u8; 32], point: [u64; 4]) -> [u8; 32] {
    let mut product = [0; 32];
    let lanes = lanes(secret).into_iter().zip(point);
    for (to, (secret, point)) in product.as_chunks_mut::<8>().0.iter_mut().zip(lanes) {
        // As with clamped bytes, no secret is zero.
        let exact = u128::from(secret.max(1)) * u128::from(point) % u128::from(PRIME);
        *to = (exact as u64).to_le_bytes();
    }
    product
}

/// Points by one coordinate.
pub mod montgomery {
    use super::{BASE, lanes, times};
    #[cfg(feature = "zeroize")]
    use zeroize::Zeroize;

    /// A public key or a shared secret.
    #[derive(Clone, Copy, Debug, Default, Hash, PartialEq, Eq)]
    #[cfg_attr(feature = "zeroize", derive(Zeroize))]
    pub struct MontgomeryPoint(pub [u8; 32]);

    impl MontgomeryPoint {
        /// The public key of a secret.
        pub fn mul_base_clamped(secret: [u8; 32]) -> MontgomeryPoint {
            MontgomeryPoint(times(&secret, BASE))
        }

        /// What a secret and this public key agree on.
        pub fn mul_clamped(self, secret: [u8; 32]) -> MontgomeryPoint {
            MontgomeryPoint(times(&secret, lanes(&self.0)))
        }

        /// The bytes.
        pub const fn as_bytes(&self) -> &[u8; 32] {
            &self.0
        }

        /// The bytes.
        pub const fn to_bytes(&self) -> [u8; 32] {
            self.0
        }
    }

    impl crate::traits::IsIdentity for MontgomeryPoint {
        fn is_identity(&self) -> bool {
            self.0 == [0; 32]
        }
    }
}

/// Points as they are multiplied with tables.
pub mod edwards {
    use crate::montgomery::MontgomeryPoint;

    /// A public key on its way to be one.
    pub struct EdwardsPoint(MontgomeryPoint);

    impl EdwardsPoint {
        /// The public key of a secret.
        pub fn mul_base_clamped(secret: [u8; 32]) -> EdwardsPoint {
            EdwardsPoint(MontgomeryPoint::mul_base_clamped(secret))
        }

        /// The same as others see it.
        pub fn to_montgomery(&self) -> MontgomeryPoint {
            self.0
        }
    }
}

/// What can be asked of points.
pub mod traits {
    /// Whether it is zero.
    pub trait IsIdentity {
        /// Whether it is zero.
        fn is_identity(&self) -> bool;
    }
}
