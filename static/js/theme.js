// Sets the chosen colours before the page is painted. Without a choice the system's hold.
const theme = localStorage.getItem("theme");
if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
