// Runs inside the worker: loads the user's function once and calls it for every request.
//
// Requests come on descriptor 3, replies go out on descriptor 4, each a frame: four bytes of length
// (little endian), then JSON. Standard output and error belong to the user. Replies are written
// synchronously, after everything the user's code has printed: that order is what the daemon's
// flush barrier rests on. Plain JavaScript of Node.js 12, because functions of the cloud are old.
'use strict';
(() => {
  // Taken now, so that code which replaces parts of `fs` does not replace them for us.
  const { existsSync, readFileSync, writeSync } = require('fs');
  const path = require('path');
  const util = require('util');
  const { createRequire, builtinModules } = require('module');
  const { pathToFileURL } = require('url');
  const { Socket } = require('net');
  const { webcrypto } = require('crypto');

  const [handler, functionName, resultLimit] = process.argv.slice(1);
  const TEXT_LIMIT = 64 * 1024;

  // Node.js puts some of it back when this script has run.
  process.nextTick(leaveNoTrace);
  const requests = new Socket({ fd: 3, readable: true, writable: false });
  let main; // the user's handler, once loaded
  let call = null; // the call in progress

  // `node -e` puts conveniences on the global object that a program in a file does not have.
  function leaveNoTrace() {
    for (const name of ['require', 'module', 'exports', '__filename', '__dirname']) delete globalThis[name];
    for (const name of builtinModules) {
      const property = Object.getOwnPropertyDescriptor(globalThis, name);
      if (property && property.get && property.set && !['process', 'console', 'crypto'].includes(name)) {
        delete globalThis[name];
      }
    }
    if (webcrypto && 'crypto' in globalThis) {
      Object.defineProperty(globalThis, 'crypto', { configurable: true, enumerable: true, get: () => webcrypto });
    }
    process.argv.splice(1, Infinity, path.resolve(handler.replace(/\.[^.]*$/, '.js')));
    process.title = `gulou function ${functionName}`;
    // Writes to a pipe are asynchronous by default, and process.exit() loses what is still queued.
    for (const stream of [process.stdout, process.stderr]) {
      if (stream._handle && stream._handle.setBlocking) stream._handle.setBlocking(true);
    }
  }

  function frame(bytes) {
    const head = Buffer.alloc(4);
    head.writeUInt32LE(bytes.length, 0);
    const whole = Buffer.concat([head, bytes]);
    for (let sent = 0; sent < whole.length; ) sent += writeSync(4, whole, sent);
  }

  function reply(message) {
    frame(Buffer.from(JSON.stringify(message)));
  }

  // One line for people, and the lines below it. Anything can be thrown.
  function describe(error) {
    let message;
    let detail;
    try {
      message = error instanceof Error ? `${error.name}: ${error.message}` : util.inspect(error);
      detail = error instanceof Error ? util.inspect(error) : '';
    } catch (_) {
      message = 'an error that cannot be shown';
      detail = '';
    }
    const [first, ...rest] = message.slice(0, TEXT_LIMIT).split('\n');
    const lines = detail.slice(0, TEXT_LIMIT).split('\n');
    const own = (line) => /^ +at .*(\[eval\]|\(node:internal|at node:internal)/.test(line);
    const below = lines.filter((line) => !own(line) && line !== first);
    return { message: first.slice(0, 1000), detail: detail ? below : rest };
  }

  function returned(value) {
    finish(() => {
      let json;
      let unrecorded;
      try {
        json = JSON.stringify(value);
        const size = json === undefined ? 0 : Buffer.byteLength(json);
        if (size > Number(resultLimit)) {
          unrecorded = `it is ${size} bytes of JSON, and ${resultLimit} are recorded`;
          json = undefined;
        }
      } catch (error) {
        unrecorded = `it is no JSON: ${describe(error).message}`;
      }
      reply({ returned: { unrecorded } });
      frame(Buffer.from(json === undefined ? 'null' : json));
    });
  }

  function threw(error) {
    finish(() => reply({ threw: { ...describe(error), worker_is_good: main !== undefined } }));
  }

  function finish(answer) {
    if (call === null) return;
    call = null;
    requests.ref();
    answer();
  }

  function load() {
    const dot = handler.lastIndexOf('.');
    const stem = path.resolve(handler.slice(0, dot));
    const name = handler.slice(dot + 1);
    const file = ['.js', '.mjs', '.cjs'].map((extension) => stem + extension).find((each) => existsSync(each));
    if (file === undefined) throw new Error(`there is no ${stem}.js, .mjs or .cjs for the handler ${handler}`);
    const pick = (module) => {
      for (const exports of [module, module.default]) {
        if (exports && typeof exports[name] === 'function') return exports[name].bind(exports);
      }
      const names = Object.keys(module).join(', ') || 'nothing';
      throw new Error(`${file} exports no function ${name}; it exports ${names}`);
    };
    return isModule(file) ? import(pathToFileURL(file).href).then(pick) : pick(createRequire(file)(file));
  }

  function isModule(file) {
    if (!file.endsWith('.js')) return file.endsWith('.mjs');
    for (let folder = path.dirname(file); ; folder = path.dirname(folder)) {
      const description = path.join(folder, 'package.json');
      if (existsSync(description)) return JSON.parse(readFileSync(description, 'utf8')).type === 'module';
      if (folder === path.dirname(folder)) return false;
    }
  }

  function hint(error) {
    const codes = ['MODULE_NOT_FOUND', 'ERR_MODULE_NOT_FOUND'];
    const found = error instanceof Error && codes.includes(error.code) && /'([^'./][^']*)'/.exec(error.message);
    if (found) error.message = `${error.message.split('\n')[0]} (run \`npm install\` in ${process.cwd()})`;
    return error;
  }

  async function invoke({ event, context }) {
    const mine = { promised: true, called: null };
    call = mine;
    reply({ started: {} });
    // From here on an empty event loop means that nothing can settle the call any more.
    requests.unref();
    try {
      if (main === undefined) main = await load();
    } catch (error) {
      threw(hint(error));
      return;
    }
    if (call !== mine) return;
    context.callbackWaitsForEmptyEventLoop = true;
    const callback = (error, value) => {
      if (call !== mine || mine.called) return;
      mine.called = error === null || error === undefined ? () => returned(value) : () => threw(error);
      if (context.callbackWaitsForEmptyEventLoop === false) mine.called();
    };
    try {
      const value = main(event, context, callback);
      mine.promised = value !== null && value !== undefined && typeof value.then === 'function';
      if (mine.promised) {
        const result = await value;
        if (call === mine && mine.called) mine.called();
        else if (call === mine) returned(result);
      } else if (value !== undefined && main.length < 3 && call === mine && !mine.called) {
        returned(value);
      }
    } catch (error) {
      if (call === mine) threw(error);
    }
  }

  process.on('beforeExit', () => {
    if (call === null) return;
    if (call.called) call.called();
    else if (call.promised) threw(new Error('nothing is left to wait for, but the promise of the handler never settled'));
    else returned(undefined);
  });
  process.on('uncaughtExceptionMonitor', (error, origin) => {
    const kind = origin === 'unhandledRejection' ? 'unhandled rejection' : 'uncaught exception';
    reply({ dying: { kind, ...describe(error) } });
  });
  process.on('exit', (code) => {
    try {
      reply({ exiting: { code } });
    } catch (_) {
      // The daemon is gone, which is why we are going.
    }
  });

  let pending = Buffer.alloc(0);
  requests.on('data', (chunk) => {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= 4 && pending.length >= 4 + pending.readUInt32LE(0)) {
      const end = 4 + pending.readUInt32LE(0);
      const request = JSON.parse(pending.slice(4, end).toString());
      pending = pending.slice(end);
      invoke(request);
    }
  });
  requests.on('close', () => process.exit());
  reply({ ready: {} });
})();
