//! Two people whose keys never change, so that a seed made today still opens tomorrow.

use std::sync::OnceLock;
use subrosa_proto::crypto::Secret32;
use subrosa_proto::friends::knock::OwnDevice;
use subrosa_proto::identity::{Certificate, DeviceKey, Identity, PersonId};
use subrosa_proto::time::Timestamp;

/// An instant in 2027.
pub const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
/// When certificates end.
pub const LATER: Timestamp = Timestamp::from_millis(1_900_000_000_000);
/// The domain of the signature of a certificate (PROTOCOL 1).
pub const CERTIFICATE_DOMAIN: &str = "subrosa certificate 1";

/// Somebody with one device.
pub struct Person {
    /// Who it is.
    pub identity: Identity,
    /// The device and its certificate.
    pub own: OwnDevice,
}

impl Person {
    fn new(n: u8) -> Person {
        let identity = Identity::from_secret(&[n; 32]).expect("these bytes are a key");
        let key = DeviceKey::from_secret(Secret32::new([n ^ 0x80; 32]));
        let certificate = Certificate::issue(&identity, 1, &key.public(), 1, LATER).encode();
        Person { identity, own: OwnDevice { key, certificate } }
    }

    /// The public half.
    pub fn id(&self) -> PersonId {
        self.identity.person()
    }
}

/// The one who is attacked.
pub fn us() -> &'static Person {
    static US: OnceLock<Person> = OnceLock::new();
    US.get_or_init(|| Person::new(1))
}

/// The one who attacks.
pub fn them() -> &'static Person {
    static THEM: OnceLock<Person> = OnceLock::new();
    THEM.get_or_init(|| Person::new(2))
}
