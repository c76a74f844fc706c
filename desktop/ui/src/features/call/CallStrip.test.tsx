import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { Tooltip } from "radix-ui";
import { expect, test, vi } from "vitest";
import type { MediaPath } from "../../api/client";
import type { CallState } from "../../voice/client";
import { CallStrip } from "./CallStrip";

test("a failed call says why, offers another try and can be put away", async () => {
  const { onLeave, onRetry } = show({ state: "failed", channelId: "c1", problem: { code: "channel_full" } });
  expect(screen.getByTestId("error").dataset.code).toBe("channel_full");
  expect(screen.getByText("This channel is full.")).toBeTruthy();
  await userEvent.click(screen.getByRole("button", { name: "Try again" }));
  expect(onRetry).toHaveBeenCalledWith("c1");
  await userEvent.click(screen.getByRole("button", { name: "Dismiss" }));
  expect(onLeave).toHaveBeenCalledOnce();
});

test("a call for which there is no way offers to look for one", async () => {
  const { onTest } = show({ state: "failed", channelId: "c1", problem: { code: "no_route" } });
  await userEvent.click(screen.getByRole("button", { name: "Test connection" }));
  expect(onTest).toHaveBeenCalledOnce();
});

test("a channel that is gone is not offered again", () => {
  show({ state: "failed", channelId: "c1", problem: { code: "channel_deleted" } });
  expect(screen.queryByRole("button", { name: "Try again" })).toBeNull();
});

test("a reconnecting call counts the seconds and can be left", async () => {
  const { onLeave } = show({ state: "reconnecting", channelId: "c1", since: Date.now() - 4_200 });
  expect(screen.getByText("Reconnecting (4 s)")).toBeTruthy();
  await userEvent.click(screen.getByTestId("call-leave"));
  expect(onLeave).toHaveBeenCalledOnce();
});

test.each([
  { state: "idle" },
  { state: "connecting", channelId: "c1" },
  { state: "connected", channelId: "c1" },
] satisfies CallState[])("the state $state is there for tests and screen readers", (call) => {
  show(call);
  const strip = screen.getByRole("status");
  expect(strip.dataset.state).toBe(call.state);
  expect(strip.textContent).not.toBe("");
});

test("a call says by what it goes, and how long that takes, once it is known", () => {
  show({ state: "connected", channelId: "c1" }, { transport: "tcp", family: 4, rtt_ms: null });
  expect(screen.getByText("Voice connected")).toBeTruthy();
  expect(screen.getByTestId("call-path").textContent).toBe("TCP");
});

test("a relayed call says so", () => {
  show({ state: "connected", channelId: "c1" }, { transport: "relay-tls", family: 6, rtt_ms: 48 });
  expect(screen.getByText("Relayed")).toBeTruthy();
  expect(screen.getByTestId("call-path").textContent).toBe("over TLS · 48 ms");
});

function show(call: CallState, path: MediaPath | null = null) {
  const handlers = { onLeave: vi.fn(), onRetry: vi.fn(), onTest: vi.fn() };
  render(
    <Tooltip.Provider>
      <CallStrip call={call} channelName="Lobby" path={path} {...handlers} />
    </Tooltip.Provider>,
  );
  return handlers;
}
