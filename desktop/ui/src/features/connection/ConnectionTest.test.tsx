import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { render, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, test, vi } from "vitest";
import { type ScriptedPaths, ScriptedVoice } from "../../voice/scripted";
import { VoiceContext } from "../call/useVoice";
import { ConnectionTest } from "./ConnectionTest";
import type { PathName } from "./verdict";

const { post } = vi.hoisted(() => ({ post: vi.fn() }));
vi.mock("openapi-fetch", () => ({ default: () => ({ GET: vi.fn(), DELETE: vi.fn(), PATCH: vi.fn(), POST: post }) }));

beforeEach(() => post.mockReset());

test("each path says how it is, and all together what that means", async () => {
  offer(["udp4", "tcp"]);
  show({
    udp4: { works: false, stage: "media", detail: "could not establish PC connection" },
    tcp: { works: true, soundAfter: 412.4, roundTrip: 30.2, lost: 0.0123 },
  });
  await userEvent.click(screen.getByRole("button", { name: "Test connection" }));
  const list = await screen.findByRole("list", { name: "Paths to the server" });
  expect(within(list).getByTestId("path-udp4").textContent).toContain("does not get through");
  expect(within(list).getByTestId("path-tcp").textContent).toContain("30 ms, 1.2 % lost");
  expect((await screen.findByTestId("connection-test-verdict")).dataset.verdict).toBe("detour");
  expect(screen.getByRole("button", { name: "Test again" })).toBeTruthy();
});

test("a path that has not ended yet is waited for, and nothing is concluded", async () => {
  offer(["udp4", "tcp"]);
  show({ udp4: { works: true, soundAfter: 412.4, roundTrip: null, lost: 0 } });
  await userEvent.click(screen.getByRole("button", { name: "Test connection" }));
  expect((await screen.findByTestId("path-udp4")).textContent).toContain("sound after 412 ms");
  expect(screen.getByTestId("path-tcp").dataset.state).toBe("testing");
  expect(screen.queryByTestId("connection-test-verdict")).toBeNull();
});

test("a test that the server refuses says why", async () => {
  const error = { error: { code: "too_many_requests", message: "Wait.", retry_after_seconds: 7 } };
  post.mockResolvedValue({ error, response: Response.json(error, { status: 429 }) });
  show({});
  await userEvent.click(screen.getByRole("button", { name: "Test connection" }));
  expect((await screen.findByTestId("error")).dataset.code).toBe("too_many_requests");
});

function offer(paths: PathName[]) {
  const tests = paths.map((path) => ({ path, sender: "s", receiver: "r" }));
  const data = { wsUrl: "ws://here", serverTime: 0, paths: tests };
  post.mockResolvedValue({ data, response: Response.json(data) });
}

function show(paths: ScriptedPaths) {
  render(
    <QueryClientProvider client={new QueryClient()}>
      <VoiceContext value={new ScriptedVoice({}, paths)}>
        <ConnectionTest />
      </VoiceContext>
    </QueryClientProvider>,
  );
}
