import { useTranslation } from "react-i18next";
import type { User } from "../../api/client";
import { Choice } from "../../components/Choice";
import { Dialog } from "../../components/Dialog";
import { ConnectionTest } from "../connection/ConnectionTest";
import { Avatar } from "../people/Avatar";
import { PasswordForm } from "./PasswordForm";
import { setTheme, useTheme } from "./useTheme";

export function SettingsDialog({ me, onClose }: { me: User; onClose: () => void }) {
  const { t } = useTranslation();
  const theme = useTheme((state) => state.theme);
  return (
    <Dialog title={t("settings.title")} closeLabel={t("action.close")} onClose={onClose}>
      <div className="flex flex-col gap-6">
        <div className="flex items-center gap-3">
          <Avatar name={me.username} userId={me.id} className="size-11 text-lg" />
          <div>
            <div className="font-semibold">{me.username}</div>
            <div className="text-soft">{t(`roles.${me.role}`)}</div>
          </div>
        </div>
        <section>
          <h3 className="mb-1.5 font-medium">{t("settings.theme")}</h3>
          <Choice
            label={t("settings.theme")}
            value={theme}
            options={[
              { value: "system", label: t("settings.themeSystem") },
              { value: "light", label: t("settings.themeLight") },
              { value: "dark", label: t("settings.themeDark") },
            ]}
            onChange={setTheme}
          />
        </section>
        <section className="border-t border-line pt-5">
          <h3 className="mb-1.5 font-medium">{t("settings.connection")}</h3>
          <p className="mb-3 text-soft">{t("connectionTest.intro")}</p>
          <ConnectionTest />
        </section>
        <PasswordForm username={me.username} />
      </div>
    </Dialog>
  );
}
