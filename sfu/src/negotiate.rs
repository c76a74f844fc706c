//! From descriptions to media and back: offers, answers and candidates of a participant, and when to ask for new ones.

use std::time::Instant;

use tracing::debug;

use crate::net::{ConnectionMode, Event, NegotiationError, OfferOutcome, PeerConnection, TrackFormat};
use crate::room::Participant;
use crate::rtp::srtp::DtlsRole;
use crate::sdp::{Incoming, LocalDescription, Outgoing, ReceiveSection, RemoteTransport, SendSection, Setup};
use crate::sfu::Sfu;
use crate::transport::{IceCredentials, RemoteParameters};
use crate::{Mid, ParticipantKey, TrackKey};

impl Sfu {
    /// Answers a client's offer on its publisher connection (in single mode its only one).
    pub fn offer(
        &mut self,
        participant: ParticipantKey,
        sdp: &str,
        now: Instant,
    ) -> Result<OfferOutcome, NegotiationError> {
        let index = self.known(participant)?;
        let connection = self.participants[index].publisher;
        if self.connections[connection].failed {
            return Err(NegotiationError::WrongState(PeerConnection::Publisher));
        }
        let incoming = self.incoming(index);
        let outgoing = match self.participants[index].mode {
            ConnectionMode::Single => self.outgoing(index),
            ConnectionMode::Dual => Vec::new(),
        };
        let restart = self.connections[connection].negotiation.restarts_ice(sdp);
        // Fresh credentials go into the answer first and to the agent only once the offer has proved good.
        let local = match restart {
            true => self.fresh_description(connection),
            false => self.connections[connection].local.clone(),
        };
        let answered =
            self.connections[connection].negotiation.handle_offer(sdp, &local, &incoming, &outgoing)?;
        if restart {
            self.restart_ice(connection, local, now);
        }
        self.set_remote(connection, &answered.remote, now);
        let published = self.bind_receiving(index, connection, answered.receiving);
        self.drop_publications(index, &answered.dropped, now);
        let sending = self.bind_sending(index, connection, &answered.sending);
        self.participants[index].sections_asked = None;
        if answered.unplaced > 0 || answered.needs_reoffer {
            self.negotiate_soon(index, now);
        }
        self.contain(connection, |sfu| sfu.drive(connection, now));
        Ok(OfferOutcome { answer: answered.sdp, sending, published, unpublished: answered.dropped })
    }

    /// Takes a client's answer on its subscriber connection (dual mode).
    pub fn answer(
        &mut self,
        participant: ParticipantKey,
        sdp: &str,
        now: Instant,
    ) -> Result<(), NegotiationError> {
        let index = self.known(participant)?;
        let wrong_state = NegotiationError::WrongState(PeerConnection::Subscriber);
        let Some(connection) = self.participants[index].subscriber else { return Err(wrong_state) };
        if self.connections[connection].failed {
            return Err(wrong_state);
        }
        let accepted = self.connections[connection].negotiation.handle_answer(sdp)?;
        self.set_remote(connection, &accepted.remote, now);
        self.bind_sending(index, connection, &accepted.sending);
        self.contain(connection, |sfu| sfu.drive(connection, now));
        // What changed while the offer was out waits for a new one.
        if self.connections[connection].negotiation.is_outdated(&self.outgoing(index)) {
            self.negotiate_soon(index, now);
        }
        Ok(())
    }

    /// Adds a candidate of the client. One for a connection that does not exist is ignored, like one that is unusable.
    pub fn trickle(
        &mut self,
        participant: ParticipantKey,
        which: PeerConnection,
        candidate: &str,
        now: Instant,
    ) {
        let Some(&index) = self.participant_by_key.get(&participant) else { return };
        let connection = match which {
            PeerConnection::Publisher => self.participants[index].publisher,
            PeerConnection::Subscriber => match self.participants[index].subscriber {
                Some(connection) => connection,
                None => return,
            },
        };
        if self.connections[connection].failed {
            return;
        }
        self.contain(connection, |sfu| {
            sfu.connections[connection].transport.add_remote_candidate(candidate);
            sfu.drive(connection, now);
        });
    }

    /// Changes have been gathered: ask for an offer, or make one.
    pub(crate) fn negotiation_timeout(&mut self, index: usize, now: Instant) {
        let Some(participant) = self.participants.get_mut(index) else { return };
        if participant.negotiate_at.is_none_or(|at| at > now) {
            return;
        }
        participant.negotiate_at = None;
        match participant.mode {
            ConnectionMode::Single => self.ask_for_offer(index, now),
            ConnectionMode::Dual => self.make_offer(index, now),
        }
    }

