import tailwind from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [react(), tailwind()],
  build: {
    outDir: "dist",
    // A data: URL would need its own exception in the content security policy.
    assetsInlineLimit: 0,
    // livekit-client alone is half a megabyte, and without it there is no app.
    chunkSizeWarningLimit: 1_100,
  },
  test: {
    projects: [
      // Rules need no page, and a page costs two seconds a file.
      { extends: true, test: { name: "rules", environment: "node", include: ["src/**/*.test.ts"] } },
      {
        extends: true,
        test: {
          name: "components",
          environment: "jsdom",
          include: ["src/**/*.test.tsx"],
          setupFiles: ["src/test-setup.ts"],
          // Far above what any test takes on an idle machine; a busy one fails none for it.
          testTimeout: 30_000,
        },
      },
    ],
  },
});
