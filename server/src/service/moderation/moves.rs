//! Moving somebody's call into another channel.

use banter_protocol::rest::{
    AuditAction, AuditChannel, AuditDetails, ChannelId, MoveRequest, UnixMillis, User, UserId,
};

use super::{Moderation, ModerationError, Record, rank, reason};
use crate::signal::AdminError;
use crate::store::{self, StoreError};

impl Moderation {
    /// Moves a member's call into another channel. Who is there already stays, and nothing is recorded.
    pub async fn move_member(
        &self,
        caller: &User,
        target: UserId,
        request: MoveRequest,
        now: UnixMillis,
    ) -> Result<(), ModerationError> {
        let reason = reason(request.reason.as_deref())?;
        let (caller, id) = (caller.clone(), request.channel_id);
        let (actor, user, to) = self
            .database
            .read(move |tx| {
                let (actor, standing) = rank::pair(tx, &caller, &target)?;
                let to = store::channels::by_id(tx, &id)?.ok_or(ModerationError::UnknownChannel)?;
                Ok::<_, ModerationError>((actor, standing.member.user, to))
            })
            .await?;
        let moved = self.rooms.move_member(user.id.as_str(), to.id.as_str()).await;
        let Some(from) = moved.map_err(|error| refusal(error, &user))? else { return Ok(()) };
        self.database
            .write(move |tx| {
                let from = store::channels::by_id(tx, &ChannelId::new(from))?.map(AuditChannel::from);
                let details = AuditDetails {
                    from_channel: from,
                    to_channel: Some(to.into()),
                    ..AuditDetails::default()
                };
                let record =
                    Record { actor: Some(&actor), target: Some(&user), reason: reason.as_deref(), now };
                record.write(tx, AuditAction::Move, details)
            })
            .await
            .map_err(|error: StoreError| error.into())
    }
}

fn refusal(error: AdminError, user: &User) -> ModerationError {
    match error {
        // The end of the server is the end of the call.
        AdminError::NoParticipant | AdminError::ShuttingDown => {
            ModerationError::NotInVoice(user.username.clone())
        }
        AdminError::Full(text) => ModerationError::ChannelFull(text),
        // It was there a moment ago.
        AdminError::NoRoom
        | AdminError::ChannelsOnly
        | AdminError::NoTrack
        | AdminError::RemoteUnmute
        | AdminError::Invalid(_) => ModerationError::UnknownChannel,
    }
}
