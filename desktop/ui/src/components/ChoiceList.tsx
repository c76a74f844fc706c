import { RadioGroup } from "radix-ui";

export type ChoiceListProps = {
  label: string;
  value: string | null;
  options: readonly { value: string; label: string; note: string; disabled: boolean }[];
  onChange: (value: string) => void;
};

/** One of as many as there are, one below the other; arrow keys go from one to the next that can be chosen. */
export function ChoiceList({ label, value, options, onChange }: ChoiceListProps) {
  return (
    <RadioGroup.Root
      aria-label={label}
      value={value}
      onValueChange={onChange}
      className="flex max-h-64 flex-col gap-0.5 overflow-y-auto rounded-lg bg-ground p-1"
    >
      {options.map((option) => (
        <RadioGroup.Item
          key={option.value}
          value={option.value}
          disabled={option.disabled}
          aria-label={`${option.label}, ${option.note}`}
          data-testid={`choice-${option.value}`}
          className="group flex h-9 shrink-0 items-center gap-2.5 rounded-md px-2.5 text-left -outline-offset-2 transition-colors enabled:hover:bg-hover disabled:opacity-50 data-[state=checked]:bg-hover"
        >
          <span className="flex size-4 shrink-0 items-center justify-center rounded-full border border-field group-data-[state=checked]:border-accent">
            <RadioGroup.Indicator className="size-2 rounded-full bg-accent" />
          </span>
          <span className="min-w-0 flex-1 truncate group-data-[state=checked]:font-medium">{option.label}</span>
          <span className="shrink-0 text-xs text-soft tabular-nums">{option.note}</span>
        </RadioGroup.Item>
      ))}
    </RadioGroup.Root>
  );
}
