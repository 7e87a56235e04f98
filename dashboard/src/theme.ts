// Light or dark: the reader's choice, else the system's.

const KEY = "leno.theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

/** What is shown now. */
export function theme(): "light" | "dark" {
  const chosen = localStorage.getItem(KEY);
  if (chosen === "light" || chosen === "dark") return chosen;
  return dark.matches ? "dark" : "light";
}

/** Puts it in force, now and whenever the system changes. */
export function followTheme(): void {
  const put = () => {
    document.documentElement.dataset.theme = theme();
    dispatchEvent(new Event("leno-theme"));
  };
  put();
  dark.addEventListener("change", put);
}

/** The other one, remembered. */
export function turn(): void {
  localStorage.setItem(KEY, theme() === "dark" ? "light" : "dark");
  document.documentElement.dataset.theme = theme();
  dispatchEvent(new Event("leno-theme"));
}
