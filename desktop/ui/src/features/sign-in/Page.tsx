import type { ReactNode } from "react";
import { Logo } from "./Logo";

export type PageProps = { title: string; intro?: string; children: ReactNode };

/** The frame of the pages before the app: one card in the middle. */
export function Page({ title, intro, children }: PageProps) {
  return (
    <main className="flex min-h-full items-center justify-center p-4">
      <div className="w-full max-w-[23rem]">
        <Logo className="mb-6 justify-center text-2xl" />
        <div className="rounded-2xl border border-line bg-raised p-6 shadow-pop">
          <h1 className="text-lg font-semibold">{title}</h1>
          {intro && <p className="mt-1 text-soft">{intro}</p>}
          <div className="mt-5">{children}</div>
        </div>
      </div>
    </main>
  );
}
