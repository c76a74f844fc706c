// Reads a webhook from the standard input and prints what livekit-server-sdk makes of it.
import { text } from "node:stream/consumers";
import { WebhookReceiver } from "livekit-server-sdk";

const { body, authorization } = JSON.parse(await text(process.stdin));
const event = await new WebhookReceiver("devkey", "secret").receive(body, authorization);
const { name, sid } = event.room ?? {};
process.stdout.write(
  JSON.stringify({ event: event.event, id: event.id, room: name, sid, identity: event.participant?.identity }),
);
