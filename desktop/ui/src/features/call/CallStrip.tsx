import { PhoneOff, Radio, TriangleAlert, X } from "lucide-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { MediaPath } from "../../api/client";
import type { ProblemCode } from "../../api/problem";
import { Button } from "../../components/Button";
import { classes } from "../../components/classes";
import { IconButton } from "../../components/IconButton";
import { Spinner } from "../../components/Spinner";
import { never } from "../../never";
import type { CallState } from "../../voice/client";
import { isRelayed } from "../people/path";
import { ProblemNotice } from "../problem/ProblemNotice";
import { useSecondsSince } from "./useSecondsSince";

export type CallStripProps = {
  call: CallState;
  /** Name of the channel that the call is about. */
  channelName: string | undefined;
  /** What one's own sound travels by, once the server has told. */
  path: MediaPath | null;
  onLeave: () => void;
  onRetry: (channelId: string) => void;
  /** Finds out why no sound gets through. */
  onTest: () => void;
};

/** There is no channel left to try. */
const GONE: ReadonlySet<ProblemCode> = new Set(["channel_deleted", "channel_not_found"]);

/** The way of the sound is at fault. */
const NO_WAY: ReadonlySet<ProblemCode> = new Set(["no_route", "connection_lost"]);

/** How the call stands, above one's own panel. Always in the page, so that changes are read out. */
export function CallStrip(props: CallStripProps) {
  return (
    <section
      role="status"
      data-testid="call-state"
      data-state={props.call.state}
      className={classes(props.call.state === "idle" ? "sr-only" : "border-t border-line px-3 py-2.5")}
    >
      <State {...props} />
    </section>
  );
}

function State({ call, channelName, path, onLeave, onRetry, onTest }: CallStripProps) {
  const { t } = useTranslation();
  switch (call.state) {
    case "idle":
      return <span>{t("call.idle")}</span>;
    case "connecting":
      return (
        <Line
          icon={<Spinner className="size-4.5 text-soft" />}
          title={t("call.connecting")}
          below={channelName}
          onLeave={onLeave}
        />
      );
    case "connected":
      return (
        <Line
          icon={<Radio aria-hidden className="size-4.5 text-speech" />}
          title={t(path && isRelayed(path) ? "call.relayed" : "call.connected")}
          below={<Whereabouts channelName={channelName} path={path} />}
          onLeave={onLeave}
        />
      );
    case "reconnecting":
      return <Reconnecting since={call.since} channelName={channelName} onLeave={onLeave} />;
    case "failed":
      return (
        <>
          <Line
            icon={<TriangleAlert aria-hidden className="size-4.5 text-danger" />}
            title={t("call.failed")}
            below={channelName}
            onLeave={onLeave}
            over
          />
          <ProblemNotice
            problem={call.problem}
            className="mt-2"
            actions={
              !GONE.has(call.problem.code) && (
                <>
                  <Button className="h-8" onClick={() => onRetry(call.channelId)}>
                    {t("action.tryAgain")}
                  </Button>
                  {NO_WAY.has(call.problem.code) && (
                    <Button className="h-8" onClick={onTest} data-testid="connection-test-open">
                      {t("connectionTest.start")}
                    </Button>
                  )}
                </>
              )
            }
          />
        </>
      );
    default:
      return never(call);
  }
}

type WhereaboutsProps = { channelName: string | undefined; path: MediaPath | null };

function Whereabouts({ channelName, path }: WhereaboutsProps) {
  const { t } = useTranslation();
  return (
    <span className="flex gap-1.5">
      <span className="truncate">{channelName}</span>
      {channelName && path && <span aria-hidden>·</span>}
      {path && (
        // Nobody wants to hear each new measurement.
        <span aria-hidden className="shrink-0 tabular-nums" data-testid="call-path" data-transport={path.transport}>
          {t(`path.${path.transport}`)}
          {path.rtt_ms !== null && ` · ${t("path.roundTrip", { milliseconds: path.rtt_ms })}`}
        </span>
      )}
    </span>
  );
}

type ReconnectingProps = { since: number; channelName: string | undefined; onLeave: () => void };

function Reconnecting({ since, channelName, onLeave }: ReconnectingProps) {
  const { t } = useTranslation();
  const seconds = useSecondsSince(since);
  return (
    <Line
      icon={<Spinner className="size-4.5 text-warn" />}
      title={
        <>
          <span className="sr-only">{t("call.reconnectingShort")}</span>
          {/* A count that is read out each second would drown everything else. */}
          <span aria-hidden className="text-warn tabular-nums">
            {t("call.reconnecting", { seconds })}
          </span>
        </>
      }
      below={channelName}
      onLeave={onLeave}
    />
  );
}

type LineProps = { icon: ReactNode; title: ReactNode; below: ReactNode; onLeave: () => void; over?: boolean };

/** `over`: there is nothing left to leave, only a message to put away. */
function Line({ icon, title, below, onLeave, over = false }: LineProps) {
  const { t } = useTranslation();
  return (
    <div className="flex items-center gap-2.5">
      {icon}
      <div className="min-w-0 flex-1 leading-tight">
        <div className="font-medium">{title}</div>
        {below && <div className="truncate text-xs text-soft">{below}</div>}
      </div>
      <IconButton label={t(over ? "action.dismiss" : "call.leave")} onClick={onLeave} data-testid="call-leave">
        {over ? <X /> : <PhoneOff />}
      </IconButton>
    </div>
  );
}
