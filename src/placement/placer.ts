/**
 * What one node does about copies: looks through the images that the policy wants more than one of, brings those that it owns,
 * and sees to it that the others' owners have theirs. Without timers: who runs it says when.
 */
import { type Clock, type Logger, type Metrics, Semaphore } from '../base/base.ts'
import type { Digest, Repository, Tag } from '../oci/oci.ts'
import type { ChangedKey, Names } from '../records/records.ts'
import { Ahead } from './ahead.ts'
import { AheadIntake } from './ahead-intake.ts'
import { type Backlog, type Debt, type ImageName, keyOf } from './backlog.ts'
import { type Claim, Claims, type ClaimsOptions, isNamed } from './claims.ts'
import { ackOf, copiesOf, copyRuleText } from './copy-rule.ts'
import { Holdings } from './holdings.ts'
import type { Image, Library, Supply } from './image.ts'
import { matchingTags } from './matching.ts'
import { Promises, type PromisesOptions } from './promises.ts'
import type { Roster } from './roster.ts'
import { createRule } from './rule.ts'
import { type CopyPeers, Securing } from './securing.ts'
import { ImageSlowError } from './turn.ts'

export interface PlacerOptions
  extends Pick<ClaimsOptions, 'policy' | 'parentsOf'>,
    Pick<PromisesOptions, 'wasPulled'> {
  self: string
  names: Pick<Names, 'findTag' | 'findManifest' | 'tagsOf' | 'listTags' | 'listRepositories'>
  roster: Roster
  backlog: Backlog
  library: Library
  supply: Supply
  /** The same, standing back behind what clients wait for. */
  politeSupply: Supply
  peers: CopyPeers
  /** What is here of the image survives a power cut when it resolves. */
  makeDurable(image: Image): Promise<void>
  /** Has the record of an image come that a member wants placed here. */
  learn(image: ImageName, options: { signal: AbortSignal }): Promise<void>
  /** How many copies a push waits for where neither a rule nor the client says it. */
  ack: number
  /** Brings a blob or a manifest for another member. Resolves to its bytes where it had to come; `undefined` when nobody gives it. */
  bringPart(
    repository: Repository,
    digest: Digest,
    options: { signal: AbortSignal },
  ): Promise<number | undefined>
  /** Blobs are about to go, or to come from the peer, that need what takes a while to start. */
  getReady(peer?: string): void
  /** How many bytes of a blob have come that is on its way. */
  cameOf(digest: Digest): number
  /** The policy lets the member publish there. */
  mayPush(peer: string, repository: Repository): boolean
  /** An upstream would be asked for what is there. */
  isMirrored(repository: Repository): boolean
  /** From 0 to 1. */
  random(): number
  /** Something of the backlog is due earlier than it was. */
  onDue(): void
  /** Waits a turn of the event loop when long work has taken its time. */
  breathe(): Promise<void> | undefined
  clock: Clock
  logger: Logger
  metrics: Metrics
  signal: AbortSignal
}

/** How many images a member is asked about at once. */
export const maxAsked = 64
const maxNews = 2_000
const maxHolds = 4
const everything = [createRule({ repositories: '**' })]

type News = { repository: Repository } & ({ tag: Tag } | { digest: Digest })

export class Placer {
  readonly promises: Promises
  readonly ahead: Ahead
  readonly #options: PlacerOptions
  readonly #claims: Claims
  readonly #holdings: Holdings
  readonly #securing: Securing
  readonly #news = new Map<string, News>()
  #missedNews = false

