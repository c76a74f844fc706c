import { queryOptions, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { create } from "zustand";
import { api, body, type ChannelWithParticipants, type CreateChannel, done } from "../../api/client";
import { followEvents, type ServerEvent, type StreamState } from "../../api/events";
import { problemFromAnswer } from "../../api/problem";
import { meQuery, noticeExcluded } from "../../api/session";
import { fold } from "./fold";

const channelsQuery = queryOptions({
  queryKey: ["channels"],
  queryFn: async (): Promise<readonly ChannelWithParticipants[]> => body(api.GET("/api/voice/channels")),
  // The event stream keeps it fresh.
  staleTime: Number.POSITIVE_INFINITY,
});

export const useChannels = () => useQuery(channelsQuery);

/** Whether what is on screen follows the server. */
export const useStreamState = create<StreamState>()(() => ({ state: "connecting" }));

/** Keeps the channel list in step with the server for as long as the caller is on screen. */
export function useLiveChannels() {
  const queries = useQueryClient();
  useEffect(
    () =>
      followEvents({
        onEvent: (event) => {
          if (event.type === "excluded") return noticeExcluded(queries, problemFromAnswer(403, event));
          // An answer that is still under way would be older than what the stream has said since.
          if (event.type === "snapshot") void queries.cancelQueries(channelsQuery);
          queries.setQueryData(channelsQuery.queryKey, (channels) =>
            event.type === "snapshot" || channels ? fold(channels ?? [], event) : channels,
          );
        },
        onState: (state) => useStreamState.setState(state, true),
        onRefused: () => void queries.invalidateQueries(meQuery),
      }),
    [queries],
  );
}

export type ChannelDraft = Required<Pick<CreateChannel, "name" | "description" | "maxParticipants" | "position">>;

export function useSaveChannel(id: string | null) {
  const apply = useApply();
  return useMutation({
    mutationFn: (draft: ChannelDraft) =>
      id === null
        ? body(api.POST("/api/voice/channels", { body: draft }))
        : body(api.PATCH("/api/voice/channels/{id}", { params: { path: { id } }, body: draft })),
    onSuccess: (channel) => apply({ type: id === null ? "channel_created" : "channel_updated", channel }),
  });
}

export function useDeleteChannel(id: string) {
  const apply = useApply();
  return useMutation({
    mutationFn: () => done(api.DELETE("/api/voice/channels/{id}", { params: { path: { id } } })),
    onSuccess: () => apply({ type: "channel_deleted", channel_id: id }),
  });
}

/** Shows one's own change at once; the event that follows finds it done. */
function useApply() {
  const queries = useQueryClient();
  return (event: ServerEvent) =>
    queries.setQueryData(channelsQuery.queryKey, (channels) => channels && fold(channels, event));
}
