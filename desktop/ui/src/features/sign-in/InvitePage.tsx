import { useTranslation } from "react-i18next";
import { problemOf } from "../../api/problem";
import { Button } from "../../components/Button";
import { Spinner } from "../../components/Spinner";
import { goTo } from "../../route";
import { ProblemNotice } from "../problem/ProblemNotice";
import { AccountForm } from "./AccountForm";
import { Page } from "./Page";
import { useInvite, useRegister } from "./useSession";

export function InvitePage({ code }: { code: string }) {
  const { t, i18n } = useTranslation();
  const invite = useInvite(code);
  const { submit, busy, problem } = useRegister(code);
  const toSignIn = (
    <Button variant="quiet" className="w-full" onClick={() => goTo("/")}>
      {t("register.toSignIn")}
    </Button>
  );
  if (invite.isPending) {
    return (
      <Page title={t("register.title")}>
        <Spinner className="mx-auto size-6 text-soft" />
      </Page>
    );
  }
  if (invite.isError) {
    return (
      <Page title={t("register.title")}>
        <ProblemNotice problem={problemOf(invite.error)} className="mb-4" />
        {toSignIn}
      </Page>
    );
  }
  const date = new Intl.DateTimeFormat(i18n.language, { dateStyle: "medium", timeStyle: "short" });
  return (
    <Page title={t("register.title")} intro={t("register.intro")}>
      <AccountForm name="invite" submitLabel={t("register.submit")} busy={busy} problem={problem} onSubmit={submit}>
        <p className="text-center text-xs text-soft">
          {t("register.expires", { date: date.format(invite.data.expires_at) })}
        </p>
        {toSignIn}
      </AccountForm>
    </Page>
  );
}
