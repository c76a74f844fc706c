import { AlertDialog as Radix } from "radix-ui";
import type { ReactNode } from "react";
import { Button } from "./Button";

export type ConfirmDialogProps = {
  title: string;
  text: string;
  confirmLabel: string;
  cancelLabel: string;
  busy: boolean;
  onConfirm: () => void;
  onCancel: () => void;
  /** Shown above the buttons: why confirming failed. */
  children?: ReactNode;
};

export function ConfirmDialog(props: ConfirmDialogProps) {
  return (
    <Radix.Root open onOpenChange={(open) => !open && props.onCancel()}>
      <Radix.Portal>
        <Radix.Overlay className="fixed inset-0 z-40 bg-black/45" />
        <Radix.Content className="fixed top-1/2 left-1/2 z-40 w-[min(24rem,calc(100vw-2rem))] -translate-1/2 rounded-2xl border border-line bg-raised p-5 shadow-pop focus:outline-none">
          <Radix.Title className="text-lg font-semibold">{props.title}</Radix.Title>
          <Radix.Description className="mt-1 mb-4 text-soft">{props.text}</Radix.Description>
          {props.children}
          <div className="mt-4 flex justify-end gap-2">
            {/* Where the keyboard begins; without it the focus would stay outside. */}
            <Radix.Cancel asChild>
              <Button>{props.cancelLabel}</Button>
            </Radix.Cancel>
            <Button variant="danger" busy={props.busy} onClick={props.onConfirm} data-testid="confirm">
              {props.confirmLabel}
            </Button>
          </div>
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
