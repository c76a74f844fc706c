// What one person's ears say about another's speech.
import assert from "node:assert/strict";
import { BLOCK, envelope, likeness, RATE, speech } from "./speech.mjs";
import { until } from "./wait.mjs";

/** Loudness above which a block counts as sound: -46 dB of full scale, far above codec noise, far below speech. */
const SOUND = 0.005;
const VOICES = ["ada", "bob", "fox"];
const enough = (seconds) => Math.floor((seconds * RATE) / BLOCK);

/** Waits until `listener` has heard sound from `who`. */
export function untilSound(listener, who, within = 15_000) {
  return until(
    `${listener.voice} hears ${who}`,
    within,
    async () => (await listener.hearing(who)).some(([, rms]) => rms > SOUND),
    async () => ({
      loudest: Math.max(...(await listener.hearing(who)).map(([, rms]) => rms)),
      ...(await listener.received()),
    }),
  );
}

/** Everybody hears everybody else's words, and nobody has lost a packet. `id` says by what name a person is heard. */
export async function assertAllHearAll(people, id) {
  const pairs = people.flatMap((listener) =>
    people.filter((other) => other !== listener).map((other) => [listener, other]),
  );
  const scores = await Promise.all(
    pairs.map(([listener, other]) => assertHearsSpeechOf(listener, id(other), other.voice)),
  );
  for (const [i, [listener, other]] of pairs.entries()) {
    console.log(`${listener.voice} hears ${other.voice}: ${scores[i].toFixed(2)}`);
  }
  for (const person of people) {
    const { packets, lost, energy } = await person.received();
    assert.ok(packets > 500 && energy > 0.01, `${person.voice} received ${packets} packets, energy ${energy}`);
    assert.equal(lost, 0, `${person.voice} lost packets`);
  }
}

/** Listens for eight seconds: the words' rhythm must be that of `voice`, and clearly not that of anybody else. */
export async function assertHearsSpeechOf(listener, who, voice) {
  await untilSound(listener, who);
  const since = Date.now();
  const blocks = await until(
    `${listener.voice} has listened to ${who}`,
    15_000,
    async () => {
      const now = await listener.hearing(who, since);
      return now.length >= enough(8) && now;
    },
    async () => (await listener.hearing(who, since)).length,
  );
  const received = blocks.slice(0, enough(8)).map(([, rms]) => rms);
  const scores = Object.fromEntries(VOICES.map((name) => [name, likeness(received, envelope(speech(name)))]));
  const told = `${listener.voice} hears ${who} as ${JSON.stringify(scores)}`;
  const others = VOICES.filter((name) => name !== voice).map((name) => scores[name]);
  assert.ok(scores[voice] > 0.8, told);
  assert.ok(scores[voice] > Math.max(...others) + 0.1, told);
  return scores[voice];
}

/** Waits for the beginning of a round of speech: sound after at least 1.5 seconds without. */
export function untilSpeechBegins(listener, who, within = 25_000) {
  return until(`${who} begins to speak`, within, async () => {
    const blocks = await listener.hearing(who, Date.now() - 3000);
    const last = blocks.findLastIndex(([, rms]) => rms < SOUND);
    const quiet = blocks.slice(0, last + 1).findLastIndex(([, rms]) => rms >= SOUND);
    const begun = blocks.length - 1 - last;
    return last - quiet >= enough(1.5) && begun >= 3 && begun < enough(0.8);
  });
}

/** Time of day of the last sound that `listener` heard from `who`. */
export async function lastSound(listener, who) {
  return (await listener.hearing(who)).findLast(([, rms]) => rms > SOUND)?.[0] ?? 0;
}
