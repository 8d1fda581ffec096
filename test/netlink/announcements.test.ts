import { expect, test } from 'vitest';
import { Announcements } from '../../src/netlink/announcements.ts';
import * as k from '../../src/netlink/constants.ts';
import { newLink } from '../../src/netlink/route/link.ts';
import { SyncSession } from '../../src/netlink/session.ts';
import { VirtualClock } from '../kit/virtual-clock.ts';
import { FakeKernel } from './fake-kernel.ts';

function watched() {
  const kernel = new FakeKernel();
  const clock = new VirtualClock();
  const announcements = new Announcements(kernel.open([k.RTNLGRP_LINK]), clock);
  const session = new SyncSession(kernel.open());
  const told: string[] = [];
  announcements.subscribe(
    ({ type, value }) => told.push((type === k.RTM_NEWLINK && value.IFLA_IFNAME) || 'something else'),
    () => told.push('lost'),
  );
  const make = (IFLA_IFNAME: string) =>
    session.request(newLink({ IFLA_IFNAME, IFLA_LINKINFO: { IFLA_INFO_KIND: 'bridge' } }));
  return { announcements, clock, told, make };
}

test('what comes within two milliseconds is told together', async () => {
  const { clock, told, make } = watched();
  make('one');
  await clock.advance(1);
  make('two');
  expect(told).toEqual([]);
  await clock.advance(1);
  expect(told).toEqual(['one', 'two']);
  make('three');
  await clock.advance(2);
  expect(told).toEqual(['one', 'two', 'three']);
});

test('whoever must know now asks, and nothing is told twice', async () => {
  const { announcements, clock, told, make } = watched();
  make('one');
  expect(announcements.read()).toBe(true);
  expect(told).toEqual(['one']);
  await clock.advance(10);
  expect(told).toEqual(['one']);
});

test('whoever waits for something is told without delay, also what came just before', async () => {
  const { announcements, clock, told, make } = watched();
  make('one');
  await clock.advance(1);
  const noMore = announcements.promptly();
  expect(told).toEqual(['one']);
  make('two');
  await clock.advance(0);
  expect(told).toEqual(['one', 'two']);
  noMore();
  make('three');
  await clock.advance(1);
  expect(told).toEqual(['one', 'two']);
  await clock.advance(1);
  expect(told).toEqual(['one', 'two', 'three']);
});

test('after close nothing comes any more', async () => {
  const { announcements, clock, told, make } = watched();
  make('one');
  await clock.advance(1);
  announcements.close();
  make('two');
  await clock.advance(10);
  expect(told).toEqual([]);
});
