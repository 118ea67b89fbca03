/** The secrets that a node shakes hands with: the cluster's newest one, and those of before until they end. */
import { type Clock, Semaphore, wallClock } from '../../base/base.ts'
import type { Identity } from '../../wire/wire.ts'
import { ClusterConflictError } from '../errors.ts'
import {
  type Cluster,
  isNewcomer,
  nameOf,
  newSecret,
  type Remembered,
  recall,
  replace,
  type SecretNames,
  secretNames,
} from './cluster.ts'
import { maxRotationMembers, type Rotation, readRotation, signRotation } from './rotation.ts'
import type { EarlierSecret } from './rotation-file.ts'

export interface ClusterSecrets {
  /** Whether there is none but an invitation's: the node is no member yet. */
  isNewcomer(): boolean
  /** The newest first. */
  names(): SecretNames[]
  /** The rotation that made the newest one, to be handed on; absent where there was none, or this node joined after it. */
  rotation(): { signed: Uint8Array; members: ReadonlySet<string> } | undefined
  /**
   * Takes a rotation that a member hands over, unless its secret is older than what is here. Durable when it resolves. Whether
   * it is the newest one now. Throws MalformedError for what the authority did not sign.
   */
  learn(signed: Uint8Array): Promise<boolean>
  /** Protocols of secrets that another rotation made at the same time as that of the newest: whoever has one is given that. */
  rivals(): ReadonlySet<string>
  /** Forgets secrets whose time is over. */
  prune(): Promise<void>
  /** Called after the newest one changed. Returns the unsubscriber. */
  onRotation(listener: () => void): () => void
}

export interface RotatingSecrets extends ClusterSecrets {
  /** Makes a member of a newcomer. Durable when it resolves; changes nothing on a member. */
  admit(secret: { secret: Uint8Array; generation: number }): Promise<void>
  /** As it is now, for the token. */
  cluster(): Cluster
  /** Says who the authority is, which rotations have to be signed by. Default the one that the token names. */
  trust(isAuthority: (publicKey: Uint8Array) => boolean): void
  /** Signs the last rotation again, once the authority was handed over: who has yet to hear of it believes the new one alone. */
  signAgain(authority: Identity): Promise<void>
  /** Makes a new secret, and keeps the present one for `graceMs`. `members` are given it, up to 1,024. */
  rotate(options: { authority: Identity; members: Iterable<string>; graceMs: number }): Promise<void>
}

/** Each is a rotation during the grace of another. */
const maxEarlier = 8
const forever = Number.POSITIVE_INFINITY

/** Secrets that never change, for what has no folder. */
export function fixedSecrets(cluster: Cluster): ClusterSecrets {
  return {
    isNewcomer: () => isNewcomer(cluster),
    names: () => [secretNames(cluster)],
    rotation: () => undefined,
    learn: async () => false,
    rivals: () => new Set(),
    prune: async () => undefined,
    onRotation: () => () => undefined,
  }
}

/** Of a node that has joined; throws ClusterConflictError otherwise. */
export async function openSecrets(
  directory: string,
  { clock = wallClock }: { clock?: Clock } = {},
): Promise<RotatingSecrets> {
  const known = await recall(directory)
  if (known === undefined) throw new ClusterConflictError(`${directory} belongs to no cluster; join it first`)
  return await FolderSecrets.open(directory, known, clock)
}

class FolderSecrets implements RotatingSecrets {
  readonly #directory: string
  readonly #clock: Clock
  readonly #listeners = new Set<() => void>()
  readonly #writing = new Semaphore(1)
  #known: Remembered
  #derived: { from: string; names: SecretNames[] } = { from: '', names: [] }
  #rotation: Rotation | undefined
  #isAuthority: (publicKey: Uint8Array) => boolean

  private constructor(directory: string, known: Remembered, clock: Clock) {
    this.#directory = directory
    this.#known = known
    this.#clock = clock
    this.#isAuthority = (key) => Buffer.compare(key, known.cluster.authority) === 0
  }

  static async open(directory: string, known: Remembered, clock: Clock): Promise<FolderSecrets> {
    const secrets = new FolderSecrets(directory, known, clock)
    const { signed } = known.rotations
    if (signed !== undefined) secrets.#rotation = await readRotation(signed, () => true)
    return secrets
  }

  cluster(): Cluster {
    return this.#known.cluster
  }

