import { useTranslation } from "react-i18next";
import { classes } from "../../components/classes";

export function Logo({ className }: { className?: string }) {
  const { t } = useTranslation();
  return (
    <div className={classes("flex items-center gap-2.5 font-semibold tracking-tight", className)}>
      <img src="/icon.svg" alt="" className="size-[1.35em]" />
      {t("app.name")}
    </div>
  );
}
