import {
  type DisconnectReason,
  type LocalAudioTrack,
  LogLevel,
  type Participant,
  type RemoteParticipant,
  type RemoteTrack,
  type RemoteTrackPublication,
  Room,
  RoomEvent,
  setLogLevel,
  Track,
  TrackEvent,
} from "livekit-client";
import type { PathTest, VoiceToken } from "../api/client";
import type { Problem } from "../api/problem";
import type { CallPerson, CallState, MicrophoneState, PathOutcome, VoiceClient, VoiceSnapshot } from "./client";
import { callChannel } from "./client";
import { type Controls, INITIAL_CONTROLS, toggleDeafen, toggleMute } from "./controls";
import { endProblem, joinProblem } from "./failure";
import { Meters } from "./meters";
import { microphoneProblem, openMicrophone } from "./microphone";
import { testPath } from "./path-test";
import { Playback } from "./playback";
import { PatientReconnect } from "./reconnect";
import { SilenceWatch, SpeechDetector } from "./speech";

/** The participant attribute by which the others learn that somebody does not listen. */
const DEAFENED = "deafened";
/** The meter of one's own microphone; those of the others are named by track. */
const OWN_METER = "own";
/**
 * After a full reconnect livekit-client (2.23) says so up to two seconds before its engine is done, and keeps every event
 * in between to itself. For so long, in milliseconds, the call looks for itself what there is.
 */
const CATCH_UP = { every: 250, during: 4_000 };

/** Fetches what is needed to join a channel; rejects with a `ProblemError`. */
export type RequestTicket = (channelId: string) => Promise<VoiceToken>;

/** Voice in a browser, through livekit-client: one room for each call, made when it is joined. */
export class BrowserVoice implements VoiceClient {
  readonly #requestTicket: RequestTicket;
  readonly #listeners = new Set<() => void>();
  readonly #meters = new Meters();
  readonly #playback = new Playback();
  readonly #speaking = new Set<string>();

  #controls: Controls = INITIAL_CONTROLS;
  #call: CallState = { state: "idle" };
  #microphone: MicrophoneState = { state: "off" };
  #playbackBlocked = false;
  #movedTo: string | null = null;
  #room: Room | null = null;
  #track: LocalAudioTrack | null = null;
  /** The room that is being told about deafening; clicks meanwhile are picked up when it has answered. */
  #announcing: Room | null = null;
  /** Settles when the server has been told of every room that was left. */
  #goodbyes: Promise<unknown> = Promise.resolve();
  /** Grows with every join and leave; whoever comes back to an older number throws his result away. */
  #attempt = 0;
  #snapshot: VoiceSnapshot;

  constructor(requestTicket: RequestTicket) {
    this.#requestTicket = requestTicket;
    this.#snapshot = this.#takeSnapshot();
    // It logs the end of a deleted channel as errors. What matters of it arrives as an event or a rejection.
    setLogLevel(LogLevel.silent);
  }

