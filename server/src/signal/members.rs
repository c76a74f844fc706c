//! The people of this server in its calls: whoever comes with a token that Banter has issued is held against the list of
//! members at each join and resume, is in one call at a time, and is looked at again when a moderator has decided
//! something. Tokens that an operator's own backend signs have none of this.
//!
//! Credentials for a relay (TURN) belong to a session that was let in here: they are made with its join response and
//! carry its generation, so that they end with it.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use banter_protocol::token::{Claims, VideoGrant};
use banter_sfu::ParticipantKey;
use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, MutexGuard, mpsc};

use super::actor::{self, ToSocket};
use super::admin::AdminError;
use super::room::{Ending, JoinIntent, Now, Room};
use super::rooms::{JoinError, Rooms, Session};

/// What a member may do in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voice {
    pub may_speak: bool,
    pub may_listen: bool,
}

/// Why a member is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberRefusal {
    /// The text says why, and what to do about it.
    Excluded(String),
    /// It could not be found out.
    Unavailable,
}

/// Asked at each join and resume with a token that Banter has issued, and about running sessions when something has
/// changed: may this person be in a call, with a token of this generation, coming from this address?
pub trait MemberDirectory: Send + Sync {
    fn admit(
        &self,
        user: &str,
        generation: u64,
        from: Option<IpAddr>,
        now: SystemTime,
    ) -> BoxFuture<'_, Result<Voice, MemberRefusal>>;
}

/// What [`Rooms`] keeps about members.
pub(super) struct Members {
    /// Held while a person goes from one call to another, so that of two that they join at once one remains. Picked by
    /// hash: people who share one wait for each other, which does no harm.
    turns: [Mutex<()>; 64],
    /// Grows with every decision of a moderator, before anybody is looked at again. A join that sees it grow has itself
    /// looked at again, as it may have been let in by the state before.
    decisions: AtomicU64,
}

impl Members {
    pub(super) fn new() -> Self {
        Self { turns: std::array::from_fn(|_| Mutex::default()), decisions: AtomicU64::new(0) }
    }

    async fn turn(&self, user: &str) -> MutexGuard<'_, ()> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(user);
        let place = usize::try_from(hash % 64).expect("below 64");
        self.turns[place].lock().await
    }
}

impl Voice {
    /// The grant of a member's token, as far as moderators allow it.
    fn limit(self, grant: &VideoGrant) -> VideoGrant {
        VideoGrant {
            can_publish: Some(self.may_speak),
            // Speech is taken away, not the text and signs that clients send beside it.
            can_publish_data: Some(true),
            can_subscribe: Some(self.may_listen),
            ..grant.clone()
        }
    }
}

impl Rooms {
    /// Lets a participant into its room; members by turns, and out of the call in which they were before.
    pub(super) async fn join(
        &self,
        mut intent: JoinIntent,
    ) -> Result<(Session, mpsc::Receiver<ToSocket>), JoinError> {
        if !intent.claims.banter_channel {
            return self.enter(intent).await;
        }
        let (user, channel) = (intent.claims.identity().to_owned(), intent.grant.room.clone());
        let _turn = self.members().turn(&user).await;
        let decisions = self.members().decisions.load(Ordering::SeqCst);
        self.admit_member(&intent.claims, &mut intent.grant, intent.from).await?;
        // Known before the call ends in which the person is.
        self.has_place(&intent.claims, &intent.grant).await?;
        for other in self.channels_of(&user).into_iter().filter(|other| *other != channel) {
            self.end_in(&other, &user, Ending::DUPLICATE_IDENTITY).await;
        }
        let entered = self.enter(intent).await?;
        self.settle(&channel).await;
        if self.members().decisions.load(Ordering::SeqCst) != decisions {
            self.review_those(Some(&user)).await;
        }
        Ok(entered)
    }

    /// Whether a participant would get in, without letting it in.
    pub(super) async fn admits(&self, intent: &JoinIntent) -> Result<(), JoinError> {
        let mut grant = intent.grant.clone();
        self.admit_member(&intent.claims, &mut grant, intent.from).await?;
        self.has_place(&intent.claims, &grant).await
    }

