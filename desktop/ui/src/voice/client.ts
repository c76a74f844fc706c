import type { PathTest } from "../api/client";
import type { Problem } from "../api/problem";

/** Where the call is. The fields are those that the state has. */
export type CallState =
  | { state: "idle" }
  | { state: "connecting"; channelId: string }
  | { state: "connected"; channelId: string }
  | { state: "reconnecting"; channelId: string; since: number }
  | { state: "failed"; channelId: string; problem: Problem };

export type MicrophoneState =
  | { state: "off" }
  | { state: "opening" }
  | { state: "live" }
  /** Open, but every sample is zero: a hardware switch, or muted by the system. */
  | { state: "silent" }
  | { state: "failed"; problem: Problem };

/** A person in the same call, as the media connection shows them. */
export type CallPerson = {
  userId: string;
  name: string;
  muted: boolean;
  deafened: boolean;
  speaking: boolean;
};

export type VoiceSnapshot = {
  call: CallState;
  /** What the person at this screen has chosen; it outlives a call. */
  muted: boolean;
  deafened: boolean;
  /** A moderator has taken the right to speak, or to listen, away for the time being. */
  serverMuted: boolean;
  serverDeafened: boolean;
  microphone: MicrophoneState;
  /** The browser refuses to play sound until the page is clicked. */
  playbackBlocked: boolean;
  /** The channel to which a moderator has taken the call, until the call is left or the news is put away. */
  movedTo: string | null;
  /** Everyone in the call including oneself, by user id; empty outside of calls. */
  people: ReadonlyMap<string, CallPerson>;
};

/** What a test of one path to the media server came to. */
export type PathOutcome =
  | {
      works: true;
      /** From the first word to the server until sound came, in milliseconds. */
      soundAfter: number;
      /** Milliseconds there and back; `null` where the body cannot tell. */
      roundTrip: number | null;
      /** Share of the packets that were lost on the way there and back, 0 to 1. */
      lost: number;
    }
  /** `signalling`: the server was not reached at all; `media`: this path leads nowhere; `sound`: it is open, and nothing comes. */
  | { works: false; stage: "signalling" | "media" | "sound"; detail: string };

/**
 * The one way in which the interface talks to voice. A snapshot is immutable: it is replaced when something changes, so
 * that comparing references is enough. No method throws; failures are part of the snapshot.
 */
export interface VoiceClient {
  snapshot(): VoiceSnapshot;
  /** Calls `listener` after each change; returns the way to stop. */
  subscribe(listener: () => void): () => void;
  /** Leaves the present call, then joins this one. Call it from a click: browsers tie sound to one. */
  join(channelId: string): void;
  /** Leaves the call, or dismisses the failure that ended it. */
  leave(): void;
  /** Puts away the news that a moderator has moved the call. */
  dismissMove(): void;
  toggleMute(): void;
  toggleDeafen(): void;
  /** Opens the microphone again after a failure. */
  retryMicrophone(): void;
  /** Starts playback that the browser has blocked. Call it from a click. */
  enablePlayback(): void;
  /** Sends sound to the server and back by one path, beside any call. Call it from a click. Settles within 15 seconds. */
  testPath(wsUrl: string, test: PathTest): Promise<PathOutcome>;
}

/** The channel that a call is about, if any. */
export function callChannel(call: CallState): string | null {
  return call.state === "idle" ? null : call.channelId;
}
