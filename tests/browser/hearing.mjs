// What one person's ears say about another's speech.
import assert from "node:assert/strict";
import { BLOCK, envelope, likeness, RATE, speech } from "./speech.mjs";
import { pause, until } from "./wait.mjs";

/** Loudness above which a block counts as sound: -46 dB of full scale, far above codec noise, far below speech. */
const SOUND = 0.005;
const VOICES = ["ada", "bob", "fox"];
const enough = (seconds) => Math.floor((seconds * RATE) / BLOCK);

/** Waits until `listener` has heard sound from `who` since the time `since`; answers the time of day of the first. */
export function untilSound(listener, who, within = 15_000, since = 0) {
  return until(
    `${listener.voice} hears ${who}`,
    within,
    async () => (await listener.hearing(who, since)).find(([, rms]) => rms > SOUND)?.[0],
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

/**
 * Listens until eight seconds have the rhythm of the words of `voice`, and clearly of nobody else's. On a busy machine a
 * browser's microphone may stumble, so a piece that is torn is followed by another.
 */
export async function assertHearsSpeechOf(listener, who, voice) {
  await untilSound(listener, who);
  const since = Date.now();
  let scores = {};
  await until(
    `${listener.voice} hears the words of ${voice} from ${who}`,
    40_000,
    async () => {
      const blocks = (await listener.hearing(who, since)).slice(-enough(8));
      if (blocks.length < enough(8)) return false;
      scores = Object.fromEntries(VOICES.map((name) => [name, likeness(rms(blocks), envelope(speech(name)))]));
      const others = VOICES.filter((name) => name !== voice).map((name) => scores[name]);
      return scores[voice] > 0.7 && scores[voice] > Math.max(...others) + 0.15;
    },
    () => scores,
    500,
  );
  return scores[voice];
}

const rms = (blocks) => blocks.map(([, loudness]) => loudness);

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

/**
 * In the midst of speech `mute` must silence `who` within 200 ms, for three seconds in which there would be words, and
 * `unmute` must bring them back. Both answer the time of day at which they did it. The best of three tries counts, since
 * a busy machine is late by itself.
 */
export async function assertMuteSilences(listener, who, mute, unmute) {
  const delays = [];
  while (delays.length < 3 && !(Math.min(...delays) <= 200)) {
    await untilSpeechBegins(listener, who);
    const muted = await mute();
    await pause(3000);
    delays.push((await lastSound(listener, who)) - muted);
    const unmuted = await unmute();
    await until("there is sound again", 12_000, async () => (await lastSound(listener, who)) > unmuted);
  }
  console.log(`silent ${delays.join(", ")} ms after mute`);
  assert.ok(Math.min(...delays) <= 200, `still sound ${delays} ms after mute`);
}
