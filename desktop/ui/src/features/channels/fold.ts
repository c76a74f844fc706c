import type { ChannelWithParticipants, Presence } from "../../api/client";
import type { ServerEvent } from "../../api/events";
import { never } from "../../never";

type Channels = readonly ChannelWithParticipants[];

/** The channel list after an event. What an event does not touch keeps its identity, so that only changes are drawn. */
export function fold(channels: Channels, event: ServerEvent): Channels {
  switch (event.type) {
    case "snapshot":
      return sorted(event.channels);
    case "channel_created":
    case "channel_updated":
    case "channel_moved":
      return sorted(withChannel(channels, event.channel));
    case "channel_deleted":
      return channels.filter((channel) => channel.id !== event.channel_id);
    case "participant_joined":
    case "participant_updated":
      return withPeople(channels, event.channel_id, (people) => withPerson(people, event.participant));
    case "participant_left":
      return withPeople(channels, event.channel_id, (people) => people.filter((p) => p.user_id !== event.user_id));
    case "speaking":
      return withPeople(channels, event.channel_id, (people) => withSpeaking(people, event.user_ids));
    case "excluded":
      return channels;
    default:
      return never(event);
  }
}

/** By position, then by age, as the server lists them. */
function sorted(channels: Channels): Channels {
  return [...channels].sort((a, b) => a.position - b.position || a.created_at - b.created_at);
}

function withChannel(channels: Channels, changed: Omit<ChannelWithParticipants, "participants">): Channels {
  const known = channels.find((channel) => channel.id === changed.id);
  const channel = { ...changed, participants: known?.participants ?? [] };
  return known ? channels.map((other) => (other === known ? channel : other)) : [...channels, channel];
}

function withPeople(channels: Channels, id: string, change: (people: Presence[]) => Presence[]): Channels {
  return channels.map((channel) =>
    channel.id === id ? { ...channel, participants: change(channel.participants) } : channel,
  );
}

function withPerson(people: Presence[], person: Presence): Presence[] {
  const known = people.some((other) => other.user_id === person.user_id);
  if (!known) return [...people, person];
  return people.map((other) => (other.user_id === person.user_id ? person : other));
}

function withSpeaking(people: Presence[], userIds: readonly string[]): Presence[] {
  return people.map((person) => {
    const speaking = userIds.includes(person.user_id);
    return person.speaking === speaking ? person : { ...person, speaking };
  });
}
