import { spawn } from 'node:child_process';
import { Refusal } from '../refusal.ts';
import type { Layout } from './layout.ts';

/**
 * Runs a program in a node's namespace (`node-1`), or a pod's (`node-1/pod-1`), with this terminal. Answers its exit status. What asks for
 * flanneld finds the node's.
 */
export function labExec(lab: Layout, where: string, command: readonly string[]): Promise<number> {
  const places = lab.nodes.flatMap((node) => [
    { name: node.name, netnsPath: node.netnsPath, socket: node.socket },
    ...node.pods.map(({ name, netnsPath }) => ({ name, netnsPath, socket: node.socket })),
  ]);
  const place = places.find(({ name }) => name === where);
  if (place === undefined) {
    throw new Refusal(
      `there is no ${where} in the lab: there is ${places.map(({ name }) => name).join(', ')}`,
    );
  }
  const shell = [process.env['SHELL'] ?? '/bin/sh'];
  const child = spawn('nsenter', [`--net=${place.netnsPath}`, ...(command.length > 0 ? command : shell)], {
    stdio: 'inherit',
    env: { ...process.env, FLANNELD_SOCKET: place.socket },
  });
  return new Promise((resolve, reject) => {
    child.on('error', (error) => reject(new Refusal(`cannot run nsenter: ${error.message}`)));
    child.on('close', (code) => resolve(code ?? 128));
  });
}
