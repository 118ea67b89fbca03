/** A soak from its first node to its verdict: rounds of chance and faults, and after each the peace in which all is checked. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { maxAheadMs } from '../../src/records/time.ts'
import { openNetwork } from '../netns/network.ts'
import { Check } from './check.ts'
import { Chronicle, type Standing } from './chronicle.ts'
import { Faults } from './faults.ts'
import { LastPhase } from './last-phase.ts'
import { LogWatch } from './log-watch.ts'
import type { SoakOptions } from './options.ts'
import { type PlanOptions, planRound, printedFault, type Round, type Task } from './plan.ts'
import { Referee } from './referee.ts'
import type { Ground } from './registry-client.ts'
import { settle } from './settle.ts'
import { SoakNode } from './soak-node.ts'
import { carryOut } from './tasks.ts'
import { Watch } from './watch.ts'
import { Weather } from './weather.ts'

/** Clients wait for their answers; more of them than this at once are left out. */
const maxAtOnce = 24
const minuteMs = 60_000

const nodeFlags = ['--min-free', '4MiB', '--gc-interval', '25s', '--gc-grace', '90s']

/** Resolves to whether nothing was wrong. */
export async function soak(options: SoakOptions): Promise<boolean> {
  const { minutes, seed, nodes: size, kinds, tasksPerSecond, keepGoing, from } = options
  const artefacts = options.artefacts ?? (await mkdtemp(path.join(tmpdir(), 'shoal-soak-')))
  await mkdir(artefacts, { recursive: true })
  const startedMs = performance.now()
  const now = (): number => performance.now() - startedMs
  const print = (text: string): void => void process.stdout.write(`${text}\n`)
  print(
    `seed ${seed}, ${minutes} min, ${size} nodes, faults ${kinds.join(', ') || 'none'}; artefacts in ${artefacts}`,
  )

  const run = new SoakRun({ artefacts, now, print, plan: { seed, nodes: size, kinds, tasksPerSecond } })
  const referee = await run.go({ minutes, keepGoing, from })
  const isClean = referee.violations.length === 0
  if (isClean && options.artefacts === undefined) await rm(artefacts, { recursive: true })
  else print(`artefacts in ${artefacts}`)
  for (const line of referee.summary()) print(`  ${line}`)
  print(
    `${isClean ? 'no violation' : `${referee.violations.length} violations`} with seed ${seed} in ${Math.round(now() / 1000)} s`,
  )
  return isClean
}

interface RunOptions {
  artefacts: string
  now: () => number
  print: (text: string) => void
  plan: PlanOptions
}

class SoakRun {
  readonly #options: RunOptions
  readonly #weather = new Weather()
  #done = 0
  #leftOut = 0

  constructor(options: RunOptions) {
    this.#options = options
  }

