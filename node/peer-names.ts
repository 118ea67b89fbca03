/** What hosts are called: by the cluster, by themselves, and, of those that are away, as this node heard it last. */
import { type Clock, type Logger, LogLimit, logFailure, RecentMap } from '../src/base/base.ts'

/** A name that a shell takes as one word, and that no id is. */
export const plainName = /^(?!12D3KooW)[a-zA-Z0-9](?:[a-zA-Z0-9._-]{0,62}[a-zA-Z0-9])?$/
const peerIds = /\b12D3KooW[1-9A-HJ-NP-Za-km-z]{44}\b/g

/** Whoever has the token may come under any number of names. */
const maxRemembered = 4096
/** Who is connected can say one name and then another: that is told and written so seldom, of all members together 16 times. */
const toldAgainMs = 10 * 60_000

interface NameTable {
  iterator(options: { limit: number }): AsyncIterable<[string, string]>
  put(peer: string, name: string): Promise<void>
  del(peer: string): Promise<void>
}

export interface PeerNamesOptions {
  table: NameTable
  self: { peer: string; name: string }
  /** What the cluster calls them (shoal member rename), which counts more than what they say. */
  given(): Iterable<[peer: string, name: string]>
  clock: Clock
  logger: Logger
}

export class PeerNames implements AsyncDisposable {
  readonly #options: PeerNamesOptions
  readonly #heard = new RecentMap<string, string>(maxRemembered)
  readonly #limit: LogLimit
  #writing: Promise<void> = Promise.resolve()

  private constructor(options: PeerNamesOptions) {
    this.#options = options
    this.#limit = new LogLimit({ clock: options.clock, everyMs: toldAgainMs })
  }

  static async open(options: PeerNamesOptions): Promise<PeerNames> {
    const names = new PeerNames(options)
    for await (const [peer, name] of options.table.iterator({ limit: maxRemembered }))
      names.#heard.set(peer, name)
    return names
  }

  /** A member says what it is called. */
  hear(peer: string, name: string): void {
    const before = this.#heard.get(peer)
    if (before === name) return
    const [oldest] = this.#heard.keys()
    this.#heard.set(peer, name)
    const gone = oldest !== undefined && !this.#heard.has(oldest) ? oldest : undefined
    const tell = (unsaid: number): void => {
      // What the host is called is put beside its id: only another name is news.
      const told = this.call([peer])[peer] === name ? {} : { name }
      const facts = { member: peer, ...told, ...(unsaid === 0 ? {} : { unsaid }) }
      this.#options.logger.info(facts, 'a member told its name')
      this.#writing = this.#writing.then(() => this.#write(peer, name, gone))
    }
    if (before === undefined) tell(0)
    else this.#limit.line(peer, tell)
  }

  nameOf(peer: string): string | undefined {
    for (const [one, name] of this.#options.given()) if (one === peer) return name
    return this.#saidOf(peer)
  }

  /** For people, by id: the name, with the id where another has the same one. Those without a name are left out. */
  call(peers: Iterable<string>): Record<string, string> {
    const given = new Map(this.#options.given())
    const known = new Set([this.#options.self.peer, ...this.#heard.keys(), ...given.keys()])
    const nameOf = (peer: string): string | undefined => given.get(peer) ?? this.#saidOf(peer)
    const bearers = new Map<string, number>()
    for (const peer of known) {
      const name = nameOf(peer)
      if (name !== undefined) bearers.set(name, (bearers.get(name) ?? 0) + 1)
    }
    const called: Record<string, string> = {}
    for (const peer of peers) {
      const name = nameOf(peer)
      if (name !== undefined) called[peer] = bearers.get(name) === 1 ? name : `${name} (${peer})`
    }
    return called
  }

  /** A text for people, in which those that have a name of their own are called by it. */
  inWords(text: string): string {
    const peers = peersIn(text)
    return peers.length === 0 ? text : inWords(text, this.call(peers))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing
  }

  #saidOf(peer: string): string | undefined {
    const { self } = this.#options
    return peer === self.peer ? self.name : this.#heard.get(peer)
  }

  async #write(peer: string, name: string, gone: string | undefined): Promise<void> {
    try {
      await this.#options.table.put(peer, name)
      if (gone !== undefined) await this.#options.table.del(gone)
    } catch (error) {
      logFailure(this.#options.logger, error, 'the name of a member could not be kept')
    }
  }
}

/** The peer ids that stand in a text. */
export function peersIn(text: string): string[] {
  return text.includes('12D3KooW') ? (text.match(peerIds) ?? []) : []
}

/** An id stays where its host has no name, or one that is another's too or that could be taken for more than a word. */
export function inWords(text: string, called: Readonly<Record<string, string>>): string {
  return text.replace(peerIds, (peer) => {
    const name = Object.hasOwn(called, peer) ? called[peer] : undefined
    return name !== undefined && plainName.test(name) ? name : peer
  })
}

/** Tells names beside ids: of a fact `peer` in `peerName`. What is for debugging is left as it is. */
export function namingLogger(logger: Logger, names: () => Pick<PeerNames, 'call'> | undefined): Logger {
  const named = (facts: object): object => {
    const ids = Object.entries(facts).filter(
      ([, value]) => typeof value === 'string' && peersIn(value)[0] === value,
    )
    if (ids.length === 0) return facts
    const called = names()?.call(ids.map(([, peer]) => peer)) ?? {}
    const added = ids.flatMap(([key, peer]) =>
      called[peer] === undefined ? [] : [[`${key}Name`, called[peer]]],
    )
    return { ...facts, ...Object.fromEntries(added) }
  }
  return {
    debug: (facts, message) => logger.debug(facts, message),
    info: (facts, message) => logger.info(named(facts), message),
    warn: (facts, message) => logger.warn(named(facts), message),
    error: (facts, message) => logger.error(named(facts), message),
  }
}
