import { describe, expect, test } from "vitest";
import { type Level, SilenceWatch, SpeechDetector } from "./speech";

const SPEECH: Level = { rms: 0.1, peak: 0.4 };
const NOISE: Level = { rms: 0.0005, peak: 0.002 };
const ZERO: Level = { rms: 0, peak: 0 };

describe("speech detector", () => {
  test("lights with the first loud window", () => {
    const detector = new SpeechDetector();
    expect(detector.hear(NOISE, 0)).toBe(false);
    expect(detector.hear(SPEECH, 40)).toBe(true);
  });

  test("holds through a pause between words and ends within 300 ms of the last sound", () => {
    const detector = new SpeechDetector();
    detector.hear(SPEECH, 0);
    expect(detector.hear(NOISE, 200)).toBe(true);
    expect(detector.hear(NOISE, 300)).toBe(false);
  });

  test("does not flicker on a level that hovers around the threshold", () => {
    const detector = new SpeechDetector();
    detector.hear({ rms: 0.0045, peak: 0.01 }, 0);
    for (let now = 100; now < 2_000; now += 100) expect(detector.hear({ rms: 0.003, peak: 0.01 }, now)).toBe(true);
  });

  test("stays dark in a silence of zeros", () => {
    expect(new SpeechDetector().hear(ZERO, 0)).toBe(false);
  });
});

describe("silence watch", () => {
  test("takes zeros for a switched-off microphone after four seconds", () => {
    const watch = new SilenceWatch();
    expect(watch.hear(ZERO, 0)).toBe(false);
    expect(watch.hear(ZERO, 4_000)).toBe(false);
    expect(watch.hear(ZERO, 4_040)).toBe(true);
  });

  test("lets any noise pass for a working microphone, and zeros after it for a noise gate", () => {
    const watch = new SilenceWatch();
    watch.hear(ZERO, 0);
    watch.hear(NOISE, 3_000);
    expect(watch.hear(ZERO, 4_040)).toBe(false);
    expect(watch.hear(ZERO, 60_000)).toBe(false);
  });
});
