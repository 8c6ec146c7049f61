// The button that goes from the system's theme to light to dark and back.

import {byId} from './dom.js';

const THEMES = ['system', 'light', 'dark'];
const PLACE = 'tandem.theme';

export function openThemeSwitch() {
  const button = byId('theme');
  show(button, document.documentElement.dataset.theme ?? 'system');
  button.addEventListener('click', () => {
    const now = document.documentElement.dataset.theme ?? 'system';
    const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
    if (next === 'system') {
      delete document.documentElement.dataset.theme;
    } else {
      document.documentElement.dataset.theme = next;
    }
    keep(next);
    show(button, next);
  });
}

function show(button, theme) {
  button.textContent = `Theme: ${theme}`;
}

function keep(theme) {
  try {
    localStorage.setItem(PLACE, theme);
  } catch {
    // A browser that keeps nothing has the system's theme next time.
  }
}
