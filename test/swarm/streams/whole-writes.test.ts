import { Writable } from 'node:stream'
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
  }
  const send = (...parts: string[]) => connection.sendData(parts.map((part) => Buffer.from(part)))
  return { connection, send, calls }
}

test('what is sent at once is one write, and goes out at once', () => {
  const { connection, send, calls } = connectionOf()
  writeWhole(connection)
  send('2:', 'to')
  expect(calls).toEqual(['2:to'])
  send('3:', 'you')
  expect(calls).toEqual(['2:to', '3:you'])
})

test('without it each part is a write of its own', () => {
  const { send, calls } = connectionOf()
  send('2:', 'to')
  expect(calls).toEqual(['2:', 'to'])
})

test('a socket that has no room says so, and goes on once it has', async () => {
  const { connection, send, calls } = connectionOf(4)
  writeWhole(connection)
  const drained = new Promise<void>((resolve) => connection.socket.once('drain', resolve))
  expect(send('4:', 'more', 'left')).toEqual({ sentBytes: 6, canSendMore: false })
  await drained
  expect(calls).toEqual(['4:more'])
})
