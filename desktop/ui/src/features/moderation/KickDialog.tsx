import { useState } from "react";
import { useTranslation } from "react-i18next";
import { problemOf } from "../../api/problem";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { ProblemNotice } from "../problem/ProblemNotice";
import { ReasonField } from "./ReasonField";
import { useKick } from "./useModeration";

export type KickDialogProps = { person: { userId: string; name: string }; onClose: () => void };

export function KickDialog({ person, onClose }: KickDialogProps) {
  const { t } = useTranslation();
  const [reason, setReason] = useState("");
  const kick = useKick(person.userId);
  return (
    <ConfirmDialog
      title={t("moderation.kickTitle", { name: person.name })}
      text={t("moderation.kickText")}
      confirmLabel={t("moderation.kick")}
      cancelLabel={t("action.cancel")}
      busy={kick.isPending}
      onConfirm={() => kick.mutate({ reason }, { onSuccess: onClose })}
      onCancel={onClose}
    >
      <ReasonField hint={t("moderation.reasonHint")} value={reason} onChange={setReason} />
      {kick.error && <ProblemNotice problem={problemOf(kick.error)} className="mt-3" />}
    </ConfirmDialog>
  );
}
