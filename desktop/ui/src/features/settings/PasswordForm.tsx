import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, done } from "../../api/client";
import { problemOf } from "../../api/problem";
import { Button } from "../../components/Button";
import { Field } from "../../components/Field";
import { Notice } from "../../components/Notice";
import { ProblemNotice } from "../problem/ProblemNotice";

const EMPTY = { current: "", next: "" };

export function PasswordForm({ username }: { username: string }) {
  const { t } = useTranslation();
  const [form, setForm] = useState(EMPTY);
  const change = useMutation({
    mutationFn: ({ current, next }: typeof EMPTY) =>
      done(api.POST("/api/auth/password", { body: { current_password: current, new_password: next } })),
    onSuccess: () => setForm(EMPTY),
  });
  return (
    <form
      className="flex flex-col gap-3 border-t border-line pt-5"
      onSubmit={(event) => {
        event.preventDefault();
        change.mutate(form);
      }}
    >
      <h3 className="font-medium">{t("settings.changePassword")}</h3>
      {/* Password stores file the new password under this name. */}
      <input type="hidden" name="username" autoComplete="username" value={username} readOnly />
      <Field
        label={t("account.currentPassword")}
        type="password"
        autoComplete="current-password"
        required
        value={form.current}
        onChange={(event) => setForm({ ...form, current: event.target.value })}
      />
      <Field
        label={t("account.newPassword")}
        hint={t("account.passwordHint")}
        type="password"
        autoComplete="new-password"
        required
        value={form.next}
        onChange={(event) => setForm({ ...form, next: event.target.value })}
      />
      {change.error && <ProblemNotice problem={problemOf(change.error)} />}
      {change.isSuccess && <Notice tone="info">{t("settings.passwordChanged")}</Notice>}
      <Button type="submit" busy={change.isPending} className="self-end">
        {t("settings.changePassword")}
      </Button>
    </form>
  );
}
