import { classes } from "../../components/classes";

export type AvatarProps = {
  name: string;
  /** Stays the same for a person; chooses the colour. */
  userId: string;
  speaking?: boolean;
  className?: string;
};

/** The first letter on a colour of one's own, with a ring while speaking. */
export function Avatar({ name, userId, speaking = false, className }: AvatarProps) {
  return (
    <span
      aria-hidden
      style={{ backgroundColor: `oklch(0.56 0.1 ${hue(userId)})` }}
      className={classes(
        "inline-flex shrink-0 items-center justify-center rounded-full font-semibold text-white select-none",
        speaking && "ring-2 ring-speech ring-offset-2 ring-offset-[var(--ring-ground,var(--color-side))]",
        className,
      )}
    >
      {initial(name)}
    </span>
  );
}

function initial(name: string): string {
  const [first] = new Intl.Segmenter(undefined, { granularity: "grapheme" }).segment(name.trim());
  return (first?.segment ?? "?").toLocaleUpperCase();
}

/** Spreads ids over the colour wheel (FNV-1a, 32 bits). */
function hue(id: string): number {
  let hash = 0x811c9dc5;
  for (const char of id) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193);
  // The golden angle keeps neighbours apart, which ids that count up are.
  return ((hash >>> 0) * 137.508) % 360;
}
