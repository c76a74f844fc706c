import { useTranslation } from "react-i18next";
import { Field } from "../../components/Field";

const REASON_CHARS = 500;

export type ReasonFieldProps = {
  /** Who reads it. */
  hint: string;
  value: string;
  onChange: (reason: string) => void;
};

export function ReasonField({ hint, value, onChange }: ReasonFieldProps) {
  const { t } = useTranslation();
  return (
    <Field
      label={t("moderation.reason")}
      note={t("channels.optional")}
      hint={hint}
      maxLength={REASON_CHARS}
      value={value}
      onChange={(event) => onChange(event.target.value)}
      data-testid="reason"
    />
  );
}
