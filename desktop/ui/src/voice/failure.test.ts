import { ConnectionError, DisconnectReason } from "livekit-client";
import { describe, expect, test } from "vitest";
import { ProblemError } from "../api/problem";
import { endProblem, joinProblem } from "./failure";
import { microphoneProblem } from "./microphone";

describe("why a join failed", () => {
  test.each([
    [new ProblemError({ code: "channel_full" }), "channel_full"],
    [new TypeError("Failed to fetch"), "network"],
    [ConnectionError.notAllowed("the room has reached its limit", 403), "channel_full"],
    [ConnectionError.notAllowed("requested room does not exist", 404), "channel_not_found"],
    [ConnectionError.notAllowed("invalid token", 401), "voice_refused"],
    [ConnectionError.serverUnreachable("no answer"), "voice_unreachable"],
    [ConnectionError.timeout("room connection has timed out"), "voice_unreachable"],
    [ConnectionError.internal("could not establish PC connection, timeout"), "no_route"],
    [ConnectionError.internal("Websocket got closed"), "voice_unreachable"],
    [ConnectionError.leaveRequest("told to leave", DisconnectReason.SERVER_SHUTDOWN), "server_shutdown"],
  ])("%s", (error, code) => {
    expect(joinProblem(error).code).toBe(code);
  });
});

describe("why a call ended", () => {
  test.each([
    [DisconnectReason.DUPLICATE_IDENTITY, "joined_elsewhere"],
    [DisconnectReason.PARTICIPANT_REMOVED, "removed"],
    [DisconnectReason.ROOM_DELETED, "channel_deleted"],
    [DisconnectReason.SERVER_SHUTDOWN, "server_shutdown"],
    [DisconnectReason.STATE_MISMATCH, "connection_lost"],
    [undefined, "connection_lost"],
  ])("%s", (reason, code) => {
    expect(endProblem(reason)?.code).toBe(code);
  });

  test("leaving on purpose is no problem", () => {
    expect(endProblem(DisconnectReason.CLIENT_INITIATED)).toBeUndefined();
  });
});

describe("why the microphone failed", () => {
  test.each([
    ["NotAllowedError", "microphone_denied"],
    ["NotFoundError", "microphone_missing"],
    ["OverconstrainedError", "microphone_missing"],
    ["NotReadableError", "microphone_busy"],
    ["UnheardOfError", "microphone_failed"],
  ])("%s", (name, code) => {
    expect(microphoneProblem(Object.assign(new Error("no"), { name })).code).toBe(code);
  });
});