  isNewcomer(): boolean {
    return isNewcomer(this.#known.cluster)
  }

  async admit({ secret, generation }: { secret: Uint8Array; generation: number }): Promise<void> {
    await this.#writing.run(async () => {
      if (!this.isNewcomer()) return
      const { authority, bootstrap } = this.#known.cluster
      this.#known = await replace(this.#directory, this.#known, {
        cluster: { secret, authority, bootstrap },
        rotations: { generation, earlier: [] },
      })
      for (const listener of this.#listeners) listener()
    })
  }

  names(): SecretNames[] {
    const { authority, secret } = this.#known.cluster
    const all = [secret, ...this.#earlier().map((earlier) => earlier.secret)]
    // Asked for twice a second: to derive them each time was 2 % of what a node does while it waits for a narrow link.
    const from = Buffer.concat([authority, ...all]).toString('latin1')
    if (this.#derived.from !== from) {
      this.#derived = { from, names: all.map((one) => secretNames({ secret: one, authority })) }
    }
    return [...this.#derived.names]
  }

  rotation() {
    const { signed } = this.#known.rotations
    if (signed === undefined || this.#rotation === undefined) return undefined
    return { signed, members: new Set(this.#rotation.members) }
  }

  async rotate({
    authority,
    members,
    graceMs,
  }: {
    authority: Identity
    members: Iterable<string>
    graceMs: number
  }): Promise<void> {
    await this.#writing.run(async () => {
      const rotation = {
        generation: (this.#known.cluster.generation ?? 0) + 1,
        secret: newSecret(),
        untilMs: Math.floor(this.#clock.now() + graceMs),
        members: [...new Set(members)].slice(0, maxRotationMembers),
      }
      await this.#take(rotation, signRotation(rotation, authority))
    })
  }

  async learn(signed: Uint8Array): Promise<boolean> {
    const rotation = await readRotation(signed, (key) => this.#isAuthority(key))
    return await this.#writing.run(async () => {
      if (this.#isNewest(rotation)) return true
      if (this.#outranks(rotation)) {
        await this.#take(rotation, signed)
        return true
      }
      await this.#keepRival(rotation)
      return false
    })
  }

  rivals(): ReadonlySet<string> {
    const { authority } = this.#known.cluster
    const rivals = this.#known.rotations.earlier.filter(({ untilMs }) => untilMs === forever)
    return new Set(rivals.map(({ secret }) => secretNames({ secret, authority }).protocol))
  }

  trust(isAuthority: (publicKey: Uint8Array) => boolean): void {
    this.#isAuthority = isAuthority
  }

  async signAgain(authority: Identity): Promise<void> {
    await this.#writing.run(async () => {
      if (this.#rotation === undefined) return
      const { cluster, rotations } = this.#known
      const signed = signRotation(this.#rotation, authority)
      this.#known = await replace(this.#directory, this.#known, {
        cluster,
        rotations: { ...rotations, signed },
      })
    })
  }

  async prune(): Promise<void> {
    if (this.#earlier().length === this.#known.rotations.earlier.length) return
    await this.#writing.run(async () => {
      const { cluster, rotations } = this.#known
      const earlier = this.#earlier()
      this.#known = await replace(this.#directory, this.#known, {
        cluster,
        rotations: { ...rotations, earlier },
      })
    })
  }

  onRotation(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #earlier(): EarlierSecret[] {
    return this.#known.rotations.earlier.filter(({ untilMs }) => untilMs > this.#clock.now())
  }

  #isNewest({ secret }: Rotation): boolean {
    return Buffer.compare(secret, this.#known.cluster.secret) === 0
  }

  /** Of two rotations at once, which the authority's key on two nodes can make, the same one wins everywhere. */
  #outranks({ generation, secret }: Rotation): boolean {
    const { cluster } = this.#known
    const own = cluster.generation ?? 0
    return generation > own || (generation === own && nameOf(secret) > nameOf(cluster.secret))
  }

  /** A token with the secret of one that lost was printed after the rotation: it has to lead to the cluster as well. */
  async #keepRival({ generation, secret }: Rotation): Promise<void> {
    const { cluster, rotations } = this.#known
    const isKnown = rotations.earlier.some((earlier) => Buffer.compare(earlier.secret, secret) === 0)
    if (generation !== (cluster.generation ?? 0) || isKnown) return
    const earlier = [{ secret, untilMs: forever }, ...this.#earlier()].slice(0, maxEarlier)
    this.#known = await replace(this.#directory, this.#known, {
      cluster,
      rotations: { ...rotations, earlier },
    })
    for (const listener of this.#listeners) listener()
  }

  async #take(rotation: Rotation, signed: Uint8Array): Promise<void> {
    const { cluster } = this.#known
    const { generation, secret } = rotation
    const isRival = generation === (cluster.generation ?? 0)
    const before = { secret: cluster.secret, untilMs: isRival ? forever : rotation.untilMs }
    const earlier = this.#earlier().map((one) =>
      one.untilMs === forever && !isRival ? { ...one, untilMs: rotation.untilMs } : one,
    )
    this.#known = await replace(this.#directory, this.#known, {
      cluster: { ...cluster, secret },
      rotations: { generation, signed, earlier: [before, ...earlier].slice(0, maxEarlier) },
    })
    this.#rotation = rotation
    for (const listener of this.#listeners) listener()
  }
}
