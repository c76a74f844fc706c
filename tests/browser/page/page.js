// The least that a web page can do with livekit-client: join, speak, play what the others say.
const { Room, RoomEvent } = window.LivekitClient;

const voice = {
  room: undefined,
  /** Everything noticed: [time of day in ms, what, who]. */
  notices: [],

  async join(url, token, singlePeerConnection) {
    const room = new Room({ singlePeerConnection });
    voice.room = room;
    room
      .on(RoomEvent.ParticipantConnected, (other) => note("joined", other.identity))
      .on(RoomEvent.ParticipantDisconnected, (other) => note("left", other.identity))
      .on(RoomEvent.TrackMuted, (_, other) => note("muted", other.identity))
      .on(RoomEvent.TrackUnmuted, (_, other) => note("unmuted", other.identity))
      .on(RoomEvent.Reconnecting, () => note("reconnecting", ""))
      .on(RoomEvent.Disconnected, (reason) => note("disconnected", String(reason)))
      .on(RoomEvent.ActiveSpeakersChanged, (all) =>
        note(
          "speaking",
          all
            .map((one) => one.identity)
            .sort()
            .join(" "),
        ),
      )
      .on(RoomEvent.TrackSubscribed, (track, _, other) => {
        const element = track.attach();
        element.dataset.userId = other.identity;
        document.body.append(element);
        note("subscribed", other.identity);
      })
      .on(RoomEvent.TrackUnsubscribed, (track) => {
        for (const element of track.detach()) element.remove();
      });
    await room.connect(url, token);
  },

  speak: () => voice.room.localParticipant.setMicrophoneEnabled(true),
  mute: () => voice.room.localParticipant.setMicrophoneEnabled(false),
  leave: () => voice.room.disconnect(),
  present: () => [...voice.room.remoteParticipants.values()].map((other) => other.identity).sort(),
};
window.voice = voice;

function note(what, who) {
  voice.notices.push([Date.now(), what, who]);
}
