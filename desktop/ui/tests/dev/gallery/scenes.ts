import type { ChannelWithParticipants, Presence, User } from "../../../src/api/client";
import type { ProblemCode } from "../../../src/api/problem";
import type { CallPerson, VoiceSnapshot } from "../../../src/voice/client";

export type Scene = {
  /** Address of the page; the app itself if left out. */
  path?: string;
  me?: User;
  channels?: ChannelWithParticipants[];
  setupNeeded?: boolean;
  streamLost?: boolean;
  voice?: Partial<VoiceSnapshot>;
  /** Requests (`GET /path`) that fail. */
  refuse?: Record<string, ProblemCode>;
  /** A request that stays without an answer. */
  never?: string;
};

const NAMES = ["Marlene", "Ödön", "Tiago", "Yuki", "Priya", "Sven-Åke Lindqvist-Öberg the Third", "Zoë", "陳大文"];

const owner: User = { id: "u0", username: "Marlene", role: "owner", created_at: 0 };
const member: User = { id: "u2", username: "Tiago", role: "member", created_at: 0 };

const channels = [
  channel("c1", "Lobby", "For whoever is around", [0, 1, 2]),
  channel("c2", "Raid night", null, [4, 5], 2),
  channel("c3", "A channel with a name that is much longer than the column is wide", null, []),
  channel("c4", "AFK", null, [7]),
];

const call = { state: "connected", channelId: "c1" } as const;
const people = inCall([0, 1, 2, 6]);
const live: Partial<VoiceSnapshot> = { call, people, microphone: { state: "live" } };

export const scenes: Record<string, Scene> = {
  "sign-in": {},
  "sign-in-setup-needed": { setupNeeded: true },
  setup: { path: "/setup#code=CODE" },
  "setup-no-code": { path: "/setup" },
  invite: { path: "/invite#CODE" },
  "invite-invalid": { path: "/invite#WRONG", refuse: { "GET /api/invites/WRONG": "invite_invalid" } },
  "server-gone": { me: owner, refuse: { "GET /api/auth/me": "network" } },
  loading: { me: owner, never: "GET /api/voice/channels" },
  "empty-owner": { me: owner, channels: [] },
  "empty-member": { me: member, channels: [] },
  "list-failed": { me: owner, refuse: { "GET /api/voice/channels": "internal" } },
  idle: { me: owner, channels },
  "idle-member": { me: member, channels },
  "stream-lost": { me: owner, channels, streamLost: true },
  connecting: { me: owner, channels, voice: { call: { state: "connecting", channelId: "c1" } } },
  call: { me: owner, channels, voice: live },
  muted: { me: owner, channels, voice: { ...live, muted: true } },
  deafened: { me: owner, channels, voice: { ...live, muted: true, deafened: true } },
  alone: { me: owner, channels, voice: { ...live, people: inCall([0]) } },
  reconnecting: {
    me: owner,
    channels,
    voice: { ...live, call: { state: "reconnecting", channelId: "c1", since: Date.now() - 4_000 } },
  },
  "failed-full": {
    me: owner,
    channels,
    voice: { call: { state: "failed", channelId: "c2", problem: { code: "channel_full" } } },
  },
  "failed-no-route": {
    me: owner,
    channels,
    voice: { call: { state: "failed", channelId: "c1", problem: { code: "no_route" } } },
  },
  "microphone-denied": {
    me: owner,
    channels,
    voice: { ...live, microphone: { state: "failed", problem: { code: "microphone_denied" } } },
  },
  "insecure-origin": {
    me: owner,
    channels,
    voice: { ...live, microphone: { state: "failed", problem: { code: "insecure_origin" } } },
  },
  "microphone-silent": { me: owner, channels, voice: { ...live, microphone: { state: "silent" } } },
  "sound-blocked": { me: owner, channels, voice: { ...live, playbackBlocked: true } },
  crowd: { me: owner, channels, voice: { ...live, people: inCall(Array.from({ length: 40 }, (_, i) => i)) } },
};

function channel(
  id: string,
  name: string,
  description: string | null,
  inside: number[],
  max_participants = 50,
): ChannelWithParticipants {
  const position = Number(id.slice(1));
  const participants = inside.map(presence);
  return { id, name, description, max_participants, position, created_by: "u0", created_at: position, participants };
}

function presence(index: number): Presence {
  const { userId, ...person } = callPerson(index);
  return { user_id: userId, joined_at: index, ...person };
}

function inCall(indices: number[]): Map<string, CallPerson> {
  return new Map(indices.map((index) => [`u${index}`, callPerson(index)]));
}

function callPerson(index: number): CallPerson {
  return {
    userId: `u${index}`,
    name: NAMES[index] ?? `Guest ${index}`,
    muted: index % 4 === 2,
    deafened: index === 10,
    speaking: index % 5 === 1 && index !== 6,
  };
}
