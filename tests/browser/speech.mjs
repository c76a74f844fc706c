// Spoken test sounds, made on this machine, and the measure of how much a received sound is the one that was sent.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { RESULTS } from "./server.mjs";

export const RATE = 48_000;
/** Samples in one block of an envelope: 21 ms, what the ears in the page deliver at a time. */
export const BLOCK = 1024;
/** Seconds of one round of a sound, a whole number of blocks: first speech, then silence. Browsers play the file round and round. */
export const ROUND = 10.24;
/** Seconds of silence at the end of each round, at least, unless a voice has its own. */
export const PAUSE = 3;

const VOICES = {
  ada: {
    voice: "en-gb+f3",
    speed: 150,
    words: "Left side is clear. Two of them behind the wall! I am going around now, cover me, please.",
  },
  bob: {
    voice: "en-us+m3",
    speed: 120,
    words: "No. Wait. Hold the bridge until the others have come back; then, all together, we move.",
  },
  fox: {
    voice: "en-gb+m7",
    speed: 175,
    words: "Reloading. Anyone got a spare medkit? Mine is gone, gone, gone. Oh, and look up: the roof, the roof!",
  },
  // These two never stop, so that it can be told how soon they are heard.
  eve: {
    voice: "en-gb+f2",
    speed: 140,
    pause: 0,
    words:
      "Once the server is back we shall all meet in the same channel and go on from where we were, as if nothing had " +
      "happened to us on the way, and nobody will have to click on anything at all, so keep talking and do not stop.",
  },
  kit: {
    voice: "en-us+m1",
    speed: 165,
    pause: 0,
    words:
      "Ten green bottles hanging on the wall and if one green bottle should accidentally fall there will be nine green " +
      "bottles hanging on the wall, which goes on for as long as there are bottles left or people who listen to me sing.",
  },
};

/** The path of the WAV file in which `name` speaks: 48 kHz, mono, 16 bits, `ROUND` seconds. */
export function speech(name) {
  const folder = join(RESULTS, "speech");
  const path = join(folder, `${name}.wav`);
  if (existsSync(path)) return path;
  mkdirSync(folder, { recursive: true });
  const { voice, speed, words, pause = PAUSE } = VOICES[name];
  const raw = join(folder, `${name}.raw.wav`);
  execFileSync("espeak-ng", ["-v", voice, "-s", String(speed), "-w", raw, words]);
  const trimmed = ["rate", "-v", String(RATE), "silence", "1", "0.01", "0.1%", "trim", "0", String(ROUND - pause)];
  execFileSync("sox", [
    "-V1",
    raw,
    "-b",
    "16",
    "-c",
    "1",
    path,
    ...trimmed,
    "norm",
    "-3",
    "pad",
    "0",
    String(ROUND),
    "trim",
    "0",
    String(ROUND),
  ]);
  return path;
}

/** The loudness of each block of a WAV file that `speech` made. */
export function envelope(path) {
  const bytes = readFileSync(path);
  const data = bytes.indexOf("data", 12, "latin1") + 8;
  const samples = new Int16Array(
    bytes.buffer.slice(bytes.byteOffset + data, bytes.byteOffset + bytes.length - ((bytes.length - data) % 2)),
  );
  const blocks = [];
  for (let at = 0; at + BLOCK <= samples.length; at += BLOCK) {
    let sum = 0;
    for (let i = at; i < at + BLOCK; i++) sum += (samples[i] / 32768) ** 2;
    blocks.push(Math.sqrt(sum / BLOCK));
  }
  return blocks;
}

/**
 * How alike two envelopes are, -1 to 1: the best correlation that any shift of the endlessly repeated `sent` has with
 * `received`, in decibels, so that a gain control on the way changes nothing.
 */
export function likeness(received, sent) {
  const heard = decibels(received);
  const round = decibels(sent);
  let best = -1;
  for (let shift = 0; shift < round.length; shift++) {
    best = Math.max(
      best,
      correlation(heard, (i) => round[(i + shift) % round.length]),
    );
  }
  return best;
}

function decibels(envelope) {
  const loud = Math.max(...envelope, 1e-4);
  const levels = envelope.map((rms) => Math.max(20 * Math.log10(rms / loud + 1e-9), -40));
  return levels.map(
    (_, i) => (levels[Math.max(i - 1, 0)] + levels[i] + levels[Math.min(i + 1, levels.length - 1)]) / 3,
  );
}

function correlation(a, b) {
  let [sumA, sumB, sumAA, sumBB, sumAB] = [0, 0, 0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const x = a[i];
    const y = b(i);
    sumA += x;
    sumB += y;
    sumAA += x * x;
    sumBB += y * y;
    sumAB += x * y;
  }
  const spread = Math.sqrt((sumAA - (sumA * sumA) / a.length) * (sumBB - (sumB * sumB) / a.length));
  return spread === 0 ? 0 : (sumAB - (sumA * sumB) / a.length) / spread;
}
