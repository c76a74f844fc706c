import { createLocalAudioTrack, type LocalAudioTrack } from "livekit-client";
import type { Problem } from "../api/problem";

export type OpenedMicrophone = { track: LocalAudioTrack } | { problem: Problem };

/** Asks the browser for the microphone. Never throws. */
export async function openMicrophone(): Promise<OpenedMicrophone> {
  // Browsers hide the whole interface from pages that came over plain HTTP from another machine.
  if (!window.isSecureContext || !navigator.mediaDevices) return { problem: { code: "insecure_origin" } };
  try {
    return {
      track: await createLocalAudioTrack({ echoCancellation: true, noiseSuppression: true, autoGainControl: true }),
    };
  } catch (error) {
    return { problem: microphoneProblem(error) };
  }
}

/** The names are those that Media Capture and Streams §10.2 gives for `getUserMedia`. */
export function microphoneProblem(error: unknown): Problem {
  if (!(error instanceof Error)) return { code: "microphone_failed" };
  switch (error.name) {
    case "NotAllowedError":
    case "SecurityError":
      return { code: "microphone_denied" };
    case "NotFoundError":
    case "OverconstrainedError":
      return { code: "microphone_missing" };
    case "NotReadableError":
    case "AbortError":
      return { code: "microphone_busy" };
    default:
      return { code: "microphone_failed", detail: `${error.name}: ${error.message}` };
  }
}
