/** What those can do who have no secret at all, over real connections. */
import { createConnection, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { connected, newCluster, startSwarm, until } from '../swarm/fixture.ts'

let stack: AsyncDisposableStack
beforeEach(() => {
  stack = new AsyncDisposableStack()
})
afterEach(async () => {
  await stack.disposeAsync()
})

it('forty addresses that open silent connections again and again do not delay a member that joins', async () => {
  const cluster = await newCluster(stack)
  const a = await startSwarm(stack, { cluster })
  const sockets = new Set<Socket>()
  let isOver = false
  let opened = 0
  const open = (address: string): void => {
    if (isOver) return
    const socket = createConnection({ host: '127.0.0.1', port: a.swarm.port(), localAddress: address })
    sockets.add(socket)
    socket.once('connect', () => opened++)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => {
      sockets.delete(socket)
      setTimeout(() => open(address), 5)
    })
    socket.resume()
  }
  stack.defer(() => {
    isOver = true
    for (const socket of sockets) socket.destroy()
  })
  for (let at = 0; at < 40; at++) for (let n = 0; n < 16; n++) open(`127.0.1.${at + 1}`)
  await until('the strangers to be there', () => opened >= 640)
  const b = await startSwarm(stack, { cluster, bootstrap: [a.address] })
  await until('the member to join', () => connected(a, b), 8000)
  expect(a.swarm.members.peers()).toEqual([b.swarm.peerId])
})
