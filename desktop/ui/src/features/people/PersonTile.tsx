import { useTranslation } from "react-i18next";
import type { User } from "../../api/client";
import { classes } from "../../components/classes";
import { PersonMenu } from "../moderation/PersonMenu";
import { Avatar } from "./Avatar";
import { PersonMarks, type PersonState } from "./PersonRow";

/** Somebody in the call, large. */
export function PersonTile({ person, me }: { person: PersonState; me: User }) {
  const { t } = useTranslation();
  const own = person.userId === me.id;
  return (
    <li
      data-testid={`tile-${person.userId}`}
      className={classes(
        "rounded-2xl border bg-raised transition-colors [--ring-ground:var(--color-raised)]",
        person.speaking ? "border-speech" : "border-line",
      )}
    >
      <PersonMenu person={person} me={me} className="flex flex-col items-center justify-center gap-3 px-3 py-6">
        <Avatar name={person.name} userId={person.userId} speaking={person.speaking} className="size-16 text-2xl" />
        <span className="flex max-w-full items-center gap-1.5">
          <span className="truncate font-medium">{person.name}</span>
          {own && <span className="text-xs text-soft">({t("people.you")})</span>}
          <PersonMarks person={person} />
        </span>
      </PersonMenu>
    </li>
  );
}
