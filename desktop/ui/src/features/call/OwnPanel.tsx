import { HeadphoneOff, Headphones, LogOut, Mic, MicOff, Settings } from "lucide-react";
import { useTranslation } from "react-i18next";
import type { User } from "../../api/client";
import { IconButton } from "../../components/IconButton";
import { never } from "../../never";
import type { VoiceSnapshot } from "../../voice/client";
import { Avatar } from "../people/Avatar";

export type OwnPanelProps = {
  me: User;
  voice: VoiceSnapshot;
  onToggleMute: () => void;
  onToggleDeafen: () => void;
  onRetryMicrophone: () => void;
  onSettings: () => void;
  onSignOut: () => void;
};

/** Oneself: who, how one is heard, and the switches for it. */
export function OwnPanel({ me, voice, onToggleMute, onToggleDeafen, onRetryMicrophone, ...actions }: OwnPanelProps) {
  const { t } = useTranslation();
  const speaking = voice.people.get(me.id)?.speaking ?? false;
  const failed = voice.microphone.state === "failed" && !voice.muted;
  const micLabel = failed ? t("call.microphoneFailed") : t(voice.muted ? "call.unmute" : "call.mute");
  return (
    <section
      aria-label={t("settings.you")}
      className="flex items-center gap-2 border-t border-line bg-side px-2.5 py-2"
    >
      <Avatar name={me.username} userId={me.id} speaking={speaking} className="ml-0.5 size-8 text-sm" />
      <div className="min-w-0 flex-1 leading-tight">
        <div className="truncate font-medium">{me.username}</div>
        <div className="truncate text-xs text-soft">
          <OwnStatus me={me} voice={voice} />
        </div>
      </div>
      <div className="flex items-center">
        <IconButton
          label={micLabel}
          tone={failed ? "warn" : voice.muted ? "danger" : "normal"}
          onClick={failed ? onRetryMicrophone : onToggleMute}
          data-testid="self-mute"
        >
          {voice.muted || failed ? <MicOff /> : <Mic />}
        </IconButton>
        <IconButton
          label={t(voice.deafened ? "call.undeafen" : "call.deafen")}
          tone={voice.deafened ? "danger" : "normal"}
          onClick={onToggleDeafen}
          data-testid="self-deafen"
          className="ml-0.5"
        >
          {voice.deafened ? <HeadphoneOff /> : <Headphones />}
        </IconButton>
        <IconButton label={t("settings.title")} onClick={actions.onSettings} data-testid="settings-open">
          <Settings />
        </IconButton>
        <IconButton label={t("settings.signOut")} onClick={actions.onSignOut} data-testid="sign-out">
          <LogOut />
        </IconButton>
      </div>
    </section>
  );
}

function OwnStatus({ me, voice }: { me: User; voice: VoiceSnapshot }) {
  const { t } = useTranslation();
  if (voice.serverDeafened) return t("call.serverDeafened");
  if (voice.serverMuted) return t("call.serverMuted");
  if (voice.deafened) return t("people.deafened");
  if (voice.muted) return t("people.muted");
  switch (voice.microphone.state) {
    case "opening":
      return t("call.openingMicrophone");
    case "failed":
      return t("call.listening");
    case "off":
    case "live":
    case "silent":
      return t(`roles.${me.role}`);
    default:
      return never(voice.microphone);
  }
}
