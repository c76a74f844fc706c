import { useState } from "react";
import { useTranslation } from "react-i18next";
import { canManage, type User } from "../../api/client";
import { problemOf } from "../../api/problem";
import { Button } from "../../components/Button";
import { Choice } from "../../components/Choice";
import { Dialog } from "../../components/Dialog";
import { Spinner } from "../../components/Spinner";
import { ProblemNotice } from "../problem/ProblemNotice";
import { type AuditEntry, type Ban, useAuditLog, useBans, useUnban } from "./useModeration";

/** The bans in force and, for admins, what was done by whom. */
export function ModerationDialog({ me, onClose }: { me: User; onClose: () => void }) {
  const { t } = useTranslation();
  const [page, setPage] = useState<"bans" | "log">("bans");
  return (
    <Dialog title={t("moderation.title")} closeLabel={t("action.close")} onClose={onClose}>
      <div className="flex flex-col gap-4">
        {canManage(me) && (
          <Choice
            label={t("moderation.title")}
            value={page}
            options={[
              { value: "bans", label: t("moderation.bans") },
              { value: "log", label: t("moderation.log") },
            ]}
            onChange={setPage}
          />
        )}
        {page === "bans" ? <Bans mayLift={canManage(me)} /> : <Log />}
      </div>
    </Dialog>
  );
}

function Bans({ mayLift }: { mayLift: boolean }) {
  const { t } = useTranslation();
  const bans = useBans();
  const unban = useUnban();
  if (bans.isPending) return <Spinner className="mx-auto my-4 size-5 text-soft" />;
  if (bans.isError) return <ProblemNotice problem={problemOf(bans.error)} />;
  if (bans.data.length === 0) return <p className="text-soft">{t("moderation.noBans")}</p>;
  return (
    <>
      <ul aria-label={t("moderation.bans")} className="flex flex-col divide-y divide-line">
        {bans.data.map((ban) => (
          <li key={ban.id} data-testid={`ban-${ban.id}`} className="flex items-center gap-3 py-2.5">
            <div className="min-w-0 flex-1">
              <p className="truncate font-medium">{whom(ban)}</p>
              <p className="text-xs break-words text-soft">
                {ban.expires_at === null
                  ? t("moderation.forGood")
                  : t("moderation.until", { date: date(ban.expires_at) })}
                {ban.reason && <> · {ban.reason}</>}
              </p>
            </div>
            {mayLift && (
              <Button
                className="h-8"
                busy={unban.isPending && unban.variables === ban.id}
                onClick={() => unban.mutate(ban.id)}
                aria-label={t("moderation.unbanName", { name: whom(ban) })}
              >
                {t("moderation.unban")}
              </Button>
            )}
          </li>
        ))}
      </ul>
      {unban.error && <ProblemNotice problem={problemOf(unban.error)} />}
    </>
  );
}

function Log() {
  const { t } = useTranslation();
  const log = useAuditLog();
  if (log.isPending) return <Spinner className="mx-auto my-4 size-5 text-soft" />;
  if (log.isError) return <ProblemNotice problem={problemOf(log.error)} />;
  const entries = log.data.pages.flatMap((page) => page.entries);
  if (entries.length === 0) return <p className="text-soft">{t("moderation.emptyLog")}</p>;
  return (
    <>
      <ol aria-label={t("moderation.log")} className="flex flex-col divide-y divide-line">
        {entries.map((entry) => (
          <Entry key={entry.id} entry={entry} />
        ))}
      </ol>
      {log.hasNextPage && (
        <Button className="self-center" busy={log.isFetchingNextPage} onClick={() => void log.fetchNextPage()}>
          {t("moderation.older")}
        </Button>
      )}
    </>
  );
}

function Entry({ entry }: { entry: AuditEntry }) {
  const { t } = useTranslation();
  const { network, from_channel: from, to_channel: to, expires_at: until } = entry.details;
  const more = [
    entry.target_name && network,
    until && t("moderation.until", { date: date(until) }),
    entry.reason,
  ].filter(Boolean);
  return (
    <li data-testid={`audit-${entry.action}`} className="py-2.5">
      <p>
        {t(`moderation.did.${entry.action}`, {
          actor: entry.actor_name ?? t("moderation.operator"),
          target: entry.target_name ?? network ?? "",
          from: from?.name ?? t("moderation.deletedChannel"),
          to: to?.name ?? t("moderation.deletedChannel"),
        })}
      </p>
      <p className="text-xs break-words text-soft">{[date(entry.at), ...more].join(" · ")}</p>
    </li>
  );
}

function whom(ban: Ban): string {
  return [ban.username, ban.network].filter(Boolean).join(", ");
}

function date(at: number): string {
  return new Date(at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}
