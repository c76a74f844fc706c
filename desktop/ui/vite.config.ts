import tailwind from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [react(), tailwind()],
  build: {
    outDir: "dist",
    // A data: URL would need its own exception in the content security policy.
    assetsInlineLimit: 0,
    // livekit-client alone is half a megabyte; the pages that need no voice load without it.
    chunkSizeWarningLimit: 700,
  },
  test: {
    environment: "jsdom",
    include: ["src/**/*.test.{ts,tsx}"],
    setupFiles: ["src/test-setup.ts"],
  },
});
