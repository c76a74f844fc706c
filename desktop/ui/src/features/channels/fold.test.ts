import { describe, expect, test } from "vitest";
import type { ChannelWithParticipants, Presence } from "../../api/client";
import { fold } from "./fold";

describe("folding events into the channel list", () => {
  test("a snapshot replaces what was known", () => {
    const known = [channel("old")];
    expect(ids(fold(known, { type: "snapshot", channels: [channel("b", 1), channel("a", 0)] }))).toEqual(["a", "b"]);
  });

  test("a new channel takes its place by position", () => {
    const known = [channel("a", 0), channel("c", 2)];
    expect(ids(fold(known, { type: "channel_created", channel: bare("b", 1) }))).toEqual(["a", "b", "c"]);
  });

  test("a channel that changes keeps the people inside", () => {
    const known = [channel("a", 0, [person("ann")])];
    const [changed] = fold(known, { type: "channel_updated", channel: { ...bare("a"), name: "renamed" } });
    expect(changed?.name).toBe("renamed");
    expect(changed?.participants.map((p) => p.user_id)).toEqual(["ann"]);
  });

  test("a moved channel is sorted anew", () => {
    const known = [channel("a", 0), channel("b", 1)];
    expect(ids(fold(known, { type: "channel_moved", channel: bare("a", 2) }))).toEqual(["b", "a"]);
  });

  test("a deleted channel goes", () => {
    expect(ids(fold([channel("a"), channel("b")], { type: "channel_deleted", channel_id: "a" }))).toEqual(["b"]);
  });

  test("joining twice, as after a resumed stream, makes no double", () => {
    const event = { type: "participant_joined", channel_id: "a", participant: person("ann") } as const;
    const twice = fold(fold([channel("a")], event), event);
    expect(twice[0]?.participants).toHaveLength(1);
  });

  test("people change and leave", () => {
    const known = [channel("a", 0, [person("ann"), person("ben")])];
    const muted = { ...person("ann"), muted: true };
    const changed = fold(known, { type: "participant_updated", channel_id: "a", participant: muted });
    expect(changed[0]?.participants[0]?.muted).toBe(true);
    const left = fold(changed, { type: "participant_left", channel_id: "a", user_id: "ann", reason: "left" });
    expect(left[0]?.participants.map((p) => p.user_id)).toEqual(["ben"]);
  });

  test("the list of speakers is complete each time", () => {
    const known = [channel("a", 0, [{ ...person("ann"), speaking: true }, person("ben")])];
    const [changed] = fold(known, { type: "speaking", channel_id: "a", user_ids: ["ben"] });
    expect(changed?.participants.map((p) => p.speaking)).toEqual([false, true]);
  });

  test("an event for one channel leaves the others untouched", () => {
    const known = [channel("a"), channel("b")];
    const after = fold(known, { type: "participant_joined", channel_id: "a", participant: person("ann") });
    expect(after[1]).toBe(known[1]);
  });
});

function bare(id: string, position = 0) {
  return { id, name: id, description: null, max_participants: 50, position, created_by: "owner", created_at: 1 };
}

function channel(id: string, position = 0, participants: Presence[] = []): ChannelWithParticipants {
  return { ...bare(id, position), participants };
}

function person(id: string): Presence {
  return {
    user_id: id,
    name: id,
    joined_at: 1,
    muted: false,
    deafened: false,
    server_muted: false,
    server_deafened: false,
    speaking: false,
    path: null,
  };
}

function ids(channels: readonly ChannelWithParticipants[]): string[] {
  return channels.map((c) => c.id);
}
