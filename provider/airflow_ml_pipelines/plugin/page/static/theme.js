// Takes on the colours that Airflow's UI has been set to, before anything is drawn, and whenever they change.
// Airflow keeps them in the storage of the same origin: "light", "dark", or "system".
const applyTheme = () => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("theme");
  } catch {
    // storage is closed to this page: the system's colours it is
  }
  const root = document.documentElement;
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  else delete root.dataset.theme;
};
applyTheme();
addEventListener("storage", applyTheme);
