import { type QueryClient, queryOptions } from "@tanstack/react-query";
import { create } from "zustand";
import { api, body, type User } from "./client";
import { type Problem, ProblemError } from "./problem";

/**
 * Set while somebody is signed in at this browser. The cookie itself is out of reach for scripts, and asking the
 * server without one would be answered with an error on every first visit.
 */
const SIGNED_IN = "banter.signed-in";

export const meQuery = queryOptions({
  queryKey: ["me"],
  queryFn: async (): Promise<User | null> => {
    if (localStorage.getItem(SIGNED_IN) === null) return null;
    try {
      return await body(api.GET("/api/auth/me"));
    } catch (error) {
      if (!(error instanceof ProblemError) || error.problem.code !== "unauthorized") throw error;
      rememberSignedIn(false);
      return null;
    }
  },
  staleTime: Number.POSITIVE_INFINITY,
});

/** Notices, wherever it comes up, that the session has ended: the app shows the sign-in page then. */
export function noticeSignedOut(queries: QueryClient, error: unknown) {
  if (!(error instanceof ProblemError) || error.problem.code !== "unauthorized") return;
  rememberSignedIn(false);
  queries.setQueryData(meQuery.queryKey, null);
}

/** Why the last session here was ended by a moderator. It stays on screen until somebody signs in. */
export const useExclusion = create<{ problem: Problem | null }>()(() => ({ problem: null }));

export function noticeExcluded(queries: QueryClient, problem: Problem) {
  rememberSignedIn(false);
  useExclusion.setState({ problem });
  queries.setQueryData(meQuery.queryKey, null);
}

export function rememberSignedIn(signedIn: boolean) {
  if (signedIn) localStorage.setItem(SIGNED_IN, "1");
  else localStorage.removeItem(SIGNED_IN);
}
