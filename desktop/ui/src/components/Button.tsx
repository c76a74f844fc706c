import type { ComponentProps } from "react";
import { classes } from "./classes";
import { Spinner } from "./Spinner";

type Variant = "primary" | "plain" | "danger" | "quiet";

export type ButtonProps = ComponentProps<"button"> & { variant?: Variant; busy?: boolean };

const LOOKS: Record<Variant, string> = {
  primary: "bg-accent-fill text-on-accent hover:bg-accent-fill-hover",
  plain: "bg-raised text-ink border border-line hover:bg-hover",
  danger: "bg-danger-fill text-white hover:opacity-90",
  quiet: "text-soft hover:bg-hover hover:text-ink",
};

/** A busy button keeps its width and ignores clicks. */
export function Button({ variant = "plain", busy = false, className, children, disabled, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      disabled={disabled || busy}
      aria-busy={busy || undefined}
      className={classes(
        "relative inline-flex h-9 items-center justify-center gap-2 rounded-lg px-3.5 font-medium whitespace-nowrap",
        "transition-colors disabled:cursor-not-allowed",
        disabled && "disabled:opacity-50",
        LOOKS[variant],
        className,
      )}
      {...rest}
    >
      <span className={classes("inline-flex items-center gap-2", busy && "invisible")}>{children}</span>
      {busy && <Spinner className="absolute size-4" />}
    </button>
  );
}
