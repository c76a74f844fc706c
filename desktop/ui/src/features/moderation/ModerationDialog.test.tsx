import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { Tooltip } from "radix-ui";
import { beforeEach, expect, test, vi } from "vitest";
import type { User } from "../../api/client";
import { ModerationDialog } from "./ModerationDialog";
import type { AuditEntry, Ban } from "./useModeration";

const { get, del } = vi.hoisted(() => ({ get: vi.fn(), del: vi.fn() }));
vi.mock("openapi-fetch", () => ({ default: () => ({ GET: get, DELETE: del, PATCH: vi.fn(), POST: vi.fn() }) }));

const at = Date.UTC(2026, 0, 5, 20, 15);
const date = (time: number) => new Date(time).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });

let bans: Ban[];
let pages: { entries: AuditEntry[]; next_before: number | null }[];

beforeEach(() => {
  bans = [
    ban("b1", { username: "Ben", network: "203.0.113.7/32", reason: "Spam", expires_at: at }),
    ban("b2", { network: "2001:db8::/64" }),
  ];
  pages = [{ entries: [], next_before: null }];
  get.mockReset().mockImplementation(async (path: string, request?: { params: { query: { before?: number } } }) => {
    const page = request?.params.query.before === undefined ? 0 : 1;
    return answer(path === "/api/bans" ? bans : pages[page]);
  });
  del.mockReset().mockResolvedValue({ response: new Response(null, { status: 204 }) });
});

test("the bans say whom they keep out, for how long and why", async () => {
  show("moderator");
  const list = await screen.findByRole("list", { name: "Bans" });
  expect(within(list).getByText("Ben, 203.0.113.7/32")).toBeTruthy();
  expect(within(list).getByText(`Until ${date(at)} · Spam`)).toBeTruthy();
  expect(within(list).getByText("2001:db8::/64")).toBeTruthy();
  expect(within(list).getByText("For good")).toBeTruthy();
});

test("moderators neither lift bans nor read the log", async () => {
  show("moderator");
  await screen.findByRole("list", { name: "Bans" });
  expect(screen.queryByRole("button", { name: /Lift/ })).toBeNull();
  expect(screen.queryByRole("radio")).toBeNull();
});

test("an admin lifts a ban, and it goes from the list", async () => {
  show("admin");
  const lift = await screen.findByRole("button", { name: "Lift the ban of 2001:db8::/64" });
  bans = bans.slice(0, 1);
  await userEvent.click(lift);
  expect(del).toHaveBeenCalledExactlyOnceWith("/api/bans/{id}", { params: { path: { id: "b2" } } });
  await waitFor(() => expect(screen.queryByTestId("ban-b2")).toBeNull());
  expect(screen.getByTestId("ban-b1")).toBeTruthy();
});

test("a ban that cannot be lifted stays, and says why", async () => {
  const error = { error: { code: "forbidden", message: "No." } };
  del.mockResolvedValue({ error, response: Response.json(error, { status: 403 }) });
  show("admin");
  await userEvent.click(await screen.findByRole("button", { name: /Lift the ban of Ben/ }));
  expect((await screen.findByTestId("error")).dataset.code).toBe("forbidden");
  expect(screen.getByTestId("ban-b1")).toBeTruthy();
});

test("where nobody is banned it says so", async () => {
  bans = [];
  show("moderator");
  expect(await screen.findByText("Nobody is banned.")).toBeTruthy();
});

test.each<[string, Partial<AuditEntry> & Pick<AuditEntry, "action">]>([
  ["Ann muted Ben", { action: "server_mute" }],
  ["Ann unmuted Ben", { action: "server_unmute" }],
  ["Ann deafened Ben", { action: "server_deafen" }],
  ["Ann undeafened Ben", { action: "server_undeafen" }],
  [
    "Ann moved Ben from Lobby to AFK",
    {
      action: "move",
      details: { from_channel: { id: "c1", name: "Lobby" }, to_channel: { id: "c2", name: "AFK" } },
    },
  ],
  [
    "Ann moved Ben from a deleted channel to AFK",
    { action: "move", details: { to_channel: { id: "c2", name: "AFK" } } },
  ],
  ["Ann disconnected Ben", { action: "disconnect" }],
  ["The operator kicked Ben", { action: "kick", actor_id: null, actor_name: null }],
  ["Ann banned 2001:db8::/64", { action: "ban", target_name: null, details: { network: "2001:db8::/64" } }],
  ["Ann lifted the ban of Ben", { action: "unban" }],
])("the log says: %s", async (words, given) => {
  pages = [{ entries: [entry(1, given)], next_before: null }];
  await showLog();
  expect(await screen.findByText(words)).toBeTruthy();
});

test("an entry says when, for how long and why", async () => {
  const details = { network: "203.0.113.7/32", expires_at: at + 60_000 };
  pages = [{ entries: [entry(1, { action: "ban", reason: "Spam", details })], next_before: null }];
  await showLog();
  const more = `${date(at)} · 203.0.113.7/32 · Until ${date(at + 60_000)} · Spam`;
  expect(await screen.findByText(more)).toBeTruthy();
});

test("older entries come when they are asked for, below the newer ones", async () => {
  pages = [
    { entries: [entry(8, { action: "kick" })], next_before: 8 },
    { entries: [entry(7, { action: "disconnect" })], next_before: null },
  ];
  await showLog();
  await userEvent.click(await screen.findByRole("button", { name: "Show older ones" }));
  const list = screen.getByRole("list", { name: "Audit log" });
  await waitFor(() => expect(within(list).getAllByRole("listitem")).toHaveLength(2));
  const order = within(list).getAllByRole("listitem");
  expect(order.map((item) => item.dataset.testid)).toEqual(["audit-kick", "audit-disconnect"]);
  expect(screen.queryByRole("button", { name: "Show older ones" })).toBeNull();
});

test("an empty log says so", async () => {
  await showLog();
  expect(await screen.findByText("Nothing has happened yet.")).toBeTruthy();
});

function show(role: User["role"]) {
  const queries = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  const me: User = { id: "u1", username: "Ann", role, created_at: 0 };
  render(
    <QueryClientProvider client={queries}>
      <Tooltip.Provider>
        <ModerationDialog me={me} onClose={vi.fn()} />
      </Tooltip.Provider>
    </QueryClientProvider>,
  );
}

async function showLog() {
  show("admin");
  await userEvent.click(await screen.findByRole("radio", { name: "Audit log" }));
}

function answer(data: unknown) {
  return { data, response: Response.json(data) };
}

function ban(id: string, given: Partial<Ban>): Ban {
  const nobody = { user_id: null, username: null, network: null, reason: null, expires_at: null };
  return { id, ...nobody, created_by: "u1", created_by_name: "Ann", created_at: at, ...given };
}

function entry(id: number, given: Partial<AuditEntry> & Pick<AuditEntry, "action">): AuditEntry {
  const about = { actor_id: "u1", actor_name: "Ann", target_id: "u2", target_name: "Ben" };
  return { id, at, ...about, reason: null, details: {}, ...given };
}
