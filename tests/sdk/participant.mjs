// Participants on LiveKit's Node SDK, any number in one process, driven over its pipes (see `lines.mjs`). The argument says
// in chunks of how many milliseconds they hear.
import {
  AudioFrame,
  AudioSource,
  AudioStream,
  ConnectionQuality,
  ConnectionState,
  DisconnectReason,
  dispose,
  LocalAudioTrack,
  Room,
  RoomEvent,
  RpcError,
  SimulateScenarioKind,
  TrackPublishOptions,
  TrackSource,
} from "@livekit/rtc-node";
import { AccessToken } from "livekit-server-sdk";
import { encode, participant } from "./commands.mjs";
import { say, serveLines } from "./lines.mjs";

const RATE = 48_000;
const FRAME = RATE / 50;
const CHUNK_MS = Number(process.argv[2] ?? 20);
const AMPLITUDE = 0.25;

const people = new Map();

/** An access token as `livekit-server-sdk` makes it. */
function mint({ key, secret, identity, grants }) {
  const token = new AccessToken(key, secret, { identity, name: identity });
  token.addGrant(grants);
  return token.toJwt();
}

function tell(person, what, who, detail) {
  say({ person, kind: "notice", what, who, detail });
}

function sdkOf(person) {
  const microphones = new Set();
  return {
    RoomEvent,
    RpcError,
    microphones,
    reasons: DisconnectReason,
    quality: (quality) => ConnectionQuality[quality].replace("QUALITY_", "").toLowerCase(),
    scenarios: {
      "signal reconnect": SimulateScenarioKind.SIMULATE_SIGNAL_RECONNECT,
      "full reconnect": SimulateScenarioKind.SIMULATE_FULL_RECONNECT,
      "server leave": SimulateScenarioKind.SIMULATE_SERVER_LEAVE,
      "node failure": SimulateScenarioKind.SIMULATE_NODE_FAILURE,
      migration: SimulateScenarioKind.SIMULATE_MIGRATION,
      "disconnect on resume": SimulateScenarioKind.SIMULATE_DISCONNECT_SIGNAL_ON_RESUME,
      speakers: SimulateScenarioKind.SIMULATE_SPEAKER,
    },
    room: () => new Room(),
    connect: (room, url, token, { single, autoSubscribe }) =>
      room.connect(url, token, { autoSubscribe, dynacast: false, singlePeerConnection: single }),
    isConnected: (room) => room.connectionState === ConnectionState.CONN_CONNECTED,
    setMetadata: (me, metadata) => me.updateMetadata(metadata),
    setName: (me, name) => me.updateName(name),
    microphone: (hz) => new Microphone(hz, microphones),
    listen(track, who) {
      listen(person, track, who).catch((error) => tell(person, "deaf", who, String(error)));
    },
  };
}

/** Plays a sine of `hz`, or with 0 nothing at all. */
class Microphone {
  constructor(hz, all) {
    Object.assign(this, { hz, all });
    this.source = new AudioSource(RATE, 1, 100);
    all.add(this);
  }

  async publish(me, name) {
    const track = LocalAudioTrack.createAudioTrack(name, this.source);
    const options = new TrackPublishOptions({ source: TrackSource.SOURCE_MICROPHONE });
    this.sid = (await me.publishTrack(track, options)).sid;
    if (this.hz > 0) this.play().catch((error) => process.stderr.write(`${error}\n`));
    return this.sid;
  }

  unpublish(me) {
    return me.unpublishTrack(this.sid);
  }

  stop() {
    this.all.delete(this);
  }

  async play() {
    for (let position = 0; this.all.has(this); position += FRAME) {
      const samples = new Int16Array(FRAME);
      for (let i = 0; i < FRAME; i++) {
        samples[i] = AMPLITUDE * 32767 * Math.sin((2 * Math.PI * this.hz * (position + i)) / RATE);
      }
      await this.source.captureFrame(new AudioFrame(samples, RATE, 1, FRAME));
    }
  }
}

async function listen(person, track, who) {
  const stream = new AudioStream(track, { sampleRate: RATE, numChannels: 1, frameSizeMs: CHUNK_MS });
  for await (const frame of stream) {
    const { buffer, byteOffset, byteLength } = frame.data;
    say({ person, kind: "heard", who, pcm: encode(new Uint8Array(buffer, byteOffset, byteLength)) });
  }
}

await serveLines(async ({ person, command, ...given }) => {
  if (command === "token") return mint(given);
  if (!people.has(person))
    people.set(
      person,
      participant(sdkOf(person), (...note) => tell(person, ...note)),
    );
  const answer = await people.get(person)[command](given);
  if (command === "leave") people.delete(person);
  return answer;
});
await dispose();
process.exit(0);
