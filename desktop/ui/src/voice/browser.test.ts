import { beforeAll, describe, expect, test, vi } from "vitest";
import type { VoiceToken } from "../api/client";
import { ProblemError } from "../api/problem";
import { BrowserVoice } from "./browser";

beforeAll(() => {
  // Node has no audio; what sounds is the business of the browser tests.
  vi.stubGlobal(
    "AudioContext",
    class {
      state = "running";
    },
  );
});

describe("joining in a browser", () => {
  test("a refused ticket ends the call with the server's reason", async () => {
    const { voice, tickets } = start();
    voice.join("lobby");
    expect(voice.snapshot().call).toEqual({ state: "connecting", channelId: "lobby" });
    (await tickets.next()).refuse("channel_full");
    await vi.waitFor(() => expect(voice.snapshot().call.state).toBe("failed"));
    expect(voice.snapshot().call).toMatchObject({ channelId: "lobby", problem: { code: "channel_full" } });
  });

  test("of two clicks the later one counts, however the answers arrive", async () => {
    const { voice, tickets } = start();
    voice.join("lobby");
    const first = await tickets.next();
    voice.join("raid");
    (await tickets.next()).refuse("channel_full");
    await vi.waitFor(() => expect(voice.snapshot().call.state).toBe("failed"));
    first.refuse("channel_not_found");
    await settled();
    expect(voice.snapshot().call).toMatchObject({ channelId: "raid", problem: { code: "channel_full" } });
  });

  test("who leaves while joining has left", async () => {
    const { voice, tickets } = start();
    voice.join("lobby");
    const ticket = await tickets.next();
    voice.leave();
    ticket.refuse("internal");
    await settled();
    expect(voice.snapshot().call).toEqual({ state: "idle" });
  });

  test("a second click on the same channel asks for nothing", async () => {
    const { voice, tickets } = start();
    voice.join("lobby");
    await tickets.next();
    voice.join("lobby");
    await settled();
    expect(tickets.waiting()).toBe(0);
  });

  test("after a failure a click tries again, and dismissing forgets", async () => {
    const { voice, tickets } = start();
    voice.join("lobby");
    (await tickets.next()).refuse("internal");
    await vi.waitFor(() => expect(voice.snapshot().call.state).toBe("failed"));
    voice.join("lobby");
    (await tickets.next()).refuse("internal");
    await vi.waitFor(() => expect(voice.snapshot().call.state).toBe("failed"));
    voice.leave();
    expect(voice.snapshot().call).toEqual({ state: "idle" });
  });
});

test("a snapshot stays as it was; listeners learn of the next one until they stop", () => {
  const { voice } = start();
  const before = voice.snapshot();
  const listener = vi.fn();
  const stop = voice.subscribe(listener);
  voice.toggleDeafen();
  expect(before).toMatchObject({ muted: false, deafened: false });
  expect(voice.snapshot()).toMatchObject({ muted: true, deafened: true });
  stop();
  const calls = listener.mock.calls.length;
  voice.toggleDeafen();
  expect(calls).toBeGreaterThan(0);
  expect(listener).toHaveBeenCalledTimes(calls);
});

function start() {
  const tickets = new Tickets();
  return { tickets, voice: new BrowserVoice(() => tickets.request()) };
}

/** The ticket counter: each request waits until the test answers it. */
class Tickets {
  #waiting: { refuse: (code: "channel_full" | "channel_not_found" | "internal") => void }[] = [];

  request(): Promise<VoiceToken> {
    return new Promise((_, reject) => {
      this.#waiting.push({ refuse: (code) => reject(new ProblemError({ code })) });
    });
  }

  waiting(): number {
    return this.#waiting.length;
  }

  next() {
    return vi.waitFor(() => {
      const ticket = this.#waiting.shift();
      if (!ticket) throw new Error("no ticket has been asked for");
      return ticket;
    });
  }
}

/** Lets everything run that waits for nothing but its turn. */
function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}
