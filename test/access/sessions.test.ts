/** Sessions of browsers: bounded in number and time, and bound to the account as it was. */
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type Access, type Asker, openAccess, type SessionSecrets } from '../../src/access/access.ts'
import type { ManualClock } from '../records/fixture.ts'
import { basic, person, robot, TestAccounts } from './fixture.ts'

let accounts: TestAccounts
let access: Access
let clock: ManualClock
beforeEach(async () => {
  accounts = new TestAccounts()
  clock = accounts.clock
  access = await openAccess({ names: accounts, clock, steady: clock })
  accounts.set('ann', person('secret of ann'))
})
afterEach(() => access[Symbol.dispose]())

const identify = async (name: string, secret: string): Promise<Asker> =>
  await access.identify(basic(name, secret), '127.0.0.1')
async function open(name = 'ann', secret = 'secret of ann'): Promise<SessionSecrets> {
  const secrets = access.openSession(await identify(name, secret))
  if (secrets === undefined) throw new Error('there is no such account')
  return secrets
}
const nameOf = (secrets: SessionSecrets) => access.askerOfSession(secrets)?.name

it('is found by both of its secrets alone', async () => {
  const [first, second] = [await open(), await open()]
  expect([nameOf(first), nameOf(second)]).toEqual(['ann', 'ann'])
  for (const mixed of [
    { ...first, seal: second.seal },
    { id: first.seal, seal: first.id },
    { id: '', seal: '' },
  ])
    expect(nameOf(mixed)).toBeUndefined()
  access.closeSession({ ...first, seal: second.seal })
  expect(nameOf(first)).toBe('ann')
  access.closeSession(first)
  expect([nameOf(first), nameOf(second)]).toEqual([undefined, 'ann'])
})

it('ends after eight hours, however often it is used', async () => {
  const session = await open()
  for (let hour = 0; hour < 7; hour++) {
    clock.ms += 3600_000
    expect(nameOf(session)).toBe('ann')
  }
  clock.ms += 3600_000
  expect(nameOf(session)).toBeUndefined()
})

it('ends with every change of the account, and with a robot’s expiry', async () => {
  for (const change of [
    person('secret of ann', { groups: ['ci'] }),
    person('secret of ann', { disabledMs: 1 }),
    undefined,
  ]) {
    accounts.set('ann', person('secret of ann'))
    const session = await open()
    accounts.set('ann', change)
    expect(nameOf(session)).toBeUndefined()
    // Not even where what it was comes back.
    accounts.set('ann', person('secret of ann'))
    expect(nameOf(session)).toBeUndefined()
  }
  accounts.set('robot$ci', robot('s', { expiresMs: clock.now() + 1000 }))
  const session = await open('robot$ci', 's')
  clock.ms += 1000
  expect(nameOf(session)).toBeUndefined()
})

it('makes room among those of the same account first', async () => {
  accounts.set('bob', person('secret of bob'))
  const ofBob = await open('bob', 'secret of bob')
  const all: SessionSecrets[] = []
  for (let n = 0; n < 17; n++) all.push(await open())
  expect(all.map(nameOf)).toEqual([undefined, ...Array.from({ length: 16 }, () => 'ann')])
  expect(nameOf(ofBob)).toBe('bob')
})

it('is none for who did not sign in, or whose account has changed since', async () => {
  expect(access.openSession(await identify('', ''))).toBeUndefined()
  const asker = await identify('ann', 'secret of ann')
  accounts.set('ann', person('another'))
  expect(access.openSession(asker)).toBeUndefined()
})
