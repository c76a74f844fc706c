// A participant on LiveKit's Node SDK. Commands come as JSON lines on standard input; what it is told and what it hears
// leave as JSON lines on standard output, among the SDK's own log lines. `node_participant.py` is the other end.
import { createInterface } from "node:readline";
import {
  AudioFrame,
  AudioSource,
  AudioStream,
  dispose,
  LocalAudioTrack,
  Room,
  RoomEvent,
  TrackPublishOptions,
  TrackSource,
} from "@livekit/rtc-node";
import { AccessToken } from "livekit-server-sdk";

const RATE = 48_000;
const FRAME = RATE / 50;
const AMPLITUDE = 0.25;

const room = new Room();
let source;
let track;
let speaking = false;

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const note = (what, who) => say({ kind: "notice", what, who });

const commands = {
  async join({ url, key, secret, room: name, identity, single }) {
    const token = new AccessToken(key, secret, { identity, name: identity });
    token.addGrant({ roomJoin: true, room: name });
    await room.connect(url, await token.toJwt(), {
      autoSubscribe: true,
      dynacast: false,
      singlePeerConnection: single,
    });
    room.localParticipant.registerRpcMethod("echo", async (call) => `${call.callerIdentity}: ${call.payload}`);
    for (const other of room.remoteParticipants.values()) note("joined", other.identity);
  },

  async speak({ hz }) {
    source = new AudioSource(RATE, 1, 100);
    track = LocalAudioTrack.createAudioTrack("microphone", source);
    const options = new TrackPublishOptions({ source: TrackSource.SOURCE_MICROPHONE });
    await room.localParticipant.publishTrack(track, options);
    speaking = true;
    play(hz).catch((error) => say({ kind: "error", error: String(error) }));
  },

  async hush() {
    speaking = false;
    await room.localParticipant.unpublishTrack(track.sid);
  },

  async data({ text, topic, reliable }) {
    await room.localParticipant.publishData(new TextEncoder().encode(text), { reliable, topic });
  },

  async leave() {
    speaking = false;
    await room.disconnect();
  },
};

async function play(hz) {
  const from = source;
  for (let position = 0; speaking && source === from; position += FRAME) {
    const samples = new Int16Array(FRAME);
    for (let i = 0; i < FRAME; i++) {
      samples[i] = AMPLITUDE * 32767 * Math.sin((2 * Math.PI * hz * (position + i)) / RATE);
    }
    await source.captureFrame(new AudioFrame(samples, RATE, 1, FRAME));
  }
}

async function listen(remote, identity) {
  const stream = new AudioStream(remote, { sampleRate: RATE, numChannels: 1, frameSizeMs: 20 });
  for await (const frame of stream) {
    const { buffer, byteOffset, byteLength } = frame.data;
    say({ kind: "heard", who: identity, pcm: Buffer.from(buffer, byteOffset, byteLength).toString("base64") });
  }
}

room
  .on(RoomEvent.ParticipantConnected, (other) => note("joined", other.identity))
  .on(RoomEvent.ParticipantDisconnected, (other) => note("left", other.identity))
  .on(RoomEvent.TrackMuted, (_, other) => note("muted", other.identity))
  .on(RoomEvent.TrackUnmuted, (_, other) => note("unmuted", other.identity))
  .on(RoomEvent.TrackUnpublished, (_, other) => note("unpublished", other.identity))
  .on(RoomEvent.DataReceived, (payload, other, _, topic) => {
    note("data", `${other?.identity} ${topic} ${new TextDecoder().decode(payload)}`);
  })
  .on(RoomEvent.Disconnected, (reason) => note("disconnected", String(reason)))
  .on(RoomEvent.ActiveSpeakersChanged, (speakers) => {
    note(
      "speaking",
      speakers
        .map((speaker) => speaker.identity)
        .sort()
        .join(" "),
    );
  })
  .on(RoomEvent.TrackSubscribed, (remote, _, other) => {
    note("subscribed", other.identity);
    listen(remote, other.identity).catch((error) => note("deaf", `${other.identity}: ${error}`));
  });

for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...given } = JSON.parse(line);
  try {
    await commands[command](given);
    say({ kind: "done", command });
  } catch (error) {
    say({ kind: "error", error: `${command}: ${error?.stack ?? error}` });
  }
}
await dispose();
process.exit(0);
