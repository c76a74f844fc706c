import { useEffect, useState } from "react";

/** Whole seconds since `since` (milliseconds since 1970), counting on. */
export function useSecondsSince(since: number): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = window.setInterval(() => setNow(Date.now()), 1_000);
    return () => window.clearInterval(timer);
  }, []);
  return Math.max(0, Math.floor((now - since) / 1_000));
}
