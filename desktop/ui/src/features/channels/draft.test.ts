import { expect, test } from "vitest";
import { formErrors } from "./draft";

const GOOD = { name: "Lobby", description: "", maxParticipants: "50", position: "0" };

test.each([
  ["a plain channel", {}, {}],
  ["position zero and the smallest size", { position: "0", maxParticipants: "2" }, {}],
  ["a name of blanks", { name: "   " }, { name: "missing" }],
  ["a name of 101 characters", { name: "x".repeat(101) }, { name: "too_long" }],
  ["a name of 100 emoji, which are 200 UTF-16 units", { name: "🎧".repeat(100) }, {}],
  ["a description of 501 characters", { description: "x".repeat(501) }, { description: "too_long" }],
  ["one place", { maxParticipants: "1" }, { maxParticipants: "out_of_range" }],
  ["101 places", { maxParticipants: "101" }, { maxParticipants: "out_of_range" }],
  ["half a place", { maxParticipants: "2.5" }, { maxParticipants: "out_of_range" }],
  ["no position", { position: "" }, { position: "out_of_range" }],
])("%s", (_, change, errors) => {
  expect(formErrors({ ...GOOD, ...change })).toEqual(errors);
});
