import { ArrowRightLeft, Ban, Ear, EarOff, Ellipsis, LogOut, Mic, MicOff, UserMinus } from "lucide-react";
import { type ReactNode, useRef, useState } from "react";
import { flushSync } from "react-dom";
import { useTranslation } from "react-i18next";
import type { User } from "../../api/client";
import { problemOf } from "../../api/problem";
import { classes } from "../../components/classes";
import { IconButton } from "../../components/IconButton";
import { Menu, MenuItem, MenuSeparator } from "../../components/Menu";
import type { PersonState } from "../people/PersonRow";
import { ProblemNotice } from "../problem/ProblemNotice";
import { BanDialog } from "./BanDialog";
import { KickDialog } from "./KickDialog";
import { MoveDialog } from "./MoveDialog";
import { mayActOn, moderates } from "./ranks";
import { useDisconnect, useFreshUsers, useRoleOf, useUpdateVoice } from "./useModeration";

export type PersonMenuProps = {
  person: PersonState;
  me: User;
  /** Of the element that opens the menu by a right click. */
  className: string;
  children: ReactNode;
};

/** What can be done about a person: by right click on what it surrounds, or by the button in it. Others see no button. */
export function PersonMenu({ person, me, className, children }: PersonMenuProps) {
  const role = useRoleOf(person.userId, me);
  const refreshUsers = useFreshUsers();
  if (!moderates(me) || person.userId === me.id) return <div className={className}>{children}</div>;
  if (role !== undefined && mayActOn(me, role)) {
    return (
      <Moderated person={person} me={me} className={className}>
        {children}
      </Moderated>
    );
  }
  return (
    <div className={className} onPointerEnter={() => role === undefined && refreshUsers()}>
      {children}
    </div>
  );
}

function Moderated({ person, me, className, children }: PersonMenuProps) {
  const { t } = useTranslation();
  const [open, setOpen] = useState(false);
  const [dialog, setDialog] = useState<"move" | "kick" | "ban" | null>(null);
  const voice = useUpdateVoice(person.userId);
  const disconnect = useDisconnect(person.userId);
  const failure = voice.error ?? disconnect.error;
  const button = useRef<HTMLButtonElement>(null);
  const close = () => {
    // A dialog holds the focus until it is gone, and hands it back to what had it before: an entry of a closed menu.
    flushSync(() => setDialog(null));
    button.current?.focus();
  };
  return (
    <>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: the button in it does the same by keyboard */}
      <div
        className={classes("group/person relative", className)}
        onContextMenu={(event) => {
          event.preventDefault();
          setOpen(true);
        }}
      >
        {children}
        <span
          className={classes(
            "absolute top-0.5 right-1 rounded-lg bg-raised group-focus-within/person:opacity-100 group-hover/person:opacity-100",
            !open && "opacity-0",
          )}
        >
          <Menu
            open={open}
            onOpenChange={setOpen}
            trigger={
              <IconButton
                ref={button}
                label={t("moderation.menu", { name: person.name })}
                className="size-7"
                data-testid={`person-menu-${person.userId}`}
              >
                <Ellipsis />
              </IconButton>
            }
          >
            <MenuItem
              icon={person.serverMuted ? <Mic /> : <MicOff />}
              onSelect={() => voice.mutate({ server_muted: !person.serverMuted })}
              data-testid="person-mute"
            >
              {t(person.serverMuted ? "moderation.unmute" : "moderation.mute")}
            </MenuItem>
            <MenuItem
              icon={person.serverDeafened ? <Ear /> : <EarOff />}
              onSelect={() => voice.mutate({ server_deafened: !person.serverDeafened })}
            >
              {t(person.serverDeafened ? "moderation.undeafen" : "moderation.deafen")}
            </MenuItem>
            <MenuItem icon={<ArrowRightLeft />} onSelect={() => setDialog("move")} data-testid="person-move">
              {t("moderation.moveTo")}
            </MenuItem>
            <MenuItem icon={<LogOut />} onSelect={() => disconnect.mutate()}>
              {t("moderation.disconnect")}
            </MenuItem>
            <MenuSeparator />
            <MenuItem icon={<UserMinus />} danger onSelect={() => setDialog("kick")} data-testid="person-kick">
              {t("moderation.kick")}
            </MenuItem>
            <MenuItem icon={<Ban />} danger onSelect={() => setDialog("ban")}>
              {t("moderation.ban")}
            </MenuItem>
          </Menu>
        </span>
      </div>
      {failure && <ProblemNotice problem={problemOf(failure)} className="my-1" />}
      {dialog === "move" && <MoveDialog person={person} onClose={close} />}
      {dialog === "kick" && <KickDialog person={person} onClose={close} />}
      {dialog === "ban" && <BanDialog person={person} me={me} onClose={close} />}
    </>
  );
}
