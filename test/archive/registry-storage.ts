/** The storage folder of a docker-registry, as distribution 2 and 3 lay it out. */
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type Digest, hexOf, type Repository } from '../../src/oci/oci.ts'
import { closureOf, type Made } from '../placement/world.ts'

export class RegistryStorage {
  readonly folder: string

  constructor(folder: string) {
    this.folder = folder
  }

  /** An image with what it refers to; without a tag it is there by its digest alone. */
  async push(repository: Repository, image: Made, tag?: string): Promise<void> {
    for (const made of closureOf(image)) {
      await this.write(blobPath(made.digest), made.bytes)
      const hex = hexOf(made.digest)
      const isManifest = /manifest|index/.test(made.mediaType)
      const links = isManifest ? '_manifests/revisions' : '_layers'
      await this.write(`repositories/${repository}/${links}/sha256/${hex}/link`, made.digest)
    }
    if (tag === undefined) return
    const at = `repositories/${repository}/_manifests/tags/${tag}`
    await this.write(`${at}/current/link`, image.digest)
    await this.write(`${at}/index/sha256/${hexOf(image.digest)}/link`, image.digest)
  }

  async write(path: string, content: string | Uint8Array): Promise<void> {
    const file = join(this.folder, 'docker/registry/v2', path)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, content)
  }
}

export function blobPath(digest: Digest): string {
  const hex = hexOf(digest)
  return `blobs/sha256/${hex.slice(0, 2)}/${hex}/data`
}