    /// The client's signalling is back after a loss, so what it was asked for or offered may not have reached it. In
    /// single mode it is asked anew if need be; in dual mode ICE restarts on the subscriber connection, by a new offer
    /// that takes the place of an outstanding one. The publisher connection is the client's to restart.
    pub fn resume(&mut self, participant: ParticipantKey, now: Instant) {
        let Some(&index) = self.participant_by_key.get(&participant) else { return };
        match self.participants[index].mode {
            ConnectionMode::Single => {
                self.participants[index].sections_asked = None;
                self.negotiate_soon(index, now);
            }
            ConnectionMode::Dual => self.restart_subscriber(index, now),
        }
    }

    fn restart_subscriber(&mut self, index: usize, now: Instant) {
        let Some(connection) = self.participants[index].subscriber else { return };
        if self.connections[connection].failed {
            return;
        }
        let local = self.fresh_description(connection);
        self.restart_ice(connection, local, now);
        self.connections[connection].negotiation.abandon_offer();
        self.offer_to(index, connection, now);
    }

    /// A connection's description with new ICE credentials.
    fn fresh_description(&mut self, connection: usize) -> LocalDescription {
        let IceCredentials { ufrag, pwd } = IceCredentials::of_worker(self.config.worker, &mut self.rng);
        LocalDescription { ice_ufrag: ufrag, ice_pwd: pwd, ..self.connections[connection].local.clone() }
    }

    fn ask_for_offer(&mut self, index: usize, now: Instant) {
        let connection = self.participants[index].publisher;
        if self.connections[connection].failed {
            return;
        }
        let negotiation = &self.connections[connection].negotiation;
        let outgoing = self.outgoing(index);
        // Before its first offer the client needs no asking.
        if !negotiation.has_remote() || !negotiation.is_outdated(&outgoing) {
            return;
        }
        let missing = negotiation.missing_sections(&outgoing);
        let Participant { key, room, sections_asked, negotiated_at, .. } = &mut self.participants[index];
        let asked = sections_asked.unwrap_or(0);
        if sections_asked.is_some() && missing <= asked {
            return;
        }
        *sections_asked = Some(missing.max(asked));
        *negotiated_at = Some(now);
        let audio = missing.saturating_sub(asked);
        self.events.push_back((*room, Event::SectionsRequired { participant: *key, audio }));
    }

    /// The client's tracks are to be answered otherwise than they were: asks for a new offer, in either mode.
    pub(crate) fn ask_to_offer_again(&mut self, index: usize) {
        let Participant { key, room, publisher, .. } = self.participants[index];
        let connection = &self.connections[publisher];
        if !connection.failed && connection.negotiation.has_remote() {
            self.events.push_back((room, Event::SectionsRequired { participant: key, audio: 0 }));
        }
    }

    fn make_offer(&mut self, index: usize, now: Instant) {
        let Some(connection) = self.participants[index].subscriber else { return };
        let negotiation = &self.connections[connection].negotiation;
        if negotiation.has_remote() && !negotiation.is_outdated(&self.outgoing(index)) {
            return;
        }
        self.offer_to(index, connection, now);
    }

    fn offer_to(&mut self, index: usize, connection: usize, now: Instant) {
        let outgoing = self.outgoing(index);
        let peer = &mut self.connections[connection];
        if peer.failed {
            return;
        }
        // An offer that is still out is followed by the next one when its answer comes.
        let Ok(offered) = peer.negotiation.create_offer(&peer.local, &outgoing) else { return };
        let Participant { key, room, ref mut negotiated_at, .. } = self.participants[index];
        *negotiated_at = Some(now);
        let event = Event::SubscriberOffer { participant: key, sdp: offered.sdp, sending: offered.sending };
        self.events.push_back((room, event));
        self.contain(connection, |sfu| sfu.drive(connection, now));
    }

    fn known(&self, participant: ParticipantKey) -> Result<usize, NegotiationError> {
        self.participant_by_key
            .get(&participant)
            .copied()
            .ok_or(NegotiationError::UnknownParticipant(participant))
    }

    /// Everything that the participant has announced, in the order in which it did.
    fn incoming(&self, participant: usize) -> Vec<Incoming> {
        self.participants[participant]
            .publications
            .iter()
            .map(|&index| self.publications[index].incoming())
            .collect()
    }

    /// Everything that the participant is to hear.
    fn outgoing(&self, index: usize) -> Vec<Outgoing> {
        let participant = &self.participants[index];
        if !participant.may.subscribe {
            return Vec::new();
        }
        participant.wants.iter().filter_map(|track| self.outgoing_track(index, *track)).collect()
    }

