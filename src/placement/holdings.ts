/** Which images are here whole, and bringing those that are not: each by one at a time, whoever waits for it. */
import { type Clock, CodedError, RecentMap, SingleFlight } from '../base/base.ts'
import { keyOf } from './backlog.ts'
import { bringImage, type Image, type Library, type Supply, type Survey } from './image.ts'
import { ImageSlowError, inTurn } from './turn.ts'

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

export interface Brought {
  isWhole: boolean
  /** Why the first part that is missing could not be had, where that is known. */
  cause: CodedError | undefined
}

const maxRemembered = 100_000
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
        const { clock } = this.#options
        const turn = { isAwaited, clock, signal }
        const brought = await inTurn(key, (options) => this.#bring(image, options.signal), turn)
        if (!(brought instanceof ImageSlowError)) return brought
        this.#note(image, false)
        return { isWhole: false, cause: brought }
      } finally {
        this.#urgent.delete(key)
      }
    })
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
