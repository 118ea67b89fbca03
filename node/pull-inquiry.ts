/**
 * Whether clients pulled an image lately, at whichever node: asked of every member before its tag is deleted. Who is away, or does
 * not say that nobody did, keeps the tag; none can have it deleted.
 */
import { type Clock, writeDuration } from '../src/base/base.ts'
import { type CopyPeers, type ImageName, maxAsked } from '../src/placement/placement.ts'
import type { Pulls } from './pulls.ts'

/** For each, why it counts as pulled within that time; `undefined` where nobody pulled it. */
export type FindPulls = (
  images: readonly ImageName[],
  withinMs: number,
  options: { signal: AbortSignal },
) => Promise<(string | undefined)[]>

export interface PullInquiryOptions {
  pulls: Pick<Pulls, 'wasPulled'>
  /** Members that are connected. */
  peers(): string[]
  /** Members that are not, and for which the cluster waits. */
  missing(): Promise<string[]>
  ask: CopyPeers['ask']
  clock: Clock
}

/** Who did not say is not asked again before that, for others: all would wait for it in turn. */
const muteMs = 60_000
/** Nor do those that are asked about together take longer. */
const askingMs = 60_000

/** Where no node runs. */
export const asksNobody: FindPulls = async (images) =>
  images.map(() => 'no node runs here that could ask who pulled it')

export function asksPulls({ pulls, peers, missing, ask, clock }: PullInquiryOptions): FindPulls {
  let mute: { peer: string; atMs: number } | undefined
  return async (images, withinMs, { signal }) => {
    const span = `within ${writeDuration(withinMs)}`
    const why = new Map<ImageName, string>()
    for (const image of images) {
      signal.throwIfAborted()
      if (await pulls.wasPulled(image, withinMs)) why.set(image, `pulled here ${span}`)
    }
    const left = (): ImageName[] => images.filter((image) => !why.has(image))
    const keepAll = (reason: string): void => {
      for (const image of left()) why.set(image, reason)
    }
    const [away] = await missing()
    if (away !== undefined) keepAll(`${away} is away and may know of a pull`)
    if (mute !== undefined && clock.now() - mute.atMs < muteMs) keepAll(unsaid(mute.peer))
    const untilMs = clock.now() + askingMs
    for (const peer of peers()) {
      const asked = left()
      for (let from = 0; from < asked.length; from += maxAsked) {
        const some = asked.slice(from, from + maxAsked)
        if (clock.now() >= untilMs) {
          keepAll('members took too long to say whether it was pulled there')
          break
        }
        const said = await askOne(peer, some)
        if (said === undefined) {
          mute = { peer, atMs: clock.now() }
          keepAll(unsaid(peer))
          break
        }
        for (const [at, image] of some.entries()) if (said[at]) why.set(image, `pulled at ${peer} ${span}`)
      }
    }
    return images.map((image) => why.get(image))

    /** Whether each was; `undefined` for no whole answer. */
    async function askOne(peer: string, some: ImageName[]): Promise<boolean[] | undefined> {
      try {
        const answers = await ask(peer, { mode: 'pulled', images: some, withinMs }, { signal })
        const isWhole =
          answers.length === some.length &&
          answers.every((answer) => answer === 'held' || answer === 'missing')
        return isWhole ? answers.map((answer) => answer === 'held') : undefined
      } catch (error) {
        signal.throwIfAborted()
        if (!(error instanceof Error)) throw error
        return undefined
      }
    }
  }
}

function unsaid(peer: string): string {
  return `${peer} does not say whether it was pulled there`
}
