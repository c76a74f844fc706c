import type { PathTest } from "../../api/client";
import type { PathOutcome } from "../../voice/client";

export type PathName = PathTest["path"];
export type Outcomes = ReadonlyMap<PathName, PathOutcome>;

/** What all outcomes together mean for whoever wants to talk, from best to worst. */
export type Verdict = "good" | "lossy" | "detour" | "silent" | "unreachable" | "closed";

/** More of it is heard. */
const MUCH_LOSS = 0.03;
const DIRECT: ReadonlySet<PathName> = new Set(["udp4", "udp6"]);

export function verdictOf(outcomes: Outcomes): Verdict {
  const working = [...outcomes].filter(([, outcome]) => outcome.works);
  const direct = working.filter(([path]) => DIRECT.has(path));
  const lost = (direct.length > 0 ? direct : working).map(([, outcome]) => (outcome.works ? outcome.lost : 1));
  if (working.length > 0 && Math.min(...lost) > MUCH_LOSS) return "lossy";
  if (direct.length > 0) return "good";
  if (working.length > 0) return "detour";
  const stages = [...outcomes.values()].map((outcome) => (outcome.works ? null : outcome.stage));
  if (stages.length > 0 && stages.every((stage) => stage === "signalling")) return "unreachable";
  return stages.includes("sound") ? "silent" : "closed";
}
