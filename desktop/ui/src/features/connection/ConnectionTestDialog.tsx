import { useTranslation } from "react-i18next";
import { Dialog } from "../../components/Dialog";
import { ConnectionTest } from "./ConnectionTest";

export function ConnectionTestDialog({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  return (
    <Dialog
      title={t("connectionTest.title")}
      intro={t("connectionTest.intro")}
      closeLabel={t("action.close")}
      onClose={onClose}
    >
      <ConnectionTest />
    </Dialog>
  );
}
