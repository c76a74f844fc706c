import { useState } from "react";
import { useTranslation } from "react-i18next";
import type { Channel } from "../../api/client";
import { problemOf } from "../../api/problem";
import { Button } from "../../components/Button";
import { Dialog } from "../../components/Dialog";
import { Field } from "../../components/Field";
import { ProblemNotice } from "../problem/ProblemNotice";
import { type ChannelForm, formErrors, LIMITS } from "./draft";
import { useSaveChannel } from "./useChannels";

export type ChannelDialogProps = {
  /** The channel to edit; `null` creates one. */
  channel: Channel | null;
  nextPosition: number;
  onClose: () => void;
};

const DEFAULT_PLACES = 50;

export function ChannelDialog({ channel, nextPosition, onClose }: ChannelDialogProps) {
  const { t } = useTranslation();
  const save = useSaveChannel(channel?.id ?? null);
  const [form, setForm] = useState<ChannelForm>({
    name: channel?.name ?? "",
    description: channel?.description ?? "",
    maxParticipants: String(channel?.max_participants ?? DEFAULT_PLACES),
    position: String(nextPosition),
  });
  const [tried, setTried] = useState(false);
  const errors = formErrors(form);
  const input = (field: keyof ChannelForm) => ({
    value: form[field],
    onChange: (event: { target: { value: string } }) => setForm({ ...form, [field]: event.target.value }),
  });
  const range = (field: "maxParticipants" | "position") =>
    errors[field] ? t("channels.notWholeNumber", LIMITS[field]) : undefined;

  const submit = () => {
    setTried(true);
    if (Object.keys(errors).length > 0) return;
    const draft = {
      name: form.name.trim(),
      description: form.description.trim() || null,
      maxParticipants: Number(form.maxParticipants),
      position: Number(form.position),
    };
    save.mutate(draft, { onSuccess: onClose });
  };

  return (
    <Dialog title={t(channel ? "channels.edit" : "channels.create")} closeLabel={t("action.close")} onClose={onClose}>
      <form
        noValidate
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        <Field
          label={t("channels.name")}
          error={
            errors.name === "too_long"
              ? t("channels.nameTooLong", { max: LIMITS.name })
              : tried && errors.name
                ? t("channels.nameMissing")
                : undefined
          }
          {...input("name")}
          autoFocus
          data-testid="channel-name"
        />
        <Field
          label={t("channels.description")}
          note={t("channels.optional")}
          error={errors.description ? t("channels.descriptionTooLong", { max: LIMITS.description }) : undefined}
          {...input("description")}
        />
        <div className="grid grid-cols-2 gap-4">
          <Field
            label={t("channels.maxParticipants")}
            hint={t("channels.maxParticipantsHint", LIMITS.maxParticipants)}
            error={range("maxParticipants")}
            inputMode="numeric"
            {...input("maxParticipants")}
            data-testid="channel-max-participants"
          />
          <Field
            label={t("channels.position")}
            hint={t("channels.positionHint")}
            error={range("position")}
            inputMode="numeric"
            {...input("position")}
            data-testid="channel-position"
          />
        </div>
        {save.error && <ProblemNotice problem={problemOf(save.error)} />}
        <div className="mt-1 flex justify-end gap-2">
          <Button onClick={onClose}>{t("action.cancel")}</Button>
          <Button variant="primary" type="submit" busy={save.isPending} data-testid="channel-save">
            {t("action.save")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
