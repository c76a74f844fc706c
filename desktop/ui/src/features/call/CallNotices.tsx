import { useTranslation } from "react-i18next";
import { Button } from "../../components/Button";
import { Notice } from "../../components/Notice";
import type { VoiceSnapshot } from "../../voice/client";
import { ProblemNotice } from "../problem/ProblemNotice";

export type CallNoticesProps = {
  voice: VoiceSnapshot;
  /** Name of the channel that the call is about. */
  channelName: string | undefined;
  onEnableSound: () => void;
  onRetryMicrophone: () => void;
  onDismissMove: () => void;
};

/** What somebody in a call has to know: where it went, and what keeps it from being heard, each with the way out. */
export function CallNotices(props: CallNoticesProps) {
  const { voice, channelName, onEnableSound, onRetryMicrophone, onDismissMove } = props;
  const { t } = useTranslation();
  const { microphone } = voice;
  return (
    <div className="flex flex-col gap-2 px-2 pb-2 empty:hidden">
      {voice.movedTo !== null && (
        <Notice
          tone="info"
          data-testid="call-moved"
          actions={
            <Button className="h-8" onClick={onDismissMove}>
              {t("action.dismiss")}
            </Button>
          }
        >
          {channelName ? t("call.movedTo", { name: channelName }) : t("call.moved")}
        </Notice>
      )}
      {voice.serverMuted && (
        <Notice tone="warn" data-testid="server-muted">
          {t("call.serverMutedNews")}
        </Notice>
      )}
      {voice.serverDeafened && (
        <Notice tone="warn" data-testid="server-deafened">
          {t("call.serverDeafenedNews")}
        </Notice>
      )}
      {voice.playbackBlocked && (
        <Notice
          tone="warn"
          data-testid="playback-blocked"
          actions={
            <Button variant="primary" className="h-8" onClick={onEnableSound} data-testid="enable-sound">
              {t("call.enableSound")}
            </Button>
          }
        >
          {t("call.soundBlocked")}
        </Notice>
      )}
      {microphone.state === "failed" && (
        <ProblemNotice
          tone="warn"
          problem={microphone.problem}
          actions={
            microphone.problem.code !== "insecure_origin" && (
              <Button className="h-8" onClick={onRetryMicrophone}>
                {t("action.tryAgain")}
              </Button>
            )
          }
        />
      )}
      {microphone.state === "silent" && <ProblemNotice tone="warn" problem={{ code: "microphone_silent" }} />}
    </div>
  );
}
