import { Tooltip } from "radix-ui";
import type { ComponentProps, ReactNode } from "react";
import { classes } from "./classes";

type Tone = "normal" | "danger" | "warn";

export type IconButtonProps = Omit<ComponentProps<"button">, "aria-label"> & {
  /** Name for screen readers, and the tooltip for everybody else. */
  label: string;
  tone?: Tone;
  children: ReactNode;
};

const TONES: Record<Tone, string> = {
  normal: "text-soft hover:text-ink hover:bg-hover data-[state=open]:bg-hover data-[state=open]:text-ink",
  danger: "text-danger bg-danger-ground hover:brightness-95 dark:hover:brightness-110",
  warn: "text-warn bg-warn-ground hover:brightness-95",
};

export function IconButton({ label, tone = "normal", className, children, ...rest }: IconButtonProps) {
  return (
    <Tooltip.Root>
      {/* Focus that a closing menu hands back is no question for the name. */}
      <Tooltip.Trigger
        asChild
        onFocus={(event) => !event.currentTarget.matches(":focus-visible") && event.preventDefault()}
      >
        <button
          type="button"
          aria-label={label}
          className={classes(
            "inline-flex size-8 shrink-0 items-center justify-center rounded-lg transition-colors",
            "disabled:cursor-not-allowed disabled:opacity-50 [&_svg]:size-4.5",
            TONES[tone],
            className,
          )}
          {...rest}
        >
          {children}
        </button>
      </Tooltip.Trigger>
      <Tooltip.Portal>
        <Tooltip.Content
          sideOffset={6}
          collisionPadding={8}
          className="z-50 rounded-md bg-ink px-2 py-1 text-xs font-medium text-ground shadow-pop select-none"
        >
          {label}
        </Tooltip.Content>
      </Tooltip.Portal>
    </Tooltip.Root>
  );
}
