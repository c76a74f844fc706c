import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { render, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { Tooltip } from "radix-ui";
import { expect, test, vi } from "vitest";
import type { ChannelWithParticipants, User } from "../../api/client";
import type { VoiceSnapshot } from "../../voice/client";
import { ScriptedVoice } from "../../voice/scripted";
import { VoiceContext } from "../call/useVoice";
import { ChannelItem } from "./ChannelItem";

const owner: User = { id: "u1", username: "Ann", role: "owner", created_at: 0 };
const member: User = { ...owner, role: "member" };

const lobby: ChannelWithParticipants = {
  id: "c1",
  name: "Lobby",
  description: null,
  max_participants: 2,
  position: 0,
  created_by: "u1",
  created_at: 0,
  participants: [
    {
      user_id: "u2",
      name: "Ben",
      joined_at: 1,
      muted: true,
      deafened: false,
      server_muted: false,
      server_deafened: false,
      speaking: false,
      path: { transport: "relay-tls", family: 4, rtt_ms: 48 },
    },
  ],
};

test("shows who is inside before one joins, with their state", () => {
  show(owner);
  const ben = within(screen.getByRole("list", { name: "People in Lobby" })).getByTestId("person-u2");
  expect(ben.dataset.muted).toBe("true");
  expect(within(ben).getByText("Ben").title).toBe("Relayed over TLS · 48 ms");
  expect(within(ben).getByRole("img", { name: "muted" })).toBeTruthy();
});

test("a click joins", async () => {
  const { voice } = show(member);
  await userEvent.click(screen.getByRole("button", { name: "Join Lobby, 1 of 2 inside" }));
  expect(voice.snapshot().call).toEqual({ state: "connecting", channelId: "c1" });
  expect(screen.getByTestId("channel-c1").getAttribute("aria-current")).toBe("true");
});

test("in one's own call the media connection tells who is there", () => {
  const cleo = { userId: "u3", name: "Cleo", muted: false, deafened: false, speaking: true };
  show(member, { call: { state: "connected", channelId: "c1" }, people: new Map([["u3", cleo]]) });
  expect(screen.queryByTestId("person-u2")).toBeNull();
  expect(screen.getByTestId("person-u3").dataset.speaking).toBe("true");
});

test("only those with the right see the channel's menu", () => {
  show(member);
  expect(screen.queryByRole("button", { name: "Channel menu for Lobby" })).toBeNull();
});

test("the menu opens, and edits, by keyboard alone", async () => {
  const user = userEvent.setup();
  const { onEdit } = show(owner);
  screen.getByRole("button", { name: "Channel menu for Lobby" }).focus();
  await user.keyboard("{Enter}");
  await screen.findByRole("menuitem", { name: "Edit channel" });
  await user.keyboard("{Enter}");
  expect(onEdit).toHaveBeenCalledOnce();
});

function show(me: User, snapshot: Partial<VoiceSnapshot> = {}) {
  const voice = new ScriptedVoice(snapshot);
  const onEdit = vi.fn();
  render(
    <QueryClientProvider client={new QueryClient()}>
      <VoiceContext value={voice}>
        <Tooltip.Provider>
          <ul>
            <ChannelItem channel={lobby} me={me} onEdit={onEdit} onDelete={vi.fn()} />
          </ul>
        </Tooltip.Provider>
      </VoiceContext>
    </QueryClientProvider>,
  );
  return { voice, onEdit };
}
