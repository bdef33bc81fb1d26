//! Making an engine from the store: who we are, whom we know, which doors are open, and the sockets.

use super::dark::{self, Dark};
use super::friend::{DEVICE, Friend};
use super::keyring::Keys;
use super::network::Binder;
use super::{Engine, LINK_EVENTS, Parts, Started, guests};
use crate::config::Config;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use subrosa_net::link::{DoorId, OwnKeys};
use subrosa_proto::clock::ClockWatch;
use subrosa_proto::crypto::Secret32;
use subrosa_proto::entropy::OsEntropy;
use subrosa_proto::friends::knock::{Expect, OwnDevice};
use subrosa_proto::friends::pair::door_keys;
use subrosa_proto::friends::request::Requests;
use subrosa_proto::identity::{Certificate, DeviceKey, Identity};
use subrosa_proto::time::Timestamp;
use subrosa_proto::{Error, ErrorKind, Result};
use subrosa_store::identity::OwnIdentity;
use subrosa_store::invite::InviteState;
use subrosa_store::{Secret, Store, friend, identity, invite, outreach, run, standing};
use tokio::sync::mpsc;

/// A certificate lives so long, and is renewed when half of it is over.
pub(super) const CERTIFICATE: Duration = Duration::from_secs(60 * 86_400);
/// Friends read from the store in one step.
const PAGE: usize = 256;

impl Engine {
    pub(super) fn start(parts: &Parts) -> Result<Started> {
        let (config, store) = (Arc::clone(&parts.config), parts.store.clone());
        let (now, steady) = crate::clock::both(&*config.clock);
        let (identity, own) = own_identity(&store, &config)?;
        let me = identity.person();
        let own = OwnCertificates::issue(&store, &identity, own, now, 0)?;
        let (keys, expires, counter) = (own.keys, own.expires, own.counter);
        let device = keys.devices.first().ok_or_else(no_device)?.key.public();
        let runs = store.read(run::list)?;
        // After a crash of the engine the store may be in a later run than that of its opening.
        let run = runs.first().copied().unwrap_or(store.run());
        let standing = store.read(standing::load)?;
        let requests = Requests::load(me, store.read(outreach::load)?);
        let dark = Dark::new(requests, store.read(dark::load_contact)?, now);

        let doors = parts.doors.clone();
        doors.clear();
        let keys = Arc::new(Keys::new(keys, doors.clone(), Arc::clone(&config.clock)));
        let (done_sender, done) = mpsc::unbounded_channel();
        let (link_sender, links) = mpsc::channel(LINK_EVENTS);
        let binder =
            Binder { config: Arc::clone(&config), doors, keys: Arc::clone(&keys), events: link_sender };
        let sockets = binder.bind_all(parts.board.addresses())?;

        let mut engine = Engine {
            run,
            runs,
            standing,
            claim: standing.claim.number.into(),
            restored_now: false,
            deciding: false,
            events: Arc::clone(&parts.events),
            identity,
            me,
            device,
            certificate_expires: expires,
            certificate_counter: counter,
            keys,
            sockets,
            binder,
            board: Arc::clone(&parts.board),
            whisper: parts.whisper.clone(),
            dark,
            friends: BTreeMap::new(),
            rows: HashMap::new(),
            links: HashMap::new(),
            guests: HashMap::new(),
            reused: HashSet::new(),
            dials: HashMap::new(),
            timers: BTreeSet::new(),
            watch: ClockWatch::new(now, steady),
            wall: now,
            housekeeping: now,
            restored: Timestamp::ZERO,
            retention: now,
            network_changes: 0,
            // Grows with every opening, whatever the clock does.
            address_counter: counter << 32,
            address_check: Timestamp::ZERO,
            told_addresses: Vec::new(),
            neighbours_check: Timestamp::ZERO,
            disk_full: false,
            outputs: Vec::new(),
            done: done_sender,
            outstanding: 0,
            stopping: None,
            entropy: OsEntropy,
            config,
            store,
        };
        engine.show_addresses();
        engine.load_friends(now)?;
        engine.open_invites(now)?;
        engine.name_neighbours(now);
        // Before the first envelope comes, so that none passes by unheard.
        engine.dark_tick(now);
        engine.events.attach(engine.store.clone());
        Ok(Started { engine, done, links })
    }

