import createClient from "openapi-fetch";
import { ProblemError, problemFromAnswer } from "./problem";
import type { components, paths } from "./schema";

export type User = components["schemas"]["User"];
export type Channel = components["schemas"]["Channel"];
export type ChannelWithParticipants = components["schemas"]["ChannelWithParticipants"];
export type MediaPath = components["schemas"]["MediaPath"];
export type Presence = components["schemas"]["Presence"];
export type CreateChannel = components["schemas"]["CreateChannel"];
export type CreatedInvite = components["schemas"]["CreatedInvite"];
export type ConnectionTest = components["schemas"]["ConnectionTest"];
export type PathTest = components["schemas"]["PathTest"];
export type VoiceToken = components["schemas"]["VoiceToken"];

/** Talks to the server that the page came from; the session travels in its cookie. */
export const api = createClient<paths>({ baseUrl: window.location.origin });

type Answer<T> = { data?: T; error?: unknown; response: Response };

/** The body of a good answer; a refused request throws a {@link ProblemError}. */
export async function body<T>(request: Promise<Answer<T>>): Promise<T> {
  const { data, error, response } = await request;
  if (data === undefined || !response.ok) throw new ProblemError(problemFromAnswer(response.status, error));
  return data;
}

/** Waits for an answer without a body (204). */
export async function done(request: Promise<Answer<unknown>>): Promise<void> {
  const { error, response } = await request;
  if (!response.ok) throw new ProblemError(problemFromAnswer(response.status, error));
}

export function canManage(user: User): boolean {
  return user.role === "owner" || user.role === "admin";
}
