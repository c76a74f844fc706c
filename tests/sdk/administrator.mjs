// LiveKit's server API as `livekit-server-sdk` calls it, driven over pipes (see `lines.mjs`). Messages travel as proto3 JSON.
import { DataPacket_Kind, RoomServiceClient, TrackSource, WebhookReceiver } from "livekit-server-sdk";
import { serveLines } from "./lines.mjs";

const commands = {
  createRoom: (rooms, { name, ...options }) => rooms.createRoom({ name, ...options }),
  listRooms: (rooms, { names }) => rooms.listRooms(names),
  deleteRoom: (rooms, { room }) => rooms.deleteRoom(room),
  updateRoomMetadata: (rooms, { room, metadata }) => rooms.updateRoomMetadata(room, metadata),
  listParticipants: (rooms, { room }) => rooms.listParticipants(room),
  getParticipant: (rooms, { room, identity }) => rooms.getParticipant(room, identity),
  removeParticipant: (rooms, { room, identity }) => rooms.removeParticipant(room, identity),
  muteTrack: (rooms, { room, identity, track, muted }) => rooms.mutePublishedTrack(room, identity, track, muted),
  moveParticipant: (rooms, { room, identity, destination }) => rooms.moveParticipant(room, identity, destination),
  updateParticipant: (rooms, { room, identity, permission, ...changes }) => {
    const canPublishSources = permission?.canPublishSources?.map((name) => TrackSource[name]);
    const given = permission && { ...permission, ...(canPublishSources && { canPublishSources }) };
    return rooms.updateParticipant(room, identity, { ...changes, permission: given });
  },
  updateSubscriptions: (rooms, { room, identity, tracks, subscribe }) =>
    rooms.updateSubscriptions(room, identity, tracks, subscribe),
  sendData: (rooms, { room, payload, reliable, topic, to }) =>
    rooms.sendData(room, Buffer.from(payload, "base64"), reliable ? DataPacket_Kind.RELIABLE : DataPacket_Kind.LOSSY, {
      topic,
      destinationIdentities: to,
    }),
};

await serveLines(async ({ person, command, url, key, secret, ...given }) => {
  if (command === "receive") return new WebhookReceiver(key, secret).receive(given.body, given.authorization);
  try {
    const rooms = new RoomServiceClient(url, key, secret);
    return { answer: toJson(await commands[command](rooms, given)) };
  } catch (error) {
    if (error.code === undefined) throw error;
    return { code: error.code, message: error.message };
  }
});
process.exit(0);

function toJson(answer) {
  if (Array.isArray(answer)) return answer.map(toJson);
  return answer?.toJson?.() ?? null;
}
