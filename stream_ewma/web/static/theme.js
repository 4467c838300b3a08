// Runs before the first paint: the chosen theme, or the system's.
{
  const key = "stream-ewma.theme";
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const stored = () => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null; // storage is switched off: the choice lasts as long as the page
    }
  };
  let chosen = stored();
  const apply = () => {
    root.dataset.theme = chosen ?? (dark.matches ? "dark" : "light");
    root.dispatchEvent(new CustomEvent("theme"));
  };
  root.addEventListener("theme-switch", () => {
    chosen = root.dataset.theme === "dark" ? "light" : "dark";
    try {
      localStorage.setItem(key, chosen);
    } catch {
      // as above
    }
    apply();
  });
  dark.addEventListener("change", apply);
  apply();
}
