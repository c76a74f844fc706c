import { X } from "lucide-react";
import { Dialog as Radix } from "radix-ui";
import type { ReactNode } from "react";
import { IconButton } from "./IconButton";

export type DialogProps = {
  title: string;
  intro?: string;
  closeLabel: string;
  onClose: () => void;
  children: ReactNode;
};

/** Open for as long as it is rendered. Escape, a click outside and the cross ask the owner to take it away. */
export function Dialog({ title, intro, closeLabel, onClose, children }: DialogProps) {
  return (
    <Radix.Root open onOpenChange={(open) => !open && onClose()}>
      <Radix.Portal>
        <Radix.Overlay className="fixed inset-0 z-40 bg-black/45" />
        <Radix.Content
          {...(intro ? {} : { "aria-describedby": undefined })}
          // The cross comes first in the page, but nobody opens a dialog to close it.
          onOpenAutoFocus={(event) => {
            if (!(event.currentTarget instanceof HTMLElement)) return;
            event.preventDefault();
            event.currentTarget.focus();
          }}
          className="fixed top-1/2 left-1/2 z-40 max-h-[90dvh] w-[min(28rem,calc(100vw-2rem))] -translate-1/2 overflow-y-auto rounded-2xl border border-line bg-raised p-5 shadow-pop focus:outline-none"
        >
          <div className="mb-4 flex items-start justify-between gap-4">
            <div>
              <Radix.Title className="text-lg font-semibold">{title}</Radix.Title>
              {intro && <Radix.Description className="mt-1 text-soft">{intro}</Radix.Description>}
            </div>
            <IconButton label={closeLabel} onClick={onClose} className="-mt-1 -mr-1.5">
              <X />
            </IconButton>
          </div>
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
