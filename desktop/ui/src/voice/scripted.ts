import type { PathTest } from "../api/client";
import type { PathOutcome, VoiceClient, VoiceSnapshot } from "./client";
import { INITIAL_CONTROLS, toggleDeafen, toggleMute } from "./controls";

const QUIET: VoiceSnapshot = {
  call: { state: "idle" },
  muted: false,
  deafened: false,
  serverMuted: false,
  serverDeafened: false,
  microphone: { state: "off" },
  playbackBlocked: false,
  movedTo: null,
  people: new Map(),
};

/** What tests of paths come to; those that are not named never end. */
export type ScriptedPaths = Partial<Record<PathTest["path"], PathOutcome>>;

/** A body of the interface for tests and the gallery: a call that stands still, but for the switches. */
export class ScriptedVoice implements VoiceClient {
  #snapshot: VoiceSnapshot;
  #controls = INITIAL_CONTROLS;
  #listeners = new Set<() => void>();

  readonly #paths: ScriptedPaths;

  constructor(snapshot: Partial<VoiceSnapshot> = {}, paths: ScriptedPaths = {}) {
    this.#snapshot = { ...QUIET, ...snapshot };
    this.#paths = paths;
  }

  snapshot() {
    return this.#snapshot;
  }

  subscribe(listener: () => void) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  join(channelId: string) {
    this.#change({ call: { state: "connecting", channelId }, movedTo: null });
  }

  leave() {
    this.#change({ call: { state: "idle" }, movedTo: null, people: new Map() });
  }

  dismissMove() {
    this.#change({ movedTo: null });
  }

  toggleMute() {
    this.#controls = toggleMute(this.#controls);
    this.#change({ muted: this.#controls.muted, deafened: this.#controls.deafened });
  }

  toggleDeafen() {
    this.#controls = toggleDeafen(this.#controls);
    this.#change({ muted: this.#controls.muted, deafened: this.#controls.deafened });
  }

  retryMicrophone() {
    this.#change({ microphone: { state: "opening" } });
  }

  enablePlayback() {
    this.#change({ playbackBlocked: false });
  }

  testPath(_wsUrl: string, { path }: PathTest): Promise<PathOutcome> {
    const outcome = this.#paths[path];
    return outcome ? Promise.resolve(outcome) : new Promise(() => undefined);
  }

  #change(change: Partial<VoiceSnapshot>) {
    this.#snapshot = { ...this.#snapshot, ...change };
    for (const listener of this.#listeners) listener();
  }
}
