//! The side that dials: Dialling -> Knocked -> Friend.

use super::{DH_LEN, M1_LEN, M2_LEN, Mute, OwnDevice, PAYLOAD, TAG_LEN};
use super::{certificate, noise, payload, prologue, read_hello, write_hello};
use crate::crypto::Secret32;
use crate::friends::hello::Hello;
use crate::identity::{Certificate, DevicePublic, PersonId};
use snow::{HandshakeState, TransportState};
use std::fmt;

/// The initiator's half of one knock. One value serves one connection.
///
/// | state | waits for | then |
/// |---|---|---|
/// | Dialling | M2 | checks the responder's certificate: Answered |
/// | Answered | our Hello | gives M3: Knocked |
/// | Knocked | M4 | gives the friend's Hello: Friend |
/// | Friend | | done |
/// | Mute | | something failed; nothing more is said |
pub struct Initiator {
    state: State,
    responder: PersonId,
    responder_key: DevicePublic,
}

enum State {
    Dialling(Box<HandshakeState>),
    Answered(Box<TransportState>),
    Knocked(Box<TransportState>),
    Friend,
    Mute,
}

impl Initiator {
    /// Starts a knock at `responder`, whose device key is believed to be `responder_key`. `exporter` comes from the
    /// TLS connection that carries the knock. Gives the machine and M1.
    pub fn new(
        own: &OwnDevice,
        responder: PersonId,
        responder_key: DevicePublic,
        psk: &Secret32,
        exporter: &[u8; 32],
    ) -> Result<(Initiator, Vec<u8>), Mute> {
        let prologue = prologue(exporter, &responder);
        let build = |_| Mute::because("Noise does not take our keys");
        let mut handshake = noise()?
            .local_private_key(own.key.secret().as_bytes())
            .and_then(|b| b.remote_public_key(responder_key.as_bytes()))
            .and_then(|b| b.psk(1, psk.as_bytes()))
            .and_then(|b| b.prologue(&prologue))
            .and_then(snow::Builder::build_initiator)
            .map_err(build)?;
        let mut m1 = vec![0; M1_LEN];
        let length = handshake.write_message(&payload(&own.certificate)?, &mut m1).map_err(build)?;
        m1.truncate(length);
        Ok((Initiator { state: State::Dialling(Box::new(handshake)), responder, responder_key }, m1))
    }

    /// Reads M2. The responder's certificate must name the person we dial and the key we dialled under. An expired
    /// one is taken: the person is known, and no clock ends a friendship.
    pub fn answered(&mut self, m2: &[u8]) -> Result<Certificate, Mute> {
        let State::Dialling(handshake) = std::mem::replace(&mut self.state, State::Mute) else {
            return Err(Mute::because("M2 at another time"));
        };
        let (transport, certificate) = self.check(*handshake, m2)?;
        self.state = State::Answered(Box::new(transport));
        Ok(certificate)
    }

    /// M3: proves us, and tells our Hello.
    pub fn prove(&mut self, hello: &Hello) -> Result<Vec<u8>, Mute> {
        let State::Answered(mut transport) = std::mem::replace(&mut self.state, State::Mute) else {
            return Err(Mute::because("M3 at another time"));
        };
        let m3 = write_hello(&mut transport, hello)?;
        self.state = State::Knocked(transport);
        Ok(m3)
    }

    /// Reads M4: the responder's Hello. From here on frames run plainly in QUIC.
    pub fn welcomed(&mut self, m4: &[u8]) -> Result<Hello, Mute> {
        let State::Knocked(mut transport) = std::mem::replace(&mut self.state, State::Mute) else {
            return Err(Mute::because("M4 at another time"));
        };
        let hello = read_hello(&mut transport, m4)?;
        self.state = State::Friend;
        Ok(hello)
    }

    fn check(&self, mut handshake: HandshakeState, m2: &[u8]) -> Result<(TransportState, Certificate), Mute> {
        if m2.len() != M2_LEN {
            return Err(Mute::because("M2 of the wrong length"));
        }
        let mut plain = [0; DH_LEN + PAYLOAD + TAG_LEN];
        let length = handshake
            .read_message(m2, &mut plain)
            .map_err(|_| Mute::because("M2 does not open: another person, key, secret or connection"))?;
        let certificate = certificate(plain.get(..length).unwrap_or_default())?;
        if certificate.person() != self.responder {
            return Err(Mute::because("the certificate in M2 names another person"));
        }
        if certificate.key() != self.responder_key {
            return Err(Mute::because("the certificate in M2 is for another key"));
        }
        let transport = handshake
            .into_transport_mode()
            .map_err(|_| Mute::because("the Noise handshake is not complete"))?;
        Ok((transport, certificate))
    }
}

impl fmt::Debug for Initiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Dialling(_) => "Initiator(Dialling)",
            State::Answered(_) => "Initiator(Answered)",
            State::Knocked(_) => "Initiator(Knocked)",
            State::Friend => "Initiator(Friend)",
            State::Mute => "Initiator(Mute)",
        })
    }
}
