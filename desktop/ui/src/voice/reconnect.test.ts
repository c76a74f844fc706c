import { expect, test } from "vitest";
import { PatientReconnect } from "./reconnect";

const delay = (retryCount: number, elapsedMs: number, random = 0.5) =>
  new PatientReconnect(() => random).nextRetryDelayInMs({ retryCount, elapsedMs });

test("the first attempt is made at once", () => {
  expect(delay(0, 0)).toBe(0);
});

test("a server that is back within minutes is found within two seconds", () => {
  for (let retryCount = 1; retryCount < 100; retryCount++) {
    for (const random of [0, 1]) expect(delay(retryCount, 60_000, random)).toBeLessThanOrEqual(2000);
  }
});

test("attempts become rarer and end", () => {
  expect(delay(200, 3 * 60_000)).toBeGreaterThanOrEqual(4000);
  expect(delay(300, 11 * 60_000)).toBeNull();
});
