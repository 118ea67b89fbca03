import { Writable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { writeWhole } from '../../../src/swarm/streams/whole-writes.ts'

/** As libp2p's own over TCP, on a socket that notes what each system call would write. */
function connectionOf(highWaterMark = 65_536) {
  const calls: string[] = []
  const socket = new Writable({
    highWaterMark,
    write(chunk: Buffer, _encoding, done) {
      calls.push(chunk.toString())
      done()
    },
    writev(chunks, done) {
      calls.push(Buffer.concat(chunks.map(({ chunk }) => chunk as Buffer)).toString())
      done()
    },
  })
  const connection = {
    socket,
    sendData(data: Iterable<Uint8Array>) {
      let [sentBytes, canSendMore] = [0, true]
      for (const part of data) {
        sentBytes += part.byteLength
        canSendMore = socket.write(part)
        if (!canSendMore) break
      }
      return { sentBytes, canSendMore }
    },
    sendReset: () => void socket.destroy(),
  }
  const send = (...parts: string[]) => connection.sendData(parts.map((part) => Buffer.from(part)))
  return { connection, send, calls }
}

test('what is sent at once is one write, and goes out before anything else happens', async () => {
  const { connection, send, calls } = connectionOf()
  writeWhole(connection)
  send('2:', 'to')
  send('3:', 'you')
  await turn()
  send('4:', 'next')
  await turn()
  expect(calls).toEqual(['2:to3:you', '4:next'])
})

test('without it each part is a write of its own', async () => {
  const { send, calls } = connectionOf()
  send('2:', 'to')
  await turn()
  expect(calls).toEqual(['2:', 'to'])
})

test('what was sent before a reset goes out', () => {
  const { connection, send, calls } = connectionOf()
  writeWhole(connection)
  send('4:', 'last')
  connection.sendReset()
  expect(calls).toEqual(['4:last'])
})

test('a socket that has no room says so, and goes on once it has', async () => {
  const { connection, send, calls } = connectionOf(4)
  writeWhole(connection)
  const drained = new Promise<void>((resolve) => connection.socket.once('drain', resolve))
  expect(send('4:', 'more', 'left')).toEqual({ sentBytes: 6, canSendMore: false })
  await drained
  expect(calls).toEqual(['4:more'])
})
