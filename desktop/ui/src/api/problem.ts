import type { components } from "./schema";

export type ServerCode = components["schemas"]["ErrorCode"];

/** Failures of the call and of this browser, which the server never sees. */
export type ClientCode =
  | "network"
  | "unexpected_answer"
  | "voice_unreachable"
  | "voice_refused"
  | "no_route"
  | "connection_lost"
  | "joined_elsewhere"
  | "removed"
  | "channel_deleted"
  | "server_shutdown"
  | "browser_unsupported"
  | "microphone_denied"
  | "microphone_missing"
  | "microphone_busy"
  | "microphone_lost"
  | "microphone_failed"
  | "microphone_silent"
  | "microphone_not_sent"
  | "insecure_origin";

export type ProblemCode = ServerCode | ClientCode;

/** What went wrong, in the form in which the interface explains it. */
export type Problem = {
  code: ProblemCode;
  /** The server's own words, in English: more exact than the translated text, but not translated. */
  detail?: string;
  /** The form field at fault. */
  field?: string;
  /** Seconds after which another attempt can succeed. */
  retryAfter?: number;
  /** What a moderator gave as the reason. */
  reason?: string;
  /** When it ends by itself, in milliseconds since 1970. */
  until?: number;
};

export class ProblemError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail ?? problem.code);
    this.problem = problem;
  }
}

/** Every way to fail ends as a problem: also `fetch` without a network, and a bug. */
export function problemOf(error: unknown): Problem {
  if (error instanceof ProblemError) return error.problem;
  // `fetch` rejects with a TypeError when it reached nobody, and says no more on purpose.
  if (error instanceof TypeError) return { code: "network" };
  return { code: "unexpected_answer", detail: error instanceof Error ? error.message : String(error) };
}

/** Reads an error answer. A proxy in between may send anything, so the body is checked. */
export function problemFromAnswer(status: number, body: unknown): Problem {
  const detail = errorDetail(body);
  return detail ? problemFromDetail(detail) : { code: "unexpected_answer", detail: `HTTP ${status}` };
}

function problemFromDetail(detail: Partial<Record<string, unknown>>): Problem {
  const problem: Problem = { code: isServerCode(detail.code) ? detail.code : "unexpected_answer" };
  if (typeof detail.message === "string") problem.detail = detail.message;
  if (typeof detail.field === "string") problem.field = detail.field;
  if (typeof detail.retry_after_seconds === "number") problem.retryAfter = detail.retry_after_seconds;
  if (typeof detail.reason === "string") problem.reason = detail.reason;
  if (typeof detail.until === "number") problem.until = detail.until;
  return problem;
}

function errorDetail(body: unknown): Partial<Record<string, unknown>> | null {
  if (!isRecord(body) || !isRecord(body.error)) return null;
  return body.error;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

const SERVER_CODES: Record<ServerCode, true> = {
  unauthorized: true,
  invalid_credentials: true,
  forbidden: true,
  membership_ended: true,
  banned: true,
  address_banned: true,
  user_not_found: true,
  not_in_voice: true,
  origin_mismatch: true,
  not_found: true,
  method_not_allowed: true,
  channel_not_found: true,
  invite_invalid: true,
  validation_failed: true,
  malformed_body: true,
  username_taken: true,
  channel_full: true,
  setup_done: true,
  setup_code_invalid: true,
  too_many_requests: true,
  payload_too_large: true,
  unsupported_media_type: true,
  internal: true,
};

function isServerCode(code: unknown): code is ServerCode {
  return typeof code === "string" && Object.hasOwn(SERVER_CODES, code);
}
