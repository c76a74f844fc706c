import type { ChannelWithParticipants, MediaPath } from "../../api/client";

/** What a person's sound travels by in a channel; null before the server has told. */
export function pathIn(channel: ChannelWithParticipants | undefined, userId: string): MediaPath | null {
  return channel?.participants.find((person) => person.user_id === userId)?.path ?? null;
}

/** Whether it goes through the server's TURN. */
export function isRelayed(path: MediaPath): boolean {
  return path.transport.startsWith("relay-");
}
