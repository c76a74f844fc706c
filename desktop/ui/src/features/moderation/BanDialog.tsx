import { useId, useState } from "react";
import { useTranslation } from "react-i18next";
import { canManage, type User } from "../../api/client";
import { problemOf } from "../../api/problem";
import { Choice } from "../../components/Choice";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { ProblemNotice } from "../problem/ProblemNotice";
import { ReasonField } from "./ReasonField";
import { useBan } from "./useModeration";

const SECONDS = { hour: 3_600, day: 86_400, week: 604_800, forever: null };

export type BanDialogProps = { person: { userId: string; name: string }; me: User; onClose: () => void };

export function BanDialog({ person, me, onClose }: BanDialogProps) {
  const { t } = useTranslation();
  const id = useId();
  const [reason, setReason] = useState("");
  const [period, setPeriod] = useState<keyof typeof SECONDS>("day");
  const [withAddress, setWithAddress] = useState(false);
  const ban = useBan();
  const confirm = () => {
    const seconds = SECONDS[period];
    const wish = { user_id: person.userId, include_address: withAddress, reason };
    ban.mutate(seconds === null ? wish : { ...wish, expires_in_seconds: seconds }, { onSuccess: onClose });
  };
  return (
    <ConfirmDialog
      title={t("moderation.banTitle", { name: person.name })}
      text={t("moderation.banText")}
      confirmLabel={t("moderation.ban")}
      cancelLabel={t("action.cancel")}
      busy={ban.isPending}
      onConfirm={confirm}
      onCancel={onClose}
    >
      <div className="flex flex-col gap-4">
        <ReasonField hint={t("moderation.reasonHint")} value={reason} onChange={setReason} />
        <div>
          <h3 className="mb-1 font-medium">{t("moderation.period")}</h3>
          <Choice
            label={t("moderation.period")}
            value={period}
            options={[
              { value: "hour", label: t("moderation.hour") },
              { value: "day", label: t("moderation.day") },
              { value: "week", label: t("moderation.week") },
              { value: "forever", label: t("moderation.forever") },
            ]}
            onChange={setPeriod}
          />
        </div>
        {canManage(me) && (
          <div className="flex items-start gap-2.5">
            <input
              id={id}
              type="checkbox"
              className="mt-1 accent-accent-fill"
              checked={withAddress}
              onChange={(event) => setWithAddress(event.target.checked)}
            />
            <label htmlFor={id}>
              {t("moderation.withAddress")}
              <span className="block text-xs text-soft">{t("moderation.withAddressHint")}</span>
            </label>
          </div>
        )}
      </div>
      {ban.error && <ProblemNotice problem={problemOf(ban.error)} className="mt-3" />}
    </ConfirmDialog>
  );
}
