/** Where a transfer stands, and who is woken by what. */
import { expect, it } from 'vitest'
import { layoutOf } from '../../../src/exchange/protocol/piece-size.ts'
import type { Attempt } from '../../../src/exchange/transfer/attempt.ts'
import { TransferState } from '../../../src/exchange/transfer/transfer-state.ts'
import { digestOf, wanted } from '../lab/fixture.ts'

const attempt = { readers: () => undefined } as unknown as Attempt

function open() {
  const state = new TransferState(wanted(digestOf(new Uint8Array())), 0)
  const woken: string[] = []
  const wait = (name: string, piece: number) => {
    const follower = state.follow(piece)
    void state.woken(follower).then(() => woken.push(name))
    return follower
  }
  return { state, woken, wait }
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

it('wakes readers by the piece that they wait for, or that theirs follows on, and by no other', async () => {
  const { state, woken, wait } = open()
  for (const piece of [0, 1, 2, 3]) wait(`at ${piece}`, piece)
  state.gained(1)
  await settled()
  expect(woken).toEqual(['at 1', 'at 2'])
})

it('wakes all readers when it stands elsewhere', async () => {
  const { state, woken, wait } = open()
  wait('a', 0)
  state.go({ name: 'downloading', attempt })
  await settled()
  expect(woken).toEqual(['a'])
})

it('stays proven whatever fails after, and failed whatever comes after', async () => {
  const proven = open().state
  proven.go({ name: 'proven' })
  proven.fail(new Error('later'))
  expect(proven.now).toEqual({ name: 'proven' })
  await proven.done
  const failed = open().state
  expect(failed.fail(new Error('first'))).toMatchObject({ message: 'first' })
  expect(failed.fail(new Error('second'))).toMatchObject({ message: 'first' })
  failed.go({ name: 'searching' })
  expect(failed.now.name).toBe('failed')
  await expect(failed.ready).rejects.toThrow('first')
})

it('fails only readers that have read what is another blob', () => {
  const { state, wait } = open()
  const [before, across, behind] = [wait('', 0), wait('', 2), wait('', 8)]
  Object.assign(before, { piece: 3 })
  Object.assign(across, { piece: 7 })
  state.disappoint(new Error('it was another'), (piece) => piece === 5)
  expect([before, across, behind].map(({ failure }) => failure?.message)).toEqual([
    undefined,
    'it was another',
    undefined,
  ])
  state.show(layoutOf(10))
  state.show(layoutOf(11))
  expect(before.failure).toMatchObject({ code: 'BLOB_UNPROVEN' })
})
