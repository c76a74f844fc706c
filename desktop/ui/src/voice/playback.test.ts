// @vitest-environment jsdom
import type { RemoteTrack } from "livekit-client";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Playback } from "./playback";

/** A track that unmutes its element, as those of livekit-client do. */
const track = {
  attach(element: HTMLMediaElement) {
    element.muted = false;
  },
} as unknown as RemoteTrack;

let playback: Playback;

beforeEach(() => {
  vi.spyOn(HTMLMediaElement.prototype, "pause").mockImplementation(() => undefined);
  playback = new Playback();
});
afterEach(() => playback.clear());

test("who is deafened does not hear those who come", () => {
  playback.setMuted(true);
  playback.attach("t1", "u1", track);
  expect(element().muted).toBe(true);
  playback.setMuted(false);
  expect(element().muted).toBe(false);
});

test("who is deafened stays so when livekit-client starts all sound", () => {
  playback.attach("t1", "u1", track);
  playback.setMuted(true);
  element().muted = false;
  element().dispatchEvent(new Event("volumechange"));
  expect(element().muted).toBe(true);
});

function element(): HTMLAudioElement {
  const found = document.querySelector<HTMLAudioElement>('audio[data-user-id="u1"]');
  if (!found) throw new Error("nothing plays");
  return found;
}
