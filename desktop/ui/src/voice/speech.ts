/** A window of samples: root mean square and largest magnitude, both in [0, 1]. */
export type Level = { rms: number; peak: number };

/** Speech starts above this level … (dBFS, root mean square) */
const SPEECH_START = -48;
/** … and ends below this one, so that a level between the two does not flicker. */
const SPEECH_END = -54;
/** How long the ring outlives the last sound, in milliseconds: pauses between words are shorter. */
const HOLD = 250;
/** A microphone that has delivered nothing but zeros for this long, in milliseconds, is switched off somewhere. */
const SILENCE_LIMIT = 4_000;

/** Turns levels into "speaks" and "is quiet", at once on the way up and after a hold on the way down. */
export class SpeechDetector {
  #lastHeard: number | null = null;

  /** Takes the level at `now` (milliseconds, any origin) and says whether the person speaks. */
  hear(level: Level, now: number): boolean {
    const decibels = 20 * Math.log10(level.rms);
    if (decibels > (this.#lastHeard === null ? SPEECH_START : SPEECH_END)) this.#lastHeard = now;
    if (this.#lastHeard !== null && now - this.#lastHeard > HOLD) this.#lastHeard = null;
    return this.#lastHeard !== null;
  }
}

/**
 * Tells a quiet room (some noise is always there) from a microphone that is off. Once anything was heard the microphone
 * works, and zeros are the doing of a noise gate.
 */
export class SilenceWatch {
  #openSince: number | null = null;
  #works = false;

  hear(level: Level, now: number): boolean {
    this.#openSince ??= now;
    this.#works ||= level.peak > 0;
    return !this.#works && now - this.#openSince > SILENCE_LIMIT;
  }
}
