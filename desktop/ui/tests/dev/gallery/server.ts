import type { ProblemCode } from "../../../src/api/problem";
import type { Scene } from "./scenes";

/** Answers the app's requests from the scene, in place of a server. */
export function playServer(scene: Scene) {
  window.fetch = async (input, init) => {
    const request = new Request(input, init);
    const { pathname } = new URL(request.url);
    const route = `${request.method} ${pathname}`;
    if (scene.never === route) return new Promise(() => undefined);
    const refusal = scene.refuse?.[route];
    if (refusal === "network") throw new TypeError("Failed to fetch");
    if (refusal) return refuse(refusal);
    switch (route) {
      case "GET /api/auth/me":
        return scene.me ? Response.json(scene.me) : refuse("unauthorized");
      case "GET /api/setup":
        return Response.json({ needed: scene.setupNeeded ?? false });
      case "GET /api/voice/channels":
        return Response.json(scene.channels ?? []);
      case "GET /api/users":
        return Response.json(scene.users ?? []);
      case "GET /api/bans":
        return Response.json(scene.bans ?? []);
      case "GET /api/audit-log":
        return Response.json({ entries: scene.log ?? [], next_before: null });
      case "POST /api/voice/connection-test": {
        const paths = Object.keys(scene.paths ?? {}).map((path) => ({ path, sender: "s", receiver: "r" }));
        return Response.json({ wsUrl: "ws://nowhere.invalid", serverTime: Date.now(), paths });
      }
      case "POST /api/invites":
        return Response.json({ ...INVITE, url: `${location.origin}/invite#${INVITE.code}` }, { status: 201 });
      case "GET /api/invites/CODE":
        return Response.json({ valid: true, expires_at: Date.now() + 86_400_000, uses_left: 3 });
      default:
        return refuse("not_found");
    }
  };

  window.EventSource = class extends EventSource {
    constructor() {
      // Nothing listens there, and nothing is asked: the scene says how the stream stands.
      super("data:,");
      this.close();
      queueMicrotask(() => (scene.streamLost ? this.onerror?.(new Event("error")) : this.onopen?.(new Event("open"))));
    }
  };
}

const INVITE = {
  id: "i1",
  code: "kq3vJw0yTtS5cWbMnz1f8A",
  max_uses: 10,
  uses: 0,
  expires_at: Date.now() + 604_800_000,
  created_by: "u1",
  created_at: Date.now(),
};

function refuse(code: ProblemCode): Response {
  return Response.json({ error: { code, message: "The server's own words about it." } }, { status: 400 });
}
