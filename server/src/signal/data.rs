//! Messages to a room's clients from other parts of the program.

use banter_sfu::transport::MAX_MESSAGE_SIZE;
use livekit_protocol::DataPacket;

use super::Rooms;

/// Why a message is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendDataError {
    #[error("requested room does not exist")]
    NoRoom,
    #[error(
        "the message is larger than {MAX_MESSAGE_SIZE} bytes with its topic and destinations; send it in parts"
    )]
    TooLong,
}

impl Rooms {
    /// Sends a packet in nobody's name to those named, or to everyone when nobody is. Repeats of a nonce are taken and not
    /// sent.
    pub async fn send_data(
        &self,
        room: &str,
        packet: DataPacket,
        destination_identities: Vec<String>,
    ) -> Result<(), SendDataError> {
        self.call(room, move |room, _| room.send_data(packet, destination_identities))
            .await
            .unwrap_or(Err(SendDataError::NoRoom))
    }
}