  constructor(options: PlacerOptions) {
    const { self, roster, peers, clock, logger, metrics, signal } = options
    this.#options = options
    this.#claims = new Claims(options)
    this.#holdings = new Holdings({
      ...options,
      onBrought: (bytes) => metrics.count('shoal_copies_brought_bytes_total', {}, bytes),
    })
    this.#securing = new Securing({
      self,
      roster,
      peers,
      clock,
      signal,
      onFailure: (peer, err) => logger.debug({ err, peer }, 'a member did not take a copy'),
    })
    const beforeManifest = {
      ...options,
      copiesOf: (repository: Repository) => copiesOf(options.policy(), repository),
      isNamed: (part: ImageName) => isNamed(options, part),
      onFailure: (peer: string, err: unknown) =>
        logger.debug({ err, peer }, 'a blob did not go from one member to another before its manifest'),
    }
    this.ahead = new Ahead(beforeManifest)
    const intake = new AheadIntake(beforeManifest)
    this.promises = new Promises({
      ...options,
      claims: this.#claims,
      holdings: this.#holdings,
      turns: new Semaphore(maxHolds),
      onReady: (...asked) => intake.ready(...asked),
      onAhead: (blob, peer) => intake.ahead(blob, peer),
      onThrough: (...asked) => intake.through(...asked),
      onArrived: (image, peer) => this.#arrived(image, peer),
      onFailure: (peer, err) => logger.debug({ err, peer }, 'a member was not told that its copy is here'),
    })
  }

  get hasNews(): boolean {
    return this.#news.size > 0
  }

  /** Something was heard that there was no room for: all has to be looked through. */
  get missedNews(): boolean {
    return this.#missedNews
  }

  /** The first of those that an image is ranked for, by the digest of its manifest. */
  owners(digest: Digest, copies: number): string[] {
    return this.#options.roster.owners.rank(digest).slice(0, copies)
  }

  /** How many members are to hold the image, and by which rule, where this node is one of its owners; else `undefined`. */
  async duty(image: ImageName): Promise<{ copies: number; rule: string } | undefined> {
    const { self, roster, policy } = this.#options
    const claim = await this.#claims.of(image)
    if (claim === undefined) return undefined
    const copies = Math.min(claim.copies, roster.owners.size)
    if (copies <= 1 || !this.owners(claim.key, copies).includes(self)) return undefined
    return { copies, rule: copyRuleText(policy(), image.repository) }
  }

  /** Something may be gone from this node. */
  forget(): void {
    this.#holdings.forget()
  }

  /** What records have named. */
  hear(keys: ChangedKey[]): void {
    for (const key of keys) {
      if ((key.kind !== 'tag' && key.kind !== 'manifest') || key.deleted) continue
      const { repository } = key
      const name = key.kind === 'tag' ? `${repository}:${key.tag}` : `${repository}@${key.digest}`
      if (this.#news.size >= maxNews) this.#missedNews = true
      else this.#news.set(name, key.kind === 'tag' ? { repository, tag: key.tag } : key)
    }
  }

  async takeNews(): Promise<void> {
    for (const [name, news] of this.#news) {
      this.#news.delete(name)
      await this.#options.breathe()
      const claim = 'tag' in news ? await this.#claimOfTag(news) : await this.#claimOfReferrer(news)
      if (claim !== undefined) await this.#consider(claim, { isNew: true })
    }
  }

  /** Everything, and asks the other owners about what this node is the first owner of. */
  async look(): Promise<void> {
    const { names, signal, breathe } = this.#options
    this.#missedNews = false
    const asked = new Map<string, Claim[]>()
    for await (const { repository, entry } of matchingTags(names, everything, { signal })) {
      await breathe()
      const claim = this.#claims.ofTag(repository, entry)
      for (const peer of await this.#consider(claim, { isNew: false })) {
        const claims = asked.get(peer) ?? []
        claims.push(claim)
        asked.set(peer, claims)
        if (claims.length < maxAsked) continue
        asked.delete(peer)
        await this.#askAbout(peer, claims)
      }
    }
    for (const [peer, claims] of asked) await this.#askAbout(peer, claims)
  }

  /** The next of the backlog that is due; false when none is. */
  async work(): Promise<boolean> {
    const { backlog, clock, signal } = this.#options
    const debt = backlog.next(clock.now())
    if (debt === undefined) return false
    const claim = await this.#claims.of(debt)
    if (claim === undefined || claim.copies === 1) await backlog.settle(debt)
    else if (debt.kind === 'bring') await this.#bring(debt, claim)
    else await this.#secure(debt, claim)
    signal.throwIfAborted()
    return true
  }

  /**
   * Waits until so many members, this one among them, hold an image that was pushed here, for `withinMs` at most. Resolves to how
   * many do; `undefined` where nothing asks for copies of it, so that there is nothing to wait for.
   */
  async secured(
    image: ImageName,
    { copies, withinMs, signal }: { copies: number | undefined; withinMs: number; signal: AbortSignal },
  ): Promise<{ held: number; wanted: number } | undefined> {
    const claim = await this.#claims.of(image)
    const wanted = copies ?? ackOf(this.#options.policy(), image.repository) ?? this.#options.ack
    if (claim === undefined || wanted <= 1) return undefined
    // More than the policy wants nobody is going to take.
    const others = Math.min(wanted, claim.copies) - 1
    const held = 1 + (others === 0 ? 0 : await this.#securing.wait(claim, { others, withinMs, signal }))
    this.#options.metrics.count('shoal_copies_acks_total', { result: held >= wanted ? 'enough' : 'short' })
    return { held, wanted }
  }

  /** Has others take a copy of an image here, so that it can do without this node. Returns whether they have. */
  async handOver(image: ImageName, { signal }: { signal: AbortSignal }): Promise<boolean> {
    const claim = (await this.#claims.of(image)) ?? (await this.#claims.ofUntagged(image))
    if (claim === undefined) return true
    const others = Math.max(1, Math.min(claim.copies, this.#options.roster.owners.size))
    const held = await this.#securing.secure(claim, { others, isFresh: true, signal })
    return held >= others
  }

  async #claimOfTag({ repository, tag }: { repository: Repository; tag: Tag }): Promise<Claim | undefined> {
    const entry = await this.#options.names.findTag(repository, tag)
    return entry === undefined ? undefined : this.#claims.ofTag(repository, entry)
  }

  /** A manifest by itself is placed with what names it, or by its tag; one that refers to another is what may have come later. */
  async #claimOfReferrer(image: ImageName): Promise<Claim | undefined> {
    const entry = await this.#options.names.findManifest(image.repository, image.digest)
    return entry?.subject === undefined ? undefined : await this.#claims.of(image)
  }

  /** Puts into the backlog what is to be done. Returns the owners who are to be asked whether they have theirs. */
  async #consider(claim: Claim, { isNew }: { isNew: boolean }): Promise<string[]> {
    const { self, roster, backlog, clock, signal } = this.#options
    const { image, copies, author } = claim
    const wanted = Math.min(copies, roster.owners.size)
    if (wanted <= 1) return []
    const owners = roster.owners.rank(claim.key).slice(0, wanted)
    const isOwner = owners.includes(self)
    const isAuthor = isNew && author === self
    if (!isOwner && !isAuthor) return []
    const debt = { ...nameOf(image), sinceMs: claim.sinceMs, held: this.#heldElsewhere(image), wanted }
    // What was stated anew may have been deleted and collected in between.
    const isWhole = isNew ? this.#holdings.look(image, { signal }) : this.#holdings.isWhole(image, { signal })
    if (!(await isWhole)) {
      if (isOwner) await backlog.add({ ...debt, kind: 'bring', isFresh: isNew }, clock.now())
      return []
    }
    if (isAuthor)
      await backlog.add({ ...debt, held: debt.held + 1, kind: 'secure', isFresh: true }, clock.now())
    const present = owners.filter((peer) => roster.isPresent(peer))
    return present[0] === self && !isNew ? present.slice(1) : []
  }

  async #askAbout(peer: string, claims: Claim[]): Promise<void> {
    const { peers, backlog, clock, roster, logger, signal } = this.#options
    const images = claims.map(({ image }) => nameOf(image))
    let answers: string[]
    try {
      answers = await peers.ask(peer, { mode: 'look', images, withinMs: 0 }, { signal })
    } catch (error) {
      signal.throwIfAborted()
      logger.debug({ err: error, peer }, 'a member did not say which copies it has')
      return
    }
    for (const [index, { image, copies, sinceMs }] of claims.entries()) {
      const isHeld = answers[index] === 'held'
      this.#securing.note(image, peer, isHeld)
      if (isHeld) continue
      const wanted = Math.min(copies, roster.owners.size)
      const held = 1 + this.#heldElsewhere(image)
      await backlog.add(
        { ...nameOf(image), kind: 'secure', isFresh: false, sinceMs, held, wanted },
        clock.now(),
      )
    }
  }

  async #bring(debt: Debt, claim: Claim): Promise<void> {
    const { self, roster, backlog, clock, logger, signal } = this.#options
    const owners = roster.owners.rank(claim.key).slice(0, claim.copies)
    if (!owners.includes(self)) return await backlog.settle(debt)
    const isAwaited = (): boolean => backlog.isAwaited(debt, clock.now())
    const { isWhole, cause } = await this.#holdings.bring(claim.image, { isAwaited, signal })
    if (isWhole) return await backlog.settle(debt)
    logger.debug({ name: keyOf(debt), err: cause, tries: debt.tries }, 'a copy could not be brought')
    const isSlow = cause instanceof ImageSlowError
    await backlog.postpone(debt, this.#heldElsewhere(debt), clock.now(), { isSlow })
  }

  async #secure(debt: Debt, claim: Claim): Promise<void> {
    const { self, roster, backlog, clock, signal } = this.#options
    const isOwner = roster.owners.rank(claim.key).slice(0, claim.copies).includes(self)
    if (!(await this.#holdings.look(claim.image, { signal }))) {
      if (!isOwner) return await backlog.settle(debt)
      return await backlog.add({ ...debt, kind: 'bring' }, clock.now())
    }
    const others = Math.min(claim.copies, roster.owners.size) - 1
    const held = await this.#securing.secure(claim, { others, isFresh: debt.isFresh, signal })
    if (held >= others) await backlog.settle(debt)
    else await backlog.postpone(debt, held + 1, clock.now())
  }

  #arrived(image: ImageName, peer: string): boolean {
    const { backlog, clock, onDue } = this.#options
    if (!this.#securing.arrived(image, peer)) return false
    backlog.hasten(image, clock.now())
    onDue()
    return true
  }

  #heldElsewhere(image: ImageName): number {
    return this.#securing.heldBy(image)
  }
}

function nameOf({ repository, digest }: ImageName): ImageName {
  return { repository, digest }
}
