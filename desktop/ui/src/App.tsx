import type { QueryClient } from "@tanstack/react-query";
import { QueryClientProvider } from "@tanstack/react-query";
import { Tooltip } from "radix-ui";
import { useTranslation } from "react-i18next";
import { problemOf } from "./api/problem";
import { Button } from "./components/Button";
import { Spinner } from "./components/Spinner";
import { VoiceContext } from "./features/call/useVoice";
import { ProblemNotice } from "./features/problem/ProblemNotice";
import { InvitePage } from "./features/sign-in/InvitePage";
import { Page } from "./features/sign-in/Page";
import { SetupPage } from "./features/sign-in/SetupPage";
import { SignInPage } from "./features/sign-in/SignInPage";
import { useMe } from "./features/sign-in/useSession";
import { never } from "./never";
import { useRoute } from "./route";
import { Shell } from "./Shell";
import type { VoiceClient } from "./voice/client";

export type AppProps = { queries: QueryClient; voice: VoiceClient };

export function App({ queries, voice }: AppProps) {
  return (
    <QueryClientProvider client={queries}>
      <VoiceContext value={voice}>
        <Tooltip.Provider delayDuration={350}>
          <CurrentPage />
        </Tooltip.Provider>
      </VoiceContext>
    </QueryClientProvider>
  );
}

function CurrentPage() {
  const route = useRoute();
  switch (route.page) {
    case "app":
      return <Home />;
    case "setup":
      return <SetupPage code={route.code} />;
    case "invite":
      return <InvitePage code={route.code} />;
    default:
      return never(route);
  }
}

function Home() {
  const { t } = useTranslation();
  const me = useMe();
  if (me.isPending) {
    return (
      <div role="status" aria-label={t("app.loading")} className="flex h-full items-center justify-center">
        <Spinner className="size-7 text-soft" />
      </div>
    );
  }
  // Who is known stays so while the server is away: leaving the app would end the call.
  if (me.isLoadingError) {
    return (
      <Page title={t("app.name")}>
        <ProblemNotice
          problem={problemOf(me.error)}
          actions={<Button onClick={() => void me.refetch()}>{t("action.tryAgain")}</Button>}
        />
      </Page>
    );
  }
  return me.data ? <Shell me={me.data} /> : <SignInPage />;
}