  snapshot(): VoiceSnapshot {
    return this.#snapshot;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  join(channelId: string) {
    if (this.#call.state !== "failed" && callChannel(this.#call) === channelId) return;
    this.#meters.resume();
    void this.#join(channelId);
  }

  leave() {
    this.#attempt += 1;
    this.#call = { state: "idle" };
    void this.#hangUp();
    this.#changed();
  }

  dismissMove() {
    this.#movedTo = null;
    this.#changed();
  }

  toggleMute() {
    // Who unmutes wants the microphone, so a failed one is asked again.
    if (this.#controls.muted && this.#microphone.state === "failed") this.#microphone = { state: "off" };
    this.#setControls(toggleMute(this.#controls));
  }

  toggleDeafen() {
    this.#setControls(toggleDeafen(this.#controls));
  }

  retryMicrophone() {
    if (this.#microphone.state !== "failed") return;
    this.#microphone = { state: "off" };
    this.#changed();
    void this.#applyMute();
  }

  enablePlayback() {
    this.#meters.resume();
    // A refusal comes back as AudioPlaybackStatusChanged, so the request to click stays on screen.
    void this.#room?.startAudio().catch(() => undefined);
  }

  testPath(wsUrl: string, test: PathTest): Promise<PathOutcome> {
    return testPath(wsUrl, test);
  }

  async #join(channelId: string) {
    this.#attempt += 1;
    const attempt = this.#attempt;
    this.#call = { state: "connecting", channelId };
    // The earlier room must be left before the next one is entered: one person is in one channel.
    const hungUp = this.#hangUp();
    this.#changed();
    try {
      await hungUp;
      const ticket = await this.#requestTicket(channelId);
      if (attempt !== this.#attempt) return;
      const room = this.#openRoom(attempt);
      this.#room = room;
      await room.connect(ticket.wsUrl, ticket.token);
      if (attempt !== this.#attempt) return;
      // Rooms are named by their channels. A moderator may have moved the call while it was being joined.
      this.#call = { state: "connected", channelId: room.name };
      this.#changed();
      void this.#announceDeafened();
      void this.#applyMute();
    } catch (error) {
      if (attempt === this.#attempt) this.#fail(joinProblem(error));
    }
  }

  #openRoom(attempt: number): Room {
    const room = new Room({
      disconnectOnPageLeave: true,
      publishDefaults: { dtx: true, red: true },
      reconnectPolicy: new PatientReconnect(),
    });
    const current = () => attempt === this.#attempt;
    const refresh = () => current() && this.#changed();
    room
      .on(RoomEvent.ParticipantConnected, refresh)
      .on(RoomEvent.ParticipantDisconnected, refresh)
      .on(RoomEvent.ParticipantAttributesChanged, refresh)
      .on(RoomEvent.ParticipantNameChanged, refresh)
      .on(RoomEvent.TrackPublished, refresh)
      .on(RoomEvent.TrackUnpublished, refresh)
      .on(RoomEvent.ParticipantPermissionsChanged, (_, participant) => {
        if (current() && participant.isLocal) this.#permitted();
      })
      .on(RoomEvent.TrackMuted, (_, participant) => current() && this.#trackMuted(participant))
      .on(RoomEvent.TrackUnmuted, refresh)
      .on(RoomEvent.TrackSubscribed, (track, publication, participant) => {
        if (current()) this.#hear(track, publication, participant);
      })
      .on(RoomEvent.TrackUnsubscribed, (_, publication, participant) => {
        if (current()) this.#unhear(publication, participant);
      })
      .on(RoomEvent.AudioPlaybackStatusChanged, () => {
        this.#playbackBlocked = !room.canPlaybackAudio;
        refresh();
      })
      .on(RoomEvent.Moved, (channelId) => current() && this.#moved(channelId))
      .on(RoomEvent.SignalReconnecting, () => current() && this.#interrupted())
      .on(RoomEvent.Reconnecting, () => current() && this.#interrupted())
      .on(RoomEvent.Reconnected, () => current() && this.#resumed())
      .on(RoomEvent.Disconnected, (reason) => current() && this.#ended(reason));
    return room;
  }

  /** Drops the call's devices and connection at once; resolves when the server has been told. */
  async #hangUp() {
    const room = this.#room;
    this.#room = null;
    this.#closeMicrophone();
    this.#meters.clear();
    this.#playback.clear();
    this.#speaking.clear();
    this.#playbackBlocked = false;
    this.#movedTo = null;
    // Clicks may come faster than goodbyes: whoever waits, waits for all of them.
    if (room) this.#goodbyes = Promise.allSettled([this.#goodbyes, room.disconnect()]);
    await this.#goodbyes;
  }

  #fail(problem: Problem) {
    const channelId = callChannel(this.#call);
    this.#attempt += 1;
    this.#call = channelId === null ? { state: "idle" } : { state: "failed", channelId, problem };
    void this.#hangUp();
    this.#changed();
  }

  /** A moderator has sent the call to another channel. livekit-client goes there by itself, with a session built anew. */
  #moved(channelId: string) {
    this.#movedTo = channelId;
    this.#call = { state: "reconnecting", channelId, since: Date.now() };
    this.#changed();
  }

  #interrupted() {
    if (this.#call.state !== "connected") return;
    this.#call = { state: "reconnecting", channelId: this.#call.channelId, since: Date.now() };
    this.#changed();
  }

  #resumed() {
    if (this.#call.state !== "reconnecting") return;
    this.#call = { state: "connected", channelId: this.#call.channelId };
    this.#changed();
    // A session that had to be built anew has lost the attributes of the old one.
    void this.#announceDeafened();
    if (this.#room) this.#catchUp(this.#room, Date.now() + CATCH_UP.during);
  }

  #catchUp(room: Room, until: number) {
    if (room !== this.#room) return;
    for (const person of room.remoteParticipants.values()) {
      for (const publication of person.audioTrackPublications.values()) {
        const { track, trackSid } = publication;
        if (track && !this.#playback.has(trackSid)) this.#hear(track, publication, person);
      }
    }
    this.#permitted();
    if (Date.now() < until) setTimeout(() => this.#catchUp(room, until), CATCH_UP.every);
  }

  #ended(reason: DisconnectReason | undefined) {
    // While joining, the rejection of `connect` says more than this event.
    if (this.#call.state === "connecting") return;
    const problem = endProblem(reason);
    if (problem) this.#fail(problem);
  }

  #hear(track: RemoteTrack, publication: RemoteTrackPublication, person: RemoteParticipant) {
    if (track.kind !== Track.Kind.Audio) return;
    const key = publication.trackSid;
    this.#playback.attach(key, person.identity, track);
    const detector = new SpeechDetector();
    this.#meters.watch(
      key,
      track.mediaStreamTrack,
      (level, now) => this.#setSpeaking(person.identity, detector.hear(level, now)),
      track.receiver,
    );
    this.#changed();
  }

  #unhear(publication: RemoteTrackPublication, person: RemoteParticipant) {
    this.#playback.detach(publication.trackSid);
    this.#meters.unwatch(publication.trackSid);
    this.#speaking.delete(person.identity);
    this.#changed();
  }

  #setSpeaking(userId: string, speaking: boolean) {
    if (speaking === this.#speaking.has(userId)) return;
    if (speaking) this.#speaking.add(userId);
    else this.#speaking.delete(userId);
    this.#changed();
  }

  #setControls(controls: Controls) {
    const deafenedBefore = this.#controls.deafened;
    this.#controls = controls;
    this.#playback.setMuted(controls.deafened);
    // Silence begins here and now; telling the server may take its time.
    if (this.#track) this.#track.mediaStreamTrack.enabled = !controls.muted;
    if (controls.muted) this.#speaking.delete(this.#ownId());
    this.#changed();
    if (controls.deafened !== deafenedBefore) void this.#announceDeafened();
    void this.#applyMute();
  }

  /** Brings microphone and publication in line with what is chosen. The microphone opens only to be heard. */
  async #applyMute() {
    if (this.#call.state !== "connected" || !this.#mayPublish()) return;
    if (this.#track) return this.#publishMute(this.#track);
    if (!this.#controls.muted && this.#microphone.state === "off") await this.#startMicrophone();
  }

  /** A moderator has taken the right to speak away, or given it back. Without it the microphone is closed. */
  #permitted() {
    if (!this.#mayPublish() && this.#microphone.state !== "failed") this.#closeMicrophone();
    this.#changed();
    void this.#applyMute();
  }

  #mayPublish(): boolean {
    return this.#room?.localParticipant.permissions?.canPublish ?? true;
  }

  #maySubscribe(): boolean {
    return this.#room?.localParticipant.permissions?.canSubscribe ?? true;
  }

  async #publishMute(track: LocalAudioTrack) {
    const { muted } = this.#controls;
    try {
      if (muted) await track.mute();
      else await track.unmute();
    } catch (error) {
      // Unmuting opens a device again that was unplugged meanwhile, or tries to.
      if (track !== this.#track) return;
      this.#closeMicrophone();
      return this.#microphoneFailed(microphoneProblem(error));
    }
    // Clicks may have overtaken the server; the last one counts.
    if (track === this.#track && this.#controls.muted !== muted) await this.#publishMute(track);
    this.#changed();
  }

  async #startMicrophone() {
    const attempt = this.#attempt;
    this.#microphone = { state: "opening" };
    this.#changed();
    const opened = await openMicrophone();
    if (attempt !== this.#attempt) {
      if ("track" in opened) opened.track.stop();
      return;
    }
    if ("problem" in opened) return this.#microphoneFailed(opened.problem);
    if (!this.#mayPublish()) {
      // The right went while the browser asked.
      opened.track.stop();
      this.#microphone = { state: "off" };
      return this.#changed();
    }
    await this.#publish(opened.track);
  }

  async #publish(track: LocalAudioTrack) {
    this.#track = track;
    this.#microphone = { state: "live" };
    this.#watchMicrophone(track);
    // Another device took over: the meter must follow.
    track.on(TrackEvent.Restarted, () => track === this.#track && this.#watchMicrophone(track));
    if (this.#controls.muted) await track.mute();
    this.#changed();
    try {
      await this.#room?.localParticipant.publishTrack(track, { source: Track.Source.Microphone });
    } catch (error) {
      if (track !== this.#track) return;
      this.#closeMicrophone();
      this.#microphoneFailed({ code: "microphone_not_sent", detail: String(error) });
      return;
    }
    await this.#applyMute();
  }

  #watchMicrophone(track: LocalAudioTrack) {
    const detector = new SpeechDetector();
    const silence = new SilenceWatch();
    this.#meters.watch(OWN_METER, track.mediaStreamTrack, (level, now) => {
      // A muted track is all zeros by definition.
      if (this.#controls.muted) return;
      this.#setSpeaking(this.#ownId(), detector.hear(level, now));
      // `muted` of a track is the system's doing, not ours.
      this.#setSilent(track.mediaStreamTrack.muted || silence.hear(level, now));
    });
  }

  #setSilent(silent: boolean) {
    if (this.#microphone.state !== (silent ? "live" : "silent")) return;
    this.#microphone = { state: silent ? "silent" : "live" };
    this.#changed();
  }

  /** livekit-client mutes a microphone that was unplugged and has no successor. */
  #trackMuted(participant: Participant) {
    if (participant.isLocal && this.#track?.mediaStreamTrack.readyState === "ended") {
      this.#closeMicrophone();
      this.#microphoneFailed({ code: "microphone_lost" });
    }
    this.#changed();
  }

  #microphoneFailed(problem: Problem) {
    this.#microphone = { state: "failed", problem };
    this.#changed();
  }

  #closeMicrophone() {
    const track = this.#track;
    this.#track = null;
    this.#microphone = { state: "off" };
    this.#meters.unwatch(OWN_METER);
    if (!track) return;
    track.stop();
    void this.#room?.localParticipant.unpublishTrack(track);
  }

  async #announceDeafened() {
    const room = this.#room;
    if (!room || this.#announcing === room) return;
    this.#announcing = room;
    const person = room.localParticipant;
    // The others may learn it late or not at all; what is heard here does not depend on it.
    let reached = true;
    while (reached && room === this.#room && isDeafened(person) !== this.#controls.deafened) {
      reached = await person.setAttributes({ [DEAFENED]: String(this.#controls.deafened) }).then(
        () => true,
        () => false,
      );
    }
    if (this.#announcing === room) this.#announcing = null;
  }

  #ownId(): string {
    return this.#room?.localParticipant.identity ?? "";
  }

  #changed() {
    this.#snapshot = this.#takeSnapshot();
    for (const listener of this.#listeners) listener();
  }

  #takeSnapshot(): VoiceSnapshot {
    return {
      call: this.#call,
      muted: this.#controls.muted,
      deafened: this.#controls.deafened,
      serverMuted: !this.#mayPublish(),
      serverDeafened: !this.#maySubscribe(),
      microphone: this.#microphone,
      playbackBlocked: this.#playbackBlocked,
      movedTo: this.#movedTo,
      people: this.#people(),
    };
  }

  #people(): ReadonlyMap<string, CallPerson> {
    const people = new Map<string, CallPerson>();
    const room = this.#room;
    if (!room || (this.#call.state !== "connected" && this.#call.state !== "reconnecting")) return people;
    const everyone = [room.localParticipant, ...room.remoteParticipants.values()];
    everyone.sort((a, b) => (a.joinedAt?.getTime() ?? 0) - (b.joinedAt?.getTime() ?? 0));
    for (const person of everyone) people.set(person.identity, this.#person(person));
    return people;
  }

  #person(person: Participant): CallPerson {
    const own = person.isLocal;
    const open = this.#microphone.state === "live" || this.#microphone.state === "silent";
    const muted = own ? this.#controls.muted || !open : !person.isMicrophoneEnabled;
    return {
      userId: person.identity,
      name: person.name || person.identity,
      muted,
      deafened: own ? this.#controls.deafened : isDeafened(person),
      // The hold after the last sound ends with the mute.
      speaking: !muted && this.#speaking.has(person.identity),
    };
  }
}

function isDeafened(person: Participant): boolean {
  return person.attributes[DEAFENED] === "true";
}
