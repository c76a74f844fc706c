import { useTranslation } from "react-i18next";
import { classes } from "../../components/classes";
import { Avatar } from "./Avatar";
import { PersonMarks, type PersonState } from "./PersonRow";

/** Somebody in the call, large. */
export function PersonTile({ person, own }: { person: PersonState; own: boolean }) {
  const { t } = useTranslation();
  return (
    <li
      data-testid={`tile-${person.userId}`}
      className={classes(
        "flex flex-col items-center justify-center gap-3 rounded-2xl border bg-raised px-3 py-6 transition-colors [--ring-ground:var(--color-raised)]",
        person.speaking ? "border-speech" : "border-line",
      )}
    >
      <Avatar name={person.name} userId={person.userId} speaking={person.speaking} className="size-16 text-2xl" />
      <span className="flex max-w-full items-center gap-1.5">
        <span className="truncate font-medium">{person.name}</span>
        {own && <span className="text-xs text-soft">({t("people.you")})</span>}
        <PersonMarks person={person} />
      </span>
    </li>
  );
}
