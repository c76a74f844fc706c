import { expect, test } from "vitest";
import type { PathOutcome } from "../../voice/client";
import { type PathName, verdictOf } from "./verdict";

const works = (lost = 0): PathOutcome => ({ works: true, soundAfter: 300, roundTrip: 20, lost });
const fails = (stage: "signalling" | "media" | "sound"): PathOutcome => ({ works: false, stage, detail: "" });
const of = (outcomes: Partial<Record<PathName, PathOutcome>>) =>
  verdictOf(new Map(Object.entries(outcomes) as [PathName, PathOutcome][]));

test("one direct path is enough", () => {
  expect(of({ udp4: works(), udp6: fails("media"), tcp: fails("media") })).toBe("good");
});

test("without UDP voice takes a detour", () => {
  expect(of({ udp4: fails("media"), tcp: works(), "turn-udp": fails("media") })).toBe("detour");
});

test("loss counts on the path that a call would take", () => {
  expect(of({ udp4: works(0.2), udp6: works(0.01), tcp: works() })).toBe("good");
  expect(of({ udp4: works(0.2), tcp: works() })).toBe("lossy");
});

test("if nothing works, the stage says why", () => {
  expect(of({ udp4: fails("media"), tcp: fails("signalling") })).toBe("closed");
  expect(of({ udp4: fails("signalling"), tcp: fails("signalling") })).toBe("unreachable");
  expect(of({ udp4: fails("media"), tcp: fails("sound") })).toBe("silent");
  expect(of({})).toBe("closed");
});
