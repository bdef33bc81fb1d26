//! From a passphrase to a key: Argon2id (RFC 9106) with bounded costs.

use argon2::{Algorithm, Argon2, Params, Version};
use subrosa_proto::crypto::Secret32;
use subrosa_proto::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

/// Bytes of salt.
pub(crate) const SALT: usize = 16;

/// What a guess at the passphrase costs. Stored open in the file, so reading them is bounded: a hostile file cannot
/// make us take more than [`Argon2Params::MOST_MEMORY`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Params {
    /// KiB of memory.
    pub memory: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes; one thread fills them all.
    pub lanes: u32,
}

impl Argon2Params {
    /// 512 MiB, in KiB.
    pub const MOST_MEMORY: u32 = 512 * 1024;
    /// Most passes.
    pub const MOST_PASSES: u32 = 64;
    /// Most lanes.
    pub const MOST_LANES: u32 = 16;

    /// As cheap as the algorithm allows. Protects nothing.
    pub const fn fast_for_tests() -> Argon2Params {
        Argon2Params { memory: 8, passes: 1, lanes: 1 }
    }

    /// Whether these are costs this version would pay.
    pub(crate) fn check(self) -> Result<()> {
        let Argon2Params { memory, passes, lanes } = self;
        let lanes_fit = (1..=Self::MOST_LANES).contains(&lanes);
        let memory_fits = memory >= lanes.saturating_mul(8) && memory <= Self::MOST_MEMORY;
        if lanes_fit && memory_fits && (1..=Self::MOST_PASSES).contains(&passes) {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "Argon2id with {memory} KiB, {passes} passes and {lanes} lanes is out of bounds; at most {} KiB, {} \
             passes and {} lanes",
            Self::MOST_MEMORY,
            Self::MOST_PASSES,
            Self::MOST_LANES
        )))
    }
}

impl Default for Argon2Params {
    /// 64 MiB, 3 passes, 1 lane: RFC 9106's second choice with one lane, since phones do this on one core.
    fn default() -> Argon2Params {
        Argon2Params { memory: 64 * 1024, passes: 3, lanes: 1 }
    }
}

/// The key that `words` make with `salt`.
pub(crate) fn stretch(words: &str, salt: &[u8], params: Argon2Params) -> Result<Secret32> {
    params.check()?;
    let refused = |e: argon2::Error| Error::new(ErrorKind::Internal, format!("Argon2id: {e}"));
    let params = Params::new(params.memory, params.passes, params.lanes, Some(32)).map_err(refused)?;
    let mut key = Zeroizing::new([0u8; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(words.as_bytes(), salt, key.as_mut_slice())
        .map_err(refused)?;
    Ok(Secret32::new(*key))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9106, section 5.3.
    #[test]
    fn known_answer_of_the_rfc() {
        let params = argon2::ParamsBuilder::new()
            .m_cost(32)
            .t_cost(3)
            .p_cost(4)
            .data(argon2::AssociatedData::new(&[4; 12]).unwrap())
            .output_len(32)
            .build()
            .unwrap();
        let mut tag = [0; 32];
        Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params)
            .unwrap()
            .hash_password_into(&[1; 32], &[2; 16], &mut tag)
            .unwrap();
        let expected = "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659";
        assert_eq!(data_encoding::HEXLOWER.encode(&tag), expected);
    }

    #[test]
    fn costs_are_bounded() {
        for hostile in [
            Argon2Params { memory: u32::MAX, passes: 1, lanes: 1 },
            Argon2Params { memory: 1024, passes: 1 << 20, lanes: 1 },
            Argon2Params { memory: 1024, passes: 0, lanes: 1 },
            Argon2Params { memory: 1024, passes: 1, lanes: 0 },
            Argon2Params { memory: 1024, passes: 1, lanes: u32::MAX },
            Argon2Params { memory: 0, passes: 1, lanes: 1 },
        ] {
            assert_eq!(stretch("words", &[0; SALT], hostile).unwrap_err().kind(), ErrorKind::InvalidArgument);
        }
        Argon2Params::default().check().unwrap();
        Argon2Params::fast_for_tests().check().unwrap();
    }
}
