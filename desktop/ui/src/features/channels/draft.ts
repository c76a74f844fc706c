/** Limits of the server for a channel (`POST /api/voice/channels`). */
export const LIMITS = {
  name: 100,
  description: 500,
  maxParticipants: { min: 2, max: 100 },
  position: { min: 0, max: 1_000_000 },
} as const;

/** The form as typed. */
export type ChannelForm = { name: string; description: string; maxParticipants: string; position: string };

export type FormErrors = Partial<Record<keyof ChannelForm, "missing" | "too_long" | "out_of_range">>;

/** What the server would refuse, found before it is asked. */
export function formErrors(form: ChannelForm): FormErrors {
  const errors: FormErrors = {};
  if (form.name.trim() === "") errors.name = "missing";
  else if (length(form.name.trim()) > LIMITS.name) errors.name = "too_long";
  if (length(form.description.trim()) > LIMITS.description) errors.description = "too_long";
  if (!inRange(form.maxParticipants, LIMITS.maxParticipants)) errors.maxParticipants = "out_of_range";
  if (!inRange(form.position, LIMITS.position)) errors.position = "out_of_range";
  return errors;
}

/** Characters as the server counts them: code points, not UTF-16 units. */
function length(text: string): number {
  return [...text].length;
}

function inRange(text: string, { min, max }: { min: number; max: number }): boolean {
  return /^\d+$/.test(text.trim()) && Number(text) >= min && Number(text) <= max;
}