    /// Whether the bearer of a token may be in a call at all, asked at each join and resume. For members the grant becomes
    /// what it is now: what moderators have decided counts, not what the token says.
    pub(super) async fn admit_member(
        &self,
        claims: &Claims,
        grant: &mut VideoGrant,
        from: Option<IpAddr>,
    ) -> Result<(), JoinError> {
        if !claims.banter_channel {
            return Ok(());
        }
        let now = actor::now().wall;
        match self.directory().admit(claims.identity(), claims.banter_generation, from, now).await {
            Ok(voice) => *grant = voice.limit(grant),
            Err(MemberRefusal::Excluded(why)) => return Err(JoinError::Excluded(why)),
            Err(MemberRefusal::Unavailable) => return Err(JoinError::MembersUnavailable),
        }
        Ok(())
    }

    /// Brings the calls of a person in line with what has been decided about them: it may end, or they may speak or listen
    /// no more, or again.
    pub async fn review(&self, user: &str) {
        self.members().decisions.fetch_add(1, Ordering::SeqCst);
        self.review_those(Some(user)).await;
    }

    /// The same for everyone.
    pub async fn review_all(&self) {
        self.members().decisions.fetch_add(1, Ordering::SeqCst);
        self.review_those(None).await;
    }

    /// Ends a member's call. False when they are in none.
    pub async fn disconnect(&self, user: &str) -> bool {
        let _turn = self.members().turn(user).await;
        let mut ended = false;
        for channel in self.channels_of(user) {
            ended |= self.end_in(&channel, user, Ending::REMOVED).await;
        }
        ended
    }

    /// Moves a member's call into another channel: the one in which they are ends, and their client comes back into the
    /// other. Answers with the channel that they were moved from; `None` when they are where they should be.
    pub async fn move_member(&self, user: &str, destination: &str) -> Result<Option<String>, AdminError> {
        let _turn = self.members().turn(user).await;
        let from = self.channel_of(user).await.ok_or(AdminError::NoParticipant)?;
        if from == destination {
            return Ok(None);
        }
        self.move_participant(&from, user, destination).await?;
        self.settle(&from).await;
        Ok(Some(from))
    }

    /// The channel in which a person is as a member.
    async fn channel_of(&self, user: &str) -> Option<String> {
        for channel in self.channels_of(user) {
            let wanted = user.to_owned();
            let is_inside =
                move |room: &mut Room, _| room.members().iter().any(|member| member.identity == wanted);
            if self.call(&channel, is_inside).await == Some(true) {
                return Some(channel);
            }
        }
        None
    }

    async fn review_those(&self, user: Option<&str>) {
        for room in self.open_rooms() {
            let Some(members) = self.call(&room, |room, _| room.members()).await else { continue };
            for member in members.into_iter().filter(|member| user.is_none_or(|user| user == member.identity))
            {
                let now = actor::now().wall;
                let judged =
                    self.directory().admit(&member.identity, member.generation, member.from, now).await;
                self.call(&room, move |room, now| carry_out(room, member.key, judged, now)).await;
            }
            self.settle(&room).await;
        }
    }

    /// Ends a member's session in one channel and waits until its presence is gone.
    async fn end_in(&self, channel: &str, user: &str, ending: Ending) -> bool {
        let user = user.to_owned();
        let ended = self.call(channel, move |room, now| {
            let member = room.members().into_iter().find(|member| member.identity == user);
            member.map(|member| room.remove(member.key, ending, now)).is_some()
        });
        let ended = ended.await.unwrap_or(false);
        self.settle(channel).await;
        ended
    }

    /// Waits until what a room has decided is carried out: its presence tells of it then.
    async fn settle(&self, room: &str) {
        self.call(room, |_, _| ()).await;
    }
}

fn carry_out(room: &mut Room, key: ParticipantKey, judged: Result<Voice, MemberRefusal>, now: Now) {
    match judged {
        Ok(voice) => {
            if let Some(grant) = room.grant(key).map(|grant| voice.limit(grant)) {
                room.set_grant(key, grant, now);
            }
        }
        Err(MemberRefusal::Excluded(_)) => room.remove(key, Ending::REMOVED, now),
        // Whoever is inside was let in; the next decision looks again.
        Err(MemberRefusal::Unavailable) => {}
    }
}
