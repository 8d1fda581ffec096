import { expect, test } from 'vitest';
import { viewOf } from '../../src/netlink/payload.ts';
import { link, type LinkMessage } from '../../src/netlink/route/link.ts';
import { linkAnnouncement } from '../../src/netlink/route/link-announcement.ts';
import { golden } from './golden.ts';

const links = golden().filter(({ codec }) => codec === 'link');

/** What is looked at of any link. */
const looked = ({ ifi_index, ifi_flags, IFLA_IFNAME, IFLA_ADDRESS, IFLA_MTU, IFLA_MASTER }: LinkMessage) =>
  Object.fromEntries(
    Object.entries({ ifi_index, ifi_flags, IFLA_IFNAME, IFLA_ADDRESS, IFLA_MTU, IFLA_MASTER }).filter(
      ([, value]) => value !== undefined,
    ),
  );

test.each(links)('an announcement is a part of the whole message: $name', ({ bytes }) => {
  const whole = link.decode(viewOf(bytes), 0, bytes.length);
  const part = linkAnnouncement.decode(viewOf(bytes), 0, bytes.length);
  expect(part).not.toHaveProperty('unknown');
  const { IFLA_LINKINFO: info, ...rest } = part;
  expect(rest).toMatchObject(looked(whole));
  expect(whole).toMatchObject(rest);
  expect(info?.IFLA_INFO_KIND).toBe(whole.IFLA_LINKINFO?.IFLA_INFO_KIND);
  if (info?.IFLA_INFO_KIND === 'vxlan')
    expect(info.IFLA_INFO_DATA).toEqual(whole.IFLA_LINKINFO?.IFLA_INFO_DATA);
});
