// A participant on livekit-client, in a page that is driven from outside. The microphone is an oscillator, and of what comes in
// the newest second is kept, sample by sample.
import { encode, participant } from "./commands.mjs";

const { ConnectionState, DisconnectReason, Room, RoomEvent, RpcError, Track } = window.LivekitClient;
const RATE = 48_000;
const BLOCK = 1024;
const AMPLITUDE = 0.25;

const context = new AudioContext({ sampleRate: RATE });
const ears = new Map();
const sdk = {
  RoomEvent,
  RpcError,
  microphones: new Set(),
  reasons: DisconnectReason,
  quality: String,
  scenarios: {
    "signal reconnect": "signal-reconnect",
    "full reconnect": "full-reconnect",
    "server leave": "server-leave",
    "node failure": "node-failure",
    migration: "migration",
    "disconnect on resume": "disconnect-signal-on-resume",
    speakers: "speaker",
  },
  room: ({ single }) => new Room({ singlePeerConnection: single }),
  connect: (room, url, token, { autoSubscribe }) => room.connect(url, token, { autoSubscribe }),
  isConnected: (room) => room.state === ConnectionState.Connected,
  setMetadata: (me, metadata) => me.setMetadata(metadata),
  setName: (me, name) => me.setName(name),
  allow: (me, all, identities) =>
    me.setTrackSubscriptionPermissions(
      all,
      identities.map((participantIdentity) => ({ participantIdentity, allowAll: true })),
    ),
  microphone: (hz) => new Microphone(hz),
  listen,
};

const commands = participant(sdk, (what, who, detail) => window.tell({ kind: "notice", what, who, detail }));

/** The newest half second heard from `who`, as 16-bit samples. */
commands.hear = ({ who }) => {
  const samples = ears.get(who) ?? new Float32Array();
  return encode(new Uint8Array(Int16Array.from(samples, (sample) => sample * 32767).buffer));
};
window.commands = commands;

class Microphone {
  constructor(hz) {
    this.tone = new OscillatorNode(context, { frequency: hz });
    const gain = new GainNode(context, { gain: hz > 0 ? AMPLITUDE : 0 });
    const out = new MediaStreamAudioDestinationNode(context, { channelCount: 1 });
    this.tone.connect(gain).connect(out);
    [this.track] = out.stream.getAudioTracks();
    sdk.microphones.add(this);
  }

  async publish(me, name) {
    await context.resume();
    this.tone.start();
    this.publication = await me.publishTrack(this.track, { name, source: Track.Source.Microphone });
    return this.publication.trackSid;
  }

  unpublish(me) {
    return me.unpublishTrack(this.track);
  }

  mute(muted) {
    return muted ? this.publication.mute() : this.publication.unmute();
  }

  stop() {
    sdk.microphones.delete(this);
  }
}

function listen(track, who) {
  // Only what plays in an element is decoded.
  document.body.append(track.attach());
  context.resume();
  const source = new MediaStreamAudioSourceNode(context, { mediaStream: new MediaStream([track.mediaStreamTrack]) });
  const tap = context.createScriptProcessor(BLOCK, 1, 1);
  let heard = new Float32Array();
  ears.set(who, heard);
  tap.onaudioprocess = ({ inputBuffer }) => {
    const kept = heard.slice(Math.max(0, heard.length + BLOCK - RATE / 2));
    const next = new Float32Array(kept.length + BLOCK);
    next.set(kept);
    next.set(inputBuffer.getChannelData(0), kept.length);
    heard = next;
    ears.set(who, heard);
  };
  track.mediaStreamTrack.addEventListener("ended", () => ears.delete(who));
  source.connect(tap).connect(context.destination);
  keep.push(source, tap);
}

// Nodes that nothing refers to are collected while they work.
const keep = [];
