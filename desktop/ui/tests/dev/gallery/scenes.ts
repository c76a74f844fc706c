import type { ChannelWithParticipants, MediaPath, Presence, User } from "../../../src/api/client";
import type { Problem, ProblemCode } from "../../../src/api/problem";
import type { components } from "../../../src/api/schema";
import type { CallPerson, PathOutcome, VoiceSnapshot } from "../../../src/voice/client";
import type { ScriptedPaths } from "../../../src/voice/scripted";

export type Scene = {
  /** Address of the page; the app itself if left out. */
  path?: string;
  me?: User;
  channels?: ChannelWithParticipants[];
  users?: User[];
  bans?: components["schemas"]["Ban"][];
  log?: components["schemas"]["AuditEntry"][];
  /** The session was ended by a moderator. */
  excluded?: Problem;
  setupNeeded?: boolean;
  streamLost?: boolean;
  voice?: Partial<VoiceSnapshot>;
  /** What tests of paths come to. The server offers these. */
  paths?: ScriptedPaths;
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

const users = NAMES.map((_, index) => account(index));
const at = Date.UTC(2026, 0, 5, 20, 15);
const bans: Scene["bans"] = [
  ban("b1", { user_id: "u3", username: "Yuki", reason: "Spam", expires_at: Date.UTC(2030, 0, 1) }),
  ban("b2", { user_id: "u6", username: "Zoë", network: "203.0.113.77/32", reason: "Came back under other names" }),
  ban("b3", { network: "2001:db8:85a3:8d3::/64" }),
];
const log: Scene["log"] = [
  entry(6, { action: "move", target_name: "Tiago", reason: "Fell asleep", details: fromTo("Lobby", "AFK") }),
  entry(5, { action: "ban", target_name: "Yuki", reason: "Spam", details: { expires_at: Date.UTC(2030, 0, 1) } }),
  entry(4, { action: "disconnect", target_name: "Tiago" }),
  entry(3, { action: "server_mute", target_name: "Sven-Åke Lindqvist-Öberg the Third", reason: "Open window" }),
  entry(2, { action: "ban", details: { network: "2001:db8:85a3:8d3::/64" } }),
  entry(1, { action: "kick", actor_id: null, actor_name: null, target_name: "Priya" }),
];

const closed: PathOutcome = { works: false, stage: "media", detail: "could not establish PC connection" };
const call = { state: "connected", channelId: "c1" } as const;
const people = inCall([0, 1, 2, 6]);
const live: Partial<VoiceSnapshot> = { call, people, microphone: { state: "live" } };

export const scenes: Record<string, Scene> = {
  "sign-in": {},
  kicked: { excluded: { code: "membership_ended", reason: "Shouting into the microphone, three evenings in a row" } },
  banned: { excluded: { code: "banned", until: Date.UTC(2030, 0, 1), reason: "Spam" } },
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
  "paths-good": {
    me: member,
    channels,
    paths: { udp4: works(12), udp6: works(14), tcp: works(19), "turn-tls": works(23) },
  },
  "paths-detour": {
    me: member,
    channels,
    paths: { udp4: closed, tcp: works(31, 0.004), "turn-udp": closed, "turn-tcp": works(33), "turn-tls": works(36) },
  },
  "paths-closed": {
    me: member,
    channels,
    paths: { udp4: closed, tcp: closed, "turn-udp": closed, "turn-tcp": closed },
  },
  idle: { me: owner, users, channels, bans, log },
  "no-bans": { me: owner, channels },
  "idle-member": { me: member, channels },
  "stream-lost": { me: owner, channels, streamLost: true },
  connecting: { me: owner, channels, voice: { call: { state: "connecting", channelId: "c1" } } },
  call: { me: owner, users, channels, voice: live },
  "server-muted": { me: member, channels: mutedByModerator("u2"), voice: { ...live, serverMuted: true } },
  moved: { me: member, channels, voice: { ...live, movedTo: "c1" } },
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

function works(roundTrip: number, lost = 0): PathOutcome {
  return { works: true, soundAfter: 300 + roundTrip, roundTrip, lost };
}

function ban(id: string, ban: Partial<components["schemas"]["Ban"]>): components["schemas"]["Ban"] {
  const nobody = { user_id: null, username: null, network: null, reason: null, expires_at: null };
  return { id, ...nobody, created_by: "u0", created_by_name: "Marlene", created_at: at, ...ban };
}

function entry(
  id: number,
  entry: Pick<components["schemas"]["AuditEntry"], "action"> & Partial<components["schemas"]["AuditEntry"]>,
): components["schemas"]["AuditEntry"] {
  const nobody = { target_id: null, target_name: null, reason: null, details: {} };
  return { id, at: at + id * 60_000, actor_id: "u0", actor_name: "Marlene", ...nobody, ...entry };
}

function mutedByModerator(userId: string): ChannelWithParticipants[] {
  return channels.map((channel) => ({
    ...channel,
    participants: channel.participants.map((person) =>
      person.user_id === userId ? { ...person, server_muted: true } : person,
    ),
  }));
}

function fromTo(from: string, to: string): components["schemas"]["AuditDetails"] {
  return { from_channel: { id: from, name: from }, to_channel: { id: to, name: to } };
}

function account(index: number): User {
  return { id: `u${index}`, username: NAMES[index] ?? "", role: index === 0 ? "owner" : "member", created_at: index };
}

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
  const [server_muted, server_deafened] = [index === 1, index === 5];
  const path: MediaPath = { transport: index === 4 ? "relay-tls" : "udp", family: 4, rtt_ms: 18 + 9 * index };
  return { user_id: userId, joined_at: index, server_muted, server_deafened, path, ...person };
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