    fn outgoing_track(&self, subscriber: usize, track: TrackKey) -> Option<Outgoing> {
        let publication = &self.publications[*self.publication_by_track.get(&track)?];
        let subscription = publication.subscriptions.of(subscriber)?;
        Some(Outgoing {
            track,
            ssrc: subscription.ssrc,
            stream_id: self.stream_id(publication),
            track_id: publication.spec.label.clone(),
            red: publication.is_red(),
            stereo: publication.spec.stereo,
        })
    }

    fn set_remote(&mut self, connection: usize, remote: &RemoteTransport, now: Instant) {
        // A peer that leaves the choice to us is the DTLS client: passive saves it a round trip.
        let role = match remote.setup {
            Setup::Passive => DtlsRole::Client,
            Setup::Active | Setup::ActPass => DtlsRole::Server,
        };
        let parameters = RemoteParameters {
            ufrag: remote.ice_ufrag.clone(),
            pwd: remote.ice_pwd.clone(),
            fingerprints: remote.fingerprints.clone(),
            role,
        };
        self.contain(connection, |sfu| {
            let transport = &mut sfu.connections[connection].transport;
            transport.set_remote(parameters, now);
            if remote.has_data_section {
                transport.enable_data();
            }
            for candidate in &remote.candidates {
                transport.add_remote_candidate(candidate);
            }
        });
    }

    fn restart_ice(&mut self, index: usize, local: LocalDescription, now: Instant) {
        debug!(connection = index, "ICE restarts");
        let connection = &mut self.connections[index];
        let credentials = IceCredentials { ufrag: local.ice_ufrag.clone(), pwd: local.ice_pwd.clone() };
        connection.ufrags.push(local.ice_ufrag.clone());
        // One generation back is enough: checks under way when the restart came.
        if connection.ufrags.len() > 2 {
            let forgotten = connection.ufrags.remove(0);
            self.connection_by_ufrag.remove(&forgotten);
        }
        self.connection_by_ufrag.insert(local.ice_ufrag.clone(), index);
        connection.local = local;
        self.contain(index, |sfu| sfu.connections[index].transport.restart_ice(credentials, now));
    }

    /// Ties the peer's streams to its publications. Returns those that have a section now and had none.
    fn bind_receiving(
        &mut self,
        participant: usize,
        connection: usize,
        sections: Vec<ReceiveSection>,
    ) -> Vec<(TrackKey, Mid, TrackFormat)> {
        let mut published = Vec::new();
        let mut streams = Vec::new();
        for section in sections {
            let Some(&index) = self.publication_by_track.get(&section.track) else { continue };
            streams.extend(section.ssrcs.iter().map(|&ssrc| (ssrc, index)));
            let (track, mid, format) = (section.track, section.mid.clone(), section.format());
            let before = self.publications[index].section.replace(section);
            if before.is_none() {
                published.push((track, mid, format));
            }
            if before.is_none_or(|before| before.format() != format) {
                self.announce_track(index);
            }
        }
        // Streams that were found by their MID are not in the description; they stay while their track does.
        let connection = &mut self.connections[connection];
        connection.streams.retain(|(ssrc, index)| {
            self.participants[participant].publications.contains(index)
                && streams.iter().all(|(known, _)| known != ssrc)
        });
        connection.streams.extend(streams);
        published
    }

    fn drop_publications(&mut self, participant: usize, dropped: &[TrackKey], now: Instant) {
        for track in dropped {
            let Some(&index) = self.publication_by_track.get(track) else { continue };
            self.participants[participant].publications.retain(|&other| other != index);
            self.retire(index, now);
        }
    }

    /// Ties what the participant hears to the sections agreed for it; what has none any more falls silent.
    fn bind_sending(
        &mut self,
        participant: usize,
        connection: usize,
        sections: &[SendSection],
    ) -> Vec<(Mid, TrackKey)> {
        let connected = self.connections[connection].is_connected();
        for track in self.participants[participant].wants.clone() {
            let Some(subscription) = self.subscription_mut(track, participant) else { continue };
            if subscription.connection != connection {
                continue;
            }
            match sections.iter().find(|section| section.track == track) {
                Some(section) => {
                    if subscription.bind(section, connected) && connected {
                        self.emit_subscribed(track, participant);
                    }
                }
                None => subscription.unbind(),
            }
        }
        sections.iter().map(|section| (section.mid.clone(), section.track)).collect()
    }
}

impl ReceiveSection {
    pub(crate) fn format(&self) -> TrackFormat {
        if self.red.is_some() { TrackFormat::Red } else { TrackFormat::Opus }
    }
}

impl From<crate::sdp::SdpError> for NegotiationError {
    fn from(error: crate::sdp::SdpError) -> Self {
        Self::Sdp(error.to_string())
    }
}