    fn load_friends(&mut self, now: Timestamp) -> Result<()> {
        let mut after = 0;
        loop {
            let page = self.store.read(|s| friend::list(s, after, PAGE))?;
            let last = page.len() < PAGE;
            for row in page {
                after = row.row;
                if !row.record.state.is_present() {
                    continue;
                }
                let (number, person) = (row.row, row.person);
                let (config, held) = (&self.config, self.is_held());
                let friend = self.store.read(|s| Friend::load(s, row, config, held, now))?;
                self.friends.insert(number, friend);
                self.rows.insert(person, number);
                self.open_door(number);
                self.brief(number);
                self.inbox_changed(number);
                self.set_timer(number);
            }
            if last {
                return Ok(());
            }
        }
    }

    fn open_invites(&mut self, now: Timestamp) -> Result<()> {
        for row in self.store.read(invite::list)? {
            // Of a spent invite the door is open until its redeemer was met under the pair secret.
            let met = || {
                let row = row.record.spent_by.and_then(|person| self.rows.get(&person));
                row.and_then(|row| self.friends.get(row))
                    .is_some_and(|f| f.is_friend() && f.record.run_seen.is_some())
            };
            let open = match row.record.state {
                InviteState::Open => true,
                InviteState::Spent => row.record.expires.after(guests::SLACK) > now && !met(),
                InviteState::Revoked | InviteState::Expired => false,
            };
            if open {
                let keys = door_keys(row.record.secret.as_bytes(), &self.me);
                self.keys.open(DoorId::Invite(row.id.0), keys, Expect::Anyone);
            }
        }
        Ok(())
    }

    /// Renews our certificate, with a counter above `above` and above all we ever issued.
    pub(super) fn renew_certificate(&mut self, now: Timestamp, above: u64) {
        let renewed = self
            .store
            .read(identity::load)
            .and_then(|own| own.ok_or_else(no_device))
            .and_then(|own| OwnCertificates::issue(&self.store, &self.identity, own, now, above));
        match renewed {
            Ok(own) => {
                self.keys.set_own(own.keys);
                self.certificate_expires = own.expires;
                self.certificate_counter = own.counter;
                self.address_counter = own.counter << 32;
            }
            Err(error) => log::warn!("our certificate could not be renewed: {error}"),
        }
    }
}

/// The identity of the store; a new store gets the one of the configuration, or a fresh one.
fn own_identity(store: &Store, config: &Config) -> Result<(Identity, OwnIdentity)> {
    if let Some(own) = store.read(identity::load)? {
        let present = Identity::from_secret(own.identity.as_bytes())?;
        if config.identity.as_ref().is_some_and(|wanted| wanted.person() != present.person()) {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                "this store belongs to another identity: open it without one, or use another file",
            ));
        }
        return Ok((present, own));
    }
    let fresh = match &config.identity {
        Some(identity) => identity.clone(),
        None => Identity::generate(&mut OsEntropy)?,
    };
    let device = DeviceKey::generate(&mut OsEntropy)?;
    let own = OwnIdentity {
        identity: Secret::new(*fresh.secret().as_bytes()),
        devices: vec![identity::OwnDevice {
            number: DEVICE,
            secret: Secret::new(*device.secret().as_bytes()),
        }],
        certificate_counter: 0,
    };
    let kept = own.clone();
    store.write_wait(move |tx| identity::save(tx, &kept))?;
    Ok((fresh, own))
}

/// Our device keys with fresh certificates.
struct OwnCertificates {
    keys: OwnKeys,
    counter: u64,
    expires: Timestamp,
}

impl OwnCertificates {
    fn issue(
        store: &Store,
        who: &Identity,
        mut own: OwnIdentity,
        now: Timestamp,
        above: u64,
    ) -> Result<Self> {
        let expires = now.after(CERTIFICATE);
        // What a friend reports is hostile until checked: half of the numbers are never reached by honest means.
        let above = if above < u64::from(u32::MAX) { above } else { 0 };
        // The higher counter is on disk before anybody sees it.
        let counter = own.certificate_counter.max(above) + 1;
        own.certificate_counter = counter;
        let kept = own.clone();
        store.write_wait(move |tx| identity::save(tx, &kept))?;
        // The one in use is the last one kept, and the first one asked for.
        let devices = own.devices.iter().rev().map(|device| {
            let key = DeviceKey::from_secret(Secret32::new(*device.secret.as_bytes()));
            let certificate =
                Certificate::issue(who, device.number, &key.public(), counter, expires).encode();
            OwnDevice { key, certificate }
        });
        Ok(OwnCertificates {
            keys: OwnKeys { person: who.person(), devices: devices.collect() },
            counter,
            expires,
        })
    }
}

fn no_device() -> Error {
    Error::damaged("the store holds no identity or no device key")
}
