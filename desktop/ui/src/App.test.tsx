import { QueryClient } from "@tanstack/react-query";
import { act, render, screen, waitFor } from "@testing-library/react";
import { beforeEach, expect, test, vi } from "vitest";
import { App } from "./App";
import type { User } from "./api/client";
import { meQuery, rememberSignedIn } from "./api/session";
import { ScriptedVoice } from "./voice/scripted";

const { get } = vi.hoisted(() => ({ get: vi.fn() }));
vi.mock("openapi-fetch", () => ({ default: () => ({ GET: get, DELETE: vi.fn(), PATCH: vi.fn(), POST: vi.fn() }) }));

/** What a proxy says while the server behind it is started anew. */
const badGateway = () => ({ error: "", response: new Response("", { status: 502 }) });

const me: User = { id: "u1", username: "Ada", role: "member", created_at: 0 };

let queries: QueryClient;
let streams: Stream[];

class Stream extends EventTarget {
  static CLOSED = 2;
  readyState = 1;
  onerror?: () => void;
  constructor() {
    super();
    streams.push(this);
  }
  close() {}
}

beforeEach(() => {
  streams = [];
  vi.stubGlobal("EventSource", Stream);
  rememberSignedIn(true);
  queries = new QueryClient({ defaultOptions: { queries: { retry: false } } });
});

test("a call outlives a proxy that has nobody to ask", async () => {
  get.mockImplementation(async (path: string) => ({
    data: path === "/api/auth/me" ? me : [],
    response: Response.json({}),
  }));
  const voice = new ScriptedVoice({ call: { state: "reconnecting", channelId: "c1", since: Date.now() } });
  render(<App queries={queries} voice={voice} />);
  await screen.findByTestId("call-state");

  get.mockImplementation(async () => badGateway());
  const [stream] = streams;
  if (!stream) throw new Error("nobody follows the events");
  stream.readyState = Stream.CLOSED;
  act(() => stream.onerror?.());
  await waitFor(() => expect(queries.getQueryState(meQuery.queryKey)?.status).toBe("error"));

  expect(screen.getByTestId("call-state")).toBeTruthy();
  expect(voice.snapshot().call.state).toBe("reconnecting");
});
