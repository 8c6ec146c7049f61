// Compares masks with those of XGrammar, another engine, compiled for Node.js
// (npm's @mlc-ai/web-xgrammar): for each known vocabulary and each grammar of
// gbnf_cases.mjs the whole set of allowed tokens at random prefixes.
//
//   node compare_with_xgrammar.mjs PROGRAM MODULES
//
// PROGRAM: tandem-check-grammar; MODULES: a folder for the package. Prints a
// line for each vocabulary, and what differs. Exit code 1: a token differs and
// no rule of RULES says why; 77: package or vocabularies can not be had here.

import {spawn} from 'node:child_process';
import {copyFileSync, existsSync} from 'node:fs';
import {createRequire} from 'node:module';
import path from 'node:path';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';

import {installPackages} from '../../../node_packages.mjs';
import {CASES, UNLIKE} from './gbnf_cases.mjs';

const SKIPPED = 77;
const HERE = path.dirname(fileURLToPath(import.meta.url));
const SHARED = path.join(HERE, '../../../../../shared');
const PREFIXES = 1000;    // of each vocabulary
const TOKENS_MAX = 24;    // of a prefix
const WALKS_MAX = 100;    // of a grammar, which may have few prefixes
const UNLIKE_PREFIXES = 10;
const PRINTED_MAX = 20;   // differences of each vocabulary
// With XGrammar's word for how pieces spell bytes.
const VOCABULARIES = [
  ['demo-pair/tales-target-q8_0.gguf', 'byte_fallback'],
  ['vocabs/llama-spm.gguf', 'byte_fallback'],
  ['vocabs/gpt-2.gguf', 'byte_level'],
  ['vocabs/deepseek-coder.gguf', 'byte_level'],
].map(([file, type]) => ({
  name: path.basename(file, '.gguf'), file: path.join(SHARED, file), type,
}));

// Why a token is in one mask alone; the first that holds counts.
const RULES = [
  {
    // XGrammar reads a special token that ends nothing as its name.
    name: 'special',
    holds: ({isOurs, isSpecial}) => !isOurs && isSpecial,
  },
  {
    // XGrammar looks at the first byte of a character and at the number of the
    // others, so it takes bytes that no UTF-8 has there.
    name: 'no UTF-8',
    holds: ({isOurs, prefix, text}) =>
        !isOurs && !mayBeUtf8(Buffer.concat([prefix, text])),
  },
  {
    name: 'user-defined taken for bytes',
    holds: ({isTakenForBytes}) => isTakenForBytes,
  },
  {
    // Seen in "right recursion": tokens that leave several rules at once.
    name: 'missing in XGrammar\'s mask and taken by its matcher',
    holds: ({isOurs, matcher, id}) => isOurs && takes(matcher, id),
  },
];

function skip(why) {
  console.log(`comparison with XGrammar skipped: ${why}`);
  process.exit(SKIPPED);
}

// Whether a UTF-8 text may begin with `bytes`.
function mayBeUtf8(bytes) {
  try {
    new TextDecoder('utf-8', {fatal: true}).decode(bytes, {stream: true});
    return true;
  } catch {
    return false;
  }
}

// Whether XGrammar's matcher itself reads the token.
function takes(matcher, id) {
  if (!matcher.acceptToken(id)) return false;
  matcher.rollBack(1);
  return true;
}

// The package is a script for browsers, which Node.js takes for a module.
function loadXgrammar(modules) {
  const script = path.join(modules, 'xgrammar.cjs');
  copyFileSync(
      path.join(modules, 'node_modules/@mlc-ai/web-xgrammar/lib/index.js'),
      script);
  return createRequire(import.meta.url)(script);
}

// The process that has our masks.
class Engine {
  constructor(program) {
    this.process = spawn(program, {stdio: ['pipe', 'pipe', 'inherit']});
    this.lines = createInterface({input: this.process.stdout})[
        Symbol.asyncIterator]();
  }

  async ask(request) {
    this.process.stdin.write(`${JSON.stringify(request)}\n`);
    const {value, done} = await this.lines.next();
    if (done) throw new Error('tandem-check-grammar has ended');
    const answer = JSON.parse(value);
    if (answer.error) throw new Error(answer.error);
    return answer;
  }

  close() {
    this.process.stdin.end();
  }
}

// The tokens as our engine reads them.
class Vocabulary {
  constructor({texts, special}, pieces, info) {
    this.pieces = pieces;
    this.texts = texts.map((hex) => Buffer.from(hex, 'hex'));
    this.special = new Set(special);
    this.theirs = info.getDecodedVocabHandle();
  }

  // Whether the text is what the file spells out, and XGrammar, which knows no
  // kinds of tokens, reads the characters as those that stand for bytes.
  isTakenForBytes(id) {
    return this.pieces[id].equals(this.texts[id]) &&
        this.theirs.get(id) !== this.texts[id].toString();
  }

  dispose() {
    this.theirs.delete();
  }
}

// What was found for one vocabulary.
class Tally {
  prefixes = 0;
  equal = 0;
  explained = RULES.map(() => 0);
  unexplained = [];

  print(name) {
    const rules = RULES.map((rule, i) => `${this.explained[i]} ${rule.name}`);
    console.log(`${name}: ${this.prefixes} prefixes, ${this.equal} masks ` +
        `equal; tokens that differ: ${rules.join(', ')}, ` +
        `${this.unexplained.length} unexplained`);
    for (const line of this.unexplained.slice(0, PRINTED_MAX)) {
      console.log(`  ${line}`);
    }
  }
}

