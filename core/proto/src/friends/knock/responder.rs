//! The side that is dialled: Listening -> Handshaking -> Answered -> Friend, or Mute.

use super::{Expect, M1_LEN, M2_LEN, Mute, OwnDevice, PAYLOAD};
use super::{certificate, noise, payload, prologue, read_hello, write_hello};
use crate::crypto::Secret32;
use crate::friends::hello::Hello;
use crate::identity::{Certificate, PersonId};
use crate::time::Timestamp;
use snow::{HandshakeState, TransportState};
use std::fmt;

/// The responder's half of one knock. One value serves one connection.
///
/// | state | waits for | then |
/// |---|---|---|
/// | Listening | M1 | gives M2: Handshaking. Nobody is trusted: M1 can be forged with our own stolen key |
/// | Handshaking | M3 | the initiator is proven: Answered |
/// | Answered | our Hello, or our refusal | gives M4: Friend |
/// | Friend | | done |
/// | Mute | | nothing more is said |
///
/// Anything that fails, or comes out of turn, leads to Mute.
pub struct Responder {
    state: State,
    person: PersonId,
    expect: Expect,
    now: Timestamp,
}

enum State {
    Listening(Vec<Candidate>),
    Handshaking(Box<TransportState>, Box<Certificate>),
    Answered(Box<TransportState>),
    Friend,
    Mute,
}

/// One of our device keys with a handshake of its own: reading M1 under the wrong key spoils the state.
struct Candidate {
    handshake: Box<HandshakeState>,
    certificate: Vec<u8>,
}

/// What goes into a [`Responder`].
#[derive(Debug)]
pub enum Input<'a> {
    /// The next message of the initiator.
    Message(&'a [u8]),
    /// Our Hello: the initiator is welcome.
    Welcome(&'a Hello),
}

/// What comes out of a [`Responder`].
#[derive(Debug)]
pub enum Output {
    /// Send this message.
    Send(Vec<u8>),
    /// The initiator has proved who it is: decide, then put in [`Input::Welcome`], or drop the machine.
    Proven(Box<Proven>),
}

/// An initiator that has proved who it is.
#[derive(Debug)]
pub struct Proven {
    /// The person.
    pub person: PersonId,
    /// The certificate of the device that knocks. That of a known friend may have expired.
    pub certificate: Certificate,
    /// What it says.
    pub hello: Hello,
}

impl Responder {
    /// Listens for one knock. `person` is us; each of `own` opens M1. `psk` and `expect` belong to the door that the
    /// connection came through, `exporter` to the TLS connection. By `now` a stranger's certificate is judged.
    pub fn new(
        person: PersonId,
        own: &[OwnDevice],
        psk: &Secret32,
        expect: Expect,
        exporter: &[u8; 32],
        now: Timestamp,
    ) -> Result<Responder, Mute> {
        let prologue = prologue(exporter, &person);
        let candidate = |own: &OwnDevice| {
            let handshake = noise()?
                .local_private_key(own.key.secret().as_bytes())
                .and_then(|b| b.psk(1, psk.as_bytes()))
                .and_then(|b| b.prologue(&prologue))
                .and_then(snow::Builder::build_responder)
                .map_err(|_| Mute::because("Noise does not take our keys"))?;
            Ok(Candidate { handshake: Box::new(handshake), certificate: own.certificate.clone() })
        };
        let candidates = own.iter().map(candidate).collect::<Result<_, Mute>>()?;
        Ok(Responder { state: State::Listening(candidates), person, expect, now })
    }

    /// One step. After an error the machine is Mute for good.
    pub fn step(&mut self, input: Input<'_>) -> Result<Output, Mute> {
        let (state, output) = match (std::mem::replace(&mut self.state, State::Mute), input) {
            (State::Listening(candidates), Input::Message(m1)) => {
                let (handshake, own, claim) = self.open(candidates, m1)?;
                let (transport, m2) = answer(*handshake, &own)?;
                (State::Handshaking(Box::new(transport), Box::new(claim)), Output::Send(m2))
            }
            (State::Handshaking(mut transport, certificate), Input::Message(m3)) => {
                let hello = read_hello(&mut transport, m3)?;
                let proven = Proven { person: certificate.person(), certificate: *certificate, hello };
                (State::Answered(transport), Output::Proven(Box::new(proven)))
            }
            (State::Answered(mut transport), Input::Welcome(hello)) => {
                (State::Friend, Output::Send(write_hello(&mut transport, hello)?))
            }
            (
                State::Listening(_)
                | State::Handshaking(..)
                | State::Answered(_)
                | State::Friend
                | State::Mute,
                _,
            ) => return Err(Mute::because("a message out of turn")),
        };
        self.state = state;
        Ok(output)
    }

    /// Opens M1 under one of our keys and checks what it claims.
    fn open(
        &self,
        candidates: Vec<Candidate>,
        m1: &[u8],
    ) -> Result<(Box<HandshakeState>, Vec<u8>, Certificate), Mute> {
        if m1.len() != M1_LEN {
            return Err(Mute::because("M1 of the wrong length"));
        }
        let mut plain = [0; PAYLOAD + M1_LEN];
        let mut opened = None;
        for Candidate { mut handshake, certificate } in candidates {
            if let Ok(length) = handshake.read_message(m1, &mut plain) {
                opened = Some((handshake, certificate, length));
                break;
            }
        }
        let (handshake, own, length) =
            opened.ok_or(Mute::because("M1 does not open: another person, key, secret or connection"))?;
        let claim = certificate(plain.get(..length).unwrap_or_default())?;
        if handshake.get_remote_static() != Some(claim.key().as_bytes().as_slice()) {
            return Err(Mute::because("the certificate in M1 is for another key"));
        }
        match self.expect {
            Expect::Friend(friend) if friend != claim.person() => {
                Err(Mute::because("the certificate in M1 names somebody other than the door"))
            }
            Expect::Anyone if claim.person() == self.person => {
                Err(Mute::because("we knock at our own invite"))
            }
            Expect::Anyone if claim.expired(self.now) => {
                Err(Mute::because("a stranger's certificate has expired"))
            }
            Expect::Friend(_) | Expect::Anyone => Ok((handshake, own, claim)),
        }
    }
}

fn answer(mut handshake: HandshakeState, certificate: &[u8]) -> Result<(TransportState, Vec<u8>), Mute> {
    let failed = |_| Mute::because("M2 cannot be written");
    let mut m2 = vec![0; M2_LEN];
    let length = handshake.write_message(&payload(certificate)?, &mut m2).map_err(failed)?;
    m2.truncate(length);
    Ok((handshake.into_transport_mode().map_err(failed)?, m2))
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Listening(_) => "Responder(Listening)",
            State::Handshaking(..) => "Responder(Handshaking)",
            State::Answered(_) => "Responder(Answered)",
            State::Friend => "Responder(Friend)",
            State::Mute => "Responder(Mute)",
        })
    }
}
