/**
 * Layers of images that were fetched of late. Who reads one of them whole wants its siblings next; who reads ranges of it, as lazy
 * pulls do, wants no more than these.
 */
import { RecentMap } from '../base/base.ts'
import type { Digest, ParsedManifest, Repository } from '../oci/oci.ts'

const maxLayers = 4096

export class Siblings {
  readonly #images = new RecentMap<string, readonly Digest[]>(maxLayers)

  /** A client has been given this manifest, whose layers need not be here. */
  remember(repository: Repository, { kind, blobs }: ParsedManifest): void {
    if (kind !== 'image') return
    const [, ...layers] = blobs.map(({ digest }) => digest)
    for (const layer of layers) this.#images.set(keyOf(repository, layer), layers)
  }

  /** The layers that go with this one, the first time that they are asked for. */
  take(repository: Repository, digest: Digest): Digest[] {
    const layers = this.#images.get(keyOf(repository, digest)) ?? []
    for (const layer of layers) this.#images.delete(keyOf(repository, layer))
    return layers.filter((layer) => layer !== digest)
  }
}

function keyOf(repository: Repository, digest: Digest): string {
  return `${repository} ${digest}`
}
