import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test, vi } from "vitest";
import type { VoiceSnapshot } from "../../voice/client";
import { ScriptedVoice } from "../../voice/scripted";
import { CallNotices } from "./CallNotices";

test("who was moved reads where to, and can put that away", async () => {
  const onDismissMove = show({ movedTo: "c2" }, "AFK");
  expect(screen.getByRole("status").textContent).toContain("A moderator moved you to AFK.");
  await userEvent.click(screen.getByRole("button", { name: "Dismiss" }));
  expect(onDismissMove).toHaveBeenCalledOnce();
});

test("a move to a channel that is not listed yet is told as well", () => {
  show({ movedTo: "c2" }, undefined);
  expect(screen.getByRole("status").textContent).toContain("A moderator moved you to another channel.");
});

test("a call that goes on where it began has no news", () => {
  show({}, "Lobby");
  expect(screen.queryByRole("status")).toBeNull();
});

test("what a moderator took away is told for as long as it lasts", () => {
  show({ serverMuted: true, serverDeafened: true }, "Lobby");
  expect(screen.getByTestId("server-muted").textContent).toContain("Nobody hears you");
  expect(screen.getByTestId("server-deafened").textContent).toContain("You hear nobody");
});

function show(snapshot: Partial<VoiceSnapshot>, channelName: string | undefined) {
  const onDismissMove = vi.fn();
  render(
    <CallNotices
      voice={new ScriptedVoice(snapshot).snapshot()}
      channelName={channelName}
      onEnableSound={vi.fn()}
      onRetryMicrophone={vi.fn()}
      onDismissMove={onDismissMove}
    />,
  );
  return onDismissMove;
}
