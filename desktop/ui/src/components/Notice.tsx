import { Info, TriangleAlert } from "lucide-react";
import type { ComponentProps, ReactNode } from "react";
import { classes } from "./classes";

type Tone = "danger" | "warn" | "info";

export type NoticeProps = ComponentProps<"div"> & {
  tone: Tone;
  /** Buttons below the text. */
  actions?: ReactNode;
};

const TONES: Record<Tone, string> = {
  danger: "bg-danger-ground [&>svg]:text-danger",
  warn: "bg-warn-ground [&>svg]:text-warn",
  info: "bg-hover [&>svg]:text-soft",
};

/** A message in the flow of the page, read out when it appears. */
export function Notice({ tone, actions, className, children, ...rest }: NoticeProps) {
  const Icon = tone === "info" ? Info : TriangleAlert;
  return (
    <div
      role={tone === "danger" ? "alert" : "status"}
      className={classes("flex gap-2.5 rounded-lg px-3 py-2.5 text-[0.93rem]", TONES[tone], className)}
      {...rest}
    >
      <Icon aria-hidden className="mt-0.5 size-4 shrink-0" />
      <div className="min-w-0 flex-1">
        {children}
        {actions && <div className="mt-2 flex flex-wrap gap-2">{actions}</div>}
      </div>
    </div>
  );
}
