import { Check, X } from "lucide-react";
import { useTranslation } from "react-i18next";
import { problemOf } from "../../api/problem";
import { Button } from "../../components/Button";
import { Notice } from "../../components/Notice";
import { Spinner } from "../../components/Spinner";
import type { PathOutcome } from "../../voice/client";
import { ProblemNotice } from "../problem/ProblemNotice";
import { useConnectionTest } from "./useConnectionTest";
import { type PathName, type Verdict, verdictOf } from "./verdict";

/** Shows by which paths sound gets to the server and back, and what that means. */
export function ConnectionTest() {
  const { t } = useTranslation();
  const { paths, outcomes, run } = useConnectionTest();
  return (
    <div className="flex flex-col gap-3">
      {paths.length > 0 && (
        <ul aria-label={t("connectionTest.paths")} className="flex flex-col gap-1.5">
          {paths.map((path) => (
            <PathLine key={path} path={path} outcome={outcomes.get(path)} />
          ))}
        </ul>
      )}
      {run.isSuccess && <VerdictNotice verdict={verdictOf(outcomes)} />}
      {run.error && <ProblemNotice problem={problemOf(run.error)} />}
      <Button
        busy={run.isPending}
        onClick={() => run.mutate()}
        className="self-start"
        data-testid="connection-test-run"
      >
        {t(run.isIdle ? "connectionTest.start" : "connectionTest.again")}
      </Button>
    </div>
  );
}

function PathLine({ path, outcome }: { path: PathName; outcome: PathOutcome | undefined }) {
  const { t } = useTranslation();
  return (
    <li
      className="flex items-baseline gap-2"
      data-testid={`path-${path}`}
      data-state={outcome ? (outcome.works ? "works" : "fails") : "testing"}
    >
      <span className="self-center">
        {!outcome && <Spinner className="size-4 text-soft" />}
        {outcome?.works === true && <Check aria-hidden className="size-4 text-speech" />}
        {outcome?.works === false && <X aria-hidden className="size-4 text-danger" />}
      </span>
      <span className="flex-1">{t(`connectionTest.path.${path}`)}</span>
      <span className="text-right text-soft tabular-nums">
        {outcome ? <Result outcome={outcome} /> : t("connectionTest.testing")}
      </span>
    </li>
  );
}

function Result({ outcome }: { outcome: PathOutcome }) {
  const { t } = useTranslation();
  if (!outcome.works) return t(`connectionTest.stage.${outcome.stage}`);
  const milliseconds = Math.round(outcome.roundTrip ?? outcome.soundAfter);
  const time = t(outcome.roundTrip === null ? "connectionTest.soundAfter" : "connectionTest.roundTrip", {
    milliseconds,
  });
  const lost = t("connectionTest.lost", { percent: Math.round(outcome.lost * 1000) / 10 });
  return outcome.lost > 0 ? `${time}, ${lost}` : time;
}

function VerdictNotice({ verdict }: { verdict: Verdict }) {
  const { t } = useTranslation();
  const tone = verdict === "good" ? "info" : verdict === "lossy" || verdict === "detour" ? "warn" : "danger";
  return (
    <Notice tone={tone} data-testid="connection-test-verdict" data-verdict={verdict}>
      <p className="font-medium">{t(`connectionTest.verdict.${verdict}.what`)}</p>
      <p className="text-soft">{t(`connectionTest.verdict.${verdict}.next`)}</p>
    </Notice>
  );
}
