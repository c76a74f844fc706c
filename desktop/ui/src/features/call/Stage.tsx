import { AudioLines, Volume2 } from "lucide-react";
import { useTranslation } from "react-i18next";
import type { ChannelWithParticipants, User } from "../../api/client";
import { callChannel } from "../../voice/client";
import { PersonTile } from "../people/PersonTile";
import { peopleIn } from "../people/peopleIn";
import { useVoice } from "./useVoice";

export type StageProps = { me: User; channels: readonly ChannelWithParticipants[] };

/** The large half: the call one is in, or an invitation to join one. */
export function Stage({ me, channels }: StageProps) {
  const { t } = useTranslation();
  const voice = useVoice();
  const id = voice.call.state === "failed" ? null : callChannel(voice.call);
  const channel = channels.find((candidate) => candidate.id === id);
  if (!channel) return <Welcome channels={channels} />;

  const people = peopleIn(channel, voice);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it holds nothing to focus, and must scroll by keyboard all the same
    <main aria-label={t("call.region")} tabIndex={0} className="flex min-w-0 flex-1 flex-col overflow-y-auto">
      <header className="flex items-center gap-3 border-b border-line px-6 py-3.5">
        <Volume2 aria-hidden className="size-5 shrink-0 text-accent" />
        <div className="min-w-0">
          <h1 className="truncate font-semibold">{channel.name}</h1>
          {channel.description && <p className="truncate text-xs text-soft">{channel.description}</p>}
        </div>
        <span className="ml-auto shrink-0 text-xs text-soft tabular-nums">
          {t("channels.occupancy", { count: people.length, max: channel.max_participants })}
        </span>
      </header>
      <div className="flex flex-col gap-4 p-6">
        <ul className="grid grid-cols-[repeat(auto-fill,minmax(10.5rem,1fr))] gap-3">
          {people.map((person) => (
            <PersonTile key={person.userId} person={person} me={me} />
          ))}
        </ul>
        {voice.call.state === "connected" && people.length === 1 && <p className="text-soft">{t("call.alone")}</p>}
      </div>
    </main>
  );
}

function Welcome({ channels }: { channels: readonly ChannelWithParticipants[] }) {
  const { t } = useTranslation();
  const talking = channels.reduce((sum, channel) => sum + channel.participants.length, 0);
  return (
    <main className="flex min-w-0 flex-1 items-center justify-center p-8">
      <div className="max-w-sm text-center">
        <AudioLines aria-hidden className="mx-auto mb-4 size-12 text-accent" strokeWidth={1.5} />
        <h1 className="text-lg font-semibold">{t("call.welcome")}</h1>
        <p className="mt-1 text-soft">{t("call.welcomeText")}</p>
        {channels.length > 0 && (
          <p className="mt-3 text-soft">{talking === 0 ? t("call.nobody") : t("call.talking", { count: talking })}</p>
        )}
      </div>
    </main>
  );
}
