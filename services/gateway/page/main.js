// Puts the page together: its views, the connection to the gateway, keys.

import {Api} from './api.js';
import {ChatView} from './chat_view.js';
import {byId, element} from './dom.js';
import {counted} from './figures.js';
import {OptionsView} from './options_view.js';
import {PlaygroundView} from './playground_view.js';
import {asProblem} from './problem.js';
import {RaceView} from './race_view.js';
import {problemElement} from './reply.js';
import {ServerView} from './server_view.js';
import {openThemeSwitch} from './theme_switch.js';
import {closeCard} from './token_card.js';

const VIEWS = ['chat', 'playground', 'race', 'server'];
// Where the options stand beside the views; as in page.css.
const WIDE = '(min-width: 64rem)';
// While there is no model or no gateway, both are looked for again.
const CONNECT_AGAIN_MS = 5_000;

let current = VIEWS[0];
let connecting = 0;

const api = new Api((path, options) => fetch(path, options));
const options = new OptionsView(api, () => connect());
const server = new ServerView(api);
const views = {
  chat: new ChatView(api, options),
  playground: new PlaygroundView(api, options),
  race: new RaceView(api, options),
};

// Asks what there is; says what is wrong, with a button for another try.
async function connect() {
  clearTimeout(connecting);
  try {
    const info = await api.json('/tandem/v1/info');
    options.setDefaults(info.default_options?.tandem);
    byId('version').textContent =
        info.version ? `· version ${info.version}` : '';
    const models = (await api.json('/v1/models')).data ?? [];
    options.setModels(models.map((model) => model.id));
    showConnection(counted(models.length, 'model'),
                   models.length > 0 ? null : noModels());
  } catch (error) {
    showConnection('not connected', asProblem(error));
  }
}

// An alert is said whenever it comes: the same one stays as it is.
function showConnection(words, problem) {
  byId('models').textContent = words;
  const box = byId('connection');
  const message = problem?.message ?? '';
  if (box.dataset.message !== message) {
    box.dataset.message = message;
    box.replaceChildren(...problem ? [problemElement(
        problem, problem.status === 401 ? enterKey() : tryAgain())] : []);
  }
  if (problem && problem.status !== 401) {
    connecting = setTimeout(connect, CONNECT_AGAIN_MS);
  }
}

function noModels() {
  return {
    message: 'The server has no model now.',
    remedy: 'Start a target worker, or wait until one is ready.',
  };
}

function tryAgain() {
  return element('button', {type: 'button', onclick: () => connect()},
                 'Try again');
}

function enterKey() {
  return element('button', {type: 'button', onclick: () => options.showKey()},
                 'Enter a key');
}

// Addresses are #/chat and so on. #chat would be the section itself: a browser
// would scroll to it, and the head with what is wrong would be out of sight.
function showView() {
  const asked = location.hash.slice(2);
  if (VIEWS.includes(asked)) current = asked;
  for (const name of VIEWS) {
    byId(name).hidden = name !== current;
    const link = byId(`to-${name}`);
    if (name === current) {
      link.setAttribute('aria-current', 'page');
    } else {
      link.removeAttribute('aria-current');
    }
  }
  byId('beside').hidden = current === 'server';
  byId('legend').hidden = current === 'server';
  server.visible = current === 'server';
  document.title = `${byId(`to-${current}`).textContent} \u2013 tandem`;
}

// Where there is no room beside the views, the options come before them and are
// closed: below a long text nobody would find them.
function placeOptions() {
  const wide = matchMedia(WIDE);
  const show = () => {
    byId('options').open = wide.matches;
    const main = byId('main');
    main[wide.matches ? 'after' : 'before'](byId('beside'));
  };
  wide.addEventListener('change', show);
  show();
}

openThemeSwitch();
placeOptions();
addEventListener('hashchange', () => {
  showView();
  window.scrollTo({top: 0});
});
byId('skip').addEventListener('click', (event) => {
  event.preventDefault();  // the view's name stays in the address
  byId('main').focus();
});
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && !closeCard()) views[current]?.busy.stop();
});
showView();
connect();
