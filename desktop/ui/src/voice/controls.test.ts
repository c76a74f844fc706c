import { describe, expect, test } from "vitest";
import { type Controls, INITIAL_CONTROLS, toggleDeafen, toggleMute } from "./controls";

const MUTED: Controls = { deafened: false, muted: true };

describe("mute and deafen", () => {
  test("deafening mutes", () => {
    expect(toggleDeafen(INITIAL_CONTROLS)).toMatchObject({ deafened: true, muted: true });
  });

  test("undeafening opens the microphone that was open before", () => {
    expect(toggleDeafen(toggleDeafen(INITIAL_CONTROLS))).toEqual(INITIAL_CONTROLS);
  });

  test("undeafening leaves the microphone muted that was muted before", () => {
    expect(toggleDeafen(toggleDeafen(MUTED))).toEqual(MUTED);
  });

  test("unmuting while deafened undeafens, whatever was before", () => {
    expect(toggleMute(toggleDeafen(INITIAL_CONTROLS))).toEqual({ deafened: false, muted: false });
    expect(toggleMute(toggleDeafen(MUTED))).toEqual({ deafened: false, muted: false });
  });

  test("no sequence of clicks leaves somebody deafened and heard", () => {
    for (let clicks = 0; clicks < 2 ** 8; clicks += 1) {
      let controls = INITIAL_CONTROLS;
      for (let bit = 0; bit < 8; bit += 1)
        controls = clicks & (1 << bit) ? toggleMute(controls) : toggleDeafen(controls);
      expect(controls.deafened && !controls.muted).toBe(false);
    }
  });
});
