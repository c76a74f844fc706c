import type { RemoteTrack } from "livekit-client";

/** The sound of the others: one audio element for each of their tracks, labelled with the person. */
export class Playback {
  #elements = new Map<string, HTMLAudioElement>();
  #muted = false;

  attach(key: string, userId: string, track: RemoteTrack) {
    this.detach(key);
    const element = document.createElement("audio");
    element.dataset.userId = userId;
    // livekit-client unmutes what it attaches, and everything in `startAudio`, which it also calls by itself.
    element.addEventListener("volumechange", () => {
      if (element.muted !== this.#muted) element.muted = this.#muted;
    });
    // Chromium feeds a remote track to nobody unless an element in the page plays it.
    document.body.append(element);
    track.attach(element);
    // The event comes too late for the first words.
    element.muted = this.#muted;
    this.#elements.set(key, element);
  }

  has(key: string): boolean {
    return this.#elements.has(key);
  }

  detach(key: string) {
    const element = this.#elements.get(key);
    if (!element) return;
    element.pause();
    element.srcObject = null;
    element.remove();
    this.#elements.delete(key);
  }

  clear() {
    for (const key of [...this.#elements.keys()]) this.detach(key);
  }

  setMuted(muted: boolean) {
    this.#muted = muted;
    for (const element of this.#elements.values()) element.muted = muted;
  }
}
