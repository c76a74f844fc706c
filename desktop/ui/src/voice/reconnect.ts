import type { ReconnectContext, ReconnectPolicy } from "livekit-client";

/** The first delays are short: mostly it was a moment's trouble, or a server that is started anew. */
const FIRST_DELAYS_MS = [0, 300, 700];
/** A restarted server is found within this time, and not by all at once. */
const SOON_MS = { least: 800, most: 1600 };
const SOON_LASTS_MS = 2 * 60_000;
const LATER_MS = { least: 4000, most: 6000 };
/** Whoever is away for longer will not take up a conversation where it was. */
const GIVE_UP_AFTER_MS = 10 * 60_000;

/** How a call tries to come back: more often and for longer than livekit-client does by itself. */
export class PatientReconnect implements ReconnectPolicy {
  readonly #random: () => number;

  /** `random` is for tests: 0 to 1, as `Math.random`. */
  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  nextRetryDelayInMs({ retryCount, elapsedMs }: ReconnectContext): number | null {
    if (elapsedMs > GIVE_UP_AFTER_MS) return null;
    const first = FIRST_DELAYS_MS[retryCount];
    if (first !== undefined) return first;
    const { least, most } = elapsedMs < SOON_LASTS_MS ? SOON_MS : LATER_MS;
    return least + this.#random() * (most - least);
  }
}
