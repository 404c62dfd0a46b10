// The Node.js runtime: loads the handler and serves events from the Runtime API, as AWS's own does.
//
// ES modules and CommonJS; async handlers, callbacks (not for nodejs24.x, as on AWS), streamed answers (collected, since
// answers are buffered here). Source of the behaviour: docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html,
// nodejs-logging.html, nodejs-exceptions.html; names and forms of errors as functions on AWS report them.

import { existsSync, readFileSync, writeSync } from 'node:fs';
import http from 'node:http';
import module, { createRequire } from 'node:module';
import path from 'node:path';
import { Writable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import util from 'node:util';
import { leadToPlatform } from './hosts.mjs';

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const BASE = '/2018-06-01/runtime';
const STREAMED = Symbol.for('aws.lambda.runtime.handler.streaming');
const SEPARATOR = Buffer.alloc(8); // between the head and the body of a streamed HTTP answer
let requestId;

class RuntimeError extends Error {
  constructor(type, message) {
    super(message);
    this.name = `Runtime.${type}`;
  }
}

// --- the Runtime API

function call(method, route, body, headers = {}) {
  return new Promise((resolve, reject) => {
    if (body !== undefined) headers['Content-Length'] = Buffer.byteLength(body);
    const request = http.request({ host, port, method, path: BASE + route, agent, headers }, (answer) => {
      const chunks = [];
      answer.on('data', (chunk) => chunks.push(chunk));
      answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(chunks) }));
      answer.on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}

async function answer(id, body, type = 'application/json') {
  const told = await call('POST', `/invocation/${id}/response`, body, { 'Content-Type': type });
  if (told.status === 413) {
    process.stderr.write('LAMBDA_RUNTIME Failed to post handler success response. Http response code: 413.\n');
    process.exit(1);
  }
}

async function fail(route, error) {
  const document = documentOf(error);
  await call('POST', route, JSON.stringify(document), {
    'Content-Type': 'application/json',
    'Lambda-Runtime-Function-Error-Type': document.errorType,
  });
}

function documentOf(error) {
  if (!util.types.isNativeError(error) && !(error && error.stack)) {
    const text = typeof error === 'string' ? error : error === undefined ? 'undefined' : util.inspect(error);
    return { errorType: typeof error, errorMessage: text, trace: [] };
  }
  const trace = String(error.stack).split('\n');
  return { errorType: error.name, errorMessage: error.message, trace };
}

// --- the log: one event per line of console, with time, request and level

// A frame keeps the lines of an event together; the server finds frames in the same pipe as ordinary output.
function write(level, args) {
  const text = Buffer.from(`${new Date().toISOString()}\t${requestId}\t${level}\t${util.format(...args)}`);
  const head = Buffer.alloc(16);
  head.writeUInt32BE(0xa55a0003, 0);
  head.writeUInt32BE(text.length, 4);
  head.writeBigUInt64BE(BigInt(Date.now()) * 1000n, 8);
  let rest = Buffer.concat([head, text]);
  while (rest.length) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      if (error.code !== 'EAGAIN') return; // the function closed its output
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

for (const [name, level] of Object.entries({
  log: 'INFO', info: 'INFO', warn: 'WARN', error: 'ERROR', debug: 'DEBUG', trace: 'TRACE',
})) {
  console[name] = (...args) => write(level, args);
}

function tell(title, error) {
  const { errorType, errorMessage, trace } = documentOf(error);
  const others = util.types.isNativeError(error) ? Object.fromEntries(Object.entries(error)) : {};
  write('ERROR', [`${title} \t${JSON.stringify({ errorType, errorMessage, ...others, stack: trace })}`]);
}

// --- the handler

// Packages beside the function's own: layers, and the machine's for the AWS SDK. Node looks in NODE_PATH for require only.
function lookElsewhere() {
  const folders = (process.env.NODE_PATH || '').split(':').filter((folder) => folder.endsWith('/node_modules'));
  const parents = folders.filter(existsSync).map((folder) => pathToFileURL(path.join(folder, '..', '_.mjs')).href);
  if (parents.length && module.register) module.register('./resolve.mjs', import.meta.url, { data: parents });
}

async function load(root, name) {
  const match = /^(.*\/)?([^/.][^/]*?)\.(.+)$/.exec(name);
  if (!match || name.includes('..')) throw new RuntimeError('MalformedHandlerName', 'Bad handler');
  const [, folder = '', file, exported] = match;
  const base = path.resolve(root, folder, file);
  let loaded;
  try {
    loaded = await loadFile(base);
  } catch (error) {
    if (error instanceof SyntaxError) throw new RuntimeError('UserCodeSyntaxError', `SyntaxError: ${error.message}`);
    if (error?.code === 'MODULE_NOT_FOUND' || error?.code === 'ERR_MODULE_NOT_FOUND') {
      throw new RuntimeError('ImportModuleError', `Error: ${error.message}${advice(error.message)}`);
    }
    throw error;
  }
  const find = (from) => exported.split('.').reduce((value, key) => value?.[key], from);
  const handler = find(loaded) ?? find(loaded?.default);
  if (handler === undefined) throw new RuntimeError('HandlerNotFound', `${name} is undefined or not exported`);
  if (typeof handler !== 'function') throw new RuntimeError('HandlerNotFound', `${name} is not a function`);
  return handler;
}

async function loadFile(base) {
  const require = createRequire(base);
  for (const extension of ['.js', '.mjs', '.cjs']) {
    const file = base + extension;
    if (!existsSync(file)) continue;
    const asModule = extension === '.mjs' || (extension === '.js' && isModule(path.dirname(file)));
    if (!asModule) return require(file);
    lookElsewhere();
    return import(pathToFileURL(file).href);
  }
  return require(base); // a folder with an index.js, a name with its extension, a package of a layer
}

function isModule(folder) {
  for (;;) {
    const file = path.join(folder, 'package.json');
    if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')).type === 'module';
    if (path.dirname(folder) === folder) return false;
    folder = path.dirname(folder);
  }
}

function advice(message) {
  const [, name] = /'(@aws-sdk|@smithy|aws-sdk)\b/.exec(message) ?? [];
  if (!name) return '';
  const version = Number(/nodejs(\d+)/.exec(process.env.AWS_EXECUTION_ENV)?.[1]);
  if ((version < 18) !== (name === 'aws-sdk')) {
    const has = version < 18 ? 'the AWS SDK version 2 only' : 'the AWS SDK version 3 only, and aws-sdk is version 2';
    return `\nOn AWS too, nodejs${version}.x has ${has}: npm install what the function needs into the package`;
  }
  return '\nThe package does not bring the AWS SDK, and this machine has none: npm install it into the package, or with -g';
}

// --- streamed answers

class Collected extends Writable {
  chunks = [];
  contentType = 'application/octet-stream';
  setContentType(type) {
    this.contentType = type;
  }
  _write(chunk, encoding, done) {
    this.chunks.push(Buffer.from(chunk, encoding));
    done();
  }
}

globalThis.awslambda = {
  streamifyResponse(handler) {
    handler[STREAMED] = true;
    return handler;
  },
  HttpResponseStream: {
    from(stream, head) {
      stream.setContentType('application/vnd.awslambda.http-integration-response');
      stream.write(JSON.stringify(head));
      stream.write(SEPARATOR);
      return stream;
    },
  },
};

async function stream(handler, event, context) {
  const collected = new Collected();
  const ended = new Promise((resolve, reject) => collected.on('finish', resolve).on('error', reject));
  await handler(event, collected, context);
  collected.end();
  await ended;
  return [Buffer.concat(collected.chunks), collected.contentType];
}

// --- events

function contextOf(headers, settle) {
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  const parse = (name) => (headers[name] ? JSON.parse(headers[name]) : undefined);
  const { env } = process;
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: parse('lambda-runtime-client-context'),
    identity: parse('lambda-runtime-cognito-identity'),
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    awsRequestId: headers['lambda-runtime-aws-request-id'],
    getRemainingTimeInMillis: () => deadline - Date.now(),
    ...settle,
  };
}

function neverSettled() {
  const message =
    'The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by a Promise ' +
    'that was never settled. For more information, see https://nodejs.org/docs/latest/api/process.html#exit-codes';
  escaped('Uncaught Exception', new RuntimeError('NodeJsExit', message), 13);
}

// The value of a handler, however it tells it: a promise, a callback, or the old functions of the context. A callback's
// value counts once the event loop is empty, unless the function says that it does not wait.
function run(handler, event, headers) {
  return new Promise((resolve, reject) => {
    let outcome = [resolve, undefined];
    let context;
    const emptied = () => outcome[0](outcome[1]);
    const settle = (error, value) => {
      outcome = error === undefined || error === null ? [resolve, value] : [reject, error];
      if (!context.callbackWaitsForEmptyEventLoop) finish();
    };
    const finish = () => {
      process.removeListener('beforeExit', emptied);
      emptied();
    };
    const old = (error, value) => {
      context.callbackWaitsForEmptyEventLoop = false;
      settle(error, value);
    };
    const ways = { done: old, succeed: (value) => old(null, value), fail: (error) => old(error ?? new Error('null')) };
    context = contextOf(headers, ways);
    process.once('beforeExit', emptied);
    const returned = handler(event, context, settle);
    if (returned && typeof returned.then === 'function') {
      process.removeListener('beforeExit', emptied);
      process.once('beforeExit', neverSettled);
      returned.then(resolve, reject).finally(() => process.removeListener('beforeExit', neverSettled));
    }
  });
}

function serialized(value) {
  try {
    return JSON.stringify(value === undefined ? null : value) ?? 'null';
  } catch {
    throw new Error('Unable to stringify response body');
  }
}

async function serve(handler) {
  for (;;) {
    const { headers, body } = await call('GET', '/invocation/next');
    requestId = headers['lambda-runtime-aws-request-id'];
    const trace = headers['lambda-runtime-trace-id'];
    if (trace === undefined) delete process.env._X_AMZN_TRACE_ID;
    else process.env._X_AMZN_TRACE_ID = trace;
    try {
      const event = JSON.parse(body.toString('utf8'));
      const context = () => contextOf(headers, {});
      const told = handler[STREAMED] ? await stream(handler, event, context()) : [serialized(await run(handler, event, headers))];
      await answer(requestId, ...told);
    } catch (error) {
      tell('Invoke Error', error);
      await fail(`/invocation/${requestId}/error`, error);
    }
  }
}

// What escapes every handler ends the process, after the invocation (or INIT) was told.
async function escaped(title, error, status) {
  const told = status === 128 ? new RuntimeError('UnhandledPromiseRejection', String(error)) : error;
  tell(title, told);
  agent.destroy(); // a request for the next event may be waiting on it
  try {
    await fail(requestId ? `/invocation/${requestId}/error` : '/init/error', told);
  } finally {
    process.exit(status);
  }
}

process.on('uncaughtException', (error) => escaped('Uncaught Exception', error, 129));
process.on('unhandledRejection', (error) => escaped('Unhandled Promise Rejection', error, 128));

try {
  leadToPlatform(process.env.AWS_ENDPOINT_URL);
  const handler = await load(process.env.LAMBDA_TASK_ROOT, process.env._HANDLER);
  if (process.env.AWS_EXECUTION_ENV === 'AWS_Lambda_nodejs24.x' && handler.length > 2 && !handler[STREAMED]) {
    throw new RuntimeError(
      'CallbackHandlerDeprecated',
      'ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. ' +
        'You need to modify this function to use a supported handler signature to use Node.js 24 or later.',
    );
  }
  await serve(handler);
} catch (error) {
  tell('Uncaught Exception', error);
  await fail('/init/error', error);
  process.exit(1);
}
