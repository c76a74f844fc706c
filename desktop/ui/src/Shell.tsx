import { Shield, UserPlus } from "lucide-react";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { canManage, type User } from "./api/client";
import { IconButton } from "./components/IconButton";
import { Notice } from "./components/Notice";
import { CallNotices } from "./features/call/CallNotices";
import { CallStrip } from "./features/call/CallStrip";
import { OwnPanel } from "./features/call/OwnPanel";
import { Stage } from "./features/call/Stage";
import { useVoice, useVoiceClient } from "./features/call/useVoice";
import { ChannelList } from "./features/channels/ChannelList";
import { useChannels, useLiveChannels, useStreamState } from "./features/channels/useChannels";
import { ConnectionTestDialog } from "./features/connection/ConnectionTestDialog";
import { InviteDialog } from "./features/invites/InviteDialog";
import { ModerationDialog } from "./features/moderation/ModerationDialog";
import { moderates } from "./features/moderation/ranks";
import { pathIn } from "./features/people/path";
import { SettingsDialog } from "./features/settings/SettingsDialog";
import { Logo } from "./features/sign-in/Logo";
import { useSignOut } from "./features/sign-in/useSession";
import { callChannel } from "./voice/client";

/** The app for somebody who is signed in: channels and oneself on the left, the call on the right. */
export function Shell({ me }: { me: User }) {
  const { t } = useTranslation();
  const voice = useVoice();
  const client = useVoiceClient();
  const channels = useChannels().data ?? [];
  const lost = useStreamState((stream) => stream.state === "lost");
  const signOut = useSignOut();
  const [dialog, setDialog] = useState<"invite" | "moderation" | "settings" | "connection" | null>(null);
  const close = () => setDialog(null);
  const channel = channels.find((channel) => channel.id === callChannel(voice.call));
  const channelName = channel?.name;
  useLiveChannels();
  // A call without its switches on screen must not go on.
  useEffect(() => () => client.leave(), [client]);

  return (
    <div className="flex h-full">
      <div className="flex h-full w-full shrink-0 flex-col bg-side md:w-72 md:border-r md:border-line">
        <header className="flex h-14 shrink-0 items-center justify-between pr-2 pl-4">
          <Logo className="text-base" />
          <span className="flex items-center">
            {moderates(me) && (
              <IconButton
                label={t("moderation.title")}
                onClick={() => setDialog("moderation")}
                data-testid="moderation-open"
              >
                <Shield />
              </IconButton>
            )}
            {canManage(me) && (
              <IconButton label={t("invites.create")} onClick={() => setDialog("invite")} data-testid="invite-create">
                <UserPlus />
              </IconButton>
            )}
          </span>
        </header>
        {lost && (
          <Notice tone="warn" className="mx-2 mb-2" data-testid="stream-lost">
            {t("stream.lost")}
          </Notice>
        )}
        <ChannelList me={me} />
        <CallNotices
          voice={voice}
          channelName={channelName}
          onEnableSound={() => client.enablePlayback()}
          onRetryMicrophone={() => client.retryMicrophone()}
          onDismissMove={() => client.dismissMove()}
        />
        <CallStrip
          call={voice.call}
          channelName={channelName}
          path={pathIn(channel, me.id)}
          onLeave={() => client.leave()}
          onRetry={(channelId) => client.join(channelId)}
          onTest={() => setDialog("connection")}
        />
        <OwnPanel
          me={me}
          voice={voice}
          onToggleMute={() => client.toggleMute()}
          onToggleDeafen={() => client.toggleDeafen()}
          onRetryMicrophone={() => client.retryMicrophone()}
          onSettings={() => setDialog("settings")}
          onSignOut={() => {
            client.leave();
            signOut.mutate();
          }}
        />
      </div>
      <div className="hidden min-w-0 flex-1 md:flex">
        <Stage me={me} channels={channels} />
      </div>
      {dialog === "invite" && <InviteDialog onClose={close} />}
      {dialog === "moderation" && <ModerationDialog me={me} onClose={close} />}
      {dialog === "connection" && <ConnectionTestDialog onClose={close} />}
      {dialog === "settings" && <SettingsDialog me={me} onClose={close} />}
    </div>
  );
}
