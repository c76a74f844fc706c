import {
  infiniteQueryOptions,
  queryOptions,
  useInfiniteQuery,
  useMutation,
  useQuery,
  useQueryClient,
} from "@tanstack/react-query";
import { api, body, done, type User } from "../../api/client";
import type { components } from "../../api/schema";
import { moderates } from "./ranks";

type Schemas = components["schemas"];
export type Ban = Schemas["Ban"];
export type AuditEntry = Schemas["AuditEntry"];

const PAGE = 50;

const usersQuery = queryOptions({
  queryKey: ["users"],
  queryFn: () => body(api.GET("/api/users")),
  // Roles change seldom, and the server decides anyway; who is new is asked for by `useRoleOf`.
  staleTime: 60_000,
});

/** The role of a member, for those who may do something about them; `undefined` while it is not known. */
export function useRoleOf(userId: string, me: User): User["role"] | undefined {
  const users = useQuery({ ...usersQuery, enabled: moderates(me) && userId !== me.id });
  return users.data?.find((user) => user.id === userId)?.role;
}

/** Asks again when somebody is seen who was not there the last time. */
export function useFreshUsers() {
  const queries = useQueryClient();
  return () => void queries.invalidateQueries(usersQuery);
}

export function useUpdateVoice(id: string) {
  return useMutation({
    mutationFn: (change: Schemas["UpdateVoice"]) =>
      body(api.PATCH("/api/members/{id}/voice", { params: { path: { id } }, body: change })),
  });
}

export function useMove(id: string) {
  return useMutation({
    mutationFn: (move: Schemas["MoveRequest"]) =>
      done(api.POST("/api/members/{id}/move", { params: { path: { id } }, body: move })),
  });
}

export function useDisconnect(id: string) {
  return useMutation({
    mutationFn: () => done(api.POST("/api/members/{id}/disconnect", { params: { path: { id } }, body: {} })),
  });
}

export function useKick(id: string) {
  const refresh = useRefresh();
  return useMutation({
    mutationFn: (request: Schemas["ReasonRequest"]) =>
      done(api.POST("/api/members/{id}/kick", { params: { path: { id } }, body: request })),
    onSuccess: refresh,
  });
}

export function useBan() {
  const refresh = useRefresh();
  return useMutation({
    mutationFn: (ban: Schemas["CreateBan"]) => body(api.POST("/api/bans", { body: ban })),
    onSuccess: refresh,
  });
}

export function useUnban() {
  const refresh = useRefresh();
  return useMutation({
    mutationFn: (id: string) => done(api.DELETE("/api/bans/{id}", { params: { path: { id } } })),
    onSuccess: refresh,
  });
}

const bansQuery = queryOptions({ queryKey: ["bans"], queryFn: () => body(api.GET("/api/bans")) });

export const useBans = () => useQuery(bansQuery);

const auditQuery = infiniteQueryOptions({
  queryKey: ["audit-log"],
  queryFn: ({ pageParam }) => {
    const query = pageParam === null ? { limit: PAGE } : { limit: PAGE, before: pageParam };
    return body(api.GET("/api/audit-log", { params: { query } }));
  },
  initialPageParam: null as number | null,
  getNextPageParam: (page) => page.next_before,
});

export const useAuditLog = () => useInfiniteQuery(auditQuery);

function useRefresh() {
  const queries = useQueryClient();
  return () =>
    Promise.all(
      [usersQuery, bansQuery, auditQuery].map((query) => queries.invalidateQueries({ queryKey: query.queryKey })),
    );
}
