//! The person, the device, and the certificate that joins them. What friends derive from each other's keys is in
//! [`crate::friends`].

pub mod certificate;
pub mod device;
pub mod person;

pub use certificate::Certificate;
pub use device::{DeviceKey, DevicePublic};
pub use person::{Identity, PersonId};
