import { useTranslation } from "react-i18next";
import { Button } from "../../components/Button";
import { Notice } from "../../components/Notice";
import { goTo } from "../../route";
import { AccountForm } from "./AccountForm";
import { Page } from "./Page";
import { useSetUp } from "./useSession";

export function SetupPage({ code }: { code: string }) {
  const { t } = useTranslation();
  const { submit, busy, problem } = useSetUp(code);
  const toSignIn = (
    <Button variant="quiet" className="w-full" onClick={() => goTo("/")}>
      {t("setup.toSignIn")}
    </Button>
  );
  if (code === "") {
    return (
      <Page title={t("setup.title")}>
        <Notice tone="warn">{t("setup.noCode")}</Notice>
        <div className="mt-4">{toSignIn}</div>
      </Page>
    );
  }
  return (
    <Page title={t("setup.title")} intro={t("setup.intro")}>
      <AccountForm name="setup" submitLabel={t("setup.submit")} busy={busy} problem={problem} onSubmit={submit}>
        {problem?.code === "setup_done" && toSignIn}
      </AccountForm>
    </Page>
  );
}
