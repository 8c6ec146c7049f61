// tandem-gateway before a coordinator, a target and a draft worker on the demo
// pair; and between browser and gateway a proxy that can cut connections.

import {spawn} from 'node:child_process';
import {existsSync, mkdtempSync, readFileSync, rmSync} from 'node:fs';
import net from 'node:net';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {fileURLToPath} from 'node:url';

import {eventually} from './browser.mjs';

const BIN = path.join(process.env.TANDEM_BINARY_DIR, 'bin');
const MODELS = fileURLToPath(
    new URL('../../../../deploy/models/', import.meta.url));

export function isBuilt() {
  return ['tandem-gateway', 'tandem-coordinator', 'tandem-worker'].every(
      (name) => existsSync(path.join(BIN, name)));
}

export class RealGateway {
  #folder = mkdtempSync(path.join(tmpdir(), 'tandem-page.'));
  #processes = [];
  #sockets = new Set();
  #cutAfter = Infinity;
  #proxy = net.createServer((client) => this.#pass(client));
  #upstream;

  async open() {
    const models = {target: 'tales-target', draft: 'tales-draft'};
    for (const [role, model] of Object.entries(models)) {
      await this.#start(role, 'tandem-worker', [
        '--role', role, '--model', path.join(MODELS, `${model}-q8_0.gguf`),
        '--listen', `unix:${this.#folder}/${role}`,
      ]);
    }
    const coordinator = await this.#start('coordinator', 'tandem-coordinator', [
      '--target', `unix:${this.#folder}/target`,
      '--draft', `unix:${this.#folder}/draft`, '--listen', '127.0.0.1:0',
    ]);
    this.#upstream = await this.#start('gateway', 'tandem-gateway', [
      '--coordinator', coordinator, '--listen', '127.0.0.1:0',
    ]);
    await new Promise((resolve) => this.#proxy.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${this.#proxy.address().port}/`;
    await eventually(async () => {
      const response = await fetch(`${this.url}v1/models`);
      const {data: [model]} = await response.json();
      if (model?.tandem.draft_workers !== 1) throw new Error('not paired yet');
      this.model = model;
    });
    return this;
  }

  // Breaks a connection on which the gateway sends so many bytes from now on;
  // those that come later stay.
  cutAfter(bytes) {
    this.#cutAfter = bytes;
  }

  async close() {
    this.#sockets.forEach((socket) => socket.destroy());
    this.#proxy.close();
    for (const child of this.#processes.reverse()) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      if (child.exitCode === null && child.kill('SIGTERM')) await ended;
    }
    rmSync(this.#folder, {recursive: true});
  }

  // Runs `program` until close(); returns its address.
  async #start(name, program, flags) {
    const file = path.join(this.#folder, `${name}.address`);
    const child = spawn(path.join(BIN, program), [
      ...flags, '--address-file', file,
    ], {stdio: ['ignore', 'ignore', 'pipe']});
    this.#processes.push(child);
    let log = '';
    child.stderr.on('data', (text) => {
      log += text;
    });
    return eventually(async () => {
      if (child.exitCode !== null) throw new Error(`${name} ended: ${log}`);
      return readFileSync(file, 'utf8').trim();
    });
  }

  #pass(client) {
    const [host, port] = this.#upstream.split(':');
    const server = net.connect(Number(port), host);
    for (const [from, to] of [[client, server], [server, client]]) {
      this.#sockets.add(from);
      from.on('error', () => {});
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
    server.on('data', ({length}) => {
      this.#cutAfter -= length;
      if (this.#cutAfter > 0) return;
      this.#cutAfter = Infinity;
      client.destroy();
    });
  }
}
