/**
 * Which upload sessions give way when there are more than there is room for.
 *
 * Whoever holds much of the room makes room in their own. Among the others a session pays for its place with progress: the one
 * that goes has moved longest ago for what it holds, counted as often as its client has sessions, and its client in that
 * repository. So where everybody comes from one address, sessions that nobody goes on with make room for those that move.
 */

/** Less than this more is no progress; it keeps a byte now and then from holding a place. */
const stepBytes = 64 * 1024
/** A session of so many bytes that made progress this lately is at work. */
const workingBytes = 1024 * 1024
const workingMs = 30_000
/** Of the room: more than any honest client, or repository, has open at once. */
const muchOfIt = 1 / 8

export interface Tenant {
  /** Who uploads; the same text for the same client, and for all who cannot be told apart. */
  readonly client: string
  readonly repository: string
}

export interface RoomOptions {
  max: number
  /** How many give way at once, so that a flood of newcomers does not make each of them costly. */
  batch?: number
  /** Monotonic. */
  nowMs(): number
}

interface Crowd {
  size: number
}

interface Place {
  readonly id: string
  readonly client: Crowd
  readonly group: Crowd
  readonly leave: () => void
  bytes: number
  /** When it had made its last step, and how far it was then. */
  steppedMs: number
  steppedBytes: number
}

export class SessionRoom {
  readonly #options: RoomOptions
  readonly #places = new Map<string, Place>()
  readonly #clients = new Crowds()
  readonly #groups = new Crowds()

  constructor(options: RoomOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#places.size
  }

  has(id: string): boolean {
    return this.#places.has(id)
  }

  enter(id: string, { client, repository }: Tenant, bytes = 0): void {
    this.leave(id)
    const group = `${client} ${repository}`
    this.#places.set(id, {
      id,
      client: this.#clients.join(client),
      group: this.#groups.join(group),
      leave: () => {
        this.#clients.leave(client)
        this.#groups.leave(group)
      },
      bytes,
      steppedMs: this.#options.nowMs(),
      steppedBytes: bytes,
    })
  }

  leave(id: string): void {
    this.#places.get(id)?.leave()
    this.#places.delete(id)
  }

  /** It holds so many bytes now. */
  progress(id: string, bytes: number): void {
    const place = this.#places.get(id)
    if (place === undefined) return
    place.bytes = bytes
    if (bytes - place.steppedBytes < stepBytes) return
    place.steppedBytes = bytes
    place.steppedMs = this.#options.nowMs()
  }

  /**
   * Who gives way so that the newcomer has room: nobody where it fits. `undefined` where all are at work, and nobody holds more
   * of it than others should have.
   */
  yielding(newcomer: Tenant): string[] | undefined {
    const { max, batch = 1 } = this.#options
    if (this.#places.size < max) return []
    const nowMs = this.#options.nowMs()
    const much = Math.max(1, max * muchOfIt)
    const { client: from, repository } = newcomer
    const isOneClient = this.#clients.areAll(from)
    const isOneGroup = this.#groups.areAll(`${from} ${repository}`)
    const judged: { id: string; holdsMuch: number; rent: number }[] = []
    for (const { id, client, group, bytes, steppedMs } of this.#places.values()) {
      // Where all is one client's, having much of it says nothing.
      const holdsMuch =
        (!isOneClient && client.size > much ? 2 : 0) + (!isOneGroup && group.size > much ? 1 : 0)
      if (holdsMuch === 0 && bytes >= workingBytes && nowMs - steppedMs <= workingMs) continue
      const rent = ((nowMs - steppedMs + 1) / (bytes + stepBytes)) * client.size * group.size
      judged.push({ id, holdsMuch, rent })
    }
    if (judged.length === 0) return undefined
    const worstFirst = judged.sort((a, b) => b.holdsMuch - a.holdsMuch || b.rent - a.rent)
    return worstFirst.slice(0, this.#places.size - max + batch).map(({ id }) => id)
  }
}

/** How many there are of each name, nobody being of none. */
class Crowds {
  readonly #crowds = new Map<string, Crowd>()

  join(name: string): Crowd {
    const crowd = this.#crowds.get(name) ?? { size: 0 }
    this.#crowds.set(name, crowd)
    crowd.size++
    return crowd
  }

  /** Whether there is nobody of another name. */
  areAll(name: string): boolean {
    return this.#crowds.size === (this.#crowds.has(name) ? 1 : 0)
  }

  leave(name: string): void {
    const crowd = this.#crowds.get(name)
    if (crowd !== undefined && --crowd.size === 0) this.#crowds.delete(name)
  }
}
