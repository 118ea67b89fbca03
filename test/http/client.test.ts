import type { IncomingMessage } from 'node:http'
import { expect, it } from 'vitest'
import { clientOf } from '../../src/http/client.ts'

it.each([
  ['192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['2001:db8:1:2::', '2001:db8:1:2::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  [undefined, ''],
])('counts %s as the client %s', (remoteAddress, client) => {
  // Of all that a request has, its socket's address counts.
  expect(clientOf({ socket: { remoteAddress } } as unknown as IncomingMessage)).toBe(client)
})
