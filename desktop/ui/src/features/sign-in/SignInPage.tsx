import { useTranslation } from "react-i18next";
import { useExclusion } from "../../api/session";
import { Notice } from "../../components/Notice";
import { ProblemNotice } from "../problem/ProblemNotice";
import { AccountForm } from "./AccountForm";
import { Page } from "./Page";
import { useSetupNeeded, useSignIn } from "./useSession";

export function SignInPage() {
  const { t } = useTranslation();
  const { submit, busy, problem } = useSignIn();
  const setupNeeded = useSetupNeeded();
  const exclusion = useExclusion((state) => state.problem);
  return (
    <Page title={t("signIn.title")}>
      {exclusion && !problem && <ProblemNotice problem={exclusion} className="mb-4" />}
      {setupNeeded && (
        <Notice tone="info" className="mb-4">
          {t("signIn.needsSetup")}
        </Notice>
      )}
      <AccountForm name="signin" submitLabel={t("signIn.submit")} busy={busy} problem={problem} onSubmit={submit}>
        {!setupNeeded && <p className="text-center text-xs text-soft">{t("signIn.needsInvite")}</p>}
      </AccountForm>
    </Page>
  );
}
