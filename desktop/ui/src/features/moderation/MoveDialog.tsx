import { useState } from "react";
import { useTranslation } from "react-i18next";
import { problemOf } from "../../api/problem";
import { Button } from "../../components/Button";
import { ChoiceList } from "../../components/ChoiceList";
import { Dialog } from "../../components/Dialog";
import { useChannels } from "../channels/useChannels";
import { ProblemNotice } from "../problem/ProblemNotice";
import { ReasonField } from "./ReasonField";
import { useMove } from "./useModeration";

export type MoveDialogProps = { person: { userId: string; name: string }; onClose: () => void };

/** Asks into which of the other channels somebody is moved. Full ones are shown, and cannot be chosen. */
export function MoveDialog({ person, onClose }: MoveDialogProps) {
  const { t } = useTranslation();
  const channels = useChannels().data ?? [];
  const [chosen, setChosen] = useState<string | null>(null);
  const [reason, setReason] = useState("");
  const move = useMove(person.userId);
  const others = channels.filter(
    ({ participants }) => !participants.some((inside) => inside.user_id === person.userId),
  );
  const options = others.map(({ id, name, participants, max_participants: max }) => ({
    value: id,
    label: name,
    note: t("channels.occupancy", { count: participants.length, max }),
    disabled: participants.length >= max,
  }));

  return (
    <Dialog title={t("moderation.moveTitle", { name: person.name })} closeLabel={t("action.close")} onClose={onClose}>
      {options.length === 0 ? (
        <p className="text-soft">{t("moderation.noDestination")}</p>
      ) : (
        <form
          className="flex flex-col gap-4"
          onSubmit={(event) => {
            event.preventDefault();
            if (chosen !== null) move.mutate({ channelId: chosen, reason }, { onSuccess: onClose });
          }}
        >
          <ChoiceList label={t("moderation.destination")} value={chosen} options={options} onChange={setChosen} />
          <ReasonField hint={t("moderation.reasonHintLogOnly")} value={reason} onChange={setReason} />
          {move.error && <ProblemNotice problem={problemOf(move.error)} />}
          <div className="flex justify-end gap-2">
            <Button onClick={onClose}>{t("action.cancel")}</Button>
            <Button
              variant="primary"
              type="submit"
              disabled={chosen === null}
              busy={move.isPending}
              data-testid="move-confirm"
            >
              {t("moderation.move")}
            </Button>
          </div>
        </form>
      )}
    </Dialog>
  );
}
