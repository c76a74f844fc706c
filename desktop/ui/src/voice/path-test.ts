import { ConnectionError, ConnectionErrorReason, type RemoteTrack, Room, RoomEvent, Track } from "livekit-client";
import type { PathTest } from "../api/client";
import type { PathOutcome } from "./client";

/** Milliseconds: for each session to connect, for the first sound after that, and for which sound is counted. */
const PATIENCE = { connect: 8_000, sound: 4_000, measure: 2_000 };
const TONE_HZ = 440;
const POLL = 50;

/** Packets of a track so far. */
export type Count = { received: number; lost: number };

/**
 * Tries one path in a browser. The tokens are for a room of its own in which two sessions of ours meet, both connected by
 * this path or not at all: one sends a tone, the other has to receive it. No microphone is asked for.
 */
export async function testPath(wsUrl: string, { sender: from, receiver: to }: PathTest): Promise<PathOutcome> {
  const [sender, receiver] = [new Room(), new Room()];
  const began = performance.now();
  let tone: Tone | undefined;
  try {
    tone = startTone();
    const { track: sound } = tone;
    const heard = firstTrack(receiver);
    const options = { maxRetries: 0, peerConnectionTimeout: PATIENCE.connect, websocketTimeout: PATIENCE.connect };
    // One waits until the server has sent it a track: together they take no longer than one.
    const published = sender.connect(wsUrl, from, options).then(() => publish(sender, sound));
    await Promise.all([published, receiver.connect(wsUrl, to, options)]);
    const track = await within(heard, PATIENCE.sound);
    const first = track && (await untilReceived(track, PATIENCE.sound));
    if (!track || !first) return { works: false, stage: "sound", detail: "" };
    const soundAfter = performance.now() - began;
    await pause(PATIENCE.measure);
    const { count, roundTrip } = await look(track);
    return { works: true, soundAfter, roundTrip, lost: shareLost(first, count) };
  } catch (error) {
    return { works: false, stage: stageOf(error), detail: error instanceof Error ? error.message : String(error) };
  } finally {
    tone?.stop();
    void sender.disconnect();
    void receiver.disconnect();
  }
}

/** Of the packets between two looks, the share that did not come. Late ones may have made up for some. */
export function shareLost(before: Count, after: Count): number {
  const [received, lost] = [after.received - before.received, Math.max(0, after.lost - before.lost)];
  return received + lost > 0 ? lost / (received + lost) : 1;
}

/** Where it failed. livekit-client has one reason for several failures, which only the text tells apart. */
export function stageOf(error: unknown): "signalling" | "media" {
  const isMedia =
    error instanceof ConnectionError &&
    error.reason === ConnectionErrorReason.InternalError &&
    /PC connection/i.test(error.message);
  return isMedia ? "media" : "signalling";
}

async function publish(room: Room, track: MediaStreamTrack) {
  // Without pauses: an even tone is what silence suppression takes for noise.
  await room.localParticipant.publishTrack(track, { source: Track.Source.Microphone, dtx: false, red: false });
}

function firstTrack(room: Room): Promise<RemoteTrack> {
  return new Promise((resolve) => room.once(RoomEvent.TrackSubscribed, resolve));
}

type Tone = { track: MediaStreamTrack; stop: () => void };

function startTone(): Tone {
  const context = new AudioContext();
  const oscillator = new OscillatorNode(context, { frequency: TONE_HZ });
  const output = context.createMediaStreamDestination();
  oscillator.connect(output);
  oscillator.start();
  const [track] = output.stream.getAudioTracks();
  if (!track) throw new Error("a destination has a track");
  return { track, stop: () => void context.close() };
}

/** Waits for the first packet. */
async function untilReceived(track: RemoteTrack, patience: number): Promise<Count | null> {
  const end = performance.now() + patience;
  while (performance.now() < end) {
    const { count } = await look(track);
    if (count.received > 0) return count;
    await pause(POLL);
  }
  return null;
}

async function look(track: RemoteTrack): Promise<{ count: Count; roundTrip: number | null }> {
  const stats = await track.getRTCStatsReport();
  const count = { received: 0, lost: 0 };
  let roundTrip: number | null = null;
  for (const entry of stats?.values() ?? []) {
    if (entry.type === "inbound-rtp") {
      count.received = entry.packetsReceived ?? 0;
      count.lost = entry.packetsLost ?? 0;
    } else if (entry.type === "candidate-pair" && entry.nominated && entry.currentRoundTripTime !== undefined) {
      roundTrip = entry.currentRoundTripTime * 1000;
    }
  }
  return { count, roundTrip };
}

function within<T>(promise: Promise<T>, patience: number): Promise<T | null> {
  return Promise.race([promise, pause(patience).then(() => null)]);
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
