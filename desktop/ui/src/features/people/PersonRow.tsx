import { HeadphoneOff, MicOff } from "lucide-react";
import { memo } from "react";
import { useTranslation } from "react-i18next";
import { classes } from "../../components/classes";
import { Avatar } from "./Avatar";

/** What the list and the call both know about somebody inside a channel. */
export type PersonState = { userId: string; name: string; muted: boolean; deafened: boolean; speaking: boolean };

export type PersonRowProps = { person: PersonState; own: boolean };

export const PersonRow = memo(function PersonRow({ person, own }: PersonRowProps) {
  const { t } = useTranslation();
  return (
    <li
      data-testid={`person-${person.userId}`}
      data-speaking={person.speaking}
      data-muted={person.muted}
      data-deafened={person.deafened}
      className="flex h-8 items-center gap-2.5 rounded-lg pr-2 pl-2.5"
    >
      <Avatar
        name={person.name}
        userId={person.userId}
        speaking={person.speaking}
        className="size-5.5 text-[0.72rem]"
      />
      <span className={classes("min-w-0 flex-1 truncate", person.speaking ? "text-ink" : "text-soft")}>
        {person.name}
        {own && <span className="ml-1.5 text-xs text-soft">({t("people.you")})</span>}
      </span>
      <PersonMarks person={person} />
      {person.speaking && <span className="sr-only">{t("people.speaking")}</span>}
    </li>
  );
}, samePerson);

/** Deafened people are muted too; the stronger mark is enough. */
export function PersonMarks({ person }: { person: PersonState }) {
  const { t } = useTranslation();
  if (person.deafened)
    return <HeadphoneOff role="img" aria-label={t("people.deafened")} className="size-4 text-danger" />;
  if (person.muted) return <MicOff role="img" aria-label={t("people.muted")} className="size-4 text-soft" />;
  return null;
}

/** The call makes its people anew with each snapshot; only what differs is drawn. */
function samePerson(a: PersonRowProps, b: PersonRowProps): boolean {
  return (
    a.own === b.own &&
    a.person.userId === b.person.userId &&
    a.person.name === b.person.name &&
    a.person.muted === b.person.muted &&
    a.person.deafened === b.person.deafened &&
    a.person.speaking === b.person.speaking
  );
}
