import type { ChannelWithParticipants } from "../../api/client";
import { callChannel, type VoiceSnapshot } from "../../voice/client";
import type { PersonState } from "./PersonRow";

/**
 * Who is inside a channel. In one's own call the media connection knows best: it hears people before the server's
 * event arrives. Of all other channels, the event stream tells.
 */
export function peopleIn(channel: ChannelWithParticipants, voice: VoiceSnapshot): PersonState[] {
  if (callChannel(voice.call) === channel.id && voice.people.size > 0) return [...voice.people.values()];
  return channel.participants.map(({ user_id, ...person }) => ({ userId: user_id, ...person }));
}
