//! Which grant a call needs. Whoever lacks it is not told what exists.

use banter_protocol::token::VideoGrant;

use super::Call;
use super::error::{Code, TwirpError};

impl Call {
    pub(super) fn may_create(&self) -> Result<(), TwirpError> {
        self.granted(|grant| grant.room_create)
    }

    pub(super) fn may_list(&self) -> Result<(), TwirpError> {
        self.granted(|grant| grant.room_list)
    }

    /// The token has to name the room.
    pub(super) fn may_administer(&self, room: &str) -> Result<(), TwirpError> {
        self.granted(|grant| grant.room_admin && grant.room == room)
    }

    /// The token has to name both rooms.
    pub(super) fn may_move(&self, room: &str, destination: &str) -> Result<(), TwirpError> {
        self.granted(|grant| grant.room_admin && grant.room == room && grant.destination_room == destination)
    }

    fn granted(&self, enough: impl FnOnce(&VideoGrant) -> bool) -> Result<(), TwirpError> {
        let grant = self.claims.as_ref().and_then(|claims| claims.video.as_ref());
        if grant.is_some_and(enough) {
            Ok(())
        } else {
            Err(TwirpError::new(Code::Unauthenticated, "permissions denied"))
        }
    }
}