  async go({
    minutes,
    keepGoing,
    from,
  }: Pick<SoakOptions, 'minutes' | 'keepGoing' | 'from'>): Promise<Referee> {
    const { artefacts, now, print, plan } = this.#options
    await using stack = new AsyncDisposableStack()
    const chronicle = stack.use(
      new Chronicle(path.join(artefacts, 'calls.jsonl'), { now, nodes: plan.nodes }),
    )
    const logs: LogWatch[] = []
    const referee = new Referee({ chronicle, logs, now, print })
    const network = stack.use(await openNetwork(plan.nodes))
    const nodes: SoakNode[] = []
    for (const [index, host] of network.hosts.entries()) {
      const log = new LogWatch(path.join(artefacts, `node-${index}.log`), {
        now,
        faults: () => this.#weather.kinds,
        onComplaint: (complaint, line) =>
          referee.complain(`node ${index} wrote ${complaint}: ${line.text.slice(0, 1_000)}`, { node: index }),
      })
      logs.push(stack.use(log))
      const join = nodes[0] === undefined ? [] : ['--join', await nodes[0].node.shoal('token')]
      const node = await SoakNode.open(host, {
        flags: [...nodeFlags, ...join],
        clockFile: path.join(artefacts, `node-${index}.clock`),
        onOutput: (text) => log.feed(text),
      })
      nodes.push(stack.use(node))
    }
    const ground: Ground = {
      nodes,
      chronicle,
      weather: this.#weather,
      now,
      complain: (what, about) => referee.complain(what, about),
    }
    const faults = new Faults(ground, network)
    const check = new Check(ground, faults)
    const watch = new Watch(ground)
    const ended = new AbortController()
    const watching = watch.run(ended.signal)
    const telling = setInterval(() => print(this.#line(referee, watch)), minuteMs)
    try {
      await settle(ground)
      let standing: Standing[] = []
      let roundMs = 1.3 * minuteMs
      /** Until then a name may have a time from a clock that was ahead, behind which whoever moves it is no later than others. */
      let aheadUntilMs = 0
      for (let index = from; index === from || now() + roundMs < minutes * minuteMs; index++) {
        const beganMs = now()
        const round = planRound(index, plan)
        print(
          `round ${index} at +${Math.round(now() / 1000)} s: ${round.faults.map(printedFault).join(', ') || 'no faults'}`,
        )
        chronicle.beginRound(standing, Math.max(farthestStep(round), aheadUntilMs - beganMs))
        await this.#round(ground, faults, round)
        await faults.recover()
        standing = await check.run(await settle(ground), index)
        roundMs = now() - beganMs
        aheadUntilMs = Math.max(aheadUntilMs, now() + farthestAhead(round))
        if (referee.violations.length > 0 && !keepGoing) break
      }
      print(`the last phase at +${Math.round(now() / 1000)} s: each disk full in turn, then a host is lost`)
      await new LastPhase(ground).run(plan.seed % plan.nodes)
    } finally {
      clearInterval(telling)
      ended.abort()
      await watching
    }
    for (const [index, node] of nodes.entries()) {
      if (!node.node.running()) continue
      const wrong = await node.stop()
      if (wrong !== undefined) referee.complain(`node ${index} ${wrong}`, { node: index })
    }
    return referee
  }

  /** Resolves when the last of its tasks was answered. */
  async #round(ground: Ground, faults: Faults, { faults: planned, tasks }: Round): Promise<void> {
    const beginMs = performance.now()
    const until = async (atMs: number): Promise<void> => {
      const leftMs = beginMs + atMs - performance.now()
      if (leftMs > 0) await wait(leftMs)
    }
    const failures: unknown[] = []
    const underWay = new Set<Promise<void>>()
    const start = (work: Promise<void>): void => {
      const followed = work
        .catch((error: unknown) => void failures.push(error))
        .finally(() => underWay.delete(followed))
      underWay.add(followed)
    }
    for (const fault of planned) start(until(fault.atMs).then(() => faults.befall(fault)))
    for (const task of tasks) {
      await until(task.atMs)
      if (underWay.size >= maxAtOnce + planned.length || !isReachable(ground, task)) {
        this.#leftOut++
        continue
      }
      start(carryOut(ground, task))
      this.#done++
    }
    await Promise.all(underWay)
    if (failures.length > 0) throw new AggregateError(failures, 'what the soak itself could not do')
  }

  #line(referee: Referee, watch: Watch): string {
    const { now } = this.#options
    const minute = Math.round(now() / minuteMs)
    const memory = Math.round(watch.residentBytes / 2 ** 20)
    const load = Math.round(loadavg()[0] ?? 0)
    return `minute ${minute}: ${this.#done} operations, ${this.#leftOut} left out, at most ${memory} MiB in a node, load ${load}, ${referee.violations.length} violations`
  }
}

/** A stopped one takes connections, so clients wait for it. */
function isReachable({ nodes }: Ground, { node }: Task): boolean {
  const state = nodes[node]?.state
  return state === 'up' || state === 'paused'
}

function farthestStep(round: Round): number {
  return Math.max(0, ...stepsOf(round).map(Math.abs))
}

/** Nobody takes, and no node signs, what is farther ahead than the cluster allows. */
function farthestAhead(round: Round): number {
  return Math.max(0, ...stepsOf(round).filter((stepMs) => stepMs <= maxAheadMs))
}

function stepsOf({ faults }: Round): number[] {
  return faults.flatMap((fault) => (fault.kind === 'clock' ? [fault.stepMs] : []))
}
