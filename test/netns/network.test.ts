import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, test } from 'vitest'
import { run } from '../e2e/command.ts'
import { requires } from '../e2e/requirement.ts'
import { type NetworkHost, networkNeeds, openNetwork } from './network.ts'

const bytes = 8 * 1024 * 1024
const listen = `
  const server = require('net').createServer((socket) => socket.resume().on('close', () => server.close()))
  server.listen(7000, () => console.log('listening'))`
const send = `
  require('net').connect(7000, process.argv[1]).end(Buffer.alloc(${bytes}))`
const largestOnWire = 1514

describe('a network of hosts', requires(...networkNeeds), () => {
  test('hands on whole what a host sends at once over a quick link', async () => {
    await using network = await openNetwork(2)
    const [from, to] = network.hosts
    if (from === undefined || to === undefined) throw new Error('no two hosts')
    for (const host of network.hosts) await network.shape(host, 1000)
    const { command, args } = to.command(process.execPath, ['-e', listen])
    const listener = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    const ended = once(listener, 'close')
    await once(listener.stdout, 'data')
    const before = await received(to)

    const sender = from.command(process.execPath, ['-e', send, to.address])
    await run(sender.command, sender.args)
    await ended

    const after = await received(to)
    expect(after.bytes - before.bytes).toBeGreaterThan(bytes)
    expect((after.bytes - before.bytes) / (after.packets - before.packets)).toBeGreaterThan(4 * largestOnWire)
  })

  test('tells hosts where all are when they are too many to ask', async () => {
    await using network = await openNetwork(31)
    const last = network.hosts.at(-1)
    if (last === undefined) throw new Error('no host')
    const { stdout } = await run('ip', ['-n', last.name, '-j', 'neighbour', 'show', 'nud', 'permanent'])
    const known = (JSON.parse(stdout) as { dst: string }[]).map(({ dst }) => dst)
    expect(known.sort()).toEqual(network.hosts.map(({ address }) => address).sort())
  })
})

async function received(host: NetworkHost): Promise<{ bytes: number; packets: number }> {
  const { command, args } = host.command('ip', ['-s', '-j', 'link', 'show', 'eth0'])
  const { stdout } = await run(command, args)
  const [{ stats64 }] = JSON.parse(stdout) as [{ stats64: { rx: { bytes: number; packets: number } } }]
  return stats64.rx
}
