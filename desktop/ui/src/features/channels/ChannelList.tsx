import { Plus } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { type ChannelWithParticipants, canManage, type User } from "../../api/client";
import { problemOf } from "../../api/problem";
import { Button } from "../../components/Button";
import { IconButton } from "../../components/IconButton";
import { ProblemNotice } from "../problem/ProblemNotice";
import { ChannelDialog } from "./ChannelDialog";
import { ChannelItem } from "./ChannelItem";
import { DeleteChannelDialog } from "./DeleteChannelDialog";
import { useChannels } from "./useChannels";

type Open = { dialog: "create" } | { dialog: "edit" | "delete"; channel: ChannelWithParticipants } | null;

export function ChannelList({ me }: { me: User }) {
  const { t } = useTranslation();
  const channels = useChannels();
  const [open, setOpen] = useState<Open>(null);
  const manages = canManage(me);

  return (
    <nav aria-label={t("channels.heading")} className="flex min-h-0 flex-1 flex-col">
      <div className="flex items-center justify-between py-1 pr-2 pl-4">
        <h2 className="text-xs font-semibold tracking-wide text-soft">{t("channels.heading")}</h2>
        {manages && (
          <IconButton
            label={t("channels.create")}
            onClick={() => setOpen({ dialog: "create" })}
            className="size-7"
            data-testid="channel-create"
          >
            <Plus />
          </IconButton>
        )}
      </div>
      <div className="min-h-0 flex-1 overflow-y-auto px-2 pb-3">
        {channels.isPending && <Skeleton label={t("app.loading")} />}
        {channels.isError && (
          <ProblemNotice
            problem={problemOf(channels.error)}
            actions={<Button onClick={() => void channels.refetch()}>{t("action.tryAgain")}</Button>}
          />
        )}
        {channels.data?.length === 0 && (
          <div className="px-2 py-3 text-soft">
            <p className="font-medium text-ink">{t("channels.empty")}</p>
            <p>{t(manages ? "channels.emptyAdmin" : "channels.emptyMember")}</p>
          </div>
        )}
        <ul className="flex flex-col gap-0.5">
          {channels.data?.map((channel) => (
            <ChannelItem
              key={channel.id}
              channel={channel}
              me={me}
              onEdit={() => setOpen({ dialog: "edit", channel })}
              onDelete={() => setOpen({ dialog: "delete", channel })}
            />
          ))}
        </ul>
      </div>
      {open?.dialog === "create" && (
        <ChannelDialog channel={null} nextPosition={nextPosition(channels.data)} onClose={() => setOpen(null)} />
      )}
      {open?.dialog === "edit" && (
        <ChannelDialog channel={open.channel} nextPosition={open.channel.position} onClose={() => setOpen(null)} />
      )}
      {open?.dialog === "delete" && <DeleteChannelDialog channel={open.channel} onClose={() => setOpen(null)} />}
    </nav>
  );
}

/** A new channel goes to the end unless somebody says otherwise. */
function nextPosition(channels: readonly ChannelWithParticipants[] | undefined): number {
  return Math.max(-1, ...(channels ?? []).map((channel) => channel.position)) + 1;
}

function Skeleton({ label }: { label: string }) {
  return (
    <div role="status" aria-label={label} className="flex animate-pulse flex-col gap-2 p-2">
      {["w-3/5", "w-4/5", "w-1/2"].map((width) => (
        <div key={width} className={`h-5 rounded-md bg-hover ${width}`} />
      ))}
    </div>
  );
}
