import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { Problem, ProblemCode } from "../../api/problem";
import { Notice } from "../../components/Notice";

export type ProblemNoticeProps = {
  problem: Problem;
  tone?: "danger" | "warn";
  actions?: ReactNode;
  className?: string;
};

/** Codes that cover many causes: only the words that came with them say which. */
const VAGUE: ReadonlySet<ProblemCode> = new Set([
  "validation_failed",
  "malformed_body",
  "internal",
  "unexpected_answer",
  "voice_unreachable",
  "voice_refused",
  "no_route",
  "browser_unsupported",
  "microphone_failed",
  "microphone_not_sent",
]);

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
      {problem.until !== undefined && <p>{t("problem.until", { date: date(problem.until) })}</p>}
      {problem.reason && <p className="break-words">{t("problem.reason", { reason: problem.reason })}</p>}
      {problem.detail && VAGUE.has(problem.code) && (
        <p className="mt-1 text-xs break-words text-soft">{problem.detail}</p>
      )}
      <p className="mt-1 font-mono text-[0.72rem] text-soft">{t("problem.code", { code: problem.code })}</p>
    </Notice>
  );
}

function date(at: number): string {
  return new Date(at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}
