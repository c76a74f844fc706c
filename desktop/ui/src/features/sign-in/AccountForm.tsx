import { type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import type { Problem } from "../../api/problem";
import { Button } from "../../components/Button";
import { Field } from "../../components/Field";
import { ProblemNotice } from "../problem/ProblemNotice";

export type Credentials = { username: string; password: string };

export type AccountFormProps = {
  /** Prefix of the test ids. */
  name: "signin" | "setup" | "invite";
  submitLabel: string;
  busy: boolean;
  problem: Problem | undefined;
  onSubmit: (credentials: Credentials) => void;
  children?: ReactNode;
};

/** User name and password: for signing in, and with hints for a new account. */
export function AccountForm({ name, submitLabel, busy, problem, onSubmit, children }: AccountFormProps) {
  const { t } = useTranslation();
  const [username, setUsername] = useState("");
  const [password, setPassword] = useState("");
  const isNew = name !== "signin";
  const fieldError = (field: string) => (problem?.field === field ? problem.detail : undefined);
  const inField = problem?.field === "username" || problem?.field === "password";

  return (
    <form
      className="flex flex-col gap-4"
      onSubmit={(event) => {
        event.preventDefault();
        onSubmit({ username, password });
      }}
    >
      <Field
        label={t("account.username")}
        hint={isNew ? t("account.usernameHint") : undefined}
        error={fieldError("username")}
        value={username}
        onChange={(event) => setUsername(event.target.value)}
        autoComplete="username"
        autoCapitalize="none"
        spellCheck={false}
        autoFocus
        required
        maxLength={64}
        data-testid={`${name}-username`}
      />
      <Field
        label={t("account.password")}
        hint={isNew ? t("account.passwordHint") : undefined}
        error={fieldError("password")}
        value={password}
        onChange={(event) => setPassword(event.target.value)}
        type="password"
        autoComplete={isNew ? "new-password" : "current-password"}
        required
        data-testid={`${name}-password`}
      />
      {problem && !inField && <ProblemNotice problem={problem} />}
      <Button variant="primary" type="submit" busy={busy} className="w-full" data-testid={`${name}-submit`}>
        {submitLabel}
      </Button>
      {children}
    </form>
  );
}
