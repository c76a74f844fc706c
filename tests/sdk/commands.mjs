// What a participant can be told to do and what it tells, the same over LiveKit's two JavaScript SDKs: `participant.mjs` runs
// this on Node, `browser/page/participant.mjs` in a page. `sdk` is where they differ. Bytes travel in base64.

/** The commands of one participant, who says what it notices with `note(what, who, detail)`. */
export function participant(sdk, note) {
  const { RoomEvent } = sdk;
  let room;
  let microphone;

  const me = () => room.localParticipant;
  const everybody = () => [...room.remoteParticipants.values()];
  const publications = (who) => [...who.trackPublications.values()];

  return {
    async join({ url, token, single, autoSubscribe = true }) {
      room = sdk.room({ single });
      watch();
      await sdk.connect(room, url, token, { single, autoSubscribe });
      for (const other of everybody()) note("joined", other.identity);
      for (const other of everybody())
        for (const one of publications(other)) note("published", other.identity, sidOf(one));
    },

    async leave() {
      await Promise.all([...sdk.microphones].map((one) => one.stop()));
      await room?.disconnect();
    },

    async speak({ hz }) {
      microphone = sdk.microphone(hz);
      return await microphone.publish(me(), "microphone");
    },

    async hush() {
      await microphone.stop();
      await microphone.unpublish(me());
    },

    mute: () => microphone.mute(true),
    unmute: () => microphone.mute(false),

    /** Publishes further tracks, all silent. */
    async publish({ count }) {
      for (let i = 0; i < count; i++) await sdk.microphone(0).publish(me(), `track ${i}`);
    },

    async publishData({ payload, reliable, topic, to }) {
      const options = { reliable, topic, destinationIdentities: to, destination_identities: to };
      await me().publishData(decode(payload), options);
    },

    sendText: async ({ text, topic, to }) => (await me().sendText(text, { topic, destinationIdentities: to })).id,

    async sendBytes({ payload, topic, to }) {
      const bytes = decode(payload);
      const options = { name: "bytes", topic, destinationIdentities: to, totalSize: bytes.length };
      const writer = await me().streamBytes(options);
      await writer.write(bytes);
      await writer.close();
    },

    async sendChat({ text }) {
      await me().sendChatMessage(text);
    },

    /** Takes part in text and byte streams of one topic. */
    takeStreams({ topic }) {
      room.registerTextStreamHandler(topic, async (reader, { identity }) => {
        note("text", identity, { topic, text: await reader.readAll() });
      });
      room.registerByteStreamHandler(topic, async (reader, { identity }) => {
        note("bytes", identity, { topic, payload: encode(joined(await reader.readAll())) });
      });
    },

    /** Answers calls of `method` with what came, also signed by whom it came from, or with an error. */
    answerRpc({ method, behaviour }) {
      me().registerRpcMethod(method, async ({ callerIdentity, payload }) => {
        note("called", callerIdentity, payload.length);
        if (behaviour === "refuse") throw new sdk.RpcError(101, "refused", "because");
        if (behaviour === "crash") throw new Error("a bare error");
        return behaviour === "sign" ? `${callerIdentity}: ${payload}` : payload;
      });
    },

    async callRpc({ to, method, payload, seconds }) {
      try {
        const given = { destinationIdentity: to, method, payload, responseTimeout: seconds * 1000 };
        return { payload: await me().performRpc(given) };
      } catch (error) {
        if (error.code === undefined) throw error;
        return { code: error.code, message: error.message, data: error.data };
      }
    },

    setMetadata: ({ metadata }) => sdk.setMetadata(me(), metadata),
    setName: ({ name }) => sdk.setName(me(), name),
    setAttributes: ({ attributes }) => me().setAttributes(attributes),

    /** Asks for, or no longer for, everything that `who` publishes. */
    subscribe({ who, wanted }) {
      for (const one of publications(room.remoteParticipants.get(who))) one.setSubscribed(wanted);
    },

    /** Lets everybody, or only `identities`, subscribe to what this participant publishes. */
    allow: ({ all, identities }) => sdk.allow(me(), all, identities),

    publishDataTrack: () => me().publishDataTrack({ name: "positions" }),

    simulate: ({ scenario }) => room.simulateScenario(sdk.scenarios[scenario]),

    /** What the SDK now holds to be true. */
    async snapshot() {
      return {
        connected: sdk.isConnected(room),
        sid: me().sid,
        name: me().name,
        metadata: me().metadata ?? "",
        attributes: me().attributes,
        tracks: publications(me()).map(sidOf),
        room: { sid: await room.getSid(), name: room.name, metadata: room.metadata ?? "" },
        others: Object.fromEntries(everybody().map((other) => [other.identity, describe(other)])),
      };
    },
  };

  function describe(other) {
    return {
      sid: other.sid,
      name: other.name,
      metadata: other.metadata ?? "",
      attributes: other.attributes,
      tracks: Object.fromEntries(
        publications(other).map((one) => [
          sidOf(one),
          { muted: Boolean(one.muted ?? one.isMuted), subscribed: Boolean(one.track), mime: one.mimeType ?? "" },
        ]),
      ),
    };
  }

  function watch() {
    const on = (event, work) => room.on(event, work);
    on(RoomEvent.ParticipantConnected, (other) => note("joined", other.identity));
    on(RoomEvent.ParticipantDisconnected, (other) => note("left", other.identity));
    on(RoomEvent.TrackPublished, (one, other) => note("published", other.identity, sidOf(one)));
    on(RoomEvent.TrackUnpublished, (one, other) => note("unpublished", other.identity, sidOf(one)));
    on(RoomEvent.TrackMuted, (one, other) => note("muted", other.identity, sidOf(one)));
    on(RoomEvent.TrackUnmuted, (one, other) => note("unmuted", other.identity, sidOf(one)));
    on(RoomEvent.LocalTrackUnpublished, (one) => note("dropped", me().identity, one && sidOf(one)));
    on(RoomEvent.TrackUnsubscribed, (_, one, other) => note("unsubscribed", other.identity, sidOf(one)));
    on(RoomEvent.TrackSubscribed, (track, one, other) => {
      note("subscribed", other.identity, sidOf(one));
      sdk.listen(track, other.identity);
    });
    on(RoomEvent.Reconnecting, () => note("reconnecting", ""));
    if (RoomEvent.SignalReconnecting) on(RoomEvent.SignalReconnecting, () => note("reconnecting", ""));
    on(RoomEvent.Reconnected, () => note("reconnected", ""));
    on(RoomEvent.Disconnected, (reason) => note("disconnected", sdk.reasons[reason] ?? String(reason)));
    on(RoomEvent.Moved, () => note("moved", ""));
    on(RoomEvent.RoomMetadataChanged, (metadata) => note("room metadata", "", metadata));
    on(RoomEvent.ParticipantMetadataChanged, (_, who) => note("metadata", who.identity));
    on(RoomEvent.ParticipantNameChanged, (name, who) => note("name", who.identity, name));
    on(RoomEvent.ParticipantAttributesChanged, (changed, who) => note("attributes", who.identity, changed));
    on(RoomEvent.ConnectionQualityChanged, (quality, who) => note("quality", who.identity, sdk.quality(quality)));
    on(RoomEvent.ActiveSpeakersChanged, (all) => note("speaking", names(all)));
    on(RoomEvent.ChatMessage, (message, who) => note("chat", who?.identity ?? "", message.message));
    on(RoomEvent.DataReceived, (payload, who, _, topic) =>
      note("data", who?.identity ?? "", { payload: encode(payload), topic: topic ?? "" }),
    );
    if (RoomEvent.TranscriptionReceived) {
      on(RoomEvent.TranscriptionReceived, (segments, who) => {
        for (const segment of segments) note("transcription", who?.identity ?? "", segment.text);
      });
    }
  }
}

/** One SDK calls it so, the other so. */
const sidOf = (publication) => publication.sid ?? publication.trackSid;

const names = (people) =>
  people
    .map((one) => one.identity)
    .sort()
    .join(" ");

function joined(chunks) {
  const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

const decode = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/** Base64 of bytes, in pieces that fit into one call. */
export function encode(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}
