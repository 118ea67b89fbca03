/** Which images are here whole, and bringing those that are not: each by one at a time, whoever waits for it. */
import { type CodedError, RecentMap, SingleFlight } from '../base/base.ts'
import { keyOf } from './backlog.ts'
import { bringImage, type Image, type Library, type Supply } from './image.ts'

export interface HoldingsOptions {
  library: Library
  supply: Supply
  /** The same, standing back behind what clients wait for. */
  politeSupply: Supply
  /** What is here of the image survives a power cut when it resolves. */
  makeDurable(image: Image): Promise<void>
  onBrought(bytes: number): void
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
    const { missing } = await bringImage(image, this.#options.library, options)
    this.#note(image, missing.length === 0)
    return missing.length === 0
  }

  /** As it was when it was looked at last. */
  async isWhole(image: Image, options: { signal: AbortSignal }): Promise<boolean> {
    return this.#whole.has(keyOf(image)) || (await this.look(image, options))
  }

  /** With `isUrgent` it does not stand back, nor does what is on its way already. */
  async bring(
    image: Image,
    { isUrgent = false, signal }: { isUrgent?: boolean; signal: AbortSignal },
  ): Promise<Brought> {
    const key = keyOf(image)
    if (isUrgent) this.#urgent.add(key)
    return await this.#bringing.run(key, async () => {
      try {
        return await this.#bring(image, signal)
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
    const { missing } = await bringImage(image, library, {
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
    const isWhole = missing.length === 0
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
