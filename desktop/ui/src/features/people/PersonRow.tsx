import type { TFunction } from "i18next";
import { HeadphoneOff, MicOff } from "lucide-react";
import { memo, type ReactElement } from "react";
import { useTranslation } from "react-i18next";
import type { MediaPath, User } from "../../api/client";
import { classes } from "../../components/classes";
import { PersonMenu } from "../moderation/PersonMenu";
import { Avatar } from "./Avatar";
import { isRelayed } from "./path";

/** What the list and the call both know about somebody inside a channel. */
export type PersonState = {
  userId: string;
  name: string;
  muted: boolean;
  deafened: boolean;
  speaking: boolean;
  /** A moderator has taken the right to speak, or to listen, away. */
  serverMuted: boolean;
  serverDeafened: boolean;
  /** What the person's sound travels by. */
  path: MediaPath | null;
};

export type PersonRowProps = { person: PersonState; me: User };

export const PersonRow = memo(function PersonRow({ person, me }: PersonRowProps) {
  const { t } = useTranslation();
  const own = person.userId === me.id;
  return (
    <li
      data-testid={`person-${person.userId}`}
      data-speaking={person.speaking}
      data-muted={person.muted}
      data-deafened={person.deafened}
      data-server-muted={person.serverMuted}
      data-server-deafened={person.serverDeafened}
    >
      <PersonMenu
        person={person}
        me={me}
        className="flex h-8 items-center gap-2.5 rounded-lg pr-2 pl-2.5 focus-within:bg-hover hover:bg-hover"
      >
        <Avatar
          name={person.name}
          userId={person.userId}
          speaking={person.speaking}
          className="size-5.5 text-[0.72rem]"
        />
        <span
          title={person.path ? pathTitle(person.path, t) : undefined}
          className={classes("min-w-0 flex-1 truncate", person.speaking ? "text-ink" : "text-soft")}
        >
          {person.name}
          {own && <span className="ml-1.5 text-xs text-soft">({t("people.you")})</span>}
        </span>
        <PersonMarks person={person} />
        {person.speaking && <span className="sr-only">{t("people.speaking")}</span>}
      </PersonMenu>
    </li>
  );
}, samePerson);

function pathTitle(path: MediaPath, t: TFunction): string {
  const transport = t(`path.${path.transport}`);
  const title = t(isRelayed(path) ? "path.ofPersonRelayed" : "path.ofPerson", { transport });
  return path.rtt_ms === null ? title : `${title} · ${t("path.roundTrip", { milliseconds: path.rtt_ms })}`;
}

/** Deafened people are muted too, and what a moderator decided outweighs what they chose: the strongest mark is enough. */
export function PersonMarks({ person }: { person: PersonState }) {
  const { t } = useTranslation();
  if (person.serverDeafened) return <ServerMark icon={<HeadphoneOff />} label={t("people.serverDeafened")} />;
  if (person.serverMuted) return <ServerMark icon={<MicOff />} label={t("people.serverMuted")} />;
  if (person.deafened)
    return <HeadphoneOff role="img" aria-label={t("people.deafened")} className="size-4 text-danger" />;
  if (person.muted) return <MicOff role="img" aria-label={t("people.muted")} className="size-4 text-soft" />;
  return null;
}

/** Filled, so that it is told from one's own choice without its colour. */
function ServerMark({ icon, label }: { icon: ReactElement; label: string }) {
  return (
    <span
      role="img"
      aria-label={label}
      title={label}
      className="inline-flex size-5 shrink-0 items-center justify-center rounded-md bg-danger-fill text-white [&_svg]:size-3.5"
    >
      {icon}
    </span>
  );
}

/** The call makes its people anew with each snapshot; only what differs is drawn. */
function samePerson(a: PersonRowProps, b: PersonRowProps): boolean {
  return (
    a.me === b.me &&
    a.person.userId === b.person.userId &&
    a.person.name === b.person.name &&
    a.person.muted === b.person.muted &&
    a.person.deafened === b.person.deafened &&
    a.person.serverMuted === b.person.serverMuted &&
    a.person.serverDeafened === b.person.serverDeafened &&
    a.person.path?.transport === b.person.path?.transport &&
    a.person.path?.rtt_ms === b.person.path?.rtt_ms &&
    a.person.speaking === b.person.speaking
  );
}
