import { join } from 'node:path'
import { Level } from 'level'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type BufferedDatabase, bufferDatabase } from '../../../src/swarm/streams/datastore.ts'
import { temporaryFolder } from '../fixture.ts'

let stack: AsyncDisposableStack
let level: Level<string, Uint8Array>
let buffered: BufferedDatabase
beforeEach(async () => {
  stack = new AsyncDisposableStack()
  level = new Level(join(await temporaryFolder(stack), 'db'), { valueEncoding: 'view' })
  await level.open()
  stack.defer(async () => await level.close())
  buffered = bufferDatabase(level, '/peers/')
})
afterEach(async () => {
  await stack.disposeAsync()
})

/** As the database returns it. */
const value = (byte: number): Uint8Array => Buffer.of(byte)

test('entries under the prefix are written at a flush, others at once', async () => {
  await buffered.put('/peers/a', value(1))
  await buffered.put('/dht/a', value(2))
  expect(await level.get('/peers/a')).toBeUndefined()
  expect(await level.get('/dht/a')).toEqual(value(2))
  expect(await buffered.get('/peers/a')).toEqual(value(1))
  await buffered.flush()
  expect(await level.get('/peers/a')).toEqual(value(1))
})

test('a deletion is seen at once and written at a flush', async () => {
  await level.put('/peers/a', value(1))
  expect(await buffered.get('/peers/a')).toEqual(value(1))
  await buffered.batch([
    { type: 'del', key: '/peers/a' },
    { type: 'put', key: '/peers/b', value: value(2) },
    { type: 'put', key: '/dht/b', value: value(3) },
  ])
  expect(await buffered.get('/peers/a')).toBeUndefined()
  await buffered.flush()
  expect(await level.get('/peers/a')).toBeUndefined()
  expect(await level.get('/peers/b')).toEqual(value(2))
  expect(await level.get('/dht/b')).toEqual(value(3))
})

test('an iterator sees what was not yet written', async () => {
  await buffered.put('/peers/a', value(1))
  const found: unknown[] = []
  for await (const entry of buffered.iterator({ gte: '/peers/', lt: '/peers0' })) found.push(entry)
  expect(found).toEqual([['/peers/a', value(1)]])
})

test('a change during a read wins over what is read', async () => {
  await level.put('/peers/a', value(1))
  const reading = buffered.get('/peers/a')
  await buffered.put('/peers/a', value(2))
  expect(await reading).toEqual(value(2))
})

test('more entries than are kept are still all there', async () => {
  for (let i = 0; i < 5000; i++) await buffered.put(`/peers/${i}`, value(i % 256))
  await buffered.flush()
  for (let i = 0; i < 5000; i++) expect(await buffered.get(`/peers/${i}`)).toEqual(value(i % 256))
})