// Ids that are set in one mask alone.
function differing(ours, theirs, size) {
  const ids = [];
  for (let id = 0; id < size; ++id) {
    if ((ours[id >> 3] ^ theirs[id >> 3]) >> (id & 7) & 1) ids.push(id);
  }
  return ids;
}

// Both engines with one vocabulary.
class Comparison {
  tally = new Tally();

  constructor(engine, xgrammar, compiler, vocabulary) {
    Object.assign(this, {engine, xgrammar, compiler, vocabulary});
  }

  // The masks behind the text `prefix`; `matcher` is XGrammar's.
  async compareMasks(mask, prefix, matcher, name) {
    const words = await matcher.getNextTokenBitmask();
    const theirs = new Uint8Array(words.buffer);
    const ours = Buffer.from(mask, 'hex');
    const {texts, special} = this.vocabulary;
    const ids = differing(ours, theirs, texts.length);
    ++this.tally.prefixes;
    if (ids.length === 0) ++this.tally.equal;
    for (const id of ids) {
      const isOurs = (ours[id >> 3] >> (id & 7) & 1) === 1;
      const rule = RULES.findIndex(({holds}) => holds({
        id, prefix, matcher, isOurs, text: texts[id],
        isSpecial: special.has(id),
        isTakenForBytes: this.vocabulary.isTakenForBytes(id),
      }));
      if (rule >= 0) {
        ++this.tally.explained[rule];
      } else {
        const [before, text] = [prefix, texts[id]].map(
            (bytes) => JSON.stringify(bytes.toString()));
        this.tally.unexplained.push(
            `${name}: after ${before} the token ${id} ${text} ` +
            `(${texts[id].toString('hex')}) is ` +
            `${isOurs ? 'ours' : 'theirs'} alone`);
      }
    }
  }

  // Compares where `seen` has not the prefix, until it has `wanted`.
  async followWalk({steps}, matcher, name, seen, wanted) {
    let key = '';
    let prefix = Buffer.alloc(0);
    for (const {mask, token} of steps) {
      if (!seen.has(key)) {
        if (seen.size === wanted) return;
        seen.add(key);
        await this.compareMasks(mask, prefix, matcher, name);
      }
      // Behind a token that XGrammar reads as another text nothing is equal.
      if (token < 0 || this.vocabulary.isTakenForBytes(token)) return;
      key += ` ${token}`;
      prefix = Buffer.concat([prefix, this.vocabulary.texts[token]]);
      if (!matcher.acceptToken(token)) {
        this.tally.unexplained.push(`${name}: XGrammar's matcher refuses ` +
            JSON.stringify(prefix.toString()));
        return;
      }
    }
  }

  // Random walks by one of CASES, until `wanted` prefixes were compared.
  async compareCase({name, ours, theirs}, wanted) {
    const compiled = await this.compiler.compileGrammar(theirs);
    const seen = new Set();
    for (let seed = 1; seed <= WALKS_MAX && seen.size < wanted; ++seed) {
      const answer = await this.engine.ask(
          {...ours, walk: {tokens_max: TOKENS_MAX, seed}});
      const matcher =
          await this.xgrammar.GrammarMatcher.createGrammarMatcher(compiled);
      await this.followWalk(answer, matcher, name, seen, wanted);
      matcher.dispose();
    }
    compiled.dispose();
  }
}

async function compareVocabulary(engine, xgrammar, {file, type}) {
  const answer = await engine.ask({vocabulary: file});
  const pieces = answer.pieces.map((hex) => Buffer.from(hex, 'hex'));
  const info = await xgrammar.TokenizerInfo.createTokenizerInfo(
      pieces.map((piece) => new Uint8Array(piece)), type, false, pieces.length,
      answer.ends);
  const vocabulary = new Vocabulary(answer, pieces, info);
  const compiler =
      await xgrammar.GrammarCompiler.createGrammarCompiler(info, false);
  const all = new Comparison(engine, xgrammar, compiler, vocabulary);
  for (let i = 0; i < CASES.length; ++i) {
    await all.compareCase(CASES[i], Math.ceil(
        (PREFIXES - all.tally.prefixes) / (CASES.length - i)));
  }
  const unlike = new Comparison(engine, xgrammar, compiler, vocabulary);
  await unlike.compareCase(UNLIKE, UNLIKE_PREFIXES);
  if (unlike.tally.unexplained.length === 0) {
    all.tally.unexplained.push('two grammars that differ seem to be equal');
  }
  compiler.dispose();
  vocabulary.dispose();
  info.dispose();
  return all.tally;
}

async function main(program, modules) {
  const missing = VOCABULARIES.find(({file}) => !existsSync(file));
  if (missing) skip(`there is no ${missing.file}`);
  const why = installPackages(HERE, modules);
  if (why) skip(`npm can not install @mlc-ai/web-xgrammar: ${why}`);
  const xgrammar = loadXgrammar(modules);
  const engine = new Engine(program);
  let isWrong = false;
  for (const vocabulary of VOCABULARIES) {
    const tally = await compareVocabulary(engine, xgrammar, vocabulary);
    tally.print(vocabulary.name);
    isWrong ||= tally.unexplained.length > 0 || tally.prefixes < PREFIXES;
  }
  engine.close();
  process.exitCode = isWrong ? 1 : 0;
}

await main(...process.argv.slice(2));
