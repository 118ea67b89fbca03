/** A change of an account at one node counts at another as soon as one message has come, whatever the clocks say. */
import { expect, it } from 'vitest'
import { type Access, openAccess } from '../../src/access/access.ts'
import { type AccountValue, type Spread, spreadRecords } from '../../src/records/records.ts'
import { alice, authority, bob, ManualClock, type TestLedger, testLedger } from '../records/fixture.ts'
import { basic, person } from './fixture.ts'

type Handler = Parameters<Spread['onMessage']>[0]

/** Both of one cluster: what either tells waits here until it is carried over. */
async function openTwoNodes(stack: AsyncDisposableStack) {
  const clock = new ManualClock()
  const steady = new ManualClock()
  const one = stack.use(await testLedger({ clock, steady, identity: alice, authorityIdentity: authority }))
  const other = stack.use(await testLedger({ clock, steady, identity: bob }))
  const told: Uint8Array[] = []
  const handlers: Handler[] = []
  const spread: Spread = {
    publish: async (message) => void told.push(message),
    onMessage: (handler) => {
      handlers.push(handler)
      return () => undefined
    },
  }
  for (const { ledger } of [one, other]) stack.use(spreadRecords({ ledger, spread, now: () => steady.now() }))
  const open = async ({ ledger }: TestLedger): Promise<Access> =>
    stack.use(await openAccess({ names: ledger, clock, steady }))
  const access = { one: await open(one), other: await open(other) }
  const set = async (value: AccountValue | undefined): Promise<void> => {
    await one.ledger.publishAsAuthority([{ kind: 'account', name: 'ann', value }])
    expect(told).toHaveLength(1)
  }
  const carryOver = async (): Promise<void> => {
    for (const message of told.splice(0)) expect(await handlers[1]?.(message, alice.peerId)).toBe('accept')
  }
  return { access, set, carryOver }
}

it('who was added signs in, and who was disabled, renewed or removed is out, also where it was known before', async () => {
  await using stack = new AsyncDisposableStack()
  const { access, set, carryOver } = await openTwoNodes(stack)
  const connection = {}
  const signIn = async (at: Access, password: string): Promise<string | undefined> =>
    (await at.identify(basic('ann', password), '192.0.2.1', connection)).name
  await set(person('first'))
  await carryOver()
  expect(await signIn(access.other, 'first')).toBe('ann')
  for (const change of [person('first', { disabledMs: 1 }), person('second'), undefined]) {
    // What was remembered stands at once, so that it is this change that ends it.
    await set(person('first'))
    await carryOver()
    expect(await signIn(access.other, 'first')).toBe('ann')
    expect(access.other.recall(basic('ann', 'first')).name).toBe('ann')
    await set(change)
    await expect(signIn(access.one, 'first')).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
    await carryOver()
    expect(access.other.recallOn(connection, basic('ann', 'first'))).toBeUndefined()
    await expect(signIn(access.other, 'first')).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  }
})
