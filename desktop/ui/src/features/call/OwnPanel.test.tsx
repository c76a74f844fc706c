import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { Tooltip } from "radix-ui";
import { expect, test, vi } from "vitest";
import type { User } from "../../api/client";
import type { VoiceSnapshot } from "../../voice/client";
import { ScriptedVoice } from "../../voice/scripted";
import { OwnPanel } from "./OwnPanel";
import { useVoice, VoiceContext } from "./useVoice";

const me: User = { id: "u1", username: "Ann", role: "member", created_at: 0 };

test("deafening mutes too, and unmuting undoes both", async () => {
  const user = userEvent.setup();
  show({});
  await user.click(screen.getByRole("button", { name: "Deafen" }));
  expect(screen.getByRole("button", { name: "Undeafen" })).toBeTruthy();
  await user.click(screen.getByRole("button", { name: "Unmute" }));
  expect(screen.getByRole("button", { name: "Deafen" })).toBeTruthy();
  expect(screen.getByRole("button", { name: "Mute" })).toBeTruthy();
});

test("the microphone button asks a failed microphone again instead of muting", async () => {
  const user = userEvent.setup();
  const { voice } = show({ microphone: { state: "failed", problem: { code: "microphone_denied" } } });
  expect(screen.getByText("Listening only")).toBeTruthy();
  await user.click(screen.getByRole("button", { name: "Microphone unavailable: try again" }));
  expect(voice.snapshot().microphone.state).toBe("opening");
  expect(voice.snapshot().muted).toBe(false);
});

test("every control has a name and is reached by Tab in reading order", async () => {
  const user = userEvent.setup();
  show({});
  const names: (string | null | undefined)[] = [];
  for (let step = 0; step < 4; step += 1) {
    await user.tab();
    names.push(document.activeElement?.getAttribute("aria-label"));
  }
  expect(names).toEqual(["Mute", "Deafen", "Settings", "Sign out"]);
});

function show(snapshot: Partial<VoiceSnapshot>) {
  const voice = new ScriptedVoice(snapshot);
  render(
    <VoiceContext value={voice}>
      <Tooltip.Provider>
        <Panel voice={voice} />
      </Tooltip.Provider>
    </VoiceContext>,
  );
  return { voice };
}

function Panel({ voice }: { voice: ScriptedVoice }) {
  return (
    <OwnPanel
      me={me}
      voice={useVoice()}
      onToggleMute={() => voice.toggleMute()}
      onToggleDeafen={() => voice.toggleDeafen()}
      onRetryMicrophone={() => voice.retryMicrophone()}
      onSettings={vi.fn()}
      onSignOut={vi.fn()}
    />
  );
}
