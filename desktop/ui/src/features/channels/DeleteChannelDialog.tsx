import { useTranslation } from "react-i18next";
import type { ChannelWithParticipants } from "../../api/client";
import { problemOf } from "../../api/problem";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { ProblemNotice } from "../problem/ProblemNotice";
import { useDeleteChannel } from "./useChannels";

export type DeleteChannelDialogProps = { channel: ChannelWithParticipants; onClose: () => void };

export function DeleteChannelDialog({ channel, onClose }: DeleteChannelDialogProps) {
  const { t } = useTranslation();
  const remove = useDeleteChannel(channel.id);
  return (
    <ConfirmDialog
      title={t("channels.deleteTitle", { name: channel.name })}
      text={t("channels.deleteText", { count: channel.participants.length })}
      confirmLabel={t("action.delete")}
      cancelLabel={t("action.cancel")}
      busy={remove.isPending}
      onConfirm={() => remove.mutate(undefined, { onSuccess: onClose })}
      onCancel={onClose}
    >
      {remove.error && <ProblemNotice problem={problemOf(remove.error)} />}
    </ConfirmDialog>
  );
}
