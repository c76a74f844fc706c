import { RoomEvent, Track } from "livekit-client";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { BrowserVoice } from "./browser";

type SilentRoom = {
  emit: (event: RoomEvent, value?: unknown) => void;
  name: string;
  remoteParticipants: Map<string, object>;
  localParticipant: { attributes: Record<string, string>; permissions: { canPublish: boolean; canSubscribe: boolean } };
  connect: (room: string) => Promise<void>;
  disconnect: () => Promise<void>;
};

const opened: SilentRoom[] = vi.hoisted(() => []);
/** What happens while a room is being joined. */
const joining = vi.hoisted(() => vi.fn<(room: SilentRoom) => void>());

/** As much of livekit-client's room as a call without a microphone touches. */
vi.mock("livekit-client", async (original) => {
  class Room implements SilentRoom {
    name = "";
    remoteParticipants = new Map();
    localParticipant = {
      isLocal: true,
      identity: "u1",
      attributes: {} as Record<string, string>,
      permissions: { canPublish: false, canSubscribe: true },
      setAttributes: async (attributes: Record<string, string>) => {
        Object.assign(this.localParticipant.attributes, attributes);
      },
    };
    disconnect = vi.fn(async () => undefined);
    #handlers = new Map<RoomEvent, (value: unknown) => void>();

    constructor() {
      opened.push(this);
    }

    on(event: RoomEvent, handler: (value: unknown) => void) {
      this.#handlers.set(event, handler);
      return this;
    }

    emit(event: RoomEvent, value?: unknown) {
      this.#handlers.get(event)?.(value);
    }

    async connect(room: string) {
      this.name = room;
      joining(this);
    }
  }
  return { ...(await original<typeof import("livekit-client")>()), Room };
});

/** What is played, by track and person. */
const playing = vi.hoisted(() => new Map<string, string>());

vi.mock("./playback", () => ({
  Playback: class {
    attach = (key: string, userId: string) => playing.set(key, userId);
    has = (key: string) => playing.has(key);
    detach = (key: string) => playing.delete(key);
    clear = () => playing.clear();
    setMuted() {}
  },
}));

vi.mock("./meters", () => ({
  Meters: class {
    resume() {}
    watch() {}
    unwatch() {}
    clear() {}
  },
}));

beforeEach(() => {
  opened.length = 0;
  playing.clear();
});

afterEach(() => {
  vi.useRealTimers();
});

test("a moved call is about the other channel at once, and connected when it is there", async () => {
  const { voice, room } = await inLobby();
  move(room, "afk");
  expect(voice.snapshot()).toMatchObject({ call: { state: "reconnecting", channelId: "afk" }, movedTo: "afk" });
  room.emit(RoomEvent.Reconnected);
  expect(voice.snapshot()).toMatchObject({ call: { state: "connected", channelId: "afk" }, movedTo: "afk" });
  expect(room.disconnect).not.toHaveBeenCalled();
});

test("mute and deafen go along, and the others there are told", async () => {
  const { voice, room } = await inLobby();
  voice.toggleDeafen();
  await vi.waitFor(() => expect(room.localParticipant.attributes.deafened).toBe("true"));
  move(room, "afk");
  room.emit(RoomEvent.Reconnected);
  expect(voice.snapshot()).toMatchObject({ muted: true, deafened: true });
  await vi.waitFor(() => expect(room.localParticipant.attributes.deafened).toBe("true"));
});

test("who joins while livekit-client keeps its events to itself is heard all the same", async () => {
  const { voice, room } = await inLobby();
  vi.useFakeTimers();
  move(room, "afk");
  room.emit(RoomEvent.Reconnected);
  vi.advanceTimersByTime(1_000);
  const publication = { trackSid: "TR_1", track: { kind: Track.Kind.Audio } };
  const ben = { identity: "u2", attributes: {}, audioTrackPublications: new Map([["TR_1", publication]]) };
  room.remoteParticipants.set("u2", ben);
  room.localParticipant.permissions = { canPublish: false, canSubscribe: false };
  vi.advanceTimersByTime(250);
  expect([...playing]).toEqual([["TR_1", "u2"]]);
  expect(voice.snapshot().people.has("u2")).toBe(true);
  expect(voice.snapshot().serverDeafened).toBe(true);

  vi.advanceTimersByTime(5_000);
  expect(vi.getTimerCount()).toBe(0);
});

test("the news of a move is put away by hand, or with the call", async () => {
  const { voice, room } = await inLobby();
  move(room, "afk");
  voice.dismissMove();
  expect(voice.snapshot().movedTo).toBeNull();
  move(room, "raid");
  expect(voice.snapshot().movedTo).toBe("raid");
  voice.leave();
  expect(voice.snapshot()).toMatchObject({ call: { state: "idle" }, movedTo: null });
});

test("a move that overtakes the join counts", async () => {
  joining.mockImplementationOnce((room) => move(room, "afk"));
  const voice = start();
  voice.join("lobby");
  await vi.waitFor(() => expect(voice.snapshot().call).toEqual({ state: "connected", channelId: "afk" }));
});

test("an earlier call's room moves nothing", async () => {
  const { voice, room } = await inLobby();
  voice.leave();
  move(room, "afk");
  expect(voice.snapshot()).toMatchObject({ call: { state: "idle" }, movedTo: null });
});

/** What livekit-client tells of a move, up to the end of its reconnect. */
function move(room: SilentRoom, channelId: string) {
  room.name = channelId;
  room.emit(RoomEvent.Moved, channelId);
  room.emit(RoomEvent.Reconnecting);
  room.localParticipant.attributes = {};
}

async function inLobby() {
  const voice = start();
  voice.join("lobby");
  await vi.waitFor(() => expect(voice.snapshot().call.state).toBe("connected"));
  const [room] = opened;
  if (!room) throw new Error("no room was opened");
  return { voice, room };
}

/** The address of a ticket is its channel, so that the room knows where it is. */
function start() {
  return new BrowserVoice(async (channelId) => ({ wsUrl: channelId, token: "" }));
}
