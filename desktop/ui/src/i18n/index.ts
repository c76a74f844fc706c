import i18next from "i18next";
import { initReactI18next } from "react-i18next";
import { en } from "./en";

declare module "i18next" {
  interface CustomTypeOptions {
    defaultNS: "translation";
    resources: { translation: typeof en };
  }
}

/** Another language is another file of the shape of `en.ts` and an entry here. */
const resources = { en: { translation: en } };

export function startTranslations() {
  return i18next.use(initReactI18next).init({
    resources,
    lng: "en",
    fallbackLng: "en",
    // React escapes what it shows.
    interpolation: { escapeValue: false },
  });
}
