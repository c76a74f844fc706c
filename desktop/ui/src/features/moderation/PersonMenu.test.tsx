import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { fireEvent, render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { Tooltip } from "radix-ui";
import { beforeEach, expect, test, vi } from "vitest";
import type { ChannelWithParticipants, User } from "../../api/client";
import { PersonRow, type PersonState } from "../people/PersonRow";

const { get, patch, post } = vi.hoisted(() => ({ get: vi.fn(), patch: vi.fn(), post: vi.fn() }));
vi.mock("openapi-fetch", () => ({ default: () => ({ GET: get, PATCH: patch, POST: post, DELETE: vi.fn() }) }));

const USERS: User[] = [user("u1", "Ann", "moderator"), user("u2", "Ben", "member"), user("u3", "Cleo", "admin")];
const CHANNELS = [channel("c1", "Lobby", ["u2"]), channel("c2", "Duo", ["u4", "u5"], 2), channel("c3", "AFK")];
const ben: PersonState = {
  userId: "u2",
  name: "Ben",
  muted: false,
  deafened: false,
  speaking: false,
  serverMuted: false,
  serverDeafened: false,
  path: null,
};

beforeEach(() => {
  get.mockReset().mockImplementation(async (path: string) => {
    const data = path === "/api/voice/channels" ? CHANNELS : USERS;
    return { data, response: Response.json(data) };
  });
  patch.mockReset().mockResolvedValue({ data: {}, response: Response.json({}) });
  post.mockReset().mockResolvedValue({ data: {}, response: Response.json({}) });
});

test("a moderator mutes a member by keyboard alone", async () => {
  show("moderator", ben);
  const keys = userEvent.setup();
  (await screen.findByRole("button", { name: "Menu for Ben" })).focus();
  await keys.keyboard("{Enter}");
  await screen.findByRole("menuitem", { name: "Mute on this server" });
  await keys.keyboard("{Enter}");
  await waitFor(() => expect(patch).toHaveBeenCalledOnce());
  expect(patch.mock.calls[0]).toEqual([
    "/api/members/{id}/voice",
    { params: { path: { id: "u2" } }, body: { server_muted: true } },
  ]);
});

test("a right click opens the menu, and what is in force can be lifted", async () => {
  show("owner", { ...ben, serverMuted: true, serverDeafened: true });
  await screen.findByRole("button", { name: "Menu for Ben" });
  fireEvent.contextMenu(screen.getByText("Ben"));
  const items = within(await screen.findByRole("menu")).getAllByRole("menuitem");
  expect(items.map((item) => item.textContent)).toEqual([
    "Unmute on this server",
    "Undeafen on this server",
    "Move to …",
    "Disconnect",
    "Kick",
    "Ban",
  ]);
});

test("a moderator moves a member by keyboard alone, and past a full channel", async () => {
  show("moderator", ben);
  const keys = userEvent.setup();
  (await screen.findByRole("button", { name: "Menu for Ben" })).focus();
  await keys.keyboard("{Enter}");
  await screen.findByRole("menuitem", { name: "Move to …" });
  await keys.keyboard("{ArrowDown}{ArrowDown}{Enter}");
  const dialog = await screen.findByRole("dialog", { name: "Move Ben" });
  const choices = await within(dialog).findAllByRole<HTMLButtonElement>("radio");
  expect(choices.map((choice) => [choice.getAttribute("aria-label"), choice.disabled])).toEqual([
    ["Duo, 2 of 2 inside", true],
    ["AFK, 0 of 50 inside", false],
  ]);
  expect(within(dialog).getByRole<HTMLButtonElement>("button", { name: "Move" }).disabled).toBe(true);
  const [, afk] = choices;
  while (document.activeElement !== afk) await keys.tab();
  await keys.keyboard(" ");
  await keys.tab();
  await keys.keyboard("asleep{Enter}");
  await waitFor(() => expect(post).toHaveBeenCalledOnce());
  expect(post.mock.calls[0]).toEqual([
    "/api/members/{id}/move",
    { params: { path: { id: "u2" } }, body: { channelId: "c3", reason: "asleep" } },
  ]);
  await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
});

test("a move that is refused says why and can be tried elsewhere", async () => {
  const error = { error: { code: "channel_full", message: "The channel is full." } };
  post.mockResolvedValue({ error, response: Response.json(error, { status: 409 }) });
  show("moderator", ben);
  await userEvent.click(await screen.findByRole("button", { name: "Menu for Ben" }));
  await userEvent.click(await screen.findByRole("menuitem", { name: "Move to …" }));
  await userEvent.click(await screen.findByRole("radio", { name: /AFK/ }));
  await userEvent.click(screen.getByRole("button", { name: "Move" }));
  expect((await screen.findByTestId("error")).dataset.code).toBe("channel_full");
  expect(screen.getByRole<HTMLButtonElement>("button", { name: "Move" }).disabled).toBe(false);
});

test("a kick asks first, and takes a reason along", async () => {
  show("moderator", ben);
  await userEvent.click(await screen.findByRole("button", { name: "Menu for Ben" }));
  await userEvent.click(await screen.findByRole("menuitem", { name: "Kick" }));
  const dialog = await screen.findByRole("alertdialog", { name: "Kick Ben?" });
  await waitFor(() => expect(document.activeElement).toBe(within(dialog).getByRole("button", { name: "Cancel" })));
  expect(post).not.toHaveBeenCalled();
  await userEvent.type(within(dialog).getByLabelText(/Reason/), "spam");
  await userEvent.click(within(dialog).getByRole("button", { name: "Kick" }));
  await waitFor(() => expect(post).toHaveBeenCalledOnce());
  expect(post.mock.calls[0]).toEqual([
    "/api/members/{id}/kick",
    { params: { path: { id: "u2" } }, body: { reason: "spam" } },
  ]);
  await waitFor(() => expect(screen.queryByRole("alertdialog")).toBeNull());
});

test("who calls a dialog off by keyboard is back at the menu's button", async () => {
  show("moderator", ben);
  const button = await screen.findByRole("button", { name: "Menu for Ben" });
  for (const entry of ["Kick", "Move to …"]) {
    await userEvent.click(button);
    await userEvent.click(await screen.findByRole("menuitem", { name: entry }));
    await screen.findByRole(entry === "Kick" ? "alertdialog" : "dialog");
    await userEvent.keyboard("{Escape}");
    await waitFor(() => expect(document.activeElement).toBe(button));
  }
});

test("a ban asks for how long, and only admins for the network", async () => {
  show("admin", ben);
  await userEvent.click(await screen.findByRole("button", { name: "Menu for Ben" }));
  await userEvent.click(await screen.findByRole("menuitem", { name: "Ban" }));
  await userEvent.click(await screen.findByRole("radio", { name: "1 hour" }));
  await userEvent.click(screen.getByRole("checkbox", { name: /network/ }));
  await userEvent.click(screen.getByRole("button", { name: "Ban" }));
  await waitFor(() => expect(post).toHaveBeenCalledOnce());
  expect(post.mock.calls[0]?.[1]).toEqual({
    body: { user_id: "u2", include_address: true, reason: "", expires_in_seconds: 3600 },
  });
});

test("a moderator bans without the network", async () => {
  show("moderator", ben);
  await userEvent.click(await screen.findByRole("button", { name: "Menu for Ben" }));
  await userEvent.click(await screen.findByRole("menuitem", { name: "Ban" }));
  await screen.findByRole("alertdialog");
  expect(screen.queryByRole("checkbox")).toBeNull();
});

test.each([
  ["member", ben],
  ["moderator", { ...ben, userId: "u3", name: "Cleo" }],
  ["admin", { ...ben, userId: "u3", name: "Cleo" }],
  ["moderator", { ...ben, userId: "u1", name: "Ann" }],
] as const)("%s finds no menu on an equal, a higher one or themselves", async (role, person) => {
  show(role, person);
  await Promise.resolve();
  await waitFor(() => expect(get).toHaveBeenCalledTimes(role === "member" || person.userId === "u1" ? 0 : 1));
  expect(screen.queryByRole("button")).toBeNull();
});

test("what a moderator decided looks different from what somebody chose", () => {
  show("member", { ...ben, muted: true, serverMuted: true });
  expect(screen.getByRole("img", { name: "muted by a moderator" })).toBeTruthy();
  expect(screen.queryByRole("img", { name: "muted" })).toBeNull();
});

function show(role: User["role"], person: PersonState) {
  const queries = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  render(
    <QueryClientProvider client={queries}>
      <Tooltip.Provider>
        <ul>
          <PersonRow person={person} me={user("u1", "Ann", role)} />
        </ul>
      </Tooltip.Provider>
    </QueryClientProvider>,
  );
}

function channel(id: string, name: string, inside: string[] = [], max_participants = 50): ChannelWithParticipants {
  const rest = { description: null, position: 0, created_by: "u1", created_at: 0 };
  const decided = { server_muted: false, server_deafened: false };
  const state = { muted: false, deafened: false, speaking: false, path: null, ...decided };
  const participants = inside.map((user_id) => ({ user_id, name: user_id, joined_at: 0, ...state }));
  return { id, name, max_participants, participants, ...rest };
}

function user(id: string, username: string, role: User["role"]): User {
  return { id, username, role, created_at: 0 };
}
