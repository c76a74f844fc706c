import { type QueryClient, queryOptions, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { api, body, done, type User } from "../../api/client";
import { problemOf } from "../../api/problem";
import type { components } from "../../api/schema";
import { meQuery, rememberSignedIn, useExclusion } from "../../api/session";
import { goTo } from "../../route";
import type { Credentials } from "./AccountForm";

type Session = components["schemas"]["Session"];

export const useMe = () => useQuery(meQuery);

const setupQuery = queryOptions({ queryKey: ["setup"], queryFn: () => body(api.GET("/api/setup")) });

/** Whether the server still waits for its owner. */
export const useSetupNeeded = () => useQuery(setupQuery).data?.needed ?? false;

export const useInvite = (code: string) =>
  useQuery({
    queryKey: ["invite", code],
    queryFn: () => body(api.GET("/api/invites/{invite}", { params: { path: { invite: code } } })),
  });

export const useSignIn = () => useOpenSession((credentials) => api.POST("/api/auth/login", { body: credentials }));

export const useSetUp = (code: string) =>
  useOpenSession((credentials) => api.POST("/api/auth/setup", { body: { ...credentials, code } }));

export const useRegister = (invite: string) =>
  useOpenSession((credentials) => api.POST("/api/auth/register", { body: { ...credentials, invite } }));

/** A form that ends with somebody signed in. */
function useOpenSession(
  send: (credentials: Credentials) => Promise<{ data?: Session; error?: unknown; response: Response }>,
) {
  const queries = useQueryClient();
  const mutation = useMutation({
    mutationFn: (credentials: Credentials) => body(send(credentials)),
    onSuccess: ({ user }) => {
      become(queries, user);
      goTo("/");
    },
  });
  return {
    submit: (credentials: Credentials) => mutation.mutate(credentials),
    busy: mutation.isPending,
    problem: mutation.error ? problemOf(mutation.error) : undefined,
  };
}

export function useSignOut() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: () => done(api.POST("/api/auth/logout")),
    onSuccess: () => become(queries, null),
  });
}

/** Changes who is signed in. The answer to "who am I" stays where the page looks for it; the rest was for the last account. */
function become(queries: QueryClient, user: User | null) {
  rememberSignedIn(user !== null);
  useExclusion.setState({ problem: null });
  queries.setQueryData(meQuery.queryKey, user);
  queries.removeQueries({ predicate: (query) => query.queryKey[0] !== meQuery.queryKey[0] });
}
