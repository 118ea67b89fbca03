/** Which images are here whole, and bringing those that are not: each by one at a time, whoever waits for it. */
import { type Clock, CodedError, RecentMap, SingleFlight } from '../base/base.ts'
import { keyOf } from './backlog.ts'
import { bringImage, type Image, type Library, type Supply, type Survey } from './image.ts'

export interface HoldingsOptions {
  library: Library
  supply: Supply
  /** The same, standing back behind what clients wait for. */
  politeSupply: Supply
  /** What is here of the image survives a power cut when it resolves. */
  makeDurable(image: Image): Promise<void>
  onBrought(bytes: number): void
  clock: Clock
}

/** What lies beyond a plan's limits is not known to be anywhere. */
class ImageTooLargeError extends CodedError {
  readonly code = 'IMAGE_TOO_LARGE'
}

/** What came of it stays, and the next turn goes on from there. */
export class ImageSlowError extends CodedError {
  readonly code = 'IMAGE_SLOW'
}

export interface Brought {
  isWhole: boolean
  /** Why the first part that is missing could not be had, where that is known. */
  cause: CodedError | undefined
}

const maxRemembered = 100_000
/** Then others have their turn: whoever gives slowly, on purpose or over a narrow line, is not to keep their copies from coming. */
const turnMs = 600_000
/** And that soon where others wait. */
const shortTurnMs = 60_000

export class Holdings {
  readonly #options: HoldingsOptions
  readonly #whole = new RecentMap<string, true>(maxRemembered)
  readonly #bringing = new SingleFlight<Brought>()
  /** Those on their way for which a client waits. */
  readonly #urgent = new Set<string>()

  constructor(options: HoldingsOptions) {
    this.#options = options
  }

  /** Looked at now, part by part. */
  async look(image: Image, options: { signal: AbortSignal }): Promise<boolean> {
    const isWhole = isComplete(await bringImage(image, this.#options.library, options))
    this.#note(image, isWhole)
    return isWhole
  }

  /** As it was when it was looked at last. */
  async isWhole(image: Image, options: { signal: AbortSignal }): Promise<boolean> {
    return this.#whole.has(keyOf(image)) || (await this.look(image, options))
  }

  /** With `isUrgent` it does not stand back, nor does what is on its way already. `isAwaited`: others wait for its turn. */
  async bring(
    image: Image,
    {
      isUrgent = false,
      isAwaited = () => false,
      signal,
    }: { isUrgent?: boolean; isAwaited?: () => boolean; signal: AbortSignal },
  ): Promise<Brought> {
    const key = keyOf(image)
    if (isUrgent) this.#urgent.add(key)
    return await this.#bringing.run(key, async () => {
      try {
        return await this.#inTurn(image, isAwaited, signal)
      } finally {
        this.#urgent.delete(key)
      }
    })
  }

  async #inTurn(image: Image, isAwaited: () => boolean, signal: AbortSignal): Promise<Brought> {
    const { clock } = this.#options
    const cause = new ImageSlowError(`${keyOf(image)} did not come within its turn`)
    const over = new AbortController()
    const done = new AbortController()
    const untilMs = clock.now() + turnMs
    const watch = async (): Promise<void> => {
      do await clock.sleep(shortTurnMs, { signal: done.signal })
      while (clock.now() < untilMs && !isAwaited())
      over.abort(cause)
    }
    watch().catch((error: unknown) => {
      if (!done.signal.aborted) throw error
    })
    try {
      return await this.#bring(image, AbortSignal.any([signal, over.signal]))
    } catch (error) {
      if (signal.aborted || !over.signal.aborted) throw error
      this.#note(image, false)
      return { isWhole: false, cause }
    } finally {
      done.abort(cause)
    }
  }

  async #bring(image: Image, signal: AbortSignal): Promise<Brought> {
    const { library, makeDurable, onBrought, supply, politeSupply } = this.#options
    const key = keyOf(image)
    let cause: CodedError | undefined
    let bytes = 0
    const survey = await bringImage(image, library, {
      // Who pushed it here wants it here, whatever its licence says of registries.
      withOptional: true,
      supply: {
        bringManifest: (...manifest) => supply.bringManifest(...manifest),
        refreshReferrers: (...subject) => supply.refreshReferrers(...subject),
        refreshSiblings: (...subject) => supply.refreshSiblings(...subject),
        bringBlob: (...blob) => (this.#urgent.has(key) ? supply : politeSupply).bringBlob(...blob),
      },
      signal,
      onPart(part, state, reason) {
        if (state === 'here') bytes += part.size
        cause ??= reason
      },
    })
    const isWhole = isComplete(survey)
    if (survey.isCut) cause ??= new ImageTooLargeError(`${key} refers to more than can be looked through`)
    if (bytes > 0) onBrought(bytes)
    if (isWhole) await makeDurable(image)
    this.#note(image, isWhole)
    return { isWhole, cause }
  }

  /** Something may be gone: all is looked at again. */
  forget(): void {
    this.#whole.clear()
  }

  #note(image: Image, isWhole: boolean): void {
    if (isWhole) this.#whole.set(keyOf(image), true)
    else this.#whole.delete(keyOf(image))
  }
}

function isComplete({ missing, isCut }: Survey): boolean {
  return missing.length === 0 && !isCut
}
