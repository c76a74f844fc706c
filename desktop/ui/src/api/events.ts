import type { components } from "./schema";

type Schemas = components["schemas"];

/** What the stream at `/api/events` says, by event name. */
type Payloads = {
  snapshot: Schemas["SnapshotEvent"];
  channel_created: Schemas["ChannelEvent"];
  channel_updated: Schemas["ChannelEvent"];
  channel_moved: Schemas["ChannelEvent"];
  channel_deleted: Schemas["ChannelDeletedEvent"];
  participant_joined: Schemas["ParticipantEvent"];
  participant_updated: Schemas["ParticipantEvent"];
  participant_left: Schemas["ParticipantLeftEvent"];
  speaking: Schemas["SpeakingEvent"];
  excluded: Schemas["ExcludedEvent"];
};

export type ServerEvent = { [Name in keyof Payloads]: { type: Name } & Payloads[Name] }[keyof Payloads];

/** `lost` carries the time of the loss in milliseconds since 1970. */
export type StreamState = { state: "connecting" } | { state: "live" } | { state: "lost"; since: number };

export type EventStreamHandlers = {
  onEvent: (event: ServerEvent) => void;
  onState: (state: StreamState) => void;
  /** The server refused the stream for good, most likely because the session has ended. */
  onRefused: () => void;
};

/** Pause before a refused stream is tried again, in milliseconds. Mere interruptions the browser retries by itself. */
const RETRY = 3_000;

/** Follows the event stream until the returned function is called. */
export function followEvents({ onEvent, onState, onRefused }: EventStreamHandlers): () => void {
  let source: EventSource | undefined;
  let retry: number | undefined;

  const open = () => {
    const stream = new EventSource("/api/events");
    source = stream;
    stream.onopen = () => onState({ state: "live" });
    stream.onerror = () => {
      onState({ state: "lost", since: Date.now() });
      if (stream.readyState !== EventSource.CLOSED) return;
      onRefused();
      retry = window.setTimeout(open, RETRY);
    };
    for (const name of NAMES) stream.addEventListener(name, (message) => onEvent(parse(name, message.data)));
  };

  onState({ state: "connecting" });
  open();
  return () => {
    window.clearTimeout(retry);
    source?.close();
  };
}

const NAMES: ServerEvent["type"][] = [
  "snapshot",
  "channel_created",
  "channel_updated",
  "channel_moved",
  "channel_deleted",
  "participant_joined",
  "participant_updated",
  "participant_left",
  "speaking",
  "excluded",
];

/** The server that wrote it also served this page, so its shape is taken as documented. */
function parse(type: ServerEvent["type"], data: string): ServerEvent {
  return { ...JSON.parse(data), type };
}
