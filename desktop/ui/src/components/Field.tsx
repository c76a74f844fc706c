import { type ComponentProps, useId } from "react";
import { classes } from "./classes";

export type FieldProps = Omit<ComponentProps<"input">, "id"> & {
  label: string;
  note?: string;
  hint?: string;
  /** What is wrong with the value; takes the hint's place. */
  error?: string;
};

/** An input with its label, a hint below it, and what is wrong with it. */
export function Field({ label, note, hint, error, className, ...rest }: FieldProps) {
  const id = useId();
  const below = error ?? hint;
  return (
    <div className={className}>
      <label htmlFor={id} className="mb-1 flex items-baseline gap-2 font-medium">
        {label}
        {note && <span className="text-xs font-normal text-soft">{note}</span>}
      </label>
      <input
        id={id}
        aria-invalid={error ? true : undefined}
        aria-describedby={below ? `${id}-below` : undefined}
        className={classes(
          "h-9 w-full rounded-lg border bg-ground px-3 placeholder:text-soft/70",
          "focus-visible:outline-offset-0",
          error ? "border-danger" : "border-field/60",
        )}
        {...rest}
      />
      {below && (
        <p id={`${id}-below`} className={classes("mt-1 text-xs", error ? "text-danger" : "text-soft")}>
          {below}
        </p>
      )}
    </div>
  );
}
