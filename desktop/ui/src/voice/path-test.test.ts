import { ConnectionError } from "livekit-client";
import { expect, test } from "vitest";
import { shareLost, stageOf } from "./path-test";

test("loss is a share of what was sent between two looks", () => {
  expect(shareLost({ received: 1, lost: 0 }, { received: 100, lost: 1 })).toBeCloseTo(0.01);
  expect(shareLost({ received: 5, lost: 3 }, { received: 105, lost: 2 })).toBe(0);
  expect(shareLost({ received: 5, lost: 3 }, { received: 5, lost: 3 })).toBe(1);
});

test("a closed path is told from a server that is not reached", () => {
  expect(stageOf(ConnectionError.internal("could not establish PC connection, timed out"))).toBe("media");
  expect(stageOf(ConnectionError.serverUnreachable("could not establish signal connection"))).toBe("signalling");
  expect(stageOf(new TypeError("Failed to fetch"))).toBe("signalling");
});
