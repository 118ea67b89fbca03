/** Makes what the plan says befall the nodes, and undoes it. */
import { setTimeout as wait } from 'node:timers/promises'
import type { Network } from '../netns/network.ts'
import type { Fault } from './plan.ts'
import type { Ground } from './registry-client.ts'
import type { SoakNode } from './soak-node.ts'

export class Faults {
  readonly #ground: Ground
  readonly #network: Network
  constructor(ground: Ground, network: Network) {
    this.#ground = ground
    this.#network = network
  }

  /** Of what was damaged at that node, only these are still wrong. */
  healed(node: number, stillWrong: ReadonlySet<string>): void {
    const rotten = this.#ground.nodes[node]?.rotten
    for (const digest of rotten ?? []) if (!stillWrong.has(digest)) rotten?.delete(digest)
  }

  /** Resolves when it is over. One that finds its node in another's hands is left out. */
  async befall(fault: Fault): Promise<void> {
    const { weather, chronicle, now } = this.#ground
    if (fault.kind === 'partition') {
      const end = weather.begin('partition', undefined, now())
      const heal = chronicle.cut(fault.groups)
      await this.#partition(fault.groups)
      await wait(fault.forMs)
      await this.#network.heal()
      heal()
      return end(now())
    }
    const node = this.#nodeAt(fault.node)
    if (node.state !== 'up') return
    const end = weather.begin(fault.kind, fault.node, now())
    const up = isOutage(fault) ? chronicle.down(fault.node) : undefined
    try {
      await this.#befallNode(fault, node)
    } finally {
      end(now())
      up?.()
    }
  }

  /** Undoes all that lasts. Whatever does not run is started. */
  async recover(): Promise<void> {
    await this.#network.heal()
    for (const [index, node] of this.#ground.nodes.entries()) {
      await node.freeDisk()
      if (node.clockAheadMs !== 0) await node.stepClock(0)
      if (node.state === 'paused') this.#resume(node)
      if (!node.node.running()) await this.#start(index, node)
    }
  }

  async #befallNode(fault: Exclude<Fault, { kind: 'partition' }>, node: SoakNode): Promise<void> {
    const { now, complain, chronicle } = this.#ground
    switch (fault.kind) {
      case 'kill':
        node.enter('down', now())
        await node.node.kill()
        await wait(fault.forMs)
        return await this.#start(fault.node, node)
      case 'restart': {
        node.enter('down', now())
        const wrong = await node.stop()
        if (wrong !== undefined) complain(`node ${fault.node} ${wrong}`, { node: fault.node })
        await wait(fault.forMs)
        return await this.#start(fault.node, node)
      }
      case 'stop':
        node.enter('paused', now())
        node.node.signal('SIGSTOP')
        await wait(fault.forMs)
        return this.#resume(node)
      case 'disk':
        await node.fillDisk(fault.leftBytes)
        await wait(fault.forMs)
        return await node.freeDisk()
      case 'clock':
        await node.stepClock(fault.stepMs)
        await wait(fault.forMs)
        return await node.stepClock(0)
      case 'rot': {
        const digest = await node.rot(fault.which, fault.truncates)
        if (digest === undefined) return
        return chronicle.lose(fault.node, digest)
      }
    }
  }

  async #start(index: number, node: SoakNode): Promise<void> {
    const { now, complain } = this.#ground
    node.enter('starting', now())
    try {
      await node.node.start()
      node.enter('up', now())
    } catch (error) {
      node.enter('down', now())
      // A full disk may keep it from starting; it is started again once there is room.
      if (!node.isFull) complain(`node ${index} did not start: ${String(error)}`, { node: index })
    }
  }

  #resume(node: SoakNode): void {
    node.node.signal('SIGCONT')
    node.enter('up', this.#ground.now())
  }

  async #partition(groups: readonly (readonly number[])[]): Promise<void> {
    const hosts = groups.map((group) => group.map((index) => this.#nodeAt(index).node.host))
    await this.#network.partition(...hosts)
  }

  #nodeAt(index: number): SoakNode {
    const node = this.#ground.nodes[index]
    if (node === undefined) throw new Error(`there is no node ${index}`)
    return node
  }
}

function isOutage({ kind }: Fault): boolean {
  return kind === 'kill' || kind === 'restart' || kind === 'stop'
}
