import type { UserspaceWorld } from './userspace-control.ts';
import { isWhole } from './uapi.ts';

/** How long an answer may take, in milliseconds, and how long it may be, in characters: some 50,000 peers. */
const timeout = 5000;
const longest = 32 * 1024 * 1024;

/** See {@link UserspaceWorld.exchange}. */
export const exchange: UserspaceWorld['exchange'] = (path, requests) =>
  new Promise((resolve, reject) => {
    const answers: string[] = [];
    let answer: string[] = [];
    let length = 0;
    const socket = process.getBuiltinModule('node:net').connect(path);
    const next = () => {
      const request = requests[answers.length];
      if (request !== undefined) {
        socket.write(request);
        return;
      }
      resolve(answers);
      socket.destroy();
    };
    const fail = (why: string) => socket.destroy(new Error(`${path}: ${why}`));
    socket.setEncoding('utf8');
    socket.setTimeout(timeout, () => fail(`no answer in ${timeout / 1000} s`));
    socket.on('connect', next);
    socket.on('data', (text: string) => {
      answer.push(text);
      length += text.length;
      if (length > longest) fail('an answer without end');
      // The empty line at the end may come in two pieces.
      if (!isWhole(answer.slice(-2).join(''))) return;
      answers.push(answer.join(''));
      answer = [];
      length = 0;
      next();
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`${path}: it closed the connection`)));
  });
