import { ConnectionError, ConnectionErrorReason, DisconnectReason, UnsupportedServer } from "livekit-client";
import { type Problem, ProblemError, problemOf } from "../api/problem";

/** Why a call could not be joined. */
export function joinProblem(error: unknown): Problem {
  if (error instanceof ProblemError) return error.problem;
  if (error instanceof UnsupportedServer) return { code: "browser_unsupported", detail: error.message };
  if (!(error instanceof ConnectionError)) return problemOf(error);
  switch (error.reason) {
    case ConnectionErrorReason.NotAllowed:
      return refusal(error.status, error.message);
    case ConnectionErrorReason.LeaveRequest:
      return disconnectProblem(typeof error.context === "number" ? error.context : undefined);
    case ConnectionErrorReason.ServiceNotFound:
      return { code: "channel_not_found" };
    case ConnectionErrorReason.InternalError:
      // One reason for two things, told apart only by the text: livekit-client has no other mark.
      return { code: /PC connection/i.test(error.message) ? "no_route" : "voice_unreachable", detail: error.message };
    default:
      return { code: "voice_unreachable", detail: error.message };
  }
}

/** Why a call that had been joined has ended; `undefined` when this side ended it. */
export function endProblem(reason: DisconnectReason | undefined): Problem | undefined {
  return reason === DisconnectReason.CLIENT_INITIATED ? undefined : disconnectProblem(reason);
}

function disconnectProblem(reason: DisconnectReason | undefined): Problem {
  switch (reason) {
    case DisconnectReason.DUPLICATE_IDENTITY:
      return { code: "joined_elsewhere" };
    case DisconnectReason.PARTICIPANT_REMOVED:
      return { code: "removed" };
    case DisconnectReason.ROOM_DELETED:
    case DisconnectReason.ROOM_CLOSED:
      return { code: "channel_deleted" };
    case DisconnectReason.SERVER_SHUTDOWN:
      return { code: "server_shutdown" };
    default:
      return { code: "connection_lost" };
  }
}

function refusal(status: number | undefined, detail: string): Problem {
  if (status === 404) return { code: "channel_not_found", detail };
  // Refused tokens are answered with 401, so that 403 is left for a channel without a free place.
  if (status === 403) return { code: "channel_full", detail };
  return { code: "voice_refused", detail };
}
