// A backend with livekit-server-sdk: it signs tokens, lists rooms, and is told by webhooks what happens in them.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";
import { AccessToken, RoomServiceClient, WebhookReceiver } from "livekit-server-sdk";

const url = process.env.LIVEKIT_URL ?? "ws://127.0.0.1:7880";
const key = process.env.LIVEKIT_API_KEY ?? "APIexample";
const secret = process.env.LIVEKIT_API_SECRET ?? "a-secret-of-at-least-thirty-two-letters";
const port = Number(process.env.PORT ?? 3000);

const rooms = new RoomServiceClient(url.replace(/^ws/, "http"), key, secret);
const webhooks = new WebhookReceiver(key, secret);
const events = [];

const routes = {
  "GET /": () => file(new URL("index.html", import.meta.url), "text/html"),
  "GET /livekit-client.js": () =>
    file(createRequire(import.meta.url).resolve("livekit-client"), "text/javascript"),

  "GET /token": async (_, query) => {
    const identity = query.get("identity");
    const token = new AccessToken(key, secret, { identity, name: identity });
    token.addGrant({ roomJoin: true, room: query.get("room") });
    return json({ url, token: await token.toJwt() });
  },

  "GET /rooms": async () => {
    const list = await rooms.listRooms();
    return json(list.map(({ name, numParticipants }) => ({ name, numParticipants })));
  },

  "POST /webhook": async (request) => {
    const event = await webhooks.receive(await text(request), request.headers.authorization);
    events.push([event.event, event.participant?.identity ?? event.room?.name]);
    return json({});
  },

  "GET /events": () => json(events),
};

const server = createServer(async (request, answer) => {
  const { pathname, searchParams } = new URL(request.url, "http://localhost");
  const route = routes[`${request.method} ${pathname}`];
  try {
    const [type, body] = route ? await route(request, searchParams) : ["text/plain", undefined];
    answer.writeHead(route ? 200 : 404, { "Content-Type": type }).end(body);
  } catch (error) {
    answer.writeHead(500, { "Content-Type": "text/plain" }).end(`${error}\n`);
  }
});
server.listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/`));

const json = (value) => ["application/json", JSON.stringify(value)];
const file = async (path, type) => [type, await readFile(path)];
