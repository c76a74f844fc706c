import { DropdownMenu } from "radix-ui";
import type { ReactElement, ReactNode } from "react";
import { classes } from "./classes";

export type MenuProps = {
  trigger: ReactElement;
  children: ReactNode;
  /** For an owner who opens it in other ways too. */
  open?: boolean;
  onOpenChange?: (open: boolean) => void;
};

/** A menu that opens from its trigger; arrow keys, type-ahead and Escape work. */
export function Menu({ trigger, children, open, onOpenChange }: MenuProps) {
  return (
    <DropdownMenu.Root {...(open === undefined ? {} : { open })} {...(onOpenChange ? { onOpenChange } : {})}>
      <DropdownMenu.Trigger asChild>{trigger}</DropdownMenu.Trigger>
      <DropdownMenu.Portal>
        <DropdownMenu.Content
          align="start"
          sideOffset={4}
          collisionPadding={8}
          className="z-50 min-w-44 rounded-xl border border-line bg-raised p-1 shadow-pop"
        >
          {children}
        </DropdownMenu.Content>
      </DropdownMenu.Portal>
    </DropdownMenu.Root>
  );
}

export function MenuSeparator() {
  return <DropdownMenu.Separator className="my-1 h-px bg-line" />;
}

export type MenuItemProps = {
  icon: ReactNode;
  danger?: boolean;
  onSelect: () => void;
  children: ReactNode;
  "data-testid"?: string;
};

export function MenuItem({ icon, danger = false, children, ...rest }: MenuItemProps) {
  return (
    <DropdownMenu.Item
      {...rest}
      className={classes(
        "flex h-8 cursor-pointer items-center gap-2.5 rounded-lg px-2.5 outline-none select-none data-highlighted:bg-hover [&_svg]:size-4",
        danger ? "text-danger" : "text-ink",
      )}
    >
      {icon}
      {children}
    </DropdownMenu.Item>
  );
}
