import { useMutation } from "@tanstack/react-query";
import { Check, Copy } from "lucide-react";
import { useEffect, useId, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, body } from "../../api/client";
import { problemOf } from "../../api/problem";
import { Button } from "../../components/Button";
import { Choice } from "../../components/Choice";
import { Dialog } from "../../components/Dialog";
import { Spinner } from "../../components/Spinner";
import { ProblemNotice } from "../problem/ProblemNotice";

const USES = ["1", "10", "100"] as const;
const SECONDS = { hour: 3_600, day: 86_400, week: 604_800, month: 2_592_000 };

type Terms = { uses: (typeof USES)[number]; period: keyof typeof SECONDS };

/** Makes a link at once, on terms that fit most; other terms make another link. */
export function InviteDialog({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const [terms, setTerms] = useState<Terms>({ uses: "10", period: "week" });
  const invite = useMutation({
    mutationFn: ({ uses, period }: Terms) =>
      body(api.POST("/api/invites", { body: { max_uses: Number(uses), expires_in_seconds: SECONDS[period] } })),
  });
  const { mutate } = invite;
  useEffect(() => mutate({ uses: "10", period: "week" }), [mutate]);

  return (
    <Dialog title={t("invites.title")} intro={t("invites.intro")} closeLabel={t("action.close")} onClose={onClose}>
      <div className="flex flex-col gap-4">
        {invite.data && <Link url={invite.data.url} />}
        {invite.isPending && <Spinner className="mx-auto my-2.5 size-5 text-soft" />}
        {invite.error && <ProblemNotice problem={problemOf(invite.error)} />}
        <div>
          <h3 className="mb-1 font-medium">{t("invites.uses")}</h3>
          <Choice
            label={t("invites.uses")}
            value={terms.uses}
            options={USES.map((uses) => ({ value: uses, label: t("invites.usesOption", { count: Number(uses) }) }))}
            onChange={(uses) => setTerms({ ...terms, uses })}
          />
        </div>
        <div>
          <h3 className="mb-1 font-medium">{t("invites.expires")}</h3>
          <Choice
            label={t("invites.expires")}
            value={terms.period}
            options={[
              { value: "hour", label: t("invites.expiresHour") },
              { value: "day", label: t("invites.expiresDay") },
              { value: "week", label: t("invites.expiresWeek") },
              { value: "month", label: t("invites.expiresMonth") },
            ]}
            onChange={(period) => setTerms({ ...terms, period })}
          />
        </div>
        <div className="flex justify-end">
          <Button busy={invite.isPending} onClick={() => mutate(terms)} data-testid="invite-another">
            {t("invites.another")}
          </Button>
        </div>
      </div>
    </Dialog>
  );
}

function Link({ url }: { url: string }) {
  const { t } = useTranslation();
  const id = useId();
  const [copied, setCopied] = useState<string | null>(null);
  const copy = async () => {
    // Without HTTPS there is no clipboard; the selected text is one keystroke away then.
    await navigator.clipboard?.writeText(url).then(
      () => setCopied(url),
      () => undefined,
    );
  };
  return (
    <div>
      <label htmlFor={id} className="mb-1 block font-medium">
        {t("invites.link")}
      </label>
      <div className="flex gap-2">
        <input
          id={id}
          readOnly
          value={url}
          onFocus={(event) => event.target.select()}
          data-testid="invite-link"
          className="h-9 min-w-0 flex-1 rounded-lg border border-field/60 bg-ground px-3 font-mono text-xs"
        />
        {navigator.clipboard && (
          <Button variant="primary" onClick={() => void copy()} data-testid="invite-copy">
            {copied === url ? <Check className="size-4" /> : <Copy className="size-4" />}
            {t(copied === url ? "action.copied" : "action.copy")}
          </Button>
        )}
      </div>
      <p className="mt-1 text-xs text-soft">{t("invites.once")}</p>
    </div>
  );
}
