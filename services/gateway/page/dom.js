// Elements of the page, made without HTML text: what a model or a server says
// only ever becomes textContent.

// element('p', {class: 'note', hidden: true, onclick}, 'text', child, ...):
// names that begin with "on" are listeners, true and false are attributes that
// are there or not, null and undefined are left out.
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) {
      made.addEventListener(name.slice(2), value);
    } else if (value === true) {
      made.setAttribute(name, '');
    } else if (value !== false && value !== null && value !== undefined) {
      made.setAttribute(name, value);
    }
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

export function byId(id) {
  return document.getElementById(id);
}

// Says `text` to screen readers, once, when they are free.
export function announce(text) {
  byId('announcer').textContent = text;
}

// Called before new text; the function that it returns, called after that,
// keeps the end of the page in view for a reader who had it in view, give or
// take a line or two, and has not scrolled up since.
export function keepEnd() {
  const before = window.scrollY;
  const room = document.documentElement.scrollHeight - window.innerHeight;
  const atEnd = room - before < 48;
  return () => {
    if (atEnd && window.scrollY >= before) scrollToEnd();
  };
}

export function scrollToEnd() {
  window.scrollTo({top: document.documentElement.scrollHeight});
}
