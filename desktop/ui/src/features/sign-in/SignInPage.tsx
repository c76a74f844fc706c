import { useTranslation } from "react-i18next";
import { Notice } from "../../components/Notice";
import { AccountForm } from "./AccountForm";
import { Page } from "./Page";
import { useSetupNeeded, useSignIn } from "./useSession";

export function SignInPage() {
  const { t } = useTranslation();
  const { submit, busy, problem } = useSignIn();
  const setupNeeded = useSetupNeeded();
  return (
    <Page title={t("signIn.title")}>
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
