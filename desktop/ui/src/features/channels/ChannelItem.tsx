import { Ellipsis, Pencil, Trash2, Volume2 } from "lucide-react";
import { useTranslation } from "react-i18next";
import { type ChannelWithParticipants, canManage, type User } from "../../api/client";
import { classes } from "../../components/classes";
import { IconButton } from "../../components/IconButton";
import { Menu, MenuItem } from "../../components/Menu";
import { Spinner } from "../../components/Spinner";
import { callChannel } from "../../voice/client";
import { useVoice, useVoiceClient } from "../call/useVoice";
import { PersonRow } from "../people/PersonRow";
import { peopleIn } from "../people/peopleIn";

export type ChannelItemProps = {
  channel: ChannelWithParticipants;
  me: User;
  onEdit: () => void;
  onDelete: () => void;
};

/** A channel with the people inside. A click joins. */
export function ChannelItem({ channel, me, onEdit, onDelete }: ChannelItemProps) {
  const { t } = useTranslation();
  const voice = useVoice();
  const client = useVoiceClient();
  const here = callChannel(voice.call) === channel.id && voice.call.state !== "failed";
  const people = peopleIn(channel, voice);
  const occupancy = { count: people.length, max: channel.max_participants };

  return (
    <li>
      <div className={classes("group relative flex items-center rounded-lg", here ? "bg-hover" : "hover:bg-hover")}>
        <button
          type="button"
          onClick={() => client.join(channel.id)}
          aria-label={t(here ? "channels.joined" : "channels.join", { name: channel.name, ...occupancy })}
          aria-current={here || undefined}
          title={channel.description ?? undefined}
          data-testid={`channel-${channel.id}`}
          className="flex h-9 min-w-0 flex-1 items-center gap-2.5 rounded-lg pr-2 pl-2.5 text-left"
        >
          {here && voice.call.state !== "connected" ? (
            <Spinner className="size-4.5 shrink-0 text-accent" />
          ) : (
            <Volume2 aria-hidden className={classes("size-4.5 shrink-0", here ? "text-accent" : "text-soft")} />
          )}
          <span className={classes("min-w-0 flex-1 truncate", here ? "font-semibold" : "font-medium")}>
            {channel.name}
          </span>
          <span
            aria-hidden
            className={classes(
              "text-xs tabular-nums",
              people.length >= channel.max_participants ? "text-danger" : "text-soft",
              canManage(me) && "group-focus-within:opacity-0 group-hover:opacity-0",
            )}
            title={t("channels.occupancy", occupancy)}
          >
            {people.length}/{channel.max_participants}
          </span>
        </button>
        {canManage(me) && (
          <span className="absolute right-1 opacity-0 group-focus-within:opacity-100 group-hover:opacity-100 has-data-[state=open]:opacity-100">
            <Menu
              trigger={
                <IconButton label={t("channels.menu", { name: channel.name })} className="size-7">
                  <Ellipsis />
                </IconButton>
              }
            >
              <MenuItem icon={<Pencil />} onSelect={onEdit}>
                {t("channels.edit")}
              </MenuItem>
              <MenuItem icon={<Trash2 />} danger onSelect={onDelete}>
                {t("channels.delete")}
              </MenuItem>
            </Menu>
          </span>
        )}
      </div>
      {people.length > 0 && (
        <ul aria-label={t("people.inChannel", { name: channel.name })} className="mb-1.5 ml-5 flex flex-col">
          {people.map((person) => (
            <PersonRow key={person.userId} person={person} me={me} />
          ))}
        </ul>
      )}
    </li>
  );
}
