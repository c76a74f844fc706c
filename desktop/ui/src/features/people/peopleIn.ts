import type { ChannelWithParticipants, Presence } from "../../api/client";
import { callChannel, type VoiceSnapshot } from "../../voice/client";
import type { PersonState } from "./PersonRow";

/**
 * Who is inside a channel. In one's own call the media connection knows best: it hears people before the server's
 * event arrives. Of all other channels, the event stream tells; and everywhere of what only the server knows.
 */
export function peopleIn(channel: ChannelWithParticipants, voice: VoiceSnapshot): PersonState[] {
  if (callChannel(voice.call) === channel.id && voice.people.size > 0) {
    const known = new Map(channel.participants.map((person) => [person.user_id, person]));
    return [...voice.people.values()].map((person) => ({ ...person, ...onlyTold(known.get(person.userId)) }));
  }
  return channel.participants.map((person) => {
    const { user_id: userId, name, muted, deafened, speaking } = person;
    return { userId, name, muted, deafened, speaking, ...onlyTold(person) };
  });
}

function onlyTold(person: Presence | undefined): Pick<PersonState, "serverMuted" | "serverDeafened" | "path"> {
  return {
    serverMuted: person?.server_muted ?? false,
    serverDeafened: person?.server_deafened ?? false,
    path: person?.path ?? null,
  };
}
