// Light or dark, as chosen before; runs before the page is drawn, so that it
// does not flash. Without a choice the system's is taken (colors.css).
(() => {
  try {
    const theme = localStorage.getItem('tandem.theme');
    if (theme === 'light' || theme === 'dark') {
      document.documentElement.dataset.theme = theme;
    }
  } catch {
    // A browser that keeps nothing has the system's theme.
  }
})();
