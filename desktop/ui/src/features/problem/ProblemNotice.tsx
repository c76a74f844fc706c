import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { Problem } from "../../api/problem";
import { Notice } from "../../components/Notice";

export type ProblemNoticeProps = {
  problem: Problem;
  tone?: "danger" | "warn";
  actions?: ReactNode;
  className?: string;
};

/** A failure as people need it: what happened, what to do, and a code to ask about. */
export function ProblemNotice({ problem, tone = "danger", actions, className }: ProblemNoticeProps) {
  const { t } = useTranslation();
  return (
    <Notice tone={tone} actions={actions} className={className} data-testid="error" data-code={problem.code}>
      <p className="font-medium">{t(`problems.${problem.code}.what`)}</p>
      <p className="text-soft">
        {problem.retryAfter === undefined
          ? t(`problems.${problem.code}.next`)
          : t("problem.retryIn", { seconds: problem.retryAfter })}
      </p>
      {problem.detail && <p className="mt-1 text-xs break-words text-soft">{problem.detail}</p>}
      <p className="mt-1 font-mono text-[0.72rem] text-soft">{t("problem.code", { code: problem.code })}</p>
    </Notice>
  );
}
